"Every public method of every game takes what lies on the CPU, wherever the nets are: tried on the meta device."
from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dlcv_gan.game.base import evaluation_mode
from dlcv_gan.models.acgan import build_acgan, build_attribute_gan
from dlcv_gan.models.cyclegan import build_cyclegan
from dlcv_gan.models.flow import build_cnf
from dlcv_gan.models.gan import build_dcgan, build_gan
from dlcv_gan.models.iclevr import build_cgan, build_strong_cgan
from dlcv_gan.models.tags import build_t2i
from dlcv_gan.models.vae import build_vae
from dlcv_gan.models.wgan import build_cwgan_gp
from dlcv_gan.view import interpolate

torch.set_num_threads(1)
# game, and how many label columns it has
GAMES = dict(gan=lambda: (build_gan(32, 2, 4), 0), dcgan=lambda: (build_dcgan(32, 2, 4), 0),
             acgan=lambda: (build_acgan(32, 2, 4, 4), 1), attributes=lambda: (build_attribute_gan(32, 2, 4, 3, 2), 3),
             cwgan_gp=lambda: (build_cwgan_gp(32, 2, 4, 3), 3), tags=lambda: (build_t2i(16, 2, 1, 1, 4, 3), 3),
             cgan=lambda: (build_cgan(32, 2, 4, 3), 3), strong=lambda: (build_strong_cgan(32, 2, 4, 3, 2), 3),
             vae=lambda: (build_vae(32, 2, 4), 0), flow=lambda: (build_cnf(16, 4, 3, levels=2, steps=1), 3),
             cyclegan=lambda: (build_cyclegan(32, 2, 1, pool=8), 0))


@pytest.fixture(autouse=True)
def nothing_to_switch_off_on_meta(monkeypatch):
    known = torch.autocast # which refuses this one device
    def instead(kind, *args, **kwargs): return nullcontext() if kind == "meta" else known(kind, *args, **kwargs)
    monkeypatch.setattr(torch, 'autocast', instead)


def played(name):
    "The game on the meta device; what a batch on the CPU holds."
    torch.manual_seed(0)
    game, labels = GAMES[name]()
    size = 16 if name in ('tags', 'flow') else 32
    x, y = torch.rand(4, 3, size, size) * 2 - 1, torch.eye(labels)[torch.arange(4) % labels] if labels else None
    return game.to('meta'), x, y


def there(*tensors): assert all(t.device.type == 'meta' for t in tensors)


@pytest.mark.parametrize('name', GAMES)
def test_losses_and_samples_take_tensors_of_the_cpu(name):
    game, x, y = played(name)
    batch = (x, x.flip(0)) if name == 'cyclegan' else (x,) if y is None else (x, y)
    if name == 'flow': game.eval() # ActNorm's first batch asks whether it is the first: there is no answer on meta
    for player in game.players():
        there(*game.loss(player, *batch).values(), *game.notes.values())
    with evaluation_mode(game):
        z = x if name == 'cyclegan' else torch.randn(4, game.nz)
        there(game.sample(4, y), game.sample(4, y, z))
        there(interpolate(game, z[:1], z[1:2].to('meta'), 3, y=None if y is None else y[:1]))


def test_the_named_methods_do_too():
    game, x, _ = played('vae')
    there(*game.encode(x), game.decode(torch.zeros(2, game.nz)), game.reconstruct(x))
    game, x, y = played('flow')
    game.eval()
    z, likelihood = game.encode(x, y)
    there(z, likelihood, game.bits(likelihood), game.decode(torch.zeros(4, game.nz), y), game.decode(z))
    game, x, y = played('attributes')
    there(game.attributes(torch.zeros(4, 3), y))
    there(*game.discriminator_terms(torch.zeros(4), torch.ones(4), x, x, y).values())
    game, x, _ = played('cyclegan')
    there(game.discriminator_loss(game.d_a, x, x, 'a'))


class NoDoubles(TorchDispatchMode):
    "What a Mac's GPU says to float64."
    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        out = f(*args, **(kwargs or {}))
        made = [t for t in (out if isinstance(out, (tuple, list)) else [out]) if isinstance(t, torch.Tensor)]
        if any(t.dtype == torch.float64 for t in made): raise TypeError(f'{f}: MPS has no float64')
        return out


@pytest.mark.parametrize('name', GAMES)
def test_games_need_no_doubles(name):
    torch.manual_seed(0)
    (game, labels), size = GAMES[name](), 16 if name in ('tags', 'flow') else 32
    x, y = torch.rand(4, 3, size, size) * 2 - 1, torch.eye(labels)[torch.arange(4) % labels] if labels else None
    batch = (x, x) if name == 'cyclegan' else (x,) if y is None else (x, y)
    with NoDoubles():
        for player in game.players(): sum(game.loss(player, *batch).values()).backward()
        with evaluation_mode(game, 0): game.sample(2, None if y is None else y[:2])
