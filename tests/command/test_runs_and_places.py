"Nothing wrong in silence: labels have names, places are looked at before the work, a folder has one process."
import contextlib, csv, io, json, os, shutil, subprocess, sys, time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from terminal import call, done, refused

from dlcv_gan.cli.command import main
from dlcv_gan.data.pictures import Pictures
from dlcv_gan.files import json_text
from dlcv_gan.runs.folder import hold_run, label_names, load_run, open_data, read_conditions_of, write_conditions
from dlcv_gan.runs.scoring import load_evaluator
from dlcv_gan.runs.settings import RunSettings
from dlcv_gan.runs.training import start, train_run
from dlcv_gan.scores import Evaluator

SMALL = ['--size', 32, '--width', 4, '--nz', 8, '--bs', 8, '--rounds', 2]
ENV = {**os.environ, 'PYTHONWARNINGS': 'ignore', 'MPLBACKEND': 'agg', 'OMP_NUM_THREADS': '1'}
COMMAND = [sys.executable, '-m', 'dlcv_gan']


def state(folder): # every file with its bytes
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob('*'))
            if p.is_file() and '.dlcv_gan_cache' not in p.parts}


def table(folder, names, n=24, size=32, seed=0):
    "Labelled pictures: a label shows as the brightness of a channel."
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, (n, len(names)))
    for split in ('train', 'test'):
        (folder/split).mkdir(parents=True)
        with open(folder/f'{split}.csv', 'w', newline='') as f:
            rows = csv.writer(f)
            rows.writerow(['image_name', *names])
            for i, row in enumerate(labels):
                pixels = random.integers(0, 60, (size, size, 3)) + 180 * np.resize(row, 3)
                Image.fromarray(pixels.astype(np.uint8)).save(folder/split/f'{i:03}.png')
                rows.writerow([f'{i:03}.png', *row])
    return folder


def rewritten(data, to, change):
    "A copy with another table."
    shutil.copytree(data, to, ignore=shutil.ignore_patterns('.dlcv_gan_cache'))
    for split in ('train', 'test'):
        with open(to/f'{split}.csv', newline='') as f: rows = list(csv.reader(f))
        with open(to/f'{split}.csv', 'w', newline='') as f: csv.writer(f).writerows(change(rows))
    return to


def reversed_columns(rows): return [[r[0], *r[:0:-1]] for r in rows]
def renamed(rows): return [['Bald' if name == 'Male' else name for name in row] for row in rows]


@pytest.fixture(scope='module')
def data(tmp_path_factory): return table(tmp_path_factory.mktemp('data')/'faces', ['Male', 'Smiling'])


@pytest.fixture(scope='module')
def acgan(data, tmp_path_factory):
    run = tmp_path_factory.mktemp('runs')/'acgan'
    done('train', 'acgan-mended', '--data', data, *SMALL, '--set', 'labels=2', '--out', run)
    return run


@pytest.fixture(scope='module')
def vae(data, tmp_path_factory):
    run = tmp_path_factory.mktemp('runs')/'vae'
    done('train', 'vae', '--data', data, *SMALL, '--out', run)
    return run


@pytest.fixture(scope='module')
def translator(tmp_path_factory):
    root = tmp_path_factory.mktemp('pairs')
    for side in 'AB':
        (root/f'train{side}').mkdir()
        for i in range(3):
            pixels = np.random.default_rng(i).integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root/f'train{side}'/f'{i}.png')
    done('train', 'cyclegan', '--data', root, '--size', 32, '--width', 2, '--set', 'blocks=1', '--bs', 1, '--rounds', 1,
         '--out', root/'run')
    return root/'run'


# ---- labels have names

