"Laws of the loader: what is served is a function of (seed, position), however it is stored, shared or stopped."
import pickle, random, threading, warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastai.data.core import DataLoaders
from hypothesis import given, settings, strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from toys import quiet, ring_learner

from dlcv_gan.data.loaders import Batches, Unpaired, peek, picture_loaders, turn_pictures
from dlcv_gan.data.pictures import Pictures, to_float, to_uint8

law = settings(max_examples=40, deadline=None)
sizes, batch_sizes, seeds = st.integers(4, 40), st.integers(1, 9), st.integers(0, 2**40)


def pictures(n, h=6, w=6): return np.random.default_rng(n).integers(0, 256, (n, h, w, 3), np.uint8)


@pytest.fixture(scope='module')
def mapped(tmp_path_factory):
    "The same pictures in a file."
    path = tmp_path_factory.mktemp('map')/'x.npy'
    np.save(path, pictures(40))
    return np.load(path, mmap_mode='r')


def loader(items, labels=None, **kwargs): return Batches(items, labels, device='cpu', **kwargs)
def same(a, b):
    return len(a) == len(b) and all(torch.equal(s, t) for x, y in zip(a, b) for s, t in zip(x, y, strict=True))


@law
@given(sizes, batch_sizes, seeds, st.booleans())
def test_each_epoch_visits_each_item_once(n, bs, seed, drop_last):
    bs = min(bs, n)
    dl = loader(torch.arange(n, dtype=torch.float32), bs=bs, seed=seed, drop_last=drop_last)
    assert len(dl) == (n//bs if drop_last else -(-n//bs))
    for epoch in range(3):
        batches = [x for x, in dl]
        seen = torch.cat(batches).tolist()
        assert len(batches) == len(dl) and len(set(seen)) == len(seen) and set(seen) <= set(range(n))
        assert len(seen) == (n//bs*bs if drop_last else n) and dl.position == len(dl)*(epoch + 1)


def test_epochs_and_seeds_differ():
    dl = loader(torch.arange(100.), bs=100)
    a, b = [x.tolist() for x, in dl], [x.tolist() for x, in dl]
    assert a != b and a != [x.tolist() for x, in loader(torch.arange(100.), bs=100, seed=1)]
    flat = loader(torch.arange(10.), bs=3, shuffle=False, drop_last=False)
    for _ in range(2): assert torch.cat([x for x, in flat]).tolist() == list(range(10))


@law
@given(sizes, batch_sizes, seeds, st.integers(0, 60), st.booleans(), st.booleans())
def test_resuming_anywhere_gives_the_same_continuation(n, bs, seed, stop, flip, resident):
    args = dict(labels=np.arange(n), bs=min(bs, n), seed=seed, flip=flip, rotate=20. if flip else 0., resident=resident)
    whole, items = loader(pictures(n), **args), pictures(n)
    run = [b for _ in range(3) for b in whole]
    stop %= len(run)
    resumed = loader(items, **args); resumed.position = stop
    rest = list(resumed)
    assert len(rest) == len(whole) - stop%len(whole)
    while resumed.position < len(run): rest += list(resumed)
    assert same(rest, run[stop:])


def test_breaking_off_counts_what_was_handed_out():
    dl = loader(torch.arange(10.), bs=2)
    for i, _ in enumerate(dl):
        assert dl.position == i + 1 and dl.remaining == (5 - dl.position or 5)
        if i == 2: break
    assert len(list(dl)) == 2 and dl.position == 5 and dl.remaining == 5


@law
@given(st.integers(0, 2**40), st.integers(1, 40))
def test_streaming_and_resident_give_identical_batches(mapped, seed, bs):
    args = dict(labels=np.arange(40), bs=bs, seed=seed, flip=True, rotate=30., drop_last=False)
    assert same(list(loader(mapped, resident=True, **args)), list(loader(mapped, resident=False, **args)))


def test_stopping_a_stream_leaves_no_thread_and_errors_come_through(mapped):
    before = threading.active_count()
    for _ in loader(mapped, bs=2, resident=False): break
    it = iter(loader(mapped, bs=2, resident=False)); next(it); it.close()
    assert threading.active_count() == before
    dl = loader(mapped, bs=2, resident=False); dl.items = mapped[:3]
    with pytest.raises(IndexError): list(dl)


@law
@given(st.integers(1, 4), st.integers(1, 5), seeds, st.booleans(), st.integers(0, 7))
def test_ranks_together_serve_the_single_rank_batch(world, bs, seed, flip, position):
    args = dict(labels=np.arange(23), seed=seed, flip=flip, rotate=15. if flip else 0.)
    one = loader(pictures(23), bs=bs*world, **args)
    ranks = [loader(pictures(23), bs=bs, rank=r, world=world, **args) for r in range(world)]
    for dl in (one, *ranks): dl.position = position
    for whole, *parts in zip(one, *ranks, strict=True):
        assert all(len(p[0]) == bs for p in parts)
        for i in range(2): assert torch.equal(torch.cat([p[i] for p in parts]), whole[i])
    assert {dl.position for dl in ranks} == {one.position}


def test_uneven_last_step_over_ranks():
    ranks = [loader(torch.arange(11.), bs=2, rank=r, world=2, drop_last=False, shuffle=False) for r in range(2)]
    assert sorted(torch.cat([x for dl in ranks for x, in dl]).tolist()) == list(range(11))
    with pytest.raises(ValueError, match='1 items for 2 ranks'):
        loader(torch.arange(9.), bs=2, rank=0, world=2, drop_last=False)


@pytest.mark.parametrize('resident', [True, False])
def test_global_random_state_is_untouched(mapped, resident):
    torch.manual_seed(1); np.random.seed(1); random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    dl = loader(mapped, bs=8, flip=True, rotate=10., resident=resident); first = list(dl); dl.one_batch()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1]) and random.getstate() == before[2]
    torch.manual_seed(99); np.random.seed(99)
    assert same(list(loader(mapped, bs=8, flip=True, rotate=10., resident=resident)), first)


