"""Meta is a device without values: whoever asks it for a number, or mixes it with the CPU, is found out. So every
system of the reports shows here, at its printed size, that its turns can be captured."""
import contextlib, re
from collections import Counter

import numpy as np
import pytest
import torch
import torch.utils._foreach_utils
from duel import Duel, play
from fastai.callback.training import GradientClip
from fastai.data.core import DataLoaders
from graph_tape import Listing, emulated

from dlcv_gan.data.loaders import Batches, Unpaired
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.recorder import GameRecorder
from dlcv_gan.game.schedules import DG, Adaptive, WarmUp
from dlcv_gan.systems import find_system, systems

META = torch.device('meta')
# What a capture may have that an eager turn has not: it keeps its batch and hands its terms out.
BOOKKEEPING = re.compile(r'aten\.(copy_|clone|fill_|detach|alias|stack|cat|view|_fused_adam_)\b')


@pytest.fixture(scope='module', autouse=True)
def meta():
    "Let the real learner play on meta: torch's fused Adam has no kernel there, and a recorder nothing to fetch."
    kernels = torch.library.Library('aten', 'IMPL', 'Meta')
    for name in ('_fused_adam_', '_fused_adam_.tensor_lr'):
        with contextlib.suppress(RuntimeError): kernels.impl(name, lambda *args, **kwargs: None)
    supported = torch.utils._foreach_utils._get_fused_kernels_supported_devices
    code = supported.__code__
    supported.__code__ = (lambda: ['mps', 'cuda', 'xpu', 'hpu', 'cpu', 'mtia', 'meta']).__code__
    autocast = torch.autocast
    def autocast_elsewhere(device, *args, **kwargs):
        return contextlib.nullcontext() if device == 'meta' else autocast(device, *args, **kwargs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GameRecorder, 'flush', lambda self: None)
        patch.setattr(torch, 'autocast', autocast_elsewhere)
        yield
    supported.__code__ = code
    kernels._destroy()


def loader(system, game, n=12, bs=2):
    size, channels = system.size, getattr(getattr(game, 'net', None), 'shape', (3,))[0]
    x = np.zeros((n, size, size, channels), np.uint8)
    y = np.zeros((n, system.labels)) if system.labels else None
    def one(): return Batches(x, y, bs=bs, device=META, resident=True)
    return Unpaired(one(), one()) if system.sides else one()


def rounds_until_captured(schedule, players):
    "Rounds after which everybody has had five turns."
    turns, i = Counter(), 0
    while min(turns[p] for p in players) < 5:
        turns.update(schedule.moves(i))
        i += 1
    return i


@pytest.mark.parametrize('name', list(systems()))
def test_every_turn_of_a_printed_system_is_a_static_graph(name):
    system = find_system(name)
    with META: game = system.build()
    for layer in game.modules(): # a flow's first turn of all asks whether it has started: eager, and once a run
        if hasattr(layer, 'ready'): layer.ready = True
    with emulated(Listing, Listing) as seen:
        learn = GameLearner(DataLoaders(loader(system, game), device=META), game, system.schedule, graphs=True,
                            precision='fp32')
        play(learn, rounds_until_captured(system.schedule, game.players()))
    faults = {f for turn in (*(c['graph'].tape for c in seen.captures), *seen.turns) for f in turn.faults}
    assert not faults, f'{name}: {sorted(faults)[:5]}'
    assert seen.replays and learn.captured
    def work(turn): return Counter(o for o in turn.operations if not BOOKKEEPING.match(o))
    eager, kinds = [work(t) for t in seen.turns], [work(c['graph'].tape) for c in seen.captures]
    for captured in kinds: assert captured in eager, f'{name}: {min((captured - e for e in eager), key=len)}'


class Asks(Duel):
    "A game as a user writes it."
    def loss(self, player, x, y=None):
        terms = super().loss(player, x)
        return {k: v * v.item() for k, v in terms.items()}


@pytest.mark.parametrize('schedule', [DG(1, 3), WarmUp(2, DG(1, 1)), Adaptive(), WarmUp(2, Adaptive())],
                         ids=lambda s: s.summary)
def test_no_schedule_asks_the_host(schedule): assert_static(small_duel(schedule, Duel()))


@pytest.mark.parametrize('norm', [2., float('inf'), 1.])
def test_clipping_gradients_does_not_ask_the_host(norm):
    assert_static(small_duel(None, Duel(), cbs=[GradientClip(1., norm)]))


def assert_static(learn):
    with emulated(Listing, Listing) as seen: play(learn, 10)
    assert seen.replays and not [f for t in (*seen.turns, *(c['graph'].tape for c in seen.captures)) for f in t.faults]


def small_duel(schedule, game, **kwargs):
    points = Batches(np.zeros((8, 2), np.float32), bs=4, device=META, resident=True)
    return GameLearner(DataLoaders(points, device=META), game, schedule, graphs=True, precision='fp32', **kwargs)


def test_the_listing_bites():
    with emulated(Listing, Listing), pytest.raises(RuntimeError, match='meta'): play(small_duel(None, Asks()), 1)
    with Listing() as listing: torch.ones(2, device=META) + torch.tensor(1.)
    assert any('on the CPU' in f for f in listing.faults)
    with Listing() as listing: torch.ones(2)[torch.tensor([True, False])].sum().item()
    assert sum('asks the host' in f for f in listing.faults) >= 2
