"Laws of the networks: the reports' printed tables, shapes at every size, spectral norm, and faults with words."
import copy

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from dlcv_gan.nets import (AttributeEmbedding, DCGANDiscriminator, DCGANGenerator, Decoder, Discriminator, Encoder,
                           PlaneDiscriminator, ProjectionDiscriminator, R1Discriminator, R1Generator,
                           ToyDiscriminator, ToyGenerator, add_spectral_norm, count_parameters, dcgan_init,
                           glorot_init, layer_norm, layer_table, mixes_samples, mlp, on_device, score_both)
from dlcv_gan.residual import PatchDiscriminator, TagsDiscriminator

torch.set_num_threads(1)
SIZES = 16, 32, 64, 128
DISCRIMINATORS = R1Discriminator, DCGANDiscriminator
GENERATORS = Decoder, R1Generator, DCGANGenerator


def counted(table):
    "The rows with parameters, as (output, Keras count)."
    return [(o, k) for o, p, k in zip(table.output, table.params, table.keras_params) if p]


def printed(*rows):
    "Printed rows 'output conv [batchnorm]' flattened to (output, count)."
    return [(output, count) for output, *counts in rows for count in counts]


ENCODER = printed(('64,64,32', 896, 128), ('32,32,64', 18_496, 256), ('16,16,128', 73_856, 512),
                  ('8,8,256', 295_168, 1_024),
                  ('4,4,512', 1_180_160, 2_048), ('4,4,512', 2_359_808, 2_048), ('1024', 8_389_632, 8_389_632))
DECODER = printed(('8192', 8_396_800), ('4,4,512', 2_359_808, 2_048), ('8,8,512', 2_359_808, 2_048),
                  ('8,8,256', 1_179_904, 1_024),
                  ('16,16,128', 295_040, 512), ('16,16,64', 73_792, 256), ('32,32,32', 18_464, 128), ('64,64,3', 867))
GENERATOR = printed(('4,4,256', 1_048_832, 1_024), ('8,8,128', 524_416, 512), ('16,16,64', 131_136, 256),
                    ('32,32,32', 32_800, 128), ('64,64,3', 1_539))
DISCRIMINATOR = printed(('64,64,32', 2_432), ('32,32,64', 51_264), ('16,16,128', 204_928), ('8,8,256', 819_456),
                        ('4,4,512', 3_277_312), ('1', 8_193))


def test_r1_vae_has_the_printed_rows():
    encoder = layer_table(Encoder(), torch.zeros(1, 3, 64, 64))
    assert counted(encoder) == ENCODER
    assert '8192' in encoder[encoder.layer == 'Flatten'].output.tolist()
    assert encoder.layer.tolist()[1:-3:3] == ['BatchNorm2d']*6 and encoder.layer.tolist()[2:-3:3] == ['ReLU']*6
    assert counted(layer_table(Decoder(), torch.zeros(1, 1024))) == DECODER


def test_the_decoder_has_no_batchnorm_on_its_last_layer():
    table = layer_table(Decoder(), torch.zeros(1, 1024))
    assert table.layer.tolist()[-2:] == ['ConvTranspose2d 3x3 s2', 'Tanh']


def test_r1_gan_has_the_printed_rows():
    assert counted(layer_table(R1Generator(), torch.zeros(1, 1024))) == GENERATOR
    assert counted(layer_table(R1Discriminator(), torch.zeros(1, 3, 64, 64))) == DISCRIMINATOR


def test_r1_generator_is_relu_then_batchnorm():
    layers = layer_table(R1Generator(), torch.zeros(1, 1024)).layer.tolist()
    after = [layers[i + 1:i + 3] for i, name in enumerate(layers[:-2]) if name.startswith('ConvTranspose')]
    assert after == [['ReLU', 'BatchNorm2d']]*4


def test_r1_acgan_is_the_same_nets_by_arguments():
    net = R1Generator(nz=512, embed=AttributeEmbedding(2, 256), embedded=256)
    table = layer_table(net, torch.zeros(1, 512), torch.zeros(1))
    assert counted(table) == [('256', 512), ('4,4,256', 786_688), *GENERATOR[1:]]
    assert '2,2,192' in table.output.tolist()
    net = R1Discriminator(attributes=1)
    assert counted(layer_table(net, torch.zeros(1, 3, 64, 64), forward=net.heads)) == [*DISCRIMINATOR, ('1', 8_193)]


