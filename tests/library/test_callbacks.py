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
