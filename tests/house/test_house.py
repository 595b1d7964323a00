"The house rules (CONTRIBUTING.md): who may import whom, what is documented, what a notebook is, what git holds."
import ast, json, re, subprocess, sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NBS, PACKAGE, TESTS = ROOT/'nbs', ROOT/'dlcv_gan', ROOT/'tests'
if not (ROOT/'settings.ini').exists(): pytest.skip('the house rules are about the repository', allow_module_level=True)
sys.path.insert(0, str(ROOT/'tools'))
from api import dotted, read_module

# Folder of notebooks -> folder of modules; the library's are the package's own top.
ROOMS = dict(start='start', assignments='models', handins='courses', studies='studies', worlds='worlds', library='',
             command='cli')
# Room of modules -> rooms that it may import, all of them below it. Inside a room, the lists that follow.
BELOW = {'library': set(), 'worlds': set(),
         'models': set(), # nets and data are handed in; ASSIGNMENT says what of the library a lesson may know
         'start': {'library', 'models'},
         'studies': {'library', 'worlds', 'models'},
         'courses': {'library', 'worlds', 'models', 'studies'},
         'cli': {'library', 'worlds', 'models', 'studies', 'courses'}}
# Files are written whole or not at all, three scales have one switch, a fork of the random state has one spelling: all
# may know these three, they know none of ours.
COMMON = {'files', 'parallel', 'rng', 'scale'}
# What an assignment may know: the rules of a game, the losses, the networks its report prints, its catalogue entry.
ASSIGNMENT = {'conditional', 'game.base', 'game.schedules', 'losses', 'nets', 'residual', 'systems'}
# The arrows inside the rooms, each with the reason that pays for it.
INSIDE = {
    # an assignment that plays an earlier one's game by other rules imports that game instead of writing it twice
    'models.acgan': {'models.gan'}, 'models.wgan': {'models.gan'}, 'models.iclevr': {'models.gan', 'models.acgan'},
    'models.infogan': {'models.gan'},
    # lesson 11's game with another network, which reads colours and shapes off the names of the 24 objects
    'models.iclevr_diffusion': {'models.diffusion', 'worlds.scenes'},
    'models.tags': {'models.acgan', 'game.learner'}, # its hand-in's pictures are drawn from a learner as well
    # readers list what is on a disk, pictures decode it, loaders deal it; a foreign loader is dealt like ours
    'data.pictures': {'data.readers'}, 'data.loaders': {'data.pictures'}, 'data.foreign': {'data.loaders'},
    # the learner is put together from the parts of the room
    'game.learner': {f'game.{m}' for m in ('base', 'callbacks', 'checkpoint', 'contract', 'graphs', 'precision',
                                              'recorder', 'schedules')} | {'data.foreign'},
    'game.callbacks': {'game.base'}, # an average is a game
    'systems': {'game.base', 'game.schedules', 'nets'}, # a printed system is a game, its schedule and its layers
    'conditional': {'nets'}, # it starts its weights as DCGAN does
    'residual': {'nets'}, # its discriminators have the same heads
    'check': {'losses', 'nets'}, # answers are held against the library's own losses, and tried on its critics
    'inception': {'metrics'}, 'diagnosis': {'metrics'}, # pictures in the rulers' form, and the rulers
    'scores': {'data.pictures', 'game.base'}, # what a course grades: pictures in the nets' range, drawn by a game
    'live': {'view', 'widgets'}, 'widgets': {'view'}, # sheets and curves, while a model trains or in a box
    'training_panel': {'widgets', 'view', 'metrics', 'game.base', 'game.learner', 'game.schedules', 'data.loaders'},
    # sliders move what `live` found, for a run that is opened where it is defined
    'controls': {'widgets', 'view', 'live', 'runs.folder', 'runs.settings', 'game.base', 'game.learner', 'data.loaders',
                 'data.pictures', 'data.readers'},
    'app': {'controls', 'runs.folder', 'runs.settings', 'game.base'}, # the same sliders, as a page
    # a run: what was asked for, the folder that keeps it, its scores, and the training that fills it
    'runs.settings': {'systems', 'losses', 'game.base', 'game.schedules'},
    'runs.folder': {'runs.settings', 'data.pictures', 'game.base', 'game.checkpoint', 'game.learner'},
    'runs.scoring': {'runs.folder', 'runs.settings', 'metrics', 'precision_recall', 'scores', 'data.pictures',
                     'game.base', 'data.readers'}, # a folder's layout says which world's net measures its pictures
    'runs.pretrained': {'runs.folder', 'runs.scoring', 'runs.settings', 'metrics', 'game.base'},
    'runs.trackers': {'game.base', 'view'}, # samples are drawn, and set out as a sheet
    # what is shared is a run as the package keeps its own, with its scores and samples
    'runs.hub': {'runs.folder', 'runs.pretrained', 'runs.scoring', 'runs.settings', 'game.base', 'view'},
    'runs.training': {'runs.folder', 'runs.scoring', 'runs.settings', 'runs.trackers', 'live', 'view',
                      'data.loaders', 'data.pictures', 'game.base', 'game.callbacks', 'game.learner'},
    # pictures are drawn with the kit, sets are written as one
    'worlds.faces': {'worlds.shapes', 'worlds.writing'}, 'worlds.animals': {'worlds.shapes', 'worlds.writing'},
    'worlds.anime': {'worlds.shapes', 'worlds.writing', 'data.readers'}, # and the order of the tags is the reader's
    'worlds.scenes': {'worlds.writing'},
    # the engine: a run is played, a table is judged; studies play short runs, the ledger reads them all
    'studies.study': {'studies.run', 'studies.verdicts'}, 'studies.ledger': {'studies.study', 'studies.verdicts'},
    **dict.fromkeys((f'studies.{re.sub("^[0-9]+_", "", p.stem)}' for p in (NBS/'studies').glob('[0-9]*.ipynb')),
                    {'studies.study', 'studies.verdicts', 'studies.short_runs'}),
    # the same faces, measured in the same way
    'studies.converged': {'studies.study', 'studies.verdicts', 'studies.diffusion'},
    # what all hand-ins share; course C asks for the faces that course B learns from tags
    **dict.fromkeys(('courses.hw4', 'courses.hw3', 'courses.lab7'), {'courses.handin'}),
    'courses.adlxmlds': {'courses.handin', 'courses.hw3'},
    # one command, a page for each of its parts
    'cli.command': {f'cli.{m}' for m in ('bench', 'export', 'flags', 'graders', 'notebooks', 'release', 'report',
                                         'studies', 'terminal')},
    'cli.studies': {'cli.terminal'}, 'cli.graders': {'cli.release'},
    'cli.release': {'cli.notebooks'}, # a lesson that is named is one that the package carries
}
# Third parties: what settings.ini says, by import name, and what comes along with it.
IMPORT_NAMES = {'pillow': 'PIL', 'scikit-learn': 'sklearn', 'opencv-python-headless': 'cv2'}
COME_ALONG = {'fastai': {'fastprogress'}, 'ipywidgets': {'IPython'}}


