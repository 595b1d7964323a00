"The study of diffusion: what it measures knows the known sets, and a run is a function of its settings."
import pytest
import torch
import torch.nn.functional as F

from dlcv_gan.studies.diffusion import build, diffusion, faces, measure, play_diffusion, train


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')
    train.cache_clear() # a training of another scale has the same key


def test_the_measures_know_known_sets():
    world = faces()
    real = measure(world.x)
    blurred = measure(F.avg_pool2d(F.pad(world.x, (1, 1, 1, 1), mode='replicate'), 3, 1))
    one = measure(world.x[:1].expand_as(world.x) + 1e-3 * torch.randn_like(world.x))
    assert real['fid'] < 1e-3 and real['covered'] == 1 and real['diverse'] == 1
    assert real['fid'] < blurred['fid'] < one['fid']
    assert blurred['distance'] == pytest.approx(world.blurred)
    assert one['covered'] < .3 and one['diverse'] < .05 and real['accuracy'] > max(.9, one['accuracy'])
    with pytest.raises(ArithmeticError, match='not finite'): measure(world.x * float('nan'))


def test_a_run_has_what_its_contrasts_compare_and_is_a_function_of_settings_and_seed():
    single, several = ({**p, 'budget': 'short'} for p in (diffusion.points()[0], diffusion.points()[-1]))
    found = play_diffusion(0, **single), play_diffusion(0, **several)
    assert {c.metric for claim in diffusion.claims for c in claim.contrasts} <= {k for f in found for k in f}
    train.cache_clear() # trained anew, with other runs before it
    assert (play_diffusion(0, **several), play_diffusion(0, **single)) == found[::-1]
    assert play_diffusion(1, **single) != found[0]


def test_settings_that_differ_in_drawing_share_a_training_and_leave_no_trace():
    point = dict(model='ddpm', budget='short', rates='2e-3', steps=1, guidance=0.)
    plain = play_diffusion(0, **point)
    guided = play_diffusion(0, **{**point, 'guidance': 8., 'steps': 2})
    assert train.cache_info().misses == 1 and guided != plain
    assert play_diffusion(0, **point) == plain


def test_both_have_equal_time_by_price():
    from dlcv_gan.studies.diffusion import PRICE
    rounds = {model: train(0, model, 'long', 1e-3)[1] for model in ('gan', 'ddpm')}
    assert max(rounds['gan']) == max(rounds['ddpm']) == 1 # both were measured at the end
    assert PRICE > 1
    with pytest.raises(ValueError, match='known are ddpm, gan'): build('vae')
