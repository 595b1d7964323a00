"Laws of the variational autoencoder: its two terms by hand, what the KL weight scales, what a sample is."
import pytest
import torch
from fastai.data.core import DataLoaders
from torch import nn

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.models.vae import VAE, build_vae

torch.set_num_threads(1)


def small(kl_weight=1., size=32):
    torch.manual_seed(0)
    return build_vae(size, width=2, nz=5, kl_weight=kl_weight)

def batch(n=4, size=32): return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1

def terms(game, x, seed=7):
    torch.manual_seed(seed)
    return game.loss('vae', x)


class Fixed(nn.Module):
    "An encoder that gives every picture the same mean and log-variance."
    nz = 3
    def __init__(self, mean, logvar): super().__init__(); self.mean, self.logvar = mean, logvar
    def forward(self, x): return (torch.full((len(x), 3), v) for v in (self.mean, self.logvar))

class Shown(nn.Module):
    "A decoder whose picture is its code, one number a channel."
    def forward(self, z): return z[:, :, None, None].expand(-1, -1, 4, 4)


# --- the two terms --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('kl_weight', [0., .25, 1., 20.])
def test_terms_are_the_closed_forms_of_the_same_draw(kl_weight):
    game, x = small(kl_weight).eval(), batch()
    found = terms(game, x)
    mean, logvar = game.encode(x)
    torch.manual_seed(7)
    z = mean + torch.randn_like(mean) * torch.exp(.5 * logvar)
    error, kl = (game.decode(z) - x).square(), (mean.square() + logvar.exp() - logvar - 1) / 2
    assert list(found) == ['reconstruction', 'kl']
    assert found['reconstruction'].item() == pytest.approx(error.flatten(1).sum(1).mean().item(), rel=1e-5)
    assert found['kl'].item() == pytest.approx(kl_weight * kl.sum(1).mean().item(), rel=1e-5)


def test_the_kl_weight_scales_the_kl_term_and_nothing_else():
    light, heavy = (terms(small(w).eval(), batch()) for w in (.5, 3.))
    assert light['reconstruction'] == heavy['reconstruction']
    assert heavy['kl'].item() == pytest.approx(6 * light['kl'].item(), rel=1e-6) and light['kl'] > 0


def test_terms_are_means_over_the_batch():
    "Four copies of one picture pay what one of them pays: its KL term exactly, its reconstruction on average."
    game, x = small().eval(), batch(1)
    one, many = terms(game, x), terms(game, x.expand(4, -1, -1, -1))
    assert many['kl'].item() == pytest.approx(one['kl'].item(), rel=1e-5)
    game = VAE(Fixed(.5, -200.), Shown()) # a variance of almost 0: the draw plays no part
    x = torch.zeros(1, 3, 4, 4)
    for n in (1, 5): assert terms(game, x.expand(n, -1, -1, -1))['reconstruction'].item() == pytest.approx(12, rel=1e-2)


def test_the_code_is_drawn_with_the_encoders_spread():
    "With the code itself as the picture, the error against black is that of the draw: mean^2 + variance."
    for mean, logvar in ((0., 0.), (.5, -2.), (-1., 1.)):
        found = terms(VAE(Fixed(mean, logvar), Shown()), torch.zeros(20_000, 3, 4, 4))
        expected = 3 * 4 * 4 * (mean ** 2 + torch.tensor(logvar).exp().item())
        assert found['reconstruction'].item() == pytest.approx(expected, rel=.03)


def test_a_posterior_that_is_the_prior_costs_no_kl():
    assert terms(VAE(Fixed(0., 0.), Shown()), torch.zeros(2, 3, 4, 4))['kl'] == 0
    assert terms(VAE(Fixed(0., 1.), Shown()), torch.zeros(2, 3, 4, 4))['kl'] > 0


def test_huge_log_variances_leave_the_loss_finite():
    for logvar in (-1e4, 1e4):
        assert all(torch.isfinite(v) for v in terms(VAE(Fixed(0., logvar), Shown()), torch.zeros(2, 3, 4, 4)).values())


# --- gradients ------------------------------------------------------------------------------------------------------

def moved(net): return any(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())

def test_the_reconstruction_reaches_the_encoder_through_the_draw_and_the_kl_term_no_decoder():
    game, x = small(), batch()
    terms(game, x)['reconstruction'].backward()
    assert moved(game.encoder) and moved(game.decoder)
    game.zero_grad(set_to_none=True)
    terms(game, x)['kl'].backward()
    assert moved(game.encoder) and not moved(game.decoder)


def test_the_draw_passes_the_gradient_to_mean_and_spread():
    "The reparametrisation trick by hand: z = mean + std e, so d(z^2) is 2z by the mean, z e std by the log-variance."
    mean, logvar = torch.tensor([[.3, -.2, .1]]).requires_grad_(), torch.tensor([[.4, 0., -1.]]).requires_grad_()
    class Given(nn.Module):
        nz = 3
        def forward(self, x): return mean, logvar
    torch.manual_seed(7)
    VAE(Given(), Shown()).loss('vae', torch.zeros(1, 3, 4, 4))['reconstruction'].backward()
    torch.manual_seed(7)
    e, std = torch.randn(1, 3), (logvar / 2).exp().detach()
    z = mean.detach() + std * e
    assert torch.allclose(mean.grad, 16 * 2 * z) and torch.allclose(logvar.grad, 16 * z * e * std)


# --- reconstructions and samples ------------------------------------------------------------------------------------

def test_a_reconstruction_is_the_decoded_mean_and_draws_nothing():
    game, x = small().eval(), batch()
    before = torch.get_rng_state()
    back = game.reconstruct(x)
    assert torch.equal(torch.get_rng_state(), before) and torch.equal(back, game.decode(game.encode(x)[0]))


@pytest.mark.parametrize('size', [32, 64])
def test_samples_are_decoded_standard_normal_codes(size):
    game = small(size=size).eval()
    torch.manual_seed(3)
    x = game.sample(6)
    torch.manual_seed(3)
    z = torch.randn(6, game.nz)
    assert x.shape == (6, 3, size, size) and x.abs().max() <= 1
    assert torch.equal(x, game.decode(z)) and torch.equal(x, game.sample(6, z=z))
    assert torch.equal(x, game.sample(6, y=torch.ones(6, 13), z=z)), 'a VAE has no condition'


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match='kl_weight'): small(-1.)


class Linear(nn.Module):
    "A linear encoder for pictures of 2x2 pixels."
    nz = 3
    def __init__(self): super().__init__(); self.net = nn.Linear(12, 6)
    def forward(self, x): return self.net(x.flatten(1)).chunk(2, 1)

def test_training_moves_both_nets_and_lowers_the_error():
    torch.manual_seed(0)
    x = torch.randn(64, 3, 1, 1).expand(-1, -1, 2, 2).contiguous() # one colour each: three numbers to keep
    game = VAE(Linear(), nn.Sequential(nn.Linear(3, 12), nn.Unflatten(1, (3, 2, 2))), kl_weight=.01)
    learn = GameLearner(DataLoaders(Batches(x, bs=16), device='cpu'), game, lr=2e-2, precision='fp32')
    before = {k: v.clone() for k, v in game.named_parameters()}
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(60)
    assert all(not torch.equal(v, before[k]) for k, v in game.named_parameters())
    error = learn.history['vae.reconstruction']
    assert error.iloc[-5:].mean() < error.iloc[:5].mean() / 4
