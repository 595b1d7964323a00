"Laws of the learner: a waiting player does not move, fastai stays fastai, and the Dirac-GAN goes where it must."
import numpy as np
import pytest
import torch
from duel import Duel, Watch, everything, learner, play, points, same
from fastai.callback.core import Callback, CancelBatchException, CancelFitException
from fastai.callback.training import GradientClip
from fastai.data.core import DataLoaders
from fastai.optimizer import OptimWrapper
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.base import Game
from dlcv_gan.game.contract import REFUSED_METHODS
from dlcv_gan.game.learner import GameLearner, hold
from dlcv_gan.game.schedules import DG


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


# --- a waiting player does not move ---------------------------------------------------------------------------------

@pytest.mark.parametrize('opt_func', [None, 'fastai'])
@pytest.mark.parametrize('schedule', [DG(3, 1), DG(1, 3, 'g')])
def test_a_waiting_player_moves_exactly_zero(schedule, opt_func):
    from fastai.optimizer import Adam
    watch = Watch()
    play(learner(schedule, **({} if opt_func is None else dict(opt_func=Adam))), 9, watch)
    players = ('discriminator', 'generator')
    assert {(mover, other) for mover, other, _ in watch.seen} == {(a, b) for a in players for b in players}
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
    assert [p.requires_grad for p in net[0].parameters()] == [True, False]
    assert net[1].track_running_stats and net[2].parametrizations.weight[0].training

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

def test_a_parameter_has_one_owner():
    class Shared(Duel):
        def players(self):
            return {'discriminator': [self.discriminator], 'generator': [self.generator, self.discriminator]}
    with pytest.raises(ValueError, match='two players'): learner(game=Shared())

def test_fastai_stays_fastai():
    "Of Learner's own methods we replace one step of the loop and what it calls, files, and what a game has not."
    from fastai.learner import Learner
    ours = {k for k, v in vars(GameLearner).items() if callable(v) and hasattr(Learner, k) and not k.startswith('__')}
    assert ours - set(REFUSED_METHODS) == {
        '_do_one_batch', '_backward', '_step', # a turn of one player
        '_set_device', '_split', # the same, without what costs time at every turn
        'create_opt', 'add_cb', 'remove_cb', 'lr_find', 'show_results', 'to_fp16', 'to_bf16', 'to_fp32', 'save',
        'load', 'export', *({'summary'} & ours)} # fastai adds `summary` to Learner where its hooks are imported


# --- the Dirac-GAN --------------------------------------------------------------------------------------------------

class Dirac(Game):
    "Data 0, generator theta, critic psi * x."
    def __init__(self, theta=1., psi=0., penalty=0.):
        super().__init__()
        self.generator, self.discriminator = (nn.ParameterList([torch.tensor(v)]) for v in (theta, psi))
        self.penalty = penalty
    def players(self): return {'discriminator': [self.discriminator], 'generator': [self.generator]}
    def loss(self, player, x):
        theta, psi = self.generator[0], self.discriminator[0]
        if player == 'generator': return {'adversarial': -psi * theta}
        return {'adversarial': psi * theta, 'penalty': self.penalty / 2 * psi ** 2}

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
