"What the browser's tests share: the built site at an address, a Chromium, and axe-core."
from pathlib import Path

import pytest
from chromium import browser, served

SITE = Path(__file__).resolve().parents[2]/'docs'/'_build'/'html'
PREFIX = 'some/prefix/' # as a project's pages on GitHub


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
