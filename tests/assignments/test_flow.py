"Conditional flows: exact inverses, exact determinants, densities that integrate to one."
import copy, math

import pytest
import torch
from fastai.data.core import DataLoaders
from torch import nn
from torch.autograd.functional import jacobian

from dlcv_gan.data.loaders import Batches
from dlcv_gan.models.flow import (ActNorm, Coupling, Flow, FlowStep, Glow, InvertibleConv, build_cnf, r4_cnf,
                                  r4_cnf_faces)
from dlcv_gan.game.learner import GameLearner


def stirred(module, dtype=torch.float64, scale=.3):
    "The module away from its start, where couplings do nothing: every parameter moved."
    torch.manual_seed(0)
    for p in module.parameters(): p.data += scale * torch.randn_like(p) / max(1, p[0].numel()) ** .5
    return module.to(dtype).eval()

def small(dtype=torch.float64, **kwargs):
    torch.manual_seed(0)
    return stirred(Flow(Glow(**dict(dict(size=8, conditions=3, levels=2, steps=2, width=8), **kwargs))), dtype)
def pictures(n=3, size=8, channels=3, dtype=torch.float64):
    return torch.rand(n, channels, size, size, dtype=dtype, generator=torch.Generator().manual_seed(1)) * 2 - 1
def conditions(n=3, a=3): return (torch.arange(n * a).view(n, a) % 2).double()

LAYERS = dict(norm=lambda c: ActNorm(c), mix=lambda c: InvertibleConv(c), couple=lambda c: Coupling(c, 8, 5),
              step=lambda c: FlowStep(c, 8, 5))

def run(layer, x, e):
    "What comes out of any layer, and log |det| of each picture."
    if isinstance(layer, ActNorm): return layer(x), (x[0, 0].numel() * layer.log_scale.sum()).expand(len(x))
    if isinstance(layer, InvertibleConv): return layer(x), (x[0, 0].numel() * layer.lu.diagonal().sum()).expand(len(x))
    return layer(x, e)

def back(layer, y, e): return layer.inverse(y) if isinstance(layer, (ActNorm, InvertibleConv)) else layer.inverse(y, e)


@pytest.mark.parametrize('channels', [2, 5, 6])
@pytest.mark.parametrize('name', LAYERS)
def test_each_layer_inverts_and_knows_its_determinant(name, channels):
    layer, x, e = stirred(LAYERS[name](channels)), pictures(2, 3, channels), torch.randn(2, 5, dtype=torch.float64)
    y, logdet = run(layer, x, e)
    assert (back(layer, y, e) - x).abs().max() < 1e-10 and not torch.allclose(y, x)
    for i in range(2):
        J = jacobian(lambda v: run(layer, v[None], e[i:i + 1])[0][0], x[i]).reshape(x[i].numel(), -1)
        assert torch.allclose(torch.linalg.slogdet(J)[1], logdet[i])


@pytest.mark.parametrize('levels', [1, 2, 3])
def test_the_whole_flow_inverts_and_knows_its_determinant(levels):
    game, x, y = small(levels=levels), pictures(2), conditions(2)
    z, likelihood = game.encode(x, y)
    assert z.shape == (2, game.nz) == (2, 192) and likelihood.shape == (2,)
    assert (game.decode(z, y) - x).abs().max() < 1e-8
    J = jacobian(lambda v: game.encode(v[None], y[:1])[0][0], x[0]).reshape(192, 192)
    normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.)
    assert torch.allclose(likelihood[0], normal.log_prob(z[0]).sum() + torch.linalg.slogdet(J)[1])


def test_single_precision_is_enough():
    game, x, y = small(torch.float32, size=16, steps=4), pictures(4, 16, dtype=torch.float32), conditions(4)
    assert (game.decode(game.encode(x, y)[0], y) - x).abs().max() < 1e-3
    twin, (_, likelihood) = copy.deepcopy(game).double(), game.encode(x, y)
    assert torch.allclose(likelihood.double(), twin.encode(x.double(), y)[1], rtol=1e-4)


