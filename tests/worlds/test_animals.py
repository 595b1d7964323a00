"Laws of the drawn animals: the same picture again, counterparts that differ in the coat only, complete folders."
import json, signal, subprocess, sys, time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from dlcv_gan.data.readers import read_folder
from dlcv_gan.worlds.animals import ACTIONS, PLACES, animal_factors, draw_animals, write_horse2zebra

@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 5), st.integers(0, 50), st.sampled_from([32, 48, 64]), st.integers(0, 1))
def test_a_picture_depends_on_its_number_and_seed_only(seed, n, start, size, zebra):
    images = draw_animals(n, seed, size, zebra, start)
    assert images.shape == (n, size, size, 3) and images.dtype == np.uint8
    assert (images[-1] == draw_animals(1, seed, size, zebra, start + n - 1)[0]).all()
    assert images.std((1, 2, 3)).min() > 10 # a picture, not a plain colour

def test_another_seed_draws_other_pictures():
    a, b = draw_animals(8, 0, 64).astype(int), draw_animals(8, 1, 64).astype(int)
    assert abs(a - b).mean((1, 2, 3)).min() > 5

@pytest.mark.parametrize('size', [32, 64, 128])
def test_counterparts_differ_on_the_animal_and_nowhere_else(size):
    (a, where), (b, same) = (draw_animals(24, 3, size, z, masks=True) for z in (0, 1))
    assert (where == same).all(), 'the mask knows the coat'
    assert (a[where == 0] == b[where == 0]).all(), 'something beside the animal changed'
    share = (where > 127).mean((1, 2))
    assert share.min() > .02 and share.max() < .75
    differ = abs(a.astype(int) - b).max(-1) > 20
    for i in range(24): assert differ[i][where[i] > 127].mean() > .3, f'picture {i}: the coat did not change'

def test_zebras_are_black_and_white_and_horses_are_not():
    (a, where), (b, _) = (draw_animals(40, 5, 128, z, masks=True) for z in (0, 1))
    on = where > 250
    grey = lambda images: np.abs(images[on].astype(float) - images[on].mean(-1, keepdims=True)).mean()
    contrast = lambda images: np.mean([images[i][on[i]].mean(-1).std() for i in range(40)])
    assert contrast(b) > 1.5*contrast(a) and grey(b) < grey(a)

def test_a_mixed_batch_holds_both():
    z = np.array([0, 1, 1, 0])
    mixed, horses, zebras = (draw_animals(4, 2, 64, k) for k in (z, 0, 1))
    assert all((mixed[i] == (zebras if k else horses)[i]).all() for i, k in enumerate(z))

def test_every_action_and_place_occurs_and_home_shifts_the_places():
    f = animal_factors(3000)
    assert (np.bincount(f['action'][:, 0], minlength=len(ACTIONS))/3000 > .08).all() and f['action'][:, 1].max() <= 2
    shares = {home: np.bincount(animal_factors(3000, home=home)['place'], minlength=3)/3000 for home in (None, 0, 1)}
    assert abs(shares[None] - 1/3).max() < .04
    assert abs(shares[0][PLACES.index('meadow')] - .6) < .04 and abs(shares[1][PLACES.index('savanna')] - .6) < .04
    for home in (0, 1): # only the place follows the home
        g = animal_factors(3000, home=home)
        assert all((f[k] == g[k]).all() for k in f if k != 'place')

def test_the_same_numbers_face_both_ways():
    f = animal_factors(6, 1) # an animal looking left is the mirror of the same one looking right, light apart
    f |= dict(light=np.zeros(6), company=np.zeros(6, bool), across=np.zeros((6, 2)), action=np.zeros((6, 2), int))
    where = [draw_animals(6, 1, 64, factors=f | dict(faces_left=np.full((6, 2), left)), masks=True)[1].astype(int)
             for left in (False, True)]
    assert abs(where[0] - where[1][:, :, ::-1]).max() < 12

@pytest.mark.parametrize('bad, says', [(dict(n=-1), 'whole number'), (dict(n=2, size=8), '32 to 512'),
                                       (dict(n=2, seed=-3), 'whole number'), (dict(n=2, home=2), 'home'),
                                       (dict(n=2, zebra=2), 'zebra'), (dict(n=2, zebra=[0, 1, 1]), 'zebra')])
def test_impossible_animals(bad, says):
    with pytest.raises(ValueError, match=says): draw_animals(**bad)


# --- on disk --------------------------------------------------------------------------------------------------------

SMALL = dict(trainA=5, trainB=6, testA=3, testB=4, size=32, seed=2, progress=False)

def contents(root):
    return {str(p.relative_to(root)): p.read_bytes()
            for p in sorted(root.rglob('*')) if p.is_file() and p.suffix != '.part'}

def test_written_folders_are_the_course_layout_unpaired_and_true(tmp_path):
    root = write_horse2zebra(tmp_path/'horse2zebra', **SMALL)
    names = {s: [p.name for p in read_folder(root, s).files]
             for s in ('trainA', 'testA', 'truthA', 'trainB', 'testB', 'truthB')}
    assert {k: len(v) for k, v in names.items()} == dict(trainA=5, testA=3, truthA=3, trainB=6, testB=4, truthB=4)
    assert names['testA'] == names['truthA'] and names['testB'] == names['truthB']
    together = [name for s in ('trainA', 'testA', 'trainB', 'testB') for name in names[s]]
    assert len(set(together)) == len(together), 'a number occurs in both heaps'
    for split, zebra in (('testB', 1), ('truthB', 0)):
        read = np.stack([np.asarray(Image.open(p)) for p in read_folder(root, split).files]).astype(int)
        assert abs(read - draw_animals(4, 2, 32, zebra, 14, home=1)).mean() < 3 # JPEG, nearly the same
    assert not (tmp_path/'horse2zebra.partial').exists()

def test_the_same_set_is_left_alone_and_another_is_refused(tmp_path):
    root = write_horse2zebra(tmp_path/'d', **SMALL)
    before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    assert write_horse2zebra(tmp_path/'d', **SMALL) == root
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    with pytest.raises(FileExistsError, match='another folder'):
        write_horse2zebra(tmp_path/'d', **{**SMALL, 'testA': 4})
    for bad in (dict(trainA=0), dict(testB=1.5), dict(size=4), dict(seed=-1)):
        with pytest.raises(ValueError): write_horse2zebra(tmp_path/'e', **{**SMALL, **bad})
    assert not (tmp_path/'e').exists() and not (tmp_path/'e.partial').exists()

def test_a_killed_drawing_goes_on_and_ends_the_same(tmp_path):
    code = ('import sys; from dlcv_gan.worlds.animals import write_horse2zebra; '
            'write_horse2zebra(sys.argv[1], 200, 20, 3, 4, size=32, seed=1, progress=False)')
    process = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', code, str(tmp_path/'killed')])
    seen = tmp_path/'killed.partial'/'trainA'
    while process.poll() is None and len(list(seen.glob('*.jpg')) if seen.exists() else []) < 10: time.sleep(.005)
    process.send_signal(signal.SIGKILL); process.wait()
    assert not (tmp_path/'killed').exists() and json.loads((tmp_path/'killed.partial'
                                                            /'drawn.json').read_text())['trainA'] == 200
    for p in seen.glob('*.jpg'): Image.open(p).load() # none is half written
    for name in ('killed', 'whole'): write_horse2zebra(tmp_path/name, 200, 20, 3, 4, size=32, seed=1, progress=False)
    assert contents(tmp_path/'killed') == contents(tmp_path/'whole')
