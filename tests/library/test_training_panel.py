"Laws of the panel: playing in slices is fitting, a step by hand moves one player, and the watch is fair."
import asyncio

import numpy as np
import pytest
import torch
from fastai.callback.schedule import ParamScheduler, SchedLin
from fastai.data.core import DataLoaders
from torch import nn
from toys import floats, pictures, quiet, ring_learner

from dlcv_gan.data.loaders import Batches, Unpaired
from dlcv_gan.game.base import Game
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import DG, Adaptive, EveryRound
from dlcv_gan.metrics import diversity
from dlcv_gan.models.cyclegan import build_cyclegan
from dlcv_gan.training_panel import ManualTraining, VarietyWatch, timeline, training_panel


def everything(learn):
    "All that a learner is, but for the clock."
    rows = [{k: v for k, v in r.items() if k != 'seconds'} for r in learn.rows]
    state = [v for s in learn.opt.opt.state.values() for v in s.values()]
    return rows, [*learn.game.state_dict().values(), *state, learn.state, torch.get_rng_state(),
                  *(learn.ema.game.state_dict().values() if hasattr(learn, 'ema') else ())]


def same(a, b): return a[0] == b[0] and len(a[1]) == len(b[1]) and all(torch.equal(x, y) for x, y in zip(a[1], b[1]))


# ---- slices and steps by hand

@pytest.mark.parametrize('make', [lambda: ring_learner(), lambda: ring_learner(schedule=Adaptive(patience=1)),
                                  lambda: ring_learner(cbs=EMA(.9)),
                                  lambda: ring_learner(cbs=ParamScheduler({'lr': SchedLin(1e-2, 1e-4)})),
                                  lambda: ring_learner(32, valid=True), lambda: ring_learner(8, valid=True)],
                         ids=['DG', 'adaptive', 'ema', 'scheduled', 'validation', 'one batch an epoch'])
def test_slices_are_a_fit_bit_for_bit(make):
    fitted = make()
    quiet(fitted, fitted.fit_rounds, 23)
    whole = everything(fitted)
    played = make()
    panel = training_panel(played, rounds=23, n=8) # looking disturbs nothing
    slices = 1
    while panel.manual.play(rounds=1):
        slices += 1
        panel.watch.look()
    if len(played.dls.train) > 1 or not len(played.dls.valid): assert same(everything(played), whole)
    # where every batch is an epoch, a slice may have to end before a validation
    else: assert everything(played)[0][-1]['round'] == 22
    assert slices > 8 and played.rounds == 23


def test_training_without_buttons_plays_exactly_what_was_asked():
    learn = ring_learner(64)
    panel = training_panel(learn, n=8, every=5)
    panel.train(8)
    assert learn.rounds == 8 and [l['round'] for l in panel.watch.looks] == [0, 5, 8]
    panel.train(3)
    fitted = ring_learner(64)
    quiet(fitted, fitted.fit_rounds, 8)
    quiet(fitted, fitted.fit_rounds, 3)
    assert everything(learn)[0] == everything(fitted)[0]


def test_a_step_by_hand_moves_one_player_and_is_counted():
    learn = ring_learner()
    manual = ManualTraining(learn)
    quiet(learn, learn.fit_rounds, 2)
    for player in ('discriminator', 'generator'):
        before = {k: v.clone() for k, v in learn.game.state_dict().items()}
        counts, schedule = dict(learn.steps), learn.schedule
        manual.step(player)
        moved = {k.split('.')[0] for k, v in learn.game.state_dict().items() if not torch.equal(v, before[k])}
        assert moved == {player} and learn.steps == {**counts, player: counts[player] + 1}
        assert learn.schedule is schedule
        row = learn.rows[-1]
        assert row['player'] == player and row['images'] == learn.rounds * 16
        assert row['round'] == learn.rounds - 1 and row['round'] in manual.by_hand
    quiet(learn, learn.fit_rounds, 3)
    assert learn.rounds == 7
    with pytest.raises(ValueError, match='critic.*players are discriminator, generator'): manual.step('critic')


def test_a_half_played_round_is_finished_before_a_step():
    learn = ring_learner(schedule=EveryRound(('discriminator', 'generator')))
    learn.moved = 1 # as a run is left that stopped inside a round
    ManualTraining(learn).step('discriminator')
    assert [r['player'] for r in learn.rows] == ['generator', 'discriminator'] and learn.rounds == 2 and not learn.moved


def test_an_adaptive_schedule_hears_what_is_done_by_hand():
    learn = ring_learner(schedule=Adaptive())
    before = learn.state.clone()
    ManualTraining(learn).step('discriminator')
    assert learn.state[0] != before[0]


def test_a_rate_reaches_the_optimizer_and_the_next_fit():
    learn = ring_learner(lr=1e-3)
    panel = training_panel(learn, n=8)
    panel.rates['generator'].value = 1e-5
    assert [h['lr'] for h in learn.opt.hypers] == [1e-3, 1e-5] == list(learn.lr)
    panel.train(2)
    assert [h['lr'] for h in learn.opt.hypers] == [1e-3, 1e-5]
    frozen = [p.clone() for p in learn.game.discriminator.parameters()]
    panel.rates['discriminator'].value = panel.rates['discriminator'].min
    panel.steps['discriminator'].click()
    assert max((a - b).abs().max() for a, b in zip(frozen, learn.game.discriminator.parameters())) < 1e-4
    with pytest.raises(ValueError, match='above 0'): panel.manual.set_rate('generator', 0)