def test_columns_in_another_order_are_the_same_labels(acgan, data, tmp_path):
    other = rewritten(data, tmp_path/'other', reversed_columns)
    assert label_names(acgan) == ['Male', 'Smiling'] == RunSettings.read(acgan).label_names
    scores = [json.loads(done('score', acgan, '--data', d, '--n', 24, '--json')) for d in (data, other)]
    assert scores[0]['attribute_accuracy'] == scores[1]['attribute_accuracy']
    run = shutil.copytree(acgan, tmp_path/'run')
    done('train', '--out', run, '--resume', '--data', other, '--rounds', 4) # the same labels, by name
    straight = tmp_path/'straight'
    flags = [f for f in SMALL if f != 2]
    done('train', 'acgan-mended', '--data', data, *flags, 4, '--set', 'labels=2', '--out', straight)
    a, b = load_file(run/'weights.safetensors'), load_file(straight/'weights.safetensors')
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize('change, says', [
    (renamed, ["'Male' missing", "'Bald' unknown"]), (lambda rows: [r[:2] for r in rows], ["'Smiling' missing"]),
    (lambda rows: [[*r, r[1]] if i else [*r, 'Young'] for i, r in enumerate(rows)], ["'Young' unknown"])])
def test_labels_that_the_run_does_not_know_are_refused_by_name(acgan, data, tmp_path, change, says):
    other, run = rewritten(data, tmp_path/'other', change), shutil.copytree(acgan, tmp_path/'run')
    before = state(run)
    for line in (['score', run, '--data', other], ['train', '--out', run, '--resume', '--data', other, '--rounds', 9]):
        message = refused(*line)
        for words in says: assert words in message
    assert state(run) == before


def test_an_attribute_that_was_chosen_is_found_among_others(data, tmp_path):
    run = tmp_path/'run'
    done('train', 'acgan-mended', '--data', data, *SMALL, '--attributes', 'Smiling', '--out', run)
    other = rewritten(data, tmp_path/'other', reversed_columns)
    assert set(json.loads(done('score', run, '--data', other, '--json'))['attribute_accuracy']) == {'Smiling'}
    gone = rewritten(data, tmp_path/'gone', lambda rows: [r[:2] for r in rows])
    assert 'Smiling' in refused('score', run, '--data', gone)


def test_a_reversed_objects_json_means_the_same_objects(tmp_path):
    done('draw', 'scenes', tmp_path/'a', '--n', 12, '--size', 32)
    done('train', 'cgan', '--data', tmp_path/'a', *SMALL, '--out', tmp_path/'run')
    shutil.copytree(tmp_path/'a', tmp_path/'b', ignore=shutil.ignore_patterns('.dlcv_gan_cache'))
    names = list(json.loads((tmp_path/'a'/'objects.json').read_text()))
    (tmp_path/'b'/'objects.json').write_text(json.dumps({name: i for i, name in enumerate(names[::-1])}))
    done('train', '--out', tmp_path/'run', '--resume', '--data', tmp_path/'b', '--rounds', 3)
    assert label_names(tmp_path/'run') == names


def test_an_evaluator_answers_in_the_order_that_is_asked_for(tmp_path):
    torch.manual_seed(0)
    net, x = Evaluator(3).eval(), torch.rand(2, 3, 64, 64)
    net.save(tmp_path/'e.safetensors')
    (tmp_path/'e.json').write_text(json.dumps(dict(labels=['a', 'b', 'c'], held_out=.5)))
    again = load_evaluator(tmp_path/'e.safetensors', ['c', 'a', 'b'])
    torch.testing.assert_close(again.probabilities(x), net.probabilities(x)[:, [2, 0, 1]])
    for damaged in ('{', '[]', '{"names": 3}'):
        (tmp_path/'e.json').write_text(damaged)
        with pytest.raises(ValueError, match='damaged'): load_evaluator(tmp_path/'e.safetensors', ['a', 'b', 'c'])


@pytest.mark.parametrize('names', [['a,b', 'say "c"'], ['x;y', '\u9ed1\u9aee'], ["it's", ' d']])
def test_names_survive_commas_and_quotes(tmp_path, names):
    "conditions.csv is written and read by the same rules, whatever the names hold."
    images, labels = np.zeros((3, 32, 32, 3), np.uint8), np.array([[0, 1], [1, 0], [1, 1]], np.uint8)
    settings = RunSettings.from_flags(dict(system='acgan-mended', data='.', set=['labels=2']))
    settings.with_data(3, 1, names).write(tmp_path)
    write_conditions(Pictures(images, labels, names), tmp_path/'conditions.csv')
    assert read_conditions_of(tmp_path, 3).tolist() == labels.tolist()
    assert read_conditions_of(tmp_path, 1, on=[names[1]]).tolist() == [[0, 1]]
    settings.write(tmp_path) # a run of earlier days has the names here alone
    assert label_names(tmp_path) == names
    for damage in ('', 'other,names\n1,0\n', names[0]):
        settings.with_data(3, 1, names).write(tmp_path)
        (tmp_path/'conditions.csv').write_text(damage)
        with pytest.raises(ValueError, match='conditions.csv is damaged'): read_conditions_of(tmp_path, 3)


