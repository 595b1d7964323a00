"A Chromium for the tests: the one found here, in a new profile, on folders served by this machine."
import contextlib, functools, http.server, shutil, threading
from pathlib import Path

import pytest

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync']


@contextlib.contextmanager
def served(folder: Path):
    "A folder on a port of this machine."
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): pass
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try: yield f'http://127.0.0.1:{server.server_port}/'
    finally:
        server.shutdown()
        server.server_close()


def executable(playwright) -> str | None:
    "A Chromium on the PATH, else the one that `playwright install chromium` brought, else None."
    named = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    return named or next((x for x in [playwright.chromium.executable_path] if Path(x).exists()), None)


@contextlib.contextmanager
def browser():
    "The Chromium found here, with a new profile; a test without one is skipped."
    sync_api = pytest.importorskip('playwright.sync_api')
    with sync_api.sync_playwright() as p:
        if not (found := executable(p)):
            pytest.skip('no Chromium: `apt-get install chromium`, or `playwright install chromium`')
        chromium = p.chromium.launch(executable_path=found, args=FLAGS)
        try: yield chromium
        finally: chromium.close()
