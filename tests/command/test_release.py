"Assignments released: the solution is gone, its signatures stay, and put back it is what it was."
import ast, json, re
from pathlib import Path

import pytest

from dlcv_gan.cli.command import main
from dlcv_gan.cli.release import is_solution, release_assignment, solutions, stub

NBS = Path(__file__).resolve().parents[2]/'nbs'
# none beside an installed wheel; the exam of i-CLEVR has no exercises to check
ASSIGNMENTS = sorted(p.stem for p in NBS.glob('assignments/*.ipynb') if p.stem != '09_iclevr_flow')
quiet = lambda line: None
each_assignment = pytest.mark.parametrize('name', ASSIGNMENTS)


def read(path): return json.loads(Path(path).read_text(encoding='utf-8'))
def source(cell): return ''.join(cell['source'])
def code(cells):
    return [re.sub(r'(?m)^#\|.*\n?', '', source(c)).strip('\n')
            for c in cells if c['cell_type'] == 'code' and 'default_exp' not in source(c)]


def functions(text): # full name -> node
    found = {}
    for n in ast.parse(text).body:
        if isinstance(n, ast.FunctionDef): found[n.name] = n
        if isinstance(n, ast.ClassDef):
            found |= {f'{n.name}.{m.name}': m for m in n.body if isinstance(m, ast.FunctionDef)}
    return found


def head(f): # of a function
    return ast.dump(f.args), ast.get_docstring(f, clean=False), [ast.dump(d) for d in f.decorator_list]


def header(text, f): # its lines, up to the end of the docstring
    first = f.body[0]
    return text.split('\n')[f.lineno - 1:first.end_lineno if ast.get_docstring(f) else first.lineno - 1]


@each_assignment
def test_signatures_and_docs_stay_and_bodies_go(name):
    for cell in filter(is_solution, read(NBS/'assignments'/f'{name}.ipynb')['cells']):
        before, after = functions(source(cell)), functions(cut := stub(source(cell)))
        for key, f in after.items():
            was = before[key]
            assert head(f) == head(was)
            left = [ast.unparse(x) for x in f.body[ast.get_docstring(f) is not None:]]
            own = key.split('.')[-1].startswith('_') and left
            assert left == [f"raise NotImplementedError('your turn: {key}')"] or own, key
        assert {k for k in before if '._' not in k.replace('.__', '')} <= set(after), 'only helpers of a class go'
        for key, f in after.items(): # up to the end of the docstring, comments and all
            if len(header(cut, f)) > 1: assert header(cut, f) == header(source(cell), before[key])


def checks(cells): # the exercises that can be checked
    text = '\n'.join(source(c) for c in cells if c['cell_type'] == 'markdown')
    return re.findall(r"check\('[\w.]+'", text)


@each_assignment
def test_the_copy_has_no_answer_left_and_the_solution_put_back_is_what_it_was(name, tmp_path):
    nb = read(NBS/'assignments'/f'{name}.ipynb')
    copy = read(release_assignment(name, tmp_path/'students', tmp_path/'teacher', say=quiet))
    text = json.dumps(copy)
    assert not any(word in text for word in ('<details>', '#|', '.ipynb)')) and 'executed' not in copy['metadata']
    assert not any(c.get('outputs') for c in copy['cells'])
    assert checks(copy['cells']) == checks(nb['cells']) and checks(nb['cells'])
    solved = solutions(name)
    assert set(solved) == {c['id'] for c in copy['cells'] if 'solution' in c['metadata'].get('tags', ())}
    put_back = [solved.get(c['id'], source(c)) for c in copy['cells'] if c['cell_type'] == 'code']
    assert put_back == [x for x in code(nb['cells']) if x] + ['from dlcv_gan.check import check']
    teacher = read(tmp_path/'teacher'/f'{name}.ipynb')
    assert code(teacher['cells']) == put_back[:-1]
    assert json.dumps(teacher).count('<details>') == json.dumps(nb).count('<details>')


