"Laws of the losses: closed forms for linear and quadratic critics, gradients at the extremes, invariances."
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from dlcv_gan.losses import (clip_weights, dragan, gradient_penalty, hinge, input_gradient, kl, least_squares,
                             minimax, non_saturating, r1, reconstruction, subsampled, wasserstein)

torch.set_num_threads(1)
objectives = dict(minimax=minimax, non_saturating=non_saturating, least_squares=least_squares, hinge=hinge,
                  wasserstein=wasserstein)
scores = st.lists(st.floats(-50, 50), min_size=1, max_size=12).map(torch.tensor)
seeds = st.integers(0, 10_000)

def slope(f, s):
    s = torch.tensor([float(s)], requires_grad=True)
    return torch.autograd.grad(f(s), s)[0].item()

def linear(w): return lambda x, y=None: x.flatten(1) @ w


# --- objectives -----------------------------------------------------------------------------------------------------

@given(st.floats(-30, 30), st.floats(-30, 30))
def test_each_objective_is_the_papers_formula(r, f):
    real, fake = (torch.tensor([v], dtype=torch.double) for v in (r, f))
    def sigma(v): return 1 / (1 + math.exp(-v))
    log = lambda v: math.log(max(v, 1e-300))
    expected = dict(minimax=(-log(sigma(r)) - log(1 - sigma(f)) if f < 30 else None, None),
                    least_squares=(((r - 1) ** 2 + f ** 2) / 2, (f - 1) ** 2 / 2),
                    hinge=(max(0, 1 - r) + max(0, 1 + f), -f), wasserstein=(f - r, -f),
                    non_saturating=(None, -log(sigma(f))))
    for name, (d, g) in expected.items():
        if d is not None:
            assert objectives[name].discriminator(real, fake).item() == pytest.approx(d, rel=1e-4, abs=1e-6)
        if g is not None: assert objectives[name].generator(fake).item() == pytest.approx(g, rel=1e-4, abs=1e-6)

def test_a_fake_that_d_is_sure_of_teaches_nothing_under_minimax_and_most_under_non_saturating():
    assert slope(minimax.generator, -20) == pytest.approx(0, abs=1e-8)
    assert slope(non_saturating.generator, -20) == pytest.approx(-1, abs=1e-8)
    assert slope(minimax.generator, 0) == slope(non_saturating.generator, 0) == -.5

def test_a_discriminator_that_cannot_tell_pays_two_log_two():
    zero = torch.zeros(3)
    assert minimax.discriminator(zero, zero).item() == pytest.approx(math.log(4))
    assert non_saturating.generator(zero).item() == pytest.approx(math.log(2))

