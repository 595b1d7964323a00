"A student's own loaders in a game: what is certain is converted and said, what is not is refused with a mend."
import copy, pickle, random, warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastai.data.block import CategoryBlock, DataBlock, MultiCategoryBlock, TransformBlock
from fastai.data.core import DataLoaders, TfmdDL
from fastai.data.transforms import Normalize, RandomSplitter, get_image_files, parent_label
from fastai.vision.augment import Resize, aug_transforms
from fastai.vision.core import PILImageBW, imagenet_stats
from fastai.vision.data import ImageBlock, ImageDataLoaders
from fastai.vision.gan import generate_noise
from PIL import Image
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder
from toys import quiet

from dlcv_gan.data.foreign import ForeignLoader, game_loaders
from dlcv_gan.data.loaders import GameLoaders, peek, picture_loaders
from dlcv_gan.data.pictures import Pictures, to_float
from dlcv_gan.game.base import Game
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.models.acgan import build_acgan, build_attribute_gan
from dlcv_gan.models.cyclegan import build_cyclegan
from dlcv_gan.models.flow import build_cnf
from dlcv_gan.models.gan import GAN, build_gan
from dlcv_gan.models.vae import build_vae
from dlcv_gan.nets import AttributeEmbedding, DCGANGenerator, DCGANDiscriminator, ToyDiscriminator, ToyGenerator

SIZE = 32


def vae(): return build_vae(SIZE, 2, 4)
def acgan(labels=3): return build_attribute_gan(SIZE, 4, 8, labels, 4)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "Three classes of pictures that span all bytes, at the size of the games: nothing is resampled."
    path, rng = tmp_path_factory.mktemp('classes'), np.random.default_rng(0)
    for i in range(24):
        name = path/('cat', 'dog', 'owl')[i % 3]
        name.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        pixels.reshape(-1)[:2] = 0, 255
        Image.fromarray(pixels).save(name/f'{i}.png')
    return path


def bytes_of(files): return np.stack([np.asarray(Image.open(f).convert('RGB')) for f in files])


def fastai_loaders(folder, tfms=None, bs=8, **kwargs):
    return ImageDataLoaders.from_folder(folder, valid_pct=.25, seed=0, bs=bs, batch_tfms=tfms, num_workers=0,
                                        **{'device': 'cpu', **kwargs})


def train(dls, game, rounds=2):
    learn = GameLearner(dls, game, precision='fp32')
    quiet(learn, learn.fit_rounds, rounds)
    assert learn.rounds == rounds and np.isfinite(learn.history[learn.history.attrs['terms']].to_numpy()).any()
    assert all(type(t) is torch.Tensor for t in dls.train.one_batch())
    return learn


# --- pictures

@pytest.mark.parametrize('tfms', [None, Normalize.from_stats([.5]*3, [.5]*3, cuda=False),
                                  Normalize.from_stats(*imagenet_stats, cuda=False), Normalize()],
                         ids=['none', 'tanh', 'imagenet', 'fitted'])
def test_fastai_pictures_come_in_the_range_of_games(folder, tfms, capsys):
    dls = game_loaders(fastai_loaders(folder, copy.deepcopy(tfms)), vae())
    x, *_ = next(iter(dls.valid))
    expected = to_float(bytes_of(dls.valid.dataset.items[:len(x)]))
    assert torch.allclose(x, expected, atol=1e-5) and x.is_contiguous(memory_format=torch.channels_last)
    said = capsys.readouterr().out
    assert said.count('\n') == 1 and ('pictures' in said) == (tfms is None or tfms.std is None or tfms.std.max() != .5)
    train(dls, vae())


def test_augmented_pictures_stay_in_range(folder):
    dls = game_loaders(fastai_loaders(folder, [*aug_transforms(), Normalize.from_stats(*imagenet_stats, cuda=False)]),
                       vae())
    for x, _ in dls.train: assert -1.0001 <= x.min() < -.5 and .5 < x.max() <= 1.0001


def chain(*parts): return transforms.Compose([*parts])


@pytest.mark.parametrize('last', [[], [transforms.Normalize([.5]*3, [.5]*3)], [transforms.Normalize(*imagenet_stats)],
                                  [transforms.Normalize([.2, .3, .4], [.1, .2, .3])]], ids=str)
