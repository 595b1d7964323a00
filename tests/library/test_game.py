"Laws of the game: who moves, who does not, what a checkpoint restores, and where the Dirac-GAN goes."
import os, random, subprocess, sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback, CancelBatchException, CancelFitException
from fastai.callback.training import GradientClip
from fastai.data.core import DataLoaders
from fastai.optimizer import OptimWrapper
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.base import Game, draw
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.checkpoint import pack_rows, read_checkpoint, unpack_rows
from dlcv_gan.game.learner import GameLearner, hold
from dlcv_gan.game.recorder import Diverged
from dlcv_gan.game.schedules import DG, Adaptive, EveryRound, WarmUp

torch.set_num_threads(1)


class Duel(Game):
    "A small two-player game with everything that can drift: BatchNorm in both nets, spectral norm in D, noise, labels."
    nz = 4
    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
        self.discriminator = nn.Sequential(spectral_norm(nn.Linear(2, 16)), nn.BatchNorm1d(16), nn.LeakyReLU(.2),
                                           nn.Dropout(.1), spectral_norm(nn.Linear(16, 1)))
    def players(self): return {'discriminator': [self.discriminator], 'generator': [self.generator]}
    def sample(self, n, y=None, z=None): return self.generator(self.latent(n) if z is None else z)
    def loss(self, player, x, y=None):
        fake = self.generator(self.latent(len(x)))
        if player == 'generator':
            return {'adversarial': nn.functional.softplus(-self.discriminator(fake)).mean(),
                    'size': .01 * fake.square().mean()}
        real_score, fake_score = self.discriminator(x), self.discriminator(fake.detach())
        self.note(rank=(real_score > fake_score.T).float().mean())
        return {'real': nn.functional.softplus(-real_score).mean(), 'fake': nn.functional.softplus(fake_score).mean()}


def points(n=40, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) + torch.tensor([2., 0])

def learner(schedule=None, n=40, bs=8, valid=True, seed=0, game=None, **kw):
    torch.manual_seed(seed); np.random.seed(seed); random.seed(seed)
    loaders = [Batches(points(n), bs=bs, seed=seed)] + [Batches(points(16, 1), bs=8, shuffle=False)] * valid
    kw.setdefault('lr', 1e-2)
    return GameLearner(DataLoaders(*loaders, device=torch.device('cpu')), game or Duel(), schedule, precision='fp32',
                       **kw)

def play(learn, rounds, cbs=None):
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(rounds, cbs=cbs)
    return learn

def everything(learn, player):
    "All that could move of a player: parameters, buffers (BatchNorm, spectral vectors) and optimizer state."
    nets = learn.game.players()[player]
    tensors = [t for n in nets for t in (*n.parameters(), *n.buffers())]
    states = getattr(learn.opt, 'opt', learn.opt).state # torch's, or fastai's own
    opt = [torch.as_tensor(v) for n in nets for p in n.parameters() for v in states.get(p, {}).values()]
    return [t.detach().clone() for t in (*tensors, *opt)]

def same(a, b): return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b))


class Watch(Callback):
    "Before and after each turn, look at everything that each player owns."
    order = 100
    def before_batch(self):
        self.before = {p: everything(self.learn, p) for p in self.learn.game.players()} if self.training else None
    def after_batch(self):
        if self.training:
            for p in self.learn.game.players():
                self.seen.append((self.learn.player, p, same(self.before[p], everything(self.learn, p))))
    def before_fit(self): self.seen = []


# --- who moves ------------------------------------------------------------------------------------------------------

def sequence(schedule, rounds): return [p for i in range(rounds) for p in schedule.moves(i)]

