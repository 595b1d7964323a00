"What every hand-in shares, and HW3 of MLDS, HW4 of ADLxMLDS, Lab 7 of DLP: formats, order, and what users get wrong."
import json, multiprocessing, os, shutil, signal, subprocess, sys, threading, time

import numpy as np
import pytest
import torch
from PIL import Image

from dlcv_gan.courses import adlxmlds, handin, hw3, lab7
from dlcv_gan.cli.report import report
from dlcv_gan.courses.handin import (HandIn, Source, Stopped, claim, find_run, open_splits, share, train_parts,
                                     write_page)
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

def test_what_systems_leave_about_is_no_content(tmp_path):
    for name in ('.DS_Store', 'Thumbs.db', 'desktop.ini'): (tmp_path/name).write_bytes(b'x')
    claim(tmp_path, dict(seed=0))
    claim(tmp_path, dict(seed=1))

def test_inputs_are_claimed_by_what_they_hold_and_not_by_where_they_lie(tmp_path):
    out, told = tmp_path/'out', dict(course='anime', text='/here/t.txt')
    claim(out, told, dict(text='one'))
    (out/'samples').mkdir()
    claim(out, told, dict(text='one'))
    claim(out, dict(told, text='/there/t.txt'), dict(text='one')) # moved
    claim(out, told, {'text': 'one', 'weights/gan': 'two'}) # known a step later
    claim(out, told, dict(text='one'))
    with pytest.raises(FileExistsError, match='content of text was another; put that back'):
        claim(out, told, dict(text='other'))
    with pytest.raises(FileExistsError, match='content of weights/gan'): claim(out, told, {'weights/gan': 'other'})
    with pytest.raises(FileExistsError, match='another text'): claim(out, dict(told, text=None), {})
    (out/'settings.json').write_text('[1]')
    with pytest.raises(ValueError, match='damaged.*restore it'): claim(out, told)

class Nothing(HandIn):
    "A hand-in that trains nothing: what is refused, and what is left."
    course = title = 'nothing'
    doing, always_draws = '', False
    def sources(self):
        return dict(data=Source('gan', 32, 'faces', 4, lambda root, size: open_splits(root, size, 'raise'), None))
    def parts(self): raise ValueError('too few')

def nothing(out, data=None, seed=0): return Nothing(out, 'smoke', seed, 'raise', None, quiet, data=data)

@pytest.fixture(scope='module')
def faces(tmp_path_factory): return write_hw4(tmp_path_factory.mktemp('faces')/'faces', 32, 8, 32, progress=False)

def test_a_place_that_cannot_be_written_or_is_read_is_refused_first_and_nothing_is_left(faces, tmp_path):
    data = shutil.copytree(faces, tmp_path/'data')
    (tmp_path/'file').write_text('mine')
    for out, said in ((data, 'read'), (data/'out', 'lies in --data'), (data/'train'/'deep'/'out', 'lies in --data'),
                      (tmp_path/'x'/'..'/'data'/'out', 'lies in --data'), (tmp_path/'file', 'cannot be written'),
                      (tmp_path/'file'/'out', 'cannot be written'), (tmp_path/('x' * 300), 'be written|too long')):
        with pytest.raises((ValueError, OSError), match=said): nothing(out, data).hand_in()
    with pytest.raises(ValueError, match='too few'): nothing(tmp_path/'new', data).hand_in()
    assert {p.name for p in tmp_path.iterdir()} == {'data', 'file'} and (tmp_path/'file').read_text() == 'mine'
    assert {p.name for p in data.iterdir() if p.name[0] != '.'} == {p.name for p in faces.iterdir() if p.name[0] != '.'}

@pytest.mark.parametrize('seed', [-1, 2 ** 32, 10 ** 20])
def test_a_seed_that_something_cannot_take_is_refused_first(seed, tmp_path):
    with pytest.raises(ValueError, match=f'--seed {seed}: give a whole number from 0 to 4294967295'):
        nothing(tmp_path/'out', seed=seed)
    assert not (tmp_path/'out').exists()

def test_training_pictures_without_test_pictures_are_told_by_name(faces, tmp_path):
    data = shutil.copytree(faces, tmp_path/'data')
    shutil.rmtree(data/'test'); (data/'test.csv').unlink()
    with pytest.raises(FileNotFoundError, match='no test pictures'): nothing(tmp_path/'out', data).hand_in()
    assert not (tmp_path/'out').exists()

