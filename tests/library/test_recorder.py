"Laws of the history: its terms are the loss, and what is not finite stops the run."
import pytest
import torch
from duel import Duel, learner, play
from fastai.callback.core import Callback

from dlcv_gan.game.recorder import Diverged
from dlcv_gan.game.schedules import DG


def test_the_sum_of_the_named_terms_is_the_loss():
    losses = []
    class Keep(Callback):
        order, run_valid = 90, False
        def after_batch(self): losses.append(self.learn.loss.item())
    h = play(learner(DG(2, 1)), 6, Keep()).history
    for loss, (_, row) in zip(losses, h.iterrows()):
        names = dict(discriminator=['real', 'fake'], generator=['adversarial', 'size'])[row.player]
        assert sum(row[f'{row.player}.{k}'] for k in names) == pytest.approx(loss, rel=1e-6)

def test_a_loss_that_is_not_a_number_stops_the_run_by_name():
    class Broken(Duel):
        def loss(self, player, *batch):
            return {**super().loss(player, *batch), 'penalty': torch.tensor(float('nan')) + 0
                    * self.generator[0].weight.sum()}
    learn = learner(game=Broken())
    with pytest.raises(Diverged, match="'penalty' of the discriminator became nan on round 0"): play(learn, 2)
