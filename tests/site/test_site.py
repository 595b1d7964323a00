"The site builder: what a page becomes, and what it refuses. Runs in the repository only."
import copy, json, sys, tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT/'docs'/'build.py').exists(): pytest.skip('the site is built in the repository', allow_module_level=True)
pytest.importorskip('myst_nb')
sys.path[:0] = [str(ROOT/'docs'), str(ROOT/'tools')]
import build # noqa: E402

targets = {'GameLearner': 'dlcv_gan.game.GameLearner', 'Learner': 'https://docs.fast.ai/learner.html'}

def test_names_become_references_and_code_stays_code():
    assert build.doc_links('see `GameLearner`.', targets) == 'see {py:obj}`GameLearner <dlcv_gan.game.GameLearner>`.'
    assert build.doc_links('on `Learner`', targets) == 'on [`Learner`](https://docs.fast.ai/learner.html)'
    for same in ('```python\n`GameLearner`\n```', '# About `GameLearner`', '[`GameLearner`](x.md)', '`unknown`'):
        assert build.doc_links(same, targets) == same

def test_notes_titles_and_source_links():
    assert build.adapt_markdown('> **Note** beware\n> of this', {}).startswith(':::{note}\nbeware\nof this')
    assert build.adapt_title('# Games\n> One seam.') == '# Games\n\n{.subtitle}\nOne seam.\n'
    assert '](CONTRIBUTING.md)' in build.adapt_markdown('[c](../CONTRIBUTING.md)',
                                                        {}) and '/blob/main/Makefile)' in build.adapt_markdown('[m](../Makefile)', {})

def test_hidden_cells_go_and_directives_are_not_shown():
    cell = lambda source: dict(cell_type='code', metadata={}, source=source, outputs=[])
    assert build.adapt_code(cell('#| hide\nx = 1'),
                            True) is None and build.adapt_code(cell('#| default_exp game'), True) is None
    assert ''.join(build.adapt_code(cell('#| export\nx = 1'), True)['source']).strip() == 'x = 1'

def test_outputs_ask_nobody():
    out = build.adapt_output(dict(data={'text/html': '<script src="https://cdn/x.js"></script><b>kept</b>'}), True)
    assert out['data']['text/html'] == '<b>kept</b>'

def test_a_card_has_anchor_signature_docments_and_source(tmp_path):
    (tmp_path/'m.py').write_text('''__all__ = ['A', 'f', 'C']
C = 'a | b' # a constant
def f(x: int | None, # a | number
      n=2) -> str: # words
    "Uses `A`."
class A:
    "A thing."
    def go(self, k: int): # steps
        "Goes."
    @property
    def size(self) -> int: "How large."
''')
    symbols = build.read_module(tmp_path/'m.py')
    targets = build.all_targets({'m': symbols})
    c, f, a = (build.card(s, targets) for s in symbols)
    assert '{py:function} f(x: int | None, n = 2) -> str' in f and '/m.py#L3){.source}' in f
    assert f'{{py:obj}}`A <{symbols[2].full_name}>`' in f and '| `x` | `int \\| None` | a \\| number |' in f and '| *returns* | `str` | words |' in f
    assert '{py:class} A\n' in a and '{py:method} go(k: int)' in a and '{py:property} size' in a and ':type: "int"' in a
    assert ':value: "\'a | b\'"' in c and 'a constant' in c
    assert targets['A.go'] == targets[symbols[2].full_name + '.go'] == symbols[2].full_name + '.go'

def test_sections_take_their_notebooks():
    names = ['00_data', '10_vae', '21_new', '23_turns', '30_ledger', '40_systems', '44_hw4', 'CONTRIBUTING',
             'for_teachers', 'gallery', 'index', 'later', 'play']
    assert build.rooms(names) == {'Start here': ['index', 'play', 'gallery', 'later'],
                                  'Assignments': ['10_vae', '44_hw4'],
                                  'Studies': ['30_ledger', '21_new', '23_turns'],
                                  'Library': ['00_data', '40_systems', 'CONTRIBUTING'],
                                  'For teachers': ['for_teachers']}
    assert 'For teachers' not in build.rooms(['index', '00_data'])
    made = build.contents({n: f'About {n}' for n in names}).split(':caption: ')[1:]
    assert [r.split('\n')[0]
            for r in made] == list(build.rooms(names)) and 'self\nAbout play <play>' in made[0] and '10  About 10_vae <10_vae>' in made[1]

def shown(*texts): return dict(cell_type='code', id='c', metadata={}, source="show(title='A title')", outputs=[
    dict(output_type='display_data', data={'image/png': t} if t.startswith('p') else {'text/plain': t}) for t in texts])

