"Assignments released: the solution is gone, its signatures stay, and put back it is what it was."
import ast, json, re
from pathlib import Path

import pytest

from dlcv_gan.cli.command import main
from dlcv_gan.cli.release import is_solution, release_assignment, solutions, stub

NBS = Path(__file__).resolve().parents[2]/'nbs'
EXAMS = '09_iclevr_flow', '12_iclevr_diffusion' # the two have no exercises to check
ASSIGNMENTS = sorted(p.stem for p in NBS.glob('assignments/*.ipynb') if p.stem not in EXAMS) # none beside a wheel
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
    # a link that a cell prints leads nowhere from the copy: its words stay
    whole = [re.sub(r'\[([^\]]*)\]\(\.\./[^)]*\.ipynb\)', r'\1', x) for x in code(nb['cells']) if x]
    assert put_back == whole + ['from dlcv_gan.check import check']
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


# ---- answers, however they are written

def lesson(tmp_path, *cells, name='lesson', **nb):
    "A notebook of cells as they are given; a text stands for a markdown cell."
    cells = [dict(cell_type='markdown', source=c) if isinstance(c, str) else c for c in cells]
    (tmp_path/f'{name}.ipynb').write_text(json.dumps(dict(dict(nbformat=4, nbformat_minor=4, metadata={}), cells=cells,
                                                          **nb)), encoding='utf-8')
    return tmp_path/f'{name}.ipynb'

def released(file, out): return read(release_assignment(file, out, say=quiet))

FOLDS = {'open': '<details open>{}</details>', 'capitals': '<DETAILS>{}</Details>',
         'attributes': '<details class="a > b" id=\'</details>\'\n  open>{}</details >',
         'nested': '<details>{} <details>{}</details> {}</details>', 'unclosed': '<details>\n\n{}',
         'no end': '<details open\n{}',
         'self-closed': '<details/>{}', 'comment inside': '<details><!-- </details> -->{}</details>',
         'code inside': '<details>\n\n```html\n</details>\n```\n{}\n</details>',
         'commented out': '<!-- <details>{}</details> -->',
         'a note': '<!-- {} -->', 'an open note': '<!-- {}', 'in a list': '1. Why?\n   <details>{}</details>',
         'quoted': '> <details>\n> {}\n> </details>',
         'in a table': '<table><tr><td><details>{}</details></td></tr></table>',
         'a script': '<script>1<2</script><details>{}</details>', 'stray end': '</details><details>{}</details>',
         'stray tick': 'a ` b\n<details>{} ` </details>', 'open fence': '```\n<details>{}</details>',
         'windows': '<details>\r\n{}\r\n</details>\r\n'}

@pytest.mark.parametrize('form', FOLDS)
def test_an_answer_goes_in_every_spelling_and_its_question_stays(form, tmp_path):
    text = 'Question one?\n\n' + FOLDS[form].replace('{}', 'ZEBRA is why')
    copy = released(lesson(tmp_path, text, 'Before <details>x</details>', '## Next question'), tmp_path/'out')
    assert 'ZEBRA' not in json.dumps(copy)
    assert copy['cells'][0]['source'].startswith('Question one?') and copy['cells'][2]['source'] == '## Next question'

def test_what_is_no_answer_stays_as_it_is(tmp_path):
    shown = ('Fold with `<details>` and ``</details>``:\n\n'
             '```html\n<details>a sample</details>\n```\n\n~~~\n<!-- b -->\n~~~')
    kept = 'A <b>bold</b> &lt;details&gt; 1 < 2 <detailsx>'
    copy = released(lesson(tmp_path, shown, kept, 'Q\n\n<details>A1 is so</details>\n\nmore\n'
                           '<details>A2 is so</details> and <!-- no -->on'), tmp_path/'out')
    assert [source(c) for c in copy['cells'][:3]] == [
        shown, kept, 'Q\n\n*Your answer:*\n\nmore\n\n*Your answer:*\n\n and on']

