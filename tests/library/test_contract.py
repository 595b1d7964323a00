"Laws of fastai's contract: every callback that fastai ships works in a game, by its effect, or is refused by name."
import ast, importlib.util, math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from duel import Duel, everything, learner, play, points, same
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.core import Callback, CancelBatchException, CancelStepException
from fastai.callback.data import CollectDataCallback
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.hook import ActivationStats, HookCallback
from fastai.callback.mixup import CutMix, MixUp
from fastai.callback.progress import CSVLogger, ProgressCallback, ShowGraphCallback
from fastai.callback.schedule import ParamScheduler, SchedLin
from fastai.callback.tracker import (EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback,
                                     TerminateOnNaNCallback)
from fastai.callback.training import BnFreeze, GradientAccumulation, GradientClip, ShortEpochCallback
from fastai.data.core import DataLoaders
from fastai.learner import Recorder, load_learner
from fastai.optimizer import Adam, OptimWrapper
from fastai.test_utils import VerboseCallback
from fastai.vision.gan import GANTrainer
from toys import pictures, quiet
from torch import nn

import fastai
from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.base import Game
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.contract import REFUSED, REFUSED_METHODS, WORKS
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.recorder import GameProgress, GameRecorder
from dlcv_gan.game.schedules import DG


class Line(Game):
    "One player with one weight: it lowers (w - target)^2, so each epoch's loss is known."
    def __init__(self, target=1., w=0.):
        super().__init__()
        self.net = nn.ParameterList([torch.tensor([w])])
        self.target = target
    def players(self): return {'line': [self.net]}
    def loss(self, player, x, y=None): return {'square': (self.net[0] - self.target).square().sum() + 0 * x.sum()}
    def sample(self, n, y=None, z=None): return self.net[0].expand(n, 1)


def sgd(params, lr):
    opt = OptimWrapper(params, torch.optim.SGD, lr=.1)
    opt.set_hyper('lr', lr)
    return opt

def line(lr=.1, bs=4, n=16, opt_func=sgd, path=None, **kwargs):
    dls = DataLoaders(Batches(torch.zeros(n, 1), bs=bs), Batches(torch.zeros(4, 1), bs=4, shuffle=False), device='cpu')
    if path: dls.path = path
    return GameLearner(dls, Line(), lr=lr, opt_func=opt_func, precision='fp32', **kwargs)

def fit(learn, epochs, **kwargs):
    with learn.no_bar(), learn.no_logging(): learn.fit(epochs, **kwargs)
    return learn


# ---- every callback is in the table

def shipped():
    "Every class of fastai's source that descends from Callback, by name; nothing is imported for it."
    bases = {}
    for file in Path(fastai.__file__).parent.rglob('*.py'):
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [b.id for b in node.bases if isinstance(b, ast.Name)]
    def is_callback(name): return name == 'Callback' or any(map(is_callback, bases.get(name, ())))
    return sorted(n for n in bases if n != 'Callback' and is_callback(n))


@pytest.mark.parametrize('name', shipped())
def test_every_callback_of_fastai_works_or_is_refused(name):
    assert (name in WORKS) + (name in REFUSED) == 1, (
        f'fastai ships {name}: try it in a game, and put it into WORKS or REFUSED of library/game/contract')


def test_the_table_names_nothing_that_fastai_has_not():
    # what is gone from a newer fastai may stay for an older one, but not be misspelt
    assert set(shipped()) >= {n for n in WORKS + tuple(REFUSED) if n not in ('NonNativeMixedPrecision', 'ModelToHalf')}


@pytest.mark.parametrize('name', sorted(REFUSED))
def test_what_makes_no_sense_is_refused_with_advice(name):
    made = type(name, (Callback,), dict(__module__='fastai.somewhere'))
    with pytest.raises(ValueError, match=f'{name} does not go with a game: .{{20}}'): line().add_cb(made())
    assert 'learn.' in REFUSED[name] or 'GameLearner' in REFUSED[name] or 'Callback' in REFUSED[name] or (
        'recurrent' in REFUSED[name])

def test_the_real_thing_is_refused_too():
    with pytest.raises(ValueError, match='give GameLearner a schedule'): line(cbs=GANTrainer())