# ---- no output on an input, or on another output

def test_pictures_of_one_name_are_translated_to_two_files(translator, tmp_path):
    for name in ('cat.jpg', 'cat.png', 'Cat.bmp', 'dog.png'):
        Image.new('RGB', (32, 32), (len(name), 40, 90)).save((tmp_path/'in').mkdir(exist_ok=True) or tmp_path/'in'/name)
    before = state(tmp_path/'in')
    assert '4 pictures' in done('translate', translator, '--data', tmp_path/'in', '--out', tmp_path/'set.v1')
    names = sorted(p.name for p in (tmp_path/'set.v1').iterdir())
    assert names == sorted(['cat.jpg.png', 'cat.png.png', 'Cat.bmp.png', 'dog.png'])
    assert len({n.lower() for n in names}) == 4 and (tmp_path/'set.v1.png').is_file() and state(tmp_path/'in') == before


def test_a_translation_never_lands_on_what_is_read(translator, tmp_path):
    (tmp_path/'in').mkdir()
    for i in range(3): Image.new('RGB', (32, 32), (i, 40, 90)).save(tmp_path/'in'/f'{i}.png')
    (tmp_path/'link').symlink_to(tmp_path/'in')
    before = state(tmp_path/'in')
    for out in (tmp_path/'in', tmp_path/'link', tmp_path/'in'/'..'/'in', tmp_path/'in'/'0.png'):
        refused('translate', translator, '--data', tmp_path/'in', '--out', out)
    # the sheet of all would be one of the pictures
    (tmp_path/'in'/'b').mkdir(); Image.new('RGB', (32, 32)).save(tmp_path/'in'/'b.png')
    assert 'b.png is read' in refused('translate', translator, '--data', tmp_path/'in', '--out', tmp_path/'in'/'b')
    (tmp_path/'in'/'b.png').unlink(); (tmp_path/'in'/'b').rmdir()
    assert state(tmp_path/'in') == before


@pytest.mark.parametrize('line', [
    ['sample', 'VAE', '--out', 'PLACE.png'], ['translate', 'TRANSLATOR', '--out', 'PLACE'],
    ['evaluator', 'DATA', 'PLACE.safetensors', '--epochs', 1], ['draw', 'faces', 'PLACE', '--n', 4],
    ['train', 'vae', '--data', 'DATA', *SMALL, '--out', 'PLACE'], ['export', 'VAE', 'PLACE']])
@pytest.mark.parametrize('place', ['file/below', 'x' * 300, '/proc/nowhere/out'])
def test_what_cannot_be_written_is_told_before_the_work(vae, translator, data, tmp_path, line, place):
    (tmp_path/'file').write_text('mine')
    named = dict(VAE=vae, TRANSLATOR=translator, DATA=data)
    words = [named.get(w, str(w).replace('PLACE', str(tmp_path/place))) for w in line]
    assert 'give another place' in refused(*words)
    assert [p.name for p in tmp_path.iterdir()] == ['file'] and (tmp_path/'file').read_text() == 'mine'


def test_an_evaluator_is_not_written_over_labels_or_weights(data, vae, tmp_path):
    (tmp_path/'train.json').write_text('{"a.png": ["red cube"]}')
    assert 'train.json' in refused('evaluator', data, tmp_path/'train.safetensors', '--epochs', 1)
    before = (vae/'weights.safetensors').read_bytes()
    assert 'no evaluator' in refused('evaluator', data, vae/'weights.safetensors', '--epochs', 1)
    assert (vae/'weights.safetensors').read_bytes() == before
    for _ in range(2): done('evaluator', data, tmp_path/'e.safetensors', '--epochs', 1) # its own may be replaced