@pytest.mark.parametrize('part', [False, True])
def test_torchvision_pictures_come_in_the_range_of_games(folder, last, part):
    data = ImageFolder(folder, chain(transforms.ToTensor(), *last))
    files = [f for f, _ in data.samples]
    if part: data = ConcatDataset([Subset(data, range(10)), Subset(data, range(10, 24))])
    dls = game_loaders(DataLoader(data, batch_size=24), acgan())
    (x, y), = dls.train
    assert torch.allclose(x, to_float(bytes_of(files)), atol=1e-5)
    assert y.tolist() == F.one_hot(torch.arange(24)//8, 3).tolist() and y.dtype == torch.float32


def values(x, y=None, bs=8, **kwargs):
    return DataLoader(TensorDataset(x, *([] if y is None else [y])), batch_size=bs, **kwargs)


PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3), dtype=np.uint8))
TARGET = to_float(PIXELS)


@pytest.mark.parametrize('x', [
    PIXELS, PIXELS.permute(0, 3, 1, 2), TARGET, TARGET.double(), TARGET.permute(0, 2, 3, 1), (TARGET + 1)/2,
    (TARGET + 1).half()/2, PIXELS.float(), PIXELS.long().permute(0, 3, 1, 2)],
    ids=['hwc', 'chw', 'ready', 'double', 'ready hwc', 'unit', 'half', 'float bytes', 'long'])
def test_every_form_of_the_same_pictures_is_the_same(x):
    got = torch.cat([b for b, in game_loaders(values(x), vae()).train])
    assert got.dtype == torch.float32 and torch.allclose(got, TARGET, atol=2e-3 if x.dtype == torch.float16 else 1e-5)


def test_bright_pictures_are_not_taken_for_another_range():
    bright = TARGET.abs() # all of it above the middle, on the grid of bytes in [-1, 1]
    x, = game_loaders(values(bright), vae()).one_batch()
    assert torch.allclose(x, bright[:8])


@pytest.mark.parametrize('x,says', [
    ((TARGET + 1)/2/.25 - 2., 'Normalize.from_stats'), (TARGET*100, r'span -100.00 to 100.00'),
    ((TARGET + 1)/2*1.02 - .01, r'game_loaders\(dls, game, span=\(0, 1\)\)'), (TARGET*torch.nan, 'NaN'),
    ((TARGET + 1)*2, 'span 0.00 to 4.00')], ids=str)
def test_a_range_that_nothing_tells_is_refused(x, says):
    with pytest.raises(ValueError, match=says): game_loaders(values(x), vae())


def test_the_user_may_say_the_range():
    x, = game_loaders(values((TARGET + 1)/2*1.02 - .01), vae(), span=(0, 1)).one_batch()
    assert torch.allclose(x, TARGET[:8]*1.02, atol=1e-5)
    x, = game_loaders(values((TARGET + 1)*2), vae(), span=(0, 4)).one_batch()
    assert torch.allclose(x, TARGET[:8], atol=1e-5)
    for bad in ((1, 0), (1,)):
        with pytest.raises(ValueError, match='span is'): game_loaders(values(TARGET), vae(), span=bad)


@pytest.mark.parametrize('fastai', [False, True])
def test_other_sizes_and_channels_are_refused_by_name(folder, fastai):
    if fastai:
        small = DataBlock(ImageBlock(PILImageBW), get_items=get_image_files, item_tfms=Resize(28),
                          splitter=RandomSplitter(.2, seed=0)).dataloaders(folder, bs=4, device='cpu', num_workers=0)
        mends = r'item_tfms=Resize\(32\) and ImageBlock\(cls=PILImage\)'
    else:
        small = values(torch.rand(8, 1, 28, 28))
        mends = r'transforms.Resize\(\(32, 32\)\) and transforms.Grayscale\(3\)'
    for game in (vae(), build_gan(SIZE, 2, 4), build_cyclegan(SIZE, 2, 1)):
        with pytest.raises(ValueError, match=r'1 channel, 28x28; .* 3 channels, 32x32. Add ' + mends):
            game_loaders(small, game)


# --- labels

def test_fastai_categories_become_columns(folder, capsys):
    dls = game_loaders(fastai_loaders(folder), acgan())
    assert capsys.readouterr().out == ('Loaders: pictures are scaled from [0, 1] to [-1, 1]; class numbers become one '
                                       'column a class, (n, 3).\n')
    x, y = next(iter(dls.valid))
    names = [parent_label(f) for f in dls.valid.dataset.items[:len(y)]]
    assert [dls.vocab[i] for i in y.argmax(1)] == names and (y.sum(1) == 1).all()
    train(dls, acgan())


