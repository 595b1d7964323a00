"Laws of the callbacks: an average that follows, and schedulers that go by rounds."
import numpy as np
import torch
from duel import everything, learner, play, same
from fastai.callback.core import Callback, CancelFitException

from dlcv_gan.game.callbacks import EMA


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

def test_a_checkpoint_holds_the_score_of_its_own_round_and_comes_before_the_film(tmp_path):
    from dlcv_gan.game.callbacks import Checkpoint
    from dlcv_gan.game.checkpoint import read_checkpoint
    from dlcv_gan.live import Film
    from dlcv_gan.runs.training import KeepBest
    best = KeepBest(tmp_path/'best.safetensors', lambda game: 1., 1, 9)
    class Stopped(Callback): # by something that goes wrong right after the save
        order = Checkpoint.order + 1
        def after_batch(self):
            if self.learn.rounds == 3 and not self.learn.moved: raise CancelFitException
    learn = learner()
    with learn.no_bar(), learn.no_logging():
        learn.fit(3, cbs=[Checkpoint(tmp_path/'run.pth', every=1), best, Stopped()])
    state = read_checkpoint(tmp_path/'run.pth')
    assert [i for i, _ in state['callbacks']['keep_best']['scores']] == [1, 2, 3] and state['rounds'] == 3
    assert Film.order > Checkpoint.order # a picture that cannot be written costs no round

def test_saves_go_by_the_clock_or_by_rounds(tmp_path):
    from dlcv_gan.game.callbacks import Checkpoint
    saved = []
    class Watch(Checkpoint):
        def save(self): saved.append(self.learn.rounds); super().save()
    play(learner(cbs=Watch(tmp_path/'a.pth', every=3)), 8)
    assert saved == [3, 6, 8]
    saved.clear()
    play(learner(cbs=Watch(tmp_path/'a.pth', seconds=0)), 4)
    assert saved == [1, 2, 3, 4, 4]
    saved.clear()
    play(learner(cbs=Watch(tmp_path/'a.pth')), 8) # a minute has not passed
    assert saved == [8]
