"What every hand-in shares, and HW3 of MLDS, HW4 of ADLxMLDS, Lab 7 of DLP: formats, order, and what users get wrong."
import json, shutil, signal, subprocess, sys, time

import numpy as np
import pytest
import torch
from PIL import Image

from dlcv_gan.courses import adlxmlds, handin, hw3, lab7
from dlcv_gan.cli.report import report
from dlcv_gan.courses.handin import Stopped, claim, find_run, train_parts, write_page
from dlcv_gan.data.readers import read_conditions
from dlcv_gan.game.checkpoint import read_checkpoint
from dlcv_gan.runs.scoring import fit_evaluator
from dlcv_gan.worlds.anime import write_test_tags
from dlcv_gan.worlds.faces import write_hw4

torch.set_num_threads(1)
quiet = lambda line: None


# ---- the frame

def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path/'thesis.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='not empty'): claim(tmp_path, {})
    claim(tmp_path/'new', dict(seed=0, size=(32, 32)))
    claim(tmp_path/'new', dict(seed=0, size=(32, 32))) # the same again goes on, whatever JSON makes of a tuple
    claim(tmp_path/'new', dict(seed=1, size=(32, 32))) # nothing has been made yet, so it may still be anything
    (tmp_path/'new'/'gan').mkdir()
    with pytest.raises(FileExistsError, match='another seed'): claim(tmp_path/'new', dict(seed=2, size=(32, 32)))

def test_a_page_escapes_what_it_is_told_and_leaves_out_what_is_not_there(tmp_path):
    Image.new('RGB', (4, 4)).save(tmp_path/'a.png')
    page = write_page(tmp_path, 'A & B', '<script>', [('q < p?', 'yes & no')],
                      [('a.png', 'one "quoted"'), ('b.png', 'gone')], ('a.png',), {},
                      dict(x=1.5, y=float('nan'))).read_text()
    assert 'q &lt; p?' in page and 'src="a.png"' in page
    assert not any(word in page for word in ('<script>', 'b.png', '://'))
    assert json.loads((tmp_path/'metrics.json').read_text()) == dict(x=1.5, y=None)

def test_a_signal_in_a_part_is_told_with_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(handin, 'start', lambda run, flags: (None, None))
    monkeypatch.setattr(handin, 'train_run', lambda *args: 15)
    with pytest.raises(Stopped, match='part gan') as e:
        train_parts(tmp_path, dict(gan=dict(system='gan', rounds=1, bs=1)), say=quiet)
    assert e.value.signal == 15

def small_parts(faces, rounds):
    "Two GANs that differ by their seed."
    common = dict(system='gan-mended', data=str(faces), size=32, width=4, nz=8, bs=8, rounds=rounds, save_every=2)
    return dict(one=dict(common, seed=0), two=dict(common, seed=1))

def test_parts_side_by_side_are_the_parts_one_after_another(tmp_path):
    write_hw4(tmp_path/'faces', 32, 8, 32)
    parts = small_parts(tmp_path/'faces', 4)
    for out, workers in (('beside', 2), ('after', 1)):
        runs = train_parts(tmp_path/out, parts, say=quiet, workers=workers)
        assert list(runs) == ['one', 'two'] and all((run/'history.csv').is_file() for run in runs.values())
    for part in parts:
        beside, after = ((tmp_path/out/part/'weights.safetensors').read_bytes() for out in ('beside', 'after'))
        assert beside == after

