"Small learners and pictures: shared by the tests of the widgets."
import numpy as np
import torch
from fastai.data.core import DataLoaders

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import DG
from dlcv_gan.models.gan import GAN
from dlcv_gan.models.vae import build_vae
from dlcv_gan.nets import ToyDiscriminator, ToyGenerator


def pictures(n=48, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
def floats(n=6, size=32): return torch.tensor(pictures(n, size)).permute(0, 3, 1, 2) / 127.5 - 1


def ring_learner(n=256, schedule=DG(2, 1), valid=False, **kwargs):
    "A toy game; with `valid`, a VAE whose validation draws random numbers."
    torch.manual_seed(0)
    if valid:
        return GameLearner(DataLoaders(Batches(pictures(n), bs=8), Batches(pictures(8, seed=1), bs=8, shuffle=False),
                                       device='cpu'), build_vae(32, 2, 4), precision='fp32', **kwargs)
    points = torch.randn(n, 2)
    return GameLearner(DataLoaders(Batches(points, bs=16), device='cpu'),
                       GAN(ToyGenerator(4, 16), ToyDiscriminator(16)), schedule, precision='fp32', **kwargs)


def quiet(learn, f, *args):
    with learn.no_bar(), learn.no_logging(): return f(*args)