@given(st.integers(0, 6), st.integers(0, 6), st.sampled_from('dg'), st.integers(1, 60))
def test_the_sequence_of_turns_is_the_cycle_repeated(d, g, first, rounds):
    if d + g == 0:
        with pytest.raises(ValueError, match='moves nobody'): DG(d, g, first)
        return
    moves = sequence(DG(d, g, first), rounds)
    cycle = (['discriminator'] * d + ['generator'] * g) if first == 'd' else (['generator'] * g + ['discriminator'] * d)
    assert moves == (cycle * (len(moves) // len(cycle) + 1))[:len(moves)]
    if d: assert moves.count('discriminator') == rounds # each D step costs one real batch, a G step none

@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4), st.integers(0, 3), st.sampled_from('dg'), st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_counts_hold_across_epochs_validation_and_interrupted_fits(d, g, first, fits):
    learn, schedule = learner(s := DG(d, g, first), n=24), s # three rounds an epoch
    for rounds in fits: play(learn, rounds)
    moves = sequence(schedule, sum(fits))
    assert [r['player'] for r in learn.rows] == moves
    assert learn.steps == {p: moves.count(p) for p in ('discriminator', 'generator')}
    assert learn.rounds == sum(fits) and learn.moved == 0
    assert learn.history['images'].iloc[-1] == sum(fits) * 8

@pytest.mark.parametrize('stop_at', range(1, 9))
def test_a_fit_interrupted_in_the_middle_of_a_round_goes_on_there(stop_at):
    class Interrupt(Callback):
        order, run_valid, turns = 90, False, 0
        def after_batch(self):
            self.turns += 1
            if self.turns == stop_at: raise CancelFitException
    whole, parts = play(learner(DG(2, 3)), 6), learner(DG(2, 3))
    with parts.no_bar(), parts.no_logging(): parts.fit(3, cbs=Interrupt())
    assert len(parts.rows) == stop_at
    play(parts, 6 - parts.rounds)
    assert [r['player'] for r in parts.rows] == [r['player'] for r in whole.rows]
    assert same(everything(parts, 'generator'), everything(whole, 'generator'))

def test_a_turn_that_a_callback_cancels_has_passed():
    class SkipSecondD(Callback):
        run_valid = False
        def before_batch(self):
            if self.learn.player == 'discriminator' and self.learn.rounds == 1: raise CancelBatchException
    learn = play(learner(DG(1, 1)), 4, SkipSecondD())
    assert learn.rounds == 4 and learn.steps == {'discriminator': 3, 'generator': 4}

def test_warm_up_then():
    s = WarmUp(3, then=DG(2, 1))
    assert sequence(s, 7) == ['discriminator'] * 3 + ['discriminator', 'discriminator', 'generator'] * 2
    assert play(learner(s), 7).steps == {'discriminator': 7, 'generator': 2}

@pytest.mark.parametrize('bad', [dict(d=0, g=0), dict(d=-1), dict(first='x')])
def test_impossible_schedules(bad):
    with pytest.raises(ValueError): DG(**bad)

def test_a_schedule_that_names_a_stranger():
    with pytest.raises(ValueError, match='the players are'): learner(DG(players=('critic', 'generator')))


# --- a waiting player does not move ---------------------------------------------------------------------------------

@pytest.mark.parametrize('opt_func', [None, 'fastai'])
@pytest.mark.parametrize('schedule', [DG(3, 1), DG(1, 3, 'g')])
def test_a_waiting_player_moves_exactly_zero(schedule, opt_func):
    from fastai.optimizer import Adam
    watch = Watch()
    play(learner(schedule, **({} if opt_func is None else dict(opt_func=Adam))), 9, watch)
    assert {(mover, other) for mover, other, _ in watch.seen} == {(a, b) for a in ('discriminator', 'generator')
                                                                  for b in ('discriminator', 'generator')}
    for mover, other, unmoved in watch.seen: assert unmoved == (mover != other), f'{other} during a turn of {mover}'

def test_validation_and_sampling_move_nothing():
    learn = play(learner(), 5)
    before = [everything(learn, p) for p in learn.game.players()]
    with learn.no_bar(), learn.no_logging(): learn.validate()
    learn.sample(20)
    assert all(same(b, everything(learn, p)) for b, p in zip(before, learn.game.players()))

def test_hold_gives_back_what_it_took_even_after_an_error():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), spectral_norm(nn.Linear(2, 2)))
    net[0].bias.requires_grad_(False) # frozen before: stays frozen
    with pytest.raises(KeyError), hold([net]): raise KeyError
    assert [p.requires_grad for p in net[0].parameters()] == [True,
                                                              False] and net[1].track_running_stats and net[2].parametrizations.weight[0].training

