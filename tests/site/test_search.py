"Queries that students type lead to the right page; a wrong address leads back."
from pathlib import Path

import pytest
from chromium import served

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT/'docs'/'_build'/'html'
if not (ROOT/'docs'/'build.py').exists(): pytest.skip('the site is built in the repository', allow_module_level=True)
if not (SITE/'index.html').exists(): pytest.skip('build the site with `make docs`', allow_module_level=True)
pytestmark = pytest.mark.browser
# query -> the pages that answer it
QUERIES = {'reparameterization trick': ['assignments/vae'], 'mode collapse': ['assignments/gan', 'library/diagnosis'],
           'gradient penalty': ['assignments/wgan', 'library/losses'], 'PatchGAN': ['assignments/cyclegan'],
           'cycle consistency': ['assignments/cyclegan'], 'classifier-free guidance': ['assignments/diffusion'],
           'mutual information': ['assignments/infogan', 'assignments/acgan'], 'spectral norm': ['assignments/gan'],
           'affine coupling': ['assignments/flow'], 'KL divergence': ['assignments/vae', 'library/losses'],
           'learning rate': ['studies/hyperparameters'], 'HW4 report': ['handins/hw4', 'command/report']}


@pytest.mark.parametrize('query', QUERIES)
def test_a_query_leads_to_its_page_among_the_first_three(chromium, url, query):
    page = chromium.new_context().new_page()
    page.goto(f'{url}search.html?q={query.replace(" ", "+")}')
    page.wait_for_selector('#search-results ul.search li a', timeout=60_000)
    page.wait_for_timeout(1500) # results come one by one
    hits = page.eval_on_selector_all('#search-results ul.search li > a', 'all => all.map(a => a.href)')
    first = [h.removeprefix(url).split('#')[0].split('?')[0] for h in hits[:3]]
    page.context.close()
    assert {f'{page}.html' for page in QUERIES[query]} & set(first), first


def test_a_wrong_address_leads_back(chromium, tmp_path):
    (tmp_path/'dlcv_gan').symlink_to(SITE)
    with served(tmp_path) as host:
        page, wrong = chromium.new_context().new_page(), []
        page.on('response', lambda r: wrong.append(r.url) if r.status >= 400 else None)
        page.goto(f'{host}dlcv_gan/404.html')
        links = page.eval_on_selector_all('a[href$=".html"]', 'all => all.map(a => a.getAttribute("href"))')
        assert not wrong and links and all(x.startswith(('/dlcv_gan/', 'http', '#')) for x in links), (wrong, links[:5])
        page.context.close()
