"The study of penalties: the wrong ones are wrong as told, games differ as their names say, readings are right."
import pytest
import torch
from torch import nn

from dlcv_gan.losses import gradient_penalty
from dlcv_gan.studies import wgan_gp as module
from dlcv_gan.studies.wgan_gp import (GAMES, LOOKS, STD, axis_penalty, course, epsilon_penalty, look, make_game,
                                      play_penalty, price, rounds_of, train_game)
from dlcv_gan.worlds.points import mode_centres, ring

study = module.wgan_gp


@pytest.fixture
def smoke(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


def test_one_axis_is_another_slope():
    "A linear critic's gradient is its weights, everywhere: both penalties can be worked out by hand."
    a = torch.arange(1., 13.).view(3, 2, 2) / 10
    D, real, fake = (lambda x, y=None: (x * a).flatten(1).sum(1)), torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    assert gradient_penalty(2.)(D, real, fake).item() == pytest.approx(2 * (a.square().sum().sqrt().item() - 1) ** 2,
                                                                       rel=1e-4)
    assert axis_penalty(2.)(D, real, fake).item() == pytest.approx(
        2 * (a.square().sum(0).sqrt() - 1).square().mean().item(), rel=1e-4)


def test_one_epsilon_is_one_place_for_all():
    "D = |x|²/2 has the slope |x|: with real pictures 0 and fakes of length 2 a point's slope is twice its epsilon."
    D, real = (lambda x, y=None: x.square().flatten(1).sum(1) / 2), torch.zeros(64, 1, 2, 2)
    fake = torch.ones(64, 1, 2, 2)
    torch.manual_seed(0)
    t = torch.rand(()).item()
    torch.manual_seed(0)
    assert epsilon_penalty(1.)(D, real, fake).item() == pytest.approx((2 * t - 1) ** 2, abs=1e-4)
    many = [epsilon_penalty(1.)(D, real, fake).item() for _ in range(60)]
    right = [gradient_penalty(1.)(D, real, fake).item() for _ in range(60)]
    assert torch.tensor(many).mean().item() == pytest.approx(1 / 3, abs=.15)
    assert torch.tensor(right).mean().item() == pytest.approx(1 / 3, abs=.02)
    assert torch.tensor(many).std() > 4 * torch.tensor(right).std() # the same on average, and much noisier


def test_games_are_what_their_names_say():
    has = lambda game, kind: any(isinstance(m, kind) for m in game.discriminator.modules())
    bounded = lambda game: any('parametrizations' in k for k, _ in game.discriminator.named_parameters())
    for name in GAMES:
        game = make_game('faces', name)
        assert has(game, nn.BatchNorm2d) == (name in ('gan', 'batchnorm')), name
        assert bool(game.clip) == name.startswith('wgan') * (name != 'wgan_gp'), name
        assert bounded(game) == (name == 'spectral') == bounded(make_game('ring', name)), name
        assert bool(game.penalty) == (name in ('dragan', 'wgan_gp', 'one_axis', 'one_epsilon', 'batchnorm')), name
        assert (game.objective is module.wasserstein) == (name in ('wgan', 'wgan_1to5', 'wgan_gp', 'one_axis',
                                                                   'one_epsilon', 'batchnorm')), name


def test_a_score_is_a_pictures_own_only_without_batchnorm():
    x = torch.randn(4, 3, 16, 16)
    other = torch.cat([x[:1], torch.randn(3, 3, 16, 16)])
    for name, alone in (('wgan_gp', True), ('batchnorm', False)):
        D = make_game('faces', name).discriminator
        assert torch.allclose(D(x)[0], D(other)[0], atol=1e-5) == alone


@pytest.mark.parametrize('world', LOOKS)
def test_every_game_spends_the_same(world):
    spent = [rounds_of(world, g) * (price(world, g) + GAMES[g][6] / GAMES[g][5]) for g in GAMES]
    assert max(spent) <= 1.1 * min(spent) and all(rounds_of(world, g) % LOOKS[world] == 0 for g in GAMES)


def test_a_course_by_hand():
    found = course(torch.tensor([1., .8, .6, .2, .4, .2, .5, .7]))
    assert {k: round(float(v), 4) for k, v in found.items() if k != 'steady'} == dict(
        error=.6, whole=.55, fall=.3, setback=.5)
    down = course(torch.linspace(1, 0, 8))
    assert down['steady'] == pytest.approx(1) and down['setback'] == down['fall'] == 0
    assert course(torch.linspace(0, 1, 8))['steady'] == pytest.approx(-1) and course(torch.ones(8))['steady'] == 0


def test_the_ring_is_counted():
    class Known(nn.Module):
        device = torch.device('cpu')
        def __init__(self, points): super().__init__(); self.points = points
        def sample(self, n, y=None, z=None): return self.points[:n]
    everything = look('ring', Known(torch.as_tensor(ring(1000, std=STD)[0])))
    assert everything['error'] < .1 and everything['reached'] == 1 and everything['bad'] < .03
    one = look('ring', Known(torch.as_tensor(mode_centres(ring)).float()[:1].repeat(1000, 1)))
    assert one == dict(error=pytest.approx(7 / 8), bad=pytest.approx(0), reached=1 / 8)
    assert look('ring', Known(torch.zeros(1000, 2))) == dict(error=1, bad=1, reached=0)


@pytest.mark.parametrize('world, lr', [('faces', 1e-3), ('ring', 3e-3)])
def test_a_run_returns_what_the_claims_compare(world, lr, smoke):
    found, again = (play_penalty(0, world, 'wgan_gp', lr) for _ in range(2))
    # a run is a function of its settings and seed
    assert {k: float(v) for k, v in found.items()} == {k: float(v) for k, v in again.items()}
    assert {c.metric for claim in study.claims for c in claim.contrasts} | set(study.worst) <= set(found)
    assert [f'error_{i + 1}' in found for i in range(LOOKS[world] + 1)] == [True] * LOOKS[world] + [False]
    assert 0 <= found['error'] <= 1 and 0 <= found['bad'] <= 1 and 0 <= found['reached'] <= 1


def test_each_game_ends_elsewhere(smoke):
    ends = {name: torch.cat([p.detach().flatten()
                             for p in train_game(0, 'faces', name, 1e-2)[0].generator.parameters()])
            for name in ('gan', 'plain', 'wgan_gp', 'one_axis', 'one_epsilon')}
    names = list(ends)
    assert not any(torch.equal(ends[a], ends[b]) for i, a in enumerate(names) for b in names[:i])
    critic = train_game(0, 'faces', 'wgan', 1e-2)[0].discriminator
    assert all(p.abs().max() <= .01 for p in critic.parameters())
