"Laws of the GAN: both players' losses by hand, who is moved by which, the rank, clipping, what a sample is."
import math

import pytest
import torch
from fastai.data.core import DataLoaders
from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import DG
from dlcv_gan.losses import hinge, least_squares, minimax, non_saturating, r1, wasserstein
from dlcv_gan.models.acgan import build_attribute_gan
from dlcv_gan.models.gan import GAN, build_dcgan, build_gan, build_r1_gan
from dlcv_gan.models.wgan import build_cwgan
from dlcv_gan.nets import DCGANDiscriminator, ToyDiscriminator, ToyGenerator

torch.set_num_threads(1)


def toy(*args, **kwargs):
    torch.manual_seed(0)
    return GAN(ToyGenerator(nz=4, width=8), ToyDiscriminator(8), *args, **kwargs)

def points(n=12): return torch.randn(n, 2, generator=torch.Generator().manual_seed(1))

def terms(game, player, x, y=None, seed=7):
    torch.manual_seed(seed)
    return game.loss(player, x, y)

def learner(game, schedule):
    return GameLearner(DataLoaders(Batches(points(32), bs=8), device='cpu'), game, schedule, lr=1e-2, precision='fp32')

def play(learn, rounds):
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(rounds)
    return learn


# --- the losses -----------------------------------------------------------------------------------------------------

def sigmoid(s): return 1 / (1 + math.exp(-s))
# objective, what D pays for a real and for a fake of score s, what G pays for a fake of score s
BY_HAND = dict(minimax=(minimax, lambda s: -math.log(sigmoid(s)), lambda s: -math.log(1 - sigmoid(s)),
                        lambda s: math.log(1 - sigmoid(s))),
               non_saturating=(non_saturating, lambda s: -math.log(sigmoid(s)), lambda s: -math.log(1 - sigmoid(s)),
                               lambda s: -math.log(sigmoid(s))),
               hinge=(hinge, lambda s: max(0, 1 - s), lambda s: max(0, 1 + s), lambda s: -s),
               least_squares=(least_squares, lambda s: (s - 1)**2 / 2, lambda s: s**2 / 2, lambda s: (s - 1)**2 / 2),
               wasserstein=(wasserstein, lambda s: -s, lambda s: s, lambda s: -s))

@pytest.mark.parametrize('name', BY_HAND)
def test_terms_are_the_formulas_on_the_scores_of_the_same_draw(name):
    objective, d_real, d_fake, g_fake = BY_HAND[name]
    game, x = toy(objective), points()
    torch.manual_seed(7)
    fakes = game.generator(torch.randn(len(x), 4))
    real, fake = game.discriminator(x).tolist(), game.discriminator(fakes).tolist()
    mean = lambda values: sum(values) / len(x)
    d, g = terms(game, 'discriminator', x), terms(game, 'generator', x)
    assert list(d) == list(g) == ['adversarial']
    assert d['adversarial'].item() == pytest.approx(mean(map(d_real, real)) + mean(map(d_fake, fake)), rel=1e-4)
    assert g['adversarial'].item() == pytest.approx(mean(map(g_fake, fake)), rel=1e-4)


def test_the_penalty_is_ds_alone_and_sees_real_fake_and_condition():
    class Conditional(nn.Module):
        def __init__(self, net): super().__init__(); self.net = net
        def forward(self, x, y): return self.net(x) + y.sum(1)
    seen = []
    def penalty(D, real, fake, y):
        seen.append((D, real, fake, y))
        return torch.tensor(3.)
    game, x, y = toy(penalty=penalty), points(), torch.ones(12, 2)
    game.discriminator = Conditional(game.discriminator)
    assert set(terms(game, 'generator', x, y)) == {'adversarial'} and not seen
    assert terms(game, 'discriminator', x, y)['penalty'] == 3.
    (D, real, fake, condition), = seen
    torch.manual_seed(7)
    assert D is game.discriminator and real is x and condition is y and torch.equal(fake, game.sample(12, y))


