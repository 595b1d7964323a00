"Laws of the drawn scenes: the same scene again, one object at a time, nothing hidden, files as the course has them."
import json, signal, subprocess, sys, time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from dlcv_gan.data.pictures import open_pictures
from dlcv_gan.data.readers import read_conditions, read_iclevr
from dlcv_gan.worlds.scenes import OBJECTS, draw_increments, draw_scenes, scene_factors, write_iclevr

SHARED = Path(__file__).resolve().parents[3]/'shared'/'data'
COLOURS = [name.split()[0] for name in OBJECTS[:8]]


def names(label): return [OBJECTS[k] for k in np.flatnonzero(label)]


def some_objects(n, seed=0):
    "Three different objects a scene."
    random = np.random.default_rng(seed)
    return [[OBJECTS[k] for k in random.permutation(24)[:3]] for _ in range(n)]


def middle(seed, n, place, height, width):
    "Where on the picture the middles of objects are, with cameras as they are on average: (rows, columns)."
    f = scene_factors(n, seed)
    cos, sin = np.cos(np.radians(30)), .5
    x = f['across'][:, place]
    y = f['away'][:, place] + 10*np.cos(np.radians(30))
    z = .6 - 5
    depth = y*cos - z*sin
    return (.5 - 1.3*(y*sin + z*cos)/depth/.75)*height, (.5 + 1.3*x/depth)*width


# --- a scene and its numbers

@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 20), st.integers(0, 50), st.sampled_from([16, 32, 64, (48, 64)]))
def test_a_scene_depends_on_its_number_and_seed_only(seed, n, start, size):
    images, labels = draw_scenes(n, seed, size, start=start)
    assert images.shape == (n, *((size, size) if isinstance(size, int) else size), 3)
    assert images.dtype == labels.dtype == np.uint8
    assert labels.shape == (n, 24) and set(labels.sum(1)) <= {1, 2, 3}
    alone = draw_scenes(1, seed, size, start=start + n - 1)
    assert (images[-1] == alone[0][0]).all() and (labels[-1] == alone[1][0]).all()


def test_the_objects_are_those_of_the_course():
    assert OBJECTS[0] == 'gray cube' and OBJECTS[10] == 'blue sphere' and OBJECTS[23] == 'yellow cylinder'
    assert len(set(OBJECTS)) == 24
    if (SHARED/'iclevr_objects.json').exists():
        assert json.loads((SHARED/'iclevr_objects.json').read_text()) == {name: i for i, name in enumerate(OBJECTS)}


def test_objects_are_equally_frequent_and_places_know_nothing_of_them():
    factors, labels = scene_factors(3000), draw_scenes(3000, size=16)[1]
    assert .6 < (labels.mean(0)*12).min() and (labels.mean(0)*12).max() < 1.4
    assert abs(np.bincount(labels.sum(1))[1:]/3000 - 1/3).max() < .04
    for name, values in factors.items():
        for v in values.reshape(3000, -1).T.astype(float):
            assert max(abs(np.corrcoef(v, y)[0, 1]) for y in labels.T.astype(float)) < .09, name


def test_no_two_objects_touch():
    f = scene_factors(5000, 4)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        # a cube's diagonal is 1.64
        assert np.hypot(f['across'][:, i] - f['across'][:, j], f['away'][:, i] - f['away'][:, j]).min() > 1.69


def test_nothing_stands_right_behind_another():
    f = scene_factors(5000, 4)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        row, column = zip(*(middle(4, 5000, k, 1, 1) for k in (i, j)))
        in_line = abs(column[0] - column[1]) < .04 # of the picture's width, of which an object takes about .18
        assert in_line.sum() > 50 and abs(f['away'][:, i] - f['away'][:, j])[in_line].min() > 2.5


def test_names_and_labels_say_the_same():
    objects = [sorted(row, key=OBJECTS.index) for row in some_objects(8)]
    images, labels = draw_scenes(8, 1, 32, objects)
    again = draw_scenes(8, 1, 32, labels)
    assert [names(row) for row in labels] == objects and (again[0] == images).all() and (again[1] == labels).all()
    assert (draw_scenes(8, 1, 32, labels.astype(np.float32))[0] == images).all()