@pytest.mark.parametrize('name', sorted(REFUSED_METHODS))
def test_methods_that_make_no_sense_are_refused_at_once(name):
    learn = learner()
    before = everything(learn, 'generator')
    with pytest.raises(TypeError, match=f'a GameLearner has no {name}: '): getattr(learn, name)(1)
    assert same(before, everything(learn, 'generator'))

@pytest.mark.parametrize('given', ['loss_func', 'splitter'])
def test_what_a_game_brings_itself_is_refused(given):
    with pytest.raises(TypeError, match=f'{given}=: a game'): line(**{given: nn.Identity()})


# ---- the recorder

def test_the_table_begins_with_train_and_valid_loss():
    learn = fit(learner(), 2)
    players = ('discriminator', 'generator')
    assert list(learn.recorder.metric_names) == [
        'epoch', 'train_loss', 'valid_loss', *(f'train_loss_{p}' for p in players),
        *(f'valid_loss_{p}' for p in players), 'time']
    for row in learn.recorder.values:
        assert row[0] == pytest.approx(row[2] + row[3]) and row[1] == pytest.approx(row[4] + row[5])
    assert list(fit(line(), 1).recorder.metric_names) == ['epoch', 'train_loss', 'valid_loss', 'time']

def test_the_losses_of_one_player_are_the_smoothed_ones_of_a_plain_learner():
    from fastai.learner import Learner
    class Net(nn.Module):
        def __init__(self): super().__init__(); self.w = nn.Parameter(torch.tensor([0.]))
        def forward(self, x): return self.w.expand(len(x), 1)
    pairs = [(torch.zeros(1), torch.ones(1))] * 16
    from fastai.data.load import DataLoader
    plain = Learner(DataLoaders(DataLoader(pairs, bs=4), DataLoader(pairs[:4], bs=4)), Net(), nn.MSELoss(),
                    opt_func=lambda p, lr: sgd(list(p), lr), lr=.1)
    for learn in (plain, ours := line()): fit(learn, 2)
    np.testing.assert_allclose(ours.recorder.losses, [float(x) for x in plain.recorder.losses], rtol=1e-5)
    assert ours.recorder.iters == plain.recorder.iters and ours.recorder.lrs == plain.recorder.lrs
    assert [r[1] for r in ours.recorder.values] == pytest.approx([r[1] for r in plain.recorder.values], rel=1e-5)
    assert ours.smooth_loss.item() == pytest.approx(plain.smooth_loss.item(), rel=1e-5)
    assert quiet(ours, ours.validate)[0] == pytest.approx(plain.validate()[0], rel=1e-5)

def test_validate_returns_validation_losses():
    learn = fit(learner(), 1)
    found = quiet(learn, learn.validate)
    assert len(found) == 3 and found[0] == pytest.approx(found[1] + found[2]) and all(map(math.isfinite, found))

def test_plot_loss_draws_the_epochs_validation():
    import matplotlib.pyplot as plt
    learn = fit(line(), 3)
    ax = learn.recorder.plot_loss(skip_start=0)
    train, valid = ax.lines
    assert list(valid.get_ydata()) == [r[1] for r in learn.recorder.values] and len(train.get_ydata()) == 12
    plt.close('all')

def test_metrics_are_functions_of_samples_and_reals():
    seen = []
    def gap(samples, reals): seen.append((samples.shape, reals.shape)); return (samples.mean() - reals.mean()).abs()
    learn = fit(line(metrics=gap), 2)
    assert list(learn.recorder.metric_names)[-2] == 'gap'
    weights = [1 - .8**4, 1 - .8**8] # of SGD on (w - 1)^2, four steps an epoch
    assert [r[-1] for r in learn.recorder.values] == pytest.approx(weights, rel=1e-5)
    assert seen == [(torch.Size([4, 1]), torch.Size([4, 1]))] * 2
    assert quiet(learn, learn.validate)[-1] == pytest.approx(weights[-1], rel=1e-5)

