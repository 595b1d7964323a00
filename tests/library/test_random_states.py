"""Whoever looks at a game draws random numbers of its own: those of training go on as if nobody had looked, on every
device. Two pretended GPUs remember who seeded them."""
import random

import numpy as np
import pytest
import torch
from duel import play
from small_games import pictures, small_learner

from dlcv_gan.check import laws, verdict
from dlcv_gan.cli.bench import build_nets, random_pictures
from dlcv_gan.controls import controls
from dlcv_gan.diagnosis import CollapseWatch
from dlcv_gan.game.base import draw, evaluation_mode
from dlcv_gan.live import Film, LiveView, explore, latent_directions
from dlcv_gan.metrics import FeatureNet, diversity, frechet_distance, with_interval
from dlcv_gan.nets import layer_table
from dlcv_gan.scores import Evaluator, draws_accuracy
from dlcv_gan.systems import describe
from dlcv_gan.view import interpolate, tsne


class Gpus:
    "The random states of two GPUs, as `torch.cuda` would keep them."
    def __init__(self, patch):
        self.states, self.asked = [torch.tensor([1]), torch.tensor([2])], set()
        def index(device): # torch.cuda's own forms: a number, a name, a device
            device = torch.device('cuda', device) if isinstance(device, int) else torch.device(device)
            return device.index or 0
        def get(device='cuda'):
            self.asked.add(index(device))
            return self.states[index(device)].clone()
        def put(state, device='cuda'): self.states[index(device)] = state.clone()
        def seed(number, device=0): self.states[index(device)] = torch.tensor([number])
        def seed_all(number): self.states = [torch.tensor([number])] * 2
        for name, f in dict(get_rng_state=get, set_rng_state=put, manual_seed=seed, manual_seed_all=seed_all,
                            device_count=lambda: 2).items(): patch.setattr(torch.cuda, name, f)


@pytest.fixture
def gpus(monkeypatch): return Gpus(monkeypatch)


def states(gpus):
    kind, keys, *rest = np.random.get_state()
    return dict(torch=torch.get_rng_state().tolist(), numpy=(kind, keys.tolist(), *rest), python=random.getstate(),
                gpus=[s.item() for s in gpus.states])


def floats(n=8, size=16): return torch.tensor(pictures(n, size)).permute(0, 3, 1, 2) / 127.5 - 1
def game(name='mended'): return small_learner(name).game


def a_net(): return FeatureNet.random(width=2, nf=4)
def sampled(g):
    with evaluation_mode(g, 3): g.sample(1)


X, Y = floats(), torch.eye(3)[torch.arange(8) % 3]
LOOKS = {
    'draw': lambda g: draw(g, 2, seed=3), 'evaluation_mode': sampled,
    'latent_directions': lambda g: latent_directions(g, 2, 8), 'explore': lambda g: explore(g, 2),
    'controls': lambda g: controls(g), 'interpolate': lambda g: interpolate(g, *torch.randn(
        2, 1, g.nz, generator=torch.Generator().manual_seed(0)), 3),
    'FeatureNet.random': lambda g: a_net(), 'FeatureNet.fit': lambda g: FeatureNet.fit(X, Y, 1, 4, width=2, nf=4),
    'FeatureNet.features': lambda g: FeatureNet.random(width=2, nf=4).features(X),
    'Evaluator.fit': lambda g: Evaluator.fit(pictures(8, 16), Y, 1, 4), 'diversity': lambda g: diversity(X),
    'draws_accuracy': lambda g: draws_accuracy(g, Y, lambda x: x.flatten(1)[:, :3], 2),
    'with_interval': lambda g: with_interval(frechet_distance, X.flatten(1)[:, :4], X.flatten(1)[:, 4:8], 2),
    'tsne': lambda g: tsne(torch.linspace(0, 1, 36).view(12, 3), torch.arange(12) % 2, perplexity=3),
    'verdict': lambda g: verdict(sorted(laws)[0], 1.), 'build_nets': lambda g: build_nets('R0.DCGAN', 4, 32),
    'random_pictures': lambda g: random_pictures(2, 8),
    'layer_table': lambda g: layer_table(g.discriminator, torch.zeros(1, 3, 16, 16))}


@pytest.mark.parametrize('name', LOOKS)
def test_whoever_looks_leaves_all_random_states_alone(name, gpus):
    made = game('acgan, mended' if name == 'draws_accuracy' else 'mended')
    gpus.states, gpus.asked = [torch.tensor([1]), torch.tensor([2])], set()
    before = states(gpus)
    LOOKS[name](made)
    after = states(gpus)
    assert after == before, f'{name} moved {[k for k in before if before[k] != after[k]]}'


@pytest.mark.parametrize('name', ['draw', 'latent_directions', 'explore', 'Evaluator.fit'])
def test_whoever_works_on_the_cpu_wakes_no_gpu(name, gpus):
    "A context on every card of a shared server costs its users hundreds of megabytes."
    made = game('mended')
    gpus.asked.clear()
    LOOKS[name](made)
    assert not gpus.asked


@pytest.mark.parametrize('cb', [lambda to: Film(to/'film.gif', every=1, n=2), lambda to: LiveView(1, 2, notebook=True),
                                lambda to: CollapseWatch(every=1, n=4, say=None)], ids=['Film', 'LiveView', 'Collapse'])
def test_a_watched_run_draws_the_same_numbers(cb, gpus, tmp_path):
    def end(cbs):
        learn = small_learner('mended')
        gpus.states, gpus.asked = [torch.tensor([1]), torch.tensor([2])], set()
        play(learn, 3, cbs=cbs)
        return states(gpus), learn.history['discriminator.adversarial'].tolist()
    alone, watched = end([]), end([cb(tmp_path)])
    assert watched[0] == alone[0] and str(watched[1]) == str(alone[1])
    assert not gpus.asked


def test_a_sample_in_the_middle_does_not_disturb_training(gpus):
    def end(look):
        learn = play(small_learner('mended'), 2)
        gpus.states = [torch.tensor([1]), torch.tensor([2])]
        look(learn)
        play(learn, 2)
        return states(gpus)
    assert end(lambda learn: (learn.sample(2), learn.sample(2, seed=5))) == end(lambda learn: None)


def test_a_system_s_description_leaves_no_seed(gpus):
    gpus.states = [torch.tensor([1]), torch.tensor([2])]
    describe('wgan-gp')
    assert [s.item() for s in gpus.states] == [1, 2]


def test_the_pretended_gpus_bite(gpus):
    with torch.random.fork_rng(devices=[]): torch.manual_seed(0)
    assert states(gpus)['gpus'] == [0, 0] and not gpus.asked
    with torch.random.fork_rng(devices=[0]): torch.manual_seed(5)
    assert states(gpus)['gpus'] == [0, 5] and gpus.asked == {0}
