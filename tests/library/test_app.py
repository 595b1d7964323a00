"A run's page: every widget has its counterpart, and the page paints what the widgets paint."
import importlib.util, shutil

import numpy as np
import pytest
from PIL import Image

from dlcv_gan.app import make_app, write_space
from dlcv_gan.cli.command import main
from dlcv_gan.controls import controls
from dlcv_gan.runs.folder import load_run
from dlcv_gan.runs.pretrained import pretrained_names, pretrained_run

gr = pytest.importorskip('gradio')
client = pytest.importorskip('gradio_client')


@pytest.fixture
def served():
    apps = []
    def serve(app):
        _, address, _ = app.launch(prevent_thread_lock=True, quiet=True, server_name='127.0.0.1')
        apps.append(app)
        return client.Client(address, verbose=False)
    yield serve
    for app in apps: app.close()


def inputs_of(app): # label -> component
    return {x.label: x for x in app.blocks.values() if getattr(x, 'label', None)
            and isinstance(x, (gr.Slider, gr.Checkbox, gr.Dropdown, gr.Radio, gr.File))}


# a diffusion model has the page of a GAN, and takes a minute to find its directions
@pytest.mark.parametrize('name', [n for n in pretrained_names() if not n.startswith('ddpm')])
def test_every_pretrained_run_has_a_page_with_its_controls(name):
    app = make_app(pretrained_run(name))
    assert inputs_of(app) and sum(isinstance(x, gr.Image) for x in app.blocks.values()) == 1


def test_the_page_paints_what_the_widgets_paint(served):
    run = pretrained_run('acgan-anime')
    hair, eyes = 'blue hair', 'red eyes'
    made = served(make_app(run)).predict(hair, eyes, .7, 3, api_name='/paint')
    shown = controls(run).paint(hair=hair, eyes=eyes, truncation=.7, seed=3)
    assert np.array_equal(np.asarray(Image.open(made).convert('RGB')), shown)


def test_a_space_holds_all_that_its_page_needs(tmp_path, capsys, served, monkeypatch):
    assert main(['app', '--pretrained', 'gan-faces', '--space', str(tmp_path/'space')]) == 0
    assert 'hf upload' in capsys.readouterr().out
    space = tmp_path/'space'
    assert sorted(f.name for f in space.iterdir()) == ['README.md', 'app.py', 'requirements.txt', 'run']
    head = (space/'README.md').read_text().split('---')[1]
    assert f'sdk_version: {gr.__version__}' in head and 'app_file: app.py' in head
    assert 'dlcv_gan[app]' in (space/'requirements.txt').read_text()
    monkeypatch.chdir(space)
    launched = []
    monkeypatch.setattr(gr.Blocks, 'launch', lambda app, **kwargs: launched.append(app))
    exec((space/'app.py').read_text(), {})
    monkeypatch.undo()
    made = served(launched[0]).predict(5, 0, 0, api_name='/paint')
    assert np.asarray(Image.open(made)).ndim == 3
    assert load_run(space/'run') is not None
    assert main(['app', '--pretrained', 'gan-faces', '--space', str(space)]) == 2
    assert 'is there already' in capsys.readouterr().err


def test_without_gradio_the_mend_is_said(monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *a: None if name == 'gradio' else real(name, *a))
    assert main(['app', '--pretrained', 'gan-faces']) == 2
    assert "pip install 'dlcv_gan[app]'" in capsys.readouterr().err


def test_an_unfinished_run_is_no_space(tmp_path):
    shutil.copy(pretrained_run('gan-faces')/'settings.json', tmp_path)
    with pytest.raises(ValueError, match='not finished; go on with: dlcv_gan train'):
        write_space(tmp_path, tmp_path/'out')
    assert not (tmp_path/'out').exists()