def test_a_caption_is_its_pictures_alone():
    made = build.with_captions(shown('words', 'p1', 'p2', 'more'), ['First `f`.', 'Second.'], '', {})
    say = lambda c: (len(c['outputs']), c['metadata']['mystnb'].get('figure', {}).get('caption'),
                     'remove-input' in c['metadata']['tags'])
    assert [say(c) for c in made] == [(1, None, False), (1, 'First `f`.', True), (1, 'Second.', True), (1, None, True)]
    assert [c['metadata']['mystnb']['image']['alt'] for c in made[1:3]] == ['First f.', 'Second.']
    assert build.with_captions(shown('words'), None, '', {}) == [shown('words')]
    assert [say(c) for c in build.with_captions(shown('p1', 'p2'), 'Both.', '',
                                                {})] == [(1, None, False), (1, 'Both.', True)]

def test_a_picture_without_a_caption_has_words():
    alt = lambda source, before: build.described(source, before)
    assert alt("show(title='A title')", 'Before. After.') == 'A title'
    assert alt("show(title=f'{n} faces')", '## H\n\nOne. Here [they](x.ipynb) `are`:') == 'Here they are'
    assert alt('show()', '') == 'A figure made by the code above'

def test_what_progress_bars_leave_is_not_shown():
    html = lambda x: dict(data={'text/html': x})
    assert build.is_empty(html('<style>p { x }</style>')) and build.is_empty(html('<div></div>'))
    assert not build.is_empty(html('<div>7</div>')) and not build.is_empty(dict(text='7'))

def test_links_to_the_published_site_stay_within_it():
    assert build.adapt_markdown(f'[g]({build.HOME}gallery.html), [p]({build.HOME}play.html)',
                                {}) == '[g](gallery.md), [p](play.ipynb)'
    assert build.adapt_markdown('<img src="../docs/_static/film.webp">', {}) == '<img src="_static/film.webp">'

def books(): return {p.stem: json.loads(p.read_text(encoding='utf-8')) for p in (ROOT/'nbs').glob('*.ipynb')}

def test_every_caption_has_its_figure():
    figures = tomllib.loads((ROOT/'docs'/'figures.toml').read_text(encoding='utf-8'))
    assert not build.lost_captions(books(), figures)
    assert 'play' in build.lost_captions(books(), {'play': {'0': 'x'}})[0]

def test_the_gallery_knows_every_system_and_refuses_what_is_none(tmp_path):
    from dlcv_gan.systems import systems
    found = build.printed_systems(ROOT/'dlcv_gan')
    assert {k: t for k, (t, _) in found.items()} == {k: s.title for k, s in systems().items()}
    nbs = books()
    make = lambda chosen: build.gallery(chosen, found, nbs, {}, {n: n for n in nbs}, tmp_path)
    text = make({'R1.VAE': '10_vae/e9588c15'})
    assert (tmp_path/'gallery'
            /'10_vae-e9588c15-0.jpeg').stat().st_size > 1000 and 'R1.VAE**' in text and 'R1.GAN (' in text.split('Not shown')[1]
    with pytest.raises(ValueError, match='R9.X'): make({'R9.X': '10_vae/e9588c15'})
    with pytest.raises(ValueError, match='nothere'): make({'R1.VAE': '10_vae/nothere'})

def test_colours_of_code_can_be_read():
    from pygments.styles import get_style_by_name
    import conf
    def light(c):
        rgb = [int(c[i:i + 2], 16) / 255 for i in (0, 2, 4)]
        return sum(w * (v / 12.92 if v <= .04045 else ((v + .055) / 1.055) ** 2.4)
                   for w, v in zip((.2126, .7152, .0722), rgb))
    for theme, paper in (('light', 'f3f4f5'), ('dark', '29313d')): # the theme's surfaces
        style = get_style_by_name(conf.html_theme_options[f'pygments_{theme}_style'])
        faint = {str(t): s['color'] for t, s in style if s['color']
                 and (max(map(light, (paper, s['color']))) + .05) / (min(map(light, (paper, s['color']))) + .05) < 4.5}
        assert not faint, f'{theme}: {faint}'

def test_the_film_of_runs_is_their_frames(tmp_path):
    import numpy as np, torch
    from PIL import Image
    import film
    for k in range(2):
        frames = [torch.full((134, 530, 3), 100 * k + 10 * i, dtype=torch.uint8) for i in range(5)]
        (tmp_path/f'run{k}').mkdir()
        torch.save(dict(callbacks=dict(film=dict(every=1, frames=frames))), tmp_path/f'run{k}'/'checkpoint.pth')
    film.shoot([tmp_path/'run0', tmp_path/'run1'], tmp_path/'x.webp', frames=5)
    with Image.open(tmp_path/'x.webp') as made, Image.open(tmp_path/'x-still.webp') as still:
        assert made.n_frames == 5 and made.size == still.size == (398, 142)
        row = np.asarray(still.convert('L'), float)
        assert abs(row[:60].mean() - 40) < 5 and abs(row[70:130].mean() - 140) < 5
    with pytest.raises(FileNotFoundError, match='none'): film.frames_of(tmp_path/'none', 6)
    with pytest.raises(ValueError, match='fewer than 9'): film.frames_of(tmp_path/'run0', 9)
    with pytest.raises(ValueError, match='webp'): film.shoot([tmp_path/'run0'], tmp_path/'x.gif')
    assert (ROOT/'docs'/'_static'/'film.webp').stat().st_size < 400_000

