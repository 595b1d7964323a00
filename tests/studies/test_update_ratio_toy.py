"The study of D:G ratios on the ring: its readings are what they say, at every ratio and rate."
from fractions import Fraction

import pytest
import torch

from dlcv_gan.studies import update_ratio_toy as module
from dlcv_gan.studies.run import PACKAGE
from dlcv_gan.studies.update_ratio_toy import AXES, GAMES, PRICES, THIRDS, look, play_update_ratio_toy, toy_game


@pytest.fixture
def smoke(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


def numbers(found): return {k: float(v) for k, v in found.items()}


def test_a_run_reads_every_axis(smoke):
    for ratio, first in (('1:3', 'd'), ('5:1', 'g')):
        found = play_update_ratio_toy(0, 'wgan_gp', ratio, first, 3e-3, '1')
        assert ({f'{k}_{axis}' for k in ('covered', 'on', 'rank', 'd_loss', 'g_loss') for axis in AXES}
                | {'d_loss_start', 'g_loss_start'} == set(found))
        assert all(0 <= found[f'on_{axis}'] <= 1 and 0 <= found[f'covered_{axis}'] <= 8 for axis in AXES)
    # a run is a function of its settings and seed
    assert numbers(play_update_ratio_toy(0, 'wgan_gp', '5:1', 'g', 3e-3, '1')) == numbers(found)


@pytest.mark.parametrize('objective', GAMES)
@pytest.mark.parametrize('ratio', ['1:1', '1:3', '5:1', '1:5'])
def test_each_axis_is_read_when_its_budget_is_spent(smoke, monkeypatch, objective, ratio):
    seen = []
    def counted(game, log):
        seen.append({p: len(turns) for p, turns in log.items()})
        return look(game, log)
    monkeypatch.setattr(module, 'look', counted)
    play_update_ratio_toy(0, objective, ratio, 'd', 3e-3, '1')
    (d, g), price, budget = map(int, ratio.split(':')), PRICES[objective], 20
    spent = [dict(images=s['discriminator'], steps=s['generator'], seconds=price * s['discriminator'] + s['generator'])
             for s in seen]
    limit, a_round = dict(images=budget, steps=budget,
                          seconds=budget * (1 + price)), dict(images=1, steps=g, seconds=price * d + g)
    assert len(seen) == 3 or ratio == '1:1'
    for axis in AXES: assert any(0 <= s[axis] - limit[axis] < a_round[axis] for s in spent), (axis, spent)
    assert max(s['images'] for s in spent) == (budget * d if d > g else budget)
    assert max(s['steps'] for s in spent) == (budget * g if g > d else budget)


def test_the_generators_rate_is_a_multiple_of_the_others(smoke, monkeypatch):
    rates = []
    def noted(*args, lr, **kwargs):
        rates.append(lr)
        return play_short_run(*args, lr=lr, **kwargs)
    play_short_run = module.play_short_run
    monkeypatch.setattr(module, 'play_short_run', noted)
    found = [numbers(play_update_ratio_toy(0, 'non_saturating', '1:1', 'd', 3e-3, g)) for g in ('1/3', '1', '3')]
    assert [r['generator'] / r['discriminator'] for r in rates] == pytest.approx([1/3, 1, 3])
    assert {r['discriminator'] for r in rates} == {3e-3}
    assert found[0] != found[1] != found[2]


def test_three_small_steps_go_as_far_as_one_big_one():
    "Adam's first steps are as long as its rate, whatever the gradient: the pairs of rates are what they say."
    for one, three in THIRDS.items():
        far = []
        for rate, steps in ((float(Fraction(one)), 1), (float(Fraction(three)), 3)):
            x = torch.zeros(5, requires_grad=True)
            opt = torch.optim.Adam([x], rate, betas=(.5, .9))
            for _ in range(steps):
                x.grad = torch.arange(1., 6)
                opt.step()
            far.append(x.detach())
        torch.testing.assert_close(far[0], far[1])


def test_every_run_decides_something_or_is_the_best_rate_of_a_ratio():
    study = module.update_ratio_toy
    grid, used = study.points(), [p for claim in study.claims for p in study.points(claim.number)]
    assert all(p in used or p['objective'] == 'wgan_gp' or p['ratio'] == '5:1' for p in grid)


def test_a_look_disturbs_nothing():
    game = toy_game('wgan')
    before, state = [p.clone() for p in game.parameters()], torch.get_rng_state()
    turn = dict(adversarial=torch.tensor(1.), rank=torch.tensor(.5))
    found = look(game, dict(discriminator=[turn] * 40, generator=[turn] * 40))
    assert torch.equal(state, torch.get_rng_state()) and all(torch.equal(a, b)
                                                             for a, b in zip(before, game.parameters()))
    assert found['rank'] == .5 and found['g_loss'] == 1


def test_a_look_leaves_all_random_numbers_alone_and_forks_the_games_device_only():
    game = toy_game('non_saturating')
    log = {p: [dict(adversarial=torch.zeros(()), rank=torch.zeros(()))] for p in ('discriminator', 'generator')}
    torch.manual_seed(1); undisturbed = torch.rand(3)
    torch.manual_seed(1); found = look(game, log); assert (torch.rand(3) == undisturbed).all()
    assert numbers(look(game, log)) == numbers(found)
    # `fork_rng` without devices opens a context on every GPU; with none, `manual_seed` changes theirs for good
    for file in (PACKAGE/'studies').glob('*.py'): assert 'fork_rng' not in file.read_text(encoding='utf-8'), file