@cache
def notebook(path: Path) -> dict: return json.loads(path.read_text(encoding='utf-8'))


def source(cell) -> str: return ''.join(cell['source'])
def code_cells(path): return [c for c in notebook(path)['cells'] if c['cell_type'] == 'code']
def book_name(path: Path) -> str: return path.relative_to(NBS).with_suffix('').as_posix()
def module_name(path: Path) -> str: return '.'.join(path.relative_to(PACKAGE).with_suffix('').parts)


def own_module(book: str) -> str:
    "'assignments/01_vae' -> 'models.vae': the one module that a notebook may export."
    room, *folders, name = book.split('/')
    return '.'.join(filter(None, [ROOMS[room], *folders, re.sub(r'^\d+_', '', name)]))


@cache
def origins() -> dict:
    "Module -> the notebook it comes from, by each notebook's default_exp."
    found = {}
    for p in NOTEBOOKS:
        for c in code_cells(p):
            if m := re.search(r'(?m)^\s*#\|\s*default_exp\s+(\S+)', source(c)): found[m[1]] = book_name(p)
    return found


NOTEBOOKS = [p for p in sorted(NBS.rglob('*.ipynb')) if '.ipynb_checkpoints' not in p.parts]
MODULES = sorted(p for p in PACKAGE.rglob('*.py') if not p.stem.startswith('_'))
each_notebook = pytest.mark.parametrize('path', NOTEBOOKS, ids=book_name)
each_module = pytest.mark.parametrize('path', MODULES, ids=module_name)