def test_r1_discriminator_has_no_normalisation_and_dcgan_has_it_but_first():
    is_norm = lambda net: [isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)) for m in net.modules()]
    assert not any(is_norm(R1Discriminator(width=2))) and not any(is_norm(DCGANDiscriminator(width=2, norm=None)))
    # width 3: as many channels as a picture
    layers = layer_table(DCGANDiscriminator(width=3), torch.zeros(1, 3, 64, 64)).layer.tolist()
    assert layers[:2] == ['Conv2d 4x4 s2', 'LeakyReLU'] and layers.count('BatchNorm2d') == 3


def test_r0_dcgan_has_the_printed_channels():
    outputs = layer_table(DCGANGenerator(), torch.zeros(1, 100)).output.drop_duplicates().tolist()
    assert outputs == ['8192', '4,4,512', '8,8,256', '16,16,128', '32,32,64', '64,64,3']
    outputs = layer_table(DCGANDiscriminator(), torch.zeros(1, 3, 64, 64)).output.drop_duplicates().tolist()
    assert outputs == ['32,32,64', '16,16,128', '8,8,256', '4,4,512', '8192', '1']


@pytest.mark.parametrize('size', SIZES)
def test_shapes_and_ranges_at_every_size(size):
    x = torch.rand(2, 3, size, size)*2 - 1
    mean, logvar = Encoder(size, width=2, nz=12)(x)
    assert mean.shape == logvar.shape == (2, 12)
    for make in GENERATORS:
        out = make(size, width=2, nz=12)(torch.randn(2, 12))
        assert out.shape == x.shape and out.abs().max() <= 1
    for make in DISCRIMINATORS:
        for spectral in (False, True): assert make(size, width=2, spectral=spectral)(x, torch.zeros(2)).shape == (2,)
        score, attributes = make(size, width=2, attributes=3).heads(x)
        assert score.shape == (2,) and attributes.shape == (2, 3)


@pytest.mark.parametrize('channels', [1, 4])
def test_other_numbers_of_channels(channels):
    x = torch.zeros(2, channels, 32, 32)
    assert Encoder(32, 2, 8, channels)(x)[0].shape == (2, 8)
    assert all(make(32, 2, 8, channels)(torch.zeros(2, 8)).shape == x.shape for make in GENERATORS)
    assert all(make(32, 2, channels)(x).shape == (2,) for make in DISCRIMINATORS)


@pytest.mark.parametrize('make', [Encoder, *GENERATORS, *DISCRIMINATORS])
@pytest.mark.parametrize('size', [0, 8, 48, 65, 256])
def test_a_wrong_size_is_named(make, size):
    with pytest.raises(ValueError, match=f'size is {size}.*32, 64 or 128'): make(size)


@pytest.mark.parametrize('make', [Encoder, *GENERATORS, *DISCRIMINATORS])
@pytest.mark.parametrize('width', [0, -3, 1.5])
def test_a_wrong_width_is_named(make, width):
    with pytest.raises(ValueError, match=f'width is {width}.*at least 1'): make(32, width)


