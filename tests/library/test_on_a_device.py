"""What users do on a GPU, done on `accelerator`, which every machine has: pictures come from the CPU, nets live
elsewhere, results are shown, stored and resumed."""
import copy

import matplotlib
import numpy as np
import pytest
import torch
from accelerator import DEVICE, Elsewhere, accelerator
from duel import play
from small_games import GAMES, pictures, small_learner
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import TensorDataset

from dlcv_gan.controls import controls
from dlcv_gan.diagnosis import CollapseWatch, compare
from dlcv_gan.game.base import draw, evaluation_mode
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import Adaptive
from dlcv_gan.live import Film, LiveView, explore, latent_directions
from dlcv_gan.metrics import (FeatureNet, asked_and_found, diversity, duplicates, frechet_distance, kernel_distance,
                              mse, sharpness, with_interval)
from dlcv_gan.runs.training import KeepBest
from dlcv_gan.scores import Evaluator, draws_accuracy, top_k_accuracy
from dlcv_gan.view import interpolate, reconstructions, save_picture, show_grid, to_grid, tsne

matplotlib.use('agg')
WITHOUT_VALUES = torch.empty(2, 3, device=DEVICE) # the accelerator is not there yet


@pytest.fixture(autouse=True)
def device():
    with accelerator() as device: yield device


def floats(n=4, size=16): return torch.tensor(pictures(n, size)).permute(0, 3, 1, 2) / 127.5 - 1
def labels(name, n=2): return torch.ones(n, k) if (k := GAMES[name].labels) else None
def game_of(name):
    torch.manual_seed(0)
    return GAMES[name].build().to(DEVICE)
def on_cpu(t): return t.device.type == 'cpu' and not isinstance(t, Elsewhere)


def test_the_accelerator_refuses_what_a_gpu_refuses(device):
    there, here = torch.ones(2, 3, device=device), torch.ones(2, 3)
    assert there.device == device and on_cpu(there.cpu()) and on_cpu(there.to('cpu'))
    for wrong in (lambda: there + here, lambda: torch.cat([there, here]), lambda: there @ here.T,
                  lambda: here[torch.zeros(1, dtype=torch.long, device=device)], lambda: torch.nn.Linear(3, 1)(there),
                  lambda: torch.stack([there.sum(), here.sum()]), lambda: there.sum() + here,
                  lambda: there.index_select(0, torch.zeros(1, dtype=torch.long)),
                  lambda: there.__setitem__(torch.zeros(1, dtype=torch.long), here[:1]),
                  lambda: torch.randn(2, device=device, generator=torch.Generator())):
        with pytest.raises(RuntimeError, match='device'): wrong()
    for wrong in (there.numpy, lambda: np.asarray(there)):
        with pytest.raises(TypeError, match='numpy'): wrong()
    assert (there * 2 + torch.tensor(1.)).sum().item() == 18 # numbers come from anywhere
    here.copy_(there); there.copy_(here); there[0] = here[0]
    assert on_cpu(here) and isinstance(there, Elsewhere)


def test_the_accelerator_reads_lists_and_arrays(device):
    "torch makes an index of them behind the dispatcher's back: it was a tensor without values."
    there, here = torch.arange(6., device=device).reshape(2, 3), torch.arange(6.).reshape(2, 3)
    for at in ([1, 0], ([1, 0], [2, 2]), (slice(None), [2, 0]), [True, False], np.array([1, 1]), 1, (None, 0), ...):
        assert torch.equal(there[at].cpu(), here[at])
    there[[0]] = -1.
    assert there[[0]].tolist() == [[-1.] * 3] and there.new_tensor([2, 3], dtype=torch.long).tolist() == [2, 3]
    with pytest.raises(RuntimeError, match='without values'): there + WITHOUT_VALUES


# ---- games and learners