# --- one thing at a time

def test_increments_are_the_scenes_and_add_one_object():
    images, labels = draw_increments(40, 3)
    assert images.shape == (40, 3, 64, 64, 3)
    assert (labels.sum(2) == [1, 2, 3]).all()
    assert (np.diff(labels.astype(int), axis=1) >= 0).all()
    single, shown = draw_scenes(40, 3)
    count = shown.sum(1) - 1
    assert (images[np.arange(40), count] == single).all() and (labels[np.arange(40), count] == shown).all()


@pytest.mark.parametrize('place', [1, 2])
def test_an_increment_changes_only_what_is_near_the_new_object(place):
    images = draw_increments(200, 5, (96, 128))[0].astype(int)
    changed = abs(images[:, place] - images[:, place - 1]).max(-1)
    row, column = middle(5, 200, place, 96, 128)
    y, x = np.mgrid[:96, :128]
    far = np.hypot(y - row[:, None, None], x - column[:, None, None])
    # the sky's light that it takes away reaches a little further than its shadow
    assert changed[far > 64].max() <= 4, 'something else moved'
    assert (changed*(far > 34) > 24).sum() < .002*changed.size
    assert (changed > 24).mean((1, 2)).max() < .2


def test_another_colour_changes_that_object_only():
    for place in range(3):
        objects = some_objects(60, place)
        def coloured(c): # the object in `place` in that colour, a gray cube beside it
            return [[f'{c} {o.split()[1]}' if k == place else 'gray cube' if k == (place + 1) % 3 else None
                     for k, o in enumerate(row)] for row in objects]
        red, blue = coloured('red'), coloured('blue')
        without = [[None if k == place else o for k, o in enumerate(row)] for row in red]
        a, b, none = (draw_scenes(60, 6, objects=o)[0].astype(int) for o in (red, blue, without))
        changed = (a != b).any(-1)
        assert changed.any((1, 2)).all() and changed.mean((1, 2)).max() < .12
        assert not (changed & ~((a != none).any(-1))).any() # floor, shadow and neighbours are as they were


def test_every_label_is_visible():
    "Two fifths of each object are seen, and no less than CLEVR asks for: 200 pixels of 320 x 240, 11 of 64 x 64."
    for place in range(3):
        shapes = [[o.split()[1] for o in row] for row in some_objects(200, place)]
        def drawn(c, others):
            objects = [[f'{c} {s}' if k == place else f'{others[k]} {s}' if others else None
                        for k, s in enumerate(row)] for row in shapes]
            return draw_scenes(200, 7, objects=objects)[0].astype(int)
        def seen(others):
            blue, yellow = (drawn(c, others) for c in ('blue', 'yellow'))
            return (abs(blue - yellow).max(-1) > 40).sum((1, 2))
        whole, part = seen(None), seen(['red', 'gray', 'green'])
        assert part.min() >= 11 and (part/whole).min() > .4, (part.min(), (part/whole).min())


def test_nothing_is_cut_off():
    none, one = (draw_scenes(600, 8, 64, [[None, None, o] for o in row])[0].astype(int)
                 for row in ([None]*600, ['yellow cylinder']*600))
    border = np.ones((64, 64), bool); border[1:-1, 1:-1] = False
    yellow = (one[..., 0] - one[..., 2] > 50) & (abs(one - none).max(-1) > 50)
    assert yellow.any((1, 2)).all() and not (yellow & border).any()


def test_objects_have_the_colour_they_are_said_to_have():
    named = np.array([(94, 94, 94), (173, 32, 32), (40, 70, 210), (30, 116, 28), (136, 76, 28), (132, 40, 190),
                      (38, 200, 204), (250, 224, 40)])
    for shape in ('cube', 'sphere', 'cylinder'):
        for k, colour in enumerate(COLOURS):
            images = draw_scenes(40, 9, objects=[[f'{colour} {shape}']]*40)[0].astype(int)
            other = draw_scenes(40, 9, objects=[[f"{COLOURS[(k + 4) % 8]} {shape}"]]*40)[0].astype(int)
            pixels = images[abs(images - other).max(-1) > 40]
            shades = named/np.linalg.norm(named, axis=1, keepdims=True)
            near = np.median(pixels/np.linalg.norm(pixels, axis=1, keepdims=True), 0)
            assert (shades @ near).argmax() == k, (colour, shape, near)
            assert .5 < np.linalg.norm(np.median(pixels, 0))/np.linalg.norm(named[k]) < 1.35, (colour, shape)


