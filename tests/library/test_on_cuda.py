"""What only a GPU can show: real captures, real streams, real precisions. `tests/gpu` runs these first; without a GPU
`test_capture`, `test_on_meta` and `test_on_a_device` show the same as far as it can be emulated."""
import os, warnings

import numpy as np
import pytest
import torch
from duel import play
from fastai.callback.core import Callback
from fastai.callback.training import GradientClip
from fastai.data.core import DataLoaders
from small_games import GAMES, Asks, small_learner

from dlcv_gan.data.loaders import Batches, Unpaired
from dlcv_gan.game.base import draw
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import DG, Adaptive, WarmUp
from dlcv_gan.live import Film
from dlcv_gan.metrics import FeatureNet
from dlcv_gan.nets import R1Discriminator
from dlcv_gan.systems import find_system, systems

DEVICE = 'cuda'
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')]


@pytest.fixture(autouse=True)
def exact():
    "fp32 is fp32: TF32's ten bits would blur every comparison."
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn
    old = matmul.allow_tf32, conv.allow_tf32
    matmul.allow_tf32 = conv.allow_tf32 = False
    yield
    matmul.allow_tf32, conv.allow_tf32 = old


def terms(learn): return learn.history[[c for c in learn.history if '.' in c]].to_numpy(float)
def assert_same(a, b, rtol=1e-2, atol=2e-3):
    "Kernels are chosen anew and atomics add in any order, so equal runs part slowly."
    assert a.steps == b.steps
    np.testing.assert_allclose(terms(a), terms(b), rtol=rtol, atol=atol)
def finite(learn):
    rows = learn.history[[c for c in learn.history.attrs['terms']]].to_numpy(float)
    assert np.isfinite(rows[~np.isnan(rows)]).all() and len(rows)


# ---- the numbers