@pytest.mark.parametrize('name', GAMES)
def test_a_game_plays_as_on_the_cpu(name, device):
    ours, theirs = (play(small_learner(name, device=d), 2) for d in (device, 'cpu'))
    assert all(p.device == device for p in ours.game.parameters())
    columns = [c for c in theirs.history if '.' in c]
    np.testing.assert_allclose(ours.history[columns].to_numpy(float), theirs.history[columns].to_numpy(float),
                               rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize('name', GAMES)
def test_a_learner_samples_with_conditions_and_codes_of_the_cpu(name, device):
    learn, y = play(small_learner(name, device=device), 1), labels(name)
    shown = learn.sample(2, y=y, seed=0)
    z = learn.game.latent(2).cpu()
    for x in (shown, learn.sample(2, y=y, z=z), draw(learn.game, 2, y, z)):
        assert on_cpu(x) and x.shape == shown.shape and x.isfinite().all()


@pytest.mark.parametrize('name', [n for n in GAMES if n != 'duel']) # a test's own
def test_a_game_samples_with_conditions_and_codes_of_the_cpu(name, device):
    game, y = game_of(name), labels(name)
    if name == 'cyclegan': play(small_learner(name, device=device, game=game), 1) # it draws from what it met
    z = game.latent(2).cpu()
    with evaluation_mode(game): assert game.sample(2, y=y, z=z).shape == game.sample(2, y=y).shape


@pytest.mark.parametrize('method, name', [('encode', 'vae'), ('reconstruct', 'vae'), ('decode', 'vae'),
                                          ('encode', 'flow'), ('decode', 'flow'), ('translate', 'cyclegan')])
def test_a_method_takes_what_a_user_has(method, name, device):
    "Pictures from a file, codes from a slider: tensors of the CPU."
    game = game_of(name)
    given = torch.randn(2, game.nz) if method == 'decode' else floats(2, GAMES[name].size)
    with evaluation_mode(game, 0):
        first = getattr(game, method)(given)
        if name == 'flow': getattr(game, method)(given, labels(name)) # and conditions
        again = getattr(game, method)(given.to(device)) # as well as what lives there
    for a, b in zip(*(t if isinstance(t, tuple) else (t,) for t in (first, again))):
        torch.testing.assert_close(a.cpu(), b.cpu())


def test_a_loader_of_one_s_own_is_moved_by_the_learner(device):
    loader = DataLoader(list(TensorDataset(floats(8))), bs=4, device=device, num_workers=0)
    learn = GameLearner(DataLoaders(loader, device=device), game_of('mended'), precision='fp32')
    assert len(play(learn, 2).history) == 4


# ---- stopping, resuming

CALLBACKS = {'Film': lambda to: Film(to/'film.gif', every=2, n=2), 'LiveView': lambda to: LiveView(2, 2, notebook=True),
             'KeepBest': lambda to: KeepBest(to/'best.safetensors', lambda game: 1., 2, 100),
             'EMA': lambda to: EMA(.9), 'CollapseWatch': lambda to: CollapseWatch(every=2, n=4)}


@pytest.mark.parametrize('name', CALLBACKS)
def test_a_callback_s_state_may_come_back_on_any_device(name, tmp_path):
    "A checkpoint that is read to the device hands its callbacks tensors of the device."
    cb = CALLBACKS[name](tmp_path)
    learn = play(small_learner('mended', device=DEVICE, cbs=[cb]), 4)
    if not hasattr(type(cb), 'state_dict'): return # keeps nothing
    state = copy.deepcopy(cb.state_dict())
    for move in (lambda t: t.to(DEVICE), lambda t: t.cpu()):
        cb.load_state_dict(tree_map(lambda t, move=move: move(t) if isinstance(t, torch.Tensor) else t, state))
        for a, b in zip(*map(tree_leaves, (state, cb.state_dict()))):
            assert torch.equal(a.cpu(), b.cpu()) if isinstance(a, torch.Tensor) else a == b
    play(learn, 2)


def test_a_line_on_a_terminal_knows_the_turns_that_were_not_fetched_yet():
    view = LiveView(every=1, n=2, notebook=False)
    learn = play(small_learner('mended', device=DEVICE, cbs=[view]), 3)
    assert view.line.endswith('| 3:3') and view.line == view.summary(learn.history)


def test_the_history_is_whole_at_any_time():
    rows = []
    class Watch(Callback):
        order = 60 # after the recorder
        def after_batch(self): rows.append(len(self.learn.history))
    learn = play(small_learner('mended', device=DEVICE, cbs=[Watch()]), 3)
    assert rows == [1, 2, 3, 4, 5, 6] == [*range(1, len(learn.history) + 1)]


def test_a_run_with_a_film_goes_on_from_its_checkpoint(tmp_path):
    def learner(): return small_learner('mended', Adaptive(), device=DEVICE, cbs=[
        EMA(.9), CALLBACKS['Film'](tmp_path), CALLBACKS['CollapseWatch'](tmp_path)])
    whole = play(learner(), 6)
    first = play(learner(), 3)
    first.save(tmp_path/'half.pth')
    second = play(learner().load(tmp_path/'half.pth'), 3)
    assert len(second.history) == len(whole.history) and all(p.device == DEVICE for p in second.game.parameters())
    columns = [c for c in whole.history if '.' in c]
    np.testing.assert_allclose(second.history[columns].to_numpy(float), whole.history[columns].to_numpy(float),
                               rtol=1e-4)
    assert all(v.device == DEVICE for s in second.opt.opt.state.values() for k, v in s.items() if k != 'step')


# ---- what looks at games and pictures

@pytest.mark.parametrize('name, names', [('mended', ()), ('acgan, mended', ('a', 'b', 'c')), ('vae', ()), ('flow', ()),
                                         ('cyclegan', ())])
def test_controls_move_a_game(name, names):
    game, x = game_of(name), floats(4, GAMES[name].size)
    box = controls(game, list(names), (x, x) if name == 'cyclegan' else x)
    assert box is not None


@pytest.mark.parametrize('of', ['game', 'learner'])
def test_explore_and_directions_take_names_of_attributes(of):
    made = game_of('acgan, mended') if of == 'game' else small_learner('acgan, mended', device=DEVICE)
    assert on_cpu(latent_directions(made, 2, 8, y=torch.zeros(3)))
    box = explore(made, 2, ['a', 'b', 'c'])
    box.toggles[0].value = True
    box.sliders[0].value = 1.


def test_interpolations_and_grids_of_pictures_that_live_there(tmp_path):
    game = game_of('mended')
    with evaluation_mode(game, 0): x, z = game.sample(4), game.latent(2)
    for ends in (z.split(1), z.cpu().split(1)): assert len(interpolate(game, *ends, 3)) == 3
    show_grid(x); save_picture(x, tmp_path/'x.png'); to_grid(x); reconstructions(x, x)
    tsne(game.latent(12), torch.arange(12) % 2, perplexity=3)


def test_measures_of_pictures_that_live_there():
    game = game_of('mended')
    with evaluation_mode(game, 0): x = game.sample(8)
    real = floats(8)
    assert float(mse(x, real)) == float(mse(x.cpu(), real))
    assert on_cpu(sharpness(x)) and diversity(x) == diversity(x.cpu()) and duplicates(x) >= 0
    assert compare(x, real) is not None
    for net in (FeatureNet.random(width=2, nf=4), FeatureNet.random(width=2, nf=4).to(DEVICE)):
        fx, fr = net.features(x), net.features(real)
        assert on_cpu(fx) and on_cpu(net.attribute_probabilities(x))
        for metric in (frechet_distance, kernel_distance):
            assert metric(fx.to(DEVICE), fr) == pytest.approx(metric(fx, fr))
            with_interval(metric, torch.cat([fx, fr]).to(DEVICE), torch.cat([fr, fr]), 2)


def test_measures_of_labels_that_live_there():
    y = torch.eye(3)[torch.arange(8) % 3]
    tsne(torch.randn(8, 3), y[:, 0].to(DEVICE), perplexity=2)
    assert asked_and_found(y.to(DEVICE), y, ['a', 'b', 'c']).accuracy.eq(1).all()
    assert asked_and_found(y, y.to(DEVICE), ['a', 'b', 'c']).accuracy.eq(1).all()
    assert top_k_accuracy(y.to(DEVICE), y) == 1


def test_a_net_can_be_fitted_to_pictures_that_live_there():
    x, y = floats(8).to(DEVICE), torch.arange(8)[:, None] % 2
    for labels in (y, y.to(DEVICE)): FeatureNet.fit(x, labels, 1, 4, width=2, nf=4)


def test_an_evaluator_and_a_game_may_live_apart():
    torch.manual_seed(0)
    evaluator, game, y = Evaluator(3), game_of('acgan, mended'), torch.eye(3)
    for net in (evaluator, evaluator.to(DEVICE)):
        assert on_cpu(net.probabilities(floats(2))) and on_cpu(net.probabilities(floats(2).to(DEVICE)))
        draws_accuracy(game, y, net.probabilities, draws=2)
