"The house rules (CONTRIBUTING.md): who may import whom, what is documented, what a notebook is, what git holds. Nothing is imported or executed."
import ast, json, re, subprocess, sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NBS, PACKAGE = ROOT/'nbs', ROOT/'dlcv_gan'
if not (ROOT/'settings.ini').exists(): pytest.skip('the house rules are about the repository', allow_module_level=True)
sys.path.insert(0, str(ROOT/'tools'))
from api import read_module  # noqa: E402

# The only arrows between library modules, each one paid for by what it saves.
# pictures are drawn with the kit, sets are written as one
LIBRARY = {'faces': {'draw', 'worlds'}, 'animals': {'draw', 'worlds'}, 'scenes': {'worlds'},
           # and the order of the anime tags is the reader's, a single file is the learner's
           'anime': {'draw', 'worlds', 'data', 'game'},
           'view': {'game'}, 'metrics': {'game'}, # files are written as the learner writes them: whole or not at all
           'residual': {'nets'}, # its discriminators have the same heads
           # knobs and a panel: pictures, a learner, a ruler, a sheet; and a run folder is opened where it is defined
           'widgets': {'data', 'game', 'metrics', 'view', 'runs'},
           'check': {'losses', 'nets'}, # answers are held against the library's own losses, and tried on its critics
           'study': {'game'}, # the same files, the scale's word and the random states
           'scores': {'data', 'game'}, # what a course grades: pictures in the nets' range, drawn by a game
           # what studies play: small worlds, a game, a ruler
           'bout': {'anime', 'faces', 'scenes', 'data', 'game', 'metrics'}}
# What an assignment may know: the loop, the losses, and the networks its report prints.
ASSIGNMENT = {'game', 'losses', 'nets', 'residual'}
# An assignment that plays an earlier one's game by other rules imports that game instead of writing it twice.
GAMES = {'acgan': {'gan'}, 'wgan': {'gan'}, 'tags': {'acgan'}, 'iclevr': {'gan', 'acgan'}}
# Third parties: what settings.ini says, by import name, and what comes along with it.
IMPORT_NAMES = {'pillow': 'PIL', 'scikit-learn': 'sklearn', 'opencv-python-headless': 'cv2'}
COME_ALONG = {'fastai': {'fastprogress'}, 'ipywidgets': {'IPython'}}


@cache
def notebook(path: Path) -> dict: return json.loads(path.read_text(encoding='utf-8'))


def source(cell) -> str: return ''.join(cell['source'])
def code_cells(path): return [c for c in notebook(path)['cells'] if c['cell_type'] == 'code']


@cache
def floors() -> dict:
    "Module -> the notebook it comes from, by each notebook's default_exp."
    found = {}
    for p in sorted(NBS.glob('*.ipynb')):
        for c in code_cells(p):
            if m := re.search(r'(?m)^\s*#\|\s*default_exp\s+(\S+)', source(c)): found[m[1]] = p.stem
    return found


NOTEBOOKS = sorted(NBS.glob('*.ipynb'))
MODULES = sorted(p for p in PACKAGE.glob('*.py') if not p.stem.startswith('_'))
each_notebook = pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
each_module = pytest.mark.parametrize('path', MODULES, ids=lambda p: p.stem)


def imports(path: Path) -> list[tuple[str, int, bool]]:
    "(dotted name, line, star) of every import in a module, late ones too; ours as dlcv_gan.x."
    found = []
    for n in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(n, ast.Import): found += [(a.name, n.lineno, False) for a in n.names]
        elif isinstance(n, ast.ImportFrom):
            base = 'dlcv_gan' * bool(n.level) + '.' * bool(n.level and n.module) + (n.module or '')
            found += [(f'{base}.{a.name}' if base == 'dlcv_gan' else base, n.lineno, a.name == '*') for a in n.names]
    return found


def allowed(module: str, floor: dict) -> set:
    "Modules of ours that one module may import."
    number = floor[module][:2]
    if number[0] == '0': return LIBRARY.get(module, set())
    if number[0] == '1': return ASSIGNMENT | GAMES.get(module, set())
    return {m for m, book in floor.items() if book[:2] < number}


# ---- imports

