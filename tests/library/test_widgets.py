"Laws of the panel and the knobs: playing in slices is fitting, a hand moves whom it moves, and what is turned is seen."
import asyncio, io

import numpy as np
import pytest
import torch
from fastai.callback.schedule import ParamScheduler, SchedLin
from fastai.data.core import DataLoaders
from PIL import Image
from torch import nn

from dlcv_gan import training_panel as widgets
from dlcv_gan.models.acgan import build_attribute_gan
from dlcv_gan.models.cyclegan import build_cyclegan
from dlcv_gan.data.loaders import Batches, Unpaired
from dlcv_gan.data.readers import ANIME_TAGS
from dlcv_gan.models.flow import build_cnf
from dlcv_gan.game.base import Game
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import DG, Adaptive, EveryRound
from dlcv_gan.models.gan import GAN
from dlcv_gan.metrics import diversity
from dlcv_gan.nets import DCGANDiscriminator, DCGANGenerator, ToyDiscriminator, ToyGenerator
from dlcv_gan.models.tags import build_t2i
from dlcv_gan.models.vae import build_vae
from dlcv_gan.controls import Knobs, controls, read_picture
from dlcv_gan.training_panel import Hands, Watch, peek, timeline, training_panel


def pictures(n=48, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
def floats(n=6, size=32): return torch.tensor(pictures(n, size)).permute(0, 3, 1, 2) / 127.5 - 1


def ring_learner(n=256, schedule=DG(2, 1), valid=False, **kwargs):
    "A toy game; with `valid`, a VAE whose validation draws random numbers."
    torch.manual_seed(0)
    if valid:
        return GameLearner(DataLoaders(Batches(pictures(n), bs=8), Batches(pictures(8, seed=1), bs=8, shuffle=False),
                                       device='cpu'), build_vae(32, 2, 4), precision='fp32', **kwargs)
    points = torch.randn(n, 2)
    return GameLearner(DataLoaders(Batches(points, bs=16), device='cpu'),
                       GAN(ToyGenerator(4, 16), ToyDiscriminator(16)), schedule, precision='fp32', **kwargs)


def quiet(learn, f, *args):
    with learn.no_bar(), learn.no_logging(): return f(*args)


def everything(learn):
    "All that a learner is, but for the clock."
    rows = [{k: v for k, v in r.items() if k != 'seconds'} for r in learn.rows]
    state = [v for s in learn.opt.opt.state.values() for v in s.values()]
    return rows, [*learn.game.state_dict().values(), *state, learn.state, torch.get_rng_state(),
                  *(learn.ema.game.state_dict().values() if hasattr(learn, 'ema') else ())]


def same(a, b): return a[0] == b[0] and len(a[1]) == len(b[1]) and all(torch.equal(x, y) for x, y in zip(a[1], b[1]))


# ---- slices and hands

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
    while panel.hands.play(rounds=1):
        slices += 1
        panel.watch.look()
    if len(played.dls.train) > 1 or not len(played.dls.valid): assert same(everything(played), whole)
    # where every batch is an epoch, a slice may have to end before a validation
    else: assert everything(played)[0][-1]['round'] == 22
    assert slices > 8 and played.rounds == 23


def test_training_without_buttons_plays_exactly_what_was_asked():
    learn = ring_learner(64)
    panel = training_panel(learn, n=8, pace=5)
    panel.train(8)
    assert learn.rounds == 8 and [l['round'] for l in panel.watch.looks] == [0, 5, 8]
    panel.train(3)
    fitted = ring_learner(64)
    quiet(fitted, fitted.fit_rounds, 8)
    quiet(fitted, fitted.fit_rounds, 3)
    assert everything(learn)[0] == everything(fitted)[0]


def test_a_step_by_hand_moves_one_player_and_is_counted():
    learn = ring_learner()
    hands = Hands(learn)
    quiet(learn, learn.fit_rounds, 2)
    for player, net, other in (('discriminator', 'discriminator', 'generator'),
                               ('generator', 'generator', 'discriminator')):
        before, counts, schedule = {k: v.clone()
                                    for k, v in learn.game.state_dict().items()}, dict(learn.steps), learn.schedule
        hands.step(player)
        moved = {k.split('.')[0] for k, v in learn.game.state_dict().items() if not torch.equal(v, before[k])}
        assert moved == {net} and learn.steps == {**counts, player: counts[player] + 1} and learn.schedule is schedule
        row = learn.rows[-1]
        assert row['player'] == player and row['round'] == learn.rounds - 1 and row['images'] == learn.rounds * 16 and row['round'] in hands.by_hand
    quiet(learn, learn.fit_rounds, 3)
    assert learn.rounds == 7
    with pytest.raises(ValueError, match='critic.*players are discriminator, generator'): hands.step('critic')


def test_a_half_played_round_is_finished_before_a_step():
    learn = ring_learner(schedule=EveryRound(('discriminator', 'generator')))
    learn.moved = 1 # as a run is left that stopped inside a round
    Hands(learn).step('discriminator')
    assert [r['player'] for r in learn.rows] == ['generator', 'discriminator'] and learn.rounds == 2 and not learn.moved


def test_an_adaptive_schedule_hears_what_hands_do():
    learn = ring_learner(schedule=Adaptive())
    before = learn.state.clone()
    Hands(learn).step('discriminator')
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
    with pytest.raises(ValueError, match='above 0'): panel.hands.set_rate('generator', 0)


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
    panel = training_panel(learn, n=8, pace=1)
    playing(panel, lambda: learn.rounds >= 5)
    stopped = learn.rounds
    assert stopped >= 5 and panel.play.description == 'Play' and f'round {stopped:,}' in panel.said.value

    async def wait(): await asyncio.sleep(.3)
    asyncio.run(wait())
    assert learn.rounds == stopped and len(learn.rows) == learn.steps['discriminator'] + learn.steps['generator']
    playing(panel, lambda: learn.rounds >= stopped + 3) # and it goes on
    assert learn.rounds >= stopped + 3


def test_the_panel_stops_at_the_end_of_the_run():
    learn = ring_learner()
    panel = training_panel(learn, n=8, rounds=6, pace=200)
    playing(panel, lambda: not panel.play.value)
    assert learn.rounds == 6 and 'round 6,' in panel.said.value


def test_what_goes_wrong_is_told_in_the_panel():
    learn = ring_learner()
    panel = training_panel(learn, n=8)
    panel.train(2)
    with torch.no_grad(): next(learn.game.generator.parameters()).fill_(float('nan'))
    playing(panel, lambda: not panel.play.value)
    assert 'Stopped' in panel.said.value and 'became nan' in panel.said.value and not panel.play.value


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


@pytest.mark.parametrize('knows, verdict', [([0], 'collapsed'), ([0]*7 + [1], 'collapsed'), (range(8), 'varied'),
                                            (range(48), 'varied')])
def test_the_red_word_falls_on_collapsed_generators_only(knows, verdict):
    learn = GameLearner(DataLoaders(Batches(pictures(), bs=8), device='cpu'), Parrot(knows), precision='fp32')
    panel = training_panel(learn, n=24, patience=3)
    # nobody is blamed before they have moved
    assert panel.watch.verdict == ('young' if verdict == 'collapsed' else verdict)
    panel.train(3)
    assert panel.watch.verdict == verdict and ('collapsed</b>' in panel.said.value) == (verdict == 'collapsed')


def test_who_was_varied_is_never_young_again():
    learn = GameLearner(DataLoaders(Batches(pictures(), bs=8), device='cpu'), Parrot(range(48)), precision='fp32')
    watch = Watch(learn, n=24, patience=10**6)
    watch.look()
    learn.game.bank = learn.game.bank[:1]
    learn.rounds = 1
    watch.look()
    assert watch.verdict == 'collapsed'


def test_the_share_is_that_of_diversity():
    learn = GameLearner(DataLoaders(Batches(pictures(), bs=8), device='cpu'), Parrot(range(7)), precision='fp32')
    watch = Watch(learn, n=20)
    x = watch.look()
    assert watch.looks[-1]['share'] == pytest.approx(diversity(x) / diversity(watch.real))
    for bad, says in ((dict(n=1), 'at least 2'), (dict(least=2.), 'between 0 and 1')):
        with pytest.raises(ValueError, match=says): Watch(learn, **bad)


def test_peeking_leaves_the_loader_where_it_was():
    learn = ring_learner()
    quiet(learn, learn.fit_rounds, 3)
    position, state = learn.dls.train.position, torch.get_rng_state()
    x, = peek(learn, 40)
    assert len(x) == 40 and learn.dls.train.position == position and torch.equal(torch.get_rng_state(), state)


def test_a_translator_is_watched_on_pictures_of_its_first_heap():
    a, b = pictures(6), pictures(6, seed=1)
    torch.manual_seed(0)
    game = build_cyclegan(32, 4, 1, 1)
    loader = Unpaired(Batches(a, bs=2), Batches(b, bs=2, seed=1))
    panel = training_panel(GameLearner(DataLoaders(loader, device='cpu'), game,
                                       DG(players=('discriminators', 'generators')), precision='fp32'), n=4)
    panel.steps['generators'].click()
    assert panel.watch.z.shape == panel.watch.real.shape and panel.hands.learn.steps == dict(discriminators=0, generators=1)


def test_the_timeline_has_a_mark_a_turn():
    rows = [dict(round=i, player=p) for i in range(4) for p in ('d', 'g')[: 1 + i % 2]]
    marks = lambda sheet, row, colour: (np.diff((sheet[row * 22 + 6] == colour).all(-1).astype(int)) == 1).sum()
    sheet, dark = timeline(rows, ['d', 'g'], {3}), timeline([], ['d', 'g'])
    blue, orange, black = (31, 119, 180), (255, 127, 14), (30, 30, 30)
    assert marks(sheet, 0, blue) == 3 and marks(sheet, 1, orange) == 1 and marks(sheet, 0,
                                                                                 black) == marks(sheet, 1, black) == 1
    assert not marks(dark, 0, blue) and len(timeline(rows * 99, ['d', 'g'])) == len(sheet)


# ---- knobs

def conditional(labels=3):
    torch.manual_seed(0)
    return build_attribute_gan(32, 4, 8, labels=labels)


MADE = {'attributes': (lambda: controls(conditional(), ['a', 'b', 'c']), dict(a=True, across=2., up=-2., seed=7)),
        'plain': (lambda: controls(GAN(DCGANGenerator(32, 4, 8), DCGANDiscriminator(32, 4))),
                  dict(across=2., up=-2., seed=7)),
        'tags': (lambda: controls(build_t2i(32, 8, 1, 1, 8), ANIME_TAGS),
                 dict(hair='blue hair', eyes='red eyes', truncation=.3, seed=3)),
        'vae': (lambda: controls(build_vae(32, 4, 8), pictures=floats()), dict(picture=3, across=2., up=-2.)),
        'flow': (lambda: controls(build_cnf(16, 8, 2, levels=2, steps=1), pictures=floats(size=16)),
                 dict(start=2, end=3, along=.9)),
        'translation': (lambda: controls(build_cyclegan(32, 4, 1, 1), pictures=(floats(), floats(4).flip(2))),
                        dict(to='a', picture=1))}


@pytest.mark.parametrize('kind', MADE)
def test_every_knob_changes_the_picture_and_nothing_else(kind):
    torch.manual_seed(1)
    make, turns = MADE[kind]
    box = make()
    assert set(turns) == set(box.knobs) - {'b', 'c', 'own'}
    for name, value in turns.items():
        before, state, old = box.picture.value, torch.get_rng_state(), box.knobs[name].value
        box.knobs[name].value = value
        assert box.picture.value != before and not box.said.value, name
        assert torch.equal(torch.get_rng_state(), state)
        box.knobs[name].value = old
        assert box.picture.value == before # the same knobs, the same picture


def test_turning_knobs_leaves_a_game_in_training_as_it_was():
    game = conditional().train()
    before = {k: v.clone() for k, v in game.state_dict().items()}
    box = controls(game, ['a', 'b', 'c'])
    box.knobs['a'].value = True
    assert all(torch.equal(v, before[k])
               for k, v in game.state_dict().items()) and all(m.training for m in game.modules())


def test_the_ends_of_a_path_are_the_pictures():
    torch.manual_seed(0)
    game, x = build_cnf(16, 8, 2, levels=2, steps=1).eval(), floats(3, 16)
    box = controls(game, pictures=x)
    for along, i in ((0., 0), (1., 1)):
        box.knobs['along'].value = along
        assert abs(box.sheet[:192:12, :192:12].astype(int) - widgets.to_grid(x[i:i + 1], 1, 0)).max() <= 1


def test_a_picture_of_your_own_is_translated_and_a_bad_file_is_told():
    box = MADE['translation'][0]()
    data = io.BytesIO()
    Image.new('RGB', (90, 50), 'red').save(data, 'PNG')
    before = box.picture.value
    upload = lambda content: box.knobs['own'].set_trait('value',
                                                        (dict(name='x.png', type='image/png', size=len(content),
                                                              content=memoryview(content),
                                                              last_modified=__import__('datetime').datetime(2020, 1, 1)),))
    upload(data.getvalue())
    own = box.picture.value
    assert own != before and tuple(box.sheet[50, 50]) == (255, 0, 0)
    upload(b'no picture')
    assert 'no picture that can be read' in box.said.value and box.picture.value == own
    assert read_picture(data.getvalue(), 32).shape == (1, 3, 32, 32)


def test_a_learner_brings_its_own_pictures():
    learn = ring_learner(32, valid=True)
    assert isinstance(controls(learn), Knobs)


def test_a_run_folder_has_knobs(tmp_path):
    from dlcv_gan.cli.command import main
    assert main(['draw', 'faces', str(tmp_path/'data'), '--n', '32', '--test', '8', '--size', '32']) in (0, None)
    run = tmp_path/'run'
    assert main(['train', 'vae', '--data', str(tmp_path/'data'), '--size', '32', '--width', '4', '--nz', '8', '--bs',
                 '8', '--rounds', '2', '--out', str(run)]) in (0, None)
    box = controls(run)
    assert {'picture', 'across', 'up'} == set(box.knobs) and box.knobs['picture'].max == 7


@pytest.mark.parametrize('act, says', [
    (lambda: controls(conditional()), 'names of all its labels'),
    (lambda: controls(conditional(), ['a']), 'names of all its labels'),
    (lambda: controls(build_vae(32, 4, 8)), 'starts from pictures'),
    (lambda: controls(ring_learner().game), 'points, not pictures'),
    (lambda: controls(build_cnf(16, 8, 2, levels=2, steps=1), pictures=floats(1, 16)), 'at least 2'),
    (lambda: controls(7), 'int is no game'),
    (lambda: widgets.tag_controls(conditional(), ['a', 'b', 'c']), '<colour> hair')])
def test_bad_input_is_told_in_words(act, says):
    with pytest.raises(ValueError, match=says): act()


# ---- what is shown where no kernel runs

def test_a_box_is_a_plain_picture_too():
    import base64
    for box in (training_panel(ring_learner(), n=8), MADE['vae'][0]()):
        bundle = box._repr_mimebundle_()
        assert 'application/vnd.jupyter.widget-view+json' in bundle
        still = np.asarray(Image.open(io.BytesIO(base64.b64decode(bundle['image/png']))))
        assert (still == box.still()).all() and still.std() > 5
