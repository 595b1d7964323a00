"The study of conditional GANs: its worlds, its lying labels, its games, and what a run returns."
import pytest
import torch
import torch.nn.functional as F

from dlcv_gan.data.pictures import to_float
from dlcv_gan.studies.conditioning import (CUBES, FAULTS, KIN, LABELS, MALE, REST, WRONG, ambiguous, changes,
                                           conditioning, draw_pairs, hot, lesson, make_game, pair_world,
                                           play_conditioning, train_conditional)
from dlcv_gan.studies.study import points_of
from dlcv_gan.worlds.anime import EYES, HAIR
from dlcv_gan.worlds.faces import ATTRIBUTES, draw_faces
from dlcv_gan.worlds.scenes import OBJECTS, draw_scenes


@pytest.fixture(autouse=True)
def smoke(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


def true_tags(n):
    k = torch.arange(n)
    return torch.cat([F.one_hot(k % len(HAIR), len(HAIR)), F.one_hot(k * 7 % len(EYES), len(EYES))], 1).float()


def test_a_list_of_cubes_is_what_is_drawn():
    x, two = draw_pairs(4, seed=3)
    again, labels = draw_scenes(4, 3, 16, objects=[[CUBES[k] for k in row] for row in two.tolist()])
    assert torch.equal(x, to_float(again)) and torch.equal(hot(two), torch.as_tensor(labels[:, :len(CUBES)]).float())
    assert (two[:, 0] != two[:, 1]).all() and CUBES == [o for o in OBJECTS if o.endswith('cube')]


def test_the_wrong_loader_knows_the_first_object_only():
    world, two = pair_world()
    _, x, right, asked = lesson('pairs', 'all')
    _, also, wrong, exam = lesson('pairs', 'first')
    assert torch.equal(x, also) and torch.equal(asked, exam) # the same pictures, the same exam
    assert (right.sum(1) == 2).all() and (wrong.sum(1) == 1).all() and ((right - wrong) >= 0).all()
    assert torch.equal(wrong.argmax(1), two[:, 0])


def test_ambiguous_rows_are_what_they_say():
    y = true_tags(6000)
    tagged, clear = ambiguous(y, .39, seed=1)
    hair, eyes = tagged[:, :len(HAIR)].sum(1), tagged[:, len(HAIR):].sum(1)
    assert torch.equal(clear, (hair == 1) & (eyes
                                             == 1)) and 1 - clear.float().mean().item() == pytest.approx(.39, abs=.02)
    seen = dict(no_hair=hair == 0, no_eyes=eyes == 0, two_hair=hair == 2, two_eyes=eyes == 2)
    for name, share in FAULTS.items():
        assert seen[name].float().mean().item() == pytest.approx(.39 * share, abs=.02), name
    two = seen['two_hair'] | seen['two_eyes']
    assert ((tagged - y)[two] >= 0).all() # the true colour stays where a second one is named
    lies = (tagged != y).any(1)[clear].float().mean().item()
    assert lies == pytest.approx(WRONG, abs=.01)
    none, every = (ambiguous(y[:50], share)[1].float().mean() for share in (0., 1.))
    assert (none, every) == (1, 0)
    assert torch.equal(tagged, ambiguous(y, .39, seed=1)[0]) and not torch.equal(tagged, ambiguous(y, .39, seed=2)[0])


def test_keeping_keeps_and_dropping_drops():
    world, x, y, asked = lesson('anime', 'all')
    for share in ('some', 'most'):
        (_, kept, named, exam), (_, left, clear, _) = lesson('anime', f'keep {share}',
                                                             5), lesson('anime', f'drop {share}', 5)
        assert torch.equal(kept, x) and torch.equal(exam, world.test_y) and 0 < len(left) < len(x)
        assert (clear[:, :len(HAIR)].sum(1) == 1).all()
        assert (clear[:, len(HAIR):].sum(1) == 1).all()
        assert not torch.equal(named, y)
    with pytest.raises(ValueError, match="no labels 'half': known are all, first"): lesson('pairs', 'half')


def test_a_plain_game_sees_the_condition_and_an_acgan_is_asked():
    torch.manual_seed(0)
    x, y = torch.rand(4, 3, 16, 16) * 2 - 1, torch.eye(8)[:4]
    plain, asked = make_game('plane', 8), make_game('acgan', 8, weight=.5)
    for game in (plain, asked): game.discriminator.eval() # spectral norm's iterations stand still
    assert set(plain.loss('generator', x,
                          y)) == {'adversarial'} and not torch.equal(plain.discriminator(x, y),
                                                                     plain.discriminator(x, y.flip(0)))
    # its first head does not look at the condition
    assert torch.equal(asked.discriminator(x, y), asked.discriminator(x, y.flip(0)))
    assert asked.weight == .5 and asked.attributes(torch.zeros(4, 8),
                                                   y).item() == pytest.approx(.5 * 8 * torch.tensor(2.).log().item())
    shapes = lambda game: [p.shape for p in game.generator.parameters()]
    assert shapes(plain) == shapes(asked) # only the discriminators differ
    assert make_game('r1 gan', 0).sample(2).shape == make_game('r1 acgan', 1).sample(2, torch.ones(2, 1)).shape == (
        2, 3, 16, 16)
    with pytest.raises(ValueError, match="'wgan'"): make_game('wgan', 8)


def test_the_drawn_flip_is_the_same_person():
    assert sorted([MALE, *KIN, *REST]) == list(range(len(ATTRIBUTES)))
    flip, code = (play_conditioning(1, 'faces', 'drawn', 'all', 1., .001, change) for change in ('flip', 'code'))
    assert flip['outside'] < .01 < flip['pixels'] < code['pixels'] and code['outside'] > .1
    x = to_float(draw_faces(32, 0, 16)[0])
    assert all(v == 0 for v in changes(x, x).values())


def test_a_run_returns_what_the_claims_ask_and_depends_on_its_settings():
    wanted = {c.metric for claim in conditioning.claims for c in claim.contrasts}
    seen, found = set(), {}
    for row in (('anime', 'acgan', 'all', 1., .001, 'none'), ('anime', 'acgan', 'all', .04, .001, 'none'),
                ('anime', 'acgan', 'keep some', 1., .001, 'none'),
                ('pairs', 'acgan', 'first', 1., .001, 'none'), ('faces', 'r1 acgan', 'male', 1., .001, 'none'),
                ('faces', 'r1 gan', 'none', 1., .001, 'none'),
                ('faces', 'r1 acgan', 'male', 1., .001, 'flip'), ('faces', 'acgan', 'all', 1., .001, 'flip'),
                ('faces', 'acgan', 'all', 1., .001, 'code')):
        found[row] = {k: float(v) for k, v in play_conditioning(0, *row).items()}
        seen |= set(found[row])
    assert wanted <= seen and len({tuple(v.items()) for v in found.values()}) == len(found)
    row = ('anime', 'acgan', 'all', 1., .001, 'none')
    assert {k: float(v) for k, v in play_conditioning(0, *row).items()} == found[row]


def test_a_run_is_a_function_of_its_seed():
    weights = lambda seed: torch.cat(
        [p.flatten() for p in train_conditional(seed, 'pairs', 'acgan', 'all', 1., .001)[0].generator.parameters()])
    first = weights(0)
    assert not torch.equal(first, weights(1))
    weights(2) # the first is forgotten now
    torch.rand(7)
    assert torch.equal(first, weights(0))


def test_every_row_of_the_grid_can_be_played():
    for point in points_of(conditioning.settings):
        assert point['labels'] in LABELS[point['world']] and (point['change'] == 'none' or point['world'] == 'faces')
    for claim in conditioning.claims: assert conditioning.points(claim.number)
