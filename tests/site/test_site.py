"The site builder: what a page becomes, and what it refuses. Runs in the repository only."
import copy, json, re, sys, tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT/'docs'/'build.py').exists(): pytest.skip('the site is built in the repository', allow_module_level=True)
pytest.importorskip('myst_nb')
sys.path[:0] = [str(ROOT/'docs'), str(ROOT/'tools')]
import build, vendor

targets = {'GameLearner': 'dlcv_gan.game.GameLearner', 'Learner': 'https://docs.fast.ai/learner.html'}

def test_names_become_references_and_code_stays_code():
    assert build.doc_links('see `GameLearner`.', targets) == 'see {py:obj}`GameLearner <dlcv_gan.game.GameLearner>`.'
    assert build.doc_links('on `Learner`', targets) == 'on [`Learner`](https://docs.fast.ai/learner.html)'
    for same in ('```python\n`GameLearner`\n```', '# About `GameLearner`', '[`GameLearner`](x.md)', '`unknown`'):
        assert build.doc_links(same, targets) == same

def test_notes_and_titles():
    assert build.adapt_markdown('> **Note** beware\n> of this', build.Place()).startswith(':::{note}\nbeware\nof this')
    assert build.adapt_title('# Games\n> One seam.') == '# Games\n\n{.subtitle}\nOne seam.\n'
    links = re.findall(r'href="(\S+)"', build.adapt_title('# Games\n> One seam.', 'library/game/base'))
    git = build.cfg['git_url'] + '/'
    colab = 'https://colab.research.google.com/github/dlcv-gan/dlcv_gan/blob/main/nbs/'
    assert links[0] == f'{colab}library/game/base.ipynb'
    assert len(links) == 5 and all(link.startswith(git) and 'library/game/base' in link for link in links[1:])
    assert 'colab' not in build.notebook_actions('start/demos') # it plays with files of the repository

def test_hidden_cells_go_and_directives_are_not_shown():
    cell = lambda source: dict(cell_type='code', metadata={}, source=source, outputs=[])
    code = lambda source: build.adapt_code(cell(source), build.Place())
    assert code('#| hide\nx = 1') is None and code('#| default_exp game') is None
    assert ''.join(code('#| export\nx = 1')['source']).strip() == 'x = 1'

def test_outputs_ask_nobody():
    html = '<script src="https://cdn/x.js"></script><b>kept</b>'
    out = build.adapt_output(dict(data={'text/html': html}), build.Place())
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
    assert f'{{py:obj}}`A <{symbols[2].full_name}>`' in f
    assert '| `x` | `int \\| None` | a \\| number |' in f and '| *returns* | `str` | words |' in f
    assert '{py:class} A\n' in a and '{py:method} go(k: int)' in a and '{py:property} size' in a and ':type: "int"' in a
    assert ':value: "\'a | b\'"' in c and 'a constant' in c
    assert targets['A.go'] == targets[symbols[2].full_name + '.go'] == symbols[2].full_name + '.go'
    assert '<div id="f"></div>' in f and '<div id="a"></div>' in a and '<div id="a.go"></div>' in a
    assert 'id="f"' not in build.card(symbols[1], targets, taken={'f'}), 'no anchor stands twice on a page'

def test_private_definitions_have_their_place_too(tmp_path):
    cell = lambda source: dict(cell_type='code', metadata={}, source=source, outputs=[])
    source = '#| export\ndef _f(): pass\nclass A:\n    def __init__(self): pass\n    def go(self): pass\n' \
             '@patch\ndef back(self: A): pass'
    assert build.defined(source) == ['_f', 'a', 'a.__init__', 'a.go', 'a.back']
    assert build.defined('def _f(): pass') == [] # not exported, so no link leads there
    (tmp_path/'m.py').write_text('__all__ = ["A"]\n' + source)
    nb = dict(cells=[dict(cell_type='markdown', metadata={}, source='# T\n> S'), cell(source)], metadata={})
    made = build.page(nb, build.Place(), build.read_module(tmp_path/'m.py'), 'm')['cells']
    assert made[1]['source'] == '<div id="_f"></div><div id="a.__init__"></div>'
    assert '<div id="a.back">' in made[-1]['source']

BOOKS = ['CONTRIBUTING', 'assignments/01_vae', 'assignments/10_tips', 'command/bench', 'command/command', 'gallery',
         'handins/handin', 'handins/hw3', 'handins/hw4', 'index', 'library/game/base', 'library/game/callbacks',
         'library/nets', 'library/view', 'start/demos', 'start/for_teachers', 'start/glossary', 'start/play',
         'studies/02_new', 'studies/ledger', 'studies/study', 'worlds/faces', 'worlds/shapes']

