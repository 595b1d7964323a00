"Laws of the auxiliary-classifier game: who learns the attributes from what, and what its terms are worth."
import math

import pytest
import torch
from fastai.data.core import DataLoaders
from hypothesis import given, strategies as st

from dlcv_gan.models.acgan import build_acgan
from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.models.gan import GAN
from dlcv_gan.losses import gradient_penalty

torch.set_num_threads(1)


def small(**kwargs):
    torch.manual_seed(0)
    return build_acgan(32, 4, nz=12, embedded=4, **kwargs)


def batch(n=6):
    g = torch.Generator().manual_seed(1)
    return torch.rand(n, 3, 32, 32, generator=g) * 2 - 1, torch.randint(0, 2, (n, 1), generator=g).float()


def test_the_discriminator_learns_attributes_from_real_pictures_only():
    "Other fakes, same attribute term: a wrong fake must not teach it."
    game, (x, y) = small(), batch()
    terms = [(torch.manual_seed(s), game.loss('discriminator', x, y))[1] for s in (1, 2)]
    assert terms[0]['attributes'] == terms[1]['attributes'] and terms[0]['adversarial'] != terms[1]['adversarial']
    assert game.loss('discriminator', x, 1 - y)['attributes'] != terms[0]['attributes']


def test_only_the_mover_gets_gradients():
    game, (x, y) = small(), batch()
    sum(game.loss('discriminator', x, y).values()).backward()
    assert all(p.grad is None for p in game.generator.parameters())
    assert all(p.grad is not None for p in game.discriminator.parameters())
    game.zero_grad()
    sum(game.loss('generator', x, y).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in game.generator.parameters())


@given(st.floats(0, 50), st.integers(1, 5))
def test_a_head_that_knows_nothing_pays_log_two_for_every_question(weight, a):
    game = small(weight=weight)
    y = (torch.arange(6)[:, None] % 2).float().expand(6, a)
    assert game.attributes(torch.zeros(6, a), y).item() == pytest.approx(weight * a * math.log(2), rel=1e-5)
    assert game.attributes((y - .5) * 200, y).item() == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match='reward'): small(weight=-1.)


def test_with_weight_zero_it_is_the_plain_game():
    game, (x, y) = small(weight=0., penalty=gradient_penalty()), batch()
    plain = GAN(game.generator, game.discriminator, game.objective, game.penalty)
    for player in ('discriminator', 'generator'):
        torch.manual_seed(3); ours = game.loss(player, x, y)
        torch.manual_seed(3); theirs = plain.loss(player, x, y)
        assert ours.pop('attributes') == 0
        assert ours.keys() == theirs.keys() and all(torch.allclose(ours[k], theirs[k], rtol=1e-5) for k in ours)


def test_it_learns_to_follow_a_condition_that_is_a_colour():
    "Black and white pictures: after a few rounds white is drawn where white is asked for."
    y = (torch.arange(64)[:, None] % 2).float()
    x = (y * 1.6 - .8)[:, :, None, None].expand(-1, 3, 32, 32).clone()
    torch.manual_seed(0)
    learn = GameLearner(DataLoaders(Batches(x, y, bs=16), device='cpu'),
                        build_acgan(32, 4, nz=12, embedded=4, spectral=True), lr=2e-3, precision='fp32')
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(60)
    black, white = (learn.sample(16, y=torch.full((16, 1), v), seed=0).mean() for v in (0., 1.))
    assert white - black > .5, (black, white)
