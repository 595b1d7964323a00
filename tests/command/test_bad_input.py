"What users get wrong in their data: `dlcv_gan train` says so in one line, before anything is trained or written."
import contextlib, io, json

import numpy as np
import pytest
from PIL import Image

from dlcv_gan.cli.command import main
from dlcv_gan.data.readers import read_conditions, read_tag_lines

OBJECTS = [f'{colour} {shape}' for shape in ('cube', 'sphere', 'cylinder')
           for colour in 'gray red blue green brown purple cyan yellow'.split()]
SCENES = {f'CLEVR_train_{i:06d}_{k}.png': ['red cube', 'gray sphere', 'blue cylinder'][:k + 1] for i in range(2)
          for k in range(3)}
FIRST = 'CLEVR_train_000000_0.png'
SMALL = ['--size', 32, '--width', 4, '--bs', 2, '--rounds', 1]


def pictures(folder, names, size=(32, 32)):
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names): Image.fromarray(np.full((*size, 3), 10*i % 256, np.uint8)).save(folder/name)
    return folder


def refused(root, system, data, *flags):
    "The one error line; neither a run nor a decoded picture is left behind."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(w) for w in ('train', system, '--data', data, '--out', root/'run', *(flags or SMALL))])
    lines = err.getvalue().splitlines()
    assert code == 2 and len(lines) == 1 and not out.getvalue(), (code, err.getvalue())
    assert lines[0].startswith('error: ')
    assert not (root/'run').exists()
    return lines[0]


def says(message, *words):
    for word in words: assert word in message, f'{word!r} is not in: {message}'


# --- i-CLEVR: labels of the pictures, and conditions

WRONG = [
    ([], ['names no object']), (None, ['is not a list']), ('red cube', ['is not a list']),
    ({'red cube': 1}, ['is not a list']),
    (['grey cube'], ["'grey cube'", "did you mean 'gray cube'"]), (['blue cylindre'], ["did you mean 'blue cylinder'"]),
    (['mauve donut'], ['known are gray cube']),
    ([3], ['3 is not a name']), ([['red cube']], ["['red cube'] is not a name"]),
    (OBJECTS[:4], ['names 4 objects', 'three at most']), (['red cube', 'red cube'], ["'red cube'", 'twice'])]


@pytest.mark.parametrize('names, words', WRONG)
def test_a_wrong_label_is_told_by_file_entry_and_picture(tmp_path, names, words):
    pictures(tmp_path/'iclevr', SCENES)
    (tmp_path/'objects.json').write_text(json.dumps({o: i for i, o in enumerate(OBJECTS)}))
    (tmp_path/'train.json').write_text(json.dumps(SCENES | {FIRST: names}))
    says(refused(tmp_path, 'cgan', tmp_path), str(tmp_path/'train.json'), 'entry 1', FIRST, *words, 'Mend')
    assert not (tmp_path/'.dlcv_gan_cache').exists()


@pytest.mark.parametrize('names, words', WRONG)
def test_a_wrong_condition_is_told_by_file_and_entry(tmp_path, names, words):
    (tmp_path/'test.json').write_text(json.dumps([['gray cube'], names]))
    with pytest.raises(ValueError) as e: read_conditions(tmp_path/'test.json', OBJECTS)
    says(str(e.value), 'test.json, entry 2', *words, 'Mend')


@pytest.mark.parametrize('text, words', [('{"a": ["red cube"]}', ['a list of lists']), ('3', ['a list of lists']),
                                         ('null', ['a list of lists']), ('[]', ['a list of lists']),
                                         ('[["red cube"]', ['not JSON']), ('["red cube"]',
                                                                           ['entry 1', 'is not a list']),
                                         ('['*100_000, ['not JSON', 'nested']), ('\xff', ['not JSON'])])
def test_conditions_that_are_no_list_of_lists(tmp_path, text, words):
    (tmp_path/'test.json').write_bytes(text.encode('latin-1'))
    with pytest.raises(ValueError) as e: read_conditions(tmp_path/'test.json', OBJECTS)
    says(str(e.value), str(tmp_path/'test.json'), *words)


def test_pictures_that_the_json_does_not_name_and_the_other_way_round(tmp_path):
    pictures(tmp_path/'iclevr', SCENES)
    (tmp_path/'objects.json').write_text(json.dumps({o: i for i, o in enumerate(OBJECTS)}))
    (tmp_path/'train.json').write_text(json.dumps(SCENES))
    (tmp_path/'iclevr'/FIRST).rename(tmp_path/'iclevr'/'renamed.png')
    says(refused(tmp_path, 'cgan', tmp_path), 'train.json, entry 1', repr(FIRST), 'Put it back')
    (tmp_path/'iclevr'/'renamed.png').rename(tmp_path/'iclevr'/FIRST)
    pictures(tmp_path/'iclevr', ['more.png'])
    says(refused(tmp_path, 'cgan', tmp_path), 'more.png', 'no row in', 'train.json', 'move the picture away')