def test_two_classes_may_be_one_column(folder):
    def pick(path): return [f for f in get_image_files(path) if f.parent.name != 'owl']
    dls = DataBlock((ImageBlock, CategoryBlock), get_items=pick, get_y=parent_label,
                    splitter=RandomSplitter(.25, seed=0)).dataloaders(folder, bs=4, device='cpu', num_workers=0)
    for game, columns in ((build_acgan(SIZE, 2, 8, 4), 1), (acgan(1), 1), (acgan(2), 2)):
        ours = game_loaders(dls, game)
        x, y = next(iter(ours.valid))
        dogs = [parent_label(f) == 'dog' for f in ours.valid.dataset.items[:len(y)]]
        assert y.shape == (len(x), columns) and (y[:, -1] == torch.tensor(dogs)).all()
        train(ours, game, 1)


def test_an_embedding_gets_the_class_numbers(folder):
    game = GAN(DCGANGenerator(SIZE, 2, 4, embed=AttributeEmbedding(3, 2), embedded=2),
               DCGANDiscriminator(SIZE, 2, norm=None))
    assert game_loaders(fastai_loaders(folder), game).one_batch()[1].dtype == torch.int64


def test_other_labels(folder):
    def one(y, game=None): return game_loaders(values(TARGET, y, 16), game or acgan(2)).one_batch()[1]
    ints = torch.randint(0, 2, (16, 2))
    assert one(ints).tolist() == one(ints.bool()).tolist() == one(ints.float()).tolist() == ints.float().tolist()
    assert one(ints*2 - 1).tolist() == ints.tolist() # CelebA's own file says -1 and 1
    assert one(ints[:, 0].float(), acgan(1)).shape == one(ints[:, 0].bool(), acgan(1)).shape == (16, 1)
    dls = DataBlock((ImageBlock, MultiCategoryBlock), get_items=get_image_files, get_y=lambda f: [f.parent.name],
                    splitter=RandomSplitter(.25, seed=0)).dataloaders(folder, bs=8, device='cpu', num_workers=0)
    y = game_loaders(dls, acgan()).one_batch()[1]
    assert y.dtype == torch.float32 and y.shape == (8, 3)


@pytest.mark.parametrize('y,labels,says', [
    (torch.arange(16) % 3, 3, r'F.one_hot\(y, classes\)'),
    (torch.rand(16, 5), 3, r'does not take batches \(n, 3, 32, 32\) and \(n, 5\)'),
    (None, 3, 'takes 2 tensors')])
def test_labels_that_do_not_fit_are_refused(y, labels, says):
    with pytest.raises(ValueError, match=says): game_loaders(values(TARGET, y), acgan(labels))


def test_class_numbers_in_a_column_are_class_numbers(folder):
    "As they are, the auxiliary classifier would be asked for the answer 2 to a yes-or-no question."
    y = (torch.arange(16) % 3)[:, None]
    with pytest.raises(ValueError, match='F.one_hot'): game_loaders(values(TARGET, y), acgan(1))
    data = ImageFolder(folder, transforms.ToTensor(), target_transform=lambda i: torch.tensor([i]))
    assert game_loaders(DataLoader(data, 8, shuffle=True), acgan()).one_batch()[1].shape == (8, 3)


def test_class_numbers_never_meet_conditions_by_broadcasting():
    "n class numbers against n conditions have a shape that fits, and mean nothing."
    game = build_cnf(SIZE, 4, 16, levels=2, steps=1)
    with pytest.raises(ValueError): game_loaders(values(TARGET, torch.arange(16) % 3, 16), game)


def test_games_without_conditions():
    class Plain(Game):
        def __init__(self): super().__init__(); self.net = nn.Conv2d(3, 3, 1)
        def players(self): return {'p': [self.net]}
        def loss(self, player, x): return {'l': (self.net(x) - x).square().mean()}
    dls = game_loaders(values(TARGET, torch.arange(16)), Plain())
    assert len(dls.one_batch()) == 1 and len(game_loaders(values(TARGET), vae()).one_batch()) == 1
    train(dls, Plain())
    Plain.loss = lambda self, *args: {'l': (self.net(args[1]) - args[1]).square().mean()}
    assert len(game_loaders(values(TARGET, torch.arange(16)), Plain()).one_batch()) == 2


