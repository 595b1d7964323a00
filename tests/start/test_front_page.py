"""Every command that the front page prints runs as it is printed: a new home, an empty folder, the smallest scale.

The page is the installed package's own description, so beside a wheel this is what a reader of the index meets.
"""
import os, re, subprocess, sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

from dlcv_gan.worlds.anime import write_test_tags
from dlcv_gan.worlds.faces import write_hw4

README = Path(__file__).parents[2]/'README.md'
# What a reader types, one after another, in one folder; what stands there before is made by `given`.
PATHS = {
    'HW4 is due': ['dlcv_gan hw4 out --data hw4_data', 'dlcv_gan report out'],
    'HW3 is due': ['dlcv_gan hw3 out'],
    'HW4 of ADLxMLDS is due': ['dlcv_gan anime testing_text.txt out'],
    'lab 7 is due': ['dlcv_gan lab7 out'],
    'an evening': ['dlcv_gan train gan-mended --data DIR --out runs/mine'],
    'a first look': ['dlcv_gan --help', 'dlcv_gan describe R1.VAE', 'dlcv_gan sample --pretrained gan-faces',
                     'dlcv_gan notebooks course', 'dlcv_gan study'],
    'training': ['dlcv_gan train gan --data DIR --out RUN'],
}
# the one needs an account, the other Gradio and a browser: tests/library/test_hub.py and test_app.py give them both
ELSEWHERE = {'dlcv_gan push RUN user/name', 'dlcv_gan app --pretrained acgan-anime'}


def page():
    "The front page as text: of the checkout, or of the installed wheel."
    if README.is_file(): return README.read_text(encoding='utf-8')
    said = metadata('dlcv_gan')
    return said.get_payload() or said['Description']


def printed():
    "Its commands: lines of the shell blocks, without comments, and code within sentences."
    text = page()
    lines = [line.split('#')[0].strip() for block in re.findall(r'(?s)```bash\n(.*?)```', text)
             for line in block.splitlines()]
    return {c for c in [*lines, *re.findall(r'`(dlcv_gan [^`]+)`', text)] if c.startswith('dlcv_gan ')}


def given(folder):
    "The data that the page speaks of."
    for name in ('hw4_data', 'DIR'): write_hw4(folder/name, 64, 32, size=32, progress=False)
    write_test_tags(folder/'testing_text.txt', 2)


def test_every_command_of_the_page_is_tried():
    assert printed() == {c for path in PATHS.values() for c in path} | ELSEWHERE


@pytest.mark.skipif(README.is_file(), reason='tried with the installed wheel: tests/run wheel')
@pytest.mark.parametrize('path', PATHS)
def test_a_path_runs_as_printed(path, tmp_path):
    home, folder = tmp_path/'home', tmp_path/'work'
    home.mkdir(), folder.mkdir()
    given(folder)
    env = {k: v for k, v in os.environ.items() if not k.startswith(('DLCV_GAN', 'PYTHON', 'XDG'))}
    env |= dict(HOME=str(home), USERPROFILE=str(home), DLCV_GAN_SCALE='smoke')
    env['PATH'] = os.pathsep.join([str(Path(sys.executable).parent), env.get('PATH', '')])
    for command in PATHS[path]:
        few = ' --rounds 10' if ' train ' in command else '' # the scales are of lessons and hand-ins
        done = subprocess.run((command + few).split(), cwd=folder, env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f'{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}'
    left = {p.relative_to(folder).parts[0] for p in folder.rglob('*')} - {'hw4_data', 'DIR', 'testing_text.txt'}
    assert left, 'nothing was made'