@pytest.mark.parametrize('name', objectives)
@given(real=scores, seed=seeds)
def test_objectives_are_means_over_pictures_in_any_order(name, real, seed):
    o, order = objectives[name], torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
    fake = real.flip(0) / 2
    torch.testing.assert_close(o.discriminator(real, fake), o.discriminator(real[order], fake[order.flip(0)]),
                               rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(o.generator(fake), torch.stack([o.generator(f[None]) for f in fake]).mean(), rtol=1e-4,
                               atol=1e-4)
    # patches
    torch.testing.assert_close(o.generator(fake), o.generator(fake[:, None, None].expand(-1, 2, 3)), rtol=1e-4,
                               atol=1e-4)

@given(real=scores, c=st.floats(-10, 10))
def test_only_wasserstein_ignores_a_shift_of_all_scores(real, c):
    fake = real / 2 - 1
    torch.testing.assert_close(wasserstein.discriminator(real + c, fake + c), wasserstein.discriminator(real, fake),
                               rtol=1e-3, atol=1e-4)

@pytest.mark.parametrize('name', objectives)
def test_real_scores_are_pushed_up_and_fake_ones_down(name):
    o = objectives[name]
    assert slope(lambda s: o.discriminator(s, torch.zeros(1)),
                 0.) < 0 < slope(lambda s: o.discriminator(torch.ones(1), s), .5)
    assert slope(o.generator, -.5) < 0

@pytest.mark.parametrize('name', objectives)
def test_huge_scores_stay_finite(name):
    s = torch.tensor([1e4, -1e4], requires_grad=True)
    for loss in (objectives[name].discriminator(s, -s), objectives[name].generator(s)):
        assert loss.isfinite() and torch.autograd.grad(loss, s)[0].isfinite().all()

@pytest.mark.parametrize('name', objectives)
def test_real_and_fake_batches_may_differ_in_size(name):
    o, real, fake = objectives[name], torch.tensor([.5, -2., 3.]), torch.tensor([1., -.7])
    both = o.discriminator(real, fake)
    torch.testing.assert_close(both, o.discriminator(real.repeat(2), fake.repeat(3)))
    torch.testing.assert_close(both, o.discriminator(real[:, None, None].expand(3, 2, 2), fake[:, None]))

@pytest.mark.parametrize('name', objectives)
def test_half_precision_scores_are_widened(name):
    o, s = objectives[name], torch.linspace(-2, 2, 33)
    rough = s.bfloat16()
    for loss, exact in ((o.discriminator(rough, -rough), o.discriminator(rough.float(), -rough.float())),
                        (o.generator(rough), o.generator(rough.float()))):
        assert loss.dtype == torch.float32 and loss == exact
    assert o.generator(s.double()).dtype == torch.double


# --- penalties ------------------------------------------------------------------------------------------------------

@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(.1, 20), st.integers(1, 9), st.floats(.05, 4))
def test_a_linear_critic_has_closed_form_penalties(seed, weight, n, length):
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(12, generator=g); w = w / w.norm() * length
    real, fake, D = torch.randn(n, 3, 2, 2, generator=g), torch.randn(n, 3, 2, 2, generator=g), linear(w)
    two_sided = weight * (length - 1) ** 2
    assert gradient_penalty(weight)(D, real, fake, None).item() == pytest.approx(two_sided, rel=1e-3, abs=1e-4)
    one_sided = gradient_penalty(weight, one_sided=True)(D, real, fake, None).item()
    assert one_sided == pytest.approx(two_sided if length > 1 else 0, rel=1e-3, abs=1e-4)
    flat = gradient_penalty(weight, target=0.)(D, real, fake, None).item()
    assert flat == pytest.approx(weight * length ** 2, rel=1e-3)
    if n * 12 > 1: assert dragan(weight)(D, real, fake, None).item() == pytest.approx(two_sided, rel=1e-3, abs=1e-4)
    assert r1(weight)(D, real, fake, None).item() == pytest.approx(weight / 2 * length ** 2, rel=1e-3)

quadratic = lambda x, y=None: x.flatten(1).square().sum(1) / 2 # its gradient at x is x

@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 8))
def test_penalties_are_taken_picture_by_picture(seed, n):
    real = torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))
    alone = torch.stack([r1(2.)(quadratic, x[None], None, None) for x in real])
    torch.testing.assert_close(r1(2.)(quadratic, real, None, None), alone.mean())
    torch.testing.assert_close(r1(2.)(quadratic, real, None, None), real.square().sum(1).mean())
    torch.testing.assert_close(r1(2.)(quadratic, real.flip(0), None, None), alone.mean())
    # where real and fake are the same point there is no choice on the line, so WGAN-GP's is per picture too
    torch.testing.assert_close(gradient_penalty(1.)(quadratic, real, real, None),
                               (real.norm(dim=1) - 1).square().mean(), rtol=1e-3, atol=1e-4)

def test_every_picture_has_its_own_point_on_the_line():
    seen = []
    def D(x, y=None): seen.append(x.detach()); return x.sum(1)
    gradient_penalty()(D, torch.zeros(256, 2), torch.ones(256, 2), None)
    t = seen[0][:, 0]
    assert torch.equal(seen[0][:, 0], seen[0][:, 1]) and len(t.unique()) > 250 and t.min() >= 0 and t.max() <= 1
    assert abs(t.mean() - .5) < .1 and abs(t.var() - 1 / 12) < .03 # uniform

def test_dragan_stays_near_the_real_pictures_and_needs_no_fake():
    seen = []
    def D(x, y=None): seen.append(x.detach()); return x.sum(1)
    real = torch.randn(64, 3) * 2
    dragan(scale=.5)(D, real, None, None)
    off = seen[0] - real
    assert 0 <= off.min() and off.max() <= .5 * real.std() + 1e-6 and off.std() > 0

