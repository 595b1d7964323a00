"InfoGAN: codes as they are drawn, the cost of reading them in closed form, and who learns from it."
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from dlcv_gan.models.infogan import build_infogan


@pytest.fixture
def game():
    torch.manual_seed(0)
    return build_infogan(32, 4, nz=20)


@given(choices=st.integers(2, 12), numbers=st.integers(0, 4))
@settings(max_examples=10, deadline=None)
def test_a_code_is_a_choice_numbers_and_noise(choices, numbers):
    torch.manual_seed(0)
    game = build_infogan(32, 2, nz=20, choices=choices, numbers=numbers)
    z = game.latent(4000)
    choice, number, noise = z.split([choices, numbers, 20 - choices - numbers], 1)
    assert set(choice.unique().tolist()) == {0., 1.} and (choice.sum(1) == 1).all()
    assert (choice.mean(0) - 1 / choices).abs().max() < .03
    if numbers: assert number.abs().max() <= 1 and (number.var(0) - 1 / 3).abs().max() < .03
    assert (noise.std(0) - 1).abs().max() < .06 and game.sample(3).shape == (3, 3, 32, 32)


@given(right=st.floats(.05, .99), off=st.floats(-1, 1))
@settings(max_examples=30, deadline=None)
def test_the_cost_of_reading(right, off):
    game = build_infogan(32, 2, nz=20, weight=2.)
    z = game.latent(50)
    choice = torch.where(z[:, :10] > 0, right, (1 - right) / 9).log() # a head that gives the truth this probability
    cost = game.reading(torch.cat([choice, z[:, 10:12] + off], 1), z)
    assert cost.item() == pytest.approx(2 * (-math.log(right) + off ** 2), rel=1e-3, abs=1e-4)
    assert game.notes['information'].item() == pytest.approx(math.log(10) + math.log(right), abs=1e-4)


def test_both_players_hear_of_the_code(game):
    x = torch.rand(8, 3, 32, 32) * 2 - 1
    for player in game.players():
        game.zero_grad()
        game.loss(player, x)['code'].backward()
        heard = {name: any(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
                 for name, net in (('generator', game.generator), ('discriminator', game.discriminator))}
        assert heard[player], player
        if player == 'discriminator': assert not heard['generator']


def test_a_trained_code_can_be_read(game):
    "Sixty steps of the code's term alone: the choice is read better than by guessing."
    opt = torch.optim.Adam(game.parameters(), 2e-3, betas=(0., .99))
    x = torch.zeros(16, 3, 32, 32)
    for _ in range(60):
        opt.zero_grad()
        game.loss('generator', x)['code'].backward()
        opt.step()
    assert game.notes['information'] > .5


@pytest.mark.parametrize('wrong, said', [(dict(choices=1), 'at least 2'), (dict(numbers=-1), 'do not fit'),
                                         (dict(nz=11), 'code of 11')])
def test_what_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said): build_infogan(**{'size': 32, 'width': 2, 'nz': 20, **wrong})