def test_a_second_process_in_a_folder_is_told_who_is_there(faces, tmp_path):
    holding = threading.Event(), threading.Event()
    class Slow(Nothing):
        def parts(self):
            holding[0].set(); holding[1].wait(60)
            raise ValueError('done')
    def first():
        with pytest.raises(ValueError, match='done'):
            Slow(tmp_path/'out', 'smoke', 0, 'raise', None, quiet, data=faces).hand_in()
    thread = threading.Thread(target=first); thread.start(); holding[0].wait(60)
    try:
        with pytest.raises(BlockingIOError, match=str(os.getpid())): nothing(tmp_path/'out', faces).hand_in()
    finally: holding[1].set(); thread.join()
    with pytest.raises(ValueError, match='too few'): nothing(tmp_path/'out', faces).hand_in()

def test_a_ratio_of_two_zeros_says_so():
    assert share(.5) == '50%' and share(1, 3, 1) == '33.3%'
    assert share(0., 0.) == 'an undefined share (both are 0)' and '0.25 of 0' in share(.25, 0.)
    for unknown in (None, float('nan')):
        assert share(unknown) == share(1., unknown) == 'an unknown share (not measured)'

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

def test_a_process_that_dies_is_told_and_neither_the_others_nor_its_own_rounds_are_lost(tmp_path):
    write_hw4(tmp_path/'faces', 32, 8, 32)
    parts, said = small_parts(tmp_path/'faces', 80), []
    def kill():
        saved, end = tmp_path/'out'/'one'/'checkpoint.pth', time.time() + 120
        while not saved.exists() and time.time() < end: time.sleep(.02)
        for p in multiprocessing.active_children():
            if str(tmp_path/'out'/'one') in open_files(p.pid): os.kill(p.pid, signal.SIGKILL)
    def open_files(pid): # the folder that a process holds
        found = []
        for f in os.listdir(f'/proc/{pid}/fd'):
            try: found.append(os.readlink(f'/proc/{pid}/fd/{f}'))
            except OSError: pass
        return ' '.join(found)
    thread = threading.Thread(target=kill); thread.start()
    with pytest.raises(ChildProcessError, match='part one: its process was ended.*the same command goes on'):
        train_parts(tmp_path/'out', parts, say=said.append, workers=2)
    thread.join()
    assert any(line.startswith('one: its process') for line in said)
    assert (tmp_path/'out'/'two'/'weights.safetensors').is_file(), 'the other part went on to its end'
    saved = read_checkpoint(tmp_path/'out'/'one'/'checkpoint.pth')['rounds']
    assert 0 < saved < 80
    runs = train_parts(tmp_path/'out', parts, say=quiet, workers=2)
    after = train_parts(tmp_path/'after', dict(one=parts['one']), say=quiet)
    assert (runs['one']/'weights.safetensors').read_bytes() == (after['one']/'weights.safetensors').read_bytes()

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


def test_courses_b_and_c_draw_and_judge_on_the_default_device(course_b, tmp_path, elsewhere):
    out, scores = course_b
    found = hw3.hw3(tmp_path/'b', data=out/'anime', horses=out/'horse2zebra', tags=out/'testing_tags.txt', weights=out,
                    scale='smoke', say=quiet)
    assert found['cgan']['sharpness'] == pytest.approx(scores['cgan']['sharpness'], rel=.02)
    assert found['cyclegan']['a to b']['change'] == pytest.approx(scores['cyclegan']['a to b']['change'], rel=.02)
    text = _write(tmp_path/'text.txt', '7,blue hair red eyes')
    assert adlxmlds.anime(text, tmp_path/'c', weights=out, scale='smoke', say=quiet)['samples'] == 5


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
    moved = _write(tmp_path/'moved.txt', text.read_text())
    adlxmlds.anime(moved, tmp_path/'one', scale='smoke', weights=course_b[0], say=quiet) # the same text goes on
    _write(moved, '7,blue hair red eyes')
    with pytest.raises(FileExistsError, match='content of text was another'):
        adlxmlds.anime(moved, tmp_path/'one', scale='smoke', weights=course_b[0], say=quiet)
    assert {p.name for p in (tmp_path/'one'/'samples').iterdir()} == names
    with pytest.raises(ValueError, match='not conditioned on the 23 tags'):
        adlxmlds.anime(text, tmp_path/'three', scale='smoke', weights=course_b[0]/'gan', say=quiet)


