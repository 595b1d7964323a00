"Studies: a run is played once, failures are rows, tables are read strictly, and a verdict says what its interval says."
import importlib.util, math, os, shutil, signal, subprocess, sys, textwrap, time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, strategies as st

from dlcv_gan.studies import run
from dlcv_gan.studies.run import PACKAGE, bare_code, code_version, modules_of, play
from dlcv_gan.studies.study import Study, read_table
from dlcv_gan.studies.verdicts import LEAST_SEEDS, Claim, Contrast, effect, points_of, verdict, verdict_on

PLAYED = []


def measure(seed, side, size=1):
    PLAYED.append((side, size, seed))
    if side == 'nan': return dict(score=float('nan'), other=1.)
    if side == 'overflow': raise OverflowError('too big')
    if side == 'dies': raise RuntimeError('no memory')
    if side == 'stop': raise KeyboardInterrupt
    return dict(score=torch.randn(3).mean() + {'a': 2, 'b': 0}[side] * size, other=seed)


def study(settings=None, **more):
    return Study('toy', 'a toy', measure, settings or dict(side=['a', 'b'], size=[1, 2]), **more)


@pytest.fixture(autouse=True)
def nothing_played(): PLAYED.clear()


# ---- a run is played once, and depends on nothing but its settings and seed

def test_resume_plays_only_what_is_missing(tmp_path):
    s = study()
    assert s.run(seeds=2, out=tmp_path, workers=1) == 8 == len(PLAYED)
    assert s.run(seeds=3, out=tmp_path, workers=1) == 4 and {x[2] for x in PLAYED[8:]} == {2}
    assert s.run(seeds=3, out=tmp_path, workers=1) == 0
    assert s.run(seeds=3, out=tmp_path, workers=1, again=True) == 12
    assert s.run(seeds=3, out=tmp_path, workers=1, scale='smoke') == 12 # another scale is another run
    assert len(s.results('laptop', out=tmp_path)) == len(s.results('smoke', out=tmp_path)) == 12


def test_order_of_settings_and_of_runs_does_not_matter(tmp_path):
    forward, backward = study(), study(dict(size=[2, 1], side=['b', 'a']))
    forward.run(seeds=2, out=tmp_path/'f', workers=1)
    backward.run(seeds=2, out=tmp_path/'b', workers=1)
    one, two = (s.results('laptop', out=tmp_path/d).set_index(['side', 'size', 'seed']).sort_index().score
                for s, d in ((forward, 'f'), (backward, 'b')))
    pd.testing.assert_series_equal(one, two)
    assert forward.version == backward.version


def test_a_run_leaves_the_process_alone_and_does_not_see_it():
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first = play(measure, dict(side='a'), 3, 'smoke', 'cpu')
    assert torch.equal(state, torch.get_rng_state())
    assert threads == torch.get_num_threads() and os.environ.get('DLCV_GAN_SCALE') is None
    torch.manual_seed(6)
    again, other = (play(measure, dict(side='a'), seed, 'smoke', 'cpu') for seed in (3, 4))
    assert again['metrics'] == first['metrics'] != other['metrics']


@pytest.mark.skipif(importlib.util.find_spec('ray') is None, reason='Ray is an extra')
@pytest.mark.timeout(300)
def test_ray_gives_the_same_numbers_and_survives_a_killed_worker(tmp_path):
    def work(seed, side): # travels by value
        import os, signal, torch
        if side == 'killed': os.kill(os.getpid(), signal.SIGKILL)
        if side == 'nan': return dict(score=float('nan'))
        return dict(score=(torch.randn(50, 50) @ torch.randn(50, 50)).std() + (side == 'a'))
    s = Study('spread', 'spread', work, dict(side=['a', 'b', 'nan']))
    killed = Study('spread', 'spread', work, dict(side=['a', 'b', 'nan', 'killed']))
    s.run(seeds=2, out=tmp_path/'one', workers=1)
    handler = signal.getsignal(signal.SIGTERM)
    try: assert killed.run(seeds=2, out=tmp_path/'many', workers=2) == 8
    except ConnectionError as e: pytest.skip(str(e)) # starved of time, Ray gives up
    finally: assert signal.getsignal(signal.SIGTERM) == handler
    one, many = ({(r['side'], r['seed']): (r['status'], r['score']) for r in read_table(x.file(tmp_path/d), ['side'])}
                 for x, d in ((s, 'one'), (killed, 'many')))
    assert {k: v for k, v in many.items() if k[0] != 'killed'} == one and one['a', '0'][0] == 'done'
    assert {many['killed', k] for k in '01'} == {('died', '')}
    assert not __import__('ray').is_initialized()


