"A small two-player game with everything that can drift, and how to play it: shared by the tests of the game."
import random

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.base import Game
from dlcv_gan.game.learner import GameLearner

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
