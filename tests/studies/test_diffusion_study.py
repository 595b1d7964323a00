"The study of diffusion: what it measures knows the known sets, and a run is a function of its settings."
import pytest
import torch
import torch.nn.functional as F

from dlcv_gan.studies import diffusion as module
from dlcv_gan.studies.diffusion import (LOST, NEVER, PRICE, build, covered, diffusion, faces, measure, play_diffusion,
                                        train)


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')
    module._train.cache_clear()


def test_the_measures_know_known_sets():
    world = faces()
    real, others = measure(world.x), measure(world.others)
    blurred = measure(F.avg_pool2d(F.pad(world.others, (1, 1, 1, 1), mode='replicate'), 3, 1))
    one = measure(world.x[:1].expand_as(world.x) + 1e-3 * torch.randn_like(world.x))
    assert real['fid'] < 1e-3 and covered(world.unseen) == 1 and real['diverse'] == 1
    assert others['covered'] == 1 # by definition: as many other real faces
    assert others['fid'] < blurred['fid'] < one['fid'] and blurred['distance'] == pytest.approx(world.blurred)
    assert one['covered'] < others['covered'] and one['diverse'] < .05
    assert real['accuracy'] > .9 and .3 < one['accuracy'] < .7 # one picture is right for a half
    with pytest.raises(ArithmeticError, match='not finite'): measure(world.x * float('nan'))


def test_a_run_has_what_its_contrasts_compare_and_is_a_function_of_settings_and_seed():
    single, several = diffusion.points()[0], diffusion.points()[-1]
    found = play_diffusion(0, **single), play_diffusion(0, **several)
    assert {c.metric for claim in diffusion.claims for c in claim.contrasts} <= {k for f in found for k in f}
    assert set(found[0]) | set(found[1]) == set(diffusion.worst), 'what a failed run counts as'
    module._train.cache_clear() # trained anew, with other runs before it
    assert (play_diffusion(0, **several), play_diffusion(0, **single)) == found[::-1]
    assert play_diffusion(1, **single) != found[0]


def test_settings_that_differ_in_drawing_share_a_training_and_leave_no_trace():
    point = dict(model='ddpm', budget='short', rates='2e-3', steps=1, guidance=0.)
    plain = play_diffusion(0, **point)
    guided = play_diffusion(0, **{**point, 'guidance': 8., 'steps': 2})
    assert module._train.cache_info().misses == 1 and guided != plain
    assert play_diffusion(0, **point) == plain


def test_a_rate_that_breaks_counts_as_lost_among_others_and_ends_a_run_of_its_own(monkeypatch):
    honest = module.train
    def train(seed, model, budget, rate):
        if rate > 1: raise ArithmeticError('diverged')
        return honest(seed, model, budget, rate)
    monkeypatch.setattr(module, 'train', train)
    point = dict(model='gan', budget='short', steps=1, guidance=0.)
    alone = play_diffusion(0, **point, rates='1e-3')['fid']
    assert play_diffusion(0, **point, rates='1e-3 9')['worst_rate'] == pytest.approx(LOST / alone)
    with pytest.raises(ArithmeticError): play_diffusion(0, **point, rates='9')


def test_both_have_equal_time_by_price_and_short_is_a_quarter(monkeypatch):
    seen = []
    monkeypatch.setattr(module, '_train', lambda seed, model, rounds, *rest: seen.append((model, rounds)))
    for budget in ('long', 'short'):
        for model in ('gan', 'ddpm'): train(0, model, budget, 1e-3)
    (_, gan), (_, ddpm), (_, short_gan), (_, short_ddpm) = seen
    assert ddpm * PRICE == pytest.approx(gan, abs=PRICE) and gan > ddpm
    assert short_gan == gan / 4 and short_ddpm == pytest.approx(ddpm / 4, abs=1)
    with pytest.raises(ValueError, match='known are ddpm, gan'): build('vae')


def test_a_training_of_another_scale_is_another_one(monkeypatch):
    train(0, 'gan', 'short', 1e-3)
    monkeypatch.setattr(module, 'at_scale', lambda smoke, laptop, full: laptop if laptop == 'laptop' else smoke)
    train(0, 'gan', 'short', 1e-3)
    assert module._train.cache_info().misses == 2


def test_samples_that_never_were_good_count_beyond_the_end():
    point = dict(model='gan', budget='short', rates='1e-3', steps=1, guidance=0.)
    assert play_diffusion(0, **point)['first'] == NEVER > 1