def test_the_nearer_object_hides_the_farther_one():
    f = scene_factors(1) | dict(across=np.float32([[0, 0, 0]]), away=np.float32([[1.5, -1.0, 9]]))
    for order in (['red cylinder', 'cyan cylinder'], ['cyan cylinder', 'red cylinder']):
        near = order[1].split()[0]
        image = draw_scenes(1, 0, (120, 160), [order], factors=f)[0][0].astype(int)
        alone = draw_scenes(1, 0, (120, 160), [[None, order[1]]], factors=f)[0][0].astype(int)
        tone = image[..., 0] - image[..., 2] if near == 'red' else image[..., 2] - image[..., 0]
        own = alone[..., 0] - alone[..., 2] if near == 'red' else alone[..., 2] - alone[..., 0]
        assert (own > 40).sum() > 300
        assert (abs(image - alone).max(-1)[(own > 60)] <= 60).mean() > .97
        assert (tone > 40).sum() >= .97*(own > 40).sum()


def test_a_square_is_the_whole_view_squeezed():
    wide, square = draw_scenes(12, 2, (240, 320))[0], draw_scenes(12, 2, 64)[0].astype(int)
    squeezed = np.stack([np.asarray(Image.fromarray(w).resize((64, 64), Image.Resampling.BOX))
                         for w in wide]).astype(int)
    assert abs(squeezed - square).mean() < 1 and (abs(squeezed - square).max(-1) > 40).mean() < .003


@pytest.mark.parametrize('bad, says', [
    (dict(n=-1), 'whole number'), (dict(n=2, seed=-3), 'whole number'), (dict(n=2, size=8), '16 to 1024'),
    (dict(n=2, size=(64, 64, 3)), 'height, width'),
    (dict(n=1, objects=[['grey cube']]), "did you mean 'gray cube'"),
    (dict(n=1, objects=[['red cube', 'red cube']]), 'twice'),
    (dict(n=2, objects=[['red cube']]), 'give 2'), (dict(n=1, objects=['red cube']), 'list of names'),
    (dict(n=1, objects=[OBJECTS[:4]]), 'places'), (dict(n=1, objects=np.full((1, 24), .5)), '0 or 1')])
def test_impossible_scenes(bad, says):
    with pytest.raises(ValueError, match=says): draw_scenes(**bad)


# --- on disk

def contents(root): return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob('*')) if p.is_file()}


def shape_of(value):
    "What a JSON file is made of, whatever it says."
    if isinstance(value, dict): return 'object', {type(k) for k in value}, {shape_of(v)[0] for v in value.values()}
    if isinstance(value, list):
        return 'list', {type(v) for v in value}, {type(x) for v in value if isinstance(v, list) for x in v}
    return type(value).__name__, None, None


def test_written_scenes_are_the_course_layout_and_read_back(tmp_path):
    root = write_iclevr(tmp_path/'scenes', 9, 2, (48, 64), progress=False)
    images, labels = draw_increments(9, 2, (48, 64))
    listing = read_iclevr(root, 'all')
    assert [p.name for p in listing.files] == [f'CLEVR_train_{i:06d}_{k}.png' for i in range(9) for k in range(3)]
    assert listing.attributes == OBJECTS and (listing.labels == labels.reshape(-1, 24)).all()
    assert (np.asarray(Image.open(root/'iclevr'/'CLEVR_train_000003_1.png')) == images[3, 1]).all()
    train = json.loads((root/'train.json').read_text())
    for i in range(9): # objects stand in the order in which they come
        lists = [train[f'CLEVR_train_{i:06d}_{k}.png'] for k in range(3)]
        assert lists[0] == lists[2][:1] and lists[1] == lists[2][:2]
    assert not (tmp_path/'scenes.partial').exists()
    assert (open_pictures(root, 'all', 32, progress=False).images
            == open_pictures(root, 'all', 32, crop='resize', progress=False).images).all()