def imports(path: Path) -> list[tuple[str, int, bool]]:
    "(dotted name, line, star) of every import in a module, late ones too: the module, or the package and the name."
    here, found = dotted(path).split('.'), []
    for n in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(n, ast.Import): found += [(a.name, n.lineno, False) for a in n.names]
        elif isinstance(n, ast.ImportFrom):
            base = '.'.join([*here[:-n.level], *filter(None, [n.module])]) if n.level else n.module
            found += [(f'{base}.{a.name}', n.lineno, a.name == '*') for a in n.names]
    return found


def ours(path: Path) -> list[tuple[str, int]]:
    "(module, line) of what a module imports from the package; a package itself where no module is meant."
    known, found = set(origins()), []
    for name, line, _ in imports(path):
        if name.split('.')[0] != 'dlcv_gan': continue
        parts = name.split('.')[1:]
        module = next((m for i in range(len(parts), 0, -1) if (m := '.'.join(parts[:i])) in known), '.'.join(parts))
        found.append((module, line))
    return found


def room_of(module: str) -> str:
    "'models.vae' -> 'models', 'game.learner' -> 'library'."
    top = module.split('.')[0]
    return top if top in ROOMS.values() else 'library'


def allowed(module: str) -> set:
    "Modules of ours that one module may import."
    below = {m for m in origins() if room_of(m) in BELOW[room_of(module)]}
    return below | COMMON | INSIDE.get(module, set()) | (ASSIGNMENT if room_of(module) == 'models' else set())


# ---- rooms and imports

def test_every_module_has_a_notebook():
    modules = {module_name(p) for p in MODULES}
    assert modules == set(origins()), ('dlcv_gan/ and the default_exp of nbs/ disagree: run `nbdev_export`, remove '
                                       'what has no notebook')


@each_notebook
def test_a_notebook_stands_in_a_room_and_exports_its_own_module(path):
    book = book_name(path)
    assert book == 'index' or book.split('/')[0] in ROOMS, f'nbs/{book}: no room of that name; there are {list(ROOMS)}'
    names = [m for m, b in origins().items() if b == book]
    assert not names or names == [own_module(book)], f'nbs/{book} exports {names}: it may export {own_module(book)}'


@each_notebook
def test_only_what_has_an_order_has_a_number(path):
    room, name = book_name(path).split('/')[0], path.stem
    numbered = re.match(r'\d', name)
    assert not numbered or room in ('assignments', 'studies') and re.match(r'\d\d_[a-z]', name), (
        f'{path.name}: two digits and an underscore, in assignments and studies alone')


def test_numbers_are_a_reading_order():
    for room in ('assignments', 'studies'):
        numbers = [int(p.stem[:2]) for p in sorted((NBS/room).glob('[0-9]*.ipynb'))]
        assert numbers == list(range(1, len(numbers) + 1)), f'nbs/{room}: {numbers}: count from 1, leave none out'


def test_tests_stand_in_the_same_rooms():
    folders = {p.relative_to(TESTS).parts[0] for p in TESTS.rglob('test_*.py')}
    assert folders <= set(ROOMS) | {'house', 'site'}, f'tests/{sorted(folders - set(ROOMS))}: no room of that name'
    names = [p.name for p in TESTS.rglob('test_*.py')]
    twice = {n for n in names if names.count(n) > 1}
    assert not twice, f'{twice}: two files of one name; pytest needs one each'


@pytest.mark.parametrize('path', [p for p in NOTEBOOKS if re.match(r'studies/\d', book_name(p))], ids=book_name)
def test_a_study_exports_its_declaration_and_what_plays_a_run(path):
    exported = '\n'.join(source(c) for c in code_cells(path) if is_exported(c))
    calls = [n.value.func.id for n in ast.parse(exported).body if isinstance(n, ast.Assign)
             and isinstance(n.value, ast.Call) and isinstance(n.value.func, ast.Name)]
    assert 'Study' in calls, (f'{path.name} declares no study: `name = Study(...)` in an exported cell, so that '
                              '`dlcv_gan study` finds it')
    shown = re.findall(r'\b(plt|matplotlib|view)\b', exported)
    assert not shown, f'{path.name} exports its analysis ({shown[:1]}): figures and tables stay in the notebook'