def test_faults_of_generators_are_named():
    with pytest.raises(ValueError, match=r'shape \(2, 7\).*\(n, 8\)'): ToyGenerator(8)(torch.zeros(2, 7))
    with pytest.raises(ValueError, match=r'shape \(2, 8, 1, 1\).*\(n, 8\)'):
        R1Generator(32, 2, 8)(torch.zeros(2, 8, 1, 1))
    with pytest.raises(ValueError, match='multiple of 4'): R1Generator(nz=1023)
    conditional = R1Generator(32, 2, 8, embed=AttributeEmbedding(2, 4), embedded=4)
    with pytest.raises(ValueError, match='got no y'): conditional(torch.zeros(2, 8))
    with pytest.raises(ValueError, match='no auxiliary head'): R1Discriminator(32, 2).heads(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize('make', [R1Generator, DCGANGenerator])
@pytest.mark.parametrize('y', [torch.tensor([0, 1]), torch.tensor([[0], [1]], dtype=torch.uint8),
                               torch.tensor([0., 1.])])
def test_the_condition_reaches_the_picture(make, y):
    net = make(32, 2, 8, embed=AttributeEmbedding(2, 4), embedded=4).eval()
    one, other = net(torch.ones(2, 8), y)
    assert (one - other).abs().max() > 1e-6


@given(st.integers(1, 40), st.sampled_from(SIZES))
@settings(max_examples=15, deadline=None)
def test_any_width_builds_and_the_count_is_the_tables_sum(width, size):
    net = R1Discriminator(size, width)
    table = layer_table(net, torch.zeros(1, 3, size, size))
    assert table.params.sum() == count_parameters(net) == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize('make', [lambda: R1Discriminator(32, 4, spectral=True),
                                  lambda: DCGANDiscriminator(32, 4, spectral=True),
                                  lambda: ToyDiscriminator(16, spectral=True)])
def test_spectral_norm_bounds_every_weight(make):
    torch.manual_seed(0)
    net = make()
    x = torch.randn(2, 2) if isinstance(net, ToyDiscriminator) else torch.randn(2, 3, 32, 32)
    for p in (m.parametrizations.weight.original for m in net.modules() if hasattr(m, 'parametrizations')):
        p.data.mul_(7)
    with torch.no_grad():
        for _ in range(200): net.train()(x)
    net.eval()
    weights = [m.weight.detach().flatten(1) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(weights) >= 3
    for w in weights: assert torch.linalg.matrix_norm(w, 2) <= 1 + 1e-3
    assert all(hasattr(m, 'parametrizations') for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))


def test_spectral_toy_is_one_lipschitz():
    torch.manual_seed(0)
    net = ToyDiscriminator(32, spectral=True)
    for _ in range(100): net(torch.randn(4, 2))
    a, b = torch.randn(500, 2)*3, torch.randn(500, 2)*3
    with torch.no_grad(): assert ((net.eval()(a) - net(b)).abs() <= (a - b).norm(dim=1)*(1 + 1e-3)).all()


def test_spectral_weights_count_once():
    plain, spectral = R1Discriminator(32, 4), R1Discriminator(32, 4, spectral=True)
    x = torch.zeros(1, 3, 32, 32)
    assert count_parameters(plain) == count_parameters(spectral)
    assert layer_table(plain, x).equals(layer_table(spectral, x))


@pytest.mark.parametrize('make, x', [(lambda: DCGANDiscriminator(32, 4, spectral=True), torch.randn(3, 3, 32, 32)),
                                     (lambda: R1Generator(32, 4, 8), torch.randn(3, 8))])
def test_looking_at_a_net_changes_nothing(make, x):
    net = make().train()
    net.features[0].eval() if hasattr(net, 'features') else net.body[0].eval()
    modes, state = [m.training for m in net.modules()], copy.deepcopy(net.state_dict())
    random = torch.get_rng_state()
    layer_table(net, x)
    assert modes == [m.training for m in net.modules()]
    assert all(torch.equal(a, b) for a, b in zip(state.values(), net.state_dict().values()))
    assert torch.equal(random, torch.get_rng_state()) and not any(m._forward_hooks for m in net.modules())


def test_a_net_is_put_back_when_its_call_fails():
    net = R1Discriminator(32, 2).train()
    with pytest.raises(RuntimeError): layer_table(net, torch.zeros(1, 5, 32, 32))
    assert net.training and not any(m._forward_hooks for m in net.modules())


def test_a_layer_called_twice_counts_once():
    layer = nn.Linear(3, 3)
    assert layer_table(nn.Sequential(layer, layer), torch.zeros(1, 3)).params.tolist() == [12, 0]


@pytest.mark.parametrize('make', [Encoder, *GENERATORS, *DISCRIMINATORS])
def test_a_seed_gives_the_same_net(make):
    nets = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed); nets.append(torch.cat([p.detach().flatten() for p in make(32, 2).parameters()]))
    assert torch.equal(nets[0], nets[1]) and not torch.equal(nets[0], nets[2])


def test_the_starts_are_as_the_papers_say():
    torch.manual_seed(0)
    net = DCGANGenerator(64, 32)
    assert net.body[0].weight.std().item() == pytest.approx(0.02, rel=0.02) and net.body[0].bias.abs().max() == 0
    scale = torch.cat([m.weight for m in net.modules() if isinstance(m, nn.BatchNorm2d)])
    assert scale.mean().item() == pytest.approx(1, abs=0.01) and scale.std().item() == pytest.approx(0.02, rel=0.2)
    layer = Encoder().mean
    assert layer.weight.abs().max().item() == pytest.approx((6/(8192 + 1024))**0.5, rel=1e-3)
    assert layer.bias.abs().max() == 0
    dcgan, glorot = (R1Discriminator(32, 4, init=i).features[0].weight.std() for i in (dcgan_init, glorot_init))
    assert dcgan < 0.04 < glorot


@pytest.mark.parametrize('norm, apart', [(nn.BatchNorm2d, False), (layer_norm, True), (nn.InstanceNorm2d, True),
                                         (None, True)])
def test_which_norms_keep_samples_apart(norm, apart):
    torch.manual_seed(0)
    net, x = DCGANDiscriminator(32, 4, norm=norm), torch.randn(6, 3, 32, 32)
    together, alone = net(x)[:3], net(torch.cat([x[:3], x[3:]*3 + 1]))[:3]
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-7) == apart
    biased = [m.bias is not None for m in net.features if isinstance(m, nn.Conv2d)]
    assert biased == [True] + [norm is None]*2