def test_the_density_integrates_to_one():
    "Over all pictures of 2x2 grey pixels, by Monte Carlo: draw from a wide Gaussian q, average p/q."
    game = small(size=2, channels=1, levels=1, steps=2)
    wide = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 3.)
    torch.manual_seed(0)
    x = wide.sample((100_000, 1, 2, 2))
    with torch.no_grad():
        weights = (game.encode(x, conditions(1).expand(len(x), -1))[1] - wide.log_prob(x).sum((1, 2, 3))).exp()
    error = weights.std() / len(weights) ** .5
    assert error < .05 and abs(weights.mean() - 1) < 5 * error


def test_a_linear_flow_is_a_gaussian():
    game = small(size=4, levels=1, width=4)
    for m in game.modules():
        if isinstance(m, Coupling): [nn.init.zeros_(p) for p in m.last.parameters()]
    y, d = conditions(1), game.nz
    mean = game.decode(torch.zeros(1, d, dtype=torch.float64), y).flatten()
    A = torch.stack([game.decode(row[None], y).flatten() - mean for row in torch.eye(d, dtype=torch.float64)], 1)
    x = game.decode(torch.randn(5, d, dtype=torch.float64), y.expand(5, -1))
    gaussian = torch.distributions.MultivariateNormal(mean, A @ A.T)
    assert torch.allclose(game.encode(x, y.expand(5, -1))[1], gaussian.log_prob(x.flatten(1)))


def test_samples_have_the_density_that_is_said():
    "What is decoded from standard normal codes has those codes, and the likelihood that the change of variables says."
    game, y = small(size=4, levels=1), conditions(1).expand(2000, -1)
    torch.manual_seed(0)
    z = game.latent(2000, temperature=1.).double()
    x = game.decode(z, y)
    again, likelihood = game.encode(x, y)
    assert torch.allclose(z, again) and abs(z.mean()) < .02 and abs(z.std() - 1) < .02
    assert torch.allclose(likelihood, game.net(x, y)[1] - .5 * (z.square() + math.log(2 * math.pi)).sum(1))