@each_module
def test_arrows_point_down(path):
    module = module_name(path)
    may = allowed(module)
    packages = {''} | BELOW[room_of(module)] # the package itself says its version and where it lies
    wrong = [f'{module}:{line} imports {name}' for name, line in ours(path) if name not in may | packages | {module}]
    assert not wrong, (f'{wrong}\n{module}, made by nbs/{origins()[module]}.ipynb, may import {sorted(may)}: hand the '
                       'thing in as an argument, or move it down')


def test_every_listed_arrow_is_needed():
    there = {module_name(p): {name for name, _ in ours(p)} for p in MODULES}
    unused = {m: sorted(may - there.get(m, set())) for m, may in INSIDE.items()}
    unused = {m: names for m, names in unused.items() if names and not re.match(r'studies/\d', origins().get(m, ''))}
    assert not unused, f'{unused}: take them out of INSIDE'
    assert not set.union(*(there[m] for m in COMMON)), f'{COMMON} are for everybody, so they import none of our modules'


def test_no_arrow_goes_round():
    there = {module_name(p): {name for name, _ in ours(p)} for p in MODULES}
    def reach(m, path=()):
        if m in path: return [*path, m]
        return next((r for n in sorted(there.get(m, ())) if (r := reach(n, (*path, m)))), None)
    rounds = [r for m in there if (r := reach(m))]
    assert not rounds, ' -> '.join(rounds[0])


def test_the_arrow_reader_sees_every_form(tmp_path):
    (tmp_path/'__init__.py').touch()
    (tmp_path/'sub').mkdir()
    (tmp_path/'sub'/'__init__.py').touch()
    (tmp_path/'sub'/'m.py').write_text('from .a import x\nfrom ..b.c import *\nimport p.c\ndef f():\n    from '
                                       'dlcv_gan import d\n    from . import e\n')
    top = tmp_path.name
    assert sorted(imports(tmp_path/'sub'/'m.py'), key=lambda x: x[1]) == [
        (f'{top}.sub.a.x', 1, False), (f'{top}.b.c.*', 2, True), ('p.c', 3, False), ('dlcv_gan.d', 5, False),
        (f'{top}.sub.e', 6, False)]


def private_names(text: str, own: str = '') -> list[str]:
    "line: name of every private name that is taken from another module of ours, by import or through a module."
    tree, found, modules = ast.parse(text), [], {}
    for n in ast.walk(tree):
        if isinstance(n, ast.ImportFrom) and (n.level or (n.module or '').split('.')[0] == 'dlcv_gan'):
            for a in n.names:
                modules[a.asname or a.name] = f'{n.module}.{a.name}'
                if a.name.startswith('_') and n.module != f'dlcv_gan.{own}':
                    found.append(f'{n.lineno}: {n.module}.{a.name}')
        elif isinstance(n, ast.Import):
            modules |= {a.asname: a.name for a in n.names if a.asname and a.name.startswith('dlcv_gan.')}
    known = {f'dlcv_gan.{m}' for m in origins()}
    return found + [f'{n.lineno}: {n.value.id}.{n.attr}' for n in ast.walk(tree) if isinstance(n, ast.Attribute)
                    and isinstance(n.value, ast.Name) and modules.get(n.value.id) in known - {f'dlcv_gan.{own}'}
                    and n.attr.startswith('_') and not n.attr.startswith('__')]


@each_module
def test_no_private_name_of_another_module(path):
    wrong = private_names(path.read_text(encoding='utf-8'), module_name(path))
    assert not wrong, f'{module_name(path)}: {wrong}: make it public and document it, or move it'


@each_notebook
def test_no_private_name_of_another_module_in_a_notebook(path):
    own = next((m for m, b in origins().items() if b == book_name(path)), '')
    cells = [(c['id'], re.sub(r'(?m)^\s*[%!].*$', '', source(c))) for c in code_cells(path)]
    wrong = [f'{i}, line {x}' for i, text in cells for x in private_names(text, own)]
    assert not wrong, f'{book_name(path)}: {wrong}: make it public and document it, or move it'