def test_the_adaptive_gate_is_exact_and_bounded():
    class Certain(Duel):
        def loss(self, player, *batch):
            terms = super().loss(player, *batch)
            self.note(rank=torch.tensor(1.)) # D always wins
            return terms
    watch = Watch()
    learn = play(learner(Adaptive(patience=3), game=Certain()), 40, watch)
    h = learn.history
    moved = {p: (h.player == p).values for p in learn.game.players()}
    d, g = (h[f'{p}.moved'][moved[p]].astype(int).tolist() for p in ('discriminator', 'generator'))
    assert all(g) and sum(d) < 20
    waits = [len(w) for w in ''.join(map(str, d)).split('1')]
    assert max(waits) == 3
    assert learn.steps == {'discriminator': sum(d), 'generator': 40}
    unmoved = [still for mover, other, still in watch.seen if mover == other == 'discriminator']
    # behind a closed gate nothing moved: weights, moments, statistics, spectral vectors
    assert unmoved == [not m for m in d]

def test_a_generator_far_ahead_waits_too():
    state = torch.tensor([.2, 0, 0])
    gate = [int(Adaptive(patience=2).gate('generator', i, state)) for i in range(9)]
    assert gate == [0, 0, 1] * 3


# --- losses, learning rates, callbacks ------------------------------------------------------------------------------

def test_the_sum_of_the_named_terms_is_the_loss():
    losses = []
    class Keep(Callback):
        order, run_valid = 90, False
        def after_batch(self): losses.append(self.learn.loss.item())
    h = play(learner(DG(2, 1)), 6, Keep()).history
    for loss, (_, row) in zip(losses, h.iterrows()):
        names = dict(discriminator=['real', 'fake'], generator=['adversarial', 'size'])[row.player]
        assert sum(row[f'{row.player}.{k}'] for k in names) == pytest.approx(loss, rel=1e-6)

def test_each_player_has_its_own_learning_rate():
    learn = learner(lr=(1e-2, 0.))
    before = [p.detach().clone() for p in learn.game.generator.parameters()]
    play(learn, 4)
    assert [h['lr'] for h in learn.opt.hypers] == [1e-2, 0.]
    assert same(list(learn.game.generator.parameters()), before)

def test_fastai_schedulers_and_gradient_clipping_work():
    learn = learner()
    norms = []
    class Norm(Callback):
        order, run_valid = GradientClip.order + 1, False
        def before_step(self):
            norms.append(torch.stack([p.grad.norm() for p in self.learn.game.parameters()
                                      if p.grad is not None]).norm().item())
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2, lr_max=(1e-3, 2e-3), cbs=[GradientClip(1e-3), Norm()])
    assert max(norms) <= 1e-3 * 1.001 and len(norms) == 20
    assert max(learn.recorder.lrs) == pytest.approx(2e-3, rel=.1) and learn.recorder.lrs[-1] < 1e-4
    assert [h['mom'] for h in learn.opt.hypers] == [.5, .5]

def test_bf16_autocasts_the_nets_and_keeps_the_weights_in_fp32():
    seen = set()
    learn = GameLearner(DataLoaders(Batches(points(), bs=8), device=torch.device('cpu')), Duel(), precision='bf16')
    learn.game.generator[0].register_forward_hook(lambda m, i, o: seen.add(o.dtype))
    before = [p.detach().clone() for p in learn.game.parameters()]
    play(learn, 3)
    assert seen == {torch.bfloat16} and {p.dtype for p in learn.game.parameters()} == {torch.float32}
    assert all(not torch.equal(a, b) for a, b in zip(before, learn.game.parameters())
               if a.dim() > 1) and learn.history['discriminator.real'].notna().any()
    with pytest.raises(ValueError, match='precision'): GameLearner(learn.dls, Duel(), precision='fp8')