# --- tags and attributes

@pytest.mark.parametrize('row, words', [('1,mauve hair red eyes', ["'mauve'", 'known are orange']),
                                        ('1,blond hair red eyes', ["did you mean 'blonde'"]),
                                        ('1,blue hair red eyes pink hair', ['hair twice']),
                                        ('1,red eyes blue hair red eyes', ['eyes twice']), ('1,', ["''"])])
def test_wrong_tags_are_told_in_data_and_in_conditions(tmp_path, row, words):
    pictures(tmp_path/'faces', ['0.jpg', '1.jpg'])
    (tmp_path/'tags.csv').write_text(f'0,blue hair red eyes\n{row}\n')
    says(refused(tmp_path, 'cwgan', tmp_path), 'tags.csv, line 2', *words, 'Mend')
    with pytest.raises(ValueError) as e: read_tag_lines(tmp_path/'tags.csv')
    says(str(e.value), 'tags.csv, line 2', *words, 'Mend')


def test_an_attribute_asked_for_twice_or_unknown(tmp_path):
    pictures(tmp_path/'train', ['0.png', '1.png'])
    (tmp_path/'train.csv').write_text('image_name,Male,Smiling\n0.png,0,1\n1.png,1,0\n')
    says(refused(tmp_path, 'acgan', tmp_path, *SMALL, '--attributes', 'Male', 'Male'), "'Male'", 'twice')
    says(refused(tmp_path, 'acgan', tmp_path, *SMALL, '--attributes', 'male'), "did you mean 'Male'")


# --- two folders to translate between

PAIR = ['--size', 32, '--width', 2, '--set', 'blocks=1', '--bs', 1, '--rounds', 1]


def pair(root, a, b, size_a=(32, 32), size_b=(32, 32)):
    for side, n, size in (('A', a, size_a), ('B', b, size_b)):
        if n is not None: pictures(root/f'train{side}', [f'{i}.png' for i in range(n)], size)
    return root


@pytest.mark.parametrize('a, b, names, what',
                         [(3, None, 'trainB', 'no such folder'), (None, 3, 'trainA', 'no such folder'),
                          (3, 0, 'trainB', 'no pictures'), (0, 3, 'trainA', 'no pictures')])
@pytest.mark.parametrize('loose', [0, 2]) # pictures beside the folders
def test_a_side_without_pictures_is_named(tmp_path, a, b, names, what, loose):
    pair(tmp_path, a, b); pictures(tmp_path, [f'x{i}.png' for i in range(loose)])
    says(refused(tmp_path, 'cyclegan', tmp_path, *PAIR), str(tmp_path/names), what, 'trainA', 'trainB')


def test_a_folder_in_another_layout_has_no_sides(tmp_path):
    pictures(tmp_path/'train', ['0.png']); (tmp_path/'train.csv').write_text('image_name,Male\n0.png,0\n')
    says(refused(tmp_path, 'cyclegan', tmp_path, *PAIR), 'trainA', 'no such folder')


def test_sides_of_wildly_different_sizes(tmp_path):
    says(refused(tmp_path, 'cyclegan', pair(tmp_path/'few', 1, 40), *PAIR), '1 and 40', 'learned by heart')
    said = refused(tmp_path, 'cyclegan', pair(tmp_path/'small', 3, 3, (16, 16), (256, 256)), *PAIR)
    says(said, '16 and 256', 'by their blur')
    says(refused(tmp_path, 'cyclegan', pair(tmp_path/'strip', 3, 3, (64, 64), (8, 90)), *PAIR), '64 and 8',
         'by their blur')


# --- sizes

@pytest.mark.parametrize('system, flags, words',
                         [('cnf', ['--size', 33], ['33', '2 ** levels']),
                          ('cnf', ['--size', 40], ['40', 'halve 4 times']),
                          ('cnf', ['--size', 32, '--set', 'levels=6'], ['halve 6 times']),
                                                  ('cnf-faces', ['--size', 63], ['63']),
                          ('cgan', ['--size', 48], ['48', '32, 64 or 128']),
                          ('cyclegan', ['--size', 33], ['33', 'multiple of 4'])])
def test_an_odd_size_is_told_before_pictures_are_looked_for(tmp_path, system, flags, words):
    says(refused(tmp_path, system, tmp_path, *flags, '--rounds', 1), *words) # there are no pictures