def test_a_collapsed_model_and_tags_at_the_rate_of_the_commonest_get_no_praise(course_b):
    scores = json.loads(json.dumps(course_b[1]))
    scores['real'].update(sharpness=.1, diversity=.5)
    scores['gan'].update(sharpness=.1, diversity=.4)
    scores['cgan'].update(sharpness=.1, diversity=.01)
    for name, samples in (('hair', .2), ('eyes', .6)): scores['tags'][name].update(samples=samples, guessing=.2)
    text = dict(hw3.answers(scores))
    random_faces, tagged = text['How good are the faces?'].split('Faces from tags')
    assert 'collapsed' in tagged and 'collapsed' not in random_faces
    hair, eyes = text['Are the tags obeyed?'].split('Eyes:')
    assert 'that is not obeying' in hair and 'not obeying' not in eyes

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

def test_course_d_draws_and_grades_on_the_default_device(course_d, tmp_path, elsewhere):
    out, scores = course_d
    found = lab7.lab7(tmp_path/'d', data=out/'iclevr', faces=out/'hw4_data', weights=out, draws=2, scale='smoke',
                      evaluator=out/'evaluator.safetensors', say=quiet)
    for exam in ('test', 'new_test'):
        assert found['cnf'][exam]['handed_in'] == pytest.approx(scores['cnf'][exam]['handed_in'], abs=.1)
    assert found['faces']['exact'] < 1e-3

def test_faces_that_agree_and_objects_in_another_order_are_told_before_anything_is_trained(course_d, tmp_path):
    faces, scenes = (shutil.copytree(course_d[0]/name, tmp_path/name) for name in ('hw4_data', 'iclevr'))
    table = (faces/'test.csv').read_text().splitlines()
    column = table[0].split(',').index('Male')
    rows = [line.split(',') for line in table[1:]]
    for row in rows: row[column] = '1'
    (faces/'test.csv').write_text('\n'.join([table[0], *map(','.join, rows)]))
    with pytest.raises(ValueError, match='agree on Male'):
        lab7.lab7(tmp_path/'out', faces=faces, draws=2, scale='smoke', say=quiet)
    assert not (tmp_path/'out'/'evaluator.safetensors').exists() and not (tmp_path/'out'/'cgan').exists()
    objects = json.loads((scenes/'objects.json').read_text())
    (scenes/'objects.json').write_text(json.dumps({name: 23 - i for name, i in objects.items()}))
    with pytest.raises(ValueError, match='objects'):
        lab7.lab7(tmp_path/'other', data=scenes, draws=2, scale='smoke', say=quiet)
    assert not (tmp_path/'other').exists()

def test_runs_of_other_labels_are_told_before_anything_is_drawn(course_d, tmp_path):
    for part in ('cgan', 'cnf', 'cnf_faces'): shutil.copytree(course_d[0]/part, tmp_path/'runs'/part)
    for name in ('conditions.csv', 'settings.json'): # the flow of faces in the place of the scenes'
        shutil.copy(tmp_path/'runs'/'cnf_faces'/name, tmp_path/'runs'/'cnf'/name)
    with pytest.raises(ValueError, match='cnf was conditioned on other labels'):
        lab7.lab7(tmp_path/'out', weights=tmp_path/'runs', draws=2, scale='smoke', say=quiet)
    assert not (tmp_path/'out').exists()

@pytest.fixture(scope='module')
def since_2023(tmp_path_factory, course_d):
    out = tmp_path_factory.mktemp('d')/'since'
    return out, lab7.lab7(out, data=course_d[0]/'iclevr', evaluator=course_d[0]/'evaluator.safetensors', scale='smoke',
                          draws=2, year=2023, say=quiet)

def test_since_2023_one_model_sits_both_exams_and_shows_its_stages(since_2023):
    out, scores = since_2023
    assert {'ddpm', 'evaluator'} <= scores.keys() and not {'cgan', 'cnf', 'faces'} & scores.keys()
    for exam in ('test', 'new_test'): assert len(list((out/'exam_ddpm'/exam).iterdir())) == 32
    stages = np.asarray(Image.open(out/'denoising.png'))
    assert stages.shape == (4 * 34 + 2, 9 * 34 + 2, 3), 'two scenes, nine stages each, the guesses below'
    assert (stages[2:34, -34:-2] == stages[36:68, -34:-2]).all(), 'the last guess is the picture'
    assert 'marks' not in dict(lab7.answers(scores))['Accuracy of the DDPM'], 'the marks are those of 2021'

