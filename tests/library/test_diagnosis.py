"The alarm: silent on games that go well, and right about those that do not."
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.data.core import DataLoaders

from dlcv_gan.data.loaders import Batches
from dlcv_gan.diagnosis import CollapseWatch, Comparison, compare, diagnose
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.losses import minimax
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
