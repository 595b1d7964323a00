"Laws of the metrics."
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastai.torch_core import default_device
from hypothesis import given, settings, strategies as st
from safetensors.torch import save

from dlcv_gan.diagnosis import CollapseWatch
from dlcv_gan.metrics import (FeatureNet, asked_and_found, diversity, duplicates, floats_of, frechet_distance,
                              kernel_distance, mse, sharpness, with_interval, world_features)
from dlcv_gan.worlds.animals import draw_animals
from dlcv_gan.worlds.anime import draw_anime
from dlcv_gan.worlds.faces import draw_faces
from dlcv_gan.worlds.scenes import draw_scenes


torch.set_num_threads(1)
seeds = st.integers(0, 10_000)
noise = lambda *shape, seed=0: torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
normal = lambda *shape, seed=0: torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


# --- single pictures ------------------------------------------------------------------------------------------------

@given(seeds, st.integers(1, 5))
def test_mse_is_the_mean_over_everything_in_any_range(seed, n):
    x, y = noise(n, 3, 4, 4, seed=seed), noise(n, 3, 4, 4, seed=seed + 1)
    assert float(mse(x, y)) == pytest.approx((x - y).square().mean().item(), rel=1e-5)
    assert mse(x, y).in_range(0, 255) == pytest.approx(((x - y) * 127.5).square().mean().item(), rel=1e-5)
    assert 'pixels in [-1, 1]' in str(mse(x, y)) and 'mean over' in str(mse(x, y)) and float(mse(x, x)) == 0

def test_bytes_and_floats_are_the_same_pictures():
    bytes_ = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    floats = torch.as_tensor(bytes_).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert float(mse(bytes_, floats)) == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(sharpness(bytes_), sharpness(floats))
    assert diversity(bytes_) == pytest.approx(diversity(floats))

def test_sharpness_is_nothing_for_even_pictures_and_quadratic_in_contrast():
    ramp = torch.linspace(-1, 1, 16).expand(2, 3, 16, 16)
    assert sharpness(ramp).abs().max() < 1e-9 # brightness that changes evenly has no Laplacian
    x = noise(3, 3, 16, 16)
    torch.testing.assert_close(sharpness(x / 2), sharpness(x) / 4)
    assert sharpness(torch.nn.functional.avg_pool2d(x, 3, 1)).max() < sharpness(x).min()

@given(seeds, st.integers(2, 6))
def test_diversity_is_the_mean_over_pairs(seed, n):
    x = noise(n, 3, 4, 4, seed=seed)
    pairs = [(x[i] - x[j]).square().mean().sqrt().item() for i in range(n) for j in range(i)]
    assert diversity(x) == pytest.approx(np.mean(pairs), rel=1e-4)
    assert diversity(x[:1].expand(n, -1, -1, -1)) == pytest.approx(0, abs=1e-6)
    assert diversity(torch.stack([torch.ones(3, 2, 2), -torch.ones(3, 2, 2)])) == pytest.approx(2)

def test_duplicates_are_counted():
    x = noise(10, 3, 8, 8)
    assert duplicates(x) == 0 and duplicates(torch.cat([x, x[:2] + .001])) == pytest.approx(4 / 12)

@pytest.mark.parametrize('call, says', [(lambda: mse(noise(1, 3, 4, 4), noise(2, 3, 4, 4)), 'same size'),
                                        (lambda: mse(noise(0, 3, 4, 4), noise(0, 3, 4, 4)), 'at least one'),
    (lambda: sharpness(noise(3, 4, 4)), '4 dimensions'),
                                        (lambda: sharpness(torch.zeros(1, 3, 4, 4, dtype=torch.int64)), 'uint8'),
                                        (lambda: diversity(noise(1, 3, 4, 4)), 'at least 2'),
    (lambda: frechet_distance(normal(4, 2), normal(4, 3)), 'one net'),
                                        (lambda: kernel_distance(normal(1, 2), normal(4, 2)), 'at least 2'),
    (lambda: frechet_distance(normal(4, 2) / 0, normal(4, 2)), 'NaN'),
                                        (lambda: with_interval(diversity, noise(4, 3, 4, 4)), 'at least 8'),
    (lambda: CollapseWatch(every=0), 'every'), (lambda: CollapseWatch(n=1), 'at least 2')])
def test_wrong_arguments_are_named(call, says):
    with pytest.raises(ValueError, match=says): call()


# --- distances between sets -----------------------------------------------------------------------------------------

def whiten(x): # exactly mean 0 and covariance 1
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (len(x) - 1))).T

