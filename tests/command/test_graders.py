"Assignments for nbgrader and Otter: marked so that the tools take out the solution, all of it and nothing else."
import ast, json, os, re, subprocess, sys
from pathlib import Path

import pytest

from dlcv_gan.cli.command import main
from dlcv_gan.cli.graders import assignment, nbgrader_cells, otter_cells, release_for
from dlcv_gan.cli.release import BEGIN, END, is_solution, marked, read_lesson, stub

NBS = Path(__file__).resolve().parents[2]/'nbs'
LESSONS = sorted(p.stem for p in NBS.glob('assignments/*.ipynb')) # none beside a wheel
BIN = Path(sys.executable).parent
each_lesson = pytest.mark.parametrize('name', LESSONS)
quiet = lambda line: None


def without_marked(text, instead): # as the tools take solutions out
    return re.sub(rf'(?ms)^( *){BEGIN}$.*?^ *{END}$', rf'\1{instead}', text)


def meaning(text): # of code, in whatever order the methods of its classes stand
    tree = ast.parse(text)
    for n in ast.walk(tree):
        if isinstance(n, ast.ClassDef): n.body.sort(key=ast.dump)
    return ast.dump(tree)


@each_lesson
def test_marks_change_nothing_and_hold_what_a_stub_loses(name):
    for cell in filter(is_solution, read_lesson(name)[1]['cells']):
        source = re.sub(r'(?m)^#\|.*\n?', '', cell['source']).strip('\n')
        assert meaning(marked(source)) == meaning(source)
        left = without_marked(marked(source), "raise NotImplementedError('your turn')")
        assert ast.dump(ast.parse(re.sub('your turn: [^\']*', 'your turn', stub(source)))) == ast.dump(ast.parse(left))


@pytest.mark.parametrize('text, after', [
    ('class A:\n    def _own(self): return 3\n    def __init__(self): self.x = 1\n    def two(self): "Doc."; return 2',
     f'class A:\n    def __init__(self): self.x = 1\n    def two(self):\n        \'Doc.\'\n        {BEGIN}\n'
     f'        return 2\n    def _own(self): return 3\n        {END}'),
    ('class B:\n    "Doc."\n    # a helper\n    def _own(self): return 3',
     f'class B:\n    "Doc."\n    {BEGIN}\n    # a helper\n    def _own(self): return 3\n    {END}'),
    ('@cached\ndef f(a, # é\n      b=1):\n    "Doc."\n    # why\n    return a',
     f'@cached\ndef f(a, # é\n      b=1):\n    "Doc."\n    {BEGIN}\n    # why\n    return a\n    {END}'),
    ('def f(): "Does nothing."', 'def f(): "Does nothing."'),
    ('x = 1', f'{BEGIN}\nx = 1\n{END}')], ids=['helper first', 'helpers alone', 'decorated', 'empty', 'no function'])
def test_marks_of_every_form(text, after):
    assert marked(text) == after


@each_lesson
def test_each_lesson_has_points_and_names_that_a_gradebook_takes(name, tmp_path):
    parts = assignment(read_lesson(name)[1])
    ids = [c['metadata']['nbgrader']['grade_id'] for c in nbgrader_cells(parts) if 'nbgrader' in c['metadata']]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r'[\w-]+', i) for i in ids)
    assert sum(p.points for p in parts) >= 5
    raw = [c['source'].split('\n')[0] for c in otter_cells(parts, name) if c['cell_type'] == 'raw']
    for word in 'QUESTION', 'SOLUTION', 'TESTS': assert raw.count(f'# BEGIN {word}') == raw.count(f'# END {word}')
    for grader in 'nbgrader', 'otter': # refused where students would see an answer
        assert release_for(grader, name, tmp_path/grader, say=quiet).exists()