# --- pixels and augmentation

@law
@given(sizes, seeds)
def test_flip_gives_each_picture_or_its_mirror(n, seed):
    items = pictures(n)
    (x, y), = loader(items, np.arange(n), bs=n, seed=seed, flip=True)
    original = to_float(items)[y.long()]
    assert all(torch.equal(a, b) or torch.equal(a.flip(2), b) for a, b in zip(x, original))


def test_flips_are_fair_and_change_with_the_position():
    items = pictures(400, 2, 5)
    dl = loader(items, np.arange(400), bs=400, flip=True)
    flipped = []
    for _ in range(2):
        (x, y), = dl
        flipped.append((x != to_float(items)[y.long()]).flatten(1).any(1)[y.argsort()])
    assert all(150 < f.sum() < 250 for f in flipped) and not torch.equal(*flipped)


def test_no_augmentation_is_exact_and_channels_last():
    items = pictures(12)
    (x, y), = loader(items, np.arange(12), bs=12)
    assert np.array_equal(to_uint8(x).numpy(), items[y.long()]) and y.dtype == torch.float32 and y.shape == (12,)
    for dl in (loader(items, bs=4), loader(items, bs=4, flip=True, rotate=5.)):
        x, = dl.one_batch()
        assert x.shape == (4, 3, 6,
                           6) and x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('quarter', range(4))
def test_quarter_turns_are_exact(quarter):
    x = to_float(pictures(3, 7, 7))
    turned = turn_pictures(x, torch.full((3,), 90.*quarter))
    assert torch.allclose(turned, x.rot90(quarter, (2, 3)), atol=1e-4)


