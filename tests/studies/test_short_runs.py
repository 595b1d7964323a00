"Short runs: the loop is the learner's game, small worlds are the same for everyone, the measures know what is good."
import pytest
import torch
from fastai.data.core import DataLoaders
from fastai.torch_core import set_seed
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.learner import GameLearner, adam
from dlcv_gan.game.schedules import DG
from dlcv_gan.losses import gradient_penalty, non_saturating, wasserstein
from dlcv_gan.metrics import FeatureNet
from dlcv_gan.models.acgan import build_attribute_gan
from dlcv_gan.models.gan import GAN, build_gan
from dlcv_gan.nets import ToyDiscriminator, ToyGenerator
from dlcv_gan.studies.short_runs import World, grades, one_turn, play_short_run, small_world, series
from dlcv_gan.worlds.points import ring

GAMES = dict(non_saturating=(non_saturating, None, None), wgan=(wasserstein, None, .1),
             wgan_gp=(wasserstein, gradient_penalty(1.), None))

def toy(objective): return GAN(ToyGenerator(nz=16, width=64), ToyDiscriminator(width=64), *GAMES[objective])


@pytest.fixture
def smoke(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


@pytest.mark.parametrize('objective', GAMES)
@pytest.mark.parametrize('schedule', [DG(1, 1), DG(1, 3), DG(1, 1, 'g')], ids=str)
def test_a_short_run_ends_at_the_learners_weights(objective, schedule):
    x, rounds = torch.as_tensor(ring(32 * 6, std=.2)[0]), 6
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) # the first pass over the points
    set_seed(0)
    short = toy(objective)
    log = play_short_run(short, x, rounds=rounds, schedule=schedule, lr=3e-3, bs=32, seed=0)
    set_seed(0)
    learn = GameLearner(DataLoaders(Batches(x[order], bs=32, shuffle=False, device='cpu')), toy(objective), schedule,
                        lr=3e-3, precision='fp32',
                        opt_func=lambda params, **kw: adam(params, betas=(.5, .9), **kw))
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(rounds)
    for ours, theirs in zip(short.parameters(), learn.game.parameters()): assert torch.equal(ours, theirs)
    for player, steps in learn.steps.items(): assert len(series(log, player, 'adversarial')) == steps


def test_who_waits_does_not_move():
    game, x = build_gan(16, 4, 8), torch.rand(8, 3, 16, 16) * 2 - 1
    opt = {p: torch.optim.Adam([q for net in nets for q in net.parameters()], .1) for p, nets in game.players().items()}
    for player, other in (('discriminator', 'generator'), ('generator', 'discriminator')):
        before = {k: v.clone() for k, v in game.state_dict().items()}
        one_turn(game, player, (x,), opt)
        moved = {k.split('.')[0] for k, v in game.state_dict().items() if not torch.equal(v, before[k])}
        assert player in moved and other not in moved


def test_each_player_has_its_rate():
    x = torch.as_tensor(ring(64, std=.2)[0])
    torch.manual_seed(0)
    game = toy('wgan_gp')
    before = [p.clone() for p in game.generator.parameters()]
    play_short_run(game, x, rounds=3, lr=dict(discriminator=1e-2, generator=0.), bs=16)
    assert all(torch.equal(a, b) for a, b in zip(before, game.generator.parameters()))


def test_a_watch_can_stop_a_run_and_labels_come_along(smoke):
    world, seen = small_world('scenes'), []
    game = build_attribute_gan(16, 4, 8, labels=len(world.names))
    log = play_short_run(game, world.x, world.y, rounds=50, bs=8, watch=lambda i, log: seen.append(i) or i == 6,
                         every=3)
    assert seen == [3, 6] and len(series(log, 'generator', 'attributes')) == 6


def test_a_number_that_is_none_ends_a_run():
    x = torch.as_tensor(ring(64, std=.2)[0])
    x[5] = torch.nan
    with pytest.raises(ArithmeticError, match='discriminator.*round'):
        play_short_run(toy('non_saturating'), x, rounds=9, bs=16)


@pytest.mark.parametrize('kind', ['faces', 'anime', 'scenes'])
def test_a_small_world_is_the_same_for_every_seed(kind, smoke):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    world = small_world(kind)
    assert torch.equal(torch.get_rng_state(), state) # and drawing it disturbs nobody's random numbers
    assert world.x.shape[1:] == world.test_x.shape[1:] == (3, 16, 16)
    assert world.y.shape[1] == len(world.names) == world.classifier.attributes
    assert -1 <= world.x.min() < -.2 and .2 < world.x.max() <= 1 and world.radius > 0
    assert small_world(kind) is world and small_world(kind, 32).x.shape[-1] == 32


def test_what_is_no_world_is_named():
    with pytest.raises(ValueError, match="'cats'.*faces, anime, scenes"): small_world('cats')
    with pytest.raises(ValueError, match='20.*16, 32 or 64'): small_world('faces', 20)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 8), st.integers(0, 99))
def test_grades_of_copies(k, seed):
    "k pictures, each copied: nothing is bad, everything has a twin, and order counts for nothing."
    x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    classifier = FeatureNet.random()
    world = World(x, x[:, 0, 0, :1], x, x[:, 0, 0, :1], ('a',), classifier, classifier.features(x),
                  classifier.features(x), 1e-3)
    found = grades(x, world)
    assert found['bad'] == 0 and found['reached'] == 1 and found['sharp'] == found['diverse'] == 1
    assert found['doubles'] == 0
    few = grades(x[:k].repeat(2, 1, 1, 1), world)
    assert few['reached'] == k / 8 and few['doubles'] == 1 and few['bad'] == 0
    turned = grades(x[:k].repeat(2, 1, 1, 1).flip(0), world)
    assert turned == pytest.approx(few, abs=1e-4)
    with pytest.raises(ArithmeticError, match='not finite'): grades(x / 0, world)
