"Precision, recall, density and coverage: closed forms, invariants, what is refused."
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlcv_gan.precision_recall import precision_recall


def normal(n, d=4, seed=0): return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


@given(st.integers(8, 60), st.integers(1, 6), st.integers(0, 1000))
def test_of_equal_sets_all_is_precise_and_covered(n, k, seed):
    found = precision_recall(normal(n, 3, seed), normal(n, 3, seed), k)
    assert found['precision'] == found['recall'] == found['coverage'] == 1
    assert found['density'] == pytest.approx((k + 1) / k) # its own centre, and k neighbours


def test_of_sets_far_apart_nothing_is():
    assert not any(precision_recall(normal(50), normal(50, seed=1) + 1000).values())


@given(st.integers(0, 1000))
def test_rotation_shift_scale_and_order_change_nothing(seed):
    a, b = normal(40, 3, seed), normal(30, 3, seed + 1) * 1.5
    turn = torch.linalg.qr(normal(3, 3, seed + 2))[0]
    same = precision_recall(a @ turn * 3 + 1, (b @ turn * 3 + 1).flip(0))
    assert same == pytest.approx(precision_recall(a, b))


def test_recall_is_precision_with_the_sides_exchanged():
    a, b = normal(60), normal(80, seed=1) * .5
    assert precision_recall(a, b)['recall'] == precision_recall(b, a)['precision']


@pytest.mark.parametrize('n, m, k', [(100, 100, 3), (80, 160, 5), (200, 60, 2)])
def test_coverage_of_one_distribution_is_its_closed_form(n, m, k):
    expected = 1 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))
    tries = [precision_recall(normal(n, 2, 2 * s), normal(m, 2, 2 * s + 1), k)['coverage'] for s in range(60)]
    mean, error = torch.tensor(tries).mean(), torch.tensor(tries).std() / len(tries) ** .5
    assert abs(mean - expected) < 4 * error


def test_a_collapse_costs_coverage_and_no_precision():
    real = normal(200)
    found = precision_recall(real, real[:1] + .01 * normal(200, seed=1))
    assert found['precision'] > .9 and found['coverage'] < .2


def test_one_outlier_does_not_raise_density():
    real, fake = normal(200), normal(200, seed=1) + torch.tensor([8., 0, 0, 0])
    far = torch.cat([real, torch.tensor([[16., 0, 0, 0]], dtype=torch.double)])
    assert precision_recall(far, fake)['precision'] > .9 > .3 > precision_recall(far, fake)['density']


@pytest.mark.parametrize('real, fake, k, words', [
    (normal(10, 3), normal(10, 4), 5, 'one network'), (normal(5), normal(50), 5, 'more pictures'),
    (normal(20), normal(20), 0, 'k of 1 or more'), (normal(20), normal(20) / 0, 3, 'not finite')])
def test_what_cannot_be_counted_is_refused(real, fake, k, words):
    with pytest.raises(ValueError, match=words): precision_recall(real, fake, k)
