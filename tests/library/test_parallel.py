"Laws of several processes, with two real ranks over gloo: together they are one process with the doubled batch."
import os, socket, subprocess, sys
from pathlib import Path

import pytest
import torch
import two_ranks

from dlcv_gan.parallel import agree, average, gather, launched, main_process, rank, ranks, share

HERE = Path(__file__).parent


def environment(): return {**os.environ, 'PYTHONPATH': os.pathsep.join([str(HERE), *sys.path]), 'OMP_NUM_THREADS': '1',
                           'PYTHONWARNINGS': 'ignore'}


@pytest.fixture(scope='module')
def together(tmp_path_factory):
    "The folder in which two ranks, started by torchrun, have left what they found."
    out = tmp_path_factory.mktemp('ranks')
    run = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2',
                          str(HERE/'two_ranks.py'), str(out)], env=environment(), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    return out


def test_a_program_started_once_is_alone():
    tensors = [torch.ones(2)]
    average(tensors)
    assert not launched() and (ranks(), rank(), main_process()) == (1, 0, True)
    assert torch.equal(tensors[0], torch.ones(2)) and agree(True) and not agree(False) and gather(3) == [3]
    torch.manual_seed(0); a = torch.randn(4, 2)
    torch.manual_seed(0)
    assert torch.equal(a, share(torch.randn, 4, 2))


@pytest.mark.parametrize('name', list(two_ranks.GAMES))
def test_two_ranks_equal_one_with_the_doubled_batch(together, name):
    found = torch.load(together/'found.pt', weights_only=False)[name]
    alone = two_ranks.result(two_ranks.play(two_ranks.learner(name, bs=8), 3))
    assert found['steps'] == alone['steps'] and found['images'] == alone['images'] == 24
    for ours, theirs in zip(found['history'], alone['history']):
        assert ours.keys() == theirs.keys() and ours['player'] == theirs['player']
        for k, v in theirs.items():
            # the area under the curve is a mean over pairs, and each rank sees its own pairs alone
            if '.' in k and not k.endswith('.rank'): assert ours[k] == pytest.approx(v, rel=2e-3, abs=2e-5), k
    norms = ('running_mean', 'running_var', 'num_batches_tracked') # BatchNorm's statistics are each rank's own
    for k, v in alone['weights'].items():
        if not k.endswith(norms): torch.testing.assert_close(found['weights'][k], v, rtol=2e-3, atol=2e-5)


def test_all_ranks_hold_the_same_weights(together):
    one, two = (torch.load(together/f'rank{r}.pt') for r in range(2))
    for name in one:
        for k in one[name]:
            if 'running' not in k: assert torch.equal(one[name][k], two[name][k]), f'{name}: {k}'


def test_the_same_number_of_ranks_resumes_bit_for_bit(together):
    found = torch.load(together/'found.pt', weights_only=False)
    whole, resumed = found['whole'], found['resumed']
    assert all(torch.equal(v, resumed['weights'][k]) for k, v in whole['weights'].items())
    def rows(history): return [{k: v for k, v in row.items() if k != 'seconds'} for row in history]
    assert rows(whole['history']) == rows(resumed['history']) and len(whole['history']) == 10


def test_another_number_of_ranks_is_a_clear_choice(together):
    learn = two_ranks.learner('GAN with spectral norm', bs=8)
    with pytest.raises(ValueError, match=r'saved by 2 process.*any_ranks=True'): learn.load(together/'half.pth')
    assert learn.load(together/'half.pth', any_ranks=True).rounds == 2
    assert two_ranks.play(learn, 1).rounds == 3


def test_a_rank_that_dies_ends_the_others_and_what_was_saved_is_whole(tmp_path):
    code = f'''
import os, sys; sys.path.insert(0, {str(HERE)!r})
from fastai.callback.core import Callback
from two_ranks import *
class Die(Callback):
    def after_batch(self):
        if self.learn.rounds == 2 and rank() == 1: os._exit(9)
learn = learner('VAE', 4)
play(learn, 6, [Checkpoint({str(tmp_path/"run.pth")!r}, every=1), Die()])
'''
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]
    def start(r):
        return subprocess.Popen([sys.executable, '-c', code], stderr=subprocess.PIPE, text=True,
                                env={**environment(), 'RANK': str(r), 'WORLD_SIZE': '2', 'LOCAL_RANK': str(r),
                                     'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)})
    ranks = [start(r) for r in range(2)]
    said = [p.communicate(timeout=120)[1] for p in ranks]
    assert ranks[1].returncode == 9 and ranks[0].returncode not in (0, None)
    assert 'rank 0 of 2 waited for a process that has ended' in said[0]
    assert two_ranks.learner('VAE', 4).load(tmp_path/'run.pth', any_ranks=True).rounds == 1
