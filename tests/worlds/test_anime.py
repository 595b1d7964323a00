"Laws of the drawn anime faces: colours that differ, the same face in other colours, tags exactly as noisy as said."
import csv, re, signal, subprocess, sys, time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from dlcv_gan.data.readers import ANIME_TAGS, EYES, HAIR, read_anime, read_tag_lines
from dlcv_gan.worlds.anime import anime_factors, draw_anime, sample_tags, tag_lines, write_anime, write_test_tags

def colours(labels): return labels[:, :12].argmax(1), labels[:, 12:].argmax(1)


# --- a face ---------------------------------------------------------------------------------------------------------

@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 20), st.integers(0, 50), st.sampled_from([32, 64, 96]))
def test_a_face_depends_on_its_number_and_seed_only(seed, n, start, size):
    images, labels = draw_anime(n, seed, size, start=start)
    assert images.shape == (n, size, size, 3) and images.dtype == labels.dtype == np.uint8 and labels.shape == (n, 23)
    alone = draw_anime(1, seed, size, start=start + n - 1)
    assert (images[-1] == alone[0][0]).all() and (labels[-1] == alone[1][0]).all()
    assert images.std((1, 2, 3)).min() > 10 # a picture, not a plain colour

def test_another_seed_draws_others_and_no_two_are_alike():
    a, b = draw_anime(24, 0)[0].astype(int), draw_anime(24, 1)[0].astype(int)
    assert abs(a[:, None] - np.concatenate([a, b])[None]).mean((2, 3, 4))[~np.eye(24, 48, dtype=bool)].min() > 5

def test_a_smaller_picture_shows_the_same_face():
    large, small = draw_anime(24, 2, 96)[0], draw_anime(24, 2, 48)[0].astype(float)
    halved = large.reshape(24, 48, 2, 48, 2, 3).mean((2, 4))
    assert abs(halved - small).mean() < 9

def test_every_colour_occurs_and_one_of_each_is_set():
    labels = sample_tags(5000, 3)
    assert (labels[:, :12].sum(1) == 1).all() and (labels[:, 12:].sum(1) == 1).all()
    assert labels.mean(0).min() > .035 and labels.mean(0).max() < .16
    hair, eyes = np.eye(12)[colours(labels)[0]], np.eye(11)[colours(labels)[1]]
    assert abs(hair.T@eyes/5000 - np.outer(hair.mean(0), eyes.mean(0))).max() < .006 # hair tells nothing about eyes

def test_nuisances_know_nothing_of_the_tags():
    factors, labels = anime_factors(4000, 0), sample_tags(4000, 0).astype(float)
    for name, values in factors.items():
        kinds = np.unique(values) if values.dtype.kind == 'U' else [None]
        for k in kinds:
            v = (values == k if k is not None else values).astype(float)
            assert max(abs(np.corrcoef(v, y)[0, 1]) for y in labels.T) < .08, (name, k)

def test_other_eyes_change_the_irises_only():
    for hair, a, b in (('blonde', 'red', 'green'), ('black', 'aqua', 'brown')):
        first, second = (draw_anime(40, 5, tags=(hair, e))[0].astype(int) for e in (a, b))
        changed = abs(first - second).max(-1) > 10
        assert changed.mean((1, 2)).min() > .008, 'someone\'s eyes cannot be seen'
        assert changed.mean((1, 2)).max() < .12
        assert not changed[:, :24].any() and not changed[:, 80:].any()
        assert not changed[:, :, :8].any() and not changed[:, :, 88:].any()

def test_other_hair_leaves_the_eyes_the_mouth_and_the_background():
    blue, pink = (draw_anime(40, 6, tags=(h, 'green'))[0].astype(int) for h in ('blue', 'pink'))
    changed = abs(blue - pink).max(-1) > 6
    assert changed.mean((1, 2)).min() > .12
    red, green = (draw_anime(40, 6, tags=('blue', e))[0].astype(int) for e in ('red', 'green'))
    irises = abs(red - green).max(-1) > 30
    assert (changed & irises).sum()/irises.sum() < .10 # only where a lock crosses an eye
    assert (changed & ~irises).sum() > 0

@pytest.mark.parametrize('size', [64, 96])
def test_hair_colours_can_be_told_by_their_median(size):
    hair = np.arange(480)%12
    images = draw_anime(480, 7, size, tags=(hair, None))[0]/255
    top = images[:, round(.14*size):round(.31*size), round(.35*size):round(.65*size)].reshape(480, -1, 3)
    x = np.median(top, 1)
    means = np.stack([x[:240][hair[:240] == k].mean(0) for k in range(12)])
    right = np.linalg.norm(x[240:, None] - means, axis=2).argmin(1) == hair[240:]
    assert right.mean() > .95 and min(right[hair[240:] == k].mean() for k in range(12)) >= .8