@pytest.mark.parametrize('shape', [(9,), (5, 3, 3)])
def test_the_rank_is_the_pairwise_auc(shape):
    "Of all pairs of a real and a fake score, patch by patch where there are patches: the share in the right order."
    torch.manual_seed(0)
    for shift in (-1., 0., 2.):
        real, fake, game = torch.randn(shape) + shift, torch.randn(shape), toy()
        game.discriminator_terms(real, fake, points(len(real)), points(len(real)))
        pairs = [r > f for r in real.flatten().tolist() for f in fake.flatten().tolist()]
        assert game.notes['rank'].item() == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
        assert game.notes['real_score'].item() == pytest.approx(real.mean().item(), abs=1e-6)
        assert game.notes['fake_score'].item() == pytest.approx(fake.mean().item(), abs=1e-6)


def test_the_rank_forgets_every_growing_map_of_the_scores():
    game, real, fake = toy(), torch.randn(9) + 1, torch.randn(9)
    ranks = []
    for change in (lambda s: s, lambda s: 10*s - 3, torch.tanh):
        game.discriminator_terms(change(real), change(fake), points(9), points(9))
        ranks.append(game.notes['rank'].item())
    assert ranks[0] == ranks[1] == ranks[2]


# --- who is moved ---------------------------------------------------------------------------------------------------

def test_ds_loss_gives_no_gradient_to_g():
    game = toy(penalty=r1(1.))
    sum(terms(game, 'discriminator', points()).values()).backward()
    assert all(p.grad is None for p in game.generator.parameters())
    assert any(p.grad.abs().sum() > 0 for p in game.discriminator.parameters())


@pytest.mark.parametrize('schedule, mover', [(DG(1, 0), 'discriminator'), (DG(0, 1), 'generator')])
def test_a_turn_moves_the_networks_of_its_player_only(schedule, mover):
    learn = learner(toy(penalty=r1(.1)), schedule)
    before = {k: v.clone() for k, v in learn.game.named_parameters()}
    play(learn, 2)
    moved = {k.split('.')[0] for k, v in learn.game.named_parameters() if not torch.equal(v, before[k])}
    assert moved == {mover}


def test_a_step_of_g_needs_the_number_of_real_pictures_and_not_the_pictures():
    game, x = toy(), points()
    assert terms(game, 'generator', x) == terms(game, 'generator', torch.full_like(x, math.nan))
    assert terms(game, 'generator', x) != terms(game, 'generator', x[:5])


def test_steps_of_g_cost_no_real_batch():
    a, b = (play(learner(toy(), schedule), 6) for schedule in (DG(1, 1), DG(1, 3)))
    assert a.steps == {'discriminator': 6, 'generator': 6} and b.steps == {'discriminator': 6, 'generator': 18}
    assert a.history['images'].iloc[-1] == b.history['images'].iloc[-1] == 6*8


@pytest.mark.parametrize('clip', [.02, .1])
def test_clipping_holds_ds_weights_and_only_those(clip):
    learn = play(learner(toy(wasserstein, clip=clip), DG(2, 1)), 6)
    assert max(p.abs().max() for p in learn.game.discriminator.parameters()) <= clip
    assert max(p.abs().max() for p in learn.game.generator.parameters()) > clip
    game = toy(clip=clip)
    before = {k: v.clone() for k, v in game.named_parameters()}
    def changed(): return {k.split('.')[0] for k, v in game.named_parameters() if not torch.equal(v, before[k])}
    game.constrain('generator')
    assert not changed(), 'a turn of G clips nothing'
    game.constrain('discriminator')
    assert changed() == {'discriminator'}
    with pytest.raises(ValueError, match='clip'): toy(clip=0.)


# --- samples and builders -------------------------------------------------------------------------------------------

@pytest.mark.parametrize('build', [build_gan, build_r1_gan, build_dcgan])
def test_samples_are_pictures_in_range_from_the_games_noise(build):
    torch.manual_seed(0)
    game = build(32, 2, 8).eval()
    torch.manual_seed(3)
    x = game.sample(5)
    torch.manual_seed(3)
    z = torch.randn(5, 8)
    assert x.shape == (5, 3, 32, 32) and x.abs().max() <= 1
    assert torch.equal(x, game.sample(5, z=z)) and torch.equal(x, game.generator(z))
    assert game.discriminator(x).shape == (5,)