def test_every_module_has_a_notebook():
    assert {p.stem
            for p in MODULES} == set(floors()), 'dlcv_gan/ and the default_exp of nbs/ disagree: run `nbdev_export`, remove what has no notebook'


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
def test_a_module_is_named_as_its_notebook(path):
    names = [m for m, book in floors().items() if book == path.stem]
    assert not names or names == [re.sub(r'^\d\d[a-z]?_', '',
                                         path.stem)], f'{path.name} exports {names}: name the module as the notebook, without its number'


@pytest.mark.parametrize('path', [p for p in NOTEBOOKS if p.stem[0] == '2'], ids=lambda p: p.stem)
def test_a_study_exports_its_declaration_and_what_plays_a_run(path):
    exported = '\n'.join(source(c) for c in code_cells(path) if is_exported(c))
    calls = [n.value.func.id for n in ast.parse(exported).body if isinstance(n, ast.Assign)
             and isinstance(n.value, ast.Call) and isinstance(n.value.func, ast.Name)]
    assert 'Study' in calls, f'{path.name} declares no study: `name = Study(...)` in an exported cell, so that `dlcv_gan study` finds it'
    shown = re.findall(r'\b(plt|matplotlib|view)\b', exported)
    assert not shown, f'{path.name} exports its analysis ({shown[0]}): figures and tables stay in the notebook'


@each_module
def test_arrows_point_down(path):
    floor = floors()
    may = allowed(path.stem, floor)
    wrong = [f'{path.name}:{line} imports {name}' for name, line, _ in imports(path)
             if name.startswith('dlcv_gan.') and name.split('.')[1] in floor
             and name.split('.')[1] not in may | {path.stem}]
    assert not wrong, f'{wrong}\n{floor[path.stem]} may import {sorted(may) or "none of our modules"}: hand the thing in as an argument, or move it down'


def test_the_arrow_reader_sees_every_form(tmp_path):
    (tmp_path/'m.py').write_text('from .a import x\nfrom dlcv_gan.b import *\nimport dlcv_gan.c\ndef f():\n    from '
                                 'dlcv_gan import d\n')
    assert imports(tmp_path/'m.py') == [('dlcv_gan.a', 1, False), ('dlcv_gan.b', 2, True), ('dlcv_gan.c', 3, False),
                                        ('dlcv_gan.d', 5, False)]


@each_module
def test_no_star_imports(path):
    wrong = [f'{path.name}:{line} from {name} import *' for name, line, star in imports(path) if star]
    assert not wrong, f'{wrong}: name what is used'


def named(requirements: str) -> set:
    "Import names of what one line of settings.ini asks for, and of what comes along."
    names = {re.split(r'[<>=!~\[]', r)[0] for r in requirements.split()}
    return {IMPORT_NAMES.get(n, n.replace('-', '_')) for n in names} | {x for n in names for x in COME_ALONG.get(n, ())}


@each_module
def test_third_parties_are_requirements(path):
    config = dict(re.findall(r'(?m)^(\w*requirements)\s*=(.*)$', (ROOT/'settings.ini').read_text(encoding='utf-8')))
    known = named(config['requirements']) | sys.stdlib_module_names | {'dlcv_gan'}
    # An extra that a user installs for one function may be imported inside it, never when the module is.
    extras = set().union(*(named(v) for k, v in config.items()
                           if k not in ('requirements', 'dev_requirements', 'lab_requirements')))
    top = {n.lineno for n in ast.parse(path.read_text(encoding='utf-8')).body}
    wrong = [f'{path.name}:{line} {name}' for name, line, _ in imports(path)
             if (root := name.split('.')[0]) not in known and (line in top or root not in extras)]
    assert not wrong, f'{wrong}: add it to `requirements` in settings.ini, or import an extra inside the function that needs it'


# ---- what is public is documented

EVENT = re.compile(r'(before|after)_\w+')


def undocumented(symbol) -> list[str]:
    "What a reader of one symbol's card would miss."
    if symbol.kind == 'data': return []
    event = symbol.kind == 'method' and EVENT.fullmatch(symbol.name.split('.')[-1]) and not symbol.parameters
    found = [] if symbol.doc or event else ['docstring']
    found += [f'comment on {p.name}' for p in symbol.parameters if not p.name.startswith('*') and not p.comment]
    return [f'{symbol.name} (line {symbol.line}): no {x}' for x in found] + [y for m in symbol.members
                                                                             for y in undocumented(m)]