def test_sections_are_the_rooms_in_reading_order():
    assert build.rooms(reversed(BOOKS)) == {
        'Start here': ['index', 'start/play', 'start/demos', 'gallery', 'start/glossary'],
        'Assignments': ['assignments/01_vae', 'assignments/10_tips'],
        'Hand-ins': ['handins/hw4', 'handins/hw3', 'handins/handin'],
        'Studies': ['studies/ledger', 'studies/02_new', 'studies/study'],
        'Worlds': ['worlds/faces', 'worlds/shapes'],
        'Library': ['library/nets', 'library/view'],
        'Library / game': ['library/game/base', 'library/game/callbacks'],
        'Command': ['command/command', 'command/bench'],
        'Teach, contribute': ['start/for_teachers', 'CONTRIBUTING']}
    made = build.contents({n: f'{n}: more' for n in BOOKS}).split(':caption: ')[1:]
    assert [r.split('\n')[0] for r in made] == list(build.rooms(BOOKS))
    assert 'self\nstart/play <start/play>' in made[0] and '10  assignments/10_tips <assignments/tips>' in made[1]
    assert 'CONTRIBUTING <CONTRIBUTING>' in made[-1]

def test_no_notebook_is_without_a_section():
    assert 'More' not in build.rooms([*build.read_books(ROOT/'nbs'), *build.PAGES])

def test_the_sidebar_opens_the_section_that_is_read():
    def page(now):
        sections = {'Start here': 'a', 'Assignments': 'b', 'Library': 'c', 'Library / game': 'd'}
        return build.sidebar(''.join(
            f'<p aria-level="2" class="caption" role="heading"><span class="caption-text">{caption}</span></p>'
            f'<li class="toctree-l1{" current active" * (link == now)}">{link}</li>'
            for caption, link in sections.items()))
    opened = lambda html: re.findall(r'<details open><summary>(.*?)</summary>', html)
    assert [opened(page(p)) for p in 'abdx'] == [['Start here', 'Assignments'], ['Assignments'], ['Library'],
                                                 ['Start here', 'Assignments']]
    assert page('a').count('<details') == 3 and '<p class="part">game</p><li class="toctree-l1">d</li>' in page('a')

def test_a_page_is_where_nbdev_looks_for_it():
    from nbdev.doclinks import _nbpath2html
    for book in [*build.read_books(ROOT/'nbs'), 'a/17b_Exam', 'b/2x_y']:
        assert f'{build.page_of(book)}.html' == _nbpath2html(Path(f'{book}.ipynb')).as_posix()

def test_two_notebooks_never_share_a_page():
    build.refuse_collisions(['a/01_x', 'b/01_x'])
    with pytest.raises(ValueError, match='a/01_x.ipynb and nbs/a/02_x.ipynb would both be a/x.html'):
        build.refuse_collisions(['a/01_x', 'b/x', 'a/02_x'])

@pytest.mark.parametrize('book, url, becomes', [
    ('assignments/01_vae', '02_gan.ipynb#loss', 'gan.ipynb#loss'),
    ('assignments/01_vae', '../library/game/learner.ipynb', '../library/game/learner.ipynb'),
    ('library/game/learner', '../../assignments/01_vae.ipynb', '../../assignments/vae.ipynb'),
    ('index', 'assignments/01_vae.ipynb', 'assignments/vae.ipynb'),
    ('CONTRIBUTING', 'nbs/assignments/01_vae.ipynb', 'assignments/vae.ipynb'),
    ('assignments/01_vae', '../../CONTRIBUTING.md', '../CONTRIBUTING.md'),
    ('assignments/01_vae', f'{build.HOME}gallery.html', '../gallery.md'),
    ('index', f'{build.HOME}start/play.html#x', 'start/play.ipynb#x'),
    ('start/play', '../../docs/_static/play/game.js', f'{build.SOURCES}/docs/_static/play/game.js'),
    ('start/play', '../../nbs/start/play.ipynb', f'{build.SOURCES}/nbs/start/play.ipynb'),
    ('index', '../Makefile', f'{build.SOURCES}/Makefile'),
    ('CONTRIBUTING', 'docs/build.py', f'{build.SOURCES}/docs/build.py'),
    ('studies/ledger', 'https://elsewhere.org/a.ipynb', 'https://elsewhere.org/a.ipynb'), ('index', '#here', '#here')])
