"Laws of checkpoints: a resumed run is the whole run, and files that cannot be used are named."
import os, subprocess, sys
from pathlib import Path

import pytest
import torch
from duel import Duel, learner, play
from hypothesis import given, strategies as st
from torch import nn

from dlcv_gan.game.checkpoint import PackedRows, pack_rows, read_checkpoint, unpack_rows


half = """
import sys; sys.path.insert(0, {tests!r})
from duel import learner, play
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.schedules import DG
learn = learner(DG(2, 3), cbs=EMA(.9), lr=(1e-2, 5e-3))
if {start!r}: learn.load({start!r})
play(learn, {rounds})
learn.save({end!r})
"""

@pytest.mark.parametrize('n', [4, 7]) # rounds an epoch: 5, so the second half starts in the middle of one
def test_two_halves_in_two_processes_equal_the_whole_bit_for_bit(tmp_path, n):
    def run(start, rounds, end):
        code = half.format(tests=str(Path(__file__).parent), start=start and str(tmp_path/start), rounds=rounds,
                           end=str(tmp_path/end))
        subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, cwd=tmp_path)
        return torch.load(tmp_path/end, weights_only=True)
    run(None, n, 'half.pth')
    resumed, whole = run('half.pth', n, 'resumed.pth'), run(None, 2 * n, 'whole.pth')
    for s in (resumed, whole):
        s.pop('seconds')
        rows = [row for part in s['rows'] for row in unpack_rows(part)]
        s['rows'] = [{k: v for k, v in row.items() if k != 'seconds'} for row in rows]
    def compare(a, b, at):
        assert type(a) is type(b), at
        if isinstance(a, dict): assert list(a) == list(b), at; [compare(a[k], b[k], f'{at}.{k}') for k in a]
        elif isinstance(a, (list, tuple)):
            assert len(a) == len(b), at; [compare(x, y, f'{at}[{i}]') for i, (x, y) in enumerate(zip(a, b))]
        elif isinstance(a, torch.Tensor):
            assert torch.equal(a.nan_to_num(-1) if a.is_floating_point() else a,
                               b.nan_to_num(-1) if b.is_floating_point() else b), at
        else: assert a == b, at
    compare(resumed, whole, 'state')
    assert whole['rounds'] == 2 * n

def test_checkpoints_that_cannot_be_used_say_why(tmp_path):
    learn = play(learner(), 2)
    file = learn.save(tmp_path/'run.pth')
    assert list(tmp_path.iterdir()) == [file]
    class Other(Duel): pass
    with pytest.raises(ValueError, match='holds a Duel, not a Other'): learner(game=Other()).load(file)
    wide = Duel(); wide.generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match='another shape'): learner(game=wide).load(file)
    with pytest.raises(FileNotFoundError, match='no checkpoint'): learner().load(tmp_path/'none.pth')
    for damage in (b'', file.read_bytes()[:1000], b'junk' * 99):
        (tmp_path/'bad.pth').write_bytes(damage)
        with pytest.raises(ValueError, match='bad.pth is damaged'): learner().load(tmp_path/'bad.pth')
    torch.save({'model': {}}, tmp_path/'foreign.pth')
    with pytest.raises(ValueError, match='not a dlcv_gan checkpoint'): read_checkpoint(tmp_path/'foreign.pth')
    class Evil:
        def __reduce__(self): return (os.system, ('touch ' + str(tmp_path/'pwned'),))
    torch.save(dict(format='dlcv_gan 1', game=Evil()), tmp_path/'evil.pth')
    with pytest.raises(ValueError): read_checkpoint(tmp_path/'evil.pth')
    assert not (tmp_path/'pwned').exists()

def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    learn = play(learner(), 2)
    file = learn.save(tmp_path/'run.pth'); old = file.read_bytes()
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal; handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard)) # the disk is full after 2,000 bytes
        with pytest.raises((OSError, RuntimeError)): learn.save(file)
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)); signal.signal(signal.SIGXFSZ, handler)
    assert file.read_bytes() == old and list(tmp_path.iterdir()) == [file]

@given(st.lists(st.tuples(st.sampled_from(['a', 'b']), st.floats(-1e6, 1e6)), max_size=6))
def test_history_rows_survive_packing(rows):
    rows = [dict(round=i, player=p, images=i * 8, seconds=.5, **{f'steps_{p}': i, f'{p}.loss': v})
            for i, (p, v) in enumerate(rows)]
    for r in rows: r.setdefault('steps_a', 0); r.setdefault('steps_b', 0)
    assert unpack_rows(pack_rows(rows)) == rows


def test_a_save_packs_only_what_is_new():
    rows = [dict(round=i, player='a', images=8 * i, seconds=.5, steps_a=i, **{'a.loss': 1.}) for i in range(6)]
    packed = PackedRows()
    packed.add(rows[:2]); packed.add(rows[:2]); parts = packed.add(rows)
    assert [len(p['player']) for p in parts] == [2, 4] and PackedRows().restore(parts) == rows
    shorter = packed.add(rows[:3]) # somebody has cut the history: it is packed anew, not mixed up
    assert PackedRows().restore(shorter) == rows[:3]

def test_a_checkpoint_of_the_first_format_is_read(tmp_path):
    learn = play(learner(), 3)
    state = torch.load(learn.save(tmp_path/'run.pth'), weights_only=True)
    old = {k: v for k, v in state.items() if k not in ('ranks', 'others', 'scales', 'looks')}
    torch.save({**old, 'format': 'dlcv_gan 1', 'rows': pack_rows(learn.rows)}, tmp_path/'old.pth')
    again = learner().load(tmp_path/'old.pth')
    assert again.rows == learn.rows and again.rounds == 3