@each_module
def test_public_names_are_documented(path):
    wrong = [x for s in read_module(path) for x in undocumented(s)]
    assert not wrong, f'{path.name}, made by {floors()[path.stem]}.ipynb, lacks docments:\n' + '\n'.join(wrong)


def test_the_docments_reader_misses_nothing(tmp_path):
    (tmp_path/'m.py').write_text('''__all__ = ['f', 'A']
def f(x: int, # a number
      # said above
      y=2,
      z=3, # a third
      *args, w: str='', **kwargs) -> int: # the sum
    "Adds."
def hidden(q): pass
class A:
    "A class."
    def __init__(self, n): pass
    def before_fit(self): pass
    def method(self, k): pass
    def _private(self, k): pass
''')
    f, a = read_module(tmp_path/'m.py')
    assert undocumented(f) == ['f (line 2): no comment on w'] and f.returns.comment == 'the sum'
    assert f.parameters[1].comment == 'said above'
    assert undocumented(a) == ['A (line 9): no comment on n', 'A.method (line 13): no docstring',
                               'A.method (line 13): no comment on k']


# ---- what a notebook is

def code_lines(text: str) -> int:
    return sum(1 for x in text.splitlines() if x.strip() and not x.strip().startswith('#|'))
def is_exported(cell) -> bool: return bool(re.search(r'(?m)^\s*#\|\s*exporti?\b', source(cell)))


def proportions(path: Path) -> tuple[int, int, int]:
    "Exported code lines, all code lines shown or exported, words of prose (code blocks are not prose)."
    hidden = lambda c: re.search(r'(?m)^\s*#\|\s*hide\s*$', source(c))
    code = [c for c in code_cells(path) if not hidden(c)]
    prose = [re.sub(r'```.*?```', '', source(c), flags=re.DOTALL)
             for c in notebook(path)['cells'] if c['cell_type'] == 'markdown']
    return (sum(code_lines(source(c)) for c in code if is_exported(c)), sum(code_lines(source(c)) for c in code),
            sum(len(x.split()) for x in prose))


@each_notebook
def test_first_cell_is_title_and_subtitle(path):
    first = notebook(path)['cells'][0]
    assert first['cell_type'] == 'markdown' and re.match(r'# \S.*\n+> \S.*(\n\n|\n*\Z)', source(first)), (
        f'{path.name}: the first cell begins with `# Title` and `> one-line subtitle`')


@each_notebook
def test_cell_ids_are_unique(path):
    ids = [c.get('id') for c in notebook(path)['cells']]
    twice = sorted({str(i) for i in ids if ids.count(i) > 1})
    assert not twice, f'{path.name}: cells without an id of their own: {twice}'


@each_notebook
def test_a_notebook_is_small(path):
    assert path.stat().st_size <= 1_000_000, f'{path.name}: {path.stat().st_size / 1e6:.2f} MB, over 1 MB: fewer or coarser pictures'


@each_notebook
def test_proportions_of_prose(path):
    exported, code, words = proportions(path)
    if path.stem[0] == '1':
        assert 2 * exported <= code, f'{path.name}: {exported} of {code} code lines are exported, over half: a lesson shows, tries and asserts'
    # Two words a line in a lesson; a library's page has its API cards as well, so one; the doors are programs.
    least = {'1': 2, '0': 1, '4': 1}.get(path.stem[0], 0)
    assert words >= least * exported, f'{path.name}: {words} words for {exported} exported lines: say why, at least {least} a line'


# ---- what git holds

@cache
def held() -> list[Path]:
    "Every file that git holds, or would if all were added now."
    try:
        listed = subprocess.run(['git', 'ls-files', '-coz', '--exclude-standard'], cwd=ROOT, check=True,
                                capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError): pytest.skip('not a git checkout')
    return [p for x in listed.split('\0') if x and (p := ROOT/x).is_file()]