def test_cells_of_text_are_solutions_when_they_are_tagged(tmp_path):
    tagged = lambda kind: dict(cell_type=kind, source='It is the ZEBRA.', metadata=dict(tags=['solution']))
    copy = released(lesson(tmp_path, 'Why?', tagged('markdown'), tagged('raw')), tmp_path/'out')
    assert [source(c) for c in copy['cells'][:3]] == ['Why?', '*Your answer:*', '*Your answer:*']
    assert [c['cell_type'] for c in copy['cells'][:3]] == ['markdown', 'markdown', 'raw']

def test_pictures_of_the_question_stay_and_those_of_the_answer_go(tmp_path):
    picture = {'image/png': 'iVBORw0KGgo='}
    cell = dict(cell_type='markdown', attachments={'a b.png': picture, 'plan.png': dict(picture), 'old.png': picture},
                source='![](attachment:a%20b.png)\n\n<details>![](attachment:plan.png)</details>')
    copy = released(lesson(tmp_path, cell), tmp_path/'out')
    assert set(copy['cells'][0]['attachments']) == {'a b.png'}


# ---- notebooks as other programs write them

@pytest.mark.parametrize('minor', [0, 2, 4, 5])
def test_notebooks_without_ids_and_metadata_are_released_and_valid(minor, tmp_path):
    nbformat = pytest.importorskip('nbformat')
    cells = [dict(cell_type='markdown', source=['# One\n', 'two']),
             dict(cell_type='code', source='#| export\r\ndef f():\r\n  return 7'),
             dict(cell_type='code', source=None), dict(cell_type='code', source='x = 1', metadata=None, id='a.b c'),
             dict(cell_type='code', source='x = 2', id='same'), dict(cell_type='code', source='x = 3', id='same'),
             dict(cell_type='code', source='x = 4', id='check')]
    file = lesson(tmp_path, *cells, nbformat_minor=minor)
    nb = json.loads(file.read_text()); del nb['metadata']; file.write_text('\ufeff' + json.dumps(nb), encoding='utf-8')
    copy = released(file, tmp_path/'out')
    nbformat.validate(nbformat.from_dict(copy), version=4)
    assert len({c['id'] for c in copy['cells']}) == len(copy['cells'])
    assert (copy['nbformat'], copy['nbformat_minor']) == (4, 5)
    assert source(copy['cells'][0]) == '# One\ntwo' and "    raise" not in source(copy['cells'][1])
    put_back = solutions(file)
    assert put_back == {copy['cells'][1]['id']: 'def f():\n  return 7'}


# ---- every stub is Python

@pytest.mark.parametrize('text, after', [
    ('def f(x):\n  "Two."\n  return x', 'def f(x):\n  "Two."\n  raise {f}'),
    ('class A:\n\tdef f(self):\n\t\t"Tabs."\n\t\treturn 1', 'class A:\n\tdef f(self):\n\t\t"Tabs."\n\t\traise {A.f}'),
    ('class A:\n\tdef f(self): return 1', 'class A:\n\tdef f(self):\n\t\traise {A.f}'),
    ('def f(): "Doc."; return 1', 'def f(): "Doc."; raise {f}'),
    ('class A:\n    # the trick\n    def _one(self): return 1\n\n    def _two(self):\n        return 2\nx = A()',
     'class A:\n    pass\nx = A()'),
    ('class A(B):\n    class C:\n        def f(self): return 1\n    def g(self): return 2',
     'class A(B):\n    class C:\n        def f(self):\n            raise {A.C.f}\n    def g(self):\n'
     '        raise {A.g}'),
    ('if fast:\n    def f(): return 1\nelse:\n    def f():\n        return 2',
     'if fast:\n    def f():\n        raise {f}\nelse:\n    def f():\n        raise {f}'),
    ('class A:\n    try: import b\n    except ImportError:\n        def _h(self): return 1\n    def f(self): return 2',
     'class A:\n    try: import b\n    except ImportError:\n        pass\n    def f(self):\n        raise {A.f}'),
    ('def f(a,\n      # how many\n      b):\n    # log, then sum\n\n    @cached\n    def g(): return a\n'
     '    return g\n    # the trick was g\n# next',
     'def f(a,\n      # how many\n      b):\n    raise {f}\n# next'),
    ('class A:\n    def _(self): return 1\n    def f(self): return 2',
     'class A:\n    def f(self):\n        raise {A.f}'),
    ('async def f(x):\n    async with x: return 1', 'async def f(x):\n    raise {f}'),
    ], ids=['two blanks', 'tabs', 'tabs, one line', 'docstring on the line', 'only helpers', 'class in a class',
            'in branches', 'emptied branch', 'decorated first', 'underscore', 'async'])
