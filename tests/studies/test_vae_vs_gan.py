"The study of VAE against GAN: what a run is, what its numbers are, and which runs have failed."
import math

import pytest
import torch

from dlcv_gan.losses import kl
from dlcv_gan.metrics import kernel_distance
from dlcv_gan.studies import vae_vs_gan as study
from dlcv_gan.studies.vae_vs_gan import (BROKEN, RATES, has_failed, look_back, make_model, one_face, play_model,
                                         survive, train_model, vae_vs_gan, world_of)

GRADES = {'distance', 'bad', 'reached', 'sharp', 'diverse', 'doubles', 'off'}
plain = lambda found: {k: float(v) for k, v in found.items()}


@pytest.fixture(autouse=True)
def small_scale(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


@pytest.mark.parametrize('game, more', [('vae', {'error', 'back_sharp', 'nats'}),
                                        ('printed', {'swing', 'd_loss', 'rank'}),
                                        ('mended', {'swing', 'd_loss', 'rank'})])
def test_a_run_is_a_function_of_its_settings_and_seed(game, more):
    run = lambda seed=0, weight=1., lr=1e-3, rounds='short': plain(play_model(seed, game, 'small', weight, lr, rounds))
    first = run()
    assert set(first) == GRADES | more and all(map(math.isfinite, first.values()))
    torch.rand(7) # the state of the random numbers before a run does not matter
    assert run() == first and run(seed=1) != first and run(lr=1e-2) != first and run(rounds='long') != first
    assert (run(weight=50.) != first) == (game == 'vae')


@pytest.mark.parametrize('game', ['vae', 'mended'])
def test_a_short_game_is_the_beginning_of_a_long_one(game):
    (_, short), (_, long) = (train_model(3, game, 'small', 1., 1e-3, rounds) for rounds in (3, 6))
    for player, turns in short.items():
        assert len(long[player]) == 2 * len(turns)
        for a, b in zip(turns, long[player]): assert plain(a) == plain(b)


def test_size_is_of_pictures_and_nets():
    small, large = (make_model('mended', size) for size in ('small', 'large'))
    assert (small.sample(2).shape[-1], large.sample(2).shape[-1]) == (16, 32)
    assert large.generator.body[-2].in_channels == 2 * small.generator.body[-2].in_channels


def test_a_large_weight_silences_the_code():
    nats = [float(play_model(0, 'vae', 'small', weight, 1e-2, 'long')['nats']) for weight in (.01, 100.)]
    assert nats[0] > 2 * nats[1]


def test_what_comes_back_is_compared_with_what_went_in():
    class Echo:
        training = False
        def eval(self): pass
        def train(self, mode): pass
        def encode(self, x): return torch.ones(len(x), 2), torch.zeros(len(x), 2)
        def reconstruct(self, x): return x / 2
    x = world_of('small').test_x
    found = look_back(Echo(), x)
    assert float(found['error']) == pytest.approx((x / 2).square().mean().item())
    assert found['back_sharp'] == pytest.approx(.25)
    # half of 1 for each of two numbers
    assert float(found['nats']) == pytest.approx(1.) == float(kl(torch.ones(1, 2), torch.zeros(1, 2)))
    vae = make_model('vae')
    before = {k: v.clone() for k, v in vae.state_dict().items()}
    look_back(vae, x)
    assert vae.training and all(torch.equal(v, before[k]) for k, v in vae.state_dict().items())


def test_one_face_is_the_line_of_failure():
    w = world_of('small')
    seen = w.classifier.features(w.test_x)
    by_hand = [kernel_distance(w.classifier.features(w.test_x[[i] * len(w.test_x)]), seen) for i in range(4)]
    assert one_face(w, 4) == pytest.approx(sum(by_hand) / 4, rel=1e-3)
    assert not has_failed(0., w) and has_failed(one_face(w), w) and has_failed(BROKEN, w) and has_failed(math.nan, w)


def test_a_dead_game_counts_as_failed(monkeypatch):
    assert survive(0, 'printed', 'small', 0., 1e30, 4) == BROKEN
    def unequal(seed, game, size, weight, lr, rounds): return BROKEN if lr > 1e-3 else 0.
    monkeypatch.setattr(study, 'survive', unequal)
    found = play_model(0, 'printed', 'small', 0., 'each', 'brief')
    assert found['broken'] == 2 / 3 and [found[f"distance_{r:g}"] for r in RATES] == [0., BROKEN, BROKEN]


def test_every_rate_is_the_game_at_that_rate():
    found = play_model(0, 'mended', 'small', 0., 'each', 'brief')
    assert found['distance_0.002'] == survive(0, 'mended', 'small', 0., 2e-3, 4) and 0 <= found['broken'] <= 1


def test_every_claim_has_its_metrics():
    metrics = {c.metric for claim in vae_vs_gan.claims for c in claim.contrasts}
    assert metrics <= GRADES | {'error', 'back_sharp', 'swing', 'broken'}
    assert [c.number for c in vae_vs_gan.claims] == [11, 12, 14, 15]
    assert not [p for p in vae_vs_gan.points() if not any(p in vae_vs_gan.points(c.number) for c in vae_vs_gan.claims)
                and p['weight'] in (0., 1.)]