def lines_that(pattern: str) -> list[str]:
    "file:line of every text line in git that matches."
    found = []
    for p in held():
        text = p.read_bytes()
        if b'\0' in text[:4096]: continue
        for i, line in enumerate(text.decode('utf-8', 'replace').splitlines(), 1):
            line = re.sub(r'(?:[A-Za-z0-9+/=]|\\n){300,}', '', line) # a stored picture holds any word
            if m := re.search(pattern, line):
                found.append(f'{p.relative_to(ROOT)}:{i}: {line[max(m.start() - 30, 0):m.end() + 50].strip()}')
    return found


# Bracketed letters, so that no pattern finds itself.
@pytest.mark.parametrize('what, pattern, mend', [
    ('an absolute path of one machine', r'(?<![\w./+=~:-])/(?:wor[k]|roo[t]|hom[e]|User[s])/\w',
     'write it relative to the repository'),
    ('a package registry',
     r'(?:py[p]i|pythonh[o]sted|np[m]js|yarnp[k]g|anac[o]nda)\.(?:org|com)|--(?:extra-)?index-u[r]l|--find-l[i]nks',
     'name the package only; which registry is asked is the user\'s affair'),
    ('a note to oneself', r'\b(?:TO[D]O|FIX[M]E|XX[X])\b', 'do it, or say in CONTRIBUTING.md what is missing'),
    ('a merge left open', r'^(?:<<<<<<[<]|>>>>>>[>]) ', 'finish the merge'),
], ids=['paths', 'registries', 'notes', 'merges'])
def test_no_file_holds(what, pattern, mend):
    found = lines_that(pattern)
    assert not found, f'{what}; {mend}:\n' + '\n'.join(found[:20])


def test_the_path_pattern_bites():
    pattern = test_no_file_holds.pytestmark[0].args[1][0][1]
    slash = '/'
    assert re.search(pattern, f'open("{slash}home{slash}me/x")') and re.search(pattern, f'cd {slash}root{slash}x')
    assert not re.search(pattern, 'https://a.org/home/x') and not re.search(pattern, 'ab/root/cd')


def test_no_file_is_large():
    wrong = [f'{p.relative_to(ROOT)}: {p.stat().st_size / 1e6:.1f} MB' for p in held() if p.stat().st_size > 4_000_000]
    assert not wrong, f'{wrong}: over 4 MB; build it, draw it, or let it be downloaded'


def test_nothing_built_is_held():
    built = re.compile(r'(^|/)(_build|_proc|__pycache__|dist|build|runs|\.ipynb_checkpoints)/|\.(pyc|whl|pth|pt)$')
    wrong = [x for p in held() if built.search(x := p.relative_to(ROOT).as_posix())]
    assert not wrong, f'{wrong}: built, not authored; put it in .gitignore and `git rm --cached` it'


def test_no_module_named_for_nothing():
    wrong = [str(p.relative_to(ROOT)) for p in held()
             if re.fullmatch(r'(\d\d[a-z]?_)?(utils?|helpers?|misc|common)\.(py|ipynb)', p.name)]
    assert not wrong, f'{wrong}: name it for what it does'


def test_readme_is_the_index(tmp_path, monkeypatch):
    pytest.importorskip('nbclient')
    import notebooks
    monkeypatch.setattr(notebooks, 'ROOT', tmp_path)
    notebooks.readme()
    same = (tmp_path/'README.md').read_text(encoding='utf-8') == (ROOT/'README.md').read_text(encoding='utf-8')
    assert same, 'README.md is not what nbs/index.ipynb makes: run `make readme` and commit it'
    for p in (tmp_path/'docs'/'readme').iterdir():
        assert (ROOT/'docs'/'readme'
                /p.name).is_file(), f'docs/readme/{p.name} is missing: run `make readme` and commit it'
        assert (ROOT/'docs'/'readme'
                /p.name).read_bytes() == p.read_bytes(), f'docs/readme/{p.name} is old: run `make readme` and commit it'


def test_scripts_can_be_run():
    for name in ('.ci/run', 'tests/run', 'tests/gpu'):
        assert (ROOT/name).stat().st_mode & 0o111, f'{name}: not executable; `chmod +x {name}`'
        subprocess.run(['bash', '-n', ROOT/name], check=True)