def test_generator_without_norm_builds():
    net = DCGANGenerator(32, 4, norm=None)
    assert not any(isinstance(m, nn.BatchNorm2d)
                   for m in net.modules()) and net(torch.zeros(2, 100)).shape == (2, 3, 32, 32)


@pytest.mark.parametrize('make', [lambda: R1Discriminator(32, 4, spectral=True), lambda: DCGANDiscriminator(32, 4)])
def test_channels_last_and_bfloat16_agree_with_plain(make):
    torch.manual_seed(0)
    net, x = make().eval(), torch.randn(4, 3, 32, 32)
    plain = net(x)
    last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert torch.allclose(plain, last, rtol=1e-3, atol=1e-5)
    with torch.autocast('cpu', torch.bfloat16): rough = net.train()(x)
    rough.float().sum().backward()
    assert rough.dtype == torch.bfloat16 and all(p.grad.isfinite().all() for p in net.parameters())


def test_spectral_norm_survives_copy_and_state():
    net = R1Discriminator(32, 2, spectral=True).eval()
    twin = R1Discriminator(32, 2, spectral=True).eval()
    twin.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(net(x), twin(x)) and torch.equal(net(x), copy.deepcopy(net)(x))


def test_toys_and_mlp():
    assert [m.out_features for m in mlp(3, 5, 7, 2)
            if isinstance(m, nn.Linear)] == [5, 7, 2] and isinstance(mlp(3, 5, 2)[-1], nn.Linear)
    assert ToyGenerator()(torch.zeros(4, 256)).shape == (4, 2)
    assert ToyDiscriminator()(torch.zeros(4, 2), torch.zeros(4)).shape == (4,)
    assert ToyGenerator(dims=3, nz=5).nz == 5 and ToyGenerator(dims=3, nz=5)(torch.zeros(1, 5)).shape == (1, 3)


def test_a_discriminator_of_ones_own():
    net = Discriminator(nn.Flatten(), 12, attributes=2, spectral=True)
    assert net(torch.zeros(3, 3, 2, 2)).shape == (3,) and hasattr(net.auxiliary, 'parametrizations')
    assert add_spectral_norm(plain := nn.Sequential(nn.Linear(2, 2))) is plain


# ---- conditional discriminators

@given(st.integers(1, 6), st.integers(0, 10_000))
def test_a_projection_is_linear_in_the_condition(conditions, seed):
    torch.manual_seed(seed)
    net = ProjectionDiscriminator(DCGANDiscriminator(32, 2, norm=None), conditions).double().eval()
    x = torch.rand(3, 3, 32, 32).double() * 2 - 1
    a, b = torch.randn(3, conditions).double(), torch.randn(3, conditions).double()
    none = net(x, torch.zeros_like(a))
    assert torch.equal(none, net.base(x))
    torch.testing.assert_close(net(x, a + b) - none, (net(x, a) - none) + (net(x, b) - none))


def test_told_discriminators_cost_what_their_condition_costs():
    for conditions in (1, 24):
        base = DCGANDiscriminator(32, 4, channels=4)
        more = count_parameters(PlaneDiscriminator(base, conditions, 32)) - count_parameters(base)
        assert more == (conditions + 1) * 32**2
        base = DCGANDiscriminator(32, 4)
        more = count_parameters(ProjectionDiscriminator(base, conditions)) - count_parameters(base)
        assert more == conditions * base.score.in_features


def test_a_plane_is_one_channel_and_each_picture_gets_its_own():
    torch.manual_seed(0)
    net = PlaneDiscriminator(DCGANDiscriminator(32, 4, channels=4, norm=None), 3, 32)
    x, y = torch.rand(4, 3, 32, 32), torch.eye(3)[[0, 1, 2, 0]]
    swapped = net(x, y[[1, 0, 2, 3]])
    assert (swapped[2:] == net(x, y)[2:]).all() and (swapped[:2] != net(x, y)[:2]).all()
    with pytest.raises(RuntimeError): net(torch.rand(4, 3, 64, 64), y)


# --- real and fake in one pass --------------------------------------------------------------------------------------

class Spread(nn.Module): # a minibatch standard deviation, in one line of a `forward`
    def forward(self, x): return x * x.std(0).mean()


class Sum(nn.Module):
    mixes_samples = False
    def forward(self, x): return x.sum(1)