@pytest.mark.parametrize('name', GAMES)
def test_the_first_round_is_that_of_the_cpu(name):
    "The same weights and pictures; noise differs from device to device, so it is drawn on the CPU."
    def first(device):
        learn = small_learner(name, device=device, graphs=False)
        rand, randn = torch.rand, torch.randn
        with pytest.MonkeyPatch.context() as patch:
            for f, of in dict(rand=rand, randn=randn).items():
                patch.setattr(torch, f, lambda *a, device=None, of=of, **k: of(*a, **k).to(device or 'cpu'))
            for f, of in dict(rand_like=rand, randn_like=randn).items():
                patch.setattr(torch, f, lambda x, *a, of=of, **k: of(x.shape).to(x))
            if hasattr(learn.game, 'noise'): learn.game.noise = torch.randn # it holds torch's own from before
            for m in learn.game.modules():
                if isinstance(m, torch.nn.Dropout): m.p = 0.
            return play(learn, 1)
    a, b = first(DEVICE), first('cpu')
    if name != 'cyclegan': # whose pools draw places as well
        np.testing.assert_allclose(terms(a)[0], terms(b)[0], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize('name', GAMES)
def test_a_captured_game_is_the_eager_game(name):
    eager, captured = (play(small_learner(name, device=DEVICE, graphs=g, lr=1e-4), 11) for g in (False, True))
    assert captured.graphs and len(captured.captured) == len(captured.game.players()) and not eager.captured
    assert_same(eager, captured)


@pytest.mark.parametrize('schedule, rounds', [(DG(5, 1), 31), (DG(1, 3), 6), (WarmUp(5, DG(1, 2)), 12),
                                              (Adaptive(.55, .5, patience=2), 20), (WarmUp(5, Adaptive(.55, .5)), 20)],
                         ids=lambda x: getattr(x, 'summary', ''))
def test_every_schedule_is_the_same_captured(schedule, rounds):
    eager, captured = (play(small_learner('duel', schedule, device=DEVICE, graphs=g, lr=1e-4), rounds)
                       for g in (False, True))
    assert captured.captured
    assert_same(eager, captured)


def test_clipped_gradients_are_captured():
    def run(graphs): return play(small_learner('mended', device=DEVICE, graphs=graphs, lr=1e-4,
                                               cbs=[GradientClip(1e-3)]), 11)
    eager, captured = run(False), run(True)
    assert captured.graphs and len(captured.captured) == 2
    assert_same(eager, captured)


@pytest.mark.parametrize('schedule', [DG(2, 1), Adaptive()], ids=lambda x: x.summary)
def test_captured_weights_are_eager_weights(schedule):
    "Without noise, so that both see the same."
    def run(graphs):
        learn = small_learner('duel', schedule, device=DEVICE, graphs=graphs, lr=1e-3)
        learn.game.discriminator[3].p = 0.
        learn.game.latent = lambda n: torch.linspace(-1, 1, n * 4, device=DEVICE).view(n, 4)
        return play(learn, 30)
    eager, captured = run(False), run(True)
    assert captured.captured and eager.steps == captured.steps
    for a, b in zip(eager.game.state_dict().values(), captured.game.state_dict().values()):
        torch.testing.assert_close(a.float(), b.float(), rtol=1e-3, atol=1e-4)


def test_spectral_norm_is_measured_in_full_precision():
    def sigma(dtype):
        torch.manual_seed(0)
        D = R1Discriminator(16, 4, spectral=True).to(DEVICE)
        with torch.autocast(DEVICE, dtype, enabled=dtype is not None): D(torch.zeros(1, 3, 16, 16, device=DEVICE))
        layers = [m for m in D.modules() if hasattr(m, 'parametrizations')]
        return torch.stack([m.parametrizations.weight.original.norm() / m.eval().weight.norm() for m in layers])
    torch.testing.assert_close(sigma(torch.bfloat16), sigma(None), rtol=1e-5, atol=1e-6)


# ---- the host does not wait

class Strict(Callback):
    "Any wait for the GPU between two rounds is an error."
    order, run_valid = -200, False
    def __init__(self, first, last): self.first, self.last, self.watched = first, last, 0
    def before_batch(self):
        strict = self.first <= self.learn.rounds < self.last
        self.watched += strict
        torch.cuda.set_sync_debug_mode('error' if strict else 'default')
    def after_cancel_fit(self): torch.cuda.set_sync_debug_mode('default')
    def after_fit(self): torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('name', ['mended with ema', 'wgan-gp', 'acgan, mended', 'cyclegan', 'vae', 'flow'])
def test_twenty_rounds_without_a_wait(name):
    "The recorder fetches once in fifty turns, the loader sends once an epoch: nothing else may ask for anything."
    learn = play(small_learner(name, device=DEVICE, graphs=True, n=400), 12)
    per_round = len(learn.history) / 12
    strict = Strict(14, 14 + int(20 / max(1, per_round / 2)))
    try: play(learn, 25, cbs=[strict])
    finally: torch.cuda.set_sync_debug_mode('default')
    assert strict.watched >= 20 and learn.captured


# ---- precisions

@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
@pytest.mark.parametrize('name', ['mended with ema', 'dcgan', 'wgan-gp', 'acgan, mended', 'vae', 'flow', 'cyclegan'])
def test_half_precision_is_captured_and_stays_near(name, precision):
    "Spectral norm, BatchNorm, penalties and the moving average among them."
    if precision == 'bf16' and torch.cuda.get_device_capability() < (8, 0): pytest.skip('no bf16 on this card')
    half, full = (play(small_learner(name, device=DEVICE, graphs=True, precision=p, lr=1e-4), 15)
                  for p in (precision, 'fp32'))
    finite(half)
    assert half.captured and half.graphs
    for c in half.history.attrs['terms']:
        a, b = (h.history[c].dropna().to_numpy() for h in (half, full))
        assert abs(a[-4:].mean() - b[-4:].mean()) <= .15 * abs(b[-4:].mean()) + .1, c
    finite_weights = all(p.isfinite().all() for p in half.sampler.parameters())
    assert finite_weights and half.sample(2, y=torch.ones(2, k) if (k := GAMES[name].labels) else None).isfinite().all()


# ---- every printed system

@pytest.mark.parametrize('name', list(systems()))
def test_a_printed_system_is_captured_at_its_printed_size(name):
    system, rng = find_system(name), np.random.default_rng(0)
    torch.manual_seed(0)
    game = system.build()
    def loader():
        y = rng.integers(0, 2, (32, system.labels)) if system.labels else None
        return Batches(rng.integers(0, 256, (32, system.size, system.size, 3), dtype=np.uint8), y, bs=4, device=DEVICE)
    dls = DataLoaders(Unpaired(loader(), loader()) if system.sides else loader(), device=torch.device(DEVICE))
    learn = play(GameLearner(dls, game, system.schedule, lr=2e-4), 31 if 'GP' in name or 'WGAN' in name else 8)
    assert learn.graphs and len(learn.captured) == len(game.players())
    finite(learn)


# ---- what users do

def test_a_run_with_a_film_goes_on_from_its_checkpoint(tmp_path):
    def learner(): return small_learner('mended', Adaptive(), device=DEVICE, lr=1e-4,
                                        cbs=[EMA(.9), Film(tmp_path/'film.gif', every=2, n=2)])
    whole = play(learner(), 16)
    play(learner(), 8).save(tmp_path/'half.pth')
    second = play(learner().load(tmp_path/'half.pth'), 8)
    assert second.captured and len(second.history) == len(whole.history)
    assert_same(whole, second)


def test_pictures_that_are_streamed_are_pinned_beside_a_capture():
    "`pin_memory` on the loader's thread while a turn is captured."
    def run(resident):
        torch.manual_seed(0)
        data = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
        dls = DataLoaders(Batches(data, bs=4, device=DEVICE, resident=resident), device=torch.device(DEVICE))
        return play(GameLearner(dls, GAMES['mended'].build(), lr=1e-4, precision='fp32', graphs=True), 40)
    streamed, resident = run(False), run(True)
    assert streamed.graphs and streamed.captured
    assert_same(resident, streamed)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='needs two CUDA devices')