def test_the_critic_learns_from_its_penalty():
    torch.manual_seed(0)
    D = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x = torch.randn(4, 3, dtype=torch.double)
    score = lambda x, y=None: D(x.double()).squeeze(1)
    loss = lambda: r1(1.)(score, x, None, None)
    got = torch.autograd.grad(loss(), D[0].weight)[0]
    expected, h = torch.zeros_like(got), 1e-4
    for i in range(8):
        for j in range(3):
            with torch.no_grad():
                D[0].weight[i, j] += h
                up = loss().item(); D[0].weight[i, j] -= 2 * h; down = loss().item(); D[0].weight[i, j] += h
            expected[i, j] = (up - down) / (2 * h)
    torch.testing.assert_close(got, expected, rtol=1e-2, atol=1e-4)

def test_penalties_work_in_validation_in_bf16_and_at_a_flat_critic():
    D = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    score = lambda x, y=None: D(x).squeeze(1)
    x = torch.randn(4, 3, 2, 2)
    for p in (gradient_penalty(), dragan(), r1()):
        with torch.no_grad(): assert p(score, x, x + 1, None).isfinite()
        with torch.autocast('cpu', torch.bfloat16): value = p(score, x, x + 1, None)
        assert value.dtype == torch.float32
        nn.init.zeros_(D[1].weight); p(score, x, x + 1, None).backward() # the length has a finite slope at 0
        assert D[1].weight.grad.isfinite().all(); nn.init.normal_(D[1].weight)

def test_the_condition_reaches_the_critic():
    D = lambda x, y: (x * y).sum(1)
    y = torch.full((4, 3), 2.)
    assert r1(2.)(D, torch.randn(4, 3), None, y).item() == pytest.approx(12)

def test_a_critic_of_patches_counts_with_its_mean():
    w = torch.tensor([3., 4.])
    patches = lambda x, y=None: (x @ w)[:, None, None].expand(-1, 3, 5)
    x = torch.randn(6, 2)
    assert r1(2.)(patches, x, x, None).item() == pytest.approx(25, rel=1e-4)
    assert gradient_penalty(1.)(patches, x, -x, None).item() == pytest.approx(16, rel=1e-4)
    assert dragan(1.)(patches, x, x, None).item() == pytest.approx(16, rel=1e-4)

@pytest.mark.parametrize('penalty', [gradient_penalty(), dragan(), r1()])
def test_a_penalty_in_double_precision_has_the_right_second_derivative(penalty):
    torch.manual_seed(0)
    x, fake = torch.randn(4, 3).double(), torch.randn(4, 3).double()
    weight = torch.randn(3, 5).double().requires_grad_(True)
    def value(w):
        torch.manual_seed(1) # the same points at each call
        return penalty(lambda x, y=None: (x @ w).tanh().sum(1), x, fake, None)
    assert value(weight).dtype == torch.double and torch.autograd.gradcheck(value, weight)

def critic(): # slopes differ from place to place, and with the condition
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    return net, lambda x, y=None: net(torch.cat([x, y], 1)).squeeze(1)


@pytest.mark.parametrize('every', [1, 2, 4])
def test_a_part_of_the_batch_has_the_penalty_of_the_whole_on_average(every):
    "Each picture is in one of the parts, so the parts' mean is the whole's, in value and in gradient."
    net, D = critic()
    real, y = torch.randn(16, 2), torch.randn(16, 1)
    def learned(values):
        net.zero_grad()
        torch.stack(values).mean().backward()
        return torch.stack(values).mean(), *(p.grad.clone() for p in net.parameters() if p.grad is not None)
    part = subsampled(r1(2.), every)
    parts = [part(D, real.roll(i, 0), real, y.roll(i, 0)) for i in range(every)]
    whole = r1(2.)(D, real, real, y)
    for a, b in zip(learned([whole]), learned(parts)): torch.testing.assert_close(a, b)


