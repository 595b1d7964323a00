"The alarm: silent on games that go well, and right about those that do not."
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.data.core import DataLoaders
from torch import nn

from dlcv_gan.data.loaders import Batches
from dlcv_gan.diagnosis import CollapseWatch, Comparison, compare, diagnose, diversity_within
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.losses import minimax, non_saturating
from dlcv_gan.models.gan import GAN
from dlcv_gan.nets import DCGANDiscriminator, DCGANGenerator


noise = lambda *shape, seed=0: torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def history(rounds=500, rank=.8, d=1.2, g=.9, extra=None):
    at = lambda v, i: v(i) if callable(v) else v
    rows = []
    for i in range(rounds):
        rows += [{'round': i, 'player': 'discriminator', 'steps_discriminator': i + 1, 'steps_generator': i,
                  'discriminator.adversarial': at(d, i), 'discriminator.rank': at(rank, i), **(extra or {})},
                 {'round': i, 'player': 'generator', 'steps_discriminator': i + 1, 'steps_generator': i + 1,
                  'generator.adversarial': at(g, i)}]
    h = pd.DataFrame(rows)
    h.attrs['terms'] = [c for c in h if '.' in c and not c.endswith('rank')]
    return h

good = Comparison(.45, .46, .09, .09, 0., .02)
kinds = lambda *a, **kw: [d.kind for d in diagnose(*a, **kw)]

@pytest.mark.parametrize('kw', [dict(), dict(rank=.93, d=.5, g=2.5), dict(g=lambda i: .7 + i / 100),
                                dict(rank=.5, d=1.386, g=.693),
                                dict(rank=.999, d=-3., extra={'discriminator.penalty': .4})])
def test_it_is_silent_on_games_that_go_well(kw):
    assert kinds(history(**kw), [good, good]) == []
    assert kinds(history(0)) == [] and kinds(history(20, **kw)) == []

@pytest.mark.parametrize('kind, kw, looks', [
    ('D too strong', dict(rank=1., d=.001), ()),
    ('D too strong', dict(rank=1., d=.5), [good._replace(distance=.6)] * 2),
    ('D dead', dict(rank=.5, d=1.386), [good._replace(distance=.6)] * 2),
    ('mode collapse', dict(), [good._replace(diversity=.05, duplicates=1.)] * 2),
    ('mode collapse', dict(), [good, good._replace(diversity=.1), good._replace(diversity=.1)]),
    ('conditional collapse', dict(), [good._replace(conditional_diversity=.05, real_conditional_diversity=.4)] * 2),
    ('not finite', dict(g=lambda i: float('nan') if i == 499 else 1.), ()),
    ('not finite', dict(d=lambda i: float('inf') if i == 499 else 1.), ()),
    ('explosion', dict(d=lambda i: 1e4 if i > 470 else 1.), ())])
def test_each_failure_is_named_and_a_mend_is_offered(kind, kw, looks):
    found = diagnose(history(**kw), looks)
    assert kind in [d.kind for d in found]
    message = str(next(d for d in found if d.kind == kind))
    assert message.startswith('Round 499: ') and any(w in message for w in ('Give', 'Lower', 'lower', 'Go back'))

def test_a_vae_whose_code_says_nothing():
    def vae(kl):
        h = pd.DataFrame([{'round': i, 'player': 'vae', 'steps_vae': i + 1, 'vae.reconstruction': 300., 'vae.kl': kl}
                          for i in range(500)])
        h.attrs['terms'] = ['vae.reconstruction', 'vae.kl']
        return h
    assert kinds(vae(.01)) == ['posterior collapse'] and kinds(vae(40.)) == [] and kinds(vae(.05), kl_weight=.001) == []

def test_compare_measures_samples_beside_real_pictures():
    x = noise(32, 3, 16, 16)
    same = compare(x, noise(32, 3, 16, 16, seed=9))
    assert same.distance < .05 and same.diversity == pytest.approx(same.real_diversity, rel=.05)
    one = torch.ones_like(x)
    assert compare(x[:1].expand(32, -1, -1, -1), x).diversity == pytest.approx(0, abs=1e-6)
    assert compare(-one, one).distance == pytest.approx(1)