def test_validation_s_labels_are_read_as_training_s():
    y = torch.tensor([[1, -1], [-1, 1]]*8)
    ours = game_loaders([values(TARGET, y), values(TARGET, y.flip(0).sort(0, descending=True).values, 1)], acgan(2))
    assert {v for _, y in ours.valid for v in y.flatten().tolist()} == {0., 1.}


def test_a_game_for_two_domains_says_so(folder):
    with pytest.raises(ValueError, match='Unpaired'): game_loaders(fastai_loaders(folder), build_cyclegan(SIZE, 2, 1))
    pairs = game_loaders(values((TARGET + 1)/2, PIXELS.permute(0, 3, 1, 2)), build_cyclegan(SIZE, 2, 1))
    assert all(torch.allclose(t, TARGET[:8], atol=1e-5) for t in pairs.one_batch())
    with pytest.raises(ValueError, match='fewer pictures'):
        game_loaders(DataLoader(TensorDataset(TARGET, TARGET, TARGET)), build_cyclegan(SIZE, 2, 1))


def test_the_batches_of_fastai_s_gan_tutorial(folder, capsys):
    dls = DataBlock((TransformBlock, ImageBlock), get_x=lambda f: generate_noise(f, 100), get_items=get_image_files,
                    splitter=RandomSplitter(.25, seed=0),
                    batch_tfms=Normalize.from_stats([.5]*3, [.5]*3, cuda=False)).dataloaders(folder, bs=8, device='cpu',
                                                                                             num_workers=0)
    ours = game_loaders(dls, build_gan(SIZE, 2, 4))
    assert 'noise' in capsys.readouterr().out and [t.shape for t in ours.one_batch()] == [(8, 3, SIZE, SIZE)]
    train(ours, build_gan(SIZE, 2, 4))
    y = torch.eye(2)[torch.arange(16) % 2]
    x, conditions = game_loaders(values(y, TARGET), acgan(2)).one_batch()
    assert x.shape[1:] == (3, SIZE, SIZE) and conditions.tolist() == y[:8].tolist()
    with pytest.raises(ValueError, match='noise or a condition'): game_loaders(values(torch.rand(16, 9), TARGET), vae())


@pytest.mark.parametrize('loader,says', [
    (DataLoader([{'image': TARGET[0], 'label': 1}]), 'dict'),
    (DataLoader([(TARGET[0], 'cat')]*8, batch_size=4), 'part 1 of a batch is a tuple'),
    (DataLoader([(Image.new('RGB', (32, 32)), 1)]*8, batch_size=4), 'ToTensor'),
    (DataLoader([(TARGET[0], 1), (TARGET[0, :, :9], 1)], batch_size=2), 'bring them to one size'),
    (DataLoader([(TARGET[0], torch.zeros(2), torch.zeros(2))]*8, batch_size=4), 'Join the labels')])
def test_batches_of_another_kind_are_refused(loader, says):
    with pytest.raises(ValueError, match=says): game_loaders(loader, acgan(2))


@pytest.mark.parametrize('given', ['hw4_data', TARGET, TensorDataset(TARGET), Pictures(PIXELS.numpy())], ids=type)
def test_data_are_no_loader(given):
    with pytest.raises(ValueError, match='is no loader'): game_loaders(given, vae())


def test_a_loader_of_nobody():
    class Own:
        def __len__(self): return 4
        def __iter__(self): yield from ((x,) for x in TARGET.split(4))
    learn = train(game_loaders([Own(), Own()], vae()), vae())
    assert learn.dls.bs == 4 and learn.dls.n == 4 and len(learn.dls.valid) == 4
    with pytest.raises(ValueError, match='cannot be made anew'): learn.dls.train.new(shuffle=False)


def test_no_length_no_epoch():
    class Endless(IterableDataset):
        def __iter__(self):
            while True: yield TARGET[0],
    with pytest.raises(ValueError, match='without a length'): game_loaders(DataLoader(Endless(), batch_size=2), vae())


# --- points, and what is ours

