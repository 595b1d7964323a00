"The command as it is used: drawn data, a run that is killed and goes on, samples, scores, and what users get wrong."
import json, os, re, shutil, signal, subprocess, sys, time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from terminal import call, done, refused

from dlcv_gan.cli.flags import make_parser
from dlcv_gan.courses.hw3 import translation_in_words, translations
from dlcv_gan.runs.folder import load_run
from dlcv_gan.runs.settings import RunSettings, objectives, penalties

SMALL = ['--size', '32', '--width', '4', '--nz', '16', '--bs', '8']
ENV = {**os.environ, 'PYTHONWARNINGS': 'ignore', 'MPLBACKEND': 'agg', 'OMP_NUM_THREADS': '1'}


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    "Both a run that was killed and one that was not must add in the same order."
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')/'faces'
    assert 'train vae' in done('draw', 'faces', root, '--n', 48, '--test', 12, '--size', 32)
    return root


@pytest.fixture(scope='module')
def whole(faces, tmp_path_factory):
    "A GAN run from its start to its end, with everything switched on."
    run = tmp_path_factory.mktemp('runs')/'whole'
    code, out, err = call('train', 'gan', '--data', faces, *SMALL, '--rounds', 60, '--d', 2, '--g', 1, '--objective',
                          'hinge', '--spectral',
                          '--penalty', 'r1', '--penalty-weight', 1, '--lr', '4e-4', '1e-4', '--ema', .9, '--seed', 3,
                          '--save-every', 10, '--out', run)
    assert code == 0, err
    return run


@pytest.fixture(scope='module')
def vae(faces, tmp_path_factory):
    run = tmp_path_factory.mktemp('runs')/'vae'
    code, _, err = call('train', 'vae', '--data', faces, *SMALL, '--epochs', 2, '--set', 'kl_weight=0.5', '--out', run)
    assert code == 0, err
    return run


def same(a, b):
    a, b = load_file(a/'weights.safetensors'), load_file(b/'weights.safetensors')
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# ---- a run and its folder

def test_a_run_leaves_everything(whole):
    names = {p.name for p in whole.iterdir()}
    assert names == {'settings.json', 'checkpoint.pth', 'weights.safetensors', 'history.csv', 'samples.png',
                     'samples.gif', 'curves.png'}
    import pandas as pd
    history = pd.read_csv(whole/'history.csv')
    assert history['steps_discriminator'].max() == 60 and history['steps_generator'].max() == 30
    assert {'discriminator.adversarial', 'discriminator.penalty', 'generator.adversarial'} <= set(history)
    with Image.open(whole/'samples.gif') as film: assert film.n_frames > 20


def test_loaded_run_is_the_average_and_draws(whole):
    weights = load_file(whole/'weights.safetensors')
    for ema, part in ((True, 'ema'), (False, 'game')):
        game = load_run(whole, ema=ema)
        assert all(torch.equal(v, weights[f'{part}.{k}']) for k, v in game.state_dict().items()) and not game.training
    assert not torch.equal(weights['ema.generator.body.1.weight'], weights['game.generator.body.1.weight'])
    assert game.sample(2).shape == (2, 3, 32, 32)


def test_killed_run_goes_on_to_the_same_weights(whole, faces, tmp_path):
    "kill -9 between two checkpoints: the resumed run ends with the weights of one that was not killed, bit for bit."
    run = tmp_path/'killed'
    flags = json.loads((whole/'settings.json').read_text())['flags']
    words = [str(w) for k, v in flags.items() if k != 'system'
             for w in (f"--{k.replace('_', '-')}", *([] if v is True else v if isinstance(v, list) else [v]))]
    command = [sys.executable, '-m', 'dlcv_gan', 'train', 'gan', *words, '--out', str(run)]
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.time() + 120
        while not (run/'checkpoint.pth').exists():
            assert process.poll() is None and time.time() < deadline, process.stderr.read()
            time.sleep(.01)
    finally: process.kill()
    process.wait()
    process.stderr.close()
    assert not (run/'weights.safetensors').exists(), 'it ended before it could be killed'
    assert load_run(run).sample(1).shape == (1, 3, 32, 32) # what there is can be looked at
    code, _, err = call('train', '--out', run, '--resume')
    assert code == 0, err
    assert min(map(int, re.findall(r'round (\d+)/60', err))) > 10, 'it began again instead of going on'
    assert same(run, whole)
    assert not [p.name for p in run.iterdir() if p.name.startswith('.')], 'nothing half-written may stay'


