"Laws of schedules: who moves, in which order and how often, also across epochs and interruptions."
import pytest
import torch
from duel import Duel, Watch, learner, play
from hypothesis import given, settings, strategies as st

from dlcv_gan.game.schedules import DG, Adaptive, WarmUp


def sequence(schedule, rounds): return [p for i in range(rounds) for p in schedule.moves(i)]

@given(st.integers(0, 6), st.integers(0, 6), st.sampled_from('dg'), st.integers(1, 60))
def test_the_sequence_of_turns_is_the_cycle_repeated(d, g, first, rounds):
    if d + g == 0:
        with pytest.raises(ValueError, match='moves nobody'): DG(d, g, first)
        return
    moves = sequence(DG(d, g, first), rounds)
    cycle = (['discriminator'] * d + ['generator'] * g) if first == 'd' else (['generator'] * g + ['discriminator'] * d)
    assert moves == (cycle * (len(moves) // len(cycle) + 1))[:len(moves)]
    if d: assert moves.count('discriminator') == rounds # each D step costs one real batch, a G step none

@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4), st.integers(0, 3), st.sampled_from('dg'), st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_counts_hold_across_epochs_validation_and_interrupted_fits(d, g, first, fits):
    learn, schedule = learner(s := DG(d, g, first), n=24), s # three rounds an epoch
    for rounds in fits: play(learn, rounds)
    moves = sequence(schedule, sum(fits))
    assert [r['player'] for r in learn.rows] == moves
    assert learn.steps == {p: moves.count(p) for p in ('discriminator', 'generator')}
    assert learn.rounds == sum(fits) and learn.moved == 0
    assert learn.history['images'].iloc[-1] == sum(fits) * 8

def test_warm_up_then():
    s = WarmUp(3, then=DG(2, 1))
    assert sequence(s, 7) == ['discriminator'] * 3 + ['discriminator', 'discriminator', 'generator'] * 2
    assert play(learner(s), 7).steps == {'discriminator': 7, 'generator': 2}

@pytest.mark.parametrize('bad', [dict(d=0, g=0), dict(d=-1), dict(first='x')])
def test_impossible_schedules(bad):
    with pytest.raises(ValueError): DG(**bad)

def test_a_schedule_that_names_a_stranger():
    with pytest.raises(ValueError, match='the players are'): learner(DG(players=('critic', 'generator')))

def test_the_adaptive_gate_is_exact_and_bounded():
    class Certain(Duel):
        def loss(self, player, *batch):
            terms = super().loss(player, *batch)
            self.note(rank=torch.tensor(1.)) # D always wins
            return terms
    watch = Watch()
    learn = play(learner(Adaptive(patience=3), game=Certain()), 40, watch)
    h = learn.history
    moved = {p: (h.player == p).values for p in learn.game.players()}
    d, g = (h[f'{p}.moved'][moved[p]].astype(int).tolist() for p in ('discriminator', 'generator'))
    assert all(g) and sum(d) < 20
    waits = [len(w) for w in ''.join(map(str, d)).split('1')]
    assert max(waits) == 3
    assert learn.steps == {'discriminator': sum(d), 'generator': 40}
    unmoved = [still for mover, other, still in watch.seen if mover == other == 'discriminator']
    # behind a closed gate nothing moved: weights, moments, statistics, spectral vectors
    assert unmoved == [not m for m in d]

def test_a_generator_far_ahead_waits_too():
    state = torch.tensor([.2, 0, 0])
    gate = [int(Adaptive(patience=2).gate('generator', i, state)) for i in range(9)]
    assert gate == [0, 0, 1] * 3
