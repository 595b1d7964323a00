"The site builder: what a page becomes, and what it refuses. Runs in the repository only."
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT/'docs'/'build.py').exists(): pytest.skip('the site is built in the repository', allow_module_level=True)
pytest.importorskip('myst_nb')
sys.path.insert(0, str(ROOT/'docs'))
import build # noqa: E402

targets = {'GameLearner': 'dlcv_gan.game.GameLearner', 'Learner': 'https://docs.fast.ai/learner.html'}

def test_names_become_references_and_code_stays_code():
    assert build.doc_links('see `GameLearner`.', targets) == 'see {py:obj}`GameLearner <dlcv_gan.game.GameLearner>`.'
    assert build.doc_links('on `Learner`', targets) == 'on [`Learner`](https://docs.fast.ai/learner.html)'
    for same in ('```python\n`GameLearner`\n```', '# About `GameLearner`', '[`GameLearner`](x.md)', '`unknown`'): assert build.doc_links(same, targets) == same

def test_notes_titles_and_source_links():
    assert build.adapt_markdown('> **Note** beware\n> of this', {}).startswith(':::{note}\nbeware\nof this')
    assert build.adapt_title('# Games\n> One seam.') == '# Games\n\n{.subtitle}\nOne seam.\n'
    assert '](CONTRIBUTING.md)' in build.adapt_markdown('[c](../CONTRIBUTING.md)', {}) and '/blob/main/Makefile)' in build.adapt_markdown('[m](../Makefile)', {})

def test_hidden_cells_go_and_directives_are_not_shown():
    cell = lambda source: dict(cell_type='code', metadata={}, source=source, outputs=[])
    assert build.adapt_code(cell('#| hide\nx = 1'), True) is None and build.adapt_code(cell('#| default_exp game'), True) is None
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

def test_rooms_by_the_first_digit():
    rooms = build.contents({n: f'About {n}' for n in ('00_data', '10_vae', '20_study', '40_systems', 'index', 'CONTRIBUTING')}).split(':caption: ')[1:]
    assert [r.split('\n')[0] for r in rooms] == ['Start here', 'Assignments', 'Studies', 'Library', 'The doors']
    assert 'self\nCONTRIBUTING' in rooms[0] and '10_vae' in rooms[1] and '00_data' in rooms[3]

def test_a_page_is_titled_stripped_and_closed_by_its_cards(tmp_path):
    cell = lambda kind, source: dict(cell_type=kind, metadata={}, source=source, **(dict(outputs=[]) if kind == 'code' else {}))
    nb = dict(cells=[cell('markdown', '# T\n> Sub.'), cell('code', '#| default_exp m'), cell('code', '#| export\ndef f(): "Does."')], metadata={})
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

def test_broken_links_are_found(tmp_path):
    good = write(tmp_path, a='<a href="b.html#there">x</a><a href="https://elsewhere.org">y</a>', b='<p id="there">z</p>')
    assert build.broken_links(good) == []
    wrong = build.broken_links(write(tmp_path, a='<a href="c.html">x</a><a href="b.html#nowhere">y</a><img src="none.png">'))
    assert len(wrong) == 3 and all('a.html' in w for w in wrong)

@pytest.mark.parametrize('body', ['<script src="https://cdn.example.org/x.js"></script>', '<img src="//host/x.png">', '<link rel="stylesheet" href="https://host/x.css">'])
def test_requests_to_other_hosts_are_found(tmp_path, body):
    assert build.foreign_requests(write(tmp_path, a=body)) and not build.foreign_requests(write(tmp_path, a='<img src="x.png"><a href="https://host">y</a>'))

def test_the_built_site_has_every_notebook():
    html = ROOT/'docs'/'_build'/'html'
    if not (html/'index.html').exists(): pytest.skip('build it with `make docs`')
    pages = {p.stem for p in html.glob('*.html')}
    assert {p.stem for p in (ROOT/'nbs').glob('*.ipynb')} <= pages
    assert not build.broken_links(html) and not build.foreign_requests(html)
    assert all(p.stat().st_size < 3e6 for p in html.glob('*.html'))
