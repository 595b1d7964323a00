"The ledger: made from the tables and from nothing else, every claim has runs behind it, shared claims are joined."
import math, sys

import pytest

from dlcv_gan.cli.studies import studies
from dlcv_gan.studies.ledger import CLAIMS, ledger, ledgers, missing, notebook_of
from dlcv_gan.studies.run import PACKAGE
from dlcv_gan.studies.study import Study, read_table
from dlcv_gan.studies.verdicts import LEAST_SEEDS, VERDICTS, Claim, Contrast

RESULTS = PACKAGE.parent/'nbs'/'studies'/'results'
in_checkout = pytest.mark.skipif(not RESULTS.is_dir(), reason='the tables are in the repository, not in the wheel')


def ups(seed, side): return dict(height=seed / 10 + (2 if side == 'a' else 0))
def downs(seed, side): return dict(depth=-seed / 10 - (2 if side == 'a' else 0))

def study(name, measure, metric, more=True, **kwargs):
    contrast = Contrast(metric, dict(side='a'), dict(side='b'), 1., more)
    return Study(name, 'which side?', measure, dict(side=['a', 'b']),
                 (Claim(7, 'R0', 'a is higher', (contrast,), 'other sides'),), **kwargs)


def test_a_row_is_made_of_runs_and_goes_when_they_go(tmp_path):
    s = study('ups', ups, 'height')
    assert not len(ledger([s], out=tmp_path)) and missing(ledger([s], out=tmp_path)) == list(range(1, CLAIMS + 1))
    s.run(workers=1, out=tmp_path, scale='laptop', device='cpu')
    row = ledger([s], 'laptop', out=tmp_path).loc[7]
    assert (row.verdict, row.seeds, row.runs, row.failed, row.stale) == ('holds', 5, 10, 0, False)
    assert math.isclose(row.effect, 2) and row.low > 1.9
    assert missing(ledger([s], 'laptop', out=tmp_path)) == [n for n in range(1, CLAIMS + 1) if n != 7]
    assert not len(ledger([s], 'full', 'cuda', tmp_path)) # a GPU's column is a GPU's
    s.file(tmp_path).unlink()
    assert not len(ledger([s], 'laptop', out=tmp_path))


def test_a_claim_of_two_studies_has_one_row(tmp_path):
    both = [study('ups', ups, 'height'), study('downs', downs, 'depth')]
    for s in both: s.run(workers=1, out=tmp_path, scale='laptop', device='cpu')
    row = ledger(both, 'laptop', out=tmp_path).loc[7]
    assert row.verdict == 'mixed' and row.conditions == '1 holds, 1 reversed'
    assert row.runs == 20 and row.metric == 'height'
    assert list(row.contrasts.verdict) == ['holds', 'reversed']
    assert row.command == 'dlcv_gan study ups --only 7; dlcv_gan study downs --only 7'
    # the order decides what is shown, not what is found
    assert ledger(both[::-1], 'laptop', out=tmp_path).loc[7].metric == 'depth'


def test_two_wordings_of_a_claim_are_refused(tmp_path):
    one, other = study('ups', ups, 'height'), study('downs', downs, 'depth')
    other.claims = (Claim(7, 'R0', 'a is lower', other.claims[0].contrasts),)
    for s in (one, other): s.run(workers=1, out=tmp_path, scale='laptop', device='cpu')
    with pytest.raises(ValueError, match='7 has two wordings'): ledger([one, other], 'laptop', out=tmp_path)


def test_too_few_seeds_settle_nothing(tmp_path):
    s = study('ups', ups, 'height')
    s.run(seeds=LEAST_SEEDS - 1, workers=1, out=tmp_path, scale='laptop', device='cpu')
    assert 7 in missing(ledger([s], 'laptop', out=tmp_path))


@in_checkout
def test_every_claim_of_the_reports_has_runs_behind_it():
    scales = ledgers(list(studies().values()), scale='laptop')
    assert sorted({n for found in scales for n in found.index}) == list(range(1, CLAIMS + 1)) and not missing(*scales)
    for found in scales:
        assert set(found.verdict) <= set(VERDICTS) and found.setting.str.len().min() > 5
        assert (found.seeds >= LEAST_SEEDS).all() and (found.runs >= 2 * LEAST_SEEDS).all()
        assert all((RESULTS.parent/f'{b}.ipynb').exists() for books in found.notebooks for b in books)


@in_checkout
def test_a_claim_has_the_same_words_at_both_scales():
    ledger(list(studies().values()), 'laptop') # two wordings would be refused


@in_checkout
@pytest.mark.parametrize('name', studies())
def test_a_table_is_of_one_code(name):
    s = studies()[name]
    versions = {(r['scale'], r['device'], r['version']) for r in read_table(s.file(), s.names)}
    kinds = [kind for *kind, _ in versions]
    mixed = (f'{s.file().name} mixes versions of the code: {sorted(versions)}; play it again '
             f'(`dlcv_gan study {name}`), or take the older rows out')
    assert all(kinds.count(k) == 1 for k in kinds), mixed


def test_a_study_knows_its_notebook():
    assert notebook_of(studies()['update_ratio_toy']) == '04_update_ratio_toy'
    assert notebook_of(study('ups', ups, 'height')) == ups.__module__


@in_checkout
def test_lessons_quote_the_ledger_as_it_is():
    import nbformat
    sys.path.insert(0, str(PACKAGE.parent/'tools'))
    import notebooks
    both, seen = ledgers(list(studies().values()), scale='laptop'), 0
    for path in notebooks.notebooks():
        for c in nbformat.read(path, as_version=4).cells:
            if c.cell_type != 'markdown' or '<!-- verdicts' not in c.source: continue
            seen += 1
            assert notebooks.quoted(c.source, *both) == c.source, (
                f'{path.name} quotes other verdicts than the ledger has: run `python tools/notebooks.py verdicts`')
    assert seen > 5