@pytest.mark.parametrize('size', [8, 33, 64, 96, 128])
def test_turning_repeats_the_border(size, monkeypatch):
    "Clamped coordinates are what padding_mode='border' looks up; MPS, which has no such mode, turns alike."
    x, angles = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(0))*2 - 1, [5., -40., 90., 133.]
    a = torch.deg2rad(torch.tensor(angles))
    theta = torch.stack([torch.stack([a.cos(), -a.sin(), 0*a], 1), torch.stack([a.sin(), a.cos(), 0*a], 1)], 1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    border = F.grid_sample(x, grid, padding_mode='border', align_corners=False)
    sample = F.grid_sample
    def on_mps(*args, padding_mode='zeros', **kwargs):
        if padding_mode == 'border': raise RuntimeError('MPS: Unsupported Border padding mode')
        return sample(*args, padding_mode=padding_mode, **kwargs)
    monkeypatch.setattr(F, 'grid_sample', on_mps)
    assert (turn_pictures(x, torch.tensor(angles)) - border).abs().max() < (1e-6 if size in (8, 33, 64, 128) else 5e-6)


def test_turning_keeps_circles_round_and_corners_filled():
    yy, xx = torch.meshgrid(torch.arange(40.), torch.arange(60.), indexing='ij')
    disc = torch.exp(-((yy - 19.5)**2 + (xx - 29.5)**2)/80)[None, None]
    for angle in (17., 45., 90.):                                        # an ellipse would not map onto itself
        assert (turn_pictures(disc, torch.tensor([angle])) - disc).abs().max() < .02
    assert turn_pictures(torch.ones(1, 3, 9, 9), torch.tensor([33.])).min() > .999
    bar = torch.exp(-((yy - 19.5)**2/80 + (xx - 29.5)**2/9))[None, None]
    there = turn_pictures(bar, torch.tensor([20.]))
    assert (there - bar).abs().max() > .2 and (turn_pictures(there, torch.tensor([-20.])) - bar).abs().max() < .06


def test_angles_stay_within_the_bound():
    ramp = np.zeros((64, 33, 33, 1), np.uint8); ramp[:, 16:, :] = 255               # an edge through the middle
    (x,), = loader(ramp, bs=64, rotate=10.)
    # the edge's height on either side
    right, left = (x[:, 0, :, 26] + 1).sum(1)/2, (x[:, 0, :, 6] + 1).sum(1)/2
    angle = torch.rad2deg(torch.atan((right - left)/20))
    assert angle.abs().max() < 10.5 and angle.max() > 5 and angle.min() < -5


def test_floats_pass_as_they_are():
    points = torch.randn(9, 2)
    (x,), = loader(points, bs=9, shuffle=False)
    assert torch.equal(x, points)
    (x,), = loader(points.double().numpy(), bs=9, shuffle=False)
    assert x.dtype == torch.float32 and torch.allclose(x, points)
    (x,), = loader([[1., 2.], [3., 4.]], bs=2, shuffle=False)
    assert x.tolist() == [[1, 2], [3, 4]]
    boards = torch.randn(5, 1, 8, 8)
    (x,), = loader(boards, bs=5, shuffle=False, flip=True)
    assert all(torch.equal(a, b) or torch.equal(a.flip(2), b) for a, b in zip(x, boards))


def test_serving_changes_nothing_in_the_source():
    items = pictures(8); copy = items.copy(); points = torch.ones(8, 2)
    for x, in loader(items, bs=4, flip=True): x.zero_()
    for x, in loader(points, bs=4): x.zero_()
    assert np.array_equal(items, copy) and (points == 1).all()


# --- faults

@pytest.mark.parametrize('items,kwargs,says', [
    (pictures(4), dict(bs=0), 'bs is 0'), (pictures(4), dict(bs=2.5), 'bs is 2.5'),
    (pictures(4), dict(bs=5), 'Take bs <= 4'),
    (pictures(4), dict(bs=3, world=2), 'Take bs <= 2'), (pictures(4), dict(bs=1, rank=2, world=2), 'rank 2 of world 2'),
    (pictures(4), dict(bs=2, labels=np.zeros(3)), '4 items but 3 labels'),
    (pictures(4), dict(bs=2, rotate=-1), 'rotate is -1'),
    (pictures(4), dict(bs=2, seed=-1), 'seed is -1'), (torch.zeros(4, 2), dict(bs=2, flip=True), 'for pictures'),
    (pictures(4).transpose(0, 3, 1, 2), dict(bs=2), 'channels last'),
    (np.zeros((4, 6, 6), np.uint8), dict(bs=2), 'channels last'),
    (np.zeros((4, 2), int), dict(bs=2), 'int64'), (pictures(4)[:0], dict(bs=2), 'no items'),
    ('hw4_data', dict(bs=2), '`open_pictures` reads a folder'), ([object()], dict(bs=1), '`from_torchvision`'),
    (torch.tensor([[0., 1.], [2., np.nan]]), dict(bs=2), 'item 1 is not finite')])
def test_what_cannot_work_is_refused_at_once(items, kwargs, says):
    with pytest.raises(ValueError, match=says): loader(items, **kwargs)


def test_whole_numbers_of_numpy_will_do():
    dl = loader(torch.arange(8.), bs=np.int64(2), seed=np.int64(3)); dl.position = np.int64(1)
    assert same([dl.one_batch()], [list(loader(torch.arange(8.), bs=2, seed=3))[1]])


def test_position_is_checked():
    dl = loader(torch.arange(4.), bs=2)
    for bad in (-1, 1.5, None):
        with pytest.raises(ValueError, match='position'): dl.position = bad
    with pytest.raises(ValueError, match='position'): loader(torch.arange(4.), bs=2, shuffle=False).position = 1


def test_bs_larger_than_n_without_drop_last():
    dl = loader(torch.arange(3.), bs=64, drop_last=False)
    assert len(dl) == 1 and sorted(dl.one_batch()[0].tolist()) == [0, 1, 2]


# --- inside fastai

def test_new_shares_what_is_loaded_and_changes_what_is_asked(mapped):
    dl = loader(Pictures(mapped, np.arange(40, dtype=np.uint8)[:, None], ['i']), bs=8, resident=True, flip=True, seed=4)
    next(iter(dl))
    plain = dl.new(shuffle=False, drop_last=False, flip=False)
    assert plain._data is dl._data and (plain.bs, plain.seed, plain.position) == (8, 4, 0) and dl.position == 1
    assert torch.cat([y for _, y in plain]).flatten().tolist() == list(range(40))
    assert len(dl.new(pictures(9))) == 1 and len(dl.new(pictures(9)).one_batch()) == 1
    assert dl.to('cpu')._data is None


def test_a_learner_trains_validates_and_predicts():
    from fastai.callback.progress import ProgressCallback
    from fastai.learner import Learner
    from fastai.losses import BCEWithLogitsLossFlat
    train = Pictures(pictures(24), (np.arange(24)[:, None]%2).astype(np.uint8), ['odd']); valid = train[:10]
    dls = picture_loaders(train, valid, bs=8, valid_bs=4, device='cpu', flip=True)
    learn = Learner(dls, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(108, 1)), BCEWithLogitsLossFlat())
    learn.remove_cb(ProgressCallback)
    with learn.no_logging(): learn.fit(2, 1e-3)
    assert learn.dls.train.position == 6 and len(learn.recorder.losses) == 6
    assert np.isfinite(learn.recorder.values[-1]).all()
    assert learn.dls.bs == 8 and learn.dls.n == 24
    assert learn.dls.device == torch.device('cpu') and learn.dls.train_ds is train
    preds, targets = learn.get_preds()
    assert preds.shape == (10, 1) and targets.flatten().tolist() == valid.labels.flatten().tolist()
    assert len(learn.get_preds(ds_idx=0)[0]) == 24


