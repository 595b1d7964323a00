"The bench: its contenders play the same game, its numbers hang together, and long runs do not grow."
import json

import pytest
import torch

from dlcv_gan.cli.bench import (GOALS, KINDS, NETS, BareLoop, bench, build_nets, contender, in_fresh_process,
                                rounds_of_a_block, warm_up)

CPU = torch.device('cpu')


def flat(net): return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize('name', NETS)
def test_learner_and_bare_loop_play_the_same_rounds(name):
    "Same start, same pictures, same noise: after three rounds both have the same weights, so only their cost differs."
    nets = []
    for kind in ('learner', 'bare'):
        c = contender(kind, name, 4, CPU, 4, 32)
        torch.manual_seed(1)
        c.play(2)
        nets.append((c.learn.game if kind == 'learner' else c))
    start = build_nets(name, 4, 32)
    for k, net in enumerate(('generator', 'discriminator')):
        a, b, before = (flat(n) for n in (getattr(nets[0], net), getattr(nets[1], net), start[k]))
        assert (a - b).abs().max() < 1e-5 < 1e-4 < (a - before).abs().max()


@pytest.mark.parametrize('kind', KINDS)
def test_everybody_plays_the_ring(kind):
    c = contender(kind, 'ring', 4, CPU, 8)
    assert c.play(2) > 0
    x = next(iter(c.batches if kind in ('bare', 'plain') else c.learn.dls.train))
    assert x[0 if kind != 'fastai' else 1].shape == (4, 2)


def test_plain_loop_takes_the_same_steps_as_the_bare_one(monkeypatch):
    "In fp32: where a CPU has bf16 the bare loop uses it, and Adam's first steps go by the sign of a gradient."
    monkeypatch.setattr('dlcv_gan.cli.bench.fast_dtype', lambda device: None)
    loops = [BareLoop('R1.GAN', 4, CPU, 4, plain, 32) for plain in (False, True)]
    before = flat(loops[0].generator)
    for loop in loops:
        torch.manual_seed(1)
        loop.play(1)
    a, b = (flat(loop.generator) for loop in loops)
    assert (a - b).abs().max() < 1e-4 < (a - before).abs().max()


def test_a_round_of_fastai_is_two_of_its_batches():
    "GANLearner moves one net a batch; the stop-watch counts rounds in which both have moved."
    c = contender('fastai', 'R0.DCGAN', 4, CPU, 4, 32)
    assert c.play(3) > 0
    trainer = c.learn.gan_trainer
    assert len(trainer.crit_losses) == len(trainer.gen_losses) == 4 # three rounds and the one that is not timed


@pytest.fixture(scope='module')
def small(): return bench(nets=('R0.DCGAN',), bss=(2,), rounds=1, laps=3, width=4, memory=False, device='cpu')


def test_contenders_take_turns(small):
    orders = [list(laps.contender) for _, laps in small.laps.groupby('lap')]
    assert all(sorted(o) == sorted(KINDS) for o in orders) and len({o[0] for o in orders}) == 3


def test_table_and_ratios_are_views_of_the_laps(small):
    table, ratios, laps = small.table(), small.ratios(), small.laps
    for _, row in table.iterrows():
        mine = laps[laps.contender == row.contender].images_per_second
        assert row.images_per_second == mine.median() and (row.lowest, row.highest) == (mine.min(), mine.max())
    ours = laps[laps.contender == 'learner'].set_index('lap').images_per_second
    for _, row in ratios.iterrows():
        theirs = laps[laps.contender == row.against].set_index('lap').images_per_second
        assert row.ratio == pytest.approx((ours / theirs).median())
    assert sorted(ratios.against) == sorted(set(KINDS) - {'learner'})


def test_a_cost_is_the_ratio_turned_round(small):
    (_, cost), = small.costs().iterrows()
    laps = small.laps.pivot(index='lap', columns='contender', values='images_per_second')
    each = laps.bare / laps.learner
    assert (cost.lowest, cost.cost, cost.highest) == pytest.approx((each.min(), each.median(), each.max()))
    assert cost.goal == 1.05 and GOALS['ring'] == 1.15
    assert f'{cost.cost:.2f} times a round of the bare loop' in small.text() and '1.05 is the goal' in small.text()


def test_a_race_without_the_bare_loop_has_no_cost():
    alone = bench(nets=('ring',), bss=(2,), rounds=1, laps=2, width=4, kinds=('learner', 'plain'), memory=False,
                  device='cpu')
    assert not len(alone.costs()) and alone.verdict() == [] and list(alone.ratios().against) == ['plain']


@pytest.mark.parametrize('device, each, rounds', [('cpu', .1, 3), ('cpu', .01, 30), ('cuda', .01, 200),
                                                  ('cuda', .001, 300)])
def test_a_block_lasts(device, each, rounds):
    "At least 0.3 s for the quickest contender; on a GPU long enough to hold several transfers of the recorder."
    class Steady:
        def __init__(self, each): self.each = each
        def play(self, rounds): return rounds * self.each
    assert rounds_of_a_block([Steady(each), Steady(2 * each)], torch.device(device)) == pytest.approx(rounds, abs=1)


def test_a_gpu_is_warm_when_every_turn_is_a_graph():
    assert warm_up(torch.device('cuda')) >= 12 and warm_up(CPU) == 2


def test_blocks_are_as_long_as_asked_for(small): assert set(small.laps.rounds) == {1}


def test_result_is_plain_json(small):
    read = json.loads(json.dumps(small.as_dict(), allow_nan=False))
    assert {'machine', 'speed', 'ratios', 'costs', 'memory_growth', 'laps'} == set(read) and len(read['speed']) == 4
    assert 'learner' in small.text() and any('bare loop' in s for s in small.verdict())


def test_unknown_contenders_and_nets_are_named():
    with pytest.raises(ValueError, match="no 'R7.X'"): bench(nets=('R7.X',))
    with pytest.raises(ValueError, match="no 'fast'"): bench(kinds=('learner', 'fast'))
    with pytest.raises(ValueError, match='must name'): bench(kinds=('bare',))
    for wrong in (dict(bss=(0,)), dict(rounds=0), dict(laps=0), dict(width=0)):
        with pytest.raises(ValueError, match='1 or more'): bench(**wrong)


def test_memory_is_flat():
    "A hundred and fifty rounds may add their recorded rows and the allocator's crumbs, and no more."
    growth = in_fresh_process('memory_growth', rounds=150, settle=100, device='cpu')
    assert growth['rounds'] == 150 and growth['mb'] < growth['history_mb'] + 8


def test_peak_memory_grows_with_the_batch():
    small, large = (in_fresh_process('peak_memory', kind='bare', name='R1.GAN', bs=bs, width=4, device='cpu')
                    for bs in (4, 64))
    assert 0 < small < large
