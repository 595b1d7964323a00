"Stamps are carried over a move where imports, names and listed texts differ: nothing that can change a number passes."
import json, subprocess, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT/'tools'/'carry.py').exists(): pytest.skip('the tools are in the repository', allow_module_level=True)
nbformat = pytest.importorskip('nbformat')
pytest.importorskip('nbclient')
sys.path.insert(0, str(ROOT/'tools'))
import carry, notebooks

OLD = '''
from dlcv_gan.game import at_scale, told
size, lr = at_scale(smoke=(8, 1e-3), laptop=(64, 2e-4))
def play(heap, n=3):
    "Plays."
    return told(heap * 2 + n, lr=lr)
double = lambda x: 2 * x
print(f'{play(size)} of 10_vae', 'rank')
'''
NEW = '''
from dlcv_gan.scale import at_scale
from dlcv_gan.studies.short_runs import conditional
run = SimpleNamespace(**at_scale(smoke=dict(size=8, lr=1e-3), laptop=dict(size=64, lr=2e-4)))
def play(domain, n=3):
    return conditional(domain*2 + n,
                       lr=run.lr) # as before
def double(x): return 2*x
print(f'{play(run.size)} of '
      '01_vae', 'rank')
'''
NAMES, TEXT = dict(told=['conditional'], heap=['domain', 'dataset']), {'10_vae': ['01_vae']}


def book(*sources, outputs=(), **metadata):
    made = nbformat.v4.new_notebook(metadata=metadata)
    made.cells = [nbformat.v4.new_code_cell(s, id=f'c{i}', outputs=list(outputs)) for i, s in enumerate(sources)]
    return made


def why(old, new, names=NAMES, text=TEXT, **kwargs):
    "'' where the two are the same."
    old, new = ([x] if isinstance(x, str) else x for x in (old, new))
    return carry.same(book(*old), book(*new), names, text, **kwargs)


def test_imports_names_settings_lambdas_and_layout_may_differ():
    assert why(OLD, 'from types import SimpleNamespace\n' + NEW) == why(OLD, OLD) == ''
    assert why(['import torch', 'x = 1'], 'x = 1') == '' # a cell of imports is none


@pytest.mark.parametrize('old, new', [
    ('8, 1e-3', '9, 1e-3'), ('n=3', 'n=4'), ('* 2', '* 2.'), ('* 2 + n', '* 2 - n'), ('heap * 2 + n', '2 * heap + n'),
    ('play(size)', 'play(lr)'), ('smoke=(8, 1e-3)', 'smoke=(1e-3, 8)'), ('size, lr =', 'lr, size ='),
    ('def play(heap, n=3)', 'def play(n, heap=3)'), ('lr=lr', 'wd=lr'), ('2 * x', '2 * -x'), ('rank', 'AUC'),
    ('told(', 'at_scale('), ('heap * 2', 'n * 2'), ('10_vae', '11_gan'), ("print(", "x = 1; print("),
    ('return ', 'yield '),
    ('import at_scale, told', 'import told as at_scale, at_scale as told'), ('import at_scale, told', 'import told'),
], ids=lambda x: x)
def test_what_can_change_a_number_is_refused(old, new):
    changed = OLD.replace(old, new)
    assert changed != OLD and why(OLD, changed), f'{old} -> {new} passed'


@pytest.mark.parametrize('old, new', [
    ('lr=1e-3), laptop', 'lr=2e-3), laptop'), ('run.size', 'run.lr'), ('lr=run.lr', 'lr=lr'),
    ('size=64, lr=2e-4', 'lr=2e-4, size=64'), ('return 2*x', 'return 3*x'),
    ('play(domain, n=3)', 'play(n, domain=3)'), ('domain*2 + n', 'n*2 + domain')])
def test_neither_does_it_hide_behind_a_rename(old, new):
    changed = NEW.replace(old, new)
    assert changed != NEW and why(OLD, changed), f'{old} -> {new} passed'


def test_no_two_names_become_one_and_none_becomes_two():
    swap = dict(a=['b'], b=['a'], c=['a'])
    assert why('a = 1; b = 2; f(a, b)', 'b = 1; a = 2; f(b, a)', swap) == '' # everywhere: other names, the same code
    assert 'elsewhere' in why('a = 1; b = 2; f(a, b)', 'a = 1; b = 2; f(b, a)', swap)
    assert 'elsewhere' in why('a = 1; c = 2; f(a, c)', 'a = 1; a = 2; f(a, a)', swap)
    assert why(["d['wish']", "d['want']"], ["d['want']", "d['want']"], text={'wish': ['want']})
    assert why(['f(x=1)', 'f(y=2)'], ['f(y=1)', 'f(y=2)'], dict(x=['y']))
    assert why('def f(a, b): return a - b', 'def f(b, a): return a - b', swap)
    assert why('[a - b for a in b]', '[b - b for b in b]', swap)
    assert why('a = 1\ndef f(b, n=a): return b', 'a = 1\ndef f(b, n=b): return b')


def test_a_name_comes_from_the_definition_that_it_came_from():
    more, less = 'def draw(n): return n + 1', 'def draw(n): return -n'
    before = carry.definitions({'dlcv_gan.game': more, 'dlcv_gan.view': less})
    after = carry.definitions({'dlcv_gan.game.base': more, 'dlcv_gan.view': less})
    old, new = ('from dlcv_gan.{} import draw\ndraw(3)'.format(m) for m in ('game', 'game.base'))
    assert why(old, new, before=before, after=after) == ''
    assert 'is not draw of dlcv_gan.view' in why(old, new.replace('game.base', 'view'), before=before, after=after)
    assert 'no longer imported' in why('from dlcv_gan.game import sum\nsum(x)', 'sum(x)')
    assert 'came from torch' in why('from torch import ones\nones(3)', 'from numpy import ones\nones(3)')