def test_other_noise_is_drawn_where_it_is_asked_for():
    game = build_dcgan(32, 2, 50, uniform=True)
    z = game.latent(40)
    assert z.min() >= 0 and z.max() <= 1 and abs(z.mean() - .5) < .05
    assert build_dcgan(32, 2, 50).latent(40).min() < -1


def test_the_condition_reaches_both_nets():
    class G(nn.Module):
        def __init__(self): super().__init__(); self.nz, self.unused = 1, nn.Parameter(torch.zeros(1))
        def forward(self, z, y): return y
    class D(nn.Module):
        def forward(self, x, y): return (x * y).sum(1)
    game, y = GAN(G(), D(), wasserstein), torch.tensor([[1., 2.], [3., 0.]])
    assert torch.equal(game.sample(2, y), y)
    assert game.loss('generator', y, y)['adversarial'] == -7. # the mean of 5 and 9, as a score
    assert game.loss('discriminator', 2*y, y)['adversarial'] == -7. # fakes score 7, reals 14


def test_a_penalised_dcgan_has_no_batchnorm_in_d():
    def norms(net): return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    plain, penalised = build_dcgan(32, 2, 6), build_dcgan(32, 2, 6, penalty=r1(1.))
    assert norms(plain.discriminator) and norms(plain.generator)
    assert not norms(penalised.discriminator) and norms(penalised.generator)
    assert not norms(build_gan(32, 2, 6).discriminator)


# --- one pass of D --------------------------------------------------------------------------------------------------

def stepped(game, one_pass, *batch):
    "The discriminator's terms, notes and gradients, its two batches in one pass or in two."
    game.one_pass, game.notes = one_pass, {}
    game.zero_grad()
    found = terms(game, 'discriminator', *batch)
    sum(found.values()).backward()
    return [*found.values(), *game.notes.values(), *(p.grad for p in game.discriminator.parameters())]


def plain_gans():
    torch.manual_seed(0)
    x, y = torch.rand(6, 3, 32, 32) * 2 - 1, torch.eye(3)[torch.arange(6) % 3]
    yield build_gan(32, 2, 4, spectral=False), (x,)
    yield build_cwgan(32, 2, 4, 3, penalty=r1(1.)), (x, y)
    yield build_attribute_gan(32, 2, 4, 3, 2, spectral=False), (x, y)


def test_one_pass_is_two_passes():
    for game, batch in plain_gans():
        assert game.one_pass
        for one, two in zip(stepped(game, True, *batch), stepped(game, False, *batch)):
            assert torch.allclose(one, two, rtol=1e-3, atol=1e-6)


def test_one_pass_is_one_power_iteration_a_turn():
    game, seen = build_gan(32, 2, 4), []
    for m in game.discriminator.modules():
        if isinstance(m, _SpectralNorm): m.register_forward_hook(lambda *_: seen.append(1))
    game.loss('discriminator', torch.rand(4, 3, 32, 32))
    assert len(seen) == 4, 'three convolutions and a dense layer, once each'


def test_batches_of_a_net_that_mixes_them_stay_apart():
    "Also of a net that is put in later, and of one that nobody knows."
    class Stranger(nn.Module):
        def __init__(self, net): super().__init__(); self.net = net
        def forward(self, x, y=None): return self.net(x - x.mean(0), y)
    assert not build_dcgan(32, 2, 4).one_pass
    game, x = build_gan(32, 2, 4, spectral=False), torch.rand(6, 3, 32, 32)
    assert game.one_pass
    for net in (DCGANDiscriminator(32, 2), Stranger(game.discriminator)):
        game.discriminator = net
        torch.manual_seed(7)
        fake = game.sample(6).detach()
        apart = non_saturating.discriminator(net(x), net(fake))
        assert terms(game, 'discriminator', x)['adversarial'].item() == pytest.approx(apart.item(), rel=1e-5)
