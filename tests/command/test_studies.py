"The studies that the package declares, and the command that plays them."
import pytest
import torch

from dlcv_gan.cli import studies as door
from dlcv_gan.cli.command import make_parser
from dlcv_gan.cli.studies import call, find_study, studies
from dlcv_gan.studies.ledger import CLAIMS
from dlcv_gan.studies.study import Study, read_table
from dlcv_gan.studies.verdicts import Claim, Contrast


def command(*words):
    return call(make_parser().parse_args(['study', *map(str, words)]))


def measure(seed, side):
    if side == 'bad': raise RuntimeError('no luck')
    return dict(score=torch.randn(1).item() / 10 + (side == 'a'))


@pytest.fixture
def toy(monkeypatch):
    better = lambda n, a, b: Claim(n, 'R0', f'{a} has more', (Contrast('score', dict(side=a), dict(side=b), .5),))
    study = Study('toy', 'a toy', measure, dict(side=['a', 'b', 'bad']), (better(1, 'a', 'b'), better(2, 'b', 'a')))
    monkeypatch.setattr(door, 'studies', lambda: dict(toy=study))
    return study


def test_studies_are_found_by_name():
    for name, study in studies().items(): assert find_study(name) is study
    # a pilot chooses what another study plays, and claims nothing
    assert [name for name, study in studies().items() if not study.claims] == ['converged_rates']
    with pytest.raises(ValueError, match="did you mean 'update_ratio_toy'"): find_study('update_ratio_to')


def test_every_claim_of_the_reports_is_declared_and_worded_once():
    claims = [(c.number, c.report, c.text) for s in studies().values() for c in s.claims]
    # two studies may share one, in the same words
    assert {n for n, *_ in claims} == set(range(1, CLAIMS + 1)) and len(set(claims)) == CLAIMS
    assert all((report == 'ours') == (n > 34) for n, report, _ in claims) # of the reports, and about diffusion
    for s in studies().values(): assert len({c.number for c in s.claims}) == len(s.claims)


def test_one_command_gives_the_verdict(toy, tmp_path, capsys):
    assert command('toy', '--only', 1, '--workers', 1, '--device', 'cpu', '--out', tmp_path) == 0
    out = capsys.readouterr().out
    assert '1 (R0) a has more: HOLDS' in out and 'b has more' not in out
    assert len(read_table(toy.file(tmp_path), ['side'])) == 10
    assert command('toy', '--workers', 1, '--device', 'cpu', '--out', tmp_path) == 0
    shown = capsys.readouterr()
    assert '5 of 15 runs to play' in shown.err and '2 (R0) b has more: REVERSED' in shown.out
    assert 'died: RuntimeError: no luck' in shown.out
    command('--out', tmp_path)
    assert '3 settings x 5 seeds; in the table: 15 runs of this code' in capsys.readouterr().out


def test_nothing_but_failures_is_an_exit_code(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(toy, 'settings', dict(side='bad'))
    monkeypatch.setattr(toy, 'claims', ())
    assert command('toy', '--seeds', 1, '--workers', 1, '--device', 'cpu', '--out', tmp_path) == 1


def test_wrong_names_are_told(toy, tmp_path):
    with pytest.raises(ValueError, match='no claim or metric 9: there are 1, 2, score'):
        command('toy', '--only', 9, '--workers', 1, '--out', tmp_path)
    with pytest.raises(ValueError, match="no study is called 'qq'"): command('qq')