def small_lesson(file):
    cells = [('code', '#| export\nclass Doubler:\n    def twice(self, x):\n        "Twice."\n        return 2*x\n'
                      '\n    def _own(self): return 1'),
             ('code', 'y = 3 # given'),
             ('code', 'assert y == 3 # does not depend on the students'),
             ('code', 'd = Doubler()\nassert d.twice(3) == 6\ny'),
             ('code', 'd.x = getattr(d, "x", 0) + 1\nassert d.x == 1 # holds only once\nassert d.twice(1) == 2'),
             ('markdown', "1. ★★ How many points? `check('gan.1', points)`\n<details><summary>Answer</summary>One.\n"
                          '<pre>points = 1</pre></details>\n\n2. ★★★ Why?\n<details><summary>Answer</summary>'
                          'Because nothing asks for variety.</details>')]
    made = [dict(cell_type=kind, id=f'c{i}', metadata={}, source=text,
                 **(dict(outputs=[], execution_count=None) if kind == 'code' else {}))
            for i, (kind, text) in enumerate(cells)]
    file.write_text(json.dumps(dict(cells=made, metadata={}, nbformat=4, nbformat_minor=5)))
    return file


def run(folder, *command):
    done = subprocess.run([str(BIN/command[0]), *command[1:]], cwd=folder, capture_output=True, text=True,
                          env=dict(os.environ, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}", HOME=str(folder)))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def submissions(solved, empty): # name -> notebook
    return dict(solved=solved, empty=empty, wrong=solved.replace('points = 1', 'points = 2'))


def test_nbgrader_takes_the_solution_out_and_grades(tmp_path):
    pytest.importorskip('nbgrader')
    course = tmp_path/'course'
    main(['release-assignment', str(small_lesson(tmp_path/'small.ipynb')), str(course), '--for', 'nbgrader'])
    run(course, 'nbgrader', 'generate_assignment', 'small')
    read = lambda folder: (course/folder/'small'/'small.ipynb').read_text(encoding='utf-8')
    empty = read('release')
    for answer in 'return 2*x', '_own', 'points = 1', 'variety': assert answer in read('source') and answer not in empty
    for name, text in submissions(read('source'), empty).items():
        file = course/'submitted'/name/'small'/'small.ipynb'
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding='utf-8')
    run(course, 'nbgrader', 'autograde', 'small')
    from nbgrader.api import Gradebook
    with Gradebook(f"sqlite:///{course/'gradebook.db'}") as book:
        scores = {s.student.id: s.score for s in book.assignment_submissions('small')}
        assert book.find_assignment('small').max_score == 1 + 1 + 2 + 3
    assert scores == dict(solved=4, wrong=2, empty=0) # the last three points are given by hand


def test_otter_takes_the_solution_out_and_grades(tmp_path):
    pytest.importorskip('otter')
    course = tmp_path/'course'
    main(['release-assignment', str(small_lesson(tmp_path/'small.ipynb')), str(course), '--for', 'otter'])
    run(course, 'otter', 'assign', 'small.ipynb', 'out')
    solved, empty = ((course/'out'/who/'small.ipynb').read_text(encoding='utf-8') for who in ('autograder', 'student'))
    for answer in 'return 2*x', '_own', 'points = 1', 'variety': assert answer in solved and answer not in empty
    [grader] = (course/'out'/'autograder').glob('*.zip')
    scores = {}
    for name, text in submissions(solved, empty).items():
        (course/name).mkdir()
        (course/f'{name}.ipynb').write_text(text, encoding='utf-8')
        run(course, 'otter', 'run', '-a', str(grader), f'{name}.ipynb', '-o', name)
        found = json.loads((course/name/'results.json').read_text())['tests']
        scores[name] = sum(t.get('score', 0) for t in found)
    assert scores == dict(solved=4, wrong=2, empty=0)


def test_what_cannot_be_graded_is_named_and_nothing_is_overwritten(tmp_path, capsys):
    file = small_lesson(tmp_path/'small.ipynb')
    command = ['release-assignment', str(file), str(tmp_path/'out'), '--for', 'nbgrader']
    main(command)
    assert main(command) == 2
    assert 'is there already' in capsys.readouterr().err
    assert main([*command, '--solutions', str(tmp_path/'other')]) == 2
    assert '--solutions' in capsys.readouterr().err
    nb = json.loads(file.read_text())
    file.write_text(json.dumps(dict(nb, cells=nb['cells'][:2])))
    assert main([*command[:2], str(tmp_path/'new'), '--for', 'otter']) == 2
    assert 'nothing to grade' in capsys.readouterr().err