@pytest.mark.parametrize('name', ['../x', '/tmp/x', '', '.', '..', 'a/b', 'a\\b', 'con:x', 'a\nb'])
def test_a_name_is_a_name(vae, tmp_path, name):
    assert '--name' in refused('export', vae, tmp_path/'web', '--name', name)
    assert not (tmp_path/'web').exists()


def test_an_export_leaves_the_run_alone(vae, tmp_path):
    run = shutil.copytree(vae, tmp_path/'settings')
    before = state(run)
    assert 'settings.json is there' in refused('export', run, run)
    assert state(run) == before


def test_a_run_is_not_put_among_the_pictures(data, tmp_path):
    (tmp_path/'in').mkdir()
    for i in range(20): Image.new('RGB', (32, 32), (i, 40, 90)).save(tmp_path/'in'/f'{i}.png')
    before = state(tmp_path/'in')
    for out in (tmp_path/'in', tmp_path/'in'/'.'): assert 'is read' in refused('train', 'vae', '--data', tmp_path/'in',
                                                                            *SMALL, '--out', out)
    assert 'among the pictures' in refused('train', 'vae', '--data', data, *SMALL, '--out', data/'train')
    assert state(tmp_path/'in') == before and not (data/'train'/'settings.json').exists()


# ---- one process a folder

def test_the_second_process_is_told_who_trains(vae, data, tmp_path):
    run = shutil.copytree(vae, tmp_path/'run')
    with hold_run(run):
        for line in (['train', '--out', run, '--resume', '--rounds', 9],):
            message = refused(*line)
            assert f'process {os.getpid()} on ' in message and ' since 20' in message and 'Ctrl-C' in message
        with pytest.raises(BlockingIOError): train_run(run, True)
        done('sample', run, '--n', 1) # looking is free
    done('train', '--out', run, '--resume', '--rounds', 3)
    assert not [p for p in run.iterdir() if p.name.startswith('.')]


def test_two_real_processes_and_a_killed_one(data, tmp_path):
    run = tmp_path/'run'
    line = ['train', 'vae', '--data', data, *SMALL[:-1], 100_000, '--save-every', 2, '--out', run]
    first = subprocess.Popen([*COMMAND, *map(str, line)], env=ENV, stderr=subprocess.DEVNULL)
    try:
        deadline = time.time() + 120
        while not (run/'checkpoint.pth').exists() and first.poll() is None and time.time() < deadline: time.sleep(.05)
        message = refused('train', '--out', run, '--resume')
        assert f'process {first.pid} on ' in message
        assert 'already holds a run' in refused(*line)
        with pytest.raises(BlockingIOError):
            with hold_run(run): pass
    finally: first.kill(); first.wait()
    with hold_run(run): pass # the lock died with its process


def test_two_that_start_at_once_are_one_run(data, tmp_path, monkeypatch):
    "Another process writes its settings while this one decodes: whoever is second is refused, the first one's stay."
    import dlcv_gan.runs.training as training
    flags, run, opened = dict(system='vae', data=str(data), size=32, width=4, nz=8, bs=8, rounds=2), tmp_path/'run', []
    def slow(settings):
        opened.append(start_first := settings.with_data(24, 3))
        start_first.write(run)
        return open_data(settings)
    monkeypatch.setattr(training, 'open_data', slow)
    with pytest.raises(FileExistsError, match='already holds a run'): start(run, dict(flags, seed=1))
    assert RunSettings.read(run) == opened[0]


# ---- numbers, memory