def test_a_link_leads_to_the_page(book, url, becomes):
    all_of_them = ['index', 'assignments/01_vae', 'assignments/02_gan', 'library/game/learner', 'start/play']
    place = build.Place(book, dict.fromkeys(all_of_them))
    assert build.adapt_markdown(f'[x]({url})', place) == f'[x]({becomes})'

def test_what_a_page_loads_is_the_sites_own_file():
    place = build.Place('start/play', dict.fromkeys(['start/play', 'assignments/01_vae']))
    assert place.relink('<script src="_static/play/page.js">') == '<script src="../_static/play/page.js">'
    assert place.relink('<img src="../../docs/_static/film.webp">') == '<img src="../_static/film.webp">'
    assert place.relink('<a href="../assignments/01_vae.ipynb">') == '<a href="../assignments/vae.html">'
    assert build.Place().relink('<img srcset="../docs/_static/film.webp">') == '<img srcset="_static/film.webp">'
    printed = build.adapt_output(dict(data={'text/markdown': ['[a](../assignments/01_vae.ipynb#b)']}), place)
    assert printed['data']['text/markdown'] == '[a](../assignments/vae.html#b)'
    assert place.relink('```\n[a](../assignments/01_vae.ipynb)\n```') == '```\n[a](../assignments/01_vae.ipynb)\n```'

def shown(*texts): return dict(cell_type='code', id='c', metadata={}, source="show(title='A title')", outputs=[
    dict(output_type='display_data', data={'image/png': t} if t.startswith('p') else {'text/plain': t}) for t in texts])

def test_a_caption_is_its_pictures_alone():
    made = build.with_captions(shown('words', 'p1', 'p2', 'more'), ['First `f`.', 'Second.'], '', {})
    say = lambda c: (len(c['outputs']), c['metadata']['mystnb'].get('figure', {}).get('caption'),
                     'remove-input' in c['metadata']['tags'])
    assert [say(c) for c in made] == [(1, None, False), (1, 'First `f`.', True), (1, 'Second.', True), (1, None, True)]
    assert [c['metadata']['mystnb']['image']['alt'] for c in made[1:3]] == ['First f.', 'Second.']
    assert build.with_captions(shown('words'), [], '', {}) == [shown('words')]
    both = build.with_captions(shown('p1', 'p2'), ['Both.'], '', {})
    assert [say(c) for c in both] == [(1, None, False), (1, 'Both.', True)]

def test_a_picture_without_a_caption_has_words():
    alt = lambda source, before: build.described(source, before)
    assert alt("show(title='A title')", 'Before. After.') == 'A title'
    assert alt("show(title=f'{n} faces')", '## H\n\nOne. Here [they](x.ipynb) `are`:') == 'Here they are'
    assert alt('show()', '') == 'A figure made by the code above'

def test_what_progress_bars_leave_is_not_shown():
    html = lambda x: dict(data={'text/html': x})
    assert build.is_empty(html('<style>p { x }</style>')) and build.is_empty(html('<div></div>'))
    assert not build.is_empty(html('<div>7</div>')) and not build.is_empty(dict(text='7'))

def books(): return build.read_books(ROOT/'nbs')

def test_every_caption_has_its_figure():
    assert not build.lost_captions(books())
    caption = dict(cell_type='markdown', source='**Figure:** One.\n\n**Figure:** Two.')
    figure = {**shown('p1'), 'id': 'f'}
    assert build.captions_of(dict(cells=[figure, caption])) == {'f': ['One.', 'Two.']}
    lost = lambda cells: build.lost_captions({'start/play': dict(cells=cells)})
    assert 'start/play' in lost([figure, caption])[0] and not lost([{**shown('p1', 'p2'), 'id': 'f'}, caption])
    assert 'shows 0 figures' in lost([{**shown('words'), 'id': 'f'}, caption])[0]

def test_the_gallery_knows_every_system_and_refuses_what_is_none(tmp_path):
    from dlcv_gan.systems import systems
    found = build.printed_systems(ROOT/'dlcv_gan')
    assert {k: t for k, (t, _) in found.items()} == {k: s.title for k, s in systems().items()}
    nbs = books()
    make = lambda chosen: build.gallery(chosen, found, nbs, {n: n for n in nbs}, tmp_path)
    text = make({'R1.VAE': 'assignments/01_vae/e9588c15'})
    assert (tmp_path/'gallery'/'assignments-vae-e9588c15-0.jpeg').stat().st_size > 1000
    assert 'R1.VAE**' in text and 'R1.GAN (' in text.split('Not shown')[1]
    assert ':target: assignments/vae.html' in text and '(assignments/vae.ipynb)' in text
    for where in ('assignments/01_vae/nothere', 'assignments/01_vae/e9588c15/9', 'nowhere/01_vae/e9588c15'):
        with pytest.raises(ValueError, match=where): make({'R1.VAE': where})
    with pytest.raises(ValueError, match='R9.X'): make({'R9.X': 'assignments/01_vae/e9588c15'})

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
    made = build.page(nb, build.Place(), build.read_module(tmp_path/'m.py'), 'm')
    assert [c['cell_type'] for c in made['cells']] == ['markdown', 'code', 'markdown', 'markdown']
    title, code, _, card = (c['source'] for c in made['cells'])
    assert '{.subtitle}' in title and code == 'def f(): "Does."' and '{py:function} f()' in card