def test_outputs_stay_but_for_the_addresses_of_links():
    shown = lambda text, kind='text/plain': [nbformat.v4.new_output('display_data', {kind: text})]
    same = lambda a, b: carry.same(book('f()', outputs=a), book('f()', outputs=b), {}, {})
    assert 'outputs' in same(shown('0.5'), shown('0.6')) and not same(shown('0.5'), shown('0.5'))
    links = [shown(f'[a]({x}.ipynb), 3', 'text/markdown') for x in ('10_vae', '../assignments/01_vae')]
    assert not same(*links) and same(links[0], shown('[a](x), 4', 'text/markdown'))


def test_a_table_cannot_hide_a_number(tmp_path):
    for bad in ('[text]\n"lr 0.1" = "lr 0.2"', '[text]\n"0.1" = "0.1"', '[names]\n"a b" = "c"',
                '[text]\n"--d 5" = "--d 1"'):
        (tmp_path/'t.toml').write_text(bad)
        with pytest.raises(SystemExit): carry.read_renames(tmp_path/'t.toml')
    (tmp_path/'t.toml').write_text('[names]\na = ["b", "c"]\n[text]\n"10_vae" = "01_vae"')
    assert carry.read_renames(tmp_path/'t.toml') == (dict(a=['b', 'c']), {'10_vae': ['01_vae']})
    assert carry.read_renames(ROOT/'tools'/'renames.toml')


def test_a_moved_notebook_is_stamped_and_a_changed_one_is_shown(tmp_path, monkeypatch, capsys):
    for name in ('nbs', 'dlcv_gan', 'tools', 'docs'): (tmp_path/name).mkdir()
    def git(*words):
        subprocess.run(['git', '-c', 'user.name=n', '-c', 'user.email=e', *words], cwd=tmp_path, check=True,
                       capture_output=True)
    monkeypatch.setattr(notebooks, 'ROOT', tmp_path)
    monkeypatch.setattr(notebooks, 'NBS', tmp_path/'nbs')
    for name, source in (('10_a', 'from dlcv_gan.old import f\nf(1)'), ('11_b', 'x = 1'), ('12_c', 'y = 1')):
        nb = book(source)
        nb.metadata['executed'] = dict(code=notebooks.fingerprint(nb), scale='laptop', seconds=5)
        notebooks.save(nb, tmp_path/'nbs'/f'{name}.ipynb')
    (tmp_path/'dlcv_gan'/'old.py').write_text('def f(n): return n')
    git('init', '-q'), git('add', '.'), git('commit', '-qm', 'm')
    for old, new, source in (('10_a', 'room/01_a', 'from dlcv_gan.new import f\nf( 1 )'),
                             ('11_b', 'room/02_b', 'x = 2')):
        path = tmp_path/'nbs'/f'{new}.ipynb'
        path.parent.mkdir(exist_ok=True)
        nb = nbformat.read(tmp_path/'nbs'/f'{old}.ipynb', as_version=4)
        nb.cells[0].source = source
        notebooks.save(nb, path)
        (tmp_path/'nbs'/f'{old}.ipynb').unlink()
    (tmp_path/'dlcv_gan'/'old.py').rename(tmp_path/'dlcv_gan'/'new.py')
    (tmp_path/'docs'/'moved.toml').write_text('[pages]\n10_a = "room/a"\n11_b = "room/b"\n')
    assert carry.carry('HEAD') == 1
    said = capsys.readouterr().out
    assert 'room/01_a: same as 10_a' in said
    assert 'room/02_b: differs. cell c0: 1 became 2' in said and '-x = 1\n+x = 2' in said
    assert '12_c' not in said # its stamp is valid
    room = tmp_path/'nbs'/'room'
    stamp = json.loads((room/'01_a.ipynb').read_text())['metadata']['executed']
    assert stamp['scale'] == 'laptop' and stamp['seconds'] == 5
    assert not notebooks.faults(room/'01_a.ipynb') and notebooks.faults(room/'02_b.ipynb')


def test_a_notebook_is_found_by_path_by_name_and_without_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, 'NBS', tmp_path)
    for name in ('assignments/01_vae', 'studies/01_gan', 'assignments/02_gan', 'index'):
        (tmp_path/name).parent.mkdir(exist_ok=True)
        (tmp_path/f'{name}.ipynb').touch()
    for name in ('assignments/01_vae', '01_vae', 'vae', 'nbs/assignments/01_vae.ipynb'):
        assert notebooks.paths_of([name]) == [tmp_path/'assignments'/'01_vae.ipynb']
    assert notebooks.paths_of(['index']) == [tmp_path/'index.ipynb']
    assert notebooks.paths_of(['02_gan', 'studies']) == [tmp_path/'assignments'/'02_gan.ipynb',
                                                         tmp_path/'studies'/'01_gan.ipynb']
    assert len(notebooks.paths_of([])) == 4
    with pytest.raises(SystemExit, match='assignments/02_gan, studies/01_gan'): notebooks.paths_of(['gan'])
    with pytest.raises(SystemExit, match='no notebook or room is called .vea'): notebooks.paths_of(['vea'])


def test_what_a_silenced_cells_processes_wrote_is_no_output():
    bar, kept = (dict(output_type='stream', name=name, text='gan ██░░') for name in ('stderr', 'stdout'))
    def cell(source): return dict(cell_type='code', source=source, outputs=[bar, kept])
    nb = dict(cells=[cell('with redirect_stderr(StringIO()): train()'), cell('train()')])
    notebooks.silence(nb)
    assert [c['outputs'] for c in nb['cells']] == [[kept], [bar, kept]]