@pytest.mark.parametrize('flags, says', [
    (['--nz', -1], '--nz -1'), (['--nz', 0], '--nz 0'), (['--width', 0], '--width 0'), (['--width', -3], '--width -3'),
    (['--size', 0], '--size 0'), (['--size', -32], '--size -32'), (['--bs', 0], '--bs 0'), (['--bs', -4], '--bs -4'),
    (['--lr', 'nan'], '--lr'), (['--lr', 'inf'], '--lr'), (['--lr', 0], '--lr'), (['--ema', 'nan'], '--ema'),
    (['--ema', 1], '--ema'), (['--rotate', 'inf'], '--rotate'), (['--rotate', -5], '--rotate'),
    (['--seed', '9' * 20], '--seed'), (['--seed', 2 ** 32], '--seed'), (['--seed', -1], '--seed'),
    (['--rounds', '9' * 20], '--rounds'), (['--epochs', '9' * 20], '--epochs'), (['--warm-up', '9' * 20], '--warm-up'),
    (['--g', 10 ** 9], '--g'), (['--d', 10 ** 9], '--d'), (['--d', -1], 'D:G -1'), (['--bs', 10 ** 9], '--bs'),
    (['--width', 10 ** 6], '--width'), (['--width', 10 ** 15], '--width'), (['--nz', 10 ** 11], '--nz'),
    (['--size', 2 ** 20], '1048576'), (['--betas', 'nan', .5], '--betas'), (['--set', 'width=0'], '--width 0'),
    (['--set', 'nz=NaN'], '--nz'), (['--penalty', 'r1', '--penalty-weight', 'nan'], '--penalty-weight'),
    (['--clip', 'inf'], '--clip'), (['--save-every', -1], '--save-every'),
    (['--best-every', '9' * 20], '--best-every')])
def test_numbers_that_no_training_can_have(data, tmp_path, flags, says):
    small = [w for i in range(0, len(SMALL), 2) if SMALL[i] not in flags for w in SMALL[i:i + 2]]
    if '--epochs' in flags: small = small[:-2]
    message = refused('train', 'gan', '--data', data, *small, *flags, '--out', tmp_path/'run')
    assert says in message and len(message) < 600
    assert not (tmp_path/'run').exists()


@pytest.mark.parametrize('line', [['sample', 'RUN', '--n', '9' * 20], ['sample', 'RUN', '--n', -1],
    ['sample', 'RUN', '--seed', '9' * 20], ['sample', 'RUN', '--seed', -1], ['score', 'RUN', '--n', -5],
    ['evaluator', 'DATA', 'OUT.safetensors', '--seed', '9' * 20], ['draw', 'faces', 'OUT', '--size', 0],
    ['draw', 'faces', 'OUT', '--size', -3], ['draw', 'faces', 'OUT', '--size', 10 ** 6],
    ['draw', 'faces', 'OUT', '--n', '9' * 20], ['draw', 'faces', 'OUT', '--seed', '9' * 20],
    ['hw4', 'OUT', '--seed', '9' * 20], ['hw3', 'OUT', '--seed', -1], ['sample', 'RUN', '--out', 'OUT.gif']])
def test_the_same_on_the_other_commands(vae, data, tmp_path, line):
    named = dict(RUN=str(vae), DATA=str(data))
    refused(*[named.get(w, str(w).replace('OUT', str(tmp_path/'out'))) for w in line])
    assert not any(tmp_path.iterdir())


def test_no_memory_is_one_line_that_names_the_flags(data, tmp_path):
    "A limit on the address space stands in for a small machine: it is told which flags need less, and nothing stays."
    pytest.importorskip('resource')
    code = ('import resource, sys\nfrom dlcv_gan.cli.command import main\nimport dlcv_gan.runs.training, torch\n'
            'used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()\n'
            'resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)\nsys.exit(main(sys.argv[1:]))')
    line = ['train', 'gan', '--data', data, '--size', 32, '--width', 256, '--bs', 24, '--rounds', 2, '--out',
            tmp_path/'run']
    end = subprocess.run([sys.executable, '-c', code, *map(str, line)], capture_output=True, text=True, env=ENV)
    assert end.returncode == 2 and 'Traceback' not in end.stderr, end.stderr
    message, = (x for x in end.stderr.splitlines() if x.startswith('error: '))
    for flag in ('--bs', '--width', '--size', '--precision'): assert flag in message
    assert not (tmp_path/'run').exists()


# ---- a picture is not worth a run

