"The notebooks that come with the package: found by name or room, copied whole, never over work, and they run."
import json
from pathlib import Path

import pytest

import dlcv_gan
from dlcv_gan.cli.command import main
from dlcv_gan.cli.notebooks import AT_HOME, INSTALL, carried, copy_notebooks, find_notebooks, notebooks_folder

CHECKOUT = Path(dlcv_gan.__file__).parents[1]/'nbs'
KNOWN = [f.removesuffix('.ipynb') for f in carried(notebooks_folder()) if f.endswith('.ipynb')]
ROOMS = ('assignments', 'start', 'handins', 'studies') # what students open; the others run in a checkout


def quiet(line): pass


def test_all_lessons_are_there_and_a_room_is_all_of_it():
    assert {'assignments/01_vae', 'assignments/13_infogan', 'studies/ledger', 'library/game/base'} <= set(KNOWN)
    assert not set(AT_HOME) & set(KNOWN)
    assert find_notebooks([], KNOWN) == KNOWN
    assert find_notebooks(['assignments'], KNOWN) == [n for n in KNOWN if n.startswith('assignments/')]
    game = [n for n in KNOWN if n.startswith('library/game/')]
    assert game and find_notebooks(['game'], KNOWN) == find_notebooks(['library/game'], KNOWN) == game


@pytest.mark.parametrize('name', ['assignments/02_gan', '02_gan', 'gan', '02_gan.ipynb', 'nbs/assignments/02_gan'])
def test_a_notebook_is_found_by_every_name_of_it(name): assert find_notebooks([name], KNOWN) == ['assignments/02_gan']


def test_a_name_that_is_none_or_two_is_told_with_the_mend():
    with pytest.raises(ValueError, match='did you mean 02_gan'): find_notebooks(['02_gam'], KNOWN)
    with pytest.raises(ValueError, match='the rooms are'): find_notebooks(['zzzz'], KNOWN)
    with pytest.raises(ValueError, match='several notebooks.*a/x, b/x'): find_notebooks(['x'], ['a/x', 'b/x'])


def test_a_copy_has_the_cells_and_nothing_else(tmp_path):
    file, = copy_notebooks(tmp_path/'course', ['vae'], quiet)
    ours = json.loads((notebooks_folder()/'assignments'/'01_vae.ipynb').read_text(encoding='utf-8'))
    theirs = json.loads(file.read_text(encoding='utf-8'))
    assert [(c['id'], c['source']) for c in theirs['cells']] == [(c['id'], c['source']) for c in ours['cells']]
    assert not any(c.get('outputs') or c.get('execution_count') for c in theirs['cells'])
    assert set(theirs['metadata']) == {'kernelspec'} and theirs['metadata']['kernelspec']['name'] == 'python3'
    assert [p.name for p in tmp_path.rglob('*.csv')] == [] # no study, no tables


def test_nothing_that_was_worked_in_is_lost_and_nothing_is_written_then(tmp_path):
    vae, = copy_notebooks(tmp_path, ['vae'], quiet)
    vae.write_text('my answers', encoding='utf-8')
    assert main(['notebooks', str(tmp_path), 'vae', '02_gan']) == 2
    assert vae.read_text(encoding='utf-8') == 'my answers' and not (tmp_path/'assignments'/'02_gan.ipynb').exists()


def test_the_command_says_where_they_are(tmp_path, capsys):
    assert main(['notebooks', str(tmp_path/'course'), 'studies']) == 0
    assert 'jupyter lab' in capsys.readouterr().out
    assert (tmp_path/'course'/'studies'/'results'/'wgan_gp.csv').is_file()
    assert main(['notebooks', str(tmp_path/'other'), '02_gam']) == 2
    assert 'did you mean 02_gan' in capsys.readouterr().err


@pytest.mark.skipif(not CHECKOUT.is_dir(), reason='of the repository')
def test_every_notebook_installs_the_package_where_it_is_missing():
    for file in CHECKOUT.rglob('*.ipynb'):
        if '.ipynb_checkpoints' in file.parts: continue
        cells = json.loads(file.read_text(encoding='utf-8'))['cells']
        there = file.relative_to(CHECKOUT).with_suffix('').as_posix() in AT_HOME
        assert [''.join(c['source']) for c in cells].count(INSTALL) == (not there), file
        assert there or ''.join(cells[1]['source']) == INSTALL, f'{file}: the cell comes before all that imports'


@pytest.mark.skipif(CHECKOUT.is_dir(), reason='`tests/run smoke` runs them in the repository')
@pytest.mark.parametrize('name', [n for n in KNOWN if n.split('/')[0] in ROOMS])
def test_it_runs_with_the_wheel_alone(tmp_path, name, monkeypatch):
    import nbformat
    from nbclient import NotebookClient
    monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')
    file, = copy_notebooks(tmp_path, [name], quiet)
    monkeypatch.chdir(tmp_path)
    NotebookClient(nbformat.read(file, as_version=4), timeout=600, kernel_name='python3',
                   resources={'metadata': {'path': str(file.parent)}}).execute()
