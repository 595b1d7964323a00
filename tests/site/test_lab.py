"Notebooks with widgets in JupyterLab, in a real browser: every cell runs, and the kernel hears what is pressed."
import contextlib, json, os, re, secrets, shutil, socket, subprocess, sys, time, urllib.request
from pathlib import Path

import pytest

from chromium import browser

pytest.importorskip('jupyterlab', reason='no JupyterLab: `pip install jupyterlab`')
playwright = pytest.importorskip('playwright.sync_api', reason='no Playwright: `pip install playwright`')
ROOT = Path(__file__).resolve().parents[2]
if not (ROOT/'nbs').is_dir(): pytest.skip('the notebooks are in the repository', allow_module_level=True)
# one worker: two JupyterLabs and their kernels at a time keep each other waiting
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group('lab')]
HERE = dict(IPYTHONDIR='ipython', JUPYTER_CONFIG_DIR='config', JUPYTER_DATA_DIR='data', JUPYTER_RUNTIME_DIR='runtime',
            JUPYTERLAB_SETTINGS_DIR='settings', JUPYTERLAB_WORKSPACES_DIR='workspaces')
# nothing is asked of another host
NEWS = "--LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def lab(folder: Path, own: Path):
    "JupyterLab on a folder, on this machine alone, with a token and settings of its own; its address and token."
    token, port = secrets.token_hex(16), free_port()
    settings = own/HERE['JUPYTERLAB_SETTINGS_DIR']/'@jupyterlab'/'apputils-extension'
    settings.mkdir(parents=True)
    (settings.parent/'notebook-extension').mkdir()
    # cells out of sight stay in the page
    (settings.parent/'notebook-extension'/'tracker.jupyterlab-settings').write_text('{"windowingMode": "none"}')
    (settings/'notification.jupyterlab-settings').write_text('{"fetchNews": "false", "checkForUpdates": false}')
    # the debugger asks every kernel for its state, and reports an error of its own where a slow kernel is chosen anew
    (own/HERE['JUPYTER_CONFIG_DIR']/'labconfig').mkdir(parents=True)
    (own/HERE['JUPYTER_CONFIG_DIR']/'labconfig'/'page_config.json').write_text(
        '{"disabledExtensions": {"@jupyterlab/debugger-extension": true}}')
    env = {**os.environ, **{k: str(own/v) for k, v in HERE.items()}, 'DLCV_GAN_SCALE': 'smoke', 'OMP_NUM_THREADS': '1',
           'PYTHONWARNINGS': 'ignore',
           'PYTHONPATH': os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))}
    with open(own/'log', 'wb') as log:
        server = subprocess.Popen([sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--ip=127.0.0.1',
                                   f'--port={port}', '--ServerApp.port_retries=0',
                                   f'--IdentityProvider.token={token}', f'--ServerApp.root_dir={folder}',
                                   *NEWS.split()[1:]], env=env, stdout=log, stderr=log, cwd=folder)
    try:
        for _ in range(600):
            if server.poll() is not None: pytest.fail((own/'log').read_text())
            api = f'http://127.0.0.1:{port}/api?token={token}'
            with contextlib.suppress(OSError), urllib.request.urlopen(api, timeout=5): break
            time.sleep(.2)
        yield f'http://127.0.0.1:{port}/', token
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    folder, own = tmp_path_factory.mktemp('notebooks'), tmp_path_factory.mktemp('jupyter')
    for name in ('live', 'training_panel', 'controls'): shutil.copy(ROOT/'nbs'/'library'/f'{name}.ipynb', folder)
    with lab(folder, own) as found, browser() as chromium: yield *found, chromium


@contextlib.contextmanager
def executed(site, name: str):
    "A notebook, opened and run from its first cell to its last; what goes wrong is told when the page is closed."
    url, token, chromium = site
    start_kernel(url, token, name)
    wrong = []
    with contextlib.closing(chromium.new_context(viewport=dict(width=1200, height=900))) as context:
        page = context.new_page()
        page.set_default_timeout(180_000)
        page.on('console', lambda m: wrong.append(m.text) if m.type == 'error' else None)
        page.on('pageerror', lambda e: wrong.append(str(e)))
        page.on('request', lambda r: wrong.append(r.url)
                if not r.url.startswith((url, url.replace('http', 'ws', 1), 'data:', 'blob:')) else None)
        # on a busy machine JupyterLab may ask something: whenever it does, and as often as it does, the usual answer
        page.add_locator_handler(page.locator('.jp-Dialog').first, lambda dialog: answer(dialog), no_wait_after=True)
        page.goto(f'{url}lab/tree/{name}.ipynb?reset&token={token}')
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        wait(page, lambda: connected(url, token, name), 'the page does not find its kernel')
        run_all(page)
        wait(page, lambda: page.evaluate(OVER), 'the notebook does not come to its end', 600)
        assert not page.locator(FAILED).count(), page.locator(FAILED).first.inner_text()
        yield page
    assert not wrong, wrong


