"The bench: its contenders play the same game, its numbers hang together, and long runs do not grow."
import json

import pytest
import torch

from dlcv_gan.cli.bench import KINDS, BareLoop, bench, build_nets, contender, in_fresh_process

CPU = torch.device('cpu')


def flat(net): return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize('name', ['R0.DCGAN', 'R1.GAN'])
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


def test_result_is_plain_json(small):
    read = json.loads(json.dumps(small.as_dict(), allow_nan=False))
    assert {'machine', 'speed', 'ratios', 'memory_growth', 'laps'} == set(read) and len(read['speed']) == 4
    assert 'learner' in small.text() and any('bare loop' in s for s in small.verdict())


def test_unknown_contenders_and_nets_are_named():
    with pytest.raises(ValueError, match="no 'R7.X'"): bench(nets=('R7.X',))
    with pytest.raises(ValueError, match="no 'fast'"): bench(kinds=('learner', 'fast'))
    with pytest.raises(ValueError, match='must name'): bench(kinds=('bare',))


def test_memory_is_flat():
    "A hundred and fifty rounds may add their recorded rows and the allocator's crumbs, and no more."
    growth = in_fresh_process('memory_growth', rounds=150, settle=100, device='cpu')
    assert growth['rounds'] == 150 and growth['mb'] < growth['history_mb'] + 8


def test_peak_memory_grows_with_the_batch():
    small, large = (in_fresh_process('peak_memory', kind='bare', name='R1.GAN', bs=bs, width=4, device='cpu')
                    for bs in (4, 64))
    assert 0 < small < large