def test_without_ray_one_process_and_a_clear_word(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *a: None if name == 'ray' else find(name, *a))
    assert study().run(seeds=1, out=tmp_path) == 4 == len(PLAYED)
    for asked in (dict(workers=2), dict(address='auto')):
        with pytest.raises(ValueError, match=r"pip install 'dlcv_gan\[ray\]'"):
            study().run(seeds=2, out=tmp_path, **asked)


# ---- failures are results

def test_failures_are_rows(tmp_path):
    s = study(dict(side=['a', 'nan', 'overflow', 'dies'], size=1), worst=dict(score=-9.))
    assert s.run(seeds=2, out=tmp_path, workers=1) == 8
    f = s.results('laptop', out=tmp_path).set_index(['side', 'seed'])
    assert f.status.unstack()[0].to_dict() == dict(a='done', nan='diverged', overflow='diverged', dies='died')
    assert f.loc[('nan', 0), 'reason'] == 'score is nan' and f.loc[('dies', 1), 'reason'] == 'RuntimeError: no memory'
    assert f.loc[('nan', 0), 'other'] == 1 and f.loc[('nan', 0), 'score'] == f.loc[('dies', 0), 'score'] == -9
    assert f.failed.groupby('side').mean().to_dict() == dict(a=0., nan=1., overflow=1., dies=1.)
    assert s.run(seeds=2, out=tmp_path, workers=1) == 0 # a failure is not tried again unasked


@pytest.mark.parametrize('wrong, said', [(dict(seed=1), 'name of another column'), (dict(score='high'), 'no number'),
                                         ([1], 'a dict of numbers')])
def test_what_is_no_metric_is_told(wrong, said):
    def work(seed, **settings): return wrong
    assert said in play(work, {}, 0, 'smoke', 'cpu')['reason']


def test_interrupt_keeps_what_is_done(tmp_path):
    s = study(dict(side=['a', 'b', 'stop'], size=1))
    with pytest.raises(KeyboardInterrupt): s.run(seeds=2, out=tmp_path, workers=1)
    assert len(read_table(s.file(tmp_path), s.names)) == 2
    assert study(dict(side=['a', 'b'], size=1)).run(seeds=1, out=tmp_path, workers=1) == 0


SLOW = textwrap.dedent('''
    import sys, time
    from dlcv_gan.studies.study import Study
    def work(seed, i):
        time.sleep(.2 if i < 3 else 600)
        return dict(x=i)
    study = Study('slow', 'slow', work, dict(i=list(range(6))))
    if __name__ == '__main__': study.run(seeds=1, out=sys.argv[1], workers=1, say=lambda line: print(line, flush=True))
''')


