"A table's version is carried over a move only where the runs that are played again give its digits."
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2]/'tools'
if not TOOLS.is_dir(): pytest.skip('the tools lie in the repository', allow_module_level=True)
sys.path.insert(0, str(TOOLS))
import studies as tool

from dlcv_gan.studies import study as engine
from dlcv_gan.studies.study import Study, read_table, write_table

SCALE = dict(by=1.)


def measure(seed, side): return dict(score=SCALE['by']*(seed + 1) / 3)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    "A played study whose table is said to be of older code."
    monkeypatch.setattr(engine, '_results_folder', lambda: tmp_path)
    study = Study('toy', 'a toy', measure, dict(side=['a', 'b']))
    study.run(seeds=3, scale='smoke', device='cpu', workers=1)
    rows = [{**r, 'version': 'older'} for r in read_table(study.file(), study.names)]
    write_table(study.file(), rows, study.names)
    monkeypatch.setattr(tool, 'find_study', lambda name: study)
    return study


def versions(study): return {r['version'] for r in read_table(study.file(), study.names)}


def test_the_same_digits_carry_the_version(toy, capsys):
    assert tool.main('replay', '2', 'toy') == 0 and versions(toy) == {'older'}
    assert tool.main('carry', '2', 'toy') == 0 and versions(toy) == {toy.version}
    assert 'toy: 2 runs played again, the same digits' in capsys.readouterr().out


def test_another_digit_leaves_the_table_alone(toy, monkeypatch, capsys):
    monkeypatch.setitem(SCALE, 'by', 1.0001)
    assert tool.main('carry', '1', 'toy') == 1 and versions(toy) == {'older'}
    assert 'is now' in capsys.readouterr().out


def test_the_runs_are_spread_over_the_table(toy):
    assert {r['side'] for r in tool.chosen(toy, 2)} == {'a', 'b'}