def test_pictures_and_weights_are_channels_last():
    class Conv(Duel):
        def __init__(self):
            super().__init__(); self.discriminator.append(nn.Identity()); self.kernel = nn.Conv2d(3, 4, 3)
        def players(self): return {'discriminator': [self.discriminator, self.kernel], 'generator': [self.generator]}
    assert learner(game=Conv()).game.kernel.weight.is_contiguous(memory_format=torch.channels_last)
    x, = next(iter(Batches(np.zeros((8, 6, 6, 3), np.uint8), bs=4)))
    assert x.is_contiguous(memory_format=torch.channels_last)

def test_schedules_follow_the_rounds_also_through_a_resume(tmp_path):
    from fastai.callback.schedule import ParamScheduler, SchedLin
    ramp = lambda: ParamScheduler({'lr': SchedLin(0., 1e-3)})
    whole, first, second = learner(), learner(), learner()
    for learn in (whole, first):
        class Kill(Callback):
            order, run_valid = 90, False
            def after_batch(self):
                if learn is first and learn.rounds == 4 and not learn.moved: raise CancelFitException
        torch.manual_seed(0)
        with learn.no_bar(), learn.no_logging(): learn.fit_to(10, cbs=[ramp(), Kill()])
    second.load(first.save(tmp_path/'half.pth'))
    with second.no_bar(), second.no_logging(): second.fit_to(10, cbs=ramp())
    np.testing.assert_allclose(whole.recorder.lrs[::2], np.arange(10) / 10 * 1e-3, rtol=1e-6)
    np.testing.assert_allclose(second.recorder.lrs, whole.recorder.lrs[8:], rtol=1e-6)
    assert same(everything(whole, 'generator'), everything(second, 'generator'))

def test_the_average_follows_the_generator():
    learn = play(learner(cbs=EMA(decay=0.)), 3)
    assert same(list(learn.ema.game.parameters()), list(learn.game.parameters())) # no memory: equal to the present
    learn = play(learner(cbs=EMA(decay=.9)), 30)
    assert not same(list(learn.ema.game.generator.parameters()), list(learn.game.generator.parameters()))
    assert learn.sampler is learn.ema.game and learn.ema.count == 30

def test_a_loss_that_is_not_a_number_stops_the_run_by_name():
    class Broken(Duel):
        def loss(self, player, *batch):
            return {**super().loss(player, *batch), 'penalty': torch.tensor(float('nan')) + 0
                    * self.generator[0].weight.sum()}
    learn = learner(game=Broken())
    with pytest.raises(Diverged, match="'penalty' of the discriminator became nan on round 0"): play(learn, 2)

def test_a_parameter_has_one_owner():
    class Shared(Duel):
        def players(self):
            return {'discriminator': [self.discriminator], 'generator': [self.generator, self.discriminator]}
    with pytest.raises(ValueError, match='two players'): learner(game=Shared())

def test_only_one_method_of_the_loop_is_replaced():
    "fastai stays fastai: of Learner's own methods we replace one step of the loop, save and load."
    from fastai.learner import Learner
    ours = {k for k, v in vars(GameLearner).items() if callable(v) and hasattr(Learner, k) and not k.startswith('__')
            and k != 'opt_func'}
    assert ours == {'_do_one_batch', 'save', 'load'}


# --- watching changes nothing, and a checkpoint changes nothing -----------------------------------------------------

def test_looking_at_samples_does_not_change_the_training():
    class Look(Callback):
        run_valid = False
        def after_batch(self): self.learn.sample(4)
    a, b = play(learner(), 6), play(learner(), 6, Look())
    assert same(everything(a, 'generator'), everything(b, 'generator'))
    assert not torch.equal(b.sample(4), b.sample(4)) and torch.equal(b.sample(4, seed=1), b.sample(4, seed=1))

