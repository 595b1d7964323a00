"Captured turns are eager turns, shown without a GPU: `graph_tape` keeps a CUDA graph's rules on the CPU."
import copy, warnings
from functools import cache

import numpy as np
import pytest
import torch
from duel import Duel, play
from fastai.callback.core import Callback, CancelBatchException
from fastai.callback.schedule import ParamScheduler, SchedLin
from fastai.callback.training import GradientClip
from fastai.optimizer import Adam, OptimWrapper
from graph_tape import emulated
from small_games import GAMES, Asks, small_learner

from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.recorder import GameRecorder
from dlcv_gan.game.schedules import DG, Adaptive, EveryRound, WarmUp
from dlcv_gan.losses import dragan
from dlcv_gan.models.acgan import ACGAN
from dlcv_gan.models.cyclegan import CycleGAN
from dlcv_gan.models.vae import VAE

# A player's first three turns are eager, the fourth is captured: enough rounds that everybody replays some.
ROUNDS = 7


def both(name, rounds=ROUNDS, between=None, again=ROUNDS, **kwargs):
    "The same run twice, eagerly and captured, `between` done to each learner in the middle of a longer one."
    made = []
    for graphs in (False, True):
        with emulated() as seen:
            learn = play(small_learner(name, graphs=graphs, **kwargs), rounds)
            if between:
                between(learn)
                play(learn, again)
        made.append(learn)
    return *made, seen


def assert_same(eager, captured, rtol=2e-4, atol=2e-5):
    "Equal histories, steps, weights and buffers; of a learning rate only the rounding differs."
    assert eager.steps == captured.steps and eager.rounds == captured.rounds
    assert list(eager.history) == list(captured.history)
    columns = [c for c in eager.history if '.' in c]
    np.testing.assert_allclose(captured.history[columns].to_numpy(float), eager.history[columns].to_numpy(float),
                               rtol=rtol, atol=atol)
    assert_equal_weights(eager.game, captured.game)


def assert_equal_weights(a, b):
    "All that moves; but a bias in front of a norm has rounding for a gradient, and Adam makes whole steps of that."
    dead = ('bias', 'running_mean') if isinstance(a, (Duel, VAE, ACGAN, CycleGAN)) else ()
    for (k, x), y in zip(a.state_dict().items(), b.state_dict().values()):
        if not k.endswith(dead): torch.testing.assert_close(y, x, rtol=2e-3, atol=2e-4, msg=f'{k} differs')


# ---- the same numbers

@cache
def played(name): return both(name, 11)


@pytest.mark.parametrize('name', GAMES)
def test_a_captured_game_is_the_eager_game(name):
    eager, captured, seen = played(name)
    assert_same(eager, captured)
    assert seen.replays and captured.captured and not eager.captured
    if hasattr(eager, 'ema'): assert_equal_weights(eager.sampler, captured.sampler)


@pytest.mark.parametrize('name', GAMES)
def test_each_player_is_captured_once(name):
    "A second graph of a turn would cost its memory a second time."
    _, captured, seen = played(name)
    assert len(seen.captures) == len(captured.captured) == len(captured.game.players())


@pytest.mark.parametrize('schedule, rounds', [
    (DG(1, 1), 9), (DG(5, 1), 31), (DG(1, 3), 6), (DG(2, 1, first='g'), 12), (WarmUp(5, DG(1, 2)), 12),
    (Adaptive(.55, .5, patience=2), 20), (WarmUp(5, Adaptive(.55, .5)), 20)], ids=lambda x: getattr(x, 'summary', ''))
def test_every_schedule_is_the_same_captured(schedule, rounds):
    eager, captured, seen = both('duel', rounds, schedule=schedule)
    assert_same(eager, captured)
    assert len(seen.replays) > 4
    if isinstance(schedule, Adaptive): assert min(eager.steps.values()) < rounds, 'somebody must have waited'


# ---- a whole cycle at once

@pytest.mark.parametrize('schedule, rounds', [
    (DG(1, 1), 11), (DG(2, 1), 23), (DG(3, 2, first='g'), 34), (DG(1, 3), 7), (Adaptive(.55, .5, patience=2), 20)],
    ids=lambda x: getattr(x, 'summary', ''))