def wait_for(what, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what(): return
        time.sleep(.1)
    raise AssertionError('it did not happen')


@pytest.mark.timeout(300)
def test_a_killed_process_loses_the_run_it_was_in_and_a_second_one_is_refused(tmp_path):
    (tmp_path/'slow.py').write_text(SLOW)
    file = tmp_path/'slow.csv'
    rows = lambda: len(read_table(file, ['i']))
    process = subprocess.Popen([sys.executable, 'slow.py', '.'], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: rows() == 3)
        same = Study('slow', 'slow', measure, dict(i=[0])) # another process, this one, while that one is at work
        with pytest.raises(BlockingIOError, match='another process is at work on .*slow.csv'):
            same.run(seeds=1, out=tmp_path, workers=1)
        assert rows() == 3
    finally: process.send_signal(signal.SIGKILL); process.wait()
    assert rows() == 3 and not PLAYED
    (tmp_path/'slow.py').write_text(SLOW.replace('600', '.2'))
    # the lock died with its owner
    subprocess.run([sys.executable, 'slow.py', '.'], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert rows() == 6


# ---- the table

def test_damage_is_named_by_line(tmp_path):
    s = study(dict(side=['a', 'b'], size=1))
    s.run(seeds=2, out=tmp_path, workers=1)
    file, good = s.file(tmp_path), s.file(tmp_path).read_text()
    lines = good.splitlines()
    for bad, said in [('\n'.join([*lines[:3], lines[3][:20]]), 'line 4: .* columns instead of'),
                      (good.replace('done', 'doen', 1), "line 2: status is 'doen'"),
                      ('\n'.join([*lines, lines[2]]), 'line 6: the same run as in line 3'),
                      ('', 'line 1: there is no header'),
                      (good.replace('side,', 'sides,', 1), 'line 1: the columns are'),
                      ('\n'.join([lines[0], lines[1].rsplit(',', 1)[0] + ',high']), "line 2: other is 'high'")]:
        file.write_text(bad)
        with pytest.raises(ValueError, match=said) as e: s.results('laptop', out=tmp_path)
        assert 'Restore the file' in str(e.value) and str(file) in str(e.value)
        with pytest.raises(ValueError): s.run(seeds=3, out=tmp_path, workers=1)
        assert file.read_text() == bad # nothing is written over what cannot be read


def test_the_table_is_in_the_order_of_the_grid(tmp_path):
    contrast = Contrast('score', dict(side='b'), dict(side='a'), 1., within=dict(size=2))
    s = study(claims=(Claim(7, 'R', 'b', (contrast,)),))
    assert s.run(seeds=1, only=7, out=tmp_path, workers=1) == 2 and set(PLAYED) == {('a', 2, 0), ('b', 2, 0)}
    assert s.run(seeds=1, out=tmp_path, workers=1) == 2
    rows = [(r['side'], r['size']) for r in read_table(s.file(tmp_path), s.names)]
    assert rows == [('a', '1'), ('a', '2'), ('b', '1'), ('b', '2')]
    with pytest.raises(ValueError, match='no claim or metric 8: there are 7, score'): s.points(8)


# ---- versions

def test_versions_are_told_and_never_mixed(tmp_path):
    s = study(dict(side=['a', 'b'], size=1))
    s.run(seeds=2, out=tmp_path, workers=1)
    file = s.file(tmp_path)
    old = file.read_text().replace(s.version, '0' * 10)
    file.write_text(old)
    f = s.results('laptop', out=tmp_path)
    assert set(f.version) == {'0' * 10}
    assert f.attrs['note'] == f'made by version 0000000000; the code is {s.version} now'
    said = []
    assert s.run(seeds=1, out=tmp_path, workers=1, say=said.append) == 2
    assert '2 of them because the code has changed' in said[0]
    f = s.results('laptop', out=tmp_path)
    assert set(f.version) == {s.version} and len(f) == 2 and f.attrs['note'] == '2 rows of other versions left out'


def test_the_version_is_of_the_code_and_not_of_its_prose_or_layout():
    code = ('import x\nS = Study("s",\n          claims=())\ndef f(a): # a comment\n    "Says ä."\n'
            '    return a + 1 # ä\n')
    plain = bare_code('import x\ndef f(a):\n    return a + 1')
    assert bare_code(code) == plain
    assert plain == bare_code('"Module."\nimport x\n\ndef f(a):\n    """Says\n    more."""\n    # and '
                              'more\n    return a + 1\nS = Study("t", claims=(1, 2))\n__all__ = ["f"]\n')
    assert plain == bare_code('import x\ndef f(a): return (a\n                      + 1)')
    assert plain != bare_code(code.replace('a + 1', 'a + 2')) and plain != bare_code(code.replace('(a)', '(a=0)'))
    assert bare_code('x = "# no comment"') == bare_code("x = ('# no '\n     'comment')") != bare_code('x = "# no"')
    assert bare_code('def f():\n    "Only words."') == bare_code('def f():\n    "Others."') # nothing is left of it


def test_where_our_code_lives_is_no_part_of_the_version():
    here, there = 'from dlcv_gan.losses import kl\nx = kl', 'from ..room.losses import kl\nx = kl'
    assert bare_code(here) == bare_code(there) == bare_code('x = kl') == bare_code('import dlcv_gan.losses\nx = kl')
    assert bare_code('def f():\n    from dlcv_gan import losses\n    return 1') == bare_code('def f(): return 1')
    assert bare_code('from torch import kl\nx = kl') != bare_code('x = kl') # of others only the name is known
    renamed = [bare_code(f'from dlcv_gan.losses import {a} as loss\nx = loss') for a in ('hinge', 'minimax')]
    assert renamed[0] != renamed[1]


def test_the_version_follows_imports():
    from dlcv_gan.models.gan import build_gan
    found = set(modules_of(['models.gan']))
    assert {'models.gan', 'losses', 'nets', 'game.base'} <= found
    assert not {'cli.command', 'view', 'worlds.faces'} & found
    assert len(code_version(build_gan)) == 10 and code_version(build_gan) != code_version(measure)


def test_every_style_of_import_is_followed(tmp_path):
    files = {'studies/mine': 'from dlcv_gan import a\nfrom . import b\nfrom ..game import c\nimport dlcv_gan.d\n'
             'import torch, dlcv_gan.game.e as e\nfrom dlcv_gan.f import thing\n'
             'def late():\n    from .g import thing\n    import dlcv_gan.missing', 'a': 'from .game.chain import x',
             'game/chain': 'from . import last', 'game/last': '', 'studies/b': '', 'game/c': '', 'd': '', 'game/e': '',
             'f': '', 'studies/g': 'from dlcv_gan.studies import run', 'studies/run': 'from dlcv_gan import unseen',
             'unseen': '', 'game/__init__': 'from dlcv_gan import package', 'package': '', 'studies/unused': ''}
    for name, code in files.items():
        file = tmp_path/'dlcv_gan'/f'{name}.py'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'{code}\nx = 1\n')
    found = modules_of(['studies.mine'], tmp_path/'dlcv_gan')
    assert set(found) == {'studies.mine', 'a', 'game.chain', 'game.last', 'studies.b', 'game.c', 'd', 'game.e', 'f',
                          'studies.g', 'game', 'package'}


def test_only_what_a_study_imports_changes_its_version(tmp_path, monkeypatch):
    from dlcv_gan.studies.wgan_gp import play_penalty
    copy = tmp_path/PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns('__pycache__'))
    usual = code_version(play_penalty)
    monkeypatch.setattr(run, 'PACKAGE', copy)
    assert code_version(play_penalty) == usual # of the code, wherever it is
    def changed_by(file, more='\nchanged = 1\n'):
        text = (copy/file).read_text()
        (copy/file).write_text(text + more)
        found = code_version(play_penalty)
        (copy/file).write_text(text)
        return found != usual
    # its own module, one that it imports, and one that this imports
    assert changed_by('studies/wgan_gp.py') and changed_by('losses.py') and changed_by('game/learner.py')
    assert not any(changed_by(f'{name}.py') for name in ('cli/command', 'courses/hw4', 'studies/study',
                                                         'studies/verdicts', 'studies/run', 'studies/translation'))
    assert not changed_by('losses.py', '\n# a comment\n') and code_version(play_penalty) == usual
    monkeypatch.setattr(run, 'play', lambda: None)
    assert code_version(play_penalty) != usual # of the engine only `play` counts