def test_since_2023_the_report_and_earlier_weights_go_through_the_command(since_2023, course_d, tmp_path, capsys):
    from dlcv_gan.cli.command import main
    out = since_2023[0]
    assert main(['report', str(out)]) == 0 and 'denoising.png' in (out/'report.md').read_text()
    assert main(['lab7', str(tmp_path/'again'), '--year', '2023', '--data', str(course_d[0]/'iclevr'), '--draws', '2',
                 '--evaluator', str(course_d[0]/'evaluator.safetensors'), '--weights', str(out/'ddpm')]) == 0
    assert (tmp_path/'again'/'denoising.png').read_bytes() == (out/'denoising.png').read_bytes()
    assert main(['lab7', str(tmp_path/'faces'), '--year', '2023', '--faces', str(out)]) == 2
    assert 'no face task' in capsys.readouterr().err

def test_a_year_that_the_lab_never_had_is_refused(tmp_path):
    with pytest.raises(ValueError, match='give 2021 or 2023'): lab7.lab7(tmp_path/'out', year=2022, say=quiet)

def test_what_was_not_measured_is_no_number(course_d):
    scores = json.loads(json.dumps(course_d[1]))
    for v in scores['faces']['found'].values(): v['samples'] = None
    assert 'right on an unknown share (not measured) of the samples' in dict(lab7.answers(scores))[
        'Faces: are the conditions met?']

def test_a_dead_generator_and_a_blind_evaluator_get_no_praise(course_d):
    scores = json.loads(json.dumps(course_d[1]))
    def said(held_out, scale='full', **exam):
        other = json.loads(json.dumps(scores))
        other.update(scale=scale)
        other['evaluator']['held_out'] = held_out
        for s in other['cgan'].values(): s.update(exam)
        return dict(lab7.answers(other))
    good = said(.95, mean=.6, low=.55, high=.65, spread=.04)
    assert 'Above guessing on both' in good['Accuracy of the conditional GAN'] and 'weak' not in good['Who grades?']
    assert 'it also chose the round' in good['Who grades?']
    dead = said(.95, mean=.2, low=.2, high=.2, spread=0.)['Accuracy of the conditional GAN']
    assert 'Above' not in dead and 'scored the same' in dead
    blind = said(.1, mean=.6, low=.55, high=.65, spread=.04)
    assert 'hardly better than guessing' in blind['Who grades?'] and 'chose' not in blind['Who grades?']
    assert 'Above' not in blind['Accuracy of the conditional GAN']
    assert 'own errors' in said(.75, mean=.6, low=.55, high=.65, spread=.04)['Who grades?']
    assert 'chose' not in said(.95, scale='laptop')['Who grades?']

def test_each_sheet_says_below_its_pictures_what_was_asked_for(course_d):
    out, _ = course_d
    for model in ('cgan', 'cnf'):
        for exam in ('test', 'new_test'):
            width, height = Image.open(out/f'exam_{model}'/f'{exam}_requests.png').size
            assert width > 8 * 96 and height > 4 * 96
    page = (out/'index.html').read_text()
    assert 'exam_cgan/test_requests.png' in page and 'exam_cgan/test.png' in page

def test_the_small_evaluator_is_kept_and_given_again(course_d):
    from dlcv_gan.models.iclevr import SceneEvaluator
    out, scores = course_d
    again = lab7.open_evaluator(out/'evaluator.safetensors')
    assert isinstance(again, SceneEvaluator) and scores['evaluator']['kind'] == 'small'
    assert torch.equal(again.probabilities(x := torch.zeros(2, 3, 32, 32)), SceneEvaluator.load(
        out/'evaluator.safetensors').probabilities(x))

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
    line = [sys.executable, '-W', 'ignore', '-m', 'dlcv_gan', 'lab7', str(tmp_path/'again'), '--data',
            str(out/'iclevr'), '--faces', str(out/'hw4_data'), '--draws', '2',
            '--scale', 'smoke', '--weights', str(out), '--evaluator', str(out/'evaluator.safetensors')]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for exam in ('test', 'new_test'):
        assert (tmp_path/'again'/'exam_cnf'/f'{exam}.png').read_bytes() == (out/'exam_cnf'/f'{exam}.png').read_bytes()
    assert not (tmp_path/'again'/'cnf').exists() and not (tmp_path/'again'/'evaluator.safetensors').exists()
