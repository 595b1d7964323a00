"The study of inputs and BatchNorm: its switches switch what they say, and nothing else."
import pytest
import torch
from torch import nn

from dlcv_gan.game.base import draw
from dlcv_gan.game.learner import hold
from dlcv_gan.studies.input_and_batchnorm import (ACTIVATIONS, NOISES, RANGES, doublings, from_range,
                                                  gradient_lengths, input_and_batchnorm, into_range, longer,
                                                  make_dcgan, play_inputs, swap_activations, train_inputs)
from dlcv_gan.studies.short_runs import small_world
from dlcv_gan.studies.study import play


@pytest.fixture(autouse=True)
def small(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


def built(**settings):
    torch.manual_seed(0)
    return make_dcgan(**settings)


def layers(net, kind): return [m for m in net.modules() if isinstance(m, kind)]


@pytest.mark.parametrize('images', RANGES)
def test_a_range_is_left_and_found_again(images):
    x = torch.linspace(-1, 1, 9)
    there = into_range(x, images)
    assert (there.min(), there.max()) == RANGES[images] and torch.allclose(from_range(there, images), x, atol=1e-6)
    assert from_range(there + 1000, images).max() == 1 and from_range(there - 1000, images).min() == -1


def test_bytes_are_out_of_a_tanhs_reach():
    best = from_range(torch.ones(1), '0..255')
    assert best < -.99 # white, as far as this G can go, is black


def test_two_noises_differ_by_their_mean_only():
    drawn = {}
    for name, noise in NOISES.items():
        torch.manual_seed(0)
        drawn[name] = noise(400, 5, device='cpu')
    assert torch.equal(drawn['unit'] - .5, drawn['centred']) and abs(drawn['normal'].std() - 1) < .05
    assert built(z='unit').latent(200).min() >= 0 > built(z='centred').latent(200).min()


@pytest.mark.parametrize('norm, in_g, in_d, spectral',
                         [('both', True, True, False), ('G', True, False, False), ('D', False, True, False),
                          ('none', False, False, False), ('G, spectral D', True, False, True)])
def test_a_norm_is_where_it_is_said_to_be(norm, in_g, in_d, spectral):
    game = built(norm=norm, deeper=1)
    assert [bool(layers(net, nn.BatchNorm2d)) for net in (game.generator, game.discriminator)] == [in_g, in_d]
    assert hasattr(layers(game.discriminator, nn.Conv2d)[0], 'parametrizations') == spectral


@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_activations_are_swapped_but_for_the_last(activation):
    game = built(activation=activation, deeper=2)
    in_d, in_g = (type(make()) for make in ACTIVATIONS[activation])
    hidden = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid)
    assert {type(m) for m in layers(game.discriminator, hidden)} == {in_d}
    assert {type(m) for m in layers(game.generator, hidden)} == {in_g}
    assert isinstance(game.generator.body[-1], nn.Tanh) and game.sample(2).shape == (2, 3, 16, 16)


def test_a_swap_changes_no_weight():
    a, b = built(), built()
    swap_activations(b, nn.Sigmoid)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_a_longer_net_has_the_layers_in_between():
    net = longer(nn.Sequential(nn.Flatten(), nn.Linear(4, 4)), [nn.ReLU(), nn.Tanh()], 1)
    assert [type(m) for m in net] == [nn.Flatten, nn.ReLU, nn.Tanh, nn.Linear]
    plain, deep = (len(layers(built(deeper=n).discriminator, nn.Conv2d)) for n in (0, 3))
    assert deep == plain + 3


def test_the_pair_that_fits_is_one_net_in_other_units():
    tanh, sigmoid = built(), built(output='sigmoid')
    with torch.no_grad(): # 2 sigmoid(a) - 1 = tanh(a / 2)
        for p in tanh.generator.body[-2].parameters(): p.div_(2)
    assert torch.allclose(into_range(draw(tanh, 8, seed=0), '0..1'), draw(sigmoid, 8, seed=0), atol=1e-6)


@pytest.mark.parametrize('norm', ['both', 'G, spectral D'])
def test_lengths_are_those_of_a_turn_and_leave_the_game_alone(norm):
    game, x = built(norm=norm), torch.rand(8, 3, 16, 16)
    before, chance = {k: v.clone() for k, v in game.state_dict().items()}, torch.random.get_rng_state()
    found = gradient_lengths(game, x)
    assert torch.equal(chance, torch.random.get_rng_state()) and all(torch.equal(v, game.state_dict()[k])
                                                                     for k, v in before.items())
    torch.manual_seed(0)
    with hold([game.generator]): game.loss('discriminator', x)['adversarial'].backward()
    first = torch.cat([p.grad.flatten() for p in layers(game.discriminator, nn.Conv2d)[0].parameters()])
    assert torch.allclose(found['discriminator'][0], first.norm(), rtol=1e-4)
    assert all(len(v) == len(layers(net, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)))
               for v, net in zip(found.values(), (game.discriminator, game.generator)))


def test_a_sigmoid_passes_a_quarter_at_most():
    def lengths_of(activation):
        game = built(activation=activation, norm='none', start='glorot', deeper=6)
        return gradient_lengths(game, torch.rand(8, 3, 16, 16))['discriminator']
    lengths = {a: lengths_of(a) for a in ('relu', 'sigmoid')}
    assert lengths['sigmoid'][0] / lengths['sigmoid'][-1] < 1e-3 * lengths['relu'][0] / lengths['relu'][-1]


def test_doublings_are_ratios():
    assert doublings(.5) == -1 and doublings(8.) - doublings(2.) == 2
    assert doublings(-.1) == doublings(0.) == doublings(.01)


def test_a_run_is_a_function_of_its_settings_and_seed():
    base = input_and_batchnorm.points()[0]
    found = play_inputs(0, **base)
    assert ({m for c in input_and_batchnorm.claims for m in (x.metric for x in c.contrasts)}
            | set(input_and_batchnorm.worst) <= set(found))
    again = lambda seed=0, **changes: {k: float(v) for k, v in play_inputs(seed, **{**base, **changes}).items()}
    assert again() == {k: float(v) for k, v in found.items()}
    for change in (dict(seed=1), dict(images='0..1'), dict(output='sigmoid'), dict(z='unit'), dict(norm='none'),
                   dict(start='glorot'), dict(activation='relu'),
                   dict(deeper=1), dict(lr=1e-2)):
        assert again(**change)['distance'] != float(found['distance']), change


def test_a_game_that_dies_is_a_result():
    out = play(play_inputs, dict(input_and_batchnorm.points()[0], lr=1e30), 0, 'smoke', 'cpu')
    assert out['status'] == 'diverged' and 'not finite' in out['reason']


def test_d_sees_the_range_and_grades_do_not():
    game, log, looks = train_inputs(0, '0..255', norm='none', output='tanh')
    assert len(looks) == 9 and {'distance', 'lengths'} == set(looks[0])
    near = from_range(draw(game, len(small_world('faces', 16).test_x), seed=0), '0..255')
    assert near.max() < -.99 # whatever it has learned