def test_the_reader_of_private_names_bites():
    for bad in ('from dlcv_gan.nets import _channels', 'from dlcv_gan import nets\nnets._channels(1)',
                'import dlcv_gan.nets as n\nn._channels(1)'):
        assert private_names(bad) and not private_names(bad, 'nets')
    assert not private_names('from dlcv_gan.nets import Encoder\nself._x = Encoder()._y')


@each_module
def test_no_star_imports(path):
    wrong = [f'{path.name}:{line} {name}' for name, line, star in imports(path) if star]
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
    assert not wrong, (f'{wrong}: add it to `requirements` in settings.ini, or import an extra inside the function '
                       'that needs it')


# ---- what is public is documented

EVENT = re.compile(r'(before|after)_\w+')


def undocumented(symbol) -> list[str]:
    "What a reader of one symbol's card would miss."
    if symbol.kind == 'data': return []
    event = symbol.kind == 'method' and EVENT.fullmatch(symbol.name.split('.')[-1]) and not symbol.parameters
    found = [] if symbol.doc or event else ['docstring']
    found += [f'comment on {p.name}' for p in symbol.parameters if not p.name.startswith('*') and not p.comment]
    mine = [f'{symbol.name} (line {symbol.line}): no {x}' for x in found]
    return mine + [x for m in symbol.members for x in undocumented(m)]


@each_module
def test_public_names_are_documented(path):
    wrong = [x for s in read_module(path) for x in undocumented(s)]
    assert not wrong, f'nbs/{origins()[module_name(path)]}.ipynb lacks docments:\n' + '\n'.join(wrong)


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
    size = path.stat().st_size
    assert size <= 1_000_000, f'{path.name}: {size / 1e6:.2f} MB, over 1 MB: fewer or coarser pictures'


# Two words for an exported line in a lesson; one in the library and what is built of it, whose pages have API cards as
# well. A study exports what plays a run, the starting pages what the site plays.
WORDS = [(r'assignments/', 2), (r'studies/\d', 0), (r'start/|index', 0), (r'', 1)]


@each_notebook
def test_proportions_of_prose(path):
    book, (exported, code, words) = book_name(path), proportions(path)
    if book.startswith('assignments/'):
        assert 2 * exported <= code, (f'{book}: {exported} of {code} code lines are exported, over half: a lesson '
                                      'shows, tries and asserts')
    least = next(n for pattern, n in WORDS if re.match(pattern, book))
    assert words >= least * exported, (f'{book}: {words} words for {exported} exported lines: say why, at least '
                                       f'{least} a line')


# ---- lines

WIDTH = 120


def long_lines(text: str) -> list[str]:
    "Lines that a reader must scroll for, as 'number: how it begins'."
    return [f'{i}: {x.strip()[:60]}... ({len(x)})' for i, x in enumerate(text.split('\n'), 1) if len(x) > WIDTH]


@each_notebook
def test_no_long_line_in_a_cell(path):
    wrong = [f'cell {c["id"]}, line {x}' for c in code_cells(path) for x in long_lines(source(c))]
    assert not wrong, f'{book_name(path)}: over {WIDTH} characters:\n' + '\n'.join(wrong)


SCRIPTS = sorted(p for folder in ('tests', 'tools', 'docs') for p in (ROOT/folder).rglob('*.py')
                 if '_build' not in p.parts)


@pytest.mark.parametrize('path', [*SCRIPTS, ROOT/'setup.py'], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_long_line_in_a_script(path):
    wrong = long_lines(path.read_text(encoding='utf-8'))
    assert not wrong, f'{path.relative_to(ROOT)}: over {WIDTH} characters:\n' + '\n'.join(wrong)


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
    built = re.compile(r'^(runs|demo|demos)/|(^|/)(_build|_proc|__pycache__|dist|build|\.ipynb_checkpoints)/'
                       r'|\.(pyc|whl|pth|pt)$')
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
        held = ROOT/'docs'/'readme'/p.name
        assert held.is_file(), f'docs/readme/{p.name} is missing: run `make readme` and commit it'
        assert held.read_bytes() == p.read_bytes(), f'docs/readme/{p.name} is old: run `make readme` and commit it'


def test_scripts_can_be_run():
    for name in ('.ci/run', 'tests/run', 'tests/gpu'):
        assert (ROOT/name).stat().st_mode & 0o111, f'{name}: not executable; `chmod +x {name}`'
        subprocess.run(['bash', '-n', ROOT/name], check=True)
