"The printed networks, layer by layer, and what holds for every size."
import pytest
import torch
from torch import nn

from dlcv_gan.nets import (AttributeEmbedding, DCGANDiscriminator, DCGANGenerator, Decoder, Encoder, R1Discriminator, R1Generator, ToyDiscriminator,
                           ToyGenerator, count_parameters, layer_norm, layer_table)

torch.set_num_threads(1)
x64 = torch.zeros(1, 3, 64, 64)

def rows(net, *inputs, kinds=('Conv', 'Linear', 'BatchNorm')):
    "(output, params) of each layer with parameters, in order; BatchNorm counted as Keras counts it."
    t = layer_table(net, *inputs)
    return [(tuple(r.output) if not isinstance(r.output, str) else tuple(int(v) for v in r.output.replace('x', ',').split(',')), int(r.keras_params))
            for r in t.itertuples() if any(k in r.layer for k in kinds)]

def test_r1_vae_encoder_as_printed():
    got = rows(Encoder(), x64)
    convs = [((64, 64, 32), 896), ((32, 32, 64), 18_496), ((16, 16, 128), 73_856), ((8, 8, 256), 295_168), ((4, 4, 512), 1_180_160), ((4, 4, 512), 2_359_808)]
    norms = [128, 256, 512, 1024, 2048, 2048]
    expected = [r for (shape, p), bn in zip(convs, norms) for r in ((shape, p), (shape, bn))] + [((1024,), 8_389_632)] * 2
    assert got == expected

def test_r1_vae_decoder_as_printed():
    got = rows(Decoder(), torch.zeros(1, 1024))
    convs = [((4, 4, 512), 2_359_808, 2048), ((8, 8, 512), 2_359_808, 2048), ((8, 8, 256), 1_179_904, 1024), ((16, 16, 128), 295_040, 512),
             ((16, 16, 64), 73_792, 256), ((32, 32, 32), 18_464, 128)]
    assert got == [((8192,), 8_396_800)] + [r for s, p, bn in convs for r in ((s, p), (s, bn))] + [((64, 64, 3), 867)]

def test_r1_gan_as_printed():
    G = rows(R1Generator(), torch.zeros(1, 1024))
    assert G == [r for s, p, bn in [((4, 4, 256), 1_048_832, 1024), ((8, 8, 128), 524_416, 512), ((16, 16, 64), 131_136, 256), ((32, 32, 32), 32_800, 128)]
                 for r in ((s, p), (s, bn))] + [((64, 64, 3), 1_539)]
    D = rows(R1Discriminator(), x64)
    assert D == [((64, 64, 32), 2_432), ((32, 32, 64), 51_264), ((16, 16, 128), 204_928), ((8, 8, 256), 819_456), ((4, 4, 512), 3_277_312), ((1,), 8_193)]
    order = [type(m).__name__ for m in R1Generator().modules() if isinstance(m, (nn.ConvTranspose2d, nn.ReLU, nn.BatchNorm2d))]
    assert order[:3] == ['ConvTranspose2d', 'ReLU', 'BatchNorm2d'] # ReLU, then BatchNorm, as the report says

def test_r1_acgan_comes_from_the_same_classes():
    G = R1Generator(nz=512, embed=AttributeEmbedding(2, 256), embedded=256)
    assert next(p for m in G.modules() if isinstance(m, nn.ConvTranspose2d) for p in [sum(q.numel() for q in m.parameters())]) == 786_688
    assert G(torch.randn(3, 512), torch.tensor([0, 1, 1])).shape == (3, 3, 64, 64)
    D = R1Discriminator(attributes=1)
    assert count_parameters(D.score) == count_parameters(D.auxiliary) == 8_193
    score, attribute = D.heads(torch.randn(2, 3, 64, 64))
    assert score.shape == (2,) and attribute.shape == (2, 1)