# ---- grids

def test_grids_are_written_out_once():
    assert points_of(dict(a=[1, 2], b='x')) == [dict(a=1, b='x'), dict(a=2, b='x')]
    assert points_of([dict(a=[1, 2], b='x'),
                      dict(b=['x', 'y'], a=1)]) == [dict(a=1, b='x'), dict(a=2, b='x'), dict(a=1, b='y')]
    with pytest.raises(ValueError, match='different settings'): points_of([dict(a=1), dict(b=1)])
    with pytest.raises(ValueError, match="'a' is <function"): points_of(dict(a=[measure]))


def test_a_claim_must_be_in_the_grid():
    def claim(**c):
        return (Claim(1, 'R', 'x', (Contrast('score',
                                             **{**dict(a=dict(side='a'), b=dict(side='b'), least=1,
                                                       within=dict(size=1)), **c}),)),)
    study(claims=claim())
    with pytest.raises(ValueError, match='names 2 settings of the grid'): study(claims=claim(within={}))
    with pytest.raises(ValueError, match='names 0 settings'): study(claims=claim(a=dict(side='c')))
    with pytest.raises(ValueError, match=r"compares by \['colour'\]"):
        study(claims=claim(within=dict(size=1, colour=1)))


# ---- effects and verdicts

def runs_of(a, b, seeds=None):
    return pd.DataFrame([dict(side=side, seed=s, score=v) for side, values in (('a', a), ('b', b))
                         for s, v in enumerate(values, (seeds or {}).get(side, 0))])


def compare(a, b, **more): return effect(runs_of(a, b), 'score', dict(side='a'), dict(side='b'), **more)


@pytest.mark.parametrize('n, paired, least', [(5, True, .87), (8, True, .91), (8, False, .91), (20, True, .92)])
def test_the_interval_covers(n, paired, least):
    rng, hits, studies = np.random.default_rng(n), 0, 250
    for _ in range(studies):
        shared = rng.normal(size=n) * 5 if paired else 0
        frame = runs_of(shared + rng.normal(size=n) + 1, shared + rng.normal(size=n), {} if paired else dict(b=1000))
        e = effect(frame, 'score', dict(side='a'), dict(side='b'))
        assert e.paired == paired and e.low <= e.value <= e.high
        hits += e.low <= 1 <= e.high
    assert least < hits / studies < .99, f'{hits / studies:.3f} of the intervals hold the truth'


values = st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=5, max_size=8)


