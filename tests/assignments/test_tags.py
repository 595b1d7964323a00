"Laws of tags to faces: the nets layer by layer, conditions from text, samples on disk, and the weight of the tags."
import math

import pytest
import torch
from fastai.data.core import DataLoaders
from hypothesis import given, settings, strategies as st
from PIL import Image
from torch import nn

from dlcv_gan.data.loaders import Batches
from dlcv_gan.data.readers import ANIME_TAGS, EYES, HAIR, read_tag_lines
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.losses import dragan
from dlcv_gan.nets import count_parameters
from dlcv_gan.systems import describe
from dlcv_gan.residual import SRResNetGenerator, TagsDiscriminator
from dlcv_gan.models.tags import build_acgan96, build_t2i, tag_conditions, write_samples

torch.set_num_threads(1)


def small(build=build_t2i, **kwargs):
    torch.manual_seed(0)
    return build(32, 4, blocks=1, nz=8, **kwargs)


# --- the nets -------------------------------------------------------------------------------------------------------

def generator_layers(size):
    "By hand: dense with bias; 3x3 without bias, then BatchNorm's two numbers a channel; the shuffled with bias; 9x9."
    side = size // 8
    block = [3*3*64*64, 128] * 2
    return [123*64*side**2 + 64*side**2, 128, *block * 16, *[3*3*64*256 + 256, 128] * 3, 9*9*64*3 + 3]


def discriminator_layers(deep):
    "By hand: a 4x4 to twice the channels, then so many blocks of two 3x3; two heads on 1,024 features."
    widths, found = [3, 32, 64, 128, 256, 512, 1024], []
    for i, o in zip(widths, widths[1:]):
        blocks = 0 if o == 1024 else 2 if o == 32 or not deep else 4
        found += [4*4*i*o + o] + [3*3*o*o + o] * 2 * blocks
    return found + [1024 + 1, 23*1024 + 23]