def test_a_part_of_a_drawn_penalty_agrees_on_average_too():
    _, D = critic()
    real, fake, y = torch.randn(64, 2), torch.randn(64, 2) + 2, torch.randn(64, 1)
    def mean(penalty): # over batches in any order, as a loader gives them
        orders = [torch.randperm(64) for _ in range(1500)]
        return torch.stack([penalty(D, real[i], fake[i], y[i]).detach() for i in orders]).mean().item()
    for make in (gradient_penalty, dragan):
        assert mean(subsampled(make(), 4)) == pytest.approx(mean(make()), rel=.03)


def test_a_quarter_of_the_batch_is_a_quarter_of_the_work():
    net, seen = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(.2), nn.Flatten(), nn.Linear(4 * 36, 1)), []
    def D(x, y=None):
        seen.append(len(x))
        return net(x).squeeze(1)
    x = torch.randn(16, 3, 8, 8).to(memory_format=torch.channels_last)
    for make in (gradient_penalty, dragan, r1): subsampled(make(), 4)(D, x, -x, None).backward()
    assert seen == [4, 4, 4]
    for wrong in (0, -1, 1.5):
        with pytest.raises(ValueError, match='whole number'): subsampled(r1(), wrong)


def test_a_penalty_teaches_no_generator():
    real, fake = torch.randn(4, 2), torch.randn(4, 2, requires_grad=True)
    w = torch.randn(2, requires_grad=True)
    for p in (gradient_penalty(), dragan(), r1()): p(lambda x, y=None: (x @ w).tanh(), real, fake * 1, None).backward()
    assert fake.grad is None and w.grad.abs().sum() > 0

def test_wrong_arguments():
    for c in (0, -.01):
        with pytest.raises(ValueError, match='positive'): clip_weights(nn.Linear(2, 2), c)
    with pytest.raises(ValueError, match='one shape'):
        gradient_penalty()(linear(torch.ones(2)), torch.zeros(3, 2), torch.zeros(4, 2), None)
    for make in (gradient_penalty, dragan, r1):
        with pytest.raises(ValueError, match='reward'): make(-1.)
    with pytest.raises(ValueError, match='another size'): reconstruction(torch.zeros(2, 3), torch.zeros(2, 4))

def test_a_compiled_discriminator_is_refused_with_a_reason():
    with pytest.raises(ValueError, match='no second derivative'):
        r1()(torch.compile(nn.Linear(2, 1)), torch.randn(3, 2), None, None)

def test_clipping_reaches_every_parameter_and_nothing_else():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)); net[1].running_mean += 5
    clip_weights(net, .02)
    assert all(p.abs().max() <= .02 for p in net.parameters()) and net[1].running_mean.min() == 5


# --- the VAE's terms ------------------------------------------------------------------------------------------------

@settings(max_examples=30)
@given(seeds, st.integers(1, 6), st.integers(1, 8))
def test_kl_is_torchs(seed, n, nz):
    g = torch.Generator().manual_seed(seed)
    mean, logvar = torch.randn(n, nz, generator=g), torch.randn(n, nz, generator=g)
    q, p = torch.distributions.Normal(mean, (logvar / 2).exp()), torch.distributions.Normal(0., 1.)
    torch.testing.assert_close(kl(mean, logvar), torch.distributions.kl_divergence(q, p).sum(1).mean(), rtol=1e-4,
                               atol=1e-5)
    assert kl(mean, logvar) >= 0 and kl(0 * mean, 0 * logvar) == 0

def test_kl_keeps_its_digits_near_the_prior_and_in_bf16():
    v = torch.full((1, 1000), 1e-3)
    assert kl(torch.zeros_like(v), v).item() == pytest.approx(1000 * (math.expm1(1e-3) - 1e-3) / 2, rel=1e-3)
    assert kl(torch.zeros_like(v), v.bfloat16()).item() == pytest.approx(1000 * (math.expm1(1e-3) - 1e-3) / 2, rel=.02)

def test_reconstruction_sums_over_a_picture_and_averages_over_the_batch():
    x = torch.zeros(4, 3, 2, 2)
    assert reconstruction(x, x + .5).item() == pytest.approx(12 * .25) and reconstruction(x, x) == 0
    assert reconstruction(x[:1], x[:1] + .5) == reconstruction(x, x + .5)

def test_the_gradient_is_of_each_pictures_own_score():
    x = torch.randn(3, 2)
    torch.testing.assert_close(input_gradient(quadratic, x), x)
