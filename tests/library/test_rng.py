"Laws of the fork: the seed alone decides what is drawn within, and nothing outside notices; one device, no other."
import pytest
import torch

from dlcv_gan.rng import random_fork

DEVICES = ['cpu', 'meta', *(['cuda'] if torch.cuda.is_available() else []),
           *(['mps'] if torch.backends.mps.is_available() else [])]


def states(device):
    "The CPU's random state and, where there is one, the device's."
    there = [] if device in ('cpu', 'meta') else [torch.get_device_module(device).get_rng_state()]
    return [torch.get_rng_state(), *there]


@pytest.mark.parametrize('device', DEVICES)
def test_what_is_drawn_within_is_the_seeds_and_nothing_outside_notices(device):
    here = 'cpu' if device == 'meta' else device
    before = states(device)
    with random_fork(3, device): within = torch.randn(5), torch.randn(5, device=here)
    assert all(map(torch.equal, before, states(device)))
    torch.randn(2)
    with random_fork(3, device): again = torch.randn(5), torch.randn(5, device=here)
    assert all(map(torch.equal, within, again))
    with random_fork(None):
        torch.manual_seed(3)
        assert torch.equal(torch.randn(5), within[0]), 'the numbers are those of torch.manual_seed'


def test_the_state_comes_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), random_fork(0): torch.randn(int(1 / 0))
    assert torch.equal(before, torch.get_rng_state())


def test_without_a_seed_nothing_is_forked():
    before = torch.get_rng_state()
    with random_fork(None): torch.randn(1)
    assert not torch.equal(before, torch.get_rng_state())


def test_no_accelerator_is_seeded_that_nobody_asked_for(monkeypatch):
    for name in ('manual_seed_all', 'manual_seed'):
        monkeypatch.setattr(torch.cuda, name, lambda *a: pytest.fail('all GPUs were seeded'))
    with random_fork(0): torch.randn(1)