def test_the_watch_looks_on_without_disturbing_and_warns_once_an_episode():
    def play(cbs):
        torch.manual_seed(0)
        images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
        game = GAN(DCGANGenerator(32, 4, 8), DCGANDiscriminator(32, 4, norm=None), minimax)
        # G never moves
        learn = GameLearner(DataLoaders(Batches(images, bs=8), device=torch.device('cpu')), game, lr=(1e-2, 0.),
                            precision='fp32')
        with learn.no_bar(), learn.no_logging(): learn.fit_rounds(60, cbs=cbs)
        return learn
    watch = CollapseWatch(every=10, n=16, window=20, patience=20, say=None)
    watched, alone = play([watch]), play([])
    assert all(torch.equal(a, b) for a, b in zip(watched.game.state_dict().values(), alone.game.state_dict().values()))
    assert 'D too strong' in [w.kind for w in watch.warnings] and len(watch.looks) == 6 and len(watch.real) == 16
    assert [w.kind for w in watch.warnings].count('D too strong') == 1


def test_conditional_collapse_is_said_once_it_is_sure_and_never_beside_mode_collapse():
    one_each = good._replace(conditional_diversity=.05, real_conditional_diversity=.4)
    assert kinds(history(), [one_each, good]) == kinds(history(200), [one_each] * 2) == []
    assert kinds(history(), [one_each._replace(conditional_diversity=.2)] * 2) == []
    assert kinds(history(), [one_each._replace(diversity=.05, duplicates=1.)] * 2) == ['mode collapse']

def test_diversity_within_a_condition_takes_pairs_of_one_condition():
    x = torch.stack([torch.full((3, 4, 4), v) for v in (0., .2, 1., .4)])
    assert diversity_within(x, torch.tensor([0, 0, 1, 1])) == pytest.approx((.2 + .6) / 2)
    rows = torch.tensor([[1., 0.], [0., 1.], [1., 1.], [1., 0.]])
    assert diversity_within(x, rows) == pytest.approx(.4)
    assert np.isnan(diversity_within(x, torch.arange(4)))
    assert diversity_within(x, torch.zeros(4)) == pytest.approx(compare(x, x).diversity)
    with pytest.raises(ValueError, match='one condition a picture'): diversity_within(x, torch.zeros(3))


class OnePictureEach(nn.Module):
    "Draws one picture for each condition (rows of zeros and ones), and no more of the code than `code` says."
    nz = 8
    def __init__(self, code):
        super().__init__()
        self.code, self.pictures = code, nn.Parameter(noise(4, 3, 32, 32, seed=5), requires_grad=True)
    def forward(self, z, y):
        wobble = z.repeat(1, 3 * 32 * 32 // self.nz).view(-1, 3, 32, 32)
        return ((y @ self.pictures.flatten(1)).view(-1, 3, 32, 32) + self.code * wobble).clamp(-1, 1)

@pytest.mark.parametrize('code, labelled, settings, found', [
    (.1, True, {}, True), (1., True, {}, False),     # one picture a condition, or as varied as the real ones
    (.1, True, dict(conditions=0), False), (.1, False, {}, False)])
def test_the_watch_sees_what_collapses_within_its_conditions(code, labelled, settings, found):
    y = torch.eye(4)[torch.arange(64) % 4]
    images = (noise(64, 1, 1, 3).expand(64, 32, 32, 3).numpy() * 127 + 128).astype(np.uint8) # one colour each
    class Ignores(DCGANDiscriminator):
        def forward(self, x, y=None): return super().forward(x)
    game = GAN(OnePictureEach(code), Ignores(32, 4, norm=None), non_saturating)
    if not labelled: game.sample = lambda n, y=None, z=None: game.generator(game.latent(n) if z is None else z,
                                                                            torch.eye(4)[torch.arange(n) % 4])
    batches = Batches(images, *([y] if labelled else []), bs=8)
    learn = GameLearner(DataLoaders(batches, device=torch.device('cpu')), game, lr=(0., 0.), precision='fp32')
    watch = CollapseWatch(every=10, n=32, window=20, patience=20, say=None, **settings)
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(40, cbs=[watch])
    assert ('conditional collapse' in [w.kind for w in watch.warnings]) == found
    looked = [not np.isnan(l.conditional_diversity) for l in watch.looks]
    assert all(looked) if labelled and not settings else not any(looked)