def test_without_validation():
    dls = picture_loaders(pictures(8), bs=4, device='cpu')
    assert len(dls.train) == 2 and len(dls.valid) == 0 and list(dls.valid) == [] and len(dls.one_batch()) == 1
    with pytest.raises(ValueError, match='no batches'): dls.valid.one_batch()
    assert picture_loaders(pictures(8), pictures(5), bs=4, device='cpu').valid.shuffle is False


def test_peeking_leaves_the_loader_where_it_was():
    learn = ring_learner()
    quiet(learn, learn.fit_rounds, 3)
    position, state = learn.dls.train.position, torch.get_rng_state()
    x, = peek(learn.dls.train, 40)
    assert len(x) == 40 and learn.dls.train.position == position and torch.equal(torch.get_rng_state(), state)


# --- nothing crosses to the device inside an epoch

class Copies(TorchDispatchMode):
    "Counts tensors that go from the CPU to another device, and what makes the host wait for one."
    def __init__(self): super().__init__(); self.found = []
    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        out = f(*args, **(kwargs or {}))
        def there(x): return {t.device.type for t in torch.utils._pytree.tree_leaves(x) if isinstance(t, torch.Tensor)}
        wait = any(s in str(f) for s in ('_local_scalar_dense', 'nonzero', 'masked_select', 'equal'))
        if wait or 'cpu' in there((args, kwargs)) and there(out) - {'cpu'}: self.found.append(str(f))
        return out


@pytest.mark.parametrize('pair', [False, True])
def test_inside_an_epoch_nothing_is_copied_to_the_device(pair):
    def make(n, seed):
        return Batches(pictures(n), np.arange(n)[:, None], bs=4, flip=True, rotate=9., seed=seed, device='meta',
                       resident=True)
    dl = Unpaired(make(40, 0), make(40, 1)) if pair else make(40, 0)
    for epoch in range(2):
        batches = iter(dl)
        with Copies() as start: next(batches)
        # an epoch's order, flips and turns; the data and their labels once
        assert len(start.found) == (1 + pair)*(3 if epoch else 5)
        with Copies() as inside: rest = list(batches)
        assert len(rest) == 9 and not inside.found, inside.found