def test_a_metric_of_predictions_is_refused():
    from fastai.metrics import Perplexity
    with pytest.raises(ValueError, match='give a function of .samples, reals.'): fit(line(metrics=Perplexity()), 1)

def test_metrics_do_not_disturb_the_run():
    plain = fit(learner(), 2)
    watched = fit(learner(metrics=lambda samples, reals: 0.), 2)
    assert same(everything(plain, 'generator'), everything(watched, 'generator'))


# ---- fastai's callbacks, by their effect

def rising(path, **kwargs):
    "The loss falls for two epochs and then rises, because the target runs away."
    learn = line(path=path, **kwargs)
    class RunAway(Callback):
        def before_epoch(self): self.learn.game.target = 1. if self.epoch < 2 else 50. * (self.epoch - 1)
    learn.add_cb(RunAway())
    return learn

@pytest.mark.parametrize('monitor', ['valid_loss', 'train_loss'])
def test_save_model_keeps_the_best_epoch(tmp_path, monitor):
    learn = fit(rising(tmp_path), 4, cbs=SaveModelCallback(monitor=monitor))
    best = 1 - .8**8 # the weight after two epochs
    assert learn.game.net[0].item() == pytest.approx(best, rel=1e-5)
    assert learn.rounds == 16 and len(learn.rows) == 16 # weights alone go back

def test_save_model_watches_a_players_loss(tmp_path):
    learn = learner()
    learn.path = tmp_path
    fit(learn, 3, cbs=SaveModelCallback(monitor='valid_loss_generator', every_epoch=True))
    assert sorted(p.name for p in (tmp_path/'models').iterdir()) == [f'model_{i}.pth' for i in range(3)]

def test_early_stopping_stops_when_the_loss_rises(tmp_path):
    learn = fit(rising(tmp_path), 9, cbs=EarlyStoppingCallback(patience=1))
    assert learn.rounds == 12 # two epochs that fell, and the one that rose

def test_reduce_lr_on_plateau_reduces_the_rate(tmp_path):
    learn = fit(rising(tmp_path), 4, cbs=ReduceLROnPlateau(factor=10))
    assert learn.recorder.lrs == pytest.approx([.1] * 12 + [.01] * 4)

@pytest.mark.parametrize('cb', [SaveModelCallback, EarlyStoppingCallback, ReduceLROnPlateau])
def test_nothing_watches_a_validation_that_is_not_there(cb):
    learn = learner(valid=False)
    with pytest.raises(ValueError, match="no validation data: .* monitor='train_loss'"): fit(learn, 1, cbs=cb())

def test_csv_logger_writes_the_table(tmp_path):
    learn = learner()
    learn.path = tmp_path
    fit(learn, 2, cbs=CSVLogger())
    table = pd.read_csv(tmp_path/'history.csv')
    assert list(table) == list(learn.recorder.metric_names) and len(table) == 2
    assert table.valid_loss.tolist() == pytest.approx([r[1] for r in learn.recorder.values])

def test_gradient_clip_clips_the_mover():
    norms = []
    class Norm(Callback):
        order, run_valid = GradientClip.order + 1, False
        def before_step(self):
            norms.append(torch.stack([p.grad.norm() for p in self.learn.own_parameters(self.learn.player)]).norm())
    fit(learner(), 1, cbs=[GradientClip(1e-3), Norm()])
    assert len(norms) == 10 and max(norms) <= 1.001e-3

def test_gradient_accumulation_equals_the_large_batch():
    "Two batches of 8, accumulated, move a player as one batch of 16 does."
    class Mean(Line):
        def loss(self, player, x, y=None): return {'square': (self.net[0] - x[:, 0]).square().mean()}
    def run(bs, rounds, **kwargs):
        learn = GameLearner(DataLoaders(Batches(points(32), bs=bs), device=torch.device('cpu')), Mean(), lr=.1,
                            opt_func=sgd, precision='fp32', **kwargs)
        return play(learn, rounds)
    small, large = run(8, 8, cbs=GradientAccumulation(16)), run(16, 4)
    assert small.steps == large.steps == dict(line=4)
    assert small.game.net[0].item() == pytest.approx(large.game.net[0].item(), rel=1e-5)

