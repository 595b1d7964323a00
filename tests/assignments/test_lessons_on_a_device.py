"""Every cell of every lesson, at the smallest scale, where the default device is not the CPU: what mixes devices, or
hands NumPy a device's tensor, fails here as on a GPU."""
import ast, json, re, sys
from pathlib import Path

import matplotlib
import pytest
from fastai.torch_core import default_device
from matplotlib import pyplot as plt
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT/'tests'/'library'))
from accelerator import default_accelerator

LESSONS = sorted((ROOT/'nbs'/'assignments').glob('*.ipynb'))
NOT_PYTHON = re.compile(r'^\s*[%!].*$', re.M) # magics and shell lines


def play_lesson(file: Path) -> dict: # the namespace after its last cell
    "Run all code cells in order, and show what a cell's last line gives."
    space = {'__name__': '__main__'}
    for cell in json.loads(file.read_text(encoding='utf-8'))['cells']:
        source = ''.join(cell['source'])
        if cell['cell_type'] != 'code' or re.search(r'^#\|\s*eval:\s*false', source, re.M): continue
        try:
            body = ast.parse(NOT_PYTHON.sub('', source)).body
            last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
            exec(compile(ast.Module(body, []), f'cell {cell["id"]}', 'exec'), space)
            shown = eval(compile(ast.Expression(last.value), f'cell {cell["id"]}', 'eval'), space) if last else None
            for show in ('_repr_html_', '_repr_markdown_', '__repr__'):
                if hasattr(shown, show): getattr(shown, show)()
        except Exception as e:
            raise AssertionError(f'{file.name}, cell {cell["id"]}: {type(e).__name__}: {e}\n\n{source}') from e
        finally: plt.close('all')
    return space


@pytest.mark.parametrize('file', LESSONS, ids=lambda f: f.stem)
def test_a_lesson_runs_on_a_device(file, tmp_path, monkeypatch):
    monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')
    monkeypatch.chdir(tmp_path)
    matplotlib.use('agg')
    with default_accelerator() as device:
        space = play_lesson(file)
        modules = [getattr(v, 'game', v) for v in space.values()]
        there = [m for m in modules if isinstance(m, nn.Module) and any(p.device == device for p in m.parameters())]
    assert there, 'no net of this lesson has been on the device'


def test_a_cell_that_mixes_devices_is_named(tmp_path):
    cells = dict(first='#| hide\nimport torch\nfrom fastai.torch_core import default_device',
                 second='%matplotlib inline', third='x = torch.ones(2, device=default_device())',
                 fourth='x.numpy()', fifth='x + torch.ones(2)')
    def lesson(*names):
        cells_ = [dict(id=n, cell_type='code', source=cells[n].splitlines(keepends=True)) for n in names]
        (tmp_path/'lesson.ipynb').write_text(json.dumps(dict(cells=cells_)))
        return tmp_path/'lesson.ipynb'
    with default_accelerator() as device:
        assert play_lesson(lesson('first', 'second', 'third'))['x'].device == device
        for wrong in ('fourth', 'fifth'):
            with pytest.raises(AssertionError, match=f'cell {wrong}: .*(numpy|same device)'):
                play_lesson(lesson('first', 'third', wrong))
    assert default_device().type != device.type, 'and afterwards all is as before'