def ask(url: str, token: str, **data):
    "The server's sessions, or, with data, a new one."
    request = urllib.request.Request(f'{url}api/sessions', json.dumps(data).encode() if data else None,
                                     {'Authorization': f'token {token}', 'Content-Type': 'application/json'})
    with urllib.request.urlopen(request, timeout=120) as reply: return json.load(reply)


def start_kernel(url: str, token: str, name: str):
    "Give the notebook its kernel before it is opened: on a busy machine a page that finds none asks for it."
    ask(url, token, path=f'{name}.ipynb', name=name, type='notebook', kernel=dict(name='python3'))


def connected(url: str, token: str, name: str) -> bool:
    "Whether the page speaks to its kernel: a command given too early makes it ask for one."
    kernels = [s['kernel'] for s in ask(url, token) if s['path'] == f'{name}.ipynb']
    return any(k['connections'] and k['execution_state'] == 'idle' for k in kernels)


def answer(dialog):
    "Press the dialog's default button, and say in the log what was asked; one that has gone by itself needs none."
    with contextlib.suppress(playwright.TimeoutError):
        print('JupyterLab asked:', ' '.join(dialog.inner_text(timeout=5000).split()))
        dialog.locator('.jp-mod-accept').last.click(timeout=5000)


def run_all(page):
    "Choose Run > Run All Cells."
    page.get_by_role('menuitem', name='Run', exact=True).click()
    page.get_by_role('menuitem', name='Run All Cells', exact=True).click()


FAILED = '[data-mime-type="application/vnd.jupyter.error"]'
OVER = f"""() => document.querySelector('{FAILED}') ||
    [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].every(p => /[0-9]/.test(p.textContent))"""


def wait(page, true, says: str, seconds: int = 120):
    "Ask again and again, in Python: the page is busy with what the kernel sends."
    deadline = time.time() + seconds
    while not true():
        assert time.time() < deadline, says
        page.wait_for_timeout(200)


def change(page, box, act, i=0):
    "Do something, and wait until a picture of the box is another one."
    bytes_now = lambda: box.locator('img').nth(i).evaluate(BYTES)
    before = bytes_now()
    act()
    wait(page, lambda: bytes_now() != before, 'the picture stays as it was')


# The picture itself: its address changes with every value, also with an equal one.
BYTES = """async i => {
    const bytes = new Uint8Array(await (await fetch(i.src)).arrayBuffer());
    let h = 0;
    for (const v of bytes) h = (h * 31 + v) | 0;
    return `${bytes.length} ${h}`; }"""


def output(page, text: str):
    return page.locator('.jp-OutputArea-output').filter(has=page.get_by_text(text, exact=True)).first


def test_the_sliders_of_view_react(site):
    with executed(site, 'live') as page:
        box = output(page, 'direction 1')
        slider = box.get_by_role('slider').nth(1)
        def press():
            slider.focus()
            for _ in range(5): slider.press('ArrowRight')
        change(page, box, press)
        change(page, box, box.get_by_role('checkbox').first.click)


def test_the_panel_trains_stops_and_steps(site):
    with executed(site, 'training_panel') as page:
        box = output(page, 'lr generator')
        def number(name):
            found = re.search(rf'{name} ([\d,]+\d|\d)', box.inner_text())
            return int(found[1].replace(',', ''))
        start = number('round')
        change(page, box, box.get_by_role('button', name='Play').click)
        wait(page, lambda: number('round') > start, 'Play does not play')
        box.get_by_role('button', name='Pause').click()
        box.get_by_role('button', name='Play').wait_for()
        def stands():
            before = number('round')
            page.wait_for_timeout(3000)
            return number('round') == before
        wait(page, stands, 'Pause does not stop') # once the slice under way is over
        stopped = number('round')
        for player in ('discriminator', 'generator'):
            moves = {p: number(p) for p in ('discriminator', 'generator')}
            change(page, box, box.get_by_role('button', name=f'step {player}').click, 2)
            wait(page, lambda: number(player) > moves[player], f'step {player} does not step')
            assert {p: number(p) for p in moves} == {**moves, player: moves[player] + 1}
        assert number('round') == stopped + 2


def test_the_knobs_of_a_trained_game_react(site):
    with executed(site, 'controls') as page:
        box = output(page, 'Black Hair')
        change(page, box, box.get_by_role('checkbox', name='Smiling').click)
        slider = box.get_by_role('slider').first
        change(page, box, lambda: (slider.focus(), slider.press('ArrowRight')))