def test_a_game_on_the_second_card_goes_on_after_its_fourth_turn():
    assert torch.cuda.current_device() == 0
    first, second = (play(small_learner('mended', device=d, graphs=True, lr=1e-4), 12) for d in ('cuda:0', 'cuda:1'))
    assert second.captured and all(p.device.index == 1 for p in second.game.parameters())
    ends = [c for c in second.history if c.startswith('discriminator.')]
    assert (second.history[ends].dropna().iloc[5:].nunique() > 1).any(), 'nothing moved any more'
    assert first.steps == second.steps


def test_a_game_that_asks_the_host_goes_on_eagerly():
    "After a capture that failed even the random generator has to be brought back."
    def run(graphs):
        torch.manual_seed(3)
        return play(small_learner('duel', device=DEVICE, graphs=graphs, game=Asks(), lr=1e-4), 12)
    eager = run(False)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        captured = run(True)
    assert_same(eager, captured)
    assert sum('graph' in str(w.message).lower() for w in said) == 1
    torch.randn(3, device=DEVICE)
    play(small_learner('mended', device=DEVICE, graphs=True), 8) # and the next game can be captured again


def test_whoever_looks_leaves_the_gpu_s_random_state_alone():
    learn = play(small_learner('mended', device=DEVICE, graphs=True), 8)
    for look in (lambda: learn.sample(2), lambda: draw(learn.game, 2, seed=3), lambda: FeatureNet.random(width=2, nf=4),
                 lambda: FeatureNet.fit(torch.zeros(8, 3, 16, 16), torch.arange(8)[:, None] % 2, 1, 4, width=2, nf=4)):
        before = torch.cuda.get_rng_state(DEVICE)
        look()
        assert torch.equal(before, torch.cuda.get_rng_state(DEVICE))


def test_graphs_give_their_memory_back():
    "Ten learners, one after another, hold no more than one."
    held = []
    for _ in range(10):
        learn = play(small_learner('dcgan', device=DEVICE, graphs=True), 8)
        held.append(torch.cuda.memory_reserved(DEVICE))
        del learn
    assert held[-1] <= held[1] + (64 << 20), [round(h / 1e6) for h in held]


def test_the_environment_turns_graphs_off(monkeypatch):
    if 'DLCV_GAN_GRAPHS' in os.environ: pytest.skip('set by the user')
    monkeypatch.setenv('DLCV_GAN_GRAPHS', '0')
    assert not play(small_learner('ring', device=DEVICE), 8).captured
