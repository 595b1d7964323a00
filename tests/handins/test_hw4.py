"HW4 of DLCV handed in: the files the course wants, the same ones again for the same seed, and through a kill."
import json, os, shutil, signal, subprocess, sys, time

import numpy as np
import pytest
from PIL import Image

from dlcv_gan.courses.hw4 import answers, choose_attribute, figures, hw4
from dlcv_gan.data.pictures import Pictures

ENV = {**os.environ, 'PYTHONWARNINGS': 'ignore', 'OMP_NUM_THREADS': '1'}
run = [sys.executable, '-c', 'import sys; from dlcv_gan.courses.hw4 import hw4; '
                             'hw4(sys.argv[1], scale="smoke", seed=int(sys.argv[2]), infogan=True)']
quiet = lambda line: None


def timeless(scores): return {k: v for k, v in scores.items() if 'seconds' not in k}


@pytest.fixture(scope='module')
def handed_in(tmp_path_factory):
    out = tmp_path_factory.mktemp('hw4')/'run'
    subprocess.run([*run, str(out), '3'], check=True, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return out

def test_every_file_the_course_wants_is_there_and_is_a_picture(handed_in):
    for name, _ in figures: assert Image.open(handed_in/name).size[0] > 100, name
    wanted = {f'fig{n}.jpg' for n in ('1_2', '1_3', '1_4', '1_5', '2_2', '2_3', '3_2', '3_3', '4_1', '4_2', '4_3')}
    assert wanted <= {p.name for p in handed_in.iterdir()}
    size, gap = 32, 2
    for name, (across, down) in {'fig1_3.jpg': (10, 2), 'fig1_4.jpg': (8, 4), 'fig2_3.jpg': (8, 4),
                                 'fig3_3.jpg': (10, 2), 'fig4_2.jpg': (10, 10), 'fig4_3.jpg': (10, 8)}.items():
        assert Image.open(handed_in/name).size == (across * (size + gap) + gap, down * (size + gap) + gap)

def test_the_page_shows_every_figure_and_asks_for_nothing_else(handed_in):
    page = (handed_in/'index.html').read_text()
    assert all(f'src="{name}"' in page for name, _ in figures) and '://' not in page

def test_the_scores_say_their_range_and_beat_nothing_they_did_not_measure(handed_in):
    scores = json.loads((handed_in/'metrics.json').read_text())
    text = dict(answers(scores))
    said = text['Mean squared error of the VAE on the test set']
    assert 'pixels in [-1, 1]' in said and f"{scores['vae']['test_mse']:.4f}" in said
    worse = json.loads(json.dumps(scores))
    worse['gan']['samples']['sharpness'] = scores['vae']['samples']['sharpness'] / 2
    assert 'Not sharper' in dict(answers(worse))['VAE against GAN']
    deaf = json.loads(json.dumps(scores)); deaf['acgan']['found']['accuracy'] = .5
    assert 'does not obey' in answers(deaf)[-1][1]

def test_a_dead_generator_and_what_was_not_measured_are_told_as_such(handed_in):
    scores = json.loads((handed_in/'metrics.json').read_text())
    dead = json.loads(json.dumps(scores))
    dead['acgan'].update(change_with_the_attribute=0., change_with_the_code=0.)
    for part in ('vae', 'gan'): dead[part]['samples'].update(sharpness=0., diversity=0.)
    text = dict(answers(dead))
    said = ' '.join(text.values())
    assert 'draws one and the same picture' in said and 'is kept' not in said and 'nan' not in said
    assert 'an undefined share (both are 0) of the sharpness of' in text['VAE against GAN']
    assert 'Not sharper' in text['VAE against GAN']
    dead['acgan'].update(change_with_the_attribute=.3)
    assert 'one picture for each answer' in answers(dead)[-1][1]
    for nothing in (None, float('nan')):
        blind = json.loads(json.dumps(scores))
        for part in ('found', 'found_in_real'): blind['acgan'][part]['accuracy'] = nothing
        blind['gan']['samples']['sharpness'] = blind['gan']['rank'] = nothing
        said = ' '.join(dict(answers(blind)).values())
        assert 'not measured' in said and 'nan' not in said and 'does not obey' not in said

def test_nothing_is_praised_that_does_not_work(handed_in):
    "What is kept says nothing while the attribute is not switched; sharper is no praise beside a larger distance."
    scores = json.loads((handed_in/'metrics.json').read_text())
    def said(**of_acgan):
        other = json.loads(json.dumps(scores))
        other['acgan'].update(dict(change_with_the_attribute=.1, change_with_the_code=.4), **of_acgan)
        other['acgan']['samples']['diversity'] = other['real']['diversity'] * of_acgan.get('alive', 1.)
        return answers(other)[-1][1]
    obeyed = dict(scores['acgan']['found'], accuracy=.95)
    assert 'most of the face is kept' in said(found=obeyed)
    deaf = said(found=dict(obeyed, accuracy=.5))
    assert 'does not obey' in deaf and 'is kept' not in deaf
    collapsed = said(found=obeyed, alive=.02)
    assert 'is kept' not in collapsed and 'hardly differ' in collapsed
    unknown = said(found=dict(obeyed, accuracy=None))
    assert 'is kept' not in unknown and 'not measured' in unknown
    sharp = json.loads(json.dumps(scores))
    for part, sharpness, distance in (('vae', .01, .1), ('gan', .05, .2)):
        sharp[part]['samples'].update(sharpness=sharpness, kernel_distance=dict(value=distance, low=distance - .01,
                                                                               high=distance + .01))
    sharp['real']['sharpness'] = .1
    text = dict(answers(sharp))['VAE against GAN']
    assert 'as the course expects' not in text and 'farther' in text
    sharp['gan']['samples']['kernel_distance'] = dict(value=.05, low=.04, high=.06)
    assert 'Sharper and nearer' in dict(answers(sharp))['VAE against GAN']
    sharp['vae'].update(test_mse=.2, mean_face_mse=.1)
    assert 'no better than the mean face' in dict(answers(sharp))['Mean squared error of the VAE on the test set']

def faces(**columns): # attribute -> its values, one a picture
    labels = np.array(list(columns.values()), np.uint8).T
    return Pictures(np.zeros((len(labels), 8, 8, 3), np.uint8), labels, list(columns))

def test_an_attribute_that_never_varies_is_not_chosen():
    some, most = [0, 1, 0, 1], [1, 1, 1, 0]
    assert choose_attribute(faces(Smiling=most, Male=some)) == 'Male'
    assert choose_attribute(faces(Male=[1] * 4, Bangs=most, Smiling=some)) == 'Smiling'
    assert choose_attribute(faces(Male=[0] * 4, Bangs=[1] * 4)) is None
    train = faces(Male=some, Bangs=most, Smiling=some)
    assert choose_attribute(train, test=faces(Male=[1] * 4, Bangs=some, Smiling=[0] * 4)) == 'Bangs'
    assert choose_attribute(train, test=faces(Male=[1] * 4, Bangs=[0] * 4, Smiling=[0] * 4)) is None
    assert choose_attribute(Pictures(np.zeros((4, 8, 8, 3), np.uint8))) is None

def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been_killed(handed_in, tmp_path):
    out = tmp_path/'run'
    process = subprocess.Popen([*run, str(out), '3'], env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # killed in its second part
    while not (out/'gan'/'settings.json').exists() and process.poll() is None: time.sleep(.01)
    process.send_signal(signal.SIGKILL); process.wait()
    assert (out/'vae'/'weights.safetensors').exists() and not (out/'metrics.json').exists()
    trained = (out/'vae'/'weights.safetensors').stat().st_mtime_ns
    subprocess.run([*run, str(out), '3'], check=True, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert (out/'vae'/'weights.safetensors').stat().st_mtime_ns == trained, 'a finished part was trained again'
    a, b = (timeless(json.loads((o/'metrics.json').read_text())) for o in (handed_in, out))
    assert a == b
    for name in ('vae/weights.safetensors', 'gan/weights.safetensors', 'acgan/weights.safetensors', 'fig1_3.jpg',
                 'fig1_4.jpg', 'fig2_3.jpg', 'fig3_3.jpg'):
        assert (handed_in/name).read_bytes() == (out/name).read_bytes(), name

def test_a_folder_is_claimed_by_one_hand_in(handed_in):
    with pytest.raises(FileExistsError, match='another seed'):
        hw4(handed_in, scale='smoke', seed=4, infogan=True, say=quiet)
    with pytest.raises(FileExistsError, match='another acgan'):
        hw4(handed_in, scale='smoke', seed=3, acgan=False, infogan=True, say=quiet)
    with pytest.raises(FileExistsError, match='another infogan'): hw4(handed_in, scale='smoke', seed=3, say=quiet)
    with pytest.raises(ValueError, match='no scale'): hw4(handed_in, scale='huge', say=quiet)

def test_weights_of_an_earlier_hand_in_draw_the_same_figures(handed_in, tmp_path):
    data = shutil.copytree(handed_in/'hw4_data', tmp_path/'data')
    runs = [shutil.copytree(handed_in/part, tmp_path/'runs'/part) for part in ('vae', 'gan', 'acgan')]
    def again(): hw4(tmp_path/'again', data=data, scale='smoke', seed=3, weights=tmp_path/'runs', say=quiet)
    again()
    assert not (tmp_path/'again'/'gan').exists()
    figures = ('fig1_3.jpg', 'fig2_3.jpg', 'fig3_3.jpg')
    for name in figures: assert (tmp_path/'again'/name).read_bytes() == (handed_in/name).read_bytes()
    kept = (runs[1]/'weights.safetensors').read_bytes()
    (runs[1]/'weights.safetensors').write_bytes(kept + b'x')
    with pytest.raises(FileExistsError, match='content of weights/gan/weights.safetensors was another'): again()
    (runs[1]/'weights.safetensors').write_bytes(kept)
    first, *_, last = sorted((data/'train').iterdir())
    first.write_bytes(last.read_bytes())
    with pytest.raises(FileExistsError, match='content of data was another'): again()
    for name in figures: assert (tmp_path/'again'/name).read_bytes() == (handed_in/name).read_bytes()
    with pytest.raises(FileNotFoundError, match='no finished run'):
        hw4(tmp_path/'none', scale='smoke', weights=tmp_path, say=quiet)
    assert not (tmp_path/'none'/'metrics.json').exists()

def test_everything_is_drawn_and_judged_on_the_default_device(handed_in, tmp_path, elsewhere):
    there = json.loads((handed_in/'metrics.json').read_text())
    found = hw4(tmp_path/'out', data=handed_in/'hw4_data', scale='smoke', seed=3, weights=handed_in, say=quiet)
    assert found['vae']['test_mse'] == pytest.approx(there['vae']['test_mse'], rel=.01)
    assert found['gan']['samples']['sharpness'] == pytest.approx(there['gan']['samples']['sharpness'], rel=.02)

def test_a_plain_folder_of_pictures_will_do(tmp_path):
    folder = tmp_path/'my photos é'
    folder.mkdir()
    for i in range(240):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (20 + i % 3, 24, 3),
                                                          dtype=np.uint8)).save(folder/f'{i}.png')
    (folder/'broken.png').write_bytes(b'')
    with pytest.raises(Exception, match='broken.png'): hw4(tmp_path/'a', data=folder, scale='smoke', say=quiet)
    scores = hw4(tmp_path/'b', data=folder, scale='smoke', on_bad='skip', say=quiet)
    assert scores['train_pictures'] + scores['test_pictures'] == 240 and (tmp_path/'b'/'index.html').exists()
    assert 'acgan' not in scores and 'no labels' in dict(answers(scores))['ACGAN']
    assert not (tmp_path/'b'/'fig3_3.jpg').exists()
