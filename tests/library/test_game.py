"Laws of drawing from a game: it disturbs nothing."
import torch
from duel import Duel, everything, learner, play, same
from fastai.callback.core import Callback

from dlcv_gan.game.base import draw


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