def test_eye_colours_can_be_told_from_the_irises():
    eyes = np.arange(440)%11
    images = draw_anime(440, 8, tags=(None, eyes))[0]/255
    a, b = (draw_anime(440, 8, tags=(None, e))[0].astype(int) for e in ('red', 'aqua'))
    iris = abs(a - b).max(-1) > 60 # where the iris is
    x = np.stack([np.median(im[where], 0) for im, where in zip(images, iris)])
    means = np.stack([x[:220][eyes[:220] == k].mean(0) for k in range(11)])
    right = np.linalg.norm(x[220:, None] - means, axis=2).argmin(1) == eyes[220:]
    assert right.mean() > .95 and min(right[eyes[220:] == k].mean() for k in range(11)) >= .8

def test_the_ways_of_asking_agree():
    rows = sample_tags(12, 3)
    hair, eyes = colours(rows)
    want = draw_anime(12, 1, 32, tags=rows)
    for tags in ((hair, eyes), ([HAIR[k] for k in hair], [f'{EYES[k]} eyes' for k in eyes]), [hair.tolist(), eyes]):
        got = draw_anime(12, 1, 32, tags=tags)
        assert (got[0] == want[0]).all() and (got[1] == rows).all()
    sampled = sample_tags(12, 1)
    assert (draw_anime(12, 1, 32, tags=(None, None))[1] == sampled).all()
    half = draw_anime(12, 1, 32, tags=('aqua', None))[1]
    assert half[:, HAIR.index('aqua')].all() and (half[:, 12:] == sampled[:, 12:]).all()
    assert (draw_anime(2, 1, 32, tags=rows[:2].tolist())[1] == rows[:2]).all() # two rows are not a pair

@pytest.mark.parametrize('bad, says', [
    (dict(n=-1), 'whole number'), (dict(n=2, size=16), '32 to 256'), (dict(n=2, seed=-3), 'whole number'),
    (dict(n=2, tags=('blond', 'red')), "did you mean 'blonde'"), (dict(n=2, tags=('red', 'white')), 'eyes'),
    (dict(n=2, tags=(12, 0)), '0 to 11'),
    (dict(n=3, tags=(['red', 'blue'], 'red')), 'one a face'), (dict(n=2, tags=np.zeros((2, 23), int)), 'exactly one'),
    (dict(n=2, tags=np.ones((2, 23), int)), 'exactly one'), (dict(n=2, tags=np.full((2, 23), 2)), '0 or 1'),
    (dict(n=2, tags=np.zeros((3, 23))), 'shape')])
def test_impossible_faces(bad, says):
    with pytest.raises(ValueError, match=says): draw_anime(**bad)


# --- what is written about it ---------------------------------------------------------------------------------------

def rule(line): # the course's rule, told once more with a pattern
    number, _, rest = line.partition(',')
    tags = re.findall(r'\s*([^\t]*):\d+(?:\t|$)', rest)
    hair = [t for t in tags if re.search('hair$', t) and not re.search('long|short', t)]
    eyes = [t for t in tags if re.search('(?<!^11)eyes$', t) and not t.startswith('bicolored')]
    one_each = len(hair) == len(eyes) == 1 and hair[0][:-5] in HAIR and eyes[0][:-5] in EYES
    return (hair[0][:-5], eyes[0][:-5]) if one_each else None

@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 1000), st.integers(1, 60))
def test_the_rule_keeps_what_is_said_to_be_kept_and_true_but_for_the_wrong_ones(seed, start, n):
    lines, kept, wrong = tag_lines(n, seed, start)
    hair, eyes = colours(sample_tags(n, seed, start))
    for i, line in enumerate(lines):
        found, true = rule(line), (HAIR[hair[i]], EYES[eyes[i]])
        assert (found is not None) == kept[i] and line.startswith(f'{start + i},') and '\n' not in line
        if kept[i]: assert sum(a != b for a, b in zip(found, true)) == wrong[i]
    assert not (wrong & ~kept).any()
    assert tag_lines(1, seed, start + n - 1)[0][0] == lines[-1]

def test_lines_are_as_noisy_as_the_real_ones():
    lines, kept, wrong = tag_lines(4000, 1)
    assert .35 < 1 - kept.mean() < .45 and .012 < wrong.sum()/kept.sum() < .028
    tags = [[t.rpartition(':')[0] for t in line.partition(',')[2].split('\t') if t] for line in lines]
    said = {t for row in tags for t in row}
    assert {'long hair', 'short hair', 'smile', 'ribbon', 'solo', 'twintails'} <= said
    assert {'bicolored eyes', '11eyes', ':d', 'hello, world'} <= said
    assert .4 < np.mean([line.endswith('\t') for line in lines]) < .6
    colour_hair = np.array([sum(t in ANIME_TAGS[:12] for t in row) for row in tags])
    colour_eyes = np.array([sum(t in ANIME_TAGS[12:] for t in row) for row in tags])
    for count in (0, 2): assert (colour_hair == count).mean() > .05 and (colour_eyes == count).mean() > .04
    factors = anime_factors(4000, 1)
    for tag, true in (('twintails', factors['style'] == 'twintails'), ('glasses', factors['glasses']),
                      ('ribbon', factors['ornament'] == 'bow')):
        here = np.array([tag in row for row in tags])
        assert not (here & ~true).any() and here.sum() > .5*true.sum()

