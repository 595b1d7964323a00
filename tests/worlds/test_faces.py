"Laws of the drawn faces: the same person again, one attribute at a time, and files that are whole or not there."
import csv, signal, subprocess, sys, time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from dlcv_gan.data.readers import read_hw4
from dlcv_gan.worlds.faces import ATTRIBUTES, draw_faces, face_factors, sample_attributes, write_hw4

column = ATTRIBUTES.index
groups = [('Black_Hair', 'Blond_Hair', 'Brown_Hair'), ('Straight_Hair', 'Wavy_Hair')]

@settings(max_examples=10)
@given(st.integers(0, 2**40), st.integers(1, 20), st.integers(0, 50), st.sampled_from([16, 32, 64]))
def test_a_face_depends_on_its_number_and_seed_only(seed, n, start, size):
    images, labels = draw_faces(n, seed, size, start=start)
    assert images.shape == (n, size, size, 3) and images.dtype == labels.dtype == np.uint8 and labels.shape == (n, 13)
    alone = draw_faces(1, seed, size, start=start + n - 1)
    assert (images[-1] == alone[0][0]).all() and (labels[-1] == alone[1][0]).all()
    assert images.std((1, 2, 3)).min() > 10 # a picture, not a plain colour

def test_another_seed_draws_other_people():
    a, b = draw_faces(8, 0)[0].astype(int), draw_faces(8, 1)[0].astype(int)
    assert abs(a - b).mean((1, 2, 3)).min() > 5

def test_labels_obey_the_exclusions_and_have_plausible_shares():
    labels = sample_attributes(3000, 0)
    for group in groups: assert labels[:, [column(g) for g in group]].sum(1).max() == 1
    shares = labels.mean(0)
    assert (shares > .05).all() and (shares < .65).all()

@pytest.mark.parametrize('male', [0, 1])
@pytest.mark.parametrize('name', ATTRIBUTES)
def test_flipping_an_attribute_is_seen_and_leaves_the_rest(name, male):
    off = np.zeros((40, 13), np.uint8); off[:, column('Male')] = male
    on = off.copy(); on[:, column(name)] = 1 - off[:, column(name)]
    a, b = (draw_faces(40, 3, attributes=y)[0].astype(int) for y in (off, on))
    changed = abs(a - b).max(-1) > 12
    assert changed.any((1, 2)).all(), 'somebody did not change'
    assert changed.mean() > .004, 'too little to see'
    assert changed.mean() < .45, 'that is another picture'
    assert (a[:, :4, :4] == b[:, :4, :4]).mean() > .9, 'the background changed'

def test_a_smile_stays_in_the_lower_face_and_bangs_in_the_upper():
    where = {}
    for name in ('Smiling', 'Wearing_Lipstick', 'Bangs'):
        on = np.zeros((60, 13), np.uint8); on[:, column(name)] = 1
        a, b = (draw_faces(60, 4, attributes=y)[0].astype(int) for y in (0 * on, on))
        rows = (abs(a - b).max(-1) > 12).sum((0, 2))
        where[name] = (rows * np.arange(64)).sum() / rows.sum()
    assert where['Bangs'] < 32 < where['Smiling'] and where['Wearing_Lipstick'] > 36, where

def test_hair_has_the_colour_it_is_said_to_have():
    top = {}
    for name in groups[0]:
        y = np.zeros((60, 13), np.uint8); y[:, column(name)] = 1
        images = draw_faces(60, 5, attributes=y)[0].astype(float)
        top[name] = np.median(images[:, 14:20, 28:36].reshape(-1, 3), 0).mean()
    assert top['Black_Hair'] < 70 < top['Brown_Hair'] < 150 < top['Blond_Hair']

def test_nuisances_know_nothing_of_the_attributes():
    factors, labels = face_factors(4000, 0), sample_attributes(4000, 0).astype(float)
    for name, values in factors.items():
        values = np.asarray(values, float).reshape(len(labels), -1)
        for v in values.T:
            if v.std() == 0: continue
            assert max(abs(np.corrcoef(v, y)[0, 1]) for y in labels.T) < .08, name

