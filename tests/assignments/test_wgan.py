"Laws of the Wasserstein games: what clipping bounds, what the penalty leaves alone; the two differ in nothing else."
import pytest
import torch
from fastai.data.core import DataLoaders

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import DG
from dlcv_gan.nets import count_parameters
from dlcv_gan.systems import find_system
from dlcv_gan.models.wgan import build_cwgan, build_cwgan_gp, build_wgan_gp

torch.set_num_threads(1)


def loaders(n=24):
    g = torch.Generator().manual_seed(0)
    return DataLoaders(Batches(torch.rand(n, 3, 32, 32, generator=g) * 2 - 1, torch.eye(23)[torch.arange(n) % 23],
                               bs=4), device='cpu')


def played(game, schedule, rounds=6):
    learn = GameLearner(loaders(), game, schedule, lr=1e-2, precision='fp32')
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(rounds)
    return learn


@pytest.mark.parametrize('clip', [.01, .05])
def test_clipping_holds_every_weight_of_the_critic_and_of_nobody_else(clip):
    learn = played(build_cwgan(32, 4, 8, clip=clip), DG(5, 1))
    assert max(p.abs().max() for p in learn.game.discriminator.parameters()) <= clip + 1e-9
    assert max(p.abs().max() for p in learn.game.generator.parameters()) > 2 * clip


def test_the_two_games_differ_only_in_how_the_slope_is_held():
    games = []
    for build in (build_cwgan, build_cwgan_gp):
        torch.manual_seed(0)
        games.append(build(32, 4, 8))
    a, b = (g.state_dict() for g in games)
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    assert games[0].clip and not games[0].penalty and games[1].penalty and not games[1].clip


def test_five_to_one_is_five_to_one():
    for first in 'dg':
        learn = played(build_cwgan_gp(32, 4, 8), DG(5, 1, first), 10)
        assert learn.steps == {'discriminator': 10, 'generator': 2}
        assert learn.history.player.iloc[0] == dict(d='discriminator', g='generator')[first]
        terms = {'discriminator.penalty', 'discriminator.adversarial', 'generator.adversarial'}
        assert terms <= set(learn.history.attrs['terms'])


def test_both_players_read_the_tags():
    torch.manual_seed(0)
    game = build_cwgan(32, 4, 8)
    x, z, y = torch.rand(3, 3, 32, 32), torch.randn(3, 8), torch.eye(23)[:3]
    assert not torch.allclose(game.sample(3, y, z), game.sample(3, y.flip(0), z))
    assert not torch.allclose(game.discriminator(x, y), game.discriminator(x, y.flip(0)))


def test_no_critic_has_batchnorm_and_the_generator_reads_23_tags_more():
    for build in (build_cwgan, build_cwgan_gp, build_wgan_gp):
        assert not any(isinstance(m, torch.nn.modules.batchnorm._NormBase)
                       for m in build(32, 4, 8).discriminator.modules())
    unconditional, conditional = (find_system(n).build().generator for n in ('R0.WGANGP', 'R3.CWGAN'))
    # more inputs of the first dense layer, nothing else
    assert count_parameters(conditional) - count_parameters(unconditional) == 23 * 512 * 16