@pytest.mark.parametrize('schedule, steps', [(None, (4, 4)), (DG(2, 1), (4, 2)), (DG(1, 3), (4, 12))])
def test_each_player_accumulates_for_itself(schedule, steps):
    "The waiting player's gradients are nobody's step, and no step is counted in between."
    learn, movers = learner(schedule), []
    class Moves(Callback):
        order, run_valid = 99, False
        def before_batch(self): self.was = {p: everything(learn, p)[:2] for p in learn.game.players()}
        def after_batch(self):
            movers.append((learn.player, [p for p in self.was if not same(self.was[p], everything(learn, p)[:2])]))
    play(learn, 8, [GradientAccumulation(16), Moves()])
    assert learn.steps == dict(zip(('discriminator', 'generator'), steps))
    assert all(moved in ([], [player]) for player, moved in movers)

def test_a_turn_without_a_step_is_not_counted_as_one():
    class Skip(Callback):
        run_valid = False
        def before_step(self):
            if self.learn.player == 'generator': raise CancelStepException
    learn = learner()
    before = everything(learn, 'generator')[:4]
    play(learn, 4, Skip())
    assert learn.steps == dict(discriminator=4, generator=0)
    assert all(torch.equal(a, b) for a, b in zip(before[:1], everything(learn, 'generator')[:1]))

@pytest.mark.parametrize('event', ['after_pred', 'after_loss', 'before_backward', 'before_step'])
def test_a_cancelled_turn_leaves_no_row_and_no_step(event):
    def skip(self):
        if self.learn.player == 'generator': raise CancelBatchException
    learn = play(learner(), 4, Callback(**{event: skip}))
    assert learn.steps == dict(discriminator=4, generator=0)
    assert [r['player'] for r in learn.rows] == ['discriminator'] * 4 and learn.rounds == 4

def test_terminate_on_nan_ends_the_fit():
    learn = line()
    learn.game.target = float('nan')
    fit(learn, 1, cbs=TerminateOnNaNCallback())
    assert learn.rounds == 1

def test_param_scheduler_and_the_fits_with_schedules():
    learn = fit(line(), 2, cbs=ParamScheduler({'lr': SchedLin(.1, .2)}))
    assert learn.recorder.lrs == pytest.approx(np.linspace(.1, .2, 8, endpoint=False))
    quiet(learn, learn.fit_flat_cos, 2, .1)
    assert learn.recorder.lrs[0] == .1 and learn.recorder.lrs[-1] < .1
    assert learn.recorder.hps['lr'] == learn.recorder.lrs
    quiet(learn, learn.fit_one_cycle, 2, .1)
    assert max(learn.recorder.lrs) > learn.recorder.lrs[0] and min(learn.recorder.lrs) >= 0
    quiet(learn, learn.fit_sgdr, 2, 1, .1)
    assert len(learn.recorder.lrs) == 12

def test_short_epochs_end_early():
    assert fit(line(n=40), 1, cbs=ShortEpochCallback(pct=.5)).rounds == 6

def test_show_graph_draws_train_and_valid():
    drawn = []
    learn = line()
    class Watch(Callback):
        order = ShowGraphCallback.order - 1
        def before_epoch(self): self.progress.mbar.update_graph = lambda *args: drawn.append(args)
    with learn.no_logging(): learn.fit(2, cbs=[ShowGraphCallback(), Watch()])
    (_, losses), (_, valid) = drawn[-1][0]
    assert losses == learn.recorder.losses and valid == [r[1] for r in learn.recorder.values]

def test_mixup_and_cutmix_mix_pictures_and_labels():
    class Seen(Callback):
        order, run_valid = 99, False
        def after_batch(self): self.seen.append((self.learn.xb[0].clone(), self.learn.yb[0].clone()))
        def before_fit(self): self.seen = []
    for mix in (MixUp(), CutMix()):
        seen = Seen()
        items = torch.cat([torch.zeros(8, 1, 4, 4), torch.ones(8, 1, 4, 4)])
        batches = Batches(items, labels=torch.eye(2).repeat_interleave(8, 0), bs=16)
        dls = DataLoaders(batches, device=torch.device('cpu'))
        torch.manual_seed(0)
        quiet(learn := GameLearner(dls, Line(), precision='fp32', cbs=[mix, seen]), learn.fit, 3)
        x, y = (torch.cat(t) for t in zip(*seen.seen))
        assert ((y > 0) & (y < 1)).any() and torch.allclose(y.sum(1), torch.ones(len(y)))
        # a label is the share of its pictures
        assert torch.allclose(x.mean((1, 2, 3)), y[:, 1], atol=1e-6)

