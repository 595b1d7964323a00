"Laws of unpaired translation: published nets, named terms, a pool that forgets at random, runs that go on bit for bit."
import subprocess, sys
from pathlib import Path

import pytest
import torch
from fastai.data.core import DataLoaders
from fastai.torch_core import set_seed
from torch import nn

from dlcv_gan.worlds.animals import animal_factors, draw_animals
from dlcv_gan.models.cyclegan import CycleGAN, build_cyclegan, window_error
from dlcv_gan.data.loaders import Batches, Unpaired
from dlcv_gan.data.pictures import to_float
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import Adaptive
from dlcv_gan.nets import count_parameters
from dlcv_gan.residual import ImagePool, PatchDiscriminator, ResNetGenerator
from dlcv_gan.scores import measure_translations

def noise(n, seed): return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed))*2 - 1
def loaders(n=10, m=7, bs=2):
    return Unpaired(*(Batches(noise(k, s), bs=bs, seed=s, device='cpu') for s, k in enumerate((n, m))))
def learner(**kwargs):
    set_seed(0)
    return GameLearner(DataLoaders(loaders()), build_cyclegan(32, 4, 1, pool=3, **kwargs), lr=1e-3, cbs=EMA(.9),
                       precision='fp32')
def play(learn, n):
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(n)
    return learn

def test_parameter_counts_are_the_published_ones():
    assert count_parameters(ResNetGenerator()) == 11_378_179
    assert count_parameters(ResNetGenerator(blocks=6)) == 7_837_699
    assert count_parameters(PatchDiscriminator()) == 2_764_737