def test_drawing_restores_every_mode():
    game = Duel(); game.train(); game.generator[1].eval()
    draw(game, 3, seed=0)
    assert game.discriminator[1].training and not game.generator[1].training

half = """
import sys; sys.path.insert(0, {tests!r})
from test_game import *
learn = learner(DG(2, 3), cbs=EMA(.9), lr=(1e-2, 5e-3))
if {start!r}: learn.load({start!r})
play(learn, {rounds})
learn.save({end!r})
"""

@pytest.mark.parametrize('n', [4, 7]) # rounds an epoch: 5, so the second half starts in the middle of one
def test_two_halves_in_two_processes_equal_the_whole_bit_for_bit(tmp_path, n):
    def run(start, rounds, end):
        code = half.format(tests=str(Path(__file__).parent), start=start and str(tmp_path/start), rounds=rounds,
                           end=str(tmp_path/end))
        subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, cwd=tmp_path)
        return torch.load(tmp_path/end, weights_only=True)
    run(None, n, 'half.pth')
    resumed, whole = run('half.pth', n, 'resumed.pth'), run(None, 2 * n, 'whole.pth')
    for s in (resumed, whole): s.pop('seconds'); s['rows'].pop('seconds')
    def compare(a, b, at):
        assert type(a) is type(b), at
        if isinstance(a, dict): assert list(a) == list(b), at; [compare(a[k], b[k], f'{at}.{k}') for k in a]
        elif isinstance(a, (list, tuple)):
            assert len(a) == len(b), at; [compare(x, y, f'{at}[{i}]') for i, (x, y) in enumerate(zip(a, b))]
        elif isinstance(a, torch.Tensor):
            assert torch.equal(a.nan_to_num(-1) if a.is_floating_point() else a,
                               b.nan_to_num(-1) if b.is_floating_point() else b), at
        else: assert a == b, at
    compare(resumed, whole, 'state')
    assert whole['rounds'] == 2 * n

def test_checkpoints_that_cannot_be_used_say_why(tmp_path):
    learn = play(learner(), 2)
    file = learn.save(tmp_path/'run.pth')
    assert list(tmp_path.iterdir()) == [file]
    class Other(Duel): pass
    with pytest.raises(ValueError, match='holds a Duel, not a Other'): learner(game=Other()).load(file)
    wide = Duel(); wide.generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match='another shape'): learner(game=wide).load(file)
    with pytest.raises(FileNotFoundError, match='no checkpoint'): learner().load(tmp_path/'none.pth')
    for damage in (b'', file.read_bytes()[:1000], b'junk' * 99):
        (tmp_path/'bad.pth').write_bytes(damage)
        with pytest.raises(ValueError, match='bad.pth is damaged'): learner().load(tmp_path/'bad.pth')
    torch.save({'model': {}}, tmp_path/'foreign.pth')
    with pytest.raises(ValueError, match='not a dlcv_gan checkpoint'): read_checkpoint(tmp_path/'foreign.pth')
    class Evil:
        def __reduce__(self): return (os.system, ('touch ' + str(tmp_path/'pwned'),))
    torch.save(dict(format='dlcv_gan 1', game=Evil()), tmp_path/'evil.pth')
    with pytest.raises(ValueError): read_checkpoint(tmp_path/'evil.pth')
    assert not (tmp_path/'pwned').exists()

def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    learn = play(learner(), 2)
    file = learn.save(tmp_path/'run.pth'); old = file.read_bytes()
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal; handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard)) # the disk is full after 2,000 bytes
        with pytest.raises((OSError, RuntimeError)): learn.save(file)
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)); signal.signal(signal.SIGXFSZ, handler)
    assert file.read_bytes() == old and list(tmp_path.iterdir()) == [file]

@given(st.lists(st.tuples(st.sampled_from(['a', 'b']), st.floats(-1e6, 1e6)), max_size=6))
def test_history_rows_survive_packing(rows):
    rows = [dict(round=i, player=p, images=i * 8, seconds=.5, **{f'steps_{p}': i, f'{p}.loss': v})
            for i, (p, v) in enumerate(rows)]
    for r in rows: r.setdefault('steps_a', 0); r.setdefault('steps_b', 0)
    assert unpack_rows(pack_rows(rows)) == rows