def test_points_pass_as_they_are():
    points = torch.randn(40, 2)
    for x in (points, points.double()):
        dls = game_loaders(values(x, bs=10), GAN(ToyGenerator(4, 8), ToyDiscriminator(8)))
        assert torch.allclose(torch.cat([p for p, in dls.train]), points)
        train(dls, GAN(ToyGenerator(4, 8), ToyDiscriminator(8)))
    bare = game_loaders(DataLoader(points, batch_size=10), GAN(ToyGenerator(4, 8), ToyDiscriminator(8)))
    assert [tuple(t.shape) for t in bare.one_batch()] == [(10, 2)]


def test_ours_pass_through():
    dls = picture_loaders(PIXELS.numpy(), bs=4, device='cpu')
    assert game_loaders(dls, vae()) is dls
    mixed = game_loaders(DataLoaders(dls.train, values(TARGET)), vae())
    assert mixed.train is dls.train and isinstance(mixed.valid, ForeignLoader)
    again = game_loaders(mixed, vae())
    assert again is mixed
    plain = game_loaders(DataLoaders(dls.train, dls.valid, device='cpu'), vae()) # fastai's own cannot empty our loaders
    assert plain.train is dls.train and plain.device == torch.device('cpu') and len(plain.new_empty().train) == 0
    given = game_loaders([dls.train], vae())
    assert isinstance(given, GameLoaders) and given.train is dls.train


def test_pictures_in_fastai_s_own_loader():
    data = Pictures(PIXELS.numpy(), np.eye(2, dtype=np.uint8)[np.arange(16) % 2], ['a', 'b'])
    ours = game_loaders(DataLoaders.from_dsets(data, data, bs=8, device='cpu', num_workers=0), acgan(2))
    x, y = next(iter(ours.valid))
    assert torch.allclose(x, TARGET[:8]) and y.tolist() == data.labels[:8].tolist()


def test_validation_is_looked_at_on_its_own(capsys):
    ours = game_loaders(DataLoaders(values(TARGET), values((TARGET + 1)/2)), vae())
    assert torch.allclose(ours.valid.one_batch()[0], TARGET[:8], atol=1e-5)
    assert capsys.readouterr().out == 'Validation: pictures are scaled from [0, 1] to [-1, 1].\n'
    assert len(game_loaders(DataLoaders(values(TARGET), TfmdDL([], bs=1, num_workers=0)), vae()).valid) == 0


# --- without a trace

class Noisy(Dataset):
    "Draws from every random state there is, and from one of its own."
    def __init__(self): self.rng = np.random.default_rng(0)
    def __len__(self): return 16
    def __getitem__(self, i):
        return TARGET[i].roll(random.randrange(9)) * (.5 + np.random.rand() / 2) * torch.rand(()) * self.rng.random(),


def seeded(make, look):
    "All batches of two epochs after the same seeds, looked at before or not."
    random.seed(0); np.random.seed(0); torch.manual_seed(0)
    dl = make()
    if look:
        game = build_gan(SIZE, 2, 4)
        before, notes = {k: v.clone() for k, v in game.state_dict().items()}, dict(game.notes)
        random.seed(0); np.random.seed(0); torch.manual_seed(0)
        if hasattr(dl, 'rng'): dl.rng = random.Random(0)
        ours = game_loaders(dl, game)
        ours.train.one_batch(); peek(ours.train, 3)
        assert all(torch.equal(v, before[k]) for k, v in game.state_dict().items()) and game.notes == notes
        assert ours.train.position == 0
    else:
        random.seed(0); np.random.seed(0); torch.manual_seed(0)
        if hasattr(dl, 'rng'): dl.rng = random.Random(0)
    return [torch.as_tensor(x) for _ in range(2) for x, *_ in dl]


def test_a_look_leaves_no_trace(folder):
    def own(): return DataLoader(Noisy(), batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(3))
    def fastai(): return fastai_loaders(folder, aug_transforms()).train
    for make in (own, fastai):
        for a, b in zip(seeded(make, False), seeded(make, True), strict=True): assert torch.equal(a, b)


def test_workers_of_a_loader_are_not_started_for_a_look():
    dl = DataLoader(TensorDataset(TARGET), batch_size=4, num_workers=2, persistent_workers=True, prefetch_factor=2)
    game_loaders(dl, vae())
    assert dl._iterator is None and dl.num_workers == 2


# --- as a loader