def test_the_first_batch_leaves_actnorm_standardised_and_only_the_first():
    norm, x = ActNorm(3), pictures(16, 8, dtype=torch.float32) * torch.tensor([1., 5., .1])[:, None, None] + 3
    with torch.no_grad(): assert torch.equal(norm.eval()(x), x) and not norm.started
    out = norm.train()(x)
    assert out.mean((0, 2, 3)).abs().max() < 1e-4 and (out.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-3
    before = copy.deepcopy(norm.state_dict())
    assert norm.started and torch.equal(norm(x * 7), norm.eval()(x * 7))
    assert all(torch.equal(a, b) for a, b in zip(before.values(), norm.state_dict().values()))
    fresh = ActNorm(3).train(); fresh.load_state_dict(before)
    assert torch.equal(fresh(x * 7), norm(x * 7)) # what was loaded is not started again
    norm.load_state_dict(ActNorm(3).state_dict())
    assert norm.train()(x * 7).std((0, 2, 3), correction=0).sub(1).abs().max() < 1e-3 # what was not started, is


def test_every_actnorm_of_a_fresh_flow_starts_on_the_same_batch():
    torch.manual_seed(0)
    game = build_cnf(size=16, width=8, conditions=3, levels=2, steps=2)
    game.loss('flow', pictures(64, 16, dtype=torch.float32), conditions(64).float())
    norms = [m for m in game.modules() if isinstance(m, ActNorm)]
    assert len(norms) == 4 and all(m.started for m in norms)


def test_the_condition_matters_everywhere():
    game, x, y = small(), pictures(1), conditions(1)
    z, likelihood = game.encode(x, y)
    for other in (1 - y, None):
        z2, likelihood2 = game.encode(x, other)
        assert likelihood2 != likelihood
        assert all(not torch.allclose(a, b) for a, b in zip(z.split([96, 96], 1), z2.split([96, 96], 1)))
        assert not torch.allclose(game.decode(z, other), x, atol=1e-3)
    for m in game.modules():
        if isinstance(m, Coupling): nn.init.zeros_(m.condition.weight)
    a, b = (game.encode(x, c)[0].split([96, 96], 1) for c in (y, 1 - y))
    # where no coupling reads the condition, the top still does
    assert torch.equal(a[0], b[0]) and not torch.allclose(a[1], b[1])


def test_a_row_of_nan_has_no_condition():
    game, x, y = small(), pictures(3), conditions(3)
    mixed = y.clone(); mixed[1] = math.nan
    conditional, unconditional, both = (game.encode(x, c)[0] for c in (y, None, mixed))
    assert torch.allclose(both[[0, 2]], conditional[[0, 2]]) and torch.allclose(both[1], unconditional[1])
    assert not torch.allclose(conditional[1], unconditional[1])
    plain = small(conditions=0)
    assert torch.allclose(plain.encode(x)[0], plain.encode(x, torch.zeros(3, 0))[0])


def test_pictures_of_a_batch_do_not_meet():
    game, x, y, order = small(), pictures(5), conditions(5), torch.tensor([3, 0, 4, 2, 1])
    z, likelihood = game.encode(x, y)
    z2, likelihood2 = game.encode(x[order], y[order])
    assert torch.allclose(z[order], z2) and torch.allclose(likelihood[order], likelihood2)
    assert torch.allclose(game.encode(x[:1], y[:1])[0], z[:1]) and torch.allclose(game.decode(z[:1], y[:1]), x[:1])


def read_backwards(game, temperature=1., each=400):
    "Draw under each of three conditions, read them by Bayes' rule: how sure the flow is, and whether it is right."
    y = torch.eye(3, dtype=torch.float64).repeat_interleave(each, 0)
    torch.manual_seed(0)
    with torch.no_grad():
        x = game.decode(game.latent(len(y), temperature).double(), y)
        nats = torch.stack([game.encode(x, y.roll(k, 1))[1] for k in range(3)], 1) # the first column is the truth
    return nats.softmax(1).amax(1), (nats.argmax(1) == 0).double()


def test_read_backwards_it_is_as_sure_as_it_is_right():
    "Bayes' rule on what a model has drawn itself is calibrated, whatever the model, if every density is exact."
    sure, right = read_backwards(small())
    error = (sure - right).std() / len(right) ** .5
    assert .4 < right.mean() < .98 and abs(sure.mean() - right.mean()) < 4 * error
    sure, right = read_backwards(small(), temperature=.5)
    # cooled drawings are not the model's
    assert abs(sure.mean() - right.mean()) > 4 * (sure - right).std() / len(right) ** .5


class Stretch(nn.Module):
    "A flow whose cost is known in closed form: it multiplies every number by one scale."
    shape = (3, 8, 8)
    def __init__(self, scale): super().__init__(); self.scale = nn.Parameter(torch.tensor(scale))
    def forward(self, x, y=None): return (x * self.scale).flatten(1), (self.nz * self.scale.log()).expand(len(x))
    def inverse(self, z, y=None): return (z / self.scale).unflatten(1, self.shape)
    nz = 192


def test_bits_of_known_densities():
    game = Flow(Stretch(2.))
    # even over the 256 bins: 8 bits
    assert torch.allclose(game.bits(torch.tensor(-game.nz * math.log(256 / 127.5))), torch.tensor(8.))
    torch.manual_seed(0)
    noise = torch.randint(256, (500, 3, 8, 8)) / 127.5 - 1
    variance = (256 ** 2 / 12) / 127.5 ** 2 # of even noise, spread over its bins
    for scale in (1., 2.):
        nats = .5 * scale ** 2 * variance + .5 * math.log(2 * math.pi) - math.log(scale)
        expected = math.log2(127.5) + nats / math.log(2)
        assert abs(Flow(Stretch(scale)).loss('flow', noise)['nll'].item() - expected) < .01
    best = math.log2(127.5) + .5 * math.log2(2 * math.pi * math.e * variance) # the cheapest Gaussian: more than 8
    assert abs(Flow(Stretch(variance ** -.5)).loss('flow', noise)['nll'].item() - best) < .01 and best > 8


def test_conditions_are_withheld_in_training_only():
    class Witness(Stretch):
        def forward(self, x, y=None): self.y = y; return super().forward(x)
    game = Flow(Witness(1.), unconditional=.25)
    x, y = pictures(1, dtype=torch.float32).expand(4000, -1, -1, -1), torch.ones(4000, 3)
    game.loss('flow', x, y)
    rows = game.net.y.isnan()
    assert torch.equal(rows.any(1), rows.all(1)) and abs(rows.any(1).float().mean() - .25) < .04
    game.eval().loss('flow', x, y)
    assert torch.equal(game.net.y, y)


def test_temperature_cools_the_codes():
    game = small(torch.float32)
    assert abs(game.latent(200).std() - .7) < .02 and abs(game.latent(200, 1.).std() - 1) < .02
    assert torch.equal(game.sample(2, temperature=0.), game.sample(2, temperature=0.))
    assert game.sample(2).abs().max() <= 1
    z = game.latent(2)
    # codes that are given are not cooled again
    assert torch.equal(game.sample(2, z=z, temperature=9.), game.decode(z).clamp(-1, 1))


def test_half_precision_touches_the_nets_only():
    game, x, y = small(torch.float32), pictures(3, dtype=torch.float32), conditions(3)
    z, likelihood = game.encode(x, y)
    with torch.autocast('cpu', torch.bfloat16): z16, likelihood16 = game.encode(x, y)
    assert z16.dtype == likelihood16.dtype == torch.float32 and not torch.equal(z, z16)
    with torch.autocast('cpu', torch.bfloat16): mixed = game.net.levels[0][0].mix(pictures(1, 4, 12, torch.float32))
    assert torch.equal(mixed, game.net.levels[0][0].mix(pictures(1, 4, 12, torch.float32)))


def test_faults_say_what_to_do():
    with pytest.raises(ValueError, match='does not halve 3 times'): Glow(size=20, levels=3)
    with pytest.raises(ValueError, match='need y of shape'): small().encode(pictures(3), torch.zeros(3, 4))
    with pytest.raises(ValueError, match='temperature'): Flow(Stretch(1.), temperature=-1)
    with pytest.raises(ValueError, match='unconditional'): Flow(Stretch(1.), unconditional=2)


def learner():
    torch.manual_seed(0)
    game = build_cnf(size=8, width=8, conditions=3, levels=2, steps=2)
    dls = DataLoaders(Batches(pictures(32, dtype=torch.float32), conditions(32).float(), bs=8), device='cpu')
    return GameLearner(dls, game, lr=1e-2, precision='fp32')


def test_training_lowers_the_bits_and_goes_on_bit_for_bit(tmp_path):
    whole, first, second = learner(), learner(), learner()
    with torch.random.fork_rng():
        for learn, rounds in ((whole, 40), (first, 7)):
            torch.manual_seed(3)
            with learn.no_bar(), learn.no_logging(): learn.fit_to(rounds)
        second.load(first.save(tmp_path/'half.pth'))
        with second.no_bar(), second.no_logging(): second.fit_to(40)
    cost = whole.history['flow.nll']
    assert cost.iloc[-5:].mean() < cost.iloc[1:6].mean() - .3
    assert all(torch.equal(a, b) for a, b in zip(whole.game.state_dict().values(), second.game.state_dict().values()))
    assert whole.sample(2, y=conditions(2), seed=0).shape == (2, 3, 8, 8)


def test_the_systems_differ_in_their_conditions_alone():
    scenes, faces = (s.build(size=16, width=4, steps=1) for s in (r4_cnf, r4_cnf_faces))
    assert (scenes.net.conditions, faces.net.conditions, len(scenes.net.levels)) == (24, 13, 4)
    assert scenes.nz == 3 * 16 * 16 and r4_cnf.build(size=16, width=4, channels=1, conditions=5, steps=1).nz == 256


@pytest.mark.gpu
def test_captured_turns_equal_eager_turns():
    if not torch.cuda.is_available(): pytest.skip('needs a CUDA device')
    def play(graphs):
        torch.manual_seed(0)
        game = build_cnf(size=8, width=8, conditions=3, levels=2, steps=2)
        dls = DataLoaders(Batches(pictures(32, dtype=torch.float32), conditions(32).float(), bs=8, device='cuda'),
                          device='cuda')
        learn = GameLearner(dls, game, precision='fp32', graphs=graphs)
        torch.manual_seed(1)
        with learn.no_bar(), learn.no_logging(): learn.fit_to(12)
        return learn.history['flow.nll']
    assert abs(play(True) - play(False)).max() < .3 # their noise is not the same
