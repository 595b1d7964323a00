"Scenes by diffusion: places look at the objects that were asked for and at no others; larger pictures get more noise."
import pytest
import torch
from hypothesis import given, settings, strategies as st

from dlcv_gan.models.diffusion import cosine
from dlcv_gan.models.iclevr_diffusion import (ObjectAttention, ObjectUNet, build_object_ddpm, noisier_cosine,
                                              object_ddpm, object_words)
from dlcv_gan.residual import FiLMBlock, UNet
from dlcv_gan.worlds.scenes import OBJECTS


def lively(net):
    "With weights that are no starting values."
    torch.manual_seed(0)
    for p in net.parameters(): torch.nn.init.normal_(p, std=.2)
    return net.eval()


def test_an_object_is_one_colour_and_one_shape():
    words = object_words()
    assert words.shape == (len(OBJECTS) + 1, 11) and (words[:-1].sum(1) == 2).all() and not words[-1].any()
    assert len(words.unique(dim=0)) == len(OBJECTS) + 1
    share = words @ words.T # words that two objects have in common
    names = [set(name.split()) for name in OBJECTS]
    assert all(share[i, j] == len(a & b) for i, a in enumerate(names) for j, b in enumerate(names))


@given(asked=st.lists(st.integers(0, 23), max_size=4, unique=True), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_places_look_at_what_was_asked_for_alone(asked, seed):
    attention = lively(ObjectAttention(FiLMBlock(8, 8, 12)))
    m = torch.zeros(1, 25)
    m[0, [*asked, 24]] = 1
    shares, value = attention.look(torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(seed)), m)
    assert shares.shape == (1, 16, 25) and value.shape == (25, 8)
    torch.testing.assert_close(shares.sum(2), torch.ones(1, 16))
    assert (shares[..., m[0] == 1] > 0).all() and not shares[..., m[0] == 0].any()


def test_without_a_condition_all_places_look_at_nothing():
    net, x, t = lively(ObjectUNet(16, 8, 1)), torch.randn(2, 3, 16, 16), torch.rand(2)
    y = torch.zeros(2, 24)
    y[:, 3] = 1
    y[0, 5] = torch.nan # a row with one entry missing has no condition at all
    assert not net.embed(t, y)[0, -25:-1].any() and net.embed(t, y)[1, -25:].sum() == 2
    torch.testing.assert_close(net(x, t, y)[0], net(x, t)[0])
    assert (net(x, t, y)[1] - net(x, t)[1]).abs().max() > .01


def test_it_begins_as_the_network_of_lesson_11():
    net, plain = lively(ObjectUNet(16, 8, 1)), UNet(16, 24, 8, 1).eval()
    for name in ('time', 'condition', 'stem', 'attention', 'head'): setattr(plain, name, getattr(net, name))
    plain.down, plain.up = (torch.nn.ModuleList([part[0], *(m.block for m in part[1:])])
                            for part in (net.down, net.up))
    plain.middle = net.middle.block
    x, t, y = torch.randn(2, 3, 16, 16), torch.rand(2), torch.eye(24)[:2]
    assert (net(x, t, y) - plain(x, t, y)).abs().max() > .01
    for m in net.modules():
        if isinstance(m, ObjectAttention):
            for p in m.leave.parameters(): torch.nn.init.zeros_(p)
    torch.testing.assert_close(net(x, t, y), plain(x, t, y))
    fresh = ObjectUNet(16, 8, 1)
    assert not any(p.any() for m in fresh.modules() if isinstance(m, FiLMBlock) for p in m.film.parameters())
    assert not any(p.any() for m in fresh.modules() if isinstance(m, ObjectAttention) for p in m.leave.parameters())


@given(steps=st.integers(20, 1000), noisier=st.floats(.5, 8))
@settings(max_examples=20, deadline=None)
def test_the_ratio_of_signal_to_noise_falls_with_the_square_of_the_factor(steps, noisier):
    def ratio(kept): return kept[1:] / (1 - kept[1:])
    kept = noisier_cosine(steps, noisier)
    assert kept[0] == 1 and (kept.diff() < 0).all()
    torch.testing.assert_close(ratio(kept) * noisier ** 2, ratio(cosine(steps)))


def test_the_game_is_built_as_asked():
    game = build_object_ddpm(32, 8, depth=1, noisier=3., timesteps=50, sampling_steps=2)
    torch.testing.assert_close(game.kept, noisier_cosine(50, 3.).float())
    assert object_ddpm.labels == len(OBJECTS) and object_ddpm.build().net.shape == (3, 64, 64)
    with pytest.raises(ValueError, match='need y of shape'): game.sample(2, torch.zeros(2, 3))