def test_augmentation_does_not_depend_on_the_batch_size():
    "Who is mirrored and how far one is turned belongs to a place in the epoch's order."
    args = dict(labels=np.arange(12), flip=True, rotate=25., seed=5)
    for a, b in zip(zip(*loader(pictures(12), bs=3, **args)), zip(*loader(pictures(12), bs=12, **args))):
        assert torch.allclose(torch.cat(a), torch.cat(b), atol=1e-6)


def test_the_order_is_the_one_of_earlier_runs():
    assert [x.tolist() for x, in loader(torch.arange(6.), bs=3, seed=7)] == [[1, 2, 4], [3, 5, 0]]


def test_the_reading_thread_calls_nothing_of_cuda(mapped, monkeypatch):
    "A capture of a CUDA graph forbids that to every thread."
    who = []
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda t: who.append(threading.current_thread()) or t)
    dl = loader(mapped, np.arange(40), bs=8, resident=False)
    dealt, dl._device = dl._deal(0), torch.device('cuda')
    if torch.cuda.is_available(): assert len(list(dl._stream(range(5), dealt))) == 5
    else: # three batches are read, the first is on its way
        with pytest.raises((AssertionError, RuntimeError)): next(dl._stream(range(5), dealt))
    assert who and set(who) == {threading.main_thread()}


# --- shared and emptied

def test_a_loader_is_shared_in_place():
    args = dict(labels=np.arange(23), seed=3, flip=True)
    one = loader(pictures(23), bs=6, **args)
    ranks = [loader(pictures(23), bs=3, **args) for _ in range(2)]
    for r, dl in enumerate(ranks): assert dl.share(r, 2) is None and dl.bs == 3 and len(dl) == len(one)
    for whole, *parts in zip(one, *ranks, strict=True):
        for i in range(2): assert torch.equal(torch.cat([p[i] for p in parts]), whole[i])
    with pytest.raises(ValueError, match='Take bs <= 2'): ranks[0].share(0, 9)
    assert (ranks[0].rank, ranks[0].world) == (0, 2)


def test_two_domains_and_pairs_of_loaders_are_shared():
    def make(bs): return Unpaired(loader(pictures(24), bs=bs), loader(pictures(16), bs=bs, seed=1))
    one, ranks = make(4), [make(2), make(2)]
    for r, dl in enumerate(ranks): dl.share(r, 2)
    for whole, *parts in zip(one, *ranks, strict=True):
        for i in range(2): assert torch.equal(torch.cat([p[i] for p in parts]), whole[i])
    with pytest.raises(ValueError, match='16 items'): ranks[0].share(0, 12)
    assert (ranks[0].a.world, ranks[0].b.world) == (2, 2)
    dls = picture_loaders(pictures(8), pictures(5), bs=2, device='cpu')
    dls.share(1, 2)
    assert len(dls.train) == 2 and dls.train.rank == 1 and dls.valid.world == 1


def test_what_is_exported_holds_no_data(mapped):
    big = torch.zeros(40_000, 2)
    labelled = Pictures(mapped, np.arange(40, dtype=np.uint8)[:, None], ['i'])
    for dl in (loader(big, bs=8), loader(labelled, bs=8, flip=True), loader(mapped, bs=8),
               Unpaired(loader(mapped, bs=2), loader(mapped[:30], bs=2))):
        next(iter(dl))
        empty = pickle.dumps(dl.new_empty())
        again = pickle.loads(empty)
        assert len(empty) < 4000 and len(again) == 0 and list(again) == [] and again.bs == dl.bs
    assert loader(labelled, bs=8).new_empty().dataset.attributes == ['i']
    dls = pickle.loads(pickle.dumps(picture_loaders(labelled, labelled, bs=8, device='cpu').new_empty()))
    assert [len(dl) for dl in dls.loaders] == [0, 0] and dls.train.bs == 8


def test_a_loader_with_its_data_is_pickled_too():
    dl = loader(pictures(8), bs=2, flip=True); next(iter(dl))
    again = pickle.loads(pickle.dumps(dl))
    assert again.position == 1 and same(list(again), list(dl))


# --- fastai's words