def test_a_picture_that_cannot_be_written_is_a_warning(data, tmp_path):
    "Somebody else's folders stand where the pictures go; weights and checkpoint are there all the same."
    run = tmp_path/'run'
    flags = dict(system='gan', data=str(data), size=32, width=4, nz=8, bs=8, rounds=5)
    pictures, learn = start(run, flags)
    for name in ('samples.gif', 'samples.png', 'curves.png', 'history.csv'): (run/name).mkdir()
    with pytest.warns(UserWarning) as told: assert train_run(run, pictures=pictures, learn=learn) is None
    said = ' '.join(str(w.message) for w in told)
    for name in ('samples.gif', 'samples.png', 'curves.png', 'history.csv'): assert name in said
    assert torch.load(run/'checkpoint.pth', weights_only=True)['rounds'] == 5 and load_run(run).sample(1).shape[0] == 1
    for name in ('samples.gif', 'samples.png', 'curves.png', 'history.csv'): (run/name).rmdir()
    code, out, err = call('train', '--out', run, '--resume')
    assert code == 0 and (run/'samples.png').is_file() and (run/'history.csv').is_file()


def test_a_warning_of_the_command_is_one_line(data, tmp_path):
    run = tmp_path/'run'
    (run/'samples.png').mkdir(parents=True)
    code, out, err = call('train', 'vae', '--data', data, *SMALL, '--out', run)
    assert code == 0 and [x for x in err.splitlines() if x.startswith('warning: could not write')], err


# ---- from another directory, and with data that moved

def test_a_relative_path_is_the_runs_own(data, tmp_path, monkeypatch):
    shutil.copytree(data, tmp_path/'a'/'faces')
    monkeypatch.chdir(tmp_path/'a')
    line = ['vae', '--data', 'faces', *SMALL, '--out']
    done('train', *line, '../run')
    (tmp_path/'b').mkdir(); monkeypatch.chdir(tmp_path/'b')
    done('train', *line, '../run', '--resume')
    done('train', '--out', '../run', '--resume', '--bs', 8, '--rounds', 3)
    assert '--bs 2' in refused('train', '--out', '../run', '--resume', '--bs', 2)
    done('score', '../run', '--n', 8)


def test_data_may_move_but_must_be_the_same(data, tmp_path):
    home, run = tmp_path/'faces', tmp_path/'run'
    shutil.copytree(data, home)
    done('train', 'vae', '--data', home, *SMALL, '--out', run)
    home = home.rename(tmp_path/'moved')
    for line in (['train', '--out', run, '--resume', '--rounds', 3], ['score', run]):
        assert '--data' in (said := refused(*line)) and str(tmp_path/'faces') in said
    assert 'no such folder' in refused('train', '--out', run, '--resume', '--data', tmp_path/'nowhere')
    done('train', '--out', run, '--resume', '--data', home, '--rounds', 3)
    assert RunSettings.read(run).data == str(home.resolve())
    done('train', '--out', run, '--resume', '--rounds', 4) # it has been remembered
    done('train', '--out', run, '--resume', '--data', home)
    for change in (lambda x: 255 - x, lambda x: np.where(np.arange(x.size).reshape(x.shape) == 7, x ^ 1, x)):
        other = shutil.copytree(home, tmp_path/'other', ignore=shutil.ignore_patterns('.dlcv_gan_cache'))
        picture = other/'train'/'003.png'
        Image.fromarray(change(np.asarray(Image.open(picture))).astype(np.uint8)).save(picture)
        before = state(run)
        assert 'other pictures' in refused('train', '--out', run, '--resume', '--data', other, '--rounds', 9)
        assert state(run) == before
        shutil.rmtree(other)


def test_the_evaluator_may_move_but_must_be_the_same(data, tmp_path):
    run, old, new = tmp_path/'run', tmp_path/'e.safetensors', tmp_path/'f.safetensors'
    done('evaluator', data, old, '--attributes', 'Male', '--epochs', 1)
    done('train', 'acgan-mended', '--data', data, '--attributes', 'Male', *SMALL, '--best-every', 2, '--evaluator', old,
         '--out', run)
    for a, b in ((old, new), (old.with_suffix('.json'), new.with_suffix('.json'))): a.rename(b)
    assert '--evaluator' in refused('train', '--out', run, '--resume', '--rounds', 4)
    done('train', '--out', run, '--resume', '--rounds', 4, '--evaluator', new)
    done('evaluator', data, old, '--attributes', 'Male', '--epochs', 1, '--seed', 1)
    assert 'another one' in refused('train', '--out', run, '--resume', '--rounds', 6, '--evaluator', old)


# ---- flags where the advice names them

