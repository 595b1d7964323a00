"CONTRIBUTING.md promises one notebook each: its own examples, exported in a copy of the repository and used."
import json, math, os, re, shutil, subprocess, sys
from pathlib import Path

import pandas as pd
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT/'CONTRIBUTING.md').exists(): pytest.skip('the page lies in the repository', allow_module_level=True)
pytest.importorskip('nbdev')
sys.path.insert(0, str(ROOT/'tools'))

from dlcv_gan import losses

PAGE = (ROOT/'CONTRIBUTING.md').read_text(encoding='utf-8')
OBJECTIVE, PENALTY, GAME, STUDY, HAND_IN = re.findall(r'(?s)```python\n(#\| .*?)```', PAGE)
# notebook -> the example's text, and the module that it makes
EXAMPLES = {'library/losses': (OBJECTIVE, 'losses'), 'library/losses ': (PENALTY, 'losses'),
            'assignments/11_adversarial': (GAME, 'models/adversarial'),
            'studies/10_label_smoothing': (STUDY, 'studies/label_smoothing'),
            'handins/portraits': (HAND_IN, 'courses/portraits')}
PYTHON = Path(sys.executable).absolute()
ENV = {**os.environ, 'PYTHONWARNINGS': 'ignore', 'MPLBACKEND': 'agg', 'OMP_NUM_THREADS': '1'}
# Several commands in one process: what each printed, as JSON; the first that fails ends it. `python` lines are run.
PLAY = '''
import contextlib, io, json, sys
from dlcv_gan.cli.command import main
said = []
for line in sys.argv[1:]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = exec(line.removeprefix('python ')) if line.startswith('python ') else main(line.split())
    if code: sys.exit(f'{line}: exit code {code}')
    said.append(out.getvalue())
print(json.dumps(said))
'''


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob('*') if p.is_file() and '__pycache__' not in p.parts}


def export(root, notebook, text):
    "One cell more in one notebook of the copy, then `make export`: the names of the files that are new or other."
    before, path = files(root), root/'nbs'/f'{notebook}.ipynb'
    book = dict(cells=[], metadata={}, nbformat=4, nbformat_minor=5)
    if path.exists(): book = json.loads(path.read_text(encoding='utf-8'))
    directives, rest = re.match(r'(?s)((?:#\| default_exp \S+\n)?)(.*)', text).groups()
    for source in filter(None, (directives, rest)):
        number = len(book['cells'])
        book['cells'].append(dict(cell_type='code', execution_count=None, id=f'example{number}', metadata={},
                                  outputs=[], source=source.rstrip('\n')))
    path.write_text(json.dumps(book), encoding='utf-8')
    subprocess.run([PYTHON.with_name('nbdev_export')], cwd=root, env=ENV, check=True, capture_output=True)
    after = files(root)
    assert not before.keys() - after.keys()
    # nbdev's index, which nobody edits
    return {name for name, data in after.items() if before.get(name) != data} - {'dlcv_gan/_modidx.py'}