def test_hooks_and_statistics_see_both_players():
    class Shape(HookCallback):
        def hook(self, m, i, o): return tuple(o.shape)
        def after_batch(self): self.found.append(list(self.hooks.stored))
        def before_fit(self): super().before_fit(); self.found = []
    shape, stats = Shape(modules=None), ActivationStats()
    fit(learner(), 1, cbs=[shape, stats])
    assert len(shape.found) >= 10 and len(stats.stats) == 10

def test_what_changes_nothing_else_runs_through():
    plain = fit(learner(), 1)
    watched = fit(learner(), 1, cbs=[BnFreeze(), ChannelsLast(), CollectDataCallback(), VerboseCallback()])
    assert same(everything(plain, 'generator'), everything(watched, 'generator'))
    assert len(watched.rows) == len(plain.rows)

def test_skipped_epochs_are_skipped():
    learn = fit(line(), 3, start_epoch=2)
    assert learn.rounds == 4

def test_whoever_brings_fastais_own_gets_a_games():
    learn = line(cbs=[GradientAccumulation(8)])
    kinds = [type(cb) for cb in learn.cbs]
    assert GameRecorder in kinds and GameProgress in kinds and Recorder not in kinds and ProgressCallback not in kinds
    with learn.no_bar(): pass
    assert type(learn.progress) is GameProgress # fastai puts its own back

def test_an_event_that_is_given_to_an_instance_is_heard():
    heard = []
    play(learner(), 2, Callback(after_pred=lambda self: heard.append(self.learn.player)))
    assert heard == ['discriminator', 'generator'] * 2

@pytest.mark.skipif(importlib.util.find_spec('tensorboard') is None, reason='tensorboard is not installed')
def test_tensorboard_logs_losses_and_rates(tmp_path):
    from fastai.callback.tensorboard import TensorBoardCallback
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    learn = fit(learner(), 2, cbs=TensorBoardCallback(log_dir=tmp_path))
    log = EventAccumulator(str(tmp_path)).Reload()
    # by step: fastai's callback logs the last training loss again at each batch of the validation
    found = {t: [*{e.step: e.value for e in log.Scalars(t)}.values()] for t in log.Tags()['scalars']}
    assert found['valid_loss'] == pytest.approx([r[1] for r in learn.recorder.values], rel=1e-5)
    assert found['train_loss'] == pytest.approx(learn.recorder.losses, rel=1e-5)
    assert found['lr_0'] == pytest.approx([1e-2] * 20) and 'valid_loss_generator' in found

@pytest.mark.skipif(importlib.util.find_spec('wandb') is None, reason='wandb is not installed')
def test_wandb_logs_offline(tmp_path, monkeypatch):
    monkeypatch.setenv('WANDB_MODE', 'offline'); monkeypatch.setenv('WANDB_SILENT', 'true')
    import wandb
    from fastai.callback.wandb import WandbCallback
    run = wandb.init(dir=str(tmp_path))
    try:
        learn = fit(learner(), 2, cbs=WandbCallback())
        assert run.summary['valid_loss'] == pytest.approx(learn.recorder.values[-1][1], rel=1e-5)
        assert run.summary['lr_0'] == 1e-2
    finally: wandb.finish()


# ---- methods