@pytest.mark.slow
@pytest.mark.skipif(not ASSIGNMENTS, reason='the notebooks lie in the repository')
def test_a_copy_runs_up_to_the_first_stub_and_with_the_solution_through(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip('nbformat'), pytest.importorskip('nbclient')
    for name, value in dict(DLCV_GAN_SCALE='smoke', OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore').items():
        monkeypatch.setenv(name, value)
    def play(nb):
        nbclient.NotebookClient(nb, timeout=600, kernel_name='python3',
                                resources={'metadata': {'path': str(tmp_path)}}).execute()
    nb = nbformat.read(release_assignment('01_vae', tmp_path, say=quiet), as_version=4)
    with pytest.raises(nbclient.exceptions.CellExecutionError) as e: play(nb)
    assert (e.value.ename, e.value.evalue) == ('NotImplementedError', 'your turn: build_vae')
    failed = next(i for i, c in enumerate(nb.cells) if any(o.output_type == 'error' for o in c.get('outputs', [])))
    stubs = sum('NotImplementedError' in c.source for c in nb.cells[:failed])
    assert stubs == 2, 'both stubs were defined, and the first cell that uses one failed'
    for c in nb.cells: c.source = solutions('01_vae').get(c.id, c.source)
    play(nb)


def notebook(tmp_path, *cells):
    made = [dict(cell_type='code', id=f'c{i}', metadata=dict(tags=[tag] if tag else []), source=text, outputs=[],
                 execution_count=None) for i, (text, tag) in enumerate(cells)]
    (tmp_path/'mine.ipynb').write_text(json.dumps(dict(cells=made, metadata={}, nbformat=4, nbformat_minor=5)))
    return tmp_path/'mine.ipynb'


def test_a_teachers_tags_win(tmp_path):
    work, own = '#| export\ndef f(x): return x', 'def g(x):\n    return 2*x # twice'
    file = notebook(tmp_path, (work, 'given'), (own, 'solution'), ('y = 3', 'solution'), ('secret = 1', 'hidden'),
                    (own, None), (work, None))
    cells = [source(c) for c in read(release_assignment(file, tmp_path/'out', say=quiet))['cells']]
    assert cells == ['def f(x): return x', "def g(x):\n    raise NotImplementedError('your turn: g')",
                     "raise NotImplementedError('your turn: this cell')", own,
                     "def f(x):\n    raise NotImplementedError('your turn: f')", 'from dlcv_gan.check import check']


@pytest.mark.parametrize('text, after', [
    ('class A:\n    "é ü."\n    def one(self): "Does nothing."\n    def two(self):\n        "Ünï."\n'
     '        return 2 # two\n    def _own(self):\n        return 3\n\n    x = 1',
     'class A:\n    "é ü."\n    def one(self): "Does nothing."\n    def two(self):\n        "Ünï."\n'
     "        raise NotImplementedError('your turn: A.two')\n\n    x = 1"),
    ('class B(C):\n    def __init__(self, n=2): # how many\n        self.n = n',
     'class B(C):\n    def __init__(self, n=2): # how many\n'
     "        raise NotImplementedError('your turn: B.__init__')"),
    ('@cached\ndef f(a, # é\n      *, b=[1,\n            2]): # c\n    "Doc."\n    # a comment\n'
     '    def inner(): return a\n    return inner()\n_g = f(1)',
     '@cached\ndef f(a, # é\n      *, b=[1,\n            2]): # c\n    "Doc."\n'
     "    raise NotImplementedError('your turn: f')\n_g = f(1)")], ids=['class', 'only a constructor', 'function'])
def test_stubs_of_every_form(text, after):
    assert stub(text) == after
    ast.parse(after)


def test_what_goes_wrong_is_named_and_nothing_is_overwritten(tmp_path, capsys):
    file = notebook(tmp_path, ('#| export\ndef f(): return 1', None))
    assert main(['release-assignment', str(file), str(tmp_path/'out'), '--solutions', str(tmp_path/'two')]) == 0
    assert '1 functions' in capsys.readouterr().out
    before = (tmp_path/'out'/'mine.ipynb').read_bytes()
    (tmp_path/'bad.ipynb').write_text('{')
    (tmp_path/'none.ipynb').write_text(json.dumps(dict(cells=[], metadata={})))
    for args, said in (([file, tmp_path/'out'], 'is there already'),
                       ([file, tmp_path/'three', '--solutions', tmp_path/'two'], 'is there already'),
                       ([file, tmp_path/'x', '--solutions', tmp_path/'x'], 'folder for the students'),
                       (['no_such_thing', tmp_path/'x'], 'no notebook no_such_thing'),
                       ([tmp_path/'bad.ipynb', tmp_path/'x'], 'is no notebook'),
                       ([tmp_path/'none.ipynb', tmp_path/'x'], 'has no solution')):
        assert main(['release-assignment', *map(str, args)]) == 2
        err = capsys.readouterr().err
        assert said in err and len(err.splitlines()) == 1
    assert (tmp_path/'out'/'mine.ipynb').read_bytes() == before
    assert not any((tmp_path/name).exists() for name in ('three', 'x'))
    broken = notebook(tmp_path, ('#| export\n%magic\ndef f(): return 1', None))
    assert main(['release-assignment', str(broken), str(tmp_path/'y')]) == 2
    assert 'not plain Python' in capsys.readouterr().err