@pytest.fixture(scope='module')
def repo(tmp_path_factory):
    "A copy of the repository with all examples in it, and what each of them changed."
    root = tmp_path_factory.mktemp('repo')
    for name in ('nbs', 'dlcv_gan'):
        shutil.copytree(ROOT/name, root/name, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    for name in ('settings.ini', 'setup.py', 'README.md'): shutil.copy(ROOT/name, root/name)
    return root, {book: export(root, book.strip(), text) for book, (text, _) in EXAMPLES.items()}


def play(root, *lines): # what each command printed; nothing is installed, the copy is found first
    done = subprocess.run([PYTHON, '-c', PLAY, *lines], cwd=root, env={**ENV, 'PYTHONPATH': str(root)},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_each_changes_one_notebook_and_the_module_it_makes(repo):
    for book, changed in repo[1].items():
        assert changed == {f'nbs/{book.strip()}.ipynb', f'dlcv_gan/{EXAMPLES[book][1]}.py'}


def test_the_command_knows_objective_penalty_and_game(repo):
    "The new objective and penalty in an old game and in the new one; the new game with flags and settings of its own."
    root, *_ = repo
    small = '--data faces --size 32 --width 4 --nz 16 --bs 4 --rounds 2'
    _, systems, about, old, new, sampled, score = play(
        root, 'draw faces faces --n 12 --test 8 --size 32', 'systems', 'describe aae --json',
        f'train gan --objective smoothed --penalty flat_between {small} --out old',
        f'train aae --objective smoothed --d 2 --set weight=7 {small} --out new', 'sample new --n 4 --out grid.png',
        'score new --n 8 --json')
    assert re.search(r'objectives .*\bsmoothed\b', systems) and re.search(r'penalties .*\bflat_between\b', systems)
    assert re.search(r'AAE +aae +adversarial autoencoder', systems)
    nets = json.loads(about)['nets']
    assert list(nets) == ['encoder', 'decoder', 'critic'] and nets['decoder']['layers'][-1]['output'] == '64,64,3'
    assert nets['critic']['params'] == (128 + 1)*512 + (512 + 1)*512 + 512 + 1
    assert '2 rounds' in old and '2 rounds' in new and 'grid.png' in sampled
    assert json.loads(score)['mse']['[-1,1]'] > 0
    for run in ('old', 'new'):
        assert json.loads((root/run/'settings.json').read_text())['build']['objective'] == 'smoothed'
        made = {p.name for p in (root/run).iterdir()}
        assert {'samples.png', 'samples.gif', 'curves.png', 'weights.safetensors'} <= made
    assert 'discriminator.penalty' in pd.read_csv(root/'old'/'history.csv')
    history = pd.read_csv(root/'new'/'history.csv')
    assert {'critic.adversarial', 'autoencoder.reconstruction', 'autoencoder.adversarial'} <= set(history)
    assert history['steps_critic'].max() == 2 and history['steps_autoencoder'].max() == 1 # --d 2 of its own two players


def test_the_command_plays_the_study(repo):
    root, *_ = repo
    listed, played = play(root, 'study', 'study label_smoothing --seeds 2 --scale smoke --workers 1 --out table')
    assert re.search(r'label_smoothing +does one-sided label smoothing', listed)
    assert '99 (R0) label smoothing reaches more modes: OPEN' in played
    table = pd.read_csv(root/'table'/'label_smoothing.csv')
    assert len(table) == 4 and set(table.labels) == {'hard', 'smooth'} and table.covered.notna().all()


def test_the_hand_in_fills_its_folder(repo):
    root, *_ = repo
    play(root, 'portraits out --scale smoke')
    made = {p.name for p in (root/'out').iterdir()}
    assert {'faces.png', 'metrics.json', 'index.html', 'gan'} <= made
    assert json.loads((root/'out'/'metrics.json').read_text())['sharpness'] > 0
    assert '32 random faces' in (root/'out'/'index.html').read_text()


def test_the_example_penalty_is_what_the_page_says():
    exec(PENALTY, names := dict(vars(losses)))
    D, real = (lambda x, y=None: (3*x).sum(1)), torch.zeros(5, 2)
    assert torch.isclose(names['flat_between'](.5)(D, real, real + 1), torch.tensor(.5*18.)) # slope 3 along both axes


def test_the_example_objective_is_what_the_page_says():
    exec(OBJECTIVE, names := dict(vars(losses)))
    smoothed, real = names['smoothed'], torch.linspace(-6, 6, 100_001, dtype=torch.float64)
    fake, soft = torch.zeros(1, dtype=torch.float64), torch.nn.functional.softplus
    def cross_entropy(s):
        return torch.nn.functional.binary_cross_entropy_with_logits(s, torch.full_like(s, .9)) + math.log(2)
    assert all(torch.isclose(smoothed.discriminator(s, fake), cross_entropy(s)) for s in real[::9973].split(1))
    assert abs(real[(.9*soft(-real) + .1*soft(real)).argmin()] - math.log(9)) < 1e-3 # the best score


@pytest.mark.parametrize('book', [b for b, (text, _) in EXAMPLES.items() if 'default_exp' in text])
def test_the_examples_keep_the_house_rules(tmp_path, book):
    from api import read_module
    from test_house import INSIDE, allowed, long_lines, ours, own_module, private_names, undocumented
    text, module = EXAMPLES[book][0], own_module(book)
    assert f'default_exp {module}\n' in text
    names = re.findall(r'(?m)^(?:class|def) ([A-Za-z]\w+)|^([A-Za-z]\w+) = ', text)
    (tmp_path/'m.py').write_text(f'__all__ = {[a or b for a, b in names]}\n{text}')
    assert not [fault for s in read_module(tmp_path/'m.py') for fault in undocumented(s)]
    INSIDE_TOO = {'studies.label_smoothing': INSIDE['studies.vae_vs_gan'], 'courses.portraits': {'courses.handin'}}
    may = allowed(module) | INSIDE_TOO.get(module, set())
    assert {name for name, _ in ours(tmp_path/'m.py')} <= may and not private_names(text) and not long_lines(text)