def test_ctrl_c_saves_all_parts_that_are_under_way_and_leaves_no_process(tmp_path):
    write_hw4(tmp_path/'faces', 32, 8, 32)
    code = f"""
from pathlib import Path
from dlcv_gan.courses.handin import Stopped, train_parts
if __name__ == '__main__':
    try: train_parts(Path('out'), {small_parts(tmp_path/'faces', 1_000_000)!r}, workers=2)
    except Stopped as e: print('stopped by', e.signal)
"""
    (tmp_path/'stop.py').write_text(code)
    process = subprocess.Popen([sys.executable, '-W', 'ignore', 'stop.py'], cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    saved = [tmp_path/'out'/part/'checkpoint.pth' for part in ('one', 'two')]
    end = time.time() + 300
    while not all(f.exists() for f in saved) and time.time() < end: time.sleep(.2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    assert 'stopped by 2' in out
    rounds = [read_checkpoint(f)['rounds'] for f in saved]
    time.sleep(1)
    assert all(r > 0 for r in rounds) and [read_checkpoint(f)['rounds'] for f in saved] == rounds

def test_runs_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='gan/weights.safetensors is missing'): find_run(tmp_path, 'gan')
    (tmp_path/'weights.safetensors').write_bytes(b'')
    with pytest.raises(FileNotFoundError, match='settings.json'): find_run(tmp_path, 'gan', alone=True)
    with pytest.raises(FileNotFoundError, match='is missing'): find_run(tmp_path, 'gan') # one run cannot be every part


# ---- course B

@pytest.fixture(scope='module')
def course_b(tmp_path_factory):
    out = tmp_path_factory.mktemp('b')/'out'
    return out, hw3.hw3(out, scale='smoke', say=quiet)

def test_course_b_writes_its_two_sheets_as_the_grader_wants_them(course_b):
    out, scores = course_b
    for name in ('gan.png', 'cgan.png'): assert Image.open(out/name).size == (640, 480)
    assert scores['gan']['faces'] is None and 'Not counted' in dict(hw3.answers(scores))['Faces on gan.png']
    assert set(scores['cyclegan']) == {'a to b', 'b to a'}
    for s in scores['cyclegan'].values():
        for what in ('error', 'doing_nothing'): assert s['window'][what] <= s['pixel'][what]
    assert 0 <= scores['tags']['hair']['guessing'] <= 1 and (out/'index.html').exists()

def test_the_reports_of_courses_b_and_d_miss_nothing(course_b, course_d, tmp_path):
    for course, (out, _) in dict(hw3=course_b, lab7=course_d).items():
        said = []
        assert 'issing' not in report(shutil.copytree(out, tmp_path/course), course,
                                      say=said.append).read_text() and 'missing' not in said[0]

def test_the_page_says_what_was_trained(course_b):
    page = (course_b[0]/'index.html').read_text()
    for words in ('R1.ACGAN-mended (size 32, width 4, nz 16, labels 23)', '8 rounds of 16', 'd=1, g=1'):
        assert words in page

def test_a_typo_does_not_lock_the_folder_and_comes_before_training(tmp_path, course_b):
    out = tmp_path/'out'
    for wrong in (dict(data=tmp_path/'typo'), dict(horses=tmp_path/'typo', data=course_b[0]/'anime')):
        with pytest.raises(FileNotFoundError, match='typo'): hw3.hw3(out, scale='smoke', say=quiet, **wrong)
        assert not (out/'gan').exists()
    with pytest.raises(FileNotFoundError, match='cgan/weights.safetensors is missing'):
        hw3.hw3(out, weights=course_b[0]/'cgan', scale='smoke', say=quiet)

def test_answers_follow_the_numbers(course_b):
    scores = json.loads(json.dumps(course_b[1]))
    scores['gan']['faces'], scores['cgan']['faces'], scores['real']['faces'] = 20, 19, 25
    text = dict(hw3.answers(scores))
    assert 'passed' in text['Faces on gan.png'] and 'wants 20' in text['Faces on cgan.png']
    scores['cyclegan']['a to b'].update(window=dict(error=.1, doing_nothing=.2), pixel=dict(error=.2, doing_nothing=.1))
    said = dict(hw3.answers(scores))['Translation horse to zebra']
    assert '0.200 had nothing been done; nearer.' in said and said.endswith('not nearer.')

def test_wrong_files_are_told_before_anything_is_trained(tmp_path):
    few = write_test_tags(tmp_path/'few.txt', 24)
    with pytest.raises(ValueError, match='24 lines, the sheet has 25'):
        hw3.hw3(tmp_path/'out', tags=few, scale='smoke', say=quiet)
    try: import cv2 # noqa: F401
    except ImportError: wrong, said = ValueError, 'opencv-python-headless'
    else: wrong, said = FileNotFoundError, 'no cascade'
    with pytest.raises(wrong, match=said):
        hw3.hw3(tmp_path/'out', cascade=tmp_path/'none.xml', scale='smoke', say=quiet)
    with pytest.raises(ValueError, match='violet'):
        adlxmlds.anime(_write(tmp_path/'t.txt', '1,violet hair'), tmp_path/'out', scale='smoke', say=quiet)
    with pytest.raises(ValueError, match='at least 2'): lab7.lab7(tmp_path/'out', draws=1, scale='smoke', say=quiet)
    with pytest.raises(FileNotFoundError, match='no evaluator'):
        lab7.lab7(tmp_path/'out', evaluator=tmp_path/'none.pth', scale='smoke', say=quiet)
    assert not (tmp_path/'out').exists()

def _write(path, text):
    path.write_text(text)
    return path


# ---- course C

def test_course_c_answers_each_line_with_five_pictures(course_b, tmp_path):
    "From the runs of course B, and the same ones again for the same seed."
    text = _write(tmp_path/'testing_text.txt', '7,blue hair red eyes\n12,green eyes')
    scores = adlxmlds.anime(text, tmp_path/'one', scale='smoke', weights=course_b[0], say=quiet)
    names = {f'sample_{key}_{i}.jpg' for key in (7, 12) for i in range(1, 6)}
    assert {p.name for p in (tmp_path/'one'/'samples').iterdir()} == names
    assert scores['without_hair'] == 1 and scores['without_eyes'] == 0
    assert all(Image.open(tmp_path/'one'/'samples'/n).size == (64, 64) for n in names)
    assert 0 <= scores['tags']['hair']['samples'] <= 1, 'the faces of the run are still there'
    assert 'classifier' in dict(adlxmlds.answers(scores))['Is it what was asked for?']
    assert 'issing' not in report(tmp_path/'one', 'anime', say=quiet).read_text()
    adlxmlds.anime(text, tmp_path/'two', scale='smoke', weights=course_b[0]/'cgan', say=quiet)
    assert all((tmp_path/'one'/'samples'/n).read_bytes() == (tmp_path/'two'/'samples'/n).read_bytes() for n in names)
    with pytest.raises(ValueError, match='not conditioned on the 23 tags'):
        adlxmlds.anime(text, tmp_path/'three', scale='smoke', weights=course_b[0]/'gan', say=quiet)


# ---- course D

@pytest.fixture(scope='module')
def course_d(tmp_path_factory):
    out = tmp_path_factory.mktemp('d')/'out'
    return out, lab7.lab7(out, scale='smoke', draws=2, say=quiet)

def test_course_d_hands_in_32_pictures_an_exam_in_file_order(course_d):
    out, scores = course_d
    for model in ('cgan', 'cnf'):
        for exam in ('test', 'new_test'):
            assert sorted(p.name for p in (out/f'exam_{model}'/exam).iterdir()) == sorted(f'{i}.png' for i in range(32))
            y, s = read_conditions(out/'iclevr'/f'{exam}.json'), scores[model][exam]
            assert s['handed_in'] * y.sum() == pytest.approx(round(s['handed_in'] * y.sum())), 'hits over labels'
            sheet, size = np.asarray(Image.open(out/f'exam_{model}'/f'{exam}.png')), 32
            assert sheet.shape == (4 * (size + 2) + 2, 8 * (size + 2) + 2, 3)
            ninth = np.asarray(Image.open(out/f'exam_{model}'/exam/'8.png'))
            assert (sheet[size + 4:2 * size + 4, 2:size + 2] == ninth).all(), 'the ninth opens the second row'

def test_an_evaluator_of_other_labels_is_refused_before_anything_is_trained(course_d, tmp_path):
    from dlcv_gan.data.pictures import Pictures
    pictures = Pictures(np.zeros((20, 64, 64, 3), np.uint8), np.arange(20)[:, None] % 2, ['Male'])
    fit_evaluator(pictures, tmp_path/'male.safetensors', epochs=1, say=quiet)
    with pytest.raises(ValueError, match='it knows 1 labels, 24 are asked for'):
        lab7.lab7(tmp_path/'out', evaluator=tmp_path/'male.safetensors', scale='smoke', say=quiet)
    about = json.loads((course_d[0]/'evaluator.json').read_text())
    assert about['held_out'] == course_d[1]['evaluator']['held_out'] and len(about['labels']) == 24

def test_guessing_is_what_guessing_scores(course_d):
    from dlcv_gan.scores import top_k_accuracy
    out, scores = course_d
    y = torch.from_numpy(read_conditions(out/'iclevr'/'test.json')).repeat(200, 1)
    assert top_k_accuracy(torch.rand(y.shape, generator=torch.Generator().manual_seed(0)),
                          y) == pytest.approx(scores['cgan']['test']['guessing'], abs=.01)

def test_the_face_task_is_whole_and_exact(course_d):
    out, scores = course_d
    cells = {'faces_conditions.png': (8, 4), 'faces_interpolation.png': (7, 3), 'faces_moved.png': (7, 3)}
    for name, (across, down) in cells.items(): assert Image.open(out/name).size == (across * 34 + 2, down * 34 + 2)
    assert all(len(c) >= 3 for c in lab7.CONDITIONS) and len(lab7.CONDITIONS) >= 4
    assert scores['faces']['exact'] < 1e-3 and len(scores['faces']['found']) == 13

@pytest.mark.parametrize('accuracy, marks', [(.8, '100 %'), (.7999, '90 %'), (.4, '60 %'), (.39, '0 %')])
def test_marks(accuracy, marks): assert lab7.exam_grade(accuracy) == marks

def test_the_command_hands_in_and_says_how_it_was_stopped(course_d, tmp_path):
    "Through the console script, with the runs of the hand-in above."
    out, _ = course_d
    line = [sys.executable, '-W', 'ignore', '-m', 'dlcv_gan.cli.command', 'lab7', str(tmp_path/'again'), '--data',
            str(out/'iclevr'), '--faces', str(out/'hw4_data'), '--draws', '2',
            '--scale', 'smoke', '--weights', str(out), '--evaluator', str(out/'evaluator.safetensors')]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for exam in ('test', 'new_test'):
        assert (tmp_path/'again'/'exam_cnf'/f'{exam}.png').read_bytes() == (out/'exam_cnf'/f'{exam}.png').read_bytes()
    assert not (tmp_path/'again'/'cnf').exists() and not (tmp_path/'again'/'evaluator.safetensors').exists()