def test_lr_find_is_for_each_player_and_leaves_no_trace():
    import matplotlib.pyplot as plt
    learn = play(learner(cbs=EMA(.9)), 3)
    before = {p: everything(learn, p) for p in learn.game.players()}, len(learn.rows), torch.get_rng_state()
    lrs = [h['lr'] for h in learn.opt.hypers]
    found = quiet(learn, lambda: learn.lr_find(num_it=20, show_plot=False))
    assert set(found) == {'discriminator', 'generator'} and all(1e-7 <= f.valley <= 10 for f in found.values())
    for p, old in before[0].items(): assert same(old, everything(learn, p))
    assert len(learn.rows) == before[1] and torch.equal(torch.get_rng_state(), before[2])
    assert [h['lr'] for h in learn.opt.hypers] == lrs and learn.rounds == 3
    assert 'lr_finder' not in vars(learn)
    plt.close('all')
    one = quiet(learn, lambda: learn.lr_find(num_it=20, show_plot=False, player='generator'))
    assert one == found['generator']
    with pytest.raises(ValueError, match="no player is called 'g'"): learn.lr_find(player='g')

def test_a_run_in_which_a_rate_was_sought_is_the_run_without():
    plain, sought = play(learner(), 3), play(learner(), 3) # two runs of one seed
    quiet(sought, lambda: sought.lr_find(num_it=10, show_plot=False))
    states = torch.get_rng_state()
    play(plain, 4)
    torch.set_rng_state(states)
    assert same(everything(plain, 'generator'), everything(play(sought, 4), 'generator'))

def test_export_comes_back_without_its_data(tmp_path):
    learn = fit(learner(cbs=EMA(.9)), 1)
    learn.path = tmp_path
    learn.export()
    assert len(learn.dls.train) == 5 and learn.rows # the learner itself keeps all
    again = load_learner(tmp_path/'export.pkl')
    assert torch.equal(again.sample(4, seed=0), learn.sample(4, seed=0))
    assert not len(again.dls.train) and again.rows == []
    assert (tmp_path/'export.pkl').stat().st_size < 200_000

def test_summary_counts_the_parameters(capsys):
    learn = learner()
    text = str(learn.summary())
    total = sum(p.numel() for p in learn.game.parameters())
    assert f'{total:,}' in text

def test_show_results_shows_reals_above_samples():
    import matplotlib.pyplot as plt
    from dlcv_gan.models.vae import build_vae
    dls = DataLoaders(Batches(pictures(16), bs=8), Batches(pictures(8, seed=1), bs=8, shuffle=False), device='cpu')
    learn = GameLearner(dls, build_vae(32, 2, 4), precision='fp32')
    learn.show_results(max_n=4)
    axes = plt.gcf().axes
    shown = [ax.images[0].get_array() for ax in axes]
    assert len(axes) == 8
    np.testing.assert_allclose(shown[0], learn.dls.valid.one_batch()[0][0].permute(1, 2, 0) * .5 + .5, atol=1e-6)
    np.testing.assert_allclose(shown[4], learn.sample(4, seed=0)[0].permute(1, 2, 0).clamp(-1, 1) * .5 + .5, atol=1e-6)
    plt.close('all')

def test_hypers_can_be_written_whatever_the_optimizer():
    for opt_func in ({}, dict(opt_func=sgd), dict(opt_func=Adam)):
        learn = learner(**opt_func)
        for h in learn.opt.hypers: h['lr'] = 3e-3
        assert [h['lr'] for h in learn.opt.hypers] == [3e-3, 3e-3] and None not in learn.opt.hypers[0].values()

@pytest.mark.parametrize('how', ['argument', 'method', 'callback', 'channelslast'])
def test_half_precision_by_every_door(how):
    seen = set()
    learn = learner()
    if how == 'argument': learn = GameLearner(learn.dls, Duel(), precision='fp16', lr=1e-2)
    elif how == 'method': learn.to_fp16()
    elif how == 'callback': learn.add_cb(MixedPrecision())
    else: learn.to_channelslast()
    learn.game.generator[0].register_forward_hook(lambda m, i, o: seen.add(o.dtype))
    before = everything(learn, 'generator')
    play(learn, 3)
    assert seen == {torch.float16} and not same(before, everything(learn, 'generator'))
    for p, steps in learn.steps.items(): # the first scales are too large: each infinity leaves out a step and halves it
        assert learn.scales[p].scale == 2.**(16 - (3 - steps)) and steps > 0
    assert play(learn.to_fp32(), 1).dtype is None