def test_a_page_is_titled_stripped_and_closed_by_its_cards(tmp_path):
    cell = lambda kind, source: dict(cell_type=kind, metadata={}, source=source,
                                     **(dict(outputs=[]) if kind == 'code' else {}))
    nb = dict(cells=[cell('markdown', '# T\n> Sub.'), cell('code', '#| default_exp m'),
                     cell('code', '#| export\ndef f(): "Does."')], metadata={})
    (tmp_path/'m.py').write_text('__all__ = ["f"]\ndef f(): "Does."\n')
    made = build.page(nb, {}, build.read_module(tmp_path/'m.py'), 'p.m')
    assert [c['cell_type'] for c in made['cells']] == ['markdown', 'code', 'markdown', 'markdown']
    assert '{.subtitle}' in made['cells'][0]['source'] and made['cells'][1]['source'] == 'def f(): "Does."' and '{py:function} f()' in made['cells'][3]['source']

def test_without_npm_the_build_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setattr(build, 'VENDOR', tmp_path/'vendor')
    assert not build.vendor_mathjax() and not build.vendor_widgets()
    assert 'there is no npm here' in capsys.readouterr().out

def test_a_page_without_the_manager_names_its_sliders():
    out = build.adapt_output(dict(data={'application/vnd.jupyter.widget-view+json': {}}), False)
    assert list(out['data']) == ['text/plain'] and 'notebook' in out['data']['text/plain']

def write(folder, **pages):
    for name, body in pages.items(): (folder/f'{name}.html').write_text(f'<html><body>{body}</body></html>')
    return folder

def test_a_widgets_plain_picture_stands_above_it():
    view = 'application/vnd.jupyter.widget-view+json'
    cell = dict(source='box', outputs=[dict(output_type='display_data',
                                            data={view: {'model_id': 'a'}, 'image/png': 'x', 'text/plain': 'Box()'},
                                            metadata={})])
    for widgets, below in ((True, {view, 'text/plain'}), (False, {'text/plain'})):
        still, slider = build.adapt_code(copy.deepcopy(cell), widgets)['outputs']
        assert set(still['data']) == {'image/png'} and set(slider['data']) == below


def test_broken_links_are_found(tmp_path):
    good = write(tmp_path, a='<a href="b.html#there">x</a><a href="https://elsewhere.org">y</a>',
                 b='<p id="there">z</p>')
    assert build.broken_links(good) == []
    wrong = build.broken_links(write(tmp_path, a='<a href="c.html">x</a><a href="b.html#nowhere">y</a><img '
                                                 'src="none.png">'))
    assert len(wrong) == 3 and all('a.html' in w for w in wrong)

@pytest.mark.parametrize('body', ['<script src="https://cdn.example.org/x.js"></script>', '<img src="//host/x.png">',
                                  '<link rel="stylesheet" href="https://host/x.css">'])
def test_requests_to_other_hosts_are_found(tmp_path, body):
    assert build.foreign_requests(write(tmp_path,
                                        a=body)) and not build.foreign_requests(write(tmp_path, a='<img src="x.png"><a href="https://host">y</a>'))

def test_the_built_site_has_every_notebook():
    html = ROOT/'docs'/'_build'/'html'
    if not (html/'index.html').exists(): pytest.skip('build it with `make docs`')
    pages = {p.stem for p in html.glob('*.html')}
    assert {p.stem for p in (ROOT/'nbs').glob('*.ipynb')} <= pages
    assert not build.broken_links(html) and not build.foreign_requests(html)
    assert all(p.stat().st_size < 3e6 for p in html.glob('*.html'))


def test_the_demos_models_are_those_of_the_recipes():
    recipes, at = tomllib.loads((ROOT/'docs'
                                 /'demos.toml').read_text(encoding='utf-8'))['models'], ROOT/'docs'/'_static'/'demos'/'models'
    shipped = {f.stem: json.loads(f.read_text(encoding='utf-8'))
               for f in at.glob('*.json') if not f.stem.endswith('-real')}
    assert sorted(shipped) == sorted(recipes)
    for name, said in shipped.items():
        flags = recipes[name]['train'].split()
        assert said['train'] == recipes[name]['train'] and said['rounds'] == int(flags[flags.index('--rounds') + 1]), f'{name} was not trained by its recipe: `make demos`'
        assert all((at/part['file']).stat().st_size == part['bytes']
                   for part in said['parts'].values()) and 0 < said['parity'] < 1e-4
        assert said['bytes'] < 2e6, f'{name} is larger than a page should fetch'
    files = {p['file'] for said in shipped.values() for p in said['parts'].values()} | {'flow.moves.f16'}
    assert {f.name for f in at.iterdir() if f.suffix not in ('.json', '.png')} == files, 'files that no model names'