def contents(root): return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob('*')) if p.is_file()}

def test_the_reader_reads_what_is_written(tmp_path):
    root = write_anime(tmp_path/'anime', 150, seed=11, size=32, progress=False)
    lines, kept, wrong = tag_lines(150, 11)
    listing = read_anime(root, 'all')
    numbers = np.array([int(p.stem) for p in listing.files])
    assert listing.dropped == (~kept).sum() and listing.skipped == []
    assert sorted(numbers) == np.flatnonzero(kept).tolist()
    with open(root/'truth.csv', newline='') as f:
        truth = {int(r['id']): (r['hair'], r['eyes']) for r in csv.DictReader(f)}
    said = {int(p.stem): (HAIR[h], EYES[e]) for p, h, e in zip(listing.files, *colours(np.asarray(listing.labels)))}
    assert {i for i in said if said[i] != truth[i]} == set(np.flatnonzero(wrong)) and wrong.any()
    images = draw_anime(150, 11, 32)[0]
    for i in (0, 149):
        picture = Image.open(root/'faces'/f'{i}.jpg')
        assert picture.format == 'JPEG' and abs(np.asarray(picture).astype(int) - images[i]).mean() < 4
    assert not (tmp_path/'anime.partial').exists()

def test_the_same_set_is_left_alone_and_another_is_refused(tmp_path):
    root = write_anime(tmp_path/'d', 4, size=32, progress=False)
    before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    assert write_anime(tmp_path/'d', 4, size=32, progress=False) == root
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    with pytest.raises(FileExistsError, match='another folder'): write_anime(tmp_path/'d', 5, size=32, progress=False)
    for bad in (dict(n=0), dict(n=1.5), dict(n=True), dict(size=4), dict(seed=-1)):
        with pytest.raises(ValueError): write_anime(tmp_path/'e', **{**dict(n=2, size=32, progress=False), **bad})
    assert not (tmp_path/'e').exists() and not (tmp_path/'e.partial').exists()

def test_a_killed_drawing_goes_on_and_ends_the_same(tmp_path):
    code = ('import sys; from dlcv_gan.worlds.anime import write_anime; '
            'write_anime(sys.argv[1], 600, size=32, seed=1, progress=False)')
    process = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', code, str(tmp_path/'killed')])
    seen = tmp_path/'killed.partial'/'faces'
    while process.poll() is None and len(list(seen.glob('*.jpg')) if seen.exists() else []) < 30: time.sleep(.005)
    process.send_signal(signal.SIGKILL); process.wait()
    assert not (tmp_path/'killed').exists() and (tmp_path/'killed.partial').exists()
    for p in seen.glob('*.jpg'): Image.open(p).load() # none is half written
    (seen/'7.part').write_bytes(b'half')
    write_anime(tmp_path/'killed', 600, size=32, seed=1, progress=False)
    write_anime(tmp_path/'whole', 600, size=32, seed=1, progress=False)
    assert contents(tmp_path/'killed') == contents(tmp_path/'whole')

def test_a_full_disk_is_named_and_leaves_no_target(tmp_path):
    code = '''
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from dlcv_gan.worlds.anime import write_anime
resource.setrlimit(resource.RLIMIT_FSIZE, (800, 800)) # no file may grow past 800 bytes, as on a full disk
write_anime(sys.argv[1], 8, size=64, progress=False)
'''
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code, str(tmp_path/'full')], capture_output=True,
                          text=True)
    assert done.returncode and 'no space left for' in done.stderr and not (tmp_path/'full').exists()
    write_anime(tmp_path/'full', 8, size=64, progress=False) # and with room again it goes on

@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**40))
def test_wishes_are_read_back(tmp_path_factory, n, seed):
    path = write_test_tags(tmp_path_factory.mktemp('w')/'testing_text.txt', n, seed)
    assert not path.read_bytes().endswith(b'\n') and len(path.read_text().split('\n')) == n
    wishes = read_tag_lines(path)
    assert [k for k, *_ in wishes] == [str(i + 1) for i in range(n)] and all(h or e for _, h, e in wishes)

def test_wishes_come_in_all_forms(tmp_path):
    lines = write_test_tags(tmp_path/'w.txt', 400).read_text().split('\n')
    forms = {re.sub(r'^\d+,|\w+ (?=hair|eyes)', '', line) for line in lines}
    assert forms == {'hair eyes', 'eyes hair', 'hair', 'eyes'}
    wishes = read_tag_lines(tmp_path/'w.txt')
    assert {h for _, h, _ in wishes} == {*HAIR, None} and {e for *_, e in wishes} == {*EYES, None}
    with pytest.raises(ValueError, match='at least 1'): write_test_tags(tmp_path/'none.txt', 0)
    assert not (tmp_path/'none.txt').exists()