def test_scheduled_rates_are_not_offered():
    panel = training_panel(ring_learner(cbs=ParamScheduler({'lr': SchedLin(1e-2, 1e-4)})), n=8)
    assert all(s.disabled and 'scheduled' in s.description for s in panel.rates.values())


# ---- playing

def playing(panel, until, seconds=20):
    "Press Play in an event loop, wait, and press Pause."
    async def act():
        panel.play.value = True
        for _ in range(seconds * 50):
            await asyncio.sleep(.02)
            if until(): break
        panel.play.value = False
        await panel.task
    asyncio.run(act())


def test_play_plays_and_pause_stops():
    learn = ring_learner()
    panel = training_panel(learn, n=8, every=1)
    playing(panel, lambda: learn.rounds >= 5)
    stopped = learn.rounds
    assert stopped >= 5 and panel.play.description == 'Play' and f'round {stopped:,}' in panel.message.value

    async def wait(): await asyncio.sleep(.3)
    asyncio.run(wait())
    assert learn.rounds == stopped and len(learn.rows) == learn.steps['discriminator'] + learn.steps['generator']
    playing(panel, lambda: learn.rounds >= stopped + 3) # and it goes on
    assert learn.rounds >= stopped + 3


def test_the_panel_stops_at_the_end_of_the_run():
    learn = ring_learner()
    panel = training_panel(learn, n=8, rounds=6, every=200)
    playing(panel, lambda: not panel.play.value)
    assert learn.rounds == 6 and 'round 6,' in panel.message.value


def test_what_goes_wrong_is_shown_in_the_panel():
    learn = ring_learner()
    panel = training_panel(learn, n=8)
    panel.train(2)
    with torch.no_grad(): next(learn.game.generator.parameters()).fill_(float('nan'))
    playing(panel, lambda: not panel.play.value)
    assert 'Stopped' in panel.message.value and 'became nan' in panel.message.value and not panel.play.value


# ---- the watch

class Parrot(Game):
    "Draws the same few pictures in turn, whatever it is asked."
    nz = 2
    def __init__(self, knows):
        super().__init__()
        self.bank, self.w = floats(48)[list(knows)], nn.Parameter(torch.zeros(1))
    def players(self): return {'parrot': [self]}
    def loss(self, player, x, y=None): return {'l': self.w.square().sum()}
    def sample(self, n, y=None, z=None): return self.bank[torch.arange(n) % len(self.bank)] + 0*self.w


@pytest.mark.parametrize('knows, verdict', [([0], 'collapsed'), ([0]*7 + [1], 'collapsed'),
                                            (range(8), 'varied'), (range(48), 'varied')])
def test_the_red_word_falls_on_collapsed_generators_only(knows, verdict):
    learn = GameLearner(DataLoaders(Batches(pictures(), bs=8), device='cpu'), Parrot(knows), precision='fp32')
    panel = training_panel(learn, n=24, patience=3)
    # nobody is blamed before they have moved
    assert panel.watch.verdict == ('young' if verdict == 'collapsed' else verdict)
    panel.train(3)
    assert panel.watch.verdict == verdict and ('collapsed</b>' in panel.message.value) == (verdict == 'collapsed')


def test_who_was_varied_is_never_young_again():
    learn = GameLearner(DataLoaders(Batches(pictures(), bs=8), device='cpu'), Parrot(range(48)), precision='fp32')
    watch = VarietyWatch(learn, n=24, patience=10**6)
    watch.look()
    learn.game.bank = learn.game.bank[:1]
    learn.rounds = 1
    watch.look()
    assert watch.verdict == 'collapsed'


def test_the_share_is_that_of_diversity():
    learn = GameLearner(DataLoaders(Batches(pictures(), bs=8), device='cpu'), Parrot(range(7)), precision='fp32')
    watch = VarietyWatch(learn, n=20)
    x = watch.look()
    assert watch.looks[-1]['share'] == pytest.approx(diversity(x) / diversity(watch.real))
    for bad, says in ((dict(n=1), 'at least 2'), (dict(least=2.), 'between 0 and 1')):
        with pytest.raises(ValueError, match=says): VarietyWatch(learn, **bad)


def test_a_translator_is_watched_on_pictures_of_its_first_domain():
    a, b = pictures(6), pictures(6, seed=1)
    torch.manual_seed(0)
    game = build_cyclegan(32, 4, 1, 1)
    loader = Unpaired(Batches(a, bs=2), Batches(b, bs=2, seed=1))
    panel = training_panel(GameLearner(DataLoaders(loader, device='cpu'), game,
                                       DG(players=('discriminators', 'generators')), precision='fp32'), n=4)
    panel.steps['generators'].click()
    assert panel.watch.z.shape == panel.watch.real.shape
    assert panel.manual.learn.steps == dict(discriminators=0, generators=1)


def test_the_timeline_has_a_mark_a_turn():
    rows = [dict(round=i, player=p) for i in range(4) for p in ('d', 'g')[: 1 + i % 2]]
    def marks(sheet, row, colour): return (np.diff((sheet[row * 22 + 6] == colour).all(-1).astype(int)) == 1).sum()
    sheet, dark = timeline(rows, ['d', 'g'], {3}), timeline([], ['d', 'g'])
    blue, orange, black = (31, 119, 180), (255, 127, 14), (30, 30, 30)
    assert marks(sheet, 0, blue) == 3 and marks(sheet, 1, orange) == 1
    assert marks(sheet, 0, black) == marks(sheet, 1, black) == 1
    assert not marks(dark, 0, blue) and len(timeline(rows * 99, ['d', 'g'])) == len(sheet)