def test_without_npm_the_build_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setattr(vendor, 'VENDOR', tmp_path/'vendor')
    assert not build.vendor_mathjax() and not build.vendor_widgets()
    assert 'there is no npm here' in capsys.readouterr().out

def test_a_page_without_the_manager_names_its_sliders():
    out = build.adapt_output(dict(data={'application/vnd.jupyter.widget-view+json': {}}), build.Place(widgets=False))
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
        still, slider = build.adapt_code(copy.deepcopy(cell), build.Place(widgets=widgets))['outputs']
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
    assert build.foreign_requests(write(tmp_path, a=body))
    assert not build.foreign_requests(write(tmp_path, a='<img src="x.png"><a href="https://host">y</a>'))

def test_links_to_files_that_the_repository_lacks_are_found(tmp_path):
    links = ''.join(f'<a href="https://h/blob/main/{file}">x</a>' for file in ('there.py#L3', 'gone.py'))
    site = write(tmp_path, a=links)
    (tmp_path/'there.py').touch()
    assert build.lost_sources(site, 'https://h/blob/main', tmp_path) == [
        'a.html -> https://h/blob/main/gone.py: the repository has no such file']

# The pages of the flat site, before notebooks moved into rooms: what others have linked to.
FLAT = '''00_data 01_nets 01b_residual 02_losses 03_game 04_view 04b_check 04c_widgets 05_metrics 05b_scores 05c_study
06_draw 06b_worlds 07_faces 08_anime 09_scenes 09b_animals 09c_bout 10_vae 11_gan 12_acgan 13_wgan 14_tags
15_cyclegan 16_iclevr
17_flow 17b_exam 18_tips 20_vae_vs_gan 21_wgan_gp 22_input_and_batchnorm 23_turns 23b_ratio 24_conditions 24b_rivals
25_settings 26_translation 30_ledger 40_systems 40b_studies 41_runs 42_bench 43_handin 44_hw4 45_hw3 46_wishes 47_lab7
47b_report 47c_release 47d_export 48_command demos for_teachers play'''.split()

def test_every_page_of_the_flat_site_leads_somewhere():
    pages = {build.page_of(b) for b in books()}
    assert sorted(build.moved()) == sorted(FLAT)
    gone = {old: p for old, new in build.moved().items() for p in new if p not in pages}
    assert not gone, f'docs/moved.toml names pages that do not exist: {gone}'

def test_an_old_address_becomes_a_page_that_leads_on(tmp_path):
    write(tmp_path, new='<title>New &#8212; site</title><p id="new">x</p><p id="a.go"></p>', other='<p id="there"></p>')
    faults = build.write_stubs(tmp_path, {'10_old': ['new', 'other'], '11_lost': ['none'], 'new': ['other']})
    assert faults == ['docs/moved.toml: 11_lost leads to none.html, which is no page',
                      'docs/moved.toml: new.html is a page of its own']
    text = (tmp_path/'10_old.html').read_text()
    assert '<a href="new.html">New</a>' in text and 'content="0; url=new.html"' in text and 'noindex' in text
    assert f'rel="canonical" href="{build.HOME}new.html"' in text
    assert json.loads(re.search(r'const at = ({.*?})', text)[1]) == {'new': 'new', 'a.go': 'new', 'there': 'other'}
    assert not build.broken_links(tmp_path) and not build.foreign_requests(tmp_path)


# ---- the site as it is built

SITE = ROOT/'docs'/'_build'/'html'
missing = pytest.mark.skipif(not (SITE/'index.html').exists(), reason='build the site with `make docs`')
def built(test): return pytest.mark.browser(missing(test)) # looked at where browsers look at it: once it is built