APART = dict(plain=DCGANDiscriminator(16, 2, norm=None), layer_norm=DCGANDiscriminator(16, 2, norm=layer_norm),
             spectral=DCGANDiscriminator(16, 2, norm=None, spectral=True), r1=R1Discriminator(16, 2),
             patches=PatchDiscriminator(2, 1), tags=TagsDiscriminator(16, 2, 1, 3),
             plane=PlaneDiscriminator(DCGANDiscriminator(16, 2, 4, norm=None), 2, 16),
             said=nn.Sequential(mlp(3, 2), Sum()),
             attention=nn.MultiheadAttention(4, 2, batch_first=True), group=nn.GroupNorm(2, 4),
             projection=ProjectionDiscriminator(DCGANDiscriminator(16, 2, norm=None), 2, spectral=True))
MIXED = dict(batchnorm=DCGANDiscriminator(16, 2), plane=PlaneDiscriminator(DCGANDiscriminator(16, 2, 4), 2, 16),
             untracked=nn.BatchNorm1d(3, track_running_stats=False), unknown=nn.Sequential(mlp(3, 2), Spread()),
             tracked=nn.InstanceNorm2d(3, track_running_stats=True), synced=nn.SyncBatchNorm(3),
             attention=nn.TransformerEncoderLayer(4, 2), recurrent=nn.GRU(3, 2), lazy=nn.LazyBatchNorm2d(),
             spectral=add_spectral_norm(nn.Sequential(mlp(3, 2), Spread())))


def test_layers_say_whether_samples_are_mixed():
    assert {name: mixes_samples(net) for name, net in APART.items()} == dict.fromkeys(APART, False)
    assert {name: mixes_samples(net) for name, net in MIXED.items()} == dict.fromkeys(MIXED, True)


@given(st.sampled_from(['plain', 'layer_norm', 'r1', 'patches', 'tags', 'plane']), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_one_pass_over_both_is_two_passes(name, n, m):
    D, y = APART[name], (torch.ones(n, 2), ) if name == 'plane' else ()
    m = n if y else m
    real, fake = torch.randn(n, 3, 16, 16), torch.randn(m, 3, 16, 16)
    ways = [score_both(D, real, fake, *y, one_pass=way) for way in (True, False)]
    slopes = [torch.autograd.grad(r.square().mean() - f.mean(), D.parameters(), allow_unused=True) for r, f in ways]
    for a, b in zip(*ways): assert a.shape == b.shape and torch.allclose(a, b, atol=1e-6)
    for a, b in zip(*slopes): assert a is b is None or torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_two_heads_go_in_one_pass_as_well():
    D, x = APART['tags'], torch.randn(5, 3, 16, 16)
    for a, b in zip(score_both(D.heads, x[:2], x[2:]), score_both(D.heads, x[:2], x[2:], one_pass=False)):
        for one, two in zip(a, b): assert one.shape == two.shape and torch.allclose(one, two, atol=1e-6)


def test_what_is_handed_in_goes_where_the_net_is():
    net, x = nn.Linear(2, 2, device='meta'), torch.ones(2)
    there, nothing = on_device(net, x, None)
    assert there.device.type == 'meta' and nothing is None
    assert on_device(nn.Identity(), x)[0] is x and on_device(nn.Linear(2, 2), x)[0] is x


# ---- spectral norm

def spectral_discriminator(): # and torch's own, with the same weights
    torch.manual_seed(0)
    ours = R1Discriminator(16, 4, spectral=True)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    theirs = R1Discriminator(16, 4)
    for layer in theirs.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)): spectral_norm(layer)
    assert torch.equal(state, torch.get_rng_state())
    return ours, theirs


def test_spectral_norm_is_torchs_to_the_bit():
    ours, theirs = spectral_discriminator()
    x = torch.randn(3, 3, 16, 16)
    for _ in range(3): assert torch.equal(ours(x), theirs(x))
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values()))
    assert list(ours.state_dict()) == list(theirs.state_dict()), 'checkpoints of earlier runs fit'


def test_spectral_norm_is_measured_in_full_precision(monkeypatch):
    "On CUDA autocast halves the precision of `mv`, on the CPU it does not: here is asked whether it might."
    mv = torch.mv
    def asked(net):
        seen = []
        monkeypatch.setattr(torch, 'mv', lambda *x: (seen.append(torch.is_autocast_enabled('cpu')), mv(*x))[1])
        with torch.autocast('cpu', torch.bfloat16): score = net(torch.randn(3, 3, 16, 16))
        return set(seen), score.dtype
    ours, theirs = spectral_discriminator()
    assert asked(ours) == ({False}, torch.bfloat16) and asked(theirs)[0] == {True}