@pytest.mark.parametrize('seed', range(4))
def test_conditions_are_made_like_the_real_ones(tmp_path, seed):
    root = write_iclevr(tmp_path/'s', 1, seed, 16, progress=False)
    sets = {k: json.loads((root/f'{k}.json').read_text()) for k in ('test', 'new_test')}
    assert [np.bincount([len(w) for w in sets[k]],
                        minlength=4).tolist() for k in sets] == [[0, 6, 12, 14], [0, 0, 12, 20]]
    combinations = [frozenset(w) for k in sets for w in sets[k]]
    assert len(set(combinations)) == 64 and all(len(set(w)) == len(w) for k in sets for w in sets[k])
    for k, wishes in sets.items():
        assert {o for w in wishes for o in w} == set(OBJECTS)
        assert read_conditions(root/f'{k}.json').sum() == dict(test=72, new_test=84)[k]
    if (SHARED/'iclevr_train.json').exists():
        for k in ('objects', 'train', 'test', 'new_test'):
            real, ours = (json.loads(p.read_text()) for p in (SHARED/f'iclevr_{k}.json', root/f'{k}.json'))
            assert shape_of(real) == shape_of(ours), k
            if 'test' in k:
                assert np.bincount([len(w) for w in real]).tolist() == np.bincount([len(w) for w in ours]).tolist()


def test_the_same_set_is_left_alone_and_another_is_refused(tmp_path):
    root = write_iclevr(tmp_path/'d', 2, size=16, progress=False)
    before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    assert write_iclevr(tmp_path/'d', 2, size=16, progress=False) == root
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    with pytest.raises(FileExistsError, match='another folder'): write_iclevr(tmp_path/'d', 3, size=16, progress=False)
    for bad in (dict(n=0), dict(n=1.5), dict(size=4), dict(seed=-1), dict(n_conditions=0), dict(n_conditions=97)):
        with pytest.raises(ValueError): write_iclevr(tmp_path/'e', **{**dict(n=2, size=16, progress=False), **bad})
    assert not (tmp_path/'e').exists() and not (tmp_path/'e.partial').exists()
    assert len(json.loads(
        (write_iclevr(tmp_path/'f', 1, size=16, n_conditions=96, progress=False)/'test.json').read_text())) == 96


def test_a_killed_drawing_goes_on_and_ends_the_same(tmp_path):
    code = ('import sys; from dlcv_gan.worlds.scenes import write_iclevr; '
            'write_iclevr(sys.argv[1], 300, 1, 32, progress=False)')
    process = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', code, str(tmp_path/'killed')])
    seen = tmp_path/'killed.partial'/'iclevr'
    while process.poll() is None and len(list(seen.glob('*.png')) if seen.exists() else []) < 30: time.sleep(.005)
    process.send_signal(signal.SIGKILL); process.wait()
    assert not (tmp_path/'killed').exists() and (tmp_path/'killed.partial').exists()
    for p in seen.glob('*.png'): Image.open(p).load() # none is half written
    write_iclevr(tmp_path/'killed', 300, 1, 32, progress=False)
    write_iclevr(tmp_path/'whole', 300, 1, 32, progress=False)
    assert (
        {k: v for k, v in contents(tmp_path/'killed').items() if not k.endswith('.part')} == contents(tmp_path/'whole'))


def test_a_full_disk_is_named_and_leaves_no_target(tmp_path):
    code = '''
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from dlcv_gan.worlds.scenes import write_iclevr
resource.setrlimit(resource.RLIMIT_FSIZE, (800, 800)) # no file may grow past 800 bytes, as on a full disk
write_iclevr(sys.argv[1], 4, size=64, progress=False)
'''
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code, str(tmp_path/'full')], capture_output=True,
                          text=True)
    assert done.returncode and 'no space left for' in done.stderr and not (tmp_path/'full').exists()
    write_iclevr(tmp_path/'full', 4, size=64, progress=False) # and with room again it goes on