@given(values, st.integers(0, 2**32 - 1), st.floats(.01, 2))
def test_signs(b, seed, least):
    a = list(np.asarray(b) + np.random.default_rng(seed).normal(1, 1, len(b)).round(3))
    there, back = compare(a, b), compare(b, a)
    assert there.value == pytest.approx(-back.value) and there.value == pytest.approx(np.mean(a) - np.mean(b), abs=1e-9)
    more, less = (Contrast('score', {}, {}, least, more=m) for m in (True, False))
    opposite = dict(holds='reversed', reversed='holds')
    word = verdict_on(there, more)[0]
    assert verdict_on(there, less)[0] == opposite.get(word, word)
    if word == 'holds': assert there.low > 0 and there.value >= least
    assert verdict_on(compare([x + 1000 for x in b], b), more)[0] == 'holds'
    assert verdict_on(compare([x - 1000 for x in b], b), more)[0] == 'reversed'


@given(st.lists(st.sampled_from(['holds', 'not seen', 'reversed', 'open']), max_size=6))
def test_verdict_of_many(words):
    v = verdict(words)
    assert (v == 'open') == (not words or 'open' in words)
    assert v == verdict(words[::-1])
    if v in ('holds', 'reversed', 'not seen'): assert set(words) == {v}
    if v == 'mixed': assert len(set(words)) > 1


def test_few_seeds_stay_open():
    sure = Contrast('score', {}, {}, 1.)
    for n in range(2, 8):
        word = verdict_on(compare([9.] * n, [0.] * n), sure)[0]
        assert word == ('open' if n < LEAST_SEEDS else 'holds')
    assert compare([1.], [0.]).low == -math.inf


def test_lost_runs_are_counted_and_pairs_kept():
    e = compare([5., math.nan, 5, 5, 5, 5], [1., 1, 1, math.nan, 1, 1])
    assert (e.value, e.seeds, e.lost, e.paired) == (4, 4, 2, True)
    assert compare([2.] * 5, [4.] * 5, relative=True).value == -.5
    with pytest.raises(ValueError, match='say more settings'):
        effect(runs_of([1, 2], [3, 4]), 'score', {}, dict(side='b'))


def test_the_ledger_says_what_the_runs_say(tmp_path):
    at = lambda size: Contrast('score', dict(side='a'), dict(side='b'), least=.5, within=dict(size=size))
    s = study(claims=(Claim(1, 'R0', 'a has more', (at([1, 2]),)),
                      Claim(2, 'R1', 'b has more', (Contrast('score', dict(side='b'), dict(side='a'), .5,
                                                             within=dict(size=2)),)),
                      Claim(3, 'R1', 'another', (Contrast('unknown', dict(side='b'), dict(side='a'), .5,
                                                          within=dict(size=2)),))))
    assert list(s.ledger(s.results('laptop', out=tmp_path)).verdict) == ['open'] * 3 # before anything ran
    s.run(out=tmp_path, workers=1)
    table = s.ledger(s.results('laptop', out=tmp_path)).set_index('claim')
    assert list(table.verdict) == ['holds', 'reversed', 'open']
    assert list(table.runs) == [20, 10, 10] and list(table.seeds) == [5, 5, 0]
    assert table.effect[1] == pytest.approx(2, abs=1.5) and table.command[2] == 'dlcv_gan study toy --only 2'


def mixed(seed, lr): return dict(height=float(lr != 'each') + seed / 10)

def test_the_runs_of_a_claim_are_found_where_a_setting_is_now_a_word_and_now_a_number(tmp_path):
    study = Study('mixed', 'a word among numbers', mixed, dict(lr=['each', .1, .2]),
                  (Claim(1, 'R0', 'higher', (Contrast('height', dict(lr=.1), dict(lr=.2), 1.),)),
                   Claim(2, 'R0', 'lower', (Contrast('height', dict(lr='each'), dict(lr=.2), 1.),))))
    study.run(workers=1, out=tmp_path, scale='laptop', device='cpu')
    frame = study.results('laptop', out=tmp_path)
    assert set(study.needed(frame, 1).lr) == {.1, .2}
    assert set(study.needed(frame, 2).lr) == {'each', .2}
    assert len(study.needed(frame, 'height')) == 15


def test_a_sentence_says_verdict_conditions_and_scale(tmp_path):
    at = Contrast('score', dict(side='a'), dict(side='b'), least=.5, within=dict(size=[1, 2]))
    s = study(claims=(Claim(1, 'R0', 'a has more', (at,), 'other sides'),), setting='made-up numbers')
    s.run(out=tmp_path, workers=1)
    assert s.sentence(1, s.results('laptop', out=tmp_path)) == (
        '**1 (R0). A has more: _holds_** (2 holds; made-up numbers, 5 seeds). What would change our mind: other sides.')