def test_bad_pictures_can_be_skipped_wherever_pictures_are_read(data, vae, translator, tmp_path):
    bad = shutil.copytree(data, tmp_path/'bad', ignore=shutil.ignore_patterns('.dlcv_gan_cache'))
    for split in ('train', 'test'): (bad/split/'001.png').write_bytes(b'no picture')
    for line in (['evaluator', bad, tmp_path/'e.safetensors', '--epochs', 1], ['score', vae, '--data', bad],
                 ['translate', translator, '--data', bad/'train', '--out', tmp_path/'out']):
        assert '--on-bad skip' in refused(*line)
        code, _, err = call(*line, '--on-bad', 'skip')
        assert code == 0 and 'skipped 1 bad' in err and '001.png' in err, err


def test_adaptive_needs_a_game_that_notes_a_rank(translator, data, tmp_path, monkeypatch):
    from dlcv_gan.models.gan import GAN
    quiet = GAN.note
    monkeypatch.setattr(GAN, 'note', lambda self, **v: quiet(self, **{k: x for k, x in v.items() if k != 'rank'}))
    assert '--adaptive' in refused('train', 'gan', '--data', data, *SMALL, '--adaptive', '--out', tmp_path/'run')
    monkeypatch.undo()
    done('train', 'gan', '--data', data, *SMALL, '--adaptive', '--out', tmp_path/'run')


def test_precision_and_graphs_are_settings_of_the_run(data, tmp_path):
    done('train', 'vae', '--data', data, *SMALL, '--no-graphs', '--precision', 'fp32', '--out', tmp_path/'run')
    settings = RunSettings.read(tmp_path/'run')
    assert (settings.graphs, settings.precision) == (False, 'fp32')
    done('train', '--out', tmp_path/'run', '--resume', '--no-graphs')
    done('train', 'vae', '--data', data, *SMALL, '--out', tmp_path/'other')
    assert '--no-graphs: the run' in refused('train', '--out', tmp_path/'other', '--resume', '--no-graphs')


# ---- JSON, consoles, pipes

def test_json_has_null_where_there_is_no_number():
    value = dict(a=float('nan'), b=[np.float32('inf'), np.int64(3)], c=torch.tensor([1., float('-inf')]),
                 d=np.bool_(True))
    found = json.loads(json_text(value), parse_constant=lambda word: pytest.fail(f'{word} is not JSON'))
    assert found == dict(a=None, b=[None, 3], c=[1., None], d=True)


def test_a_console_without_the_letters_is_no_error(data, tmp_path):
    "Western Windows has no cat; its number is written, and the training is a good one."
    line = ['train', 'vae', '--data', str(data), *map(str, SMALL), '--out', str(tmp_path/'\u732b')]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding='cp1252') for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err): codes = main(line), main(line)
    out.flush(), err.flush()
    assert codes == (0, 2) and b'\\u732b: 2 rounds' in out.buffer.getvalue()
    assert b'\\u732b already holds' in err.buffer.getvalue() and err.buffer.getvalue().count(b'error') == 1


@pytest.mark.parametrize('words', [['systems'], ['describe', 'R1.GAN', '--json']])
def test_a_reader_that_leaves_is_no_error(words):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, 'w') as gone, contextlib.redirect_stdout(gone): assert main(words) == 141


def test_help_for_a_reader_that_leaves():
    run = f'{sys.executable} -m dlcv_gan --help; echo code $? >&2'
    end = subprocess.run(['bash', '-c', f'( {run} ) | (exec 0<&-; sleep .2)'], capture_output=True, text=True, env=ENV)
    assert end.stderr.strip() in ('code 0', 'code 141'), end.stderr


def test_a_terminal_that_is_closed_does_not_end_the_training(data, tmp_path):
    flags = dict(system='vae', data=str(data), size=32, width=4, nz=8, bs=8, rounds=5)
    pictures, learn = start(tmp_path/'run', flags)
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, 'w', buffering=1) as gone, contextlib.redirect_stderr(gone):
        assert train_run(tmp_path/'run', pictures=pictures, learn=learn) is None
        os.dup2(os.open(os.devnull, os.O_WRONLY), writes) # what is still buffered
    assert load_file(tmp_path/'run'/'weights.safetensors')