@pytest.mark.parametrize('bad, says', [(dict(n=-1), 'whole number'), (dict(n=2, size=8), '16 to 512'),
                                       (dict(n=2, seed=-3), 'whole number'),
                                       (dict(n=2, attributes=dict(Smilling=1)), "did you mean 'Smiling'"),
                                       (dict(n=2, attributes=dict(Black_Hair=1, Blond_Hair=1)), 'Blond_Hair'),
                                       (dict(n=2, attributes=np.full((2, 13), 2)), 'give 0 or 1'),
                                       (dict(n=2, attributes=np.zeros((3, 13), np.uint8)), 'one row a face')])
def test_impossible_faces(bad, says):
    with pytest.raises(ValueError, match=says): draw_faces(**bad)


# --- on disk --------------------------------------------------------------------------------------------------------

def contents(root): return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob('*')) if p.is_file()}

def test_written_faces_are_the_course_layout_and_read_back(tmp_path):
    root = write_hw4(tmp_path/'hw4_data', 20, 7, size=32, seed=2, progress=False)
    images, labels = draw_faces(27, 2, 32)
    with open(root/'test.csv', newline='') as f: rows = list(csv.reader(f))
    assert rows[0] == ['image_name', *ATTRIBUTES] and rows[1][0] == '00020.png' and set(rows[1][1:]) <= {'0.0', '1.0'}
    listing = read_hw4(root, 'test')
    assert (np.asarray(listing.labels) == labels[20:]).all()
    assert [p.name for p in listing.files] == [f'{i:05d}.png' for i in range(20, 27)]
    assert (np.asarray(Image.open(root/'train'/'00003.png')) == images[3]).all()
    assert not (tmp_path/'hw4_data.partial').exists()

def test_the_same_set_is_left_alone_and_another_is_refused(tmp_path):
    root = write_hw4(tmp_path/'d', 4, 2, size=16, progress=False)
    before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    assert write_hw4(tmp_path/'d', 4, 2, size=16, progress=False) == root
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    with pytest.raises(FileExistsError, match='another folder'): write_hw4(tmp_path/'d', 5, 2, size=16, progress=False)
    for bad in (dict(n_train=0), dict(n_test=1.5), dict(size=4), dict(seed=-1)):
        with pytest.raises(ValueError):
            write_hw4(tmp_path/'e', **{**dict(n_train=2, n_test=2, size=16, progress=False), **bad})
    assert not (tmp_path/'e').exists() and not (tmp_path/'e.partial').exists()

def test_a_killed_drawing_goes_on_and_ends_the_same(tmp_path):
    code = ('import sys; from dlcv_gan.worlds.faces import write_hw4; '
            'write_hw4(sys.argv[1], 600, 20, size=32, seed=1, progress=False)')
    process = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', code, str(tmp_path/'killed')])
    seen = tmp_path/'killed.partial'/'train'
    while process.poll() is None and len(list(seen.glob('*.png')) if seen.exists() else []) < 30: time.sleep(.005)
    process.send_signal(signal.SIGKILL); process.wait()
    assert not (tmp_path/'killed').exists() and (tmp_path/'killed.partial').exists()
    for p in seen.glob('*.png'): Image.open(p).load() # none is half written
    write_hw4(tmp_path/'killed', 600, 20, size=32, seed=1, progress=False)
    write_hw4(tmp_path/'whole', 600, 20, size=32, seed=1, progress=False)
    assert (
        {k: v for k, v in contents(tmp_path/'killed').items() if not k.endswith('.part')} == contents(tmp_path/'whole'))

def test_a_full_disk_is_named_and_leaves_no_target(tmp_path):
    code = '''
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from dlcv_gan.worlds.faces import write_hw4
resource.setrlimit(resource.RLIMIT_FSIZE, (800, 800)) # no file may grow past 800 bytes, as on a full disk
write_hw4(sys.argv[1], 8, 2, size=64, progress=False)
'''
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code, str(tmp_path/'full')], capture_output=True,
                          text=True)
    assert done.returncode and 'no space left for' in done.stderr and not (tmp_path/'full').exists()
    write_hw4(tmp_path/'full', 8, 2, size=64, progress=False) # and with room again it goes on