def test_a_stub_is_python_and_says_nothing_of_the_body(text, after):
    assert stub(text) == re.sub(r'\{([\w.]+)\}', r"NotImplementedError('your turn: \1')", after)
    ast.parse(stub(text))

def test_every_released_cell_of_code_compiles_but_for_ipythons_own_lines(tmp_path, capsys):
    cell = lambda text, *tags: dict(cell_type='code', source=text, metadata=dict(tags=list(tags)))
    fine = ['%matplotlib inline\n!ls\nx = !ls\ny = %pwd\nlen?', '%%bash\nfor x in *; do echo $x; done', 'await f()']
    copy = released(lesson(tmp_path, *map(cell, fine), 'Q <details>so it is</details>'), tmp_path/'out')
    assert [source(c) for c in copy['cells'][:3]] == fine
    broken = lesson(tmp_path, cell('x = '), 'Q <details>so it is</details>', name='broken')
    assert main(['release-assignment', str(broken), str(tmp_path/'out')]) == 2
    err = capsys.readouterr().err
    assert 'cell 1' in err and 'hidden' in err and len(err.splitlines()) == 1
    assert not (tmp_path/'out'/'broken.ipynb').exists()
    hidden = lesson(tmp_path, cell('x = ', 'hidden'), 'Q <details>so it is</details>', name='hidden')
    assert released(hidden, tmp_path/'out')


# ---- nothing is released that still holds an answer

SECRET = 'because the Jacobian is triangular'
@pytest.mark.parametrize('place', ['text', 'code', 'comment', 'metadata', 'twice', 'short'])
def test_a_copy_that_still_holds_an_answer_is_not_written(place, tmp_path, capsys):
    answer, nb = f'Why?\n<details><summary>Answer</summary>\n\n- *{SECRET}*.\n</details>', {}
    body = 'total = sum(x)\n    scale = total / len(x)\n    return x - scale'
    code = lambda text: dict(cell_type='code', source=text)
    cells = dict(text=[answer, f'As said, {SECRET}.'], code=[answer, code(f'print("{SECRET}")')],
                 comment=[answer, code(f'# {SECRET.replace(" ", "  ")}\nx = 1')],
                 metadata=[answer], short=['Which? <details>RMSProp</details>', 'Here is RMSProp again.'],
                 twice=[code(f'#| export\ndef f(x):\n    {body}'),
                        code(f'def g(x): # the same\n    {body.replace("(x)", "( x )")}')])[place]
    if place == 'metadata': nb['metadata'] = dict(kernelspec=dict(name='python3', display_name=SECRET))
    assert main(['release-assignment', str(lesson(tmp_path, *cells, **nb)), str(tmp_path/'out'),
                 '--solutions', str(tmp_path/'teacher')]) == 2
    err = capsys.readouterr().err
    assert 'cell 1' in err and 'still stands in' in err and len(err.splitlines()) == 1
    assert not (tmp_path/'out').exists() and not (tmp_path/'teacher').exists()

def test_outputs_and_metadata_with_answers_are_left_out(tmp_path):
    cell = dict(cell_type='code', source='x = 1', execution_count=1, metadata=dict(answer=SECRET), outputs=[
        dict(output_type='stream', name='stdout', text=[SECRET])])
    copy = released(lesson(tmp_path, f'<details>{SECRET}</details>', cell, metadata=dict(answer=SECRET)),
                    tmp_path/'out')
    assert SECRET not in json.dumps(copy)

def test_a_folder_by_another_name_is_the_same_folder(tmp_path, capsys):
    file = lesson(tmp_path, 'Q <details>so it is</details>')
    (tmp_path/'a').mkdir()
    assert main(['release-assignment', str(file), str(tmp_path/'x'), '--solutions', str(tmp_path/'a'/'..'/'x')]) == 2
    assert 'folder for the students' in capsys.readouterr().err and not (tmp_path/'x').exists()
