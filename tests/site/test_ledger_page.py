"The ledger's slider says what Python's rule says for another threshold."
from dataclasses import replace
from pathlib import Path

import pytest

from dlcv_gan.cli.studies import studies
from dlcv_gan.studies.ledger import ledgers
from dlcv_gan.studies.verdicts import Contrast, Effect, verdict, verdict_on

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT/'docs'/'_build'/'html'
if not (ROOT/'docs'/'build.py').exists(): pytest.skip('the site is built in the repository', allow_module_level=True)
if not (SITE/'index.html').exists(): pytest.skip('build the site with `make docs`', allow_module_level=True)
pytestmark = pytest.mark.browser


def expected(table, factor):
    "Claim -> its verdict where every smallest effect that matters is so many times as large."
    found = {}
    for n, row in table.iterrows():
        words = []
        for c in row.contrasts.itertuples():
            rule = replace(Contrast(c.metric, {}, {}, c.least), least=c.least * factor, more=c.says == 'more')
            words.append(verdict_on(Effect(c.effect, c.low, c.high, c.seeds, True, 0), rule)[0])
        found[n] = verdict(words)
    return found


@pytest.mark.parametrize('notches, factor', [(0, 1), (2, 2 ** .5), (4, 2), (8, 4), (-4, .5), (-8, .25)])
def test_the_slider_follows_the_rule(chromium, url, notches, factor):
    page = chromium.new_context().new_page()
    page.goto(f'{url}studies/ledger.html')
    page.wait_for_selector('.threshold input')
    page.eval_on_selector('.threshold input', '(e, v) => { e.value = v; e.dispatchEvent(new Event("input")); }',
                          notches / 4)
    shown = page.evaluate('''() => [...document.querySelectorAll('td .verdict')].map(e => {
        const claim = e.closest('tr').querySelector('[id^=claim-]').id;
        return [claim, e.closest('td').cellIndex, e.querySelector('strong').textContent]; })''')
    status = page.inner_text('.threshold [role=status]')
    page.context.close()
    scales = ledgers(list(studies().values()), scale='laptop')
    python, usual = ({(f'claim-{n}', 2 + k): word for k, table in enumerate(scales)
                      for n, word in expected(table, by).items()} for by in (factor, 1))
    assert {(claim, cell): word for claim, cell, word in map(tuple, shown)} == python
    changed = sum(python[k] != usual[k] for k in usual)
    assert status.startswith(f'{changed} of {len(usual)} ') or not notches and not status