def test_new_takes_the_words_of_fastai():
    dl = loader(pictures(9), bs=4)
    flat = dl.new(shuffled=False, drop_last=False, num_workers=0, pin_memory=True, batch_size=5)
    assert (flat.shuffle, flat.bs, len(flat)) == (False, 5, 2) and len(dl.new(bs=3)) == 3
    with pytest.raises(TypeError): dl.new(nonsense=1)
    both = Unpaired(dl, loader(pictures(8), bs=4)).new(shuffled=False, num_workers=2)
    assert both.a.shuffle is both.b.shuffle is both.shuffle is False


@pytest.mark.parametrize('kind', ['plain', 'attributes', 'numbers', 'unique', 'pair', 'points', 'grey'])
def test_show_batch(kind):
    import matplotlib.pyplot as plt
    y = np.eye(3, dtype=np.uint8)[np.arange(12) % 3]
    dl = dict(plain=lambda: loader(pictures(12), bs=12), numbers=lambda: loader(pictures(12), y, bs=12),
              attributes=lambda: loader(Pictures(pictures(12), y, ['a', 'b', 'c']), bs=12),
              unique=lambda: loader(Pictures(pictures(12), y, ['a', 'b', 'c']), bs=12, flip=True, rotate=20.),
              pair=lambda: Unpaired(loader(pictures(12), bs=12), loader(pictures(14), bs=12)),
              points=lambda: loader(torch.randn(12, 2), bs=12),
              grey=lambda: loader(pictures(12)[..., :1], np.arange(12.), bs=12))[kind]()
    plt.close('all')
    DataLoaders(dl, device='cpu').show_batch(max_n=4, **({'unique': True} if kind == 'unique' else {}))
    axes = plt.gcf().axes
    if kind == 'points': assert len(axes) == 1 and len(axes[0].collections[0].get_offsets()) == 4
    else:
        assert sum(len(ax.images) for ax in axes) == (8 if kind == 'pair' else 4)
        titles = [ax.get_title() for ax in axes]
        batch = dl.one_batch()
        if kind == 'attributes': assert titles == ['abc'[int(i)] for i in batch[1][:4].argmax(1)]
        if kind == 'numbers': assert titles == [str(int(i)) for i in batch[1][:4].argmax(1)]
        if kind == 'unique':
            shown = [ax.images[0].get_array() for ax in axes]
            assert len(set(titles)) == 1 and not np.allclose(shown[0], shown[1])
    plt.close('all')
    if kind == 'plain':
        ax = plt.subplots()[1]
        dl.show_batch(max_n=1, ctxs=[ax]); assert len(ax.images) == 1
        plt.close('all')


def test_validation_must_fit_training():
    eye = np.eye(2, dtype=np.uint8)[[0, 1] * 4]
    train = Pictures(pictures(8), eye, ['a', 'b'])
    for valid, says in ((pictures(8, 4, 4), 'same size'), (pictures(8), 'same columns'),
                        (Pictures(pictures(8), eye, ['b', 'a']), 'same order')):
        with pytest.raises(ValueError, match=says): picture_loaders(train, valid, bs=4, device='cpu')


def test_domains_must_fit_each_other():
    a = loader(pictures(8), bs=2)
    with pytest.raises(ValueError, match='same size'): Unpaired(a, loader(pictures(8, 4, 4), bs=2))
    with pytest.raises(ValueError, match='given twice'): Unpaired(a, a)


def test_floats_in_another_range_are_told_of():
    with pytest.warns(UserWarning, match='0 to 1'): loader(torch.linspace(0, 1, 8*3*4*4).view(8, 3, 4, 4), bs=4)
    with pytest.warns(UserWarning, match='0 to 255'): loader(np.full((8, 3, 4, 4), 255.) * np.arange(8)[:, None, None,
                                                                                                 None]/7, bs=4)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        loader(torch.rand(8, 3, 4, 4)*2 - 1, bs=4); loader(torch.rand(8, 2), bs=4); loader(pictures(8), bs=4)


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')


@cuda
@pytest.mark.parametrize('resident', [True, False])
def test_cuda_serves_what_the_cpu_serves(mapped, resident):
    args = dict(labels=np.arange(40), bs=8, flip=True, seed=3, resident=resident)
    for (a, y), (b, z) in zip(Batches(mapped, device='cuda', **args), loader(mapped, **args), strict=True):
        assert a.is_cuda and y.is_cuda and torch.allclose(a.cpu(), b, atol=1e-6) and torch.equal(y.cpu(), z)
        assert a.is_contiguous(memory_format=torch.channels_last)
