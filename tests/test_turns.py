"The study of turns: its short loop is the learner's game, its readings are what they say."
import torch
from fastai.data.core import DataLoaders
from fastai.torch_core import set_seed

import pytest

from dlcv_gan.data import Batches
from dlcv_gan.draw import ring
from dlcv_gan.game import DG, GameLearner, adam
from dlcv_gan.turns import AXES, GAMES, one_turn, play_turns, toy_game


@pytest.mark.parametrize('objective', GAMES)
def test_the_short_loop_ends_at_the_learners_weights(objective):
    x, schedule, rounds = torch.as_tensor(ring(32 * 6, std=.2)[0]), DG(2, 3), 6
    set_seed(0)
    short = toy_game(objective)
    opt = {p: torch.optim.Adam([q for net in nets for q in net.parameters()], 3e-3, betas=(.5, .9), fused=True) for p, nets in short.players().items()}
    for i in range(rounds):
        for player in schedule.moves(i): one_turn(short, player, x[i * 32:(i + 1) * 32], opt)
    set_seed(0)
    learn = GameLearner(DataLoaders(Batches(x, bs=32, shuffle=False, device='cpu')), toy_game(objective), schedule, lr=3e-3, precision='fp32',
                        opt_func=lambda params, **kw: adam(params, betas=(.5, .9), **kw))
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(rounds)
    for ours, theirs in zip(short.parameters(), learn.game.parameters()): assert torch.equal(ours, theirs)


def test_a_run_reads_every_axis(monkeypatch):
    monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')
    for ratio, first in (('1:3', 'd'), ('5:1', 'g')):
        found = play_turns(0, 'wgan_gp', ratio, first)
        assert {f'{k}_{axis}' for k in ('covered', 'on', 'rank', 'd_loss', 'g_loss') for axis in AXES} | {'d_loss_start', 'g_loss_start'} == set(found)
        assert all(0 <= found[f'on_{axis}'] <= 1 and 0 <= found[f'covered_{axis}'] <= 8 for axis in AXES)
    again = play_turns(0, 'wgan_gp', '5:1', 'g')
    assert {k: float(v) for k, v in again.items()} == {k: float(v) for k, v in found.items()} # a run is a function of its settings and seed