@pytest.mark.parametrize('system, size, total', [('R0.T2I', 64, 2_150_851), ('R2.ACGAN96', 96, 2_785_731)])
def test_the_generator_has_the_layers_of_the_report(system, size, total):
    layers = describe(system)['nets']['generator']
    assert [l['params'] for l in layers['layers'] if l['params']] == generator_layers(size)
    assert layers['params'] == total
    shapes = [tuple(map(int, l['output'].split(','))) for l in layers['layers'] if l['layer'] == 'PixelShuffle']
    assert shapes == [(size // 4, size // 4, 64), (size // 2, size // 2, 64), (size, size, 64)]


@pytest.mark.parametrize('system, deep, total', [('R0.T2I', False, 23_776_632), ('R2.ACGAN96', True, 36_314_232)])
def test_the_discriminator_has_the_layers_of_the_report(system, deep, total):
    layers = describe(system)['nets']['discriminator']
    assert [l['params'] for l in layers['layers'] if l['params']] == discriminator_layers(deep)
    assert layers['params'] == total


def test_defaults_are_the_sizes_of_the_reports():
    assert generator_layers(64)[0] == 507_904 and generator_layers(96)[0] == 1_142_784
    with torch.no_grad():
        assert SRResNetGenerator(96, 4, 1).eval()(torch.zeros(2, 100), torch.zeros(2, 23)).shape == (2, 3, 96, 96)
        score, tags = TagsDiscriminator(96, 2).heads(torch.zeros(2, 3, 96, 96))
    assert score.shape == (2,) and tags.shape == (2, 23)


@pytest.mark.parametrize('size', [16, 32, 48, 64, 96, 128])
def test_both_nets_at_every_size_that_pixel_shuffle_reaches(size):
    with torch.no_grad(): x = SRResNetGenerator(size, 2, 1, 5, 3).eval()(torch.randn(2, 5), torch.rand(2, 3))
    assert x.shape == (2, 3, size, size) and x.abs().max() <= 1
    score, tags = TagsDiscriminator(size, 2, 1, 3).heads(x)
    assert score.shape == (2,) and tags.shape == (2, 3)


@pytest.mark.parametrize('size', [0, 8, 20, 63, '64'])
def test_other_sizes_are_refused(size):
    for net in (SRResNetGenerator, TagsDiscriminator):
        with pytest.raises(ValueError, match='multiple of 8'): net(size)


def test_pixel_shuffle_moves_channels_into_pixels():
    "Twice the side, a quarter of the channels, the same numbers: four channels fill one 2x2 square."
    x = torch.randn(2, 12, 5, 7)
    y = nn.PixelShuffle(2)(x)
    assert y.shape == (2, 3, 10, 14) and torch.equal(x.flatten().sort().values, y.flatten().sort().values)
    assert torch.equal(y[0, 1, 6:8, 4:6].flatten(), x[0, 4:8, 3, 2])


def test_a_new_generator_enlarges_without_a_chequered_pattern():
    "Before the 9x9 layer every 2x2 square of a fresh net has one value; kernels that start at random have four."
    torch.manual_seed(0)
    net = SRResNetGenerator(32, 4, 1, 8).eval()
    with torch.no_grad(): h = net.body[:-2](torch.randn(3, 31))
    squares = h.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
    assert h.shape == (3, 4, 32, 32) and h.std() > 0 and torch.equal(squares, squares[..., :1].expand_as(squares))


def test_spectral_norm_holds_every_layer_of_the_discriminator_and_adds_no_parameter():
    plain, held = TagsDiscriminator(32, 4, spectral=False), TagsDiscriminator(32, 4, spectral=True)
    assert count_parameters(plain) == count_parameters(held)
    layers = [m for m in held.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for _ in range(30): held(torch.randn(2, 3, 32, 32))
    assert layers and all(torch.linalg.matrix_norm(m.weight.flatten(1), 2) < 1.1 for m in layers)


def test_blocks_start_as_what_they_add_to():
    "A block of zero weights hands its input on: that is what the skip is for."
    net = SRResNetGenerator(32, 4, 2, 8)
    with torch.no_grad():
        for block in net.body[4].body:
            for p in block.parameters(): p.zero_()
    h = torch.randn(3, 4, 4, 4)
    assert torch.equal(net.body[4].body(h), h) and torch.equal(net.body[4](h), 2 * h)


# --- the game -------------------------------------------------------------------------------------------------------

def batch(n=6):
    g = torch.Generator().manual_seed(1)
    x = torch.rand(n, 3, 32, 32, generator=g) * 2 - 1
    return x, torch.eye(23)[torch.arange(n)] + torch.eye(23)[12 + torch.arange(n)]


def test_terms_of_both_players():
    x, y = batch()
    for build, penalty in ((build_t2i, False), (build_acgan96, True)):
        game = small(build)
        both = {'adversarial', 'attributes'}
        assert set(game.loss('generator', x, y)) == both
        assert set(game.loss('discriminator', x, y)) == both | ({'penalty'} if penalty else set())
    assert 'penalty' not in small(build_acgan96, spectral=True, penalty=None).loss('discriminator', x, y)


@pytest.mark.parametrize('weight, tags', [(0., 23), (1/25, 23), (1/25, 1), (1., 5)])
def test_the_weight_counts_summed_tags(weight, tags):
    "A head that knows nothing pays log 2 for each tag."
    game = small(weight=weight, labels=tags)
    loss = game.attributes(torch.zeros(4, tags), torch.ones(4, tags)).item()
    assert loss == pytest.approx(weight * tags * math.log(2), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize('build', [build_t2i, build_acgan96])
def test_rounds_leave_finite_numbers(build):
    x, y = batch(8)
    learn = GameLearner(DataLoaders(Batches(x, y[:8], bs=4), device='cpu'), small(build, penalty=dragan()), lr=1e-3,
                        precision='fp32')
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(3)
    assert all(torch.isfinite(p).all() for p in learn.game.parameters())
    assert learn.history['discriminator.penalty'].notna().any()


# --- conditions from text -------------------------------------------------------------------------------------------

def read(tmp_path, text):
    (tmp_path/'tags.txt').write_text(text)
    return read_tag_lines(tmp_path/'tags.txt')


def test_either_order_asks_for_the_same(tmp_path):
    y = tag_conditions(read(tmp_path, '1,blue hair red eyes\n2,red eyes blue hair'), HAIR, EYES, per_line=2)
    assert y.shape == (4, 23) and (y == y[0]).all()
    assert [ANIME_TAGS[k] for k in y[0].nonzero().flatten()] == ['blue hair', 'red eyes']


@settings(max_examples=30)
@given(st.integers(0, 2**40), st.lists(st.tuples(st.sampled_from([None, *HAIR]), st.sampled_from([None, *EYES])),
                                       min_size=1, max_size=8), st.integers(1, 6))
def test_each_row_asks_for_one_colour_of_each_and_for_what_was_said(seed, colours, per_line):
    lines = [(str(i), *pair) for i, pair in enumerate(colours)]
    y = tag_conditions(lines, HAIR, EYES, per_line, seed)
    assert y.shape == (len(lines) * per_line, 23) and (y[:, :12].sum(1) == 1).all() and (y[:, 12:].sum(1) == 1).all()
    for i, (_, hair, eyes) in enumerate(lines):
        rows = y[i * per_line:(i + 1) * per_line]
        if hair: assert (rows[:, HAIR.index(hair)] == 1).all()
        if eyes: assert (rows[:, 12 + EYES.index(eyes)] == 1).all()
    assert torch.equal(y, tag_conditions(lines, HAIR, EYES, per_line, seed))
    # later lines change nothing
    assert torch.equal(y[:per_line], tag_conditions(lines[:1], HAIR, EYES, per_line, seed))


def test_a_missing_half_is_drawn_evenly_from_the_seed():
    y = tag_conditions([('1', 'red', None)], HAIR, EYES, 4000, seed=0)
    assert (y[:, HAIR.index('red')] == 1).all() and (y[:, 12:].mean(0) - 1/11).abs().max() < .02
    assert not torch.equal(y, tag_conditions([('1', 'red', None)], HAIR, EYES, 4000, seed=1))


def test_an_unknown_colour_is_named():
    with pytest.raises(ValueError, match="line '7'.*'mauve'"): tag_conditions([('7', 'mauve', None)], HAIR, EYES)
    with pytest.raises(ValueError, match='per_line'): tag_conditions([('7', 'red', None)], HAIR, EYES, 0)


# --- samples --------------------------------------------------------------------------------------------------------

LINES = [('1', 'blue', 'red'), ('x-2', None, 'gray')]


def bytes_of(files): return [f.read_bytes() for f in files]


def test_samples_have_the_course_names_sizes_and_are_the_same_for_a_seed(tmp_path):
    game = small().train()
    files = write_samples(game, LINES, HAIR, EYES, tmp_path/'a', seed=3)
    assert [f.name for f in files] == [f'sample_{i}_{k}.jpg' for i in ('1', 'x-2') for k in range(1, 6)]
    # nothing half-written is left
    assert sorted(p.name for p in (tmp_path/'a').iterdir()) == sorted(f.name for f in files)
    for f in files:
        with Image.open(f) as picture:
            assert picture.size == (64, 64) and picture.format == 'JPEG' and picture.mode == 'RGB'
    assert game.training and len(set(bytes_of(files))) == 10
    torch.rand(5) # the global random state plays no part
    assert bytes_of(files) == bytes_of(write_samples(game, LINES, HAIR, EYES, tmp_path/'b', seed=3))
    assert bytes_of(files) != bytes_of(write_samples(game, LINES, HAIR, EYES, tmp_path/'b', seed=4))


def test_a_learner_writes_what_its_average_draws(tmp_path):
    x, y = batch(8)
    learn = GameLearner(DataLoaders(Batches(x, y[:8], bs=4), device='cpu'), small(), lr=1e-2, precision='fp32',
                        cbs=EMA(.5))
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(3)
    ours, average, last = (bytes_of(write_samples(g, LINES[:1], HAIR, EYES, tmp_path, 2))
                           for g in (learn, learn.sampler, learn.game))
    assert ours == average != last


def test_a_larger_picture_is_brought_to_the_course_size_without_losing_its_colours(tmp_path):
    class Red(nn.Module):
        def sample(self, n, y=None, z=None):
            return torch.tensor([1., -1., -1.])[None, :, None, None].expand(n, 3, 96, 96)
        device = torch.device('cpu')
    files = write_samples(Red(), LINES, HAIR, EYES, tmp_path, per_line=1)
    with Image.open(files[0]) as picture:
        assert picture.size == (64, 64) and all(abs(a - b) < 6 for a, b in zip(picture.getpixel((31, 31)), (255, 0, 0)))


def test_a_real_file_of_the_course_can_be_answered(tmp_path):
    "Its own conventions: no end on the last line, either half alone, and either order."
    lines = read(tmp_path, '1,blue hair blue eyes\n2,red hair\n3,black eyes\n4,aqua eyes purple hair')
    files = write_samples(small(), lines, HAIR, EYES, tmp_path/'samples', per_line=5)
    assert len(files) == 20 and files[-1].name == 'sample_4_5.jpg'
