"The study of D:G ratios on faces: every run costs the same, and is looked at where another can be compared with it."
from types import SimpleNamespace

import pytest
import torch

from dlcv_gan.models.acgan import ACGAN
from dlcv_gan.studies import update_ratio as module
from dlcv_gan.studies.short_runs import small_world
from dlcv_gan.studies.update_ratio import AXES, GAMES, make_game, measured, play_update_ratio, train_ratio
from dlcv_gan.worlds.anime import HAIR

BUDGET = 8 # rounds of 1:1 at smoke scale


@pytest.fixture(autouse=True)
def smoke(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


def counted(players, world, log): return {p: len(turns) for p, turns in log.items()}


@pytest.mark.parametrize('game', GAMES)
@pytest.mark.parametrize('between', ['1:3', '1:1', '5:1'])
def test_every_run_costs_the_same_and_meets_1_to_1(game, between):
    price, g = GAMES[game][2], int(between.split(':')[1])
    _, looks = train_ratio(0, game, between, '1', counted)
    cost = lambda moved: price * moved['discriminator'] + moved['generator']
    assert 0 <= cost(looks['seconds']) - BUDGET * (price + 1) < price + g
    for axis, player, amount in (('images', 'discriminator', BUDGET), ('half_images', 'discriminator', BUDGET / 2),
                                 ('steps', 'generator', BUDGET), ('quarter_steps', 'generator', BUDGET / 4)):
        if axis in looks: assert 0 <= looks[axis][player] - amount < (1 if player == 'discriminator' else g)
    assert set(looks) >= {'1:3': {'half_images', 'steps',
                                  'seconds'}, '1:1': set(AXES), '5:1': {'images', 'seconds'}}[between]


def test_at_laptop_scale_every_contrast_has_both_sides():
    "Before its seconds are over 1:3 reaches half the images and all steps, 5:1 all images and a quarter of the steps."
    for _, _, price in GAMES.values():
        assert (price + 3) / 2 <= price + 1 and 1 / 3 * price + 1 <= price + 1
        assert price + 1 / 5 <= price + 1 and (5 * price + 1) / 4 <= price + 1


def test_each_step_of_d_has_pictures_of_its_own(monkeypatch):
    seen, turn = [], module.play_short_run.__globals__['one_turn']
    def listened(game, player, batch, opt):
        if player == 'discriminator': seen.append(batch[0].clone())
        return turn(game, player, batch, opt)
    monkeypatch.setitem(module.play_short_run.__globals__, 'one_turn', listened)
    train_ratio(0, 'non_saturating', '5:1', '1', counted)
    assert len(seen) >= 8 and not any(torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


def test_a_run_is_a_function_of_its_settings_and_seed():
    numbers = lambda *settings: {k: float(v) for k, v in play_update_ratio(*settings).items()}
    once = numbers(0, 'tags', '1:3', '1')
    assert numbers(0, 'tags', '1:3', '1') == once
    assert numbers(1, 'tags', '1:3', '1') != once and numbers(0, 'tags', '1:3', '1/3') != once
    wanted = {f'{k}_{axis}' for k in ('far', 'clear', 'bad', 'reached', 'rank', 'named')
              for axis in ('half_images', 'steps', 'seconds')}
    assert wanted <= set(once)


class Drawn(ACGAN):
    "A game of which the samples are known."
    def __init__(self, parts):
        torch.nn.Module.__init__(self)
        self.weight, self.parts = torch.nn.Parameter(torch.zeros(1)), iter(parts)

    def sample(self, n, y=None, z=None): return next(self.parts)


def test_real_pictures_are_clear_and_named():
    world = small_world('anime')
    log = dict(discriminator=[dict(rank=torch.tensor(r)) for r in (0., *[1.] * 30)])
    for shift, right in ((0, 1.), (1, 0.)): # a classifier that knows the hair, and one that is always one colour off
        seen = torch.cat([world.test_y[:, :len(HAIR)].roll(shift, 1), 1 + world.test_y[:, len(HAIR):]], 1)
        classifier = SimpleNamespace(features=world.classifier.features, attribute_probabilities=lambda x: seen)
        found = measured(Drawn(world.test_x.split(64)), world._replace(classifier=classifier), log)
        assert found['named'] == right and found['clear'] == pytest.approx(1) and found['rank'] == 1
        assert found['bad'] <= .1
    noise = measured(Drawn([torch.rand_like(x) * 2 - 1 for x in world.test_x.split(64)]), world, log)
    assert noise['clear'] < .9 and noise['far'] > found['far']


def test_only_the_game_with_tags_is_conditional():
    world, z = small_world('anime'), torch.randn(4, 64)
    for game in GAMES:
        torch.manual_seed(0)
        players = make_game(game, len(world.names)).eval()
        one, other = (players.sample(4, world.y[i:i + 4], z) for i in (0, 4))
        assert torch.equal(one, other) == (game != 'tags')