# --- the Dirac-GAN --------------------------------------------------------------------------------------------------

class Dirac(Game):
    "Data 0, generator theta, critic psi * x."
    def __init__(self, theta=1., psi=0., penalty=0.):
        super().__init__()
        self.generator, self.discriminator, self.penalty = nn.ParameterList([torch.tensor(theta)]), nn.ParameterList([torch.tensor(psi)]), penalty
    def players(self): return {'discriminator': [self.discriminator], 'generator': [self.generator]}
    def loss(self, player, x):
        theta, psi = self.generator[0], self.discriminator[0]
        return {'adversarial': -psi * theta} if player == 'generator' else {'adversarial': psi * theta,
                                                                            'penalty': self.penalty / 2 * psi ** 2}

def dirac_path(rounds, h=.1, schedule=None, **kw):
    def sgd(params, lr): opt = OptimWrapper(params, torch.optim.SGD, lr=.1); opt.set_hyper('lr', lr); return opt
    learn = GameLearner(DataLoaders(Batches(torch.zeros(40, 1), bs=8), device=torch.device('cpu')), Dirac(**kw),
                        schedule, lr=h, opt_func=sgd, precision='fp32')
    path = []
    class Trace(Callback):
        def after_batch(self): path.append((learn.game.generator[0].item(), learn.game.discriminator[0].item()))
    play(learn, rounds, Trace())
    return np.array(path)

@settings(max_examples=10, deadline=None)
@given(st.floats(-2, 2), st.floats(-2, 2), st.sampled_from([.05, .1, .3]))
def test_the_plain_dirac_gan_circles_for_ever(theta, psi, h):
    t, p = dirac_path(60, h, theta=theta, psi=psi)[1::2].T
    energy = t ** 2 + p ** 2 - h * t * p # the invariant of alternating steps, exactly
    assert np.allclose(energy, theta ** 2 + psi ** 2 - h * theta * psi, atol=1e-4 * (1 + energy.max()))

def test_the_penalised_dirac_gan_converges_at_its_eigenvalue():
    h, gamma = .1, .5
    path = dirac_path(400, h, penalty=gamma)[1::2]
    step = np.array([[1, 0], [-h, 1 - h * gamma]]); step = np.array([[1, h], [0, 1]]) @ step # D's step, then G's
    state = np.array([1., 0.])
    for got in path[:100]: state = step @ state; assert np.allclose(got, state, atol=1e-5)
    rate = max(abs(np.linalg.eigvals(step)))
    assert rate < 1 and np.linalg.norm(path[-1]) < 3 * rate ** 400


# --- on a GPU -------------------------------------------------------------------------------------------------------

@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('schedule', [DG(2, 1), DG(1, 3), Adaptive()])
def test_captured_turns_equal_eager_turns(schedule):
    def run(graphs):
        torch.manual_seed(0)
        dls = DataLoaders(Batches(points(80), bs=8, device='cuda'), device=torch.device('cuda'))
        game = Duel(); game.discriminator[3].p = 0.
        # no noise, so that both see the same
        game.latent = lambda n: torch.linspace(-1, 1, n * 4, device='cuda').view(n, 4)
        return play(GameLearner(dls, game, schedule, lr=1e-3, precision='fp32', graphs=graphs), 30)
    eager, graphed = run(False), run(True)
    assert graphed.captured and not eager.captured
    for a, b in zip(eager.game.state_dict().values(), graphed.game.state_dict().values()):
        torch.testing.assert_close(a.float(), b.float(), rtol=1e-3, atol=1e-4)
    assert eager.steps == graphed.steps
    columns = [c for c in eager.history if '.' in c]
    np.testing.assert_allclose(eager.history[columns].to_numpy(float), graphed.history[columns].to_numpy(float),
                               rtol=1e-2, atol=1e-3)