def test_it_is_a_loader(folder):
    ours = game_loaders(fastai_loaders(folder), acgan())
    dl = ours.train
    assert (len(dl), dl.bs, dl.n, ours.bs, ours.n) == (2, 8, 18, 8, 18)
    assert ours.device == dl.device == torch.device('cpu') and ours.train_ds is dl.dataset and list(ours.vocab)
    assert ours.to('cpu') is ours and dl.to('cpu') is dl and len(dl.new(bs=4)) == 4
    plain = game_loaders(values(TARGET, torch.arange(16) % 2, shuffle=True), vae()).train
    assert (len(plain), plain.bs, plain.n, plain.shuffle) == (2, 8, 16, True)
    flat = plain.new(shuffled=False, drop_last=False, bs=5, num_workers=0)
    assert torch.equal(torch.cat([x for x, _ in flat]), torch.cat([x for x, _ in game_loaders(values(TARGET, torch.
                       arange(16) % 2), vae()).train])) and len(flat) == 4


def test_a_place_inside_an_epoch_is_warned_of_once():
    dl = game_loaders(values(TARGET, bs=4, shuffle=True), vae()).train
    with pytest.warns(UserWarning, match='cannot be put back inside an epoch'): dl.position = 6
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert len(list(dl)) == 2 and dl.position == 8 and len(list(dl)) == 4 and dl.position == 12
        dl.position = 13
        flat = game_loaders(values(TARGET, bs=4), vae()).train
        flat.position = 5
        assert torch.allclose(torch.cat([x for x, in flat]), TARGET[4:])
        learn = GameLearner(game_loaders(values(TARGET, bs=4, shuffle=True), vae()), vae(), precision='fp32')
        quiet(learn, learn.fit_rounds, 3); peek(learn.dls.train, 6); quiet(learn, learn.fit_rounds, 3)
    assert learn.rounds == learn.dls.train.position == 6


def test_resuming_inside_an_epoch_says_so(tmp_path):
    def learner(): return GameLearner(game_loaders(values(TARGET, bs=4, shuffle=True), vae()), vae(), precision='fp32')
    learn = learner()
    quiet(learn, learn.fit_rounds, 3); learn.save(tmp_path/'x.pth')
    again = learner().load(tmp_path/'x.pth')
    with pytest.warns(UserWarning, match='cannot be put back'): quiet(again, again.fit_rounds, 2)


def test_what_is_exported_holds_no_data(folder):
    for dls in (fastai_loaders(folder, Normalize.from_stats(*imagenet_stats, cuda=False)), values(TARGET)):
        empty = pickle.loads(pickle.dumps(game_loaders(dls, vae()).new_empty()))
        assert [len(dl) for dl in empty.loaders] == [0]*len(empty.loaders)
    assert len(pickle.dumps(game_loaders(values(TARGET), vae()).new_empty())) < 4000


def test_processes_need_their_own_parts():
    dl = game_loaders(values(TARGET), vae()).train
    dl.share(0, 1)
    with pytest.raises(ValueError, match='DistributedSampler'): dl.share(0, 2)
    data = TensorDataset(TARGET, torch.arange(16))
    ranks = [game_loaders(DataLoader(data, 4, sampler=torch.utils.data.DistributedSampler(data, 2, r)), vae()).train
             for r in range(2)]
    for r, dl in enumerate(ranks): dl.share(r, 2)
    epochs = [[torch.cat([y for _, y in dl]).tolist() for dl in ranks] for _ in range(2)]
    assert all(sorted(a + b) == list(range(16)) for a, b in epochs) and epochs[0] != epochs[1]
    with pytest.raises(ValueError): ranks[0].share(1, 2)


def test_show_batch(folder):
    import matplotlib.pyplot as plt
    plt.close('all')
    ours = game_loaders(fastai_loaders(folder, Normalize.from_stats(*imagenet_stats, cuda=False)), acgan())
    ours.show_batch(max_n=4)
    axes = plt.gcf().axes
    assert len(axes) == 4 and {ax.get_title() for ax in axes} <= {'cat', 'dog', 'owl'}
    assert all(0 <= ax.images[0].get_array().min() < .1 for ax in axes)
    plt.close('all')


def test_a_game_that_cannot_be_copied_is_left_alone():
    class Odd(type(vae())):
        def __deepcopy__(self, memo): raise TypeError('no copies')
    game = vae(); game.__class__ = Odd
    assert len(game_loaders(values((TARGET + 1)/2), game).one_batch()) == 1
