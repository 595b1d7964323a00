"What two ranks do, started by `torchrun tests/library/two_ranks.py OUT`: games trained together, saved, resumed."
import sys
from pathlib import Path

import torch
from fastai.data.core import DataLoaders
from fastai.optimizer import OptimWrapper
from torch import nn
from toys import pictures

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.callbacks import EMA, Checkpoint
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import DG, Adaptive
from dlcv_gan.losses import gradient_penalty, wasserstein
from dlcv_gan.models.acgan import build_attribute_gan
from dlcv_gan.models.flow import build_cnf
from dlcv_gan.models.gan import build_gan
from dlcv_gan.models.vae import build_vae
from dlcv_gan.parallel import join, main_process, rank, ranks, wait

torch.set_num_threads(1)
GAMES = { # name -> (game, schedule, has labels)
    'GAN with spectral norm': (lambda: build_gan(32, 2, 4), DG(1, 1), False),
    'WGAN-GP': (lambda: build_gan(32, 2, 4, wasserstein, gradient_penalty(), spectral=False), DG(2, 1), False),
    'ACGAN': (lambda: build_attribute_gan(32, 2, 4, labels=2), DG(1, 2), True),
    'adaptive GAN': (lambda: build_gan(32, 2, 4), Adaptive(), False),
    'VAE': (lambda: build_vae(32, 2, 4), None, False),
    'flow': (lambda: build_cnf(32, 4, levels=2, steps=1), None, True)}


def sgd(params, lr): # a step that is proportional to its gradient: Adam would make rounding errors as large as a step
    opt = OptimWrapper(params, torch.optim.SGD, lr=.1)
    opt.set_hyper('lr', lr)
    return opt


def without_norms(module):
    "The same net without BatchNorm, whose statistics would be those of each rank's own share."
    for name, m in module.named_children():
        if isinstance(m, nn.modules.batchnorm._BatchNorm): setattr(module, name, nn.Identity())
        else: without_norms(m)
    return module


def learner(name, bs, **kwargs):
    build, schedule, labels = GAMES[name]
    torch.manual_seed(rank()) # a user who seeds nothing: all ranks take the weights and the noise of the first
    game = without_norms(build())
    y = torch.eye(2).repeat(12, 1) if labels and name == 'ACGAN' else None
    if name == 'flow': y = torch.eye(24)[:24]
    dls = DataLoaders(Batches(pictures(24), y, bs=bs, flip=True),
                      Batches(pictures(8, seed=1), None if y is None else y[:8], bs=8, shuffle=False), device='cpu')
    learn = GameLearner(dls, game, schedule, **{'lr': 1e-3, 'opt_func': sgd, 'precision': 'fp32', **kwargs})
    torch.manual_seed(1 + rank())
    return learn


def play(learn, rounds, cbs=None):
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(rounds, cbs=cbs)
    return learn


def result(learn):
    return dict(weights={k: v.clone() for k, v in learn.game.state_dict().items()}, history=learn.rows,
                steps=learn.steps, images=learn.rows[-1]['images'])


def main(out):
    join()
    assert ranks() == 2
    found = {}
    for name in GAMES: found[name] = result(play(learner(name, bs=4), 3))
    # a run that is stopped, and one that is not; the pool of a CycleGAN differs from rank to rank
    whole = play(learner('GAN with spectral norm', 4, cbs=EMA(.9)), 5)
    play(learner('GAN with spectral norm', 4, cbs=EMA(.9)), 2, Checkpoint(out/'half.pth', every=1))
    wait()
    resumed = learner('GAN with spectral norm', 4, cbs=EMA(.9)).load(out/'half.pth')
    play(resumed, 3)
    for name, learn in dict(whole=whole, resumed=resumed).items(): found[name] = result(learn)
    if main_process(): torch.save(found, out/'found.pt')
    torch.save({n: f['weights'] for n, f in found.items()}, out/f'rank{rank()}.pt')


if __name__ == '__main__': main(Path(sys.argv[1]))