@pytest.mark.parametrize('halvings, side', [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_a_score_sees_a_patch_of_that_side(halvings, side):
    D = PatchDiscriminator(2, halvings)
    # its statistics see the whole picture
    D.layers = nn.Sequential(*(m for m in D.layers if not isinstance(m, nn.InstanceNorm2d)))
    x = torch.randn(1, 3, 192, 192, requires_grad=True)
    scores = D(x)
    scores[0, scores.shape[1]//2, scores.shape[2]//2].backward()
    rows, columns = (torch.nonzero(x.grad[0].abs().sum((0, d))).flatten() for d in (2, 1))
    assert rows[-1] - rows[0] + 1 == columns[-1] - columns[0] + 1 == side

@pytest.mark.parametrize('size', [32, 36, 64])
def test_generators_keep_shape_and_range(size):
    x = noise(2, 0)[..., :1, :1].expand(2, 3, size, size) if size > 32 else noise(2, 0)
    y = ResNetGenerator(4, 1)(x)
    assert y.shape == x.shape and y.abs().max() <= 1

def test_a_copying_generator_with_no_last_layer_copies():
    G = ResNetGenerator(4, 1, copy=True)
    for p in G.layers[-1].parameters(): nn.init.zeros_(p)
    assert (G(noise(2, 0)) - .97*noise(2, 0)).abs().max() < 1e-5


# --- the loader -----------------------------------------------------------------------------------------------------

def test_two_domains_go_in_step_and_the_shorter_begins_anew():
    both, (a, b) = loaders(), (Batches(noise(n, s), bs=2, seed=s, device='cpu') for s, n in enumerate((10, 7)))
    assert len(both) == 5 and len(b) == 3
    served = [pair for _ in range(3) for pair in both]
    assert len(served) == 15 and both.position == 15
    for i, (x, y) in enumerate(served):
        a.position = b.position = i
        assert torch.equal(x, a.one_batch()[0]) and torch.equal(y, b.one_batch()[0])

@pytest.mark.parametrize('at', [1, 5, 6, 13])
def test_a_position_is_where_it_goes_on(at):
    both = loaders()
    whole = [pair for _ in range(4) for pair in both]
    again = loaders(); again.position = at
    rest = list(again)
    assert len(rest) == 5 - at % 5 and again.position == at + len(rest)
    for pair, same in zip(rest, whole[at:]): assert all(map(torch.equal, pair, same))

def test_domains_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='same bs'):
        Unpaired(Batches(noise(4, 0), bs=2, device='cpu'), Batches(noise(4, 0), bs=1, device='cpu'))
    with pytest.raises(ValueError, match='same device'):
        Unpaired(Batches(noise(4, 0), bs=2, device='cpu'), Batches(noise(4, 0), bs=2, device='meta'))


# --- the pool -------------------------------------------------------------------------------------------------------

def test_a_pool_returns_what_it_gets_until_it_is_full():
    torch.manual_seed(0)
    pool, x = ImagePool((1,), 6), torch.arange(9.)[:, None]
    for i in range(0, 6, 2): assert torch.equal(pool(x[i:i + 2]), x[i:i + 2]) and pool.count == i + 2
    assert torch.equal(pool.items, x[:6])

@pytest.mark.parametrize('n', [1, 3, 5])
def test_a_full_pool_swaps_half_and_loses_nothing(n):
    torch.manual_seed(0)
    pool, fresh, ages, steps = ImagePool((1,), 5), 0, [], 2000
    inside = []
    for i in range(steps):
        x = torch.arange(float(i*n), i*n + n)[:, None]
        out = pool(x)
        inside = sorted(inside + x.flatten().tolist())
        if i >= 5: fresh += (out == x).sum().item(); ages += (x - out)[out != x].tolist()
        for v in out.flatten().tolist():
            if v in inside and v not in pool.items.flatten().tolist(): inside.remove(v)
        kept = pool.items[:pool.count].flatten().tolist()
        assert len(set(kept)) == len(kept), 'something is twice in the pool'
        assert set(kept) <= set(inside), 'something came from nowhere'
        inside = kept
    assert abs(fresh/((steps - 5)*n) - .5) < .04
    assert 7 < sum(ages)/len(ages) < 14 # every second item swaps into one of 5 places: 10 items old on average

def test_a_batch_larger_than_the_pool_is_refused():
    with pytest.raises(ValueError, match='do not fit'): ImagePool((1,), 2)(torch.zeros(3, 1))

def test_a_pool_half_full_takes_a_batch_that_overflows_it():
    torch.manual_seed(0)
    for _ in range(50):
        pool = ImagePool((1,), 5)
        pool(torch.arange(3.)[:, None])
        out, x = pool(torch.arange(3., 7.)[:, None]), torch.arange(3., 7.)
        assert torch.equal(out[:2].flatten(), x[:2])
        assert sorted(out.flatten().tolist() + pool.items.flatten().tolist())[-2:] and pool.count == 5
        kept = pool.items.flatten().tolist()
        assert len(set(kept)) == 5 and {3., 4.} <= set(kept)


# --- the game -------------------------------------------------------------------------------------------------------

class Same(nn.Module):
    def __init__(self): super().__init__(); self.unused = nn.Parameter(torch.zeros(1))
    def forward(self, x): return x

def test_identity_generators_pay_for_neither_cycle_nor_identity():
    game = CycleGAN(Same(), Same(), PatchDiscriminator(4, 1), PatchDiscriminator(4, 1), (3, 32, 32))
    terms = game.loss('generators', noise(2, 0), noise(2, 1))
    assert terms['cycle'] == terms['identity'] == 0 and terms['adversarial'] > 0

def test_terms_have_the_printed_weights():
    class Add(nn.Module):
        def __init__(self, d): super().__init__(); self.d = nn.Parameter(torch.tensor(d))
        def forward(self, x): return x + self.d
    class Constant(nn.Module):
        def __init__(self, s): super().__init__(); self.s = nn.Parameter(torch.tensor(s))
        def forward(self, x): return self.s.expand(len(x), 2, 2)
    game = CycleGAN(Add(.1), Add(.2), Constant(.5), Constant(0.), (3, 32, 32), cycle=10., identity=.5)
    terms = game.loss('generators', noise(2, 0), noise(3, 1))
    assert terms['adversarial'].item() == pytest.approx(.25 + 1)         # (s - 1)^2 of either domain
    assert terms['cycle'].item() == pytest.approx(10*(.3 + .3), rel=1e-5) # there and back adds .3, both ways
    assert terms['identity'].item() == pytest.approx(5*(.2 + .1), rel=1e-5)
    terms = game.loss('discriminators', noise(2, 0), noise(3, 1))
    assert terms['a'].item() == pytest.approx((.25 + .25)/2) and terms['b'].item() == pytest.approx(.5)
    game = CycleGAN(Add(.1), Add(.2), Constant(.5), Constant(0.), (3, 32, 32), cycle=0)
    assert set(game.loss('generators', noise(2, 0), noise(2, 1))) == {'adversarial'}

def test_each_player_owns_its_networks_and_moves_only_them():
    learn = learner()
    before = {k: v.clone() for k, v in learn.game.named_parameters()}
    learn.schedule = learn.schedule.__class__(('discriminators',))
    play(learn, 1)
    moved = {k.split('.')[0] for k, v in learn.game.named_parameters() if not torch.equal(v, before[k])}
    assert moved == {'d_a', 'd_b'}

def test_validation_leaves_the_pools_alone():
    game = build_cyclegan(32, 4, 1, pool=4).eval()
    game.loss('discriminators', noise(2, 0), noise(2, 1))
    assert game.pool_a.count == game.pool_b.count == game.shelf.count == 0

def test_one_domain_alone_is_refused():
    game = build_cyclegan(32, 4, 1)
    for batch in ((noise(2, 0),), (noise(2, 0), torch.zeros(2, 13))):
        with pytest.raises(ValueError, match='Unpaired'): game.loss('generators', *batch)

def test_translation_goes_both_ways_and_disturbs_nothing():
    learn = play(learner(), 2)
    game, x = learn.game, noise(5, 3)
    assert torch.allclose(game.translate(x, bs=2), game.translate(x), atol=1e-4) and game.ab.training
    assert not torch.equal(game.translate(x, 'a'), game.translate(x, 'b'))
    assert torch.allclose(learn.sample(5, z=x), learn.sampler.translate(x), atol=1e-4)
    with pytest.raises(ValueError, match='A to B'): game.translate(x, 'zebra')

def test_what_changed_where_is_told_apart():
    x, where = torch.zeros(2, 3, 32, 32), torch.zeros(2, 32, 32)
    where[:, :16] = 255
    y = x.clone(); y[0, :, :16] = .5; y[1, :, 16:] = .25
    table = measure_translations(x, y, where, truth=torch.where(where[:, None] > 0, .5, 0.).expand_as(x))
    assert table.on_animal.tolist() == [.5, 0] and table.beside.tolist() == [0, .25]
    assert table.error.tolist() == [0, .375] and table.idle.tolist() == [.25, .25]
    assert table.unchanged.tolist() == [False, True] and table.shifted.tolist() == [False, True]


# --- an error that forgives what nobody can know ----------------------------------------------------------------------

def bars(shift, n=32, period=4): # black and white bars, upright
    x = ((torch.arange(n) + shift) % period < period//2).float()*2 - 1
    return x.expand(1, 3, n, n).clone()

@pytest.mark.parametrize('size', [32, 36])
def test_windows_of_one_pixel_are_the_pixel_error(size):
    x, y = torch.rand(3, 3, size, size), torch.rand(3, 3, size, size)
    assert torch.allclose(window_error(x, y), (x - y).abs().mean((1, 2, 3)))

@pytest.mark.parametrize('window', [2, 4, 7, 8, 32])
def test_the_window_error_is_a_distance_between_the_pixels_and_their_means(window):
    x, y = noise(5, 0), noise(5, 1)*.5
    def means(v): return nn.functional.avg_pool2d(v, window, max(1, window//2))
    assert torch.equal(window_error(x, y, window), window_error(y, x, window)) and not window_error(x, x, window).any()
    aligned = nn.functional.avg_pool2d((x - y).abs(), window, max(1, window//2)).mean((1, 2, 3))
    assert (window_error(x, y, window) <= aligned + 1e-6).all(), 'sorting can only bring values together'
    of_means = (means(x) - means(y)).abs().mean((1, 2, 3))
    assert (window_error(x, y, window) >= of_means - 1e-6).all(), 'and not nearer than their means'

def test_shuffling_inside_a_window_is_free_and_across_windows_is_not():
    x = noise(2, 0)
    inside = x.unflatten(2, (4, 8)).flip(3).flatten(2, 3).unflatten(3, (4, 8)).flip(4).flatten(3, 4)
    assert window_error(x, x.flip(2, 3), 32).max() < 1e-6 and window_error(x, inside)[0] > .5
    dark, light = torch.full((1, 3, 32, 32), -1.), torch.full((1, 3, 32, 32), 1.)
    halves = torch.cat([dark[..., :16], light[..., :16]], 3)
    assert window_error(halves, halves.flip(3), 8) > 1.5

def test_windows_overlap_so_that_no_border_is_left_out():
    x = torch.zeros(1, 3, 36, 36); y = x.clone(); y[..., -1] = 1
    assert window_error(x, y, 8) > 0 and window_error(x.mT, y.mT, 8) > 0

def test_shifted_stripes_are_right_and_grey_ones_are_not():
    truth, shifted, grey = bars(0), bars(2), torch.zeros(1, 3, 32, 32)
    assert window_error(shifted, truth) == 2 and window_error(grey, truth) == 1
    assert window_error(shifted, truth, 8) == 0 and window_error(grey, truth, 8) == 1
    assert window_error(.5*shifted, truth, 8) == .5 # faint stripes are half right

def test_the_nearest_of_several_truths_counts():
    y, truths = noise(4, 0), torch.stack([noise(4, 1), noise(4, 2), noise(4, 3)], 1)
    for window in (1, 8):
        each = torch.stack([window_error(y, t, window) for t in truths.unbind(1)])
        assert torch.equal(window_error(y, truths, window), each.min(0).values)
        assert not window_error(truths[:, 2], truths, window).any()

def test_a_zebra_is_far_from_its_horse_in_every_coat():
    f = animal_factors(6, 3)
    x = to_float(draw_animals(6, size=32, zebra=1, factors=f))
    coats = torch.stack([to_float(draw_animals(6, size=32, zebra=0, factors=f | dict(coat=0*f['coat'] + (k + .5)/8)))
                         for k in range(8)], 1)
    assert (window_error(x, coats, 4) > .02).all() and window_error(coats[:, 5], coats, 4).max() == 0
    assert len(coats[0].unique(dim=0)) == 8, 'eight coats were drawn'

half = """
import sys; sys.path.insert(0, {tests!r})
from test_cyclegan import *
learn = learner()
if {start!r}: learn.load({start!r})
play(learn, {rounds}).save({end!r})
"""

@pytest.mark.parametrize('n', [4]) # 5 rounds an epoch of A, 3 of B: the second half starts in the middle of both
def test_two_halves_in_two_processes_equal_the_whole_bit_for_bit(tmp_path, n):
    def run(start, rounds, end):
        code = half.format(tests=str(Path(__file__).parent), start=start and str(tmp_path/start), rounds=rounds,
                           end=str(tmp_path/end))
        subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, cwd=tmp_path)
        return torch.load(tmp_path/end, weights_only=True)
    run(None, n, 'half.pth')
    resumed, whole = run('half.pth', n, 'resumed.pth'), run(None, 2*n, 'whole.pth')
    assert whole['game']['pool_a.count'] == 3 and whole['rounds'] == 2*n
    for part in ('game', 'random'): # the random state is a law of its own: the pool draws from it
        for k, v in whole[part].items():
            if isinstance(v, torch.Tensor): assert torch.equal(v, resumed[part][k]), f'{part}.{k}'
    for k, v in whole['callbacks']['ema']['game'].items():
        assert torch.equal(v, resumed['callbacks']['ema']['game'][k]), k


# --- what the discriminators note, and their one pass ---------------------------------------------------------------

def test_one_rank_for_both_discriminators_moves_an_adaptive_schedule():
    game = build_cyclegan(32, 4, 1, pool=3)
    game.loss('discriminators', noise(2, 0), noise(2, 1))
    assert game.notes['rank'] == (game.notes['rank_a'] + game.notes['rank_b'])/2
    set_seed(0)
    learn = play(GameLearner(DataLoaders(loaders()), build_cyclegan(32, 4, 1, pool=3), precision='fp32',
                             schedule=Adaptive(players=('discriminators', 'generators'))), 2)
    heard, first = .75, learn.history['discriminators.rank'].dropna()
    for rank in first: heard += .1*(rank - heard)
    assert learn.state[0].item() == pytest.approx(heard, abs=1e-5) != .75


def test_real_and_fake_pass_a_discriminator_together_unless_it_mixes_them():
    game = build_cyclegan(32, 4, 1, pool=3).eval() # no pool between the two ways
    assert game.one_pass
    together = game.loss('discriminators', noise(2, 0), noise(2, 1))
    game.one_pass = False
    apart = game.loss('discriminators', noise(2, 0), noise(2, 1))
    for domain in 'ab': assert torch.allclose(together[domain], apart[domain], rtol=1e-5)
    game.one_pass = True
    game.d_b = nn.Sequential(nn.Conv2d(3, 1, 4, 4), nn.BatchNorm2d(1), nn.Flatten())
    assert not game.one_pass
