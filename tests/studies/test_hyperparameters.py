"The study of hyperparameters: each setting changes what it says and nothing else."
import pytest
import torch
from torch import nn

from dlcv_gan.game.base import draw
from dlcv_gan.studies import hyperparameters as module
from dlcv_gan.studies.hyperparameters import (BASE, BATCHES, GRID, LONG, NOISES, RING, STD, faces, hyperparameters,
                                              look, make_game, play_hyperparameters, rounds_of, train)
from dlcv_gan.studies.short_runs import graded, small_world
from dlcv_gan.worlds.points import ring


@pytest.fixture(autouse=True)
def smoke(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


def weights(game): return torch.cat([p.detach().flatten() for p in game.parameters()])


@pytest.mark.parametrize('changes', [RING, {}, LONG])
def test_a_game_is_a_function_of_settings_and_seed_and_looking_does_not_disturb_it(changes):
    looked = []
    first, again = train(0, **changes)[0], train(0, lambda i, game: looked.append(draw(game, 4, seed=i)), **changes)[0]
    assert torch.equal(weights(first), weights(again)) and len(looked) >= 8
    assert not torch.equal(weights(first), weights(train(1, **changes)[0]))


def test_settings_reach_the_run(monkeypatch):
    given = {}
    monkeypatch.setattr(module, 'play_short_run', lambda game, x, **rest: given.update(rest, game=game, n=len(x)))
    train(3, lr=.5, betas='0 0.9', bs=7, length=10., game='ring', noise='0 to 1', width_g=2, width_d=3)
    assert (given['lr'], given['betas'], given['bs'], given['seed'], given['rounds']) == (
        .5, (0., .9), 7, 3, 10 * rounds_of(1.))
    assert next(given['game'].generator.parameters()).shape == (16, 16)
    assert given['game'].discriminator.score.in_features == 24
    assert 0 <= given['game'].latent(1000).min() < .01 and .99 < given['game'].latent(1000).max() <= 1


def test_strange_settings_are_refused():
    with pytest.raises(ValueError, match="no setting is called .'rate'"): train(0, rate=1)
    with pytest.raises(ValueError, match="no game 'r7'"): train(0, game='r7')


def test_widths_are_of_the_net_that_they_name():
    count = lambda net: sum(p.numel() for p in net.parameters())
    for kind in ('mended', 'r0', 'r1', 'ring'):
        small, g, d = (make_game(kind, *widths, 'normal') for widths in ((4, 4), (8, 4), (4, 8)))
        assert count(g.generator) > 1.9 * count(small.generator)
        assert count(g.discriminator) == count(small.discriminator)
        assert count(d.discriminator) > 1.9 * count(small.discriminator)
        assert count(d.generator) == count(small.generator)


def test_norms_are_the_games():
    has = lambda net, kind: any(isinstance(m, kind) for m in net.modules())
    norms = {kind: (has(make_game(kind, 4, 4, 'normal').discriminator, nn.BatchNorm2d),
                    hasattr(make_game(kind, 4, 4, 'normal').discriminator.score, 'parametrizations'))
             for kind in ('mended', 'r0', 'r1', 'ring')}
    assert norms == dict(mended=(False, True), r0=(True, False), r1=(False, False), ring=(False, False))


def test_noises_separate_centre_range_and_shape():
    torch.manual_seed(0)
    z = {k: noise(500, 200) for k, noise in NOISES.items()}
    mean, var = {k: x.mean().item() for k, x in z.items()}, {k: x.var().item() for k, x in z.items()}
    assert mean == pytest.approx({'normal': 0, '0 to 1': .5, '-0.5 to 0.5': 0, '-1 to 1': 0, '-1.732 to 1.732': 0},
                                 abs=.02)
    assert var == pytest.approx({'normal': 1, '0 to 1': 1 / 12, '-0.5 to 0.5': 1 / 12, '-1 to 1': 1 / 3,
                                 '-1.732 to 1.732': 1}, rel=.02)


@pytest.mark.parametrize('scale', ['smoke', 'laptop', 'full'])
def test_equal_images_are_equal(scale, monkeypatch):
    monkeypatch.setenv('DLCV_GAN_SCALE', scale)
    images = [rounds_of(b.get('length', 1.)) * b['bs'] for b in BATCHES if 'length' in b]
    assert images and set(images) == {rounds_of(1.) * BASE['bs']}


def test_a_classifier_that_remembers_measures_alike():
    game = make_game('mended', 4, 4, 'normal')
    plain = graded(game, small_world('faces', 16))
    assert graded(game, faces()) == plain and {k: look(game)[k] for k in plain} == plain
    assert look(game)['broken'] == 1 # an untrained net's pictures are all alike


def test_the_ring_is_read_rightly(monkeypatch):
    game = make_game('ring', 2, 2, 'normal')
    show = lambda points: monkeypatch.setattr(module, 'draw', lambda *a, **k: torch.as_tensor(points).float()) or look(
        game)
    real = show(ring(4000, std=STD, seed=5)[0])
    assert real['covered'] == 8 and real['on'] > .98 and real['spread'] == pytest.approx(.98, abs=.02)
    thin, one, none = show(ring(4000, std=STD / 4)[0]), show([[2., 0.]] * 50), show([[0., 0.]] * 50)
    assert thin['covered'] == 8 and thin['spread'] == pytest.approx(.25, abs=.02)
    assert (one['covered'], one['on'], one['spread']) == (1, 1, 0)
    assert (none['covered'], none['on'], none['spread']) == (0, 0, 0)


def test_runs_have_the_metrics_that_are_asked_for():
    asked = {kind: {c.metric for claim in hyperparameters.claims for c in claim.contrasts
                    for where in c.conditions() if ({**where, **c.a}['game'] == 'ring') == (kind == 'ring')}
             for kind in ('ring', 'pictures')}
    assert asked['ring'] <= set(play_hyperparameters(0, **{**BASE, **RING}))
    assert asked['pictures'] <= set(play_hyperparameters(0, **BASE))
    assert {'covered_1', 'covered_10', 'spread_10'} <= set(play_hyperparameters(0, **{**BASE, **RING, 'length': 10.}))


def test_contrasts_turn_what_they_say_and_are_in_the_grid():
    for claim in hyperparameters.claims:
        for c in claim.contrasts:
            assert set(c.a) == set(c.b) and c.a != c.b and set(c.a) | set(c.within) == set(BASE)
        hyperparameters.points(claim.number)
    played = {tuple(p.items()) for claim in hyperparameters.claims for p in hyperparameters.points(claim.number)}
    assert played == {tuple({**BASE, **changes}.items()) for changes in GRID} # nothing is played for nothing
