"`dlcv_gan train` as torchrun starts it: two processes, one run, one writer."
import json, os, shutil, subprocess, sys
from pathlib import Path

import pandas as pd
import pytest

from dlcv_gan.cli.command import main
from dlcv_gan.game.checkpoint import read_checkpoint

COMMAND = Path(sys.executable).with_name('dlcv_gan')


def torchrun(*args):
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': 'ignore',
           'PYTHONPATH': os.pathsep.join(p for p in sys.path if p)}
    return subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2',
                           str(shutil.which('dlcv_gan') or COMMAND), 'train', *map(str, args)], env=env,
                          capture_output=True, text=True, timeout=300)


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    out = tmp_path_factory.mktemp('faces')/'hw4'
    assert main(['draw', 'faces', str(out), '--n', '24', '--test', '4', '--size', '32']) == 0
    return out


@pytest.fixture(scope='module')
def run(faces, tmp_path_factory):
    out = tmp_path_factory.mktemp('runs')/'gan'
    done = torchrun('gan-mended', '--data', faces, '--size', 32, '--width', 4, '--bs', 4, '--rounds', 4, '--ema', .9,
                    '--precision', 'fp32', '--out', out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done


def test_one_process_writes_for_both(run):
    out, done = run
    assert done.stdout.count('4 rounds in') == 1 and done.stderr.count('round 4/4') == 1
    assert {p.name for p in out.iterdir()} == {'settings.json', 'checkpoint.pth', 'weights.safetensors', 'samples.png',
                                               'samples.gif', 'curves.png', 'history.csv'}
    history = pd.read_csv(out/'history.csv')
    assert len(history) == 8 and history.images.iloc[-1] == 4 * 2 * 4 # rounds, processes, pictures
    assert read_checkpoint(out/'checkpoint.pth')['ranks'] == 2


def test_another_number_of_processes_is_refused_with_the_flag_that_mends(run, capsys):
    out, _ = run
    before = (out/'checkpoint.pth').read_bytes()
    assert main(['train', '--out', str(out), '--resume', '--rounds', '5']) == 2
    assert 'saved by 2 process' in (said := capsys.readouterr().err) and '--any-ranks' in said
    assert (out/'checkpoint.pth').read_bytes() == before


def test_the_same_number_goes_on_and_another_may(run):
    out, _ = run
    done = torchrun('--out', out, '--resume', '--rounds', 6)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(pd.read_csv(out/'history.csv')) == 12
    assert json.loads((out/'settings.json').read_text())['rounds'] == 6
    assert main(['train', '--out', str(out), '--resume', '--rounds', '7', '--any-ranks']) == 0
    assert read_checkpoint(out/'checkpoint.pth')['ranks'] == 1


def test_what_cannot_start_ends_all_processes_at_once(faces, tmp_path):
    done = torchrun('gan-mended', '--data', faces, '--size', 32, '--bs', 4000, '--out', tmp_path/'run')
    assert done.returncode != 0 and '--bs 4000' in done.stderr and not (tmp_path/'run').exists()
