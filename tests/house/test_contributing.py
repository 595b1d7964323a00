"CONTRIBUTING.md promises that a new objective or a new game is one file: its own examples, exported in a copy of the repository and used."
import json, math, os, re, shutil, subprocess, sys
from pathlib import Path

import pandas as pd
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT/'CONTRIBUTING.md').exists(): pytest.skip('the page lies in the repository', allow_module_level=True)
pytest.importorskip('nbdev')
sys.path.insert(0, str(ROOT/'tools'))

from dlcv_gan import losses  # noqa: E402

OBJECTIVE, GAME = re.findall(r'(?s)```python\n(#\| .*?)```', (ROOT/'CONTRIBUTING.md').read_text(encoding='utf-8'))
ENV = {**os.environ, 'PYTHONWARNINGS': 'ignore', 'MPLBACKEND': 'agg', 'OMP_NUM_THREADS': '1'}
# Several commands in one process: what each printed, as JSON; the first that fails ends it.
PLAY = '''
import contextlib, io, json, sys
from dlcv_gan.cli.command import main
said = []
for line in sys.argv[1:]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out): code = main(line.split())
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
    book = json.loads(path.read_text(encoding='utf-8')) if path.exists() else dict(cells=[], metadata={}, nbformat=4,
                                                                                   nbformat_minor=5)
    directives, rest = re.match(r'(?s)((?:#\| default_exp \S+\n)?)(.*)', text).groups()
    for i, source in enumerate(filter(None, (directives, rest))):
        book['cells'].append(dict(cell_type='code', execution_count=None, id=f'example{i}', metadata={}, outputs=[],
                                  source=source.rstrip('\n')))
    path.write_text(json.dumps(book), encoding='utf-8')
    subprocess.run([Path(sys.executable).with_name('nbdev_export')], cwd=root, env=ENV, check=True, capture_output=True)
    after = files(root)
    assert not before.keys() - after.keys()
    # nbdev's index, which nobody edits
    return {name for name, data in after.items() if before.get(name) != data} - {'dlcv_gan/_modidx.py'}


@pytest.fixture(scope='module')
def repo(tmp_path_factory):
    "A copy of the repository with both examples in it, and what each of them changed."
    root = tmp_path_factory.mktemp('repo')
    for name in ('nbs', 'dlcv_gan'):
        shutil.copytree(ROOT/name, root/name, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    for name in ('settings.ini', 'setup.py', 'README.md'): shutil.copy(ROOT/name, root/name)
    return root, export(root, '02_losses', OBJECTIVE), export(root, '19_adversarial', GAME)


def play(root, *lines): # what each command printed; nothing is installed, the copy is found first
    done = subprocess.run([sys.executable, '-c', PLAY, *lines], cwd=root, env={**ENV, 'PYTHONPATH': str(root)},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_each_changes_one_notebook_and_the_module_it_makes(repo):
    _, objective, game = repo
    assert objective == {'nbs/02_losses.ipynb', 'dlcv_gan/losses.py'} and game == {'nbs/19_adversarial.ipynb',
                                                                                   'dlcv_gan/adversarial.py'}


def test_the_command_knows_both(repo):
    "The new objective in an old game and in the new one; the new game with flags and settings of its own."
    root, *_ = repo
    small = '--data faces --size 32 --width 4 --nz 16 --bs 4 --rounds 2'
    _, systems, about, old, new, sampled, score = play(
        root, 'draw faces faces --n 12 --test 8 --size 32', 'systems', 'describe aae --json',
        f'train gan --objective smoothed {small} --out old',
        f'train aae --objective smoothed --d 2 --set weight=7 {small} --out new', 'sample new --n 4 --out grid.png',
        'score new --n 8 --json')
    assert re.search(r'objectives .*\bsmoothed\b', systems) and re.search(r'AAE +aae +adversarial autoencoder', systems)
    nets = json.loads(about)['nets']
    assert list(nets) == ['encoder', 'decoder', 'critic'] and nets['decoder']['layers'][-1]['output'] == '64,64,3'
    assert nets['critic']['params'] == (128 + 1)*512 + (512 + 1)*512 + 512 + 1
    assert '2 rounds' in old and '2 rounds' in new and 'grid.png' in sampled and json.loads(score)['mse']['[-1,1]'] > 0
    for run in ('old', 'new'):
        assert json.loads((root/run/'settings.json').read_text())['build']['objective'] == 'smoothed'
        assert {'samples.png', 'samples.gif', 'curves.png',
                'weights.safetensors'} <= {p.name for p in (root/run).iterdir()}
    history = pd.read_csv(root/'new'/'history.csv')
    assert {'critic.adversarial', 'autoencoder.reconstruction', 'autoencoder.adversarial'} <= set(history)
    assert history['steps_critic'].max() == 2 and history['steps_autoencoder'].max() == 1 # --d 2 of its own two players


def test_the_example_objective_is_what_the_page_says():
    exec(OBJECTIVE, names := dict(vars(losses)))
    smoothed, real = names['smoothed'], torch.linspace(-6, 6, 100_001, dtype=torch.float64)
    fake = torch.zeros(1, dtype=torch.float64)
    cross_entropy = lambda s: torch.nn.functional.binary_cross_entropy_with_logits(s,
                                                                                   torch.full_like(s, .9)) + math.log(2)
    assert all(torch.isclose(smoothed.discriminator(s, fake), cross_entropy(s)) for s in real[::9973].split(1))
    best = real[min(range(len(real)), key=(.9*torch.nn.functional.softplus(-real) + .1
                                           *torch.nn.functional.softplus(real)).__getitem__)]
    assert abs(best - math.log(9)) < 1e-3


def test_the_example_game_keeps_the_house_rules(tmp_path):
    from api import read_module
    from test_house import ASSIGNMENT, imports, undocumented
    names = re.findall(r'(?m)^(?:class|def) (\w+)|^(\w+) = ', GAME)
    (tmp_path/'m.py').write_text(f'__all__ = {[a or b for a, b in names]}\n{GAME}')
    assert not [fault for s in read_module(tmp_path/'m.py') for fault in undocumented(s)]
    assert {name.split('.')[1] for name, *_ in imports(tmp_path/'m.py') if name.startswith('dlcv_gan.')} <= ASSIGNMENT
