"The built site in a real browser, under a sub-path: it fits a phone, asks nobody else, breaks nothing, and can be read by everyone."
import contextlib, json
from pathlib import Path

import pytest
from chromium import browser, served

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT/'docs'/'_build'/'html'
if not (ROOT/'docs'/'build.py').exists(): pytest.skip('the site is built in the repository', allow_module_level=True)
if not (SITE/'index.html').exists(): pytest.skip('build the site with `make docs`', allow_module_level=True)
PAGES = [p.stem for p in sorted(SITE.glob('*.html')) if p.stem not in ('genindex', 'py-modindex', 'search')]
PREFIX = 'some/prefix/' # as a project's pages on GitHub
LOOKS = [(360, 'dark'), (1200, 'light')]
WIDE = '''() => [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 &&
  !function clipped(p) { return p && (p !== document.body && getComputedStyle(p).overflowX !== "visible" || clipped(p.parentElement)); }(e.parentElement)).slice(0, 5).map(e => e.outerHTML.slice(0, 150))'''


@pytest.fixture(scope='module')
def url(tmp_path_factory):
    "The built site, served under a sub-path."
    top = tmp_path_factory.mktemp('host')
    (top/PREFIX).parent.mkdir(parents=True)
    (top/PREFIX).symlink_to(SITE)
    with served(top) as it: yield it + PREFIX


@pytest.fixture(scope='module')
def chromium():
    with browser() as it: yield it


@pytest.fixture(scope='module')
def axe():
    "axe-core, as its Python package carries it."
    package = pytest.importorskip('axe_playwright_python')
    return (Path(package.__file__).parent/'axe.min.js').read_text(encoding='utf-8')


@contextlib.contextmanager
def opened(chromium, url, name, width=1200, theme='light', **context):
    "A page in a new profile, what it fetched in bytes, and what went wrong there: console errors, failed and foreign requests."
    wrong, size = [], []
    with contextlib.closing(chromium.new_context(viewport=dict(width=width, height=800), color_scheme=theme, reduced_motion='reduce', **context)) as made:
        page = made.new_page()
        page.on('console', lambda m: wrong.append(f'console: {m.text}') if m.type == 'error' else None)
        page.on('pageerror', lambda e: wrong.append(f'error: {e}'))
        page.on('request', lambda r: wrong.append(f'asks {r.url}') if not r.url.startswith((url, 'data:', 'blob:')) else None)
        page.on('response', lambda r: wrong.append(f'{r.status}: {r.url}') if r.status >= 400 else None)
        page.on('requestfinished', lambda r: size.append(r))
        page.goto(f'{url}{name}.html', wait_until='networkidle')
        page.fetched = lambda: sum(r.sizes()['responseBodySize'] for r in size if not r.url.startswith(('data:', 'blob:')))
        yield page
    assert not wrong, f'{name} at {width} px: {wrong}'


def findings(page, axe: str) -> list[str]:
    "axe-core's serious and critical findings, in words."
    page.evaluate(axe)
    found = page.evaluate('axe.run({resultTypes: ["violations"]})')['violations']
    return [f"{v['impact']} {v['id']}: {v['help']}: {n['target']} {n['html'][:150]} {n['failureSummary'][:200]}"
            for v in found if v['impact'] in ('serious', 'critical') for n in v['nodes'][:4]]


@pytest.mark.parametrize('name', PAGES)
@pytest.mark.parametrize('width, theme', LOOKS)
def test_a_page_fits_asks_nobody_and_can_be_read(chromium, url, axe, name, width, theme):
    with opened(chromium, url, name, width, theme) as page:
        assert page.evaluate('document.documentElement.dataset.theme') == theme
        assert page.evaluate('document.documentElement.scrollWidth') <= width, f'{name} is wider than {width} px: {page.evaluate(WIDE)}'
        assert page.fetched() < 3e6, f'{name} fetches {page.fetched() / 1e6:.1f} MB before anything is opened'
        pictures = page.evaluate('[...document.images].map(i => [i.alt, i.currentSrc, i.complete && i.naturalWidth > 0, i.closest("a, .navbar-brand") !== null])')
        assert not [src for alt, src, whole, logo in pictures if not whole], 'pictures that do not load'
        assert not [src for alt, src, whole, logo in pictures if not logo and (not alt or '_images' in alt)], 'pictures without words'
        wrong = findings(page, axe)
        assert not wrong, f'{name}, {theme}:\n' + '\n'.join(wrong)
