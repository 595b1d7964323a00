"The built site in a real browser, under a sub-path: it fits a phone, asks no other host, breaks nothing, can be read."
import contextlib, tomllib
from pathlib import Path

import pytest
from chromium import served

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT/'docs'/'_build'/'html'
if not (ROOT/'docs'/'build.py').exists(): pytest.skip('the site is built in the repository', allow_module_level=True)
if not (SITE/'index.html').exists(): pytest.skip('build the site with `make docs`', allow_module_level=True)
STUBS = tomllib.loads((ROOT/'docs'/'moved.toml').read_text(encoding='utf-8'))['pages'] # they only lead on
PAGES = [name for p in sorted(SITE.rglob('*.html')) if (name := p.relative_to(SITE).with_suffix('').as_posix())
         not in {'404', 'genindex', 'py-modindex', 'search', *STUBS} and '_static' not in p.parts]
pytestmark = pytest.mark.browser
TALK = 'strict mode: use allowUnionTypes' # the widget manager's schemas, of no consequence
WIDE = '''() => {
  const cut = p => p !== document.body && getComputedStyle(p).overflowX !== "visible";
  const clipped = p => p && (cut(p) || clipped(p.parentElement));
  return [...document.querySelectorAll("body *")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !clipped(e.parentElement))
    .slice(0, 5).map(e => e.outerHTML.slice(0, 150)); }'''


@contextlib.contextmanager
def opened(chromium, url, name, width=1200, theme='light', **context):
    "A page in a new profile; `page.fetched()`: bytes got so far. Console errors, failed and foreign requests fail."
    wrong, requests = [], []
    settings = dict(viewport=dict(width=width, height=800), color_scheme=theme, reduced_motion='reduce') | context
    with contextlib.closing(chromium.new_context(**settings)) as made:
        page = made.new_page()
        page.set_default_timeout(300_000)
        page.on('console', lambda m: wrong.append(f'console: {m.text}') if m.type in ('error', 'warning')
                and not m.text.startswith(TALK) else None)
        page.on('pageerror', lambda e: wrong.append(f'error: {e}'))
        page.on('request', lambda r: wrong.append(f'asks {r.url}') if not r.url.startswith((url, 'data:', 'blob:'))
                else None)
        page.on('response', lambda r: wrong.append(f'{r.status}: {r.url}') if r.status >= 400 else None)
        page.on('requestfinished', lambda r: requests.append(r))
        page.fetched = lambda: sum(r.sizes()['responseBodySize']
                                   for r in requests if not r.url.startswith(('data:', 'blob:')))
        page.goto(f'{url}{name}')
        page.wait_for_function('/light|dark/.test(document.documentElement.dataset.theme)')
        page.evaluate('window.MathJax?.startup?.promise?.then(() => true)')
        page.wait_for_timeout(100)
        yield page
    assert not wrong, f'{name} at {width} px: {wrong}'


def findings(page, axe: str, rules: list | None) -> list[str]:
    "axe-core's serious and critical findings, in words; all rules, or some."
    # spans that only colour code are taken away first, they are most of a page
    page.evaluate('''() => { for (const e of document.querySelectorAll(".highlight pre, dt.sig span"))
        if (!e.querySelector("a")) e.textContent = e.textContent; }''')
    page.evaluate(axe)
    options = dict(preload=False, resultTypes=['violations'], **({'runOnly': rules} if rules else {}))
    found = page.evaluate('async options => (await axe.run({exclude: ["mjx-container > *"]}, options)).violations',
                          options)
    return [f"{v['impact']} {v['id']}: {v['help']}: {n['target']} {n['html'][:150]} {n['failureSummary'][:200]}"
            for v in found if v['impact'] in ('serious', 'critical') for n in v['nodes'][:4]]


@pytest.mark.parametrize('name', PAGES)
@pytest.mark.parametrize('width, theme, rules',
                         [(1200, 'light', None), (360, 'dark', ['color-contrast', 'scrollable-region-focusable'])],
                         ids=['desk', 'phone'])
def test_a_page_fits_asks_nobody_and_can_be_read(chromium, url, axe, name, width, theme, rules):
    with opened(chromium, url, f'{name}.html', width, theme) as page:
        assert page.evaluate('document.documentElement.dataset.theme') == theme
        wide = page.evaluate('document.documentElement.scrollWidth') > width
        assert not wide, f'{name} is wider than {width} px: {page.evaluate(WIDE)}'
        assert page.fetched() < 3e6, f'{name} fetches {page.fetched() / 1e6:.1f} MB before anything is opened'
        pictures = page.evaluate('[...document.images].map(i => [i.alt, i.src, !i.complete || i.naturalWidth > 0, '
                                 '!!i.closest(".navbar-brand")])')
        assert not [src for alt, src, shown, logo in pictures if not shown], 'pictures that do not load'
        assert not [src for alt, src, shown, logo in pictures if not logo
                    and (not alt or '_images' in alt)], 'pictures without words'
        headless = page.evaluate('[...document.querySelectorAll(".cell_output thead")].filter(h => '
                                 'h.textContent.trim() && getComputedStyle(h).display === "none").map(h => '
                                 'h.textContent.trim())')
        assert not headless, 'printed tables whose headings are hidden'
        wrong = findings(page, axe, rules)
        assert not wrong, f'{name}, {theme}:\n' + '\n'.join(wrong)