@settings(max_examples=20)
@given(seeds, st.integers(2, 5))
def test_frechet_between_known_gaussians(seed, d):
    a = whiten(normal(50, d, seed=seed))
    scale, shift = normal(d, seed=seed + 1).abs() + .1, normal(d, seed=seed + 2)
    expected = shift.square().sum() + (scale - 1).square().sum() # closed form for diagonal covariances
    assert frechet_distance(a, a * scale + shift) == pytest.approx(expected.item(), rel=1e-6, abs=1e-8)

@settings(max_examples=15)
@given(seeds)
def test_frechet_is_symmetric_zero_on_itself_and_does_not_mind_a_turn(seed):
    a, b = normal(30, 4, seed=seed), normal(40, 4, seed=seed + 1) * 2
    q, _ = torch.linalg.qr(normal(4, 4, seed=seed + 2))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a @ q, b @ q) == pytest.approx(frechet_distance(a, b), rel=1e-6)
    assert np.isfinite(frechet_distance(a[:3], b[:3])) # fewer rows than features: singular covariances

def test_kernel_distance_is_the_papers_sum_and_unbiased():
    a, b = normal(6, 3), normal(5, 3, seed=1)
    k = lambda x, y: (x @ y / 3 + 1) ** 3
    within = lambda s: np.mean([k(s[i], s[j]).item() for i in range(len(s)) for j in range(len(s)) if i != j])
    across = np.mean([k(x, y).item() for x in a for y in b])
    assert kernel_distance(a, b) == pytest.approx(within(a) + within(b) - 2 * across)
    values = [kernel_distance(normal(20, 3, seed=2 * i), normal(20, 3, seed=2 * i + 1)) for i in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 300 ** .5 and min(values) < 0 < max(values)

def test_an_interval_covers_what_another_sample_gives():
    mean = lambda x: x.mean().item()
    inside = 0
    for i in range(60):
        e = with_interval(mean, normal(100, 1, seed=i), seed=i)
        inside += e.low <= 0 <= e.high
        assert e.low < e.value < e.high and e.n == 100
    assert inside >= 50 # about 95 in 100, allowing for chance

def test_feature_nets_are_repeatable_saved_and_loaded(tmp_path):
    x = noise(10, 3, 32, 32)
    before = torch.get_rng_state()
    a, b = FeatureNet.random(3), FeatureNet.random(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(a.features(x), b.features(x))
    assert not torch.allclose(a.features(x), FeatureNet.random(4).features(x))
    torch.testing.assert_close(a.features(x, bs=3), a.features(x), rtol=1e-4, atol=1e-5)
    file = a.save(tmp_path/'net.safetensors')
    torch.testing.assert_close(FeatureNet.load(file).features(x), a.features(x))
    assert list(tmp_path.iterdir()) == [file]
    (tmp_path/'bad.safetensors').write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match='damaged'): FeatureNet.load(tmp_path/'bad.safetensors')
    with pytest.raises(FileNotFoundError, match='no feature net'): FeatureNet.load(tmp_path/'none.safetensors')

def test_a_net_keeps_what_is_said_about_it(tmp_path):
    net = FeatureNet.random(3)
    net.about = dict(world='faces', attributes=['Male'], frechet_distance=.3)
    assert FeatureNet.load(net.save(tmp_path/'net.safetensors')).about == net.about
    old = tmp_path/'old.safetensors'
    old.write_bytes(save(net.state_dict())) # of a version that kept weights alone
    assert FeatureNet.load(old).about == {}


DRAWN = dict(faces=lambda n, seed: draw_faces(n, seed=seed, size=64),
             anime=lambda n, seed: draw_anime(n, seed=seed, size=64),
             scenes=lambda n, seed: draw_scenes(n, seed=seed, size=64),
             animals=lambda n, seed: (draw_animals(n, seed, 64, np.arange(n) % 2), None))


@pytest.mark.parametrize('world', DRAWN)
def test_the_package_carries_a_net_for_each_world_that_does_what_it_says_of_itself(world):
    "On pictures that it has not seen: its attributes, and how far apart equal sets are."
    net, n = world_features(world), 400
    (first, labels), (second, _) = DRAWN[world](n, 501), DRAWN[world](n, 502)
    assert net.about['world'] == world and len(net.about['attributes']) == net.attributes
    if labels is not None: # each right as often as published, as far as n pictures can tell
        asked = labels.shape[1] # anime faces are known by more than their tags
        right = ((net.attribute_probabilities(first).numpy()[:, :asked] > .5) == labels).mean(0)
        published = np.array(net.about['accuracy'])[:asked]
        assert (right >= published - 4 * np.sqrt(published * (1 - published) / n) - .01).all()
    a, b = net.features(first), net.features(second)
    equal = with_interval(kernel_distance, a, b)
    assert equal.low < .01 and equal.high > -.01 and abs(net.about['kernel_distance']) < .02 # unbiased: about 0
    noisy = floats_of(first) + .3 * torch.randn(n, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(net.features(noisy.clamp(-1, 1)), b) > 5 * frechet_distance(a, b)


def test_distances_grow_with_the_damage():
    net, x, y = world_features('faces'), *(floats_of(draw_faces(300, seed=s, size=64)[0]) for s in (601, 602))
    reals, noise = net.features(x), torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    damages = dict(noise=lambda k: (y + .05 * 3 ** k * noise).clamp(-1, 1),
                   blur=lambda k: F.avg_pool2d(F.pad(y, [k + 1] * 4, mode='replicate'), 2 * k + 3, 1),
                   people=lambda k: y[torch.arange(300) % (64 // 4 ** k)], fade=lambda k: y * (.7, .4, .1)[k])
    for name, damage in damages.items():
        distances = [frechet_distance(net.features(damage(k)), reals) for k in range(3)]
        assert frechet_distance(net.features(y), reals) < distances[0] < distances[1] < distances[2], name


def test_an_unknown_world_is_named_with_those_that_are_known():
    with pytest.raises(ValueError, match='cats.*anime, faces'): world_features('cats')


def test_a_fitted_net_knows_its_attribute():
    light = torch.arange(64) % 2
    x = noise(64, 3, 32, 32) * .3 + (light * .8 - .4)[:, None, None, None]
    net = FeatureNet.fit(x, light, epochs=8, bs=16, width=4, nf=8)
    right = ((net.attribute_probabilities(x)[:, 0] > .5) == light).float().mean()
    assert right > .9


@given(st.integers(1, 5), st.integers(2, 30), st.integers(0, 9999))
def test_asked_and_found_by_hand(a, n, seed):
    g = np.random.default_rng(seed)
    asked, found = g.integers(0, 2, (n, a)), g.random((n, a))
    table = asked_and_found(asked, found, [f'a{i}' for i in range(a)])
    for i in range(a):
        yes, no = found[asked[:, i] == 1, i] > .5, found[asked[:, i] == 0, i] > .5
        for value, part in ((table.found_if_asked.iloc[i], yes), (table.found_if_not.iloc[i], no)):
            assert np.isnan(value) if not len(part) else value == pytest.approx(part.mean())
        if len(yes) and len(no): assert table.accuracy.iloc[i] == pytest.approx((yes.mean() + 1 - no.mean()) / 2)


def test_guessing_is_worth_a_half_whatever_the_share():
    asked = np.zeros((1000, 1)); asked[:100] = 1
    for answer in (0., 1.): assert asked_and_found(asked, np.full((1000, 1), answer), ['rare']).accuracy.item() == .5
    with pytest.raises(ValueError, match='one row a picture'): asked_and_found(asked, np.zeros((1000, 2)), ['rare'])


# --- where it computes, and what it refuses ---------------------------------------------------------------------------

def test_the_net_computes_on_its_device_and_says_it_on_the_cpu():
    assert FeatureNet().to('meta')(torch.rand(2, 1, 16, 16)).device.type == 'meta'
    x, cpu, own = torch.rand(5, 3, 16, 16), FeatureNet.random(3, 'cpu'), FeatureNet.random(3)
    assert own.head.weight.device == default_device() and own.features(x).device.type == 'cpu'
    assert torch.allclose(cpu.features(x), own.features(x), atol=1e-3), 'the same weights on every device'
    assert FeatureNet.random(3, 'meta').head.weight.device.type == 'meta'


def test_random_numbers_outside_stay_as_they_are():
    x, before = torch.rand(8, 3, 8, 8), torch.get_rng_state()
    FeatureNet.random(3)
    FeatureNet.fit(x, torch.eye(2)[torch.arange(8) % 2], epochs=1, bs=4, width=2, nf=4)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize('wrong', [-1., float('nan'), 2.])
def test_labels_that_are_no_zeros_and_ones_teach_nothing(wrong):
    with pytest.raises(ValueError, match='0 or 1'): FeatureNet.fit(torch.rand(2, 3, 8, 8), [[wrong], [1.]])


def test_nan_is_neither_found_nor_missed_nor_double():
    with pytest.raises(ValueError, match='NaN'): asked_and_found([[1], [0]], torch.tensor([[math.nan], [.1]]), ['a'])
    x = torch.rand(4, 3, 8, 8)
    x[1, 0, 0, 0] = float('nan')
    assert math.isnan(duplicates(x)) and math.isnan(diversity(x)) and math.isnan(mse(x, x).value)
    assert asked_and_found([[1], [1]], [[.9], [.2]], ['a']).loc['a'].isna().tolist() == [False, False, True, True]