def test_a_captured_cycle_is_the_same_run(schedule, rounds):
    "Also where a cycle does not fit into the rest of an epoch or of the fit: that rest is played turn by turn."
    def run(graphs):
        learn = small_learner('duel', schedule, n=100, bs=4, graphs=graphs, cbs=[EMA(.9)])
        return play(play(learn, rounds), 1 + rounds // 2)
    eager = run(False)
    with emulated() as seen: captured = run('cycle')
    assert_same(eager, captured)
    assert_equal_weights(eager.sampler, captured.sampler)
    assert round(float(captured.ema.count)) == eager.ema.count
    assert [(r['round'], r['player'], r['images']) for r in captured.rows] == [
        (r['round'], r['player'], r['images']) for r in eager.rows]
    assert any(key[0] == ('cycle',) for key in captured.captured) and len(seen.replays) > 2
    assert len(captured.recorder.lrs) == len(captured.recorder.losses)


def test_a_learning_rate_schedule_goes_on_through_cycles():
    def run(graphs):
        learn = small_learner('duel', DG(2, 1), n=48, bs=4, graphs=graphs)
        with learn.no_bar(), learn.no_logging(): learn.fit(3, cbs=ParamScheduler({'lr': SchedLin(0., 1e-2)}))
        return learn.recorder.lrs
    with emulated(): cycles = run('cycle')
    turns = run(False)
    # within a cycle the rate stays as it was at its first turn
    np.testing.assert_allclose(cycles[::3], turns[::3], atol=1e-9)
    assert len(cycles) == len(turns) == 54


def test_a_schedule_that_never_repeats_is_captured_turn_by_turn():
    with emulated(): learn = play(small_learner('duel', WarmUp(3, DG(1, 1)), graphs='cycle'), 9)
    assert learn.captured and not any(key[0] == ('cycle',) for key in learn.captured)


def test_a_cycle_that_is_cancelled_has_passed():
    class Skip(Callback):
        run_valid = False
        def before_batch(self):
            if self.learn.rounds == 4: raise CancelBatchException
    with emulated(): learn = play(small_learner('duel', DG(2, 1), graphs='cycle', n=80, bs=4), 10, Skip())
    assert learn.rounds == 10 and learn.steps == dict(discriminator=8, generator=4)


def test_a_short_last_batch_has_a_graph_of_its_own():
    def run(graphs):
        learn = small_learner('duel', graphs=graphs, n=20, bs=8)
        learn.dls.train.drop_last = False
        return play(learn, 24)
    eager = run(False)
    with emulated() as seen: captured = run(True)
    assert_same(eager, captured)
    assert len(seen.captures) == 4, 'two players, two shapes'


def test_a_one_cycle_schedule_reaches_the_graphs():
    "Learning rates change every turn, and so does momentum where one asks for it."
    for moms in ((.5, .5, .5), (.6, .5, .6)):
        def run(graphs, moms=moms):
            learn = small_learner('mended', graphs=graphs)
            with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(3, 1e-2, moms=moms)
            return learn
        with emulated(): assert_same(run(False), run(True))


def test_stop_and_resume_of_a_captured_run_is_the_same_run(tmp_path):
    with emulated():
        whole = play(small_learner('mended with ema', graphs=True), 14)
        first = play(small_learner('mended with ema', graphs=True), 7)
        first.save(tmp_path/'half.pth')
        second = small_learner('mended with ema', graphs=True, seed=5)
        second.dls.train.seed = 0
        play(second.load(tmp_path/'half.pth'), 7)
    assert_same(whole, second)


def test_loading_forgets_the_graphs(tmp_path):
    with emulated() as seen:
        learn = play(small_learner('duel', graphs=True), ROUNDS)
        learn.save(tmp_path/'a.pth')
        after = copy.deepcopy(play(learn, ROUNDS).game)
        learn.load(tmp_path/'a.pth')
        assert not learn.captured
        play(learn, ROUNDS)
    assert_equal_weights(after, learn.game)
    assert len(seen.captures) == 4


# ---- how the graphs are made

@pytest.fixture(scope='module')
def seen():
    with emulated() as seen: play(small_learner('mended', graphs=True), ROUNDS)
    return seen


def test_another_thread_may_pin_memory_meanwhile(seen):
    "In the default mode, 'global', the loader's `cudaHostAlloc` would break the capture."
    assert {c['capture_error_mode'] for c in seen.captures} == {'thread_local'}


def test_warming_up_and_capturing_share_one_stream(seen):
    "Gradients accumulate on the stream that made their nodes; each further stream costs a workspace of cuBLAS."
    assert len({*map(id, seen.streams)}) == 1 and all(c['stream'] is seen.streams[0] for c in seen.captures)


def test_streams_wait_for_each_other(seen):
    side, main = seen.streams[0], seen.current[0]
    assert (side, main) in seen.waits and (main, side) in seen.waits


def test_everything_happens_on_the_game_s_device(monkeypatch):
    "Otherwise a game on cuda:1 has an empty graph, and its training stops without a word."
    class There(Duel): # it says so, and computes here
        device = torch.device('cuda', 1)
        def latent(self, n): return torch.randn(n, self.nz)
    make = torch.tensor
    learn = small_learner('duel', game=There(), graphs=True)
    monkeypatch.setattr(torch, 'tensor', lambda *args, device=None, **kwargs: make(*args, **kwargs))
    monkeypatch.setattr(GameRecorder, 'flush', lambda self: None) # it would fetch from there
    with emulated() as seen: play(learn, ROUNDS)
    assert seen.replays
    for what in (*seen.captures, *seen.replays): assert what['device'] == There.device


def test_no_node_of_a_gradient_outlives_its_turn():
    "A gradient's node that outlives its turn belongs to another stream than the one that is captured later."
    left = []
    def nodes(game): return [p.expand_as(p).grad_fn.next_functions[0][0] for p in game.parameters()]
    class Marked(Duel):
        def loss(self, player, *batch):
            terms = super().loss(player, *batch)
            free = all(p.requires_grad for p in self.parameters()) # who waits has no such nodes
            for n in nodes(self) if free else nodes(getattr(self, player)): n.metadata['turn'] = player
            return terms
    class Look(Callback):
        order = 100
        def after_batch(self): left.extend(n.metadata for n in nodes(self.learn.game) if n.metadata)
    class Alone(Marked):
        def players(self): return {'both': [self.discriminator, self.generator]}
        def loss(self, player, x, y=None): return super().loss('discriminator', x)
    for game, schedule in ((Alone(), EveryRound(('both',))), (Marked(), DG(2, 1))):
        learn = small_learner('duel', schedule, game=game, graphs=False)
        play(learn, 4, cbs=[Look()])
        assert getattr(learn, 'loss_grad', None) is None
    assert not left


# ---- what cannot be captured is played eagerly

def sgd(params, lr=1e-2):
    opt = OptimWrapper(params, torch.optim.SGD, lr=1e-2)
    opt.set_hyper('lr', lr)
    return opt
def momentum(params, lr=1e-2):
    opt = OptimWrapper(params, torch.optim.SGD, lr=1e-2, momentum=.9)
    opt.set_hyper('lr', lr)
    return opt
def rmsprop(params, lr=1e-3):
    opt = OptimWrapper(params, torch.optim.RMSprop, lr=1e-3)
    opt.set_hyper('lr', lr)
    return opt
def plain_adam(params, lr=1e-3):
    opt = OptimWrapper(params, torch.optim.Adam, lr=1e-3, fused=False, foreach=False)
    opt.set_hyper('lr', lr)
    return opt
def fastai_adam(params, lr=1e-3): return Adam(params, lr=lr)


@pytest.mark.parametrize('opt_func', [sgd, momentum, rmsprop, plain_adam, fastai_adam])
def test_another_optimizer_is_played_eagerly(opt_func):
    eager, captured, seen = both('duel', opt_func=opt_func)
    assert_same(eager, captured)
    assert not seen.graphs or opt_func is plain_adam


@pytest.mark.parametrize('opt_func', [sgd, rmsprop, plain_adam, fastai_adam])
def test_whoever_waits_stands_still_whatever_the_optimizer(opt_func):
    "Or the learner refuses the pair: a schedule that is not obeyed and a history that says it was, never."
    class Never(Adaptive):
        def gate(self, player, i, state): return torch.zeros(()) if player == 'generator' else torch.ones(())
    try: learn = small_learner('duel', Never(), opt_func=opt_func, graphs=False)
    except ValueError as e:
        assert 'Adam' in str(e) or 'adam' in str(e)
        return
    before = copy.deepcopy(learn.game.generator.state_dict())
    try: play(learn, 5)
    except ValueError: return
    for k, v in learn.game.generator.state_dict().items(): assert torch.equal(v, before[k]), k
    assert learn.steps['generator'] == 0


class Chooses(Duel):
    "A game with a boolean index in its loss."
    def loss(self, player, x, y=None): return super().loss(player, x[x[:, 0] > -100])


@pytest.mark.parametrize('kind', [Asks, Chooses])
def test_a_game_that_asks_the_host_goes_on_eagerly_after_one_warning(kind):
    def run(graphs):
        learn = small_learner('duel', graphs=graphs, game=(torch.manual_seed(3), kind())[1])
        return play(learn, 9)
    eager = run(False)
    with emulated() as seen, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        captured = run(True)
        assert_same(eager, captured)
        play(captured, 5) # in a second fit nothing is tried again
    ours = [str(w.message) for w in said if any(s in str(w.message).lower() for s in ('graph', 'eager'))]
    assert len(ours) == 1, ours
    assert not seen.replays and len(seen.captures) == 1


# ---- what changes on the way takes effect

def test_an_attribute_changed_between_two_fits_takes_effect():
    def heavier(learn): learn.game.kl_weight = 20.
    assert_same(*both('vae', between=heavier)[:2])
    def lighter(learn): learn.game.cycle = .1
    assert_same(*both('cyclegan', between=lighter, lr=1e-4)[:2])
    def clipped(learn): learn.game.clip = 1e-3
    assert_same(*both('wgan, clipped', between=clipped)[:2])


def test_a_penalty_exchanged_between_two_fits_takes_effect():
    def exchange(learn): learn.game.penalty = dragan(3.)
    assert_same(*both('r1', between=exchange)[:2])


def test_an_attribute_that_a_callback_moves_takes_effect_every_round():
    class Anneal(Callback):
        def before_batch(self): self.learn.game.kl_weight = .1 * (1 + self.learn.rounds)
    eager, captured, seen = both('vae', 20, cbs=[Anneal()])
    assert_same(eager, captured)
    assert len(seen.captures) < 5, 'a graph for every value would fill the memory'


def test_weight_decay_changed_between_two_fits_takes_effect():
    def decay(learn): learn.opt.set_hyper('wd', .5)
    def slower(learn): learn.opt.set_hyper('mom', .9)
    for change in (decay, slower): assert_same(*both('mended', between=change)[:2])


def test_gradients_are_clipped_in_the_recording():
    eager, captured, seen = both('ring', 11, cbs=[GradientClip(1e-3)])
    assert_same(eager, captured)
    assert captured.captured and seen.replays and len(seen.captures) == 2
    free = both('ring', 11)[0].history
    assert not np.allclose(free[free.attrs['terms']], eager.history[free.attrs['terms']], equal_nan=True), 'no clip'


def test_another_limit_of_the_gradients_takes_effect():
    def tighter(learn): learn.remove_cb(GradientClip); learn.add_cb(GradientClip(1e-5))
    def halved(learn): learn.gradient_clip.max_norm = learn.gradient_clip.max_norm / 2
    def off(learn): learn.gradient_clip.run = False
    for change in (tighter, halved, off):
        made = []
        for graphs in (False, True): # each has a callback of its own, which is changed
            with emulated():
                learn = play(small_learner('ring', graphs=graphs, cbs=[GradientClip(1e-3)]), ROUNDS)
                change(learn)
                made.append(play(learn, ROUNDS))
        assert_same(*made)
        assert made[1].captured


def test_a_clip_of_one_s_own_may_ask_the_host_and_is_played_eagerly():
    class Mine(GradientClip):
        def before_step(self): super().before_step(); self.seen = getattr(self, 'seen', 0) + 1
    cb = Mine(1e-3)
    with emulated() as seen: play(small_learner('ring', graphs=True, cbs=[cb]), ROUNDS)
    assert cb.seen == 2 * ROUNDS and not seen.captures


def test_a_new_optimizer_is_the_one_that_steps():
    def fresh(learn): learn.create_opt()
    assert_same(*both('mended', between=fresh)[:2])


def test_a_layer_frozen_between_two_fits_stays():
    def freeze(learn):
        for p in learn.game.generator.parameters(): p.requires_grad_(False); break
    eager, captured, _ = both('ring', between=freeze)
    assert_same(eager, captured)


@pytest.mark.parametrize('event', ['after_pred', 'after_loss', 'before_backward', 'after_backward', 'before_step',
                                   'after_step'])
def test_an_event_given_to_an_instance_is_heard_every_turn(event):
    heard = []
    cb = Callback(**{event: lambda cb: heard.append(1)})
    with emulated(): learn = play(small_learner('duel', graphs=True, cbs=[cb]), 2 * ROUNDS)
    assert len(heard) == len(learn.history) == 4 * ROUNDS


def test_an_event_added_after_the_capture_is_heard_every_turn():
    heard = []
    class Listens(Callback):
        def after_backward(self): heard.append(self.learn.player)
    def add(learn): learn.add_cb(Listens())
    eager, captured, _ = both('duel', between=add)
    assert_same(eager, captured)
    assert len(heard) == 2 * 2 * ROUNDS