def test_axe_finds_what_is_wrong(chromium, axe, tmp_path):
    (tmp_path/'x.html').write_text('<html lang="en" data-theme="light"><link rel="icon" '
                                   'href="data:,"><title>t</title><main><h1>h</h1><img src="data:,"><p '
                                   'style="color:#bbb">faint</p></main></html>')
    with served(tmp_path) as url, opened(chromium, url, 'x.html') as page:
        assert [f.split()[1] for f in findings(page, axe, None)] == ['color-contrast:', 'image-alt:']


def test_the_front_page_says_in_one_screen_what_this_is(chromium, url):
    with opened(chromium, url, 'index.html', reduced_motion='no-preference') as page:
        low = page.evaluate('[".film img", ".front [data-plot=stage]", ".front pre"].map(s => '
                            'document.querySelector(s).getBoundingClientRect().bottom)')
        assert max(low) <= 800, f'film, game and commands end at {low}: below the first screen'
        film = page.evaluate('document.querySelector(".film img").src')
        page.click('.film button')
        assert page.evaluate('document.querySelector(".film img").src') != film
        steps = lambda: page.evaluate('(g => g.steps.D + g.steps.G)(document.querySelector("[data-play]").page.game)')
        assert steps() == 0
        page.click('.front .play-start')
        page.wait_for_function('document.querySelector("[data-play]").page.game.steps.G > 3')
    # less motion is asked for: the last picture, and nothing to stop
    with opened(chromium, url, 'index.html', 360) as page:
        assert page.evaluate('document.querySelector(".film img").currentSrc').endswith('-still.webp')
        assert not page.query_selector('.film button')


def test_search_finds_a_word_of_a_notebook(chromium, url):
    with opened(chromium, url, 'search.html?q=checkerboard') as page:
        page.wait_for_selector('#search-results li a')
        links = page.evaluate('[...document.querySelectorAll("#search-results li a")].map(a => a.href)')
        assert any('library/nets.html' in a for a in links)


def test_the_search_box_opens_by_key(chromium, url):
    with opened(chromium, url, 'assignments/gan.html') as page:
        page.keyboard.press('Control+k')
        page.wait_for_selector('#pst-search-dialog[open] input')


def test_sliders_come_when_they_are_asked_for(chromium, url):
    with opened(chromium, url, 'library/live.html') as page:
        if not page.query_selector('.show-sliders'): pytest.skip('built without the widget manager')
        before = page.fetched()
        page.click('.show-sliders')
        page.wait_for_selector('.jupyter-widgets .noUi-handle, .jupyter-widgets input[type=range]')
        assert page.fetched() > before + 1e6 and not page.query_selector('.show-sliders')


@pytest.mark.parametrize('old, new', [
    ('10_vae.html', 'assignments/vae.html'), ('03_game.html', 'library/game/learner.html'),
    ('03_game.html#dlcv_gan.game.GameLearner.fit_to', 'library/game/learner.html#gamelearner.fit_to'),
    ('03_game.html#dlcv_gan.game.DG', 'library/game/schedules.html#dg'), ('demos.html#faces', 'start/demos.html')])
def test_an_old_address_leads_to_the_new_page_and_place(chromium, url, old, new):
    with contextlib.closing(chromium.new_context()) as context:
        page = context.new_page()
        page.goto(url + old)
        page.wait_for_url(url + new)
        if '#' in new: assert page.evaluate('!!document.getElementById(decodeURIComponent(location.hash.slice(1)))')


def test_the_sidebar_holds_every_page_in_its_section(chromium, url):
    with opened(chromium, url, 'library/game/learner.html') as page:
        sections = page.evaluate("""[...document.querySelectorAll('.bd-sidebar-primary details')].map(d =>
            [d.querySelector('summary').textContent, d.open, d.querySelectorAll('a').length])""")
        assert [name for name, opened, _ in sections if opened] == ['Library']
        assert sum(n for *_, n in sections) == len(PAGES)
        page.get_by_text('Assignments', exact=True).focus() # by key
        page.keyboard.press('Enter')
        page.locator('.bd-sidebar-primary').get_by_role('link', name='1 Variational autoencoder (VAE)').click()
        page.wait_for_url(url + 'assignments/vae.html')


def test_every_gallery_picture_leads_to_its_page(chromium, url):
    with opened(chromium, url, 'gallery.html') as page:
        links = page.evaluate('[...document.querySelectorAll(".gallery figure")].map(f => '
                              '[f.querySelector("a:has(img)")?.getAttribute("href"), '
                              'f.querySelector("figcaption").innerText])')
        assert len(links) >= 12 and all(href and (SITE/href).exists() and len(said) > 40 for href, said in links)