def test_r0_dcgan_as_printed():
    G = [s for s, p in rows(DCGANGenerator(), torch.zeros(1, 100), kinds=('Conv', 'Linear'))]
    assert G == [(8192,), (8, 8, 256), (16, 16, 128), (32, 32, 64), (64, 64, 3)]
    D = rows(DCGANDiscriminator(), x64, kinds=('Conv', 'Linear', 'BatchNorm'))
    assert [s for s, _ in D] == [(32, 32, 64), (16, 16, 128), (16, 16, 128), (8, 8, 256), (8, 8, 256), (4, 4, 512), (4, 4, 512), (1,)] # the first has no BatchNorm

def test_critics_for_penalties_have_no_batchnorm():
    for D in (R1Discriminator(32, 4), DCGANDiscriminator(32, 4, norm=None), DCGANDiscriminator(32, 4, norm=layer_norm)):
        assert not any(isinstance(m, nn.BatchNorm2d) for m in D.modules())
        x = torch.randn(4, 3, 32, 32)
        torch.testing.assert_close(D(x)[1:2], D(x[1:2]), rtol=1e-4, atol=1e-5) # a picture's score is its own

@pytest.mark.parametrize('size', [32, 64, 128])
@pytest.mark.parametrize('width', [4, 8])
def test_every_size_and_width(size, width):
    torch.manual_seed(0)
    x, z = torch.randn(2, 3, size, size), torch.randn(2, 16)
    mean, logvar = Encoder(size, width, 16)(x)
    assert mean.shape == logvar.shape == (2, 16)
    for G in (Decoder(size, width, 16), R1Generator(size, width, 16), DCGANGenerator(size, width, 16)):
        out = G(z)
        assert out.shape == x.shape and out.abs().max() <= 1
    for D in (R1Discriminator, DCGANDiscriminator):
        for spectral in (False, True): assert D(size, width, spectral=spectral)(x).shape == (2,)

@pytest.mark.parametrize('bad', [dict(size=48), dict(size=16), dict(size=64, width=0)])
def test_sizes_that_do_not_exist_are_named(bad):
    for net in (Encoder, Decoder, R1Generator, R1Discriminator, DCGANGenerator, DCGANDiscriminator):
        with pytest.raises(ValueError, match=str(list(bad.values())[-1])): net(**bad)

def test_wrong_latents_are_named():
    with pytest.raises(ValueError, match='100'): DCGANGenerator(32, 4)(torch.randn(2, 64))

def test_spectral_norm_bounds_every_layer():
    torch.manual_seed(0)
    D = DCGANDiscriminator(32, 8, norm=None, spectral=True).train()
    for _ in range(60): D(torch.randn(2, 3, 32, 32))
    for m in D.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            assert torch.linalg.matrix_norm(m.weight.flatten(1), 2) <= 1.02

def test_a_table_counts_each_weight_once_and_disturbs_nothing():
    for D in (DCGANDiscriminator(32, 4), DCGANDiscriminator(32, 4, spectral=True)):
        D.train(); before = {k: v.clone() for k, v in D.state_dict().items()}
        assert layer_table(D, torch.zeros(2, 3, 32, 32)).params.sum() == count_parameters(D)
        assert D.training and all(torch.equal(v, before[k]) for k, v in D.state_dict().items())

def test_the_start_is_the_seeds():
    nets = []
    for _ in range(2): torch.manual_seed(3); nets.append(DCGANGenerator(32, 4))
    assert all(torch.equal(a, b) for a, b in zip(*(n.state_dict().values() for n in nets)))
    convs = [m.weight for m in DCGANGenerator(64, 32).modules() if isinstance(m, nn.ConvTranspose2d)]
    assert all(abs(c.std() - .02) < .002 and abs(c.mean()) < .001 for c in convs)

def test_toys():
    assert ToyGenerator(nz=5)(torch.randn(7, 5)).shape == (7, 2) and ToyDiscriminator()(torch.randn(7, 2)).shape == (7,)
