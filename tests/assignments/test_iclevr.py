"R4's conditional GAN, layer by layer, and the stronger game beside it."
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcv_gan.conditional import shifted
from dlcv_gan.metrics import FeatureNet
from dlcv_gan.models.acgan import ACGAN
from dlcv_gan.models.iclevr import (R4Discriminator, R4Generator, SceneDiscriminator, SceneEvaluator, build_cgan,
                                    build_strong_cgan)
from dlcv_gan.nets import layer_table
from dlcv_gan.systems import find_system

torch.set_num_threads(1)
Y = torch.eye(24)


def counts(table): return [(o, p) for o, p in zip(table.output, table.params) if p]


def test_layers_by_hand():
    "Dense 24 -> 200 and 24 -> 64*64, convolutions of 16 numbers a pair of channels without bias before BatchNorm."
    game = build_cgan()
    made = counts(layer_table(game.generator, torch.zeros(1, 100), Y[:1]))
    assert made == [('200', 24 * 200 + 200), ('4,4,512', 300 * 512 * 16), ('4,4,512', 1024),
                    ('8,8,256', 512 * 256 * 16), ('8,8,256', 512),
                    ('16,16,128', 256 * 128 * 16), ('16,16,128', 256), ('32,32,64', 128 * 64 * 16), ('32,32,64', 128),
                    ('64,64,3', 64 * 3 * 16 + 3)]
    made = counts(layer_table(game.discriminator, torch.zeros(1, 3, 64, 64), Y[:1]))
    assert made == [('4096', 24 * 4096 + 4096), ('32,32,64', 4 * 64 * 16), ('32,32,64', 128),
                    ('16,16,128', 64 * 128 * 16), ('16,16,128', 256),
                    ('8,8,256', 128 * 256 * 16), ('8,8,256', 512), ('4,4,512', 256 * 512 * 16), ('4,4,512', 1024),
                    ('1', 8193)]


@pytest.mark.parametrize('size', [32, 64, 128])
def test_sizes(size):
    G, D = R4Generator(size, 4, 8), R4Discriminator(size, 4)
    x = G(torch.randn(2, 8), Y[:2])
    assert x.shape == (2, 3, size, size) and x.abs().max() <= 1 and D(x, Y[:2]).shape == (2,)
    with pytest.raises(ValueError, match='32, 64 or 128'): R4Generator(size + 1)


@pytest.mark.parametrize('build', [build_cgan, build_strong_cgan])
def test_every_object_of_the_condition_matters(build):
    "Not only the first: a picture of two objects changes with either."
    torch.manual_seed(0)
    game = build(32, 4, 8).eval()
    z = torch.randn(1, 8)
    both, first, second = (game.sample(1, y.clamp(max=1)[None], z) for y in (Y[3] + Y[17], Y[3], Y[17]))
    assert not torch.equal(both, first) and not torch.equal(both, second)


def test_the_strong_game_is_an_acgan_with_24_questions_and_no_batchnorm_in_d():
    game = find_system('cgan-strong').build(size=32, width=4)
    assert isinstance(game, ACGAN) and game.discriminator.heads(torch.zeros(2, 3, 32, 32), Y[:2])[1].shape == (2, 24)
    assert not any(isinstance(m, torch.nn.modules.batchnorm._NormBase) for m in game.discriminator.modules())
    assert find_system('R4.CGAN').labels == 24 and find_system('R4.CGAN').schedule.g == 4


def test_the_first_head_is_told_the_condition_and_the_second_is_not():
    torch.manual_seed(0)
    D = SceneDiscriminator(32, 4).eval()
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    (score, guess), (other, again) = D.heads(x, Y[:2]), D.heads(x, Y[2:4])
    assert torch.equal(guess, again) and not torch.allclose(score, other)
    assert torch.equal(D(x, Y[:2]), score)


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 12), st.integers(4, 12), st.floats(0, .5), st.integers(0, 99))
def test_moved_pictures_are_windows_of_the_picture_with_its_border_repeated(h, w, share, seed):
    torch.manual_seed(seed)
    x = torch.rand(3, 2, h, w)
    far = int(share * h)
    wide = F.pad(x, (far,) * 4, mode='replicate') if far else x
    for before, after in zip(wide, shifted(x, share)):
        windows = before.unfold(1, h, 1).unfold(2, w, 1).movedim(0, 2) # (2 far + 1, 2 far + 1, 2, h, w)
        assert (windows == after).all(-1).all(-1).all(-1).any()


def test_pictures_are_moved_in_training_alone():
    torch.manual_seed(0)
    x, D = torch.rand(8, 3, 32, 32), SceneDiscriminator(32, 4)
    with torch.no_grad():
        D.train()(x, Y[:8]) # spectral norm's power iteration has moved
        assert not torch.allclose(D(x, Y[:8]), D.eval()(x, Y[:8]), atol=1e-5)
        assert torch.equal(D(x, Y[:8]), D(x, Y[:8]))
        still = SceneDiscriminator(32, 4, shift=0).train()
        for _ in range(50): still(x, Y[:8]) # until its norms stand
        assert torch.allclose(still(x, Y[:8]), still.eval()(x, Y[:8]), atol=1e-4)


def test_the_small_evaluator_learns_to_tell_colours_and_leaves_no_trace():
    "Flat pictures of three colours with a square of another, wherever it lies."
    torch.manual_seed(1)
    before, y = torch.get_rng_state(), torch.eye(3).repeat(128, 1)
    x = torch.full((384, 3, 16, 16), -.2)
    places = torch.randint(0, 12, (384, 2), generator=torch.Generator().manual_seed(0))
    for i, (left, top) in enumerate(places.tolist()):
        x[i, i % 3, top:top + 4, left:left + 4] = 1
    net = SceneEvaluator.fit(x, y, epochs=4, bs=32)
    assert torch.equal(before, torch.get_rng_state()) and not net.training
    assert (net.probabilities(x).argmax(1) == y.argmax(1)).float().mean() > .95
    with pytest.raises(ValueError, match='384 pictures, 3 rows'): SceneEvaluator.fit(x, y[:3])


def test_the_small_evaluator_is_read_as_it_was_written_and_a_foreign_file_is_named(tmp_path):
    x, y = torch.rand(8, 3, 16, 16) * 2 - 1, torch.eye(4).repeat(2, 1)
    net = SceneEvaluator.fit(x, y, epochs=1, bs=4)
    again = SceneEvaluator.load(net.save(tmp_path/'small.safetensors'))
    assert torch.equal(net.probabilities(x), again.probabilities(x)) and not again.training
    foreign = FeatureNet.random(device='cpu').save(tmp_path/'foreign.safetensors')
    with pytest.raises(ValueError, match='foreign.*SceneEvaluator.save'): SceneEvaluator.load(foreign)