def test_ctrl_c_saves_and_says_how_to_go_on(faces, tmp_path):
    run = tmp_path/'stopped'
    command = [sys.executable, '-m', 'dlcv_gan', 'train', 'vae', '--data', str(faces), *SMALL, '--rounds',
               '100000', '--save-every', '6', '--out', str(run)]
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while not (run/'checkpoint.pth').exists() and time.time() < deadline and process.poll() is None: time.sleep(.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and f'dlcv_gan train --out {run} --resume' in err and 'Traceback' not in err
    state = torch.load(run/'checkpoint.pth', weights_only=True)
    assert state['moved'] == 0 and state['rounds'] >= 6 and (run/'history.csv').exists()


def test_a_run_can_be_made_longer_but_not_shorter(vae, tmp_path):
    run = shutil.copytree(vae, tmp_path/'longer')
    code, _, err = call('train', '--out', run, '--resume', '--rounds', 15)
    assert code == 0 and torch.load(run/'checkpoint.pth', weights_only=True)['rounds'] == 15, err
    assert 'may make it longer' in refused('train', '--out', run, '--resume', '--rounds', 5)


def test_conflicts_on_resume_are_named(vae, faces):
    assert '--bs 4' in (said := refused('train', '--out', vae, '--resume', '--bs', 4)) and 'started with 8' in said
    assert 'SYSTEM gan' in refused('train', 'gan', '--out', vae, '--resume')
    # the same again is no conflict
    assert call('train', 'vae', '--data', faces, *SMALL, '--seed', 0, '--out', vae, '--resume')[0] == 0
    assert 'add --resume' in refused('train', 'vae', '--data', faces, *SMALL, '--out', vae)


# ---- looking and measuring

def test_sample_draws_a_grid_and_repeats_it(vae, tmp_path):
    files = [tmp_path/f'{i}.png' for i in range(3)]
    for file, seed in zip(files, (5, 5, 6)):
        assert call('sample', vae, '--n', 6, '--seed', seed, '--out', file)[:2] == (0, f'{file}\n')
    a, b, c = (np.asarray(Image.open(f)) for f in files)
    assert (a == b).all() and (a != c).any() and a.ndim == 3


def test_a_pretrained_run_is_drawn_and_scored_without_a_folder(faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call('sample', '--pretrained', 'gan-faces', '--n', 4)[:2] == (0, 'gan-faces-seed0.png\n')
    assert Image.open(tmp_path/'gan-faces-seed0.png').size[0] > 4 * 64 - 1
    code, out, _ = call('score', '--pretrained', 'gan-faces', '--data', faces, '--json')
    assert code == 0 and json.loads(out)['run'] == 'gan-faces' and json.loads(out)['features'] == 'faces'
    assert 'gan-faces' in call('systems')[1]
    assert 'did you mean gan-faces' in refused('sample', '--pretrained', 'gan-face')
    assert '--pretrained' in refused('sample')
    assert 'not allowed' in refused('sample', tmp_path, '--pretrained', 'gan-faces')


def test_score_is_one_json_object(vae, whole):
    code, out, _ = call('score', vae, '--json')
    score = json.loads(out)
    assert code == 0 and score['system'] == 'R1.VAE' and score['n'] == 12
    assert score['mse']['[-1,1]'] == pytest.approx(4 * score['mse']['[0,1]'])
    assert 'mean over pixels' in score['mse']['reduction']
    for name in ('sharpness', 'diversity', 'frechet_distance', 'kernel_distance'):
        for of in ('samples', 'real'):
            assert score[name][of]['low'] <= score[name][of]['value'] <= score[name][of]['high']
    # it has hardly been trained
    assert score['frechet_distance']['samples']['value'] > score['frechet_distance']['real']['value']
    code, out, _ = call('score', whole)
    assert code == 0 and 'sharpness' in out and 'mse' not in out


def test_describe_gives_the_printed_counts():
    code, out, _ = call('describe', 'r1.vae', '--json')
    about = json.loads(out)
    assert code == 0 and about['nets']['encoder']['keras_params'] == 20_713_664
    assert about['nets']['decoder']['keras_params'] == 14_690_499
    code, out, _ = call('describe', 'R1.VAE')
    assert code == 0 and '8,389,632' in out and '(20,713,664 as Keras counts' in out


def test_systems_lists_names_objectives_and_penalties():
    code, out, _ = call('systems')
    assert code == 0 and all(word in out for word in ('R1.VAE', 'R1.GAN', *objectives(), *penalties()))
    assert {'minimax', 'non_saturating', 'least_squares', 'hinge', 'wasserstein'} <= set(objectives())
    assert {'gradient_penalty', 'dragan', 'r1'} <= set(penalties())
    assert not {'clip_weights', 'kl', 'reconstruction', 'input_gradient'} & set(penalties())


def test_help_teaches_without_loading_torch():
    code = ("import sys; from dlcv_gan.cli.command import main\n"
            "try: main(['--help'])\nexcept SystemExit: print('torch' in sys.modules)")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=ENV)
    assert done.stdout.strip().endswith('False') and 'dlcv_gan draw faces faces' in done.stdout
    for name in make_parser()._subparsers._group_actions[0].choices:
        code, out, _ = call(name, '--help')
        assert code == 0 and 'examples:' in out and out.count(f'dlcv_gan {name}') >= 2


# ---- what users get wrong

@pytest.mark.parametrize('flags, named', [
    (['gna'], "'gan'"), (['vae', '--d', '2'], '--d: R1.VAE has one player'),
    (['vae', '--spectral'], '--spectral: R1.VAE takes no such'),
    (['vae', '--set', 'kl-weight'], 'NAME=VALUE'), (['vae', '--set', 'beta=2'], '--set beta: R1.VAE takes no such'),
    (['gan', '--d', '0', '--g', '0'], '0:0 moves nobody'),
    (['gan', '--objective', 'hinged'], '--objective hinged'), (['gan', '--penalty', 'r2'], '--penalty r2'),
    (['gan', '--penalty-weight', '3'], '--penalty-weight: say which'),
    (['gan', '--adaptive', '--d', '3'], '--adaptive decides'), (['gan', '--lr', '1', '2', '3'], '--lr: 3 rates for 2'),
    (['vae', '--lr', '-1'], '--lr'),
    (['vae', '--bs', '100'], 'bs'), (['vae', '--size', '48'], '48'), (['vae', '--rounds', '0'], '--rounds'),
    (['vae', '--epochs', '1', '--rounds', '1'], 'give one of them'),
    (['vae', '--ema', '2'], 'decay'), (['vae', '--seed', '-1'], 'seed'), (['vae', '--bs', 'many'], '--bs'),
    (['vae', '--save-every', '0'], '--save-every'), ([], 'name a system')])
def test_wrong_flags_are_named_and_leave_nothing(faces, tmp_path, flags, named):
    small = [w for i in range(0, len(SMALL), 2) if SMALL[i] not in flags for w in SMALL[i:i + 2]]
    assert named in refused('train', *flags, '--data', faces, *small, '--out', tmp_path/'run')
    assert not (tmp_path/'run').exists()


def test_missing_things_are_named(tmp_path, faces):
    assert f"--data {tmp_path/'no'}" in refused('train', 'vae', '--data', tmp_path/'no', *SMALL, '--out',
                                                tmp_path/'run')
    assert '--data' in refused('train', 'vae', *SMALL, '--out', tmp_path/'run')
    for verb in ('sample', 'score'): assert str(tmp_path/'run') in refused(verb, tmp_path/'run')
    assert str(tmp_path/'run') in refused('train', '--out', tmp_path/'run', '--resume')
    assert "'r1.gan'" in refused('describe', 'R1.GAM')
    assert str(faces) in refused('draw', 'faces', faces, '--n', 5)
    assert '--n 0' in refused('draw', 'faces', tmp_path/'new', '--n', 0)


@pytest.mark.parametrize('file, damage', [('weights.safetensors', lambda b: b[:len(b) // 2]),
                                          ('settings.json', lambda b: b[:40]), ('settings.json', lambda b: b'[]')])
def test_damaged_files_are_named(vae, tmp_path, file, damage):
    run = shutil.copytree(vae, tmp_path/'run')
    (run/file).write_bytes(damage((run/file).read_bytes()))
    assert str(run/file) in refused('sample', run)


def test_damaged_or_foreign_checkpoint_is_named(vae, whole, tmp_path):
    run = shutil.copytree(vae, tmp_path/'run')
    (run/'checkpoint.pth').write_bytes((vae/'checkpoint.pth').read_bytes()[:5000])
    assert str(run/'checkpoint.pth') in refused('train', '--out', run, '--resume', '--rounds', 30)
    shutil.copy(whole/'checkpoint.pth', run/'checkpoint.pth')
    assert 'holds a GAN, not a VAE' in refused('train', '--out', run, '--resume', '--rounds', 30)
    shutil.copy(whole/'weights.safetensors', run/'weights.safetensors')
    assert str(run/'weights.safetensors') in refused('sample', run)


def test_truncated_picture_is_named_or_skipped(faces, tmp_path):
    data = shutil.copytree(faces, tmp_path/'faces', ignore=shutil.ignore_patterns('.dlcv_gan_cache'))
    bad = data/'train'/'00007.png'
    bad.write_bytes(bad.read_bytes()[:200])
    assert '00007.png' in refused('train', 'vae', '--data', data, *SMALL, '--rounds', 2, '--out', tmp_path/'run')
    assert not (tmp_path/'run').exists()
    code, _, err = call('train', 'vae', '--data', data, *SMALL, '--rounds', 2, '--on-bad', 'skip', '--out',
                        tmp_path/'run')
    assert code == 0 and 'skipped 1 bad' in err and '00007.png' in err
    assert json.loads((tmp_path/'run'/'settings.json').read_text())['pictures'] == 47


def test_full_disk_leaves_the_last_whole_checkpoint(vae, tmp_path):
    "A file-size limit stands in for the full disk: the error names the file, the old checkpoint stays whole."
    resource = pytest.importorskip('resource')
    run = shutil.copytree(vae, tmp_path/'run')
    before, limits = (run/'checkpoint.pth').read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try: said = refused('train', '--out', run, '--resume', '--rounds', 30)
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(run/'checkpoint.pth') in said and 'free some space' in said
    assert (run/'checkpoint.pth').read_bytes() == before
    assert not [p.name for p in run.iterdir() if p.name.startswith('.')]
    assert call('train', '--out', run, '--resume')[0] == 0


def test_divergence_has_its_own_exit_code(faces, tmp_path):
    code, _, err = call('train', 'vae', '--data', faces, *SMALL, '--rounds', 40, '--lr', '1e30', '--out',
                        tmp_path/'run')
    assert code == 3 and 'error: the term ' in err and 'became' in err and 'Traceback' not in err
    assert (tmp_path/'run'/'history.csv').exists() and not (tmp_path/'run'/'weights.safetensors').exists()


# ---- conditional systems, and the worlds they are for

@pytest.fixture(scope='module')
def acgan(faces, tmp_path_factory):
    "A finished run of a system with one attribute."
    out = tmp_path_factory.mktemp('runs')/'acgan'
    done('train', 'acgan', '--data', faces, '--attributes', 'Smiling', *SMALL, '--nz', 12, '--set', 'embedded=4',
         '--rounds', 6, '--out', out)
    return out


def test_a_conditional_run_knows_its_labels(acgan, tmp_path):
    names, *rows = (acgan/'conditions.csv').read_text().splitlines()
    assert names == 'Smiling' and set(rows) == {'0', '1'}
    with_it, without = tmp_path/'on.png', tmp_path/'off.png'
    done('sample', acgan, '--n', 4, '--on', 'Smiling', '--out', with_it)
    done('sample', acgan, '--n', 4, '--on', '--out', without)
    assert with_it.read_bytes() != without.read_bytes()
    score = json.loads(done('score', acgan, '--n', 12, '--json'))
    assert set(score['attribute_accuracy']) == {'Smiling'}
    assert 0 <= score['attribute_accuracy']['Smiling']['samples'] <= 1


def test_wrong_labels_are_named(acgan, vae, faces, tmp_path):
    out = tmp_path/'run'
    assert '13' in refused('train', 'acgan', '--data', faces, *SMALL, '--out', out) # which of the thirteen?
    assert "'Smiling'" in refused('train', 'acgan', '--data', faces, '--attributes', 'Smilling', *SMALL, '--out', out)
    assert 'not conditional' in refused('train', 'vae', '--data', faces, '--attributes', 'Smiling', *SMALL,
                                        '--out', out)
    assert '--on Male' in refused('sample', acgan, '--on', 'Male')
    assert 'not conditional' in refused('sample', vae, '--on', 'Male')
    assert not out.exists()


@pytest.mark.parametrize('world, n, system, labels', [('anime', 40, 'cwgan', 23), ('scenes', 12, 'cgan', 24)])
def test_worlds_are_drawn_read_and_trained_on(tmp_path, world, n, system, labels):
    done('draw', world, tmp_path/world, '--n', n, '--size', 32)
    done('train', system, '--data', tmp_path/world, '--size', 32, '--width', 4, '--nz', 8, '--bs', 8, '--rounds', 5,
         '--out', tmp_path/'run')
    names = (tmp_path/'run'/'conditions.csv').read_text().splitlines()[0].split(',')
    assert len(names) == labels
    done('sample', tmp_path/'run', '--n', 2, '--on', names[0], names[-1])
    assert '--test' in refused('draw', world, tmp_path/'other', '--test', 5)


def test_horses_and_zebras_are_drawn(tmp_path):
    done('draw', 'horse2zebra', tmp_path/'h', '--n', 4, '--test', 6, '--size', 32)
    counts = {p.name: len(list(p.iterdir())) for p in (tmp_path/'h').iterdir() if p.is_dir()}
    assert counts == dict(trainA=4, trainB=5, testA=6, testB=7, truthA=6, truthB=7)


def test_an_evaluator_grades_a_run_and_chooses_its_best_weights(faces, tmp_path):
    evaluator, run = tmp_path/'smiling.safetensors', tmp_path/'run'
    code, out, err = call('evaluator', faces, evaluator, '--attributes', 'Smiling', '--epochs', 1)
    assert code == 0 and 'unseen pictures' in err and 'Smiling' in err
    flags = ['acgan-mended', '--data', faces, '--attributes', 'Smiling', *SMALL, '--ema', .5, '--rounds', 6,
             '--best-every', 4, '--out', run]
    assert 'it knows 1 labels, 2 are asked for' in refused('train', *flags[:4], 'Smiling', 'Male', *SMALL, '--set',
                                                           'labels=2', '--best-every', 2, '--evaluator', evaluator,
                                                           '--out', run)
    done('train', *flags, '--evaluator', evaluator)
    rows = (run/'scores.csv').read_text().splitlines()
    assert rows[0] == 'round,score'
    assert [int(r.split(',')[0]) for r in rows[1:]] == [4, 6], 'every four rounds, and the last'
    assert all(float(r.split(',')[1]) < 1 for r in rows[1:]), 'of one question the likeliest answer is no answer'
    assert 'with --best-every' in refused('train', *[f for f in flags if f not in ('--best-every', 4)][:-1],
                                          tmp_path/'never', '--evaluator', evaluator)
    assert 'knows Smiling; asked for are Male' in refused('train', *flags[:4], 'Male', *flags[5:-1], tmp_path/'never',
                                                          '--evaluator', evaluator)
    best, last = load_file(run/'best.safetensors'), load_file(run/'weights.safetensors')
    game = load_run(run)
    assert best.keys() == last.keys() and all(torch.equal(v, best[f'ema.{k}']) for k, v in game.state_dict().items())
    score = json.loads(done('score', run, '--n', 12, '--evaluator', evaluator, '--json'))
    assert 0 <= score['attribute_accuracy']['Smiling']['samples'] <= 1
    assert 'asked for nothing' in refused('train', 'gan', '--data', faces, *SMALL, '--best-every', 2, '--evaluator',
                                          evaluator, '--out', tmp_path/'other')


def test_one_cycle_rises_and_falls_and_survives_a_resume(faces, tmp_path):
    "The rate is a function of the round: twelve rounds in one go, and six and six, end with the same weights."
    common = ['vae', '--data', faces, *SMALL, '--one-cycle', '--betas', .9, .999, '--save-every', 3]
    done('train', *common, '--rounds', 12, '--out', tmp_path/'whole')
    command = [sys.executable, '-m', 'dlcv_gan', 'train', *map(str, common), '--rounds', '12', '--out',
               str(tmp_path/'killed')]
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path/'killed'/'checkpoint.pth').exists() and process.poll() is None: time.sleep(.005)
    process.kill(); process.wait()
    done('train', '--out', tmp_path/'killed', '--resume')
    assert same(tmp_path/'killed', tmp_path/'whole')
    assert '--betas' in refused('train', *common[:-4], '--betas', 1, .5, '--out', tmp_path/'wrong')


def test_printed_moments_are_the_default():
    for system, betas in dict(t2i=[.5, .9], cgan=[.5, .99], gan=[.5, .999]).items():
        assert RunSettings.from_flags(dict(system=system, data='.')).betas == betas
    assert RunSettings.from_flags(dict(system='gan', data='.', betas=[0, .9])).betas == [0, .9]


def test_a_system_that_wraps_another_takes_its_settings(tmp_path):
    "R2.ACGAN96 is R0.T2I with other defaults: whoever has a laptop makes it narrow with the same flags."
    done('draw', 'anime', tmp_path/'anime', '--n', 24, '--size', 32)
    done('train', 'acgan96', '--data', tmp_path/'anime', '--size', 32, '--width', 4, '--nz', 8, '--bs', 4, '--rounds',
         2, '--set', 'blocks=1', '--set', 'depth=1', '--out', tmp_path/'run')


def test_a_translator_learns_from_two_folders_and_translates(tmp_path):
    data, run = tmp_path/'h', tmp_path/'run'
    done('draw', 'horse2zebra', data, '--n', 4, '--test', 6, '--size', 32)
    done('train', 'cyclegan', '--data', data, '--size', 32, '--width', 2, '--set', 'blocks=1', '--bs', 2, '--rounds', 3,
         '--d', 2, '--g', 1, '--out', run)
    done('train', '--out', run, '--resume', '--rounds', 5)
    text = done('translate', run, '--to', 'b', '--out', tmp_path/'zebras')
    assert len(list((tmp_path/'zebras').iterdir())) == 6 and (tmp_path/'zebras.png').exists()
    assert '5 pictures' not in text and '7 pictures' in (back := done('translate', run, '--to', 'a'))
    scores = translations(load_run(run), data, 32, 'raise', tmp_path) # what the hand-in measures
    for said, way in ((text, 'a to b'), (back, 'b to a')):
        assert {'window', 'pixel'} <= set(scores[way]) and translation_in_words(scores[way]) in said
        assert said.count('had nothing been done') == 2
    shutil.rmtree(data/'truthA')
    assert 'had nothing been done' not in done('translate', run, '--to', 'b')
    done('sample', run, '--n', 2)
    assert 'translate' in refused('score', run)
    assert 'trainA' in refused('train', 'cyclegan', '--data', data/'trainA', '--size', 32, '--out', tmp_path/'other')


def test_only_translators_translate(vae): assert 'does not translate' in refused('translate', vae)
