"Every kind of game, as small as it gets, and how to play it: shared by the tests of captured turns and of devices."
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from duel import Duel, points
from fastai.data.core import DataLoaders

from dlcv_gan.data.loaders import Batches, Unpaired
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import DG, EveryRound, Schedule
from dlcv_gan.losses import dragan, r1, wasserstein
from dlcv_gan.models.acgan import build_acgan, build_attribute_gan
from dlcv_gan.models.cyclegan import build_cyclegan
from dlcv_gan.models.flow import build_cnf
from dlcv_gan.models.gan import GAN, build_dcgan, build_gan
from dlcv_gan.models.vae import build_vae
from dlcv_gan.models.wgan import build_cwgan, build_wgan_gp
from dlcv_gan.nets import ToyDiscriminator, ToyGenerator


@dataclass
class Small:
    "A game of its kind and what it is fed with."
    build: Callable # -> the game
    schedule: Schedule = DG(1, 1)
    labels: int = 0 # columns
    size: int = 16 # side of the pictures; 0: points
    sides: int = 1 # domains
    cbs: Callable = list # -> callbacks


class Asks(Duel):
    "A game as a user writes it: a number is fetched in the middle of the loss."
    def loss(self, player, x, y=None):
        terms = super().loss(player, x)
        scale = 1 + .1 * float(sum(terms.values()) > 1)
        return {k: scale * v for k, v in terms.items()}


GAMES = {
    'ring': Small(lambda: GAN(ToyGenerator(4, 16), ToyDiscriminator(16)), size=0),
    'duel': Small(Duel, size=0),
    'mended': Small(lambda: build_gan(16, 2, 4)),
    'mended with ema': Small(lambda: build_gan(16, 2, 4), cbs=lambda: [EMA(.9)]),
    'dcgan': Small(lambda: build_dcgan(16, 2, 4)),
    'wgan, clipped': Small(lambda: build_gan(16, 2, 4, wasserstein, clip=.01, spectral=False), DG(2, 1)),
    'conditional wgan': Small(lambda: build_cwgan(16, 2, 4, tags=3), DG(2, 1), labels=3),
    'wgan-gp': Small(lambda: build_wgan_gp(16, 2, 4), DG(2, 1)),
    'dragan': Small(lambda: build_gan(16, 2, 4, penalty=dragan(), spectral=False)),
    'r1': Small(lambda: build_gan(16, 2, 4, penalty=r1())),
    'acgan': Small(lambda: build_acgan(16, 2, 4, embedded=4), labels=1),
    'acgan, mended': Small(lambda: build_attribute_gan(16, 2, 4, labels=3, embedded=2), labels=3),
    'vae': Small(lambda: build_vae(16, 2, 4), EveryRound(('vae',))),
    'flow': Small(lambda: build_cnf(8, 4, conditions=3, levels=2, steps=1), EveryRound(('flow',)), labels=3, size=8),
    'cyclegan': Small(lambda: build_cyclegan(32, 2, 1, pool=3), DG(1, 1, players=('discriminators', 'generators')),
                      size=32, sides=2)}


def pictures(n, size, seed=0): return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def small_learner(name: str, schedule=None, seed=0, device='cpu', n=20, bs=None, game=None, **kwargs) -> GameLearner:
    "A learner of one of `GAMES`; the same seed, the same run."
    small = GAMES[name]
    bs = bs or (2 if small.sides == 2 else 4)
    torch.manual_seed(seed); np.random.seed(seed); random.seed(seed)
    y = np.random.default_rng(1).integers(0, 2, (n, small.labels)) if small.labels else None
    def loader(i):
        return Batches(pictures(n, small.size, i) if small.size else points(n, i), y, bs=bs, seed=seed, device=device)
    loaders = Unpaired(loader(0), loader(1)) if small.sides == 2 else loader(0)
    kwargs = dict(lr=1e-3, precision='fp32', cbs=small.cbs()) | kwargs
    return GameLearner(DataLoaders(loaders, device=torch.device(device)), game or small.build(),
                       schedule or small.schedule, **kwargs)