@built
def test_search_engines_and_shared_links_find_their_way():
    mapped = set(re.findall(r'<loc>(.*?)</loc>', (SITE/'sitemap.xml').read_text(encoding='utf-8')))
    for book in books():
        page = build.page_of(book)
        text = (SITE/f'{page}.html').read_text(encoding='utf-8')
        assert f'{build.HOME}{page}.html' in mapped, f'{page} is not in the sitemap'
        assert f'<link rel="canonical" href="{build.HOME}{page}.html"' in text
        said = re.search(r'<meta name="description" content="([^"]+)"', text)
        assert said and len(said[1]) > 20, f'{page} has no description'
        assert 'Open in Colab' not in said[1]
        card = re.search(rf'<meta property="og:image" content="{build.HOME}(_images/[^"]+[.]png)"', text)
        assert card and (SITE/card[1]).is_file(), f'{page} has no card'


def test_a_link_from_the_root_of_the_host_is_looked_up_below_the_prefix(tmp_path):
    write(tmp_path, a='<a href="/site/b.html">x</a><a href="/site/none.html">y</a>', b='')
    assert build.broken_links(tmp_path, '/site/') == ['a.html -> /site/none.html: no such file']


@built
def test_the_built_site_has_every_notebook():
    pages = {p.relative_to(SITE).with_suffix('').as_posix() for p in build.site_pages(SITE)}
    assert {build.page_of(b) for b in books()} <= pages
    assert not build.broken_links(SITE, f"{build.cfg['doc_baseurl']}/") and not build.foreign_requests(SITE)
    assert not build.lost_sources(SITE, build.SOURCES, ROOT)
    assert all(p.stat().st_size < 3e6 for p in build.site_pages(SITE))

@built
def test_every_old_page_leads_to_one_that_exists():
    for old in FLAT:
        page = SITE/f'{old}.html'
        assert page.exists(), f'no page at the old address {page.name}'
        (target,) = re.findall(r'http-equiv="refresh" content="0; url=(.*?)"', page.read_text(encoding='utf-8'))
        assert (SITE/target).exists() and f'<a href="{target}">' in page.read_text(encoding='utf-8')
    searched = (SITE/'searchindex.js').read_text(encoding='utf-8')
    assert not [old for old in FLAT if f'"{old}"' in searched.split('"envversion"')[0]], 'search finds old addresses'

def lost(address: str) -> str:
    "What is missing of an address within the built site, '' when nothing is."
    page, _, anchor = address.partition('#')
    if not (SITE/page).exists(): return f'{address}: no page'
    return '' if anchor in build.links_of(SITE/page).ids else f'{address}: no such place on the page'

@built
def test_every_doc_link_of_nbdev_leads_to_its_place():
    from dlcv_gan._modidx import d
    wrong = [f'{name} -> {w}' for symbols in d['syms'].values() for name, (at, _) in symbols.items() if (w := lost(at))]
    assert not wrong, '\n'.join(wrong)

@built
def test_nbdev_finds_the_page_of_a_symbol():
    doclinks = pytest.importorskip('nbdev.doclinks')
    lookup = doclinks.NbdevLookup(strip_libs=('dlcv_gan',))
    for name in ('GameLearner', 'GameLearner.fit_to', 'VAE', 'dlcv_gan.models.vae.VAE', 'draw_faces'):
        address = lookup.doc(name)
        assert address and address.startswith(build.HOME), f'{name}: nbdev knows no page of it ({address})'
        assert not (w := lost(address.removeprefix(build.HOME))), w


def test_the_demos_models_are_those_of_the_recipes():
    recipes = tomllib.loads((ROOT/'docs'/'demos.toml').read_text(encoding='utf-8'))['models']
    runs = tomllib.loads((ROOT/'docs'/'runs.toml').read_text(encoding='utf-8'))['models']
    at = ROOT/'docs'/'_static'/'demos'/'models'
    shipped = {f.stem: json.loads(f.read_text(encoding='utf-8'))
               for f in at.glob('*.json') if not f.stem.endswith('-real')}
    assert sorted(shipped) == sorted(recipes)
    for name, said in shipped.items():
        recipe = recipes[name]
        if 'pretrained' in recipe: recipe = runs[recipe['pretrained']] # of the package
        flags = recipe['train'].split()
        assert said['train'] == recipe['train'], f'{name} was not trained by its recipe: `make demos`'
        assert said['rounds'] == int(flags[flags.index('--rounds') + 1]), f'{name}: another length: `make demos`'
        assert all((at/part['file']).stat().st_size == part['bytes'] for part in said['parts'].values())
        assert 0 < said['parity'] < 1e-4
        assert said['bytes'] < 2e6, f'{name} is larger than a page should fetch'
    files = {p['file'] for said in shipped.values() for p in said['parts'].values()} | {'flow.moves.f16'}
    assert {f.name for f in at.iterdir() if f.suffix not in ('.json', '.png')} == files, 'files that no model names'
