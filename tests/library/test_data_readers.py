"Readers, decoding and the cache: formats, faults, and what a killed or crowded run leaves behind."
import gzip, hashlib, http.server, json, multiprocessing, os, pickle, shutil, struct, tarfile, threading, time, unicodedata, warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from torchvision.datasets import CIFAR10, MNIST, CelebA, FakeData, ImageFolder
from torchvision.transforms import ToTensor
from torchvision.transforms.functional import resize

from dlcv_gan.data.pictures import (Pictures, cache_pictures, from_torchvision, open_pictures, to_float, to_uint8,
                                    torchvision_pictures)
from dlcv_gan.data.readers import (ANIME_TAGS, EYES, HAIR, Listing, in_test_split, read_anime, read_celeba,
                                   read_conditions, read_folder, read_hw4, read_iclevr, read_tag_lines)

SHARED = Path(__file__).resolve().parents[3]/'shared'/'data'


def real(name):
    if not (SHARED/name).exists():
        pytest.skip(f'{SHARED/name} is absent: the real sample files travel beside the repository')
    return SHARED/name


def dot(path, value=0, size=8):
    "A small picture whose grey level says which it is."
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (size, size), (value, value, value)).save(path)


def hw4(root, rows, header='image_name,Bangs,Smiling', split='train', write=None):
    names = [r.split(',')[0].strip('"') for r in rows] if write is None else write
    for i, n in enumerate(names): dot(root/split/n, i)
    (root/f'{split}.csv').write_text('\n'.join([header, *rows]) + '\n', encoding='utf-8')
    return root


def fails(f, *args, says, kind=ValueError, **kwargs):
    with pytest.raises(kind) as e: f(*args, **kwargs)
    for word in says: assert word in str(e.value), f'{word!r} is not in: {e.value}'


def skips(f, *args, n, says):
    "With on_bad='skip' each bad row is named once and one warning sums up."
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        listing = f(*args, on_bad='skip')
    assert len(said) == 1 and f'{n} skipped' in str(said[0].message)
    assert len(listing.skipped) == n
    for word in says: assert any(word in s for s in listing.skipped)
    return listing


# --- the course's CSV

@pytest.mark.parametrize('values', [['0.0', '1.0'], ['0', '1'], ['-1', '1'], ['-1.0', '1.0']])
def test_hw4_reads_every_coding(tmp_path, values):
    no, yes = values
    listing = read_hw4(hw4(tmp_path, [f'b.png,{no},{yes}', f'a.png,{yes},{no}']))
    assert [f.name for f in listing.files] == ['b.png', 'a.png'] and listing.attributes == ['Bangs', 'Smiling']
    assert listing.labels.dtype == np.uint8 and listing.labels.tolist() == [[0, 1], [1, 0]] and listing.skipped == []


def test_labels_follow_names_not_order(tmp_path):
    names = [f'{i}.png' for i in (10, 2, 33, 1)]
    listing = read_hw4(hw4(tmp_path, [f'{n},{int(n[0] == "1")},0' for n in names]))
    for f, bits in zip(listing.files, listing.labels): assert bits[0] == (f.name[0] == '1')
    pictures = cache_pictures(listing, 8, progress=False)
    assert pictures.names == names and [int(p[0, 0, 0]) for p in pictures.images] == [0, 1, 2, 3]


@pytest.mark.parametrize('mangle', [lambda t: '\ufeff' + t, lambda t: t.replace('\n', '\r\n'), lambda t: t.rstrip('\n'),
                                    lambda t: t + '\n\n', lambda t: t.replace(',', ' , ')])
def test_hw4_tolerates_spreadsheet_quirks(tmp_path, mangle):
    hw4(tmp_path, ['a.png,0,1', 'b.png,1,0'])
    table = tmp_path/'train.csv'
    table.write_bytes(mangle(table.read_text()).encode())
    assert read_hw4(tmp_path).labels.tolist() == [[0, 1], [1, 0]]


def test_names_with_blanks_commas_and_accents(tmp_path):
    hw4(tmp_path, ['"a, b.png",0,1', f'{unicodedata.normalize("NFC", "é 臉")}.png,1,0'],
        write=['a, b.png', unicodedata.normalize('NFD', 'é 臉') + '.png'])
    assert read_hw4(tmp_path).labels.tolist() == [[0, 1], [1, 0]]


HW4_FAULTS = [
    (['a.png,0,1', 'b.png,0'], ['train.csv, line 3', '1 values for 2']),
    (['a.png,0,1', 'b.png,0,1,1'], ['train.csv, line 3', '3 values for 2']),
    (['a.png,0,1', 'b.png,0,2'], ['train.csv, line 3', "Smiling is '2'", '0/1']),
    (['a.png,0,1', 'b.png,0,'], ['train.csv, line 3', "Smiling is ''"]),
    (['a.png,0,1', 'b.png,nan,1'], ['train.csv, line 3', 'Bangs']),
    (['a.png,0,1', 'b.png,-1,1'], ['train.csv, line 3', 'as -1', 'as 0']),
]


@pytest.mark.parametrize('rows,says', HW4_FAULTS)
def test_hw4_bad_rows_are_named_or_skipped(tmp_path, rows, says):
    hw4(tmp_path, rows)
    fails(read_hw4, tmp_path, says=says)
    assert len(skips(read_hw4, tmp_path, n=1, says=says[:1])) == 1


def test_hw4_row_and_picture_must_match_both_ways(tmp_path):
    hw4(tmp_path, ['a.png,0,1', 'b.png,0,1'], write=['a.png'])
    fails(read_hw4, tmp_path, says=['train.csv, line 3', "'b.png'", 'Put it back'])
    dot(tmp_path/'train'/'c.png')
    (tmp_path/'train.csv').write_text('image_name,Bangs,Smiling\na.png,0,1\n')
    fails(read_hw4, tmp_path, says=['c.png', 'no row in', 'train.csv'])
    assert [f.name for f in skips(read_hw4, tmp_path, n=1, says=['c.png']).files] == ['a.png']


def test_hw4_duplicate_row_names_both_lines(tmp_path):
    fails(read_hw4, hw4(tmp_path, ['a.png,0,1', 'a.png,1,1']), says=['line 3', 'line 2', "'a.png'"])


@pytest.mark.parametrize('header,says', [('image_name,Bangs,Bangs', ["'Bangs' twice"]),
                                         ('image_name,Bangs,', ['empty name']),
                                         ('image_name', ['no attribute']), ('a.png,0,1', ['line 1', 'image_name'])])
def test_hw4_bad_headers_always_raise(tmp_path, header, says):
    fails(read_hw4, hw4(tmp_path, ['b.png,0,1'], header), on_bad='skip', says=['train.csv', *says])


def test_hw4_missing_things(tmp_path):
    fails(read_hw4, tmp_path, kind=FileNotFoundError, says=['train.csv', 'Unpack'])
    hw4(tmp_path, ['a.png,0,1']); (tmp_path/'train/a.png').unlink()
    fails(read_hw4, tmp_path, kind=FileNotFoundError, says=['no pictures', 'train'])
    (tmp_path/'train.csv').write_bytes(b'')
    fails(read_hw4, tmp_path, says=['train.csv'])
    (tmp_path/'train.csv').write_text('image_name,Bangs\na.png,1\n', encoding='utf-16')
    fails(read_hw4, tmp_path, says=['UTF-16', 'UTF-8'])
    (tmp_path/'train.csv').write_bytes(b'image_name,Bangs\n\xe9.png,1\n')
    fails(read_hw4, tmp_path, says=['line 2', 'UTF-8'])
    fails(read_hw4, tmp_path, 'valid', says=["'valid'", 'train, test'])
    fails(read_hw4, tmp_path, on_bad='ignore', says=["'ignore'", "'skip'"])


def test_hw4_nothing_left_is_an_error(tmp_path):
    hw4(tmp_path, ['a.png,0,7'])
    with pytest.warns(UserWarning): fails(read_hw4, tmp_path, on_bad='skip', says=['nothing is left'])


def test_real_hw4_head(tmp_path):
    lines = real('dlcv_hw4_train.head.csv').read_text().split()
    for line in lines[1:]: dot(tmp_path/'train'/line.split(',')[0])
    shutil.copy(SHARED/'dlcv_hw4_train.head.csv', tmp_path/'train.csv')
    listing = read_hw4(tmp_path)
    assert len(listing) == 200 and len(listing.attributes) == 13
    assert ','.join(f'{v:.1f}' for v in listing.labels[0]) == lines[1].split(',', 1)[1]


# --- CelebA

def celeba(root, names=('000001.jpg', '000002.jpg', '000003.jpg'), folder='img_align_celeba', gap=' ', said=None):
    for i, n in enumerate(names): dot(root/folder/n, i)
    rows = [f'{n}{gap}{-1 if i%2 else 1:2d}  {1 if i == 2 else -1:2d} ' for i, n in enumerate(names)]
    (root/'list_attr_celeba.txt').write_text('\n'.join([str(len(names) if said is None else said), 'Bald Young ',
                                                        *rows]) + '\n')
    return root


@pytest.mark.parametrize('folder', ['img_align_celeba', 'img_align_celeba/img_align_celeba', 'images', '.',
                                    'Img/img_align_celeba'])
@pytest.mark.parametrize('gap', [' ', '  '])
def test_celeba_layouts(tmp_path, folder, gap):
    listing = read_celeba(celeba(tmp_path, folder=folder, gap=gap), 'all')
    assert listing.attributes == ['Bald', 'Young'] and listing.labels.tolist() == [[1, 0], [0, 0], [1, 1]]


def test_celeba_hq_and_kaggle_names(tmp_path):
    celeba(tmp_path/'hq', ('0.jpg', '1.jpg'), 'CelebA-HQ-img', '  ')
    (tmp_path/'hq/list_attr_celeba.txt').rename(tmp_path/'hq/CelebAMask-HQ-attribute-anno.txt')
    assert read_celeba(tmp_path/'hq', 'all').labels.tolist() == [[1, 0], [0, 0]]
    for i in range(3): dot(tmp_path/f'k/img_align_celeba/img_align_celeba/{i}.jpg')
    (tmp_path/'k/list_attr_celeba.csv').write_text('image_id,Bald\n0.jpg,-1\n1.jpg,1\n2.jpg,-1\n')
    (tmp_path/'k/list_eval_partition.csv').write_text('image_id,partition\n0.jpg,0\n1.jpg,0\n2.jpg,2\n')
    assert read_celeba(tmp_path/'k').labels.tolist() == [[0], [1]]
    assert [f.name for f in read_celeba(tmp_path/'k', 'test').files] == ['2.jpg']


def test_celeba_partition(tmp_path):
    celeba(tmp_path)
    (tmp_path/'list_eval_partition.txt').write_text('000003.jpg 0\n000001.jpg 1\n000002.jpg 2\n')
    got = {s: [f.name for f in read_celeba(tmp_path, s).files] for s in ('train', 'valid', 'test', 'all')}
    assert got == dict(train=['000003.jpg'], valid=['000001.jpg'], test=['000002.jpg'],
                       all=['000001.jpg', '000002.jpg', '000003.jpg'])
    (tmp_path/'list_eval_partition.txt').write_text('000003.jpg 0\n000001.jpg 7\n000002.jpg 2\n')
    fails(read_celeba, tmp_path, says=['list_eval_partition.txt, line 2', '0, 1 or 2'])
    (tmp_path/'list_eval_partition.txt').write_text('000003.jpg 0\n000002.jpg 2\n')
    fails(read_celeba, tmp_path, says=['list_eval_partition.txt', '000001.jpg'])


def test_celeba_names_with_blanks_and_rows_with_too_much(tmp_path):
    celeba(tmp_path, ('my face.jpg', 'b.jpg'))
    assert [f.name for f in read_celeba(tmp_path, 'all').files] == ['my face.jpg', 'b.jpg']
    text = (tmp_path/'list_attr_celeba.txt').read_text()
    (tmp_path/'list_attr_celeba.txt').write_text(text.replace('b.jpg', 'b.jpg 1'))
    fails(read_celeba, tmp_path, says=['line 4', '3 values for 2'])


def test_celeba_faults(tmp_path):
    fails(read_celeba, celeba(tmp_path, said=5), says=['line 1', 'promises 5 rows, 3 follow'])
    text = celeba(tmp_path).joinpath('list_attr_celeba.txt').read_text()
    (tmp_path/'list_attr_celeba.txt').write_text(text.split('\n', 1)[1])
    fails(read_celeba, tmp_path, says=['line 1', 'number of rows'])
    (tmp_path/'list_attr_celeba.txt').write_text('3\n')
    fails(read_celeba, tmp_path, says=['no rows'])
    fails(read_celeba, tmp_path/'nowhere', kind=FileNotFoundError, says=['list_attr_celeba.txt'])


def test_real_celeba_head(tmp_path):
    text = real('list_attr_celeba.head.txt').read_text()
    for i in range(1, 11): dot(tmp_path/f'img_align_celeba/{i:06d}.jpg')
    (tmp_path/'list_attr_celeba.txt').write_text(text)
    fails(read_celeba, tmp_path, 'all', says=['line 1', 'promises 202599 rows, 10 follow'])
    listing = skips(read_celeba, tmp_path, 'all', n=1, says=['202599'])
    assert len(listing) == 10 and len(listing.attributes) == 40
    values = np.array([line.split()[1:] for line in text.splitlines()[2:]], int)
    assert np.array_equal(listing.labels, (values + 1)//2)
    # uneven blanks are in the real file, not only in ours
    assert '  ' in text.splitlines()[2] and ' -1' in text


def test_real_rows_in_the_layout_of_celeba_hq(tmp_path):
    "Two blanks after each name, its own file name, its own folder, the true number of rows."
    count, names, *rows = real('list_attr_celeba.head.txt').read_text().splitlines()
    for i in range(1, 11): dot(tmp_path/f'CelebA-HQ-img/{i:06d}.jpg')
    text = '\n'.join([str(len(rows)), names, *(row.replace(' ', '  ', 1) for row in rows)])
    (tmp_path/'CelebAMask-HQ-attribute-anno.txt').write_text(text)
    listing = read_celeba(tmp_path, 'all')
    assert np.array_equal(listing.labels, (np.array([row.split()[1:] for row in rows],
                                                    int) + 1)//2) and listing.attributes == names.split()


# --- folders and splits

def test_folder_order_hidden_files_and_splits(tmp_path):
    for n in ('10.png', '2.PNG', '._2.png', 'notes.txt', 'sub/3.jpg', '.cache/4.jpg'):
        if n.endswith('txt'): (tmp_path/n).write_text('no picture')
        else: (tmp_path/n).parent.mkdir(exist_ok=True); Image.new('RGB', (4, 4)).save(tmp_path/n, 'png')
    assert [f.name for f in read_folder(tmp_path, 'all').files] == ['2.PNG', '10.png']
    assert [f.name for f in read_folder(tmp_path, 'all', recursive=True).files] == ['2.PNG', '10.png', '3.jpg']
    assert [f.name for f in read_folder(tmp_path,
                                        'sub').files] == ['3.jpg'] and read_folder(tmp_path, 'all').labels is None
    fails(read_folder, tmp_path/'nowhere', kind=FileNotFoundError, says=['nowhere'])
    (tmp_path/'bare').mkdir(); fails(read_folder, tmp_path/'bare', kind=FileNotFoundError, says=['bare', 'no pictures'])
    (tmp_path/'few').mkdir(); shutil.copy(tmp_path/'10.png', tmp_path/'few/0.png')
    fails(read_folder, tmp_path/'few', 'tset', says=["'tset'", "'test'"])


def test_hashed_split_is_a_tenth_and_never_moves():
    names = [f'{i:06d}.jpg' for i in range(20000)]
    assert abs(np.mean([in_test_split(n) for n in names]) - .1) < .01
    assert [n for n in names[:60] if in_test_split(n)] == [n for n in names[:60] if in_test_split(n)]
    # pinned: a change would leak test pictures into training
    assert [i for i in range(40) if in_test_split(f'{i}.png')] == [2, 6, 27]


# --- anime faces

def anime(root, text, table='tags_clean.csv', n=3, folder='faces'):
    for i in range(n): dot(root/folder/f'{i}.jpg', i)
    (root/table).parent.mkdir(exist_ok=True, parents=True)
    (root/table).write_text(text)
    return root


def tags(listing):
    return {f.stem: [t for t, b in zip(listing.attributes, bits) if b]
            for f, bits in zip(listing.files, listing.labels)}


def test_anime_attribute_order():
    assert len(HAIR) == 12 and len(EYES) == 11
    assert ANIME_TAGS[0] == 'orange hair' and ANIME_TAGS[11] == 'blonde hair' and ANIME_TAGS[12] == 'gray eyes'


@pytest.mark.parametrize('row,want', [
    ('touhou:17705\tblonde hair:3500\tred eyes:90\t', ['blonde hair', 'red eyes']),
    ('blonde hair:3500\tred eyes:90', ['blonde hair', 'red eyes']),
    ('long hair:1\tshort hair:2\tblue hair:1\tgray eyes:2', ['blue hair', 'gray eyes']),
    ('blue hair:1\t11eyes:7\tbicolored eyes:1\tgray eyes:2', ['blue hair', 'gray eyes']),
    ('a: b:7\tx, y:1\tblue hair:1\tgray eyes:2', ['blue hair', 'gray eyes']),
    ('blue hair:1\tpink hair:2\tgray eyes:2', None),
    ('blue hair:1', None), ('gray eyes:2', None), ('messy hair:1\tgray eyes:1', None), ('tail:1', None)])
def test_tags_clean_rule(tmp_path, row, want):
    listing = read_anime(anime(tmp_path, f'0,{row}\n1,white hair:1\taqua eyes:1\n2,white hair:1\taqua eyes:1'), 'all')
    assert tags(listing).get('0') == want and listing.dropped == (want is None) and listing.skipped == []
    assert (listing.labels.sum(1) == 2).all()


@pytest.mark.parametrize('table', ['tags.csv', 'extra_data/tags.csv', 'alphabetical_tags.csv'])
def test_anime_phrases(tmp_path, table):
    sep = ',' if 'alpha' in table else ' '
    text = ('0,1,2\n' if 'alpha' in table
            else '') + f'0,aqua hair{sep}red eyes\n1,green eyes{sep}blonde hair\n2,gray hair{sep}gray eyes'
    folder = 'extra_data/images' if 'extra' in table else 'faces'
    listing = read_anime(anime(tmp_path, text, table, folder=folder), 'all')
    assert tags(listing) == {'0': ['aqua hair', 'red eyes'], '1': ['blonde hair', 'green eyes'],
                             '2': ['gray hair', 'gray eyes']}


def test_anime_one_hot(tmp_path):
    rows = [','.join([str(i), *(str(int(e == EYES[i])) for e in EYES), *(str(int(h == HAIR[-1-i])) for h in HAIR)])
            for i in range(3)]
    anime(tmp_path, '\n'.join(rows), 'preprocessed/label.csv', folder='preprocessed')
    assert tags(read_anime(tmp_path, 'all')) == {str(i): [f'{HAIR[-1-i]} hair', f'{EYES[i]} eyes'] for i in range(3)}
    (tmp_path/'preprocessed/label.csv').write_text('\n'.join(rows).replace('1,0,0', '1,1,0', 1))
    fails(read_anime, tmp_path, says=['label.csv, line 1', 'one of each'])


@pytest.mark.parametrize('text,says', [
    ('0,blue hair red eyes\n1,blond hair red eyes\n2,blue hair red eyes', ['tags.csv, line 2', "'blond'", "'blonde'"]),
    ('0,blue hair red eyes\n1,blue hare red eyes\n2,blue hair red eyes', ['tags.csv, line 2', 'hare', "'hair'"]),
    ('0,blue hair red eyes\n1,blue hair pink hair\n2,blue hair red eyes', ['tags.csv, line 2', 'hair twice']),
    ('0,blue hair red eyes\n1\n2,blue hair red eyes', ['tags.csv, line 2']),
    ('0,blue hair red eyes\n0,blue hair red eyes\n1,blue hair red eyes\n2,blue hair red eyes',
     ['tags.csv, line 2', 'line 1']),
    ('0,blue hair red eyes\n1,blue hair red eyes', ['2.jpg', 'no row']),
    ('0,blue hair red eyes\n1,blue hair red eyes\n2,blue hair red eyes\n3,blue hair red eyes',
     ['tags.csv, line 4', '3.jpg'])])
def test_anime_faults(tmp_path, text, says):
    fails(read_anime, anime(tmp_path, text, 'tags.csv'), 'all', says=says)


def test_tags_clean_field_without_count(tmp_path):
    text = '0,blue hair:1\tred eyes:1\n1,blue hair\tred eyes:1\n2,blue hair:1\tred eyes:1'
    fails(read_anime, anime(tmp_path, text), 'all', says=['tags_clean.csv, line 2', 'tag:count'])
    assert set(tags(skips(read_anime, tmp_path, 'all', n=1, says=['line 2']))) == {'0', '2'}


def test_anime_without_table(tmp_path):
    dot(tmp_path/'faces/0.jpg'); fails(read_anime, tmp_path, kind=FileNotFoundError, says=['tags_clean.csv'])


def test_real_alphabetical_tags(tmp_path):
    text = real('alphabetical_tags.head.csv').read_text()
    got = tags(read_anime(anime(tmp_path, text, 'tags.csv', n=21), 'all'))
    assert len(got) == 21 and got['0'] == ['brown hair', 'red eyes'] and got['13'] == ['pink hair', 'blue eyes']
    # by its own name; its first line is `0,1,2`
    own = read_anime(anime(tmp_path/'own', text, 'alphabetical_tags.csv', n=21), 'all')
    assert tags(own) == got and text.startswith('0,1,2\n')
    # either half first
    for line in text.splitlines()[1:]: assert set(line.split(',')[1:]) == set(got[line.split(',')[0]])


# --- lines of wishes

def test_real_testing_text():
    wishes = read_tag_lines(real('sample_testing_text.txt'))
    assert len(wishes) == 16 and wishes[0] == ('1', 'blue', 'blue') and wishes[7] == ('8', 'purple', 'aqua')
    assert wishes[4] == ('5', 'red', None) and wishes[6] == ('7', None,
                                                             'black') and wishes[-1] == ('16', 'orange', None)
    assert not real('sample_testing_text.txt').read_bytes().endswith(b'\n')  # the real file lacks it


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.none() | st.sampled_from(HAIR), st.none() | st.sampled_from(EYES), st.booleans())
                .filter(lambda t: t[0] or t[1]), min_size=1, max_size=8), st.booleans(),
       st.sampled_from(['\n', '\r\n']))
def test_tag_lines_round_trip(tmp_path_factory, wishes, newline, end):
    lines = []
    for i, (h, e, swap) in enumerate(wishes):
        parts = [f'{h} hair'] * bool(h) + [f'{e} eyes'] * bool(e)
        lines.append(f'{i},' + ' '.join(parts[::-1] if swap else parts))
    path = tmp_path_factory.mktemp('tags')/'t.txt'
    path.write_bytes((end.join(lines) + end*newline).encode())
    assert read_tag_lines(path) == [(str(i), h, e) for i, (h, e, _) in enumerate(wishes)]


@pytest.mark.parametrize('text,says', [
    ('1,blue hair\n2,purpel hair', ['line 2', "'purple'"]),
    ('1,blue hair\n1,red eyes', ['line 2', 'twice']), ('blue hair', ['line 1', 'id']),
    ('../x,blue hair', ['line 1', 'id']), ('1,', ['line 1']), ('', ['no lines']),
    ('1,yellow hair', ['line 1', "'yellow'"])])
def test_tag_line_faults(tmp_path, text, says):
    (tmp_path/'t.txt').write_text(text)
    fails(read_tag_lines, tmp_path/'t.txt', says=['t.txt', *says] if text else says)


# --- i-CLEVR: scenes and wishes

OBJECTS = [f'{colour} {shape}' for shape in ('cube', 'sphere', 'cylinder')
           for colour in 'gray red blue green brown purple cyan yellow'.split()]
SCENES = {'CLEVR_train_000007_0.png': ['red cube'], 'CLEVR_train_000007_1.png': ['red cube', 'gray sphere'],
          'CLEVR_train_000007_2.png': ['red cube', 'gray sphere', 'blue cylinder'],
          'CLEVR_train_000002_0.png': ['gray sphere']}


def iclevr(root, scenes=SCENES, folder='iclevr', objects=None, text=None):
    for i, name in enumerate(scenes): dot(root/folder/name, i)
    (root/'objects.json').write_text(json.dumps(objects or {o: i for i, o in enumerate(OBJECTS)}))
    (root/'train.json').write_text(text or json.dumps(scenes))
    return root


@pytest.mark.parametrize('folder, opened', [('iclevr', '.'), ('images', '.'), ('.', '.'), ('iclevr', 'iclevr'),
                                            ('images', 'images')])
def test_iclevr_layouts(tmp_path, folder, opened):
    listing = read_iclevr(iclevr(tmp_path, folder=folder)/opened, 'all')
    assert [f.name
            for f in listing.files] == list(SCENES) and listing.attributes == OBJECTS and listing.labels.dtype == np.uint8
    for row, wish in zip(listing.labels, SCENES.values()): # every object of a list, not the first one
        assert [o for o, bit in zip(OBJECTS, row) if bit] == sorted(wish, key=OBJECTS.index)
    assert open_pictures(tmp_path/opened, 'all', 8, progress=False).labels.sum(1).tolist() == [1, 2, 3, 1]


def test_iclevr_columns_are_the_numbers_of_objects_json(tmp_path):
    backwards = {o: 23 - i for i, o in enumerate(OBJECTS)}
    listing = read_iclevr(iclevr(tmp_path, objects=backwards), 'all')
    assert listing.attributes == OBJECTS[::-1] and np.flatnonzero(listing.labels[2]).tolist() == sorted(backwards[o] for o in SCENES['CLEVR_train_000007_2.png'])


def test_the_pictures_of_a_scene_stay_together(tmp_path):
    scenes = {f'CLEVR_train_{i:06d}_{k}.png': ['red cube', 'blue cube', 'gray cube'][:k + 1] for i in range(60)
              for k in range(3)}
    iclevr(tmp_path, scenes)
    parts = [[f.name for f in read_iclevr(tmp_path, split).files] for split in ('train', 'test')]
    assert sorted(sum(parts, [])) == sorted(scenes) and 3 <= len(parts[1]) <= 45
    assert not {n[:18] for n in parts[0]} & {n[:18] for n in parts[1]}


def test_iclevr_faults(tmp_path):
    iclevr(tmp_path)
    def bad(says, kind=ValueError, **change):
        iclevr(tmp_path, **change); fails(read_iclevr, tmp_path, 'all', kind=kind, says=says)
    first, *_ = SCENES
    bad(['train.json', 'entry 4', 'CLEVR_train_000002_0', "'grey sphere'", "'gray sphere'"],
        scenes=SCENES | {'CLEVR_train_000002_0.png': ['grey sphere']})
    bad(['entry 1', 'twice'], scenes=SCENES | {first: ['red cube', 'red cube']})
    bad(['entry 1', 'not a list'], scenes=SCENES | {first: 'red cube'})
    bad(['entry 1', 'names no object'], scenes=SCENES | {first: []})
    bad(['entry 1', 'names 4 objects'], scenes=SCENES | {first: OBJECTS[:4]})
    bad(['entry 2', 'already entry 1'], text=f'{{"{first}": ["red cube"], "{first}": ["gray cube"]}}')
    bad(['train.json', 'not JSON'], text=json.dumps(SCENES)[:-20])
    bad(['train.json', 'is not an object'], text='[["red cube"]]')
    bad(['objects.json', '0 to 1'], objects={'red cube': 0, 'gray sphere': 2})
    bad(['entry 5', "'CLEVR_train_000099_0.png'"], text=json.dumps(SCENES | {'CLEVR_train_000099_0.png': ['red cube']}))
    bad(['CLEVR_train_000002_0.png', 'no row'], text=json.dumps({k: v for k, v in SCENES.items() if '000002' not in k}))
    iclevr(tmp_path); (tmp_path/'objects.json').unlink()
    fails(read_iclevr, tmp_path, kind=FileNotFoundError, says=['objects.json'])
    fails(read_iclevr, tmp_path, 'tset', says=["'test'"])


def test_iclevr_skips(tmp_path):
    iclevr(tmp_path, SCENES | {'CLEVR_train_000002_0.png': ['grey sphere']})
    (tmp_path/'iclevr'/'CLEVR_train_000007_1.png').unlink()
    listing = skips(partial(read_iclevr, tmp_path, 'all'), n=2, says=['grey sphere', 'CLEVR_train_000007_1.png'])
    assert [f.name for f in listing.files] == ['CLEVR_train_000007_0.png', 'CLEVR_train_000007_2.png']


def test_scenes_are_squeezed_and_portraits_cropped(tmp_path):
    wide = np.zeros((24, 32, 3), np.uint8); wide[:, :4] = 255 # a white stripe at the side, which a crop cuts away
    iclevr(tmp_path/'scenes', {'a_0.png': ['red cube']})
    Image.fromarray(wide).save(tmp_path/'scenes'/'iclevr'/'a_0.png')
    (tmp_path/'plain').mkdir(); Image.fromarray(wide).save(tmp_path/'plain'/'a_0.png')
    for folder, crop, white in (('scenes', None, True), ('scenes', 'centre', False), ('plain', None, False),
                                ('plain', 'resize', True)):
        image = open_pictures(tmp_path/folder, 'all', 8, crop=crop, progress=False).images[0]
        assert (image[:, 0].min() > 200) == white, (folder, crop)


def test_conditions(tmp_path):
    iclevr(tmp_path)
    path = tmp_path/'test.json'
    path.write_text('[["gray sphere", "red cube"], ["yellow cylinder"]]')
    y = read_conditions(path)
    assert y.dtype == np.float32 and y.shape == (2, 24) and [np.flatnonzero(row).tolist()
                                                             for row in y] == [[1, 8], [23]]
    assert (read_conditions(path, tmp_path
                            /'objects.json') == y).all() and (read_conditions(path, OBJECTS[::-1]) == y[:, ::-1]).all()
    for text, says in (('[["gray sphere"], ["red cub"]]', ['test.json', 'entry 2', "'red cube'"]),
                       ('[["red cube", "red cube"]]', ['entry 1', 'twice']),
                       ('["red cube"]', ['entry 1', 'not a list']), ('[]', ['test.json']),
                       ('{"a": ["red cube"]}', ['list of lists']), ('[', ['JSON'])):
        path.write_text(text); fails(read_conditions, path, says=says)
    fails(read_conditions, tmp_path/'none.json', kind=FileNotFoundError, says=['none.json'])
    (tmp_path/'objects.json').unlink(); path.write_text('[["red cube"]]')
    fails(read_conditions, path, kind=FileNotFoundError, says=['objects.json'])


def test_real_scenes_and_wishes(tmp_path):
    objects = real('iclevr_objects.json')
    test, new = (read_conditions(real(f'iclevr_{k}.json'), objects) for k in ('test', 'new_test'))
    assert test.shape == new.shape == (32, 24) and (test.sum(), new.sum()) == (72, 84)
    train = json.loads(real('iclevr_train.json').read_text())
    for k in ('objects', 'train'): shutil.copy(real(f'iclevr_{k}.json'), tmp_path/f'{k}.json')
    (tmp_path/'iclevr').mkdir()
    for name in train: (tmp_path/'iclevr'/name).touch() # a reader opens no picture
    listing, parts = read_iclevr(tmp_path, 'all'), [read_iclevr(tmp_path, split) for split in ('train', 'test')]
    assert len(listing) == 18_009 == sum(map(len, parts)) and .08 < len(parts[1])/18_009 < .12
    assert np.bincount(listing.labels.sum(1)).tolist() == [0, 6003, 6003, 6003] and listing.attributes == OBJECTS
    for f, row in zip(listing.files, listing.labels):
        assert {OBJECTS[k] for k in np.flatnonzero(row)} == set(train[f.name])


# --- pixels

def test_every_byte_survives_the_round_trip():
    every = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
    x = to_float(every)
    assert x.shape == (1, 3, 16, 16) and x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)
    assert x.min() == -1 and x.max() == 1 and torch.equal(to_uint8(x), every)
    assert to_uint8(torch.tensor([-9., 9.]).view(1, 2, 1, 1)).flatten().tolist() == [0, 255]
    fails(to_float, x, says=['uint8'])


def pixel(path, n=8, **kwargs):
    pictures = cache_pictures(Listing([path], root=Path(path).parent), n, progress=False, **kwargs)
    return pictures.images[0]


@pytest.mark.parametrize('mode,colour,want', [
    ('L', 100, (100,)*3), ('1', 1, (255,)*3), ('LA', (0, 0), (255,)*3), ('RGBA', (255, 0, 0, 0), (255,)*3),
    ('RGBA', (200, 0, 0, 255), (200, 0, 0)),
    ('RGBA', (0, 0, 0, 128), (127,)*3), ('P', 0, None), ('I;16', 65535, (255,)*3), ('I;16', 257*77, (77,)*3),
    ('I', 257*77, (77,)*3)])
def test_modes(tmp_path, mode, colour, want):
    if mode == 'P':
        picture, want = Image.new('RGB', (8, 8), (10, 200, 30)).convert('P',
                                                                        palette=Image.Palette.ADAPTIVE), (10, 200, 30)
    else: picture = Image.new(mode, (8, 8), colour)
    picture.save(tmp_path/('a.tif' if mode == 'I' else 'a.png'))
    got = pixel(tmp_path/('a.tif' if mode == 'I' else 'a.png'))
    assert got.shape == (8, 8, 3) and np.abs(got[4, 4].astype(int) - want).max() <= 1


def test_cmyk_and_transparent_palette(tmp_path):
    Image.new('CMYK', (16, 16), (0, 255, 255, 0)).save(tmp_path/'c.jpg', quality=100)
    red = pixel(tmp_path/'c.jpg')[4, 4].astype(int)
    assert red[0] > 200 and red[1] < 60 and red[2] < 60
    Image.new('P', (8, 8), 0).save(tmp_path/'t.png', transparency=0)
    assert pixel(tmp_path/'t.png')[4, 4].tolist() == [255, 255, 255]
    Image.new('F', (8, 8), .5).save(tmp_path/'f.tif'); fails(pixel, tmp_path/'f.tif', says=['f.tif', 'floating-point'])


def test_orientation_is_applied(tmp_path):
    picture = Image.new('RGB', (16, 16), 'black'); picture.paste('white', (0, 0, 16, 8))     # white above
    exif = Image.Exif(); exif[0x0112] = 3                                                 # taken upside down
    picture.save(tmp_path/'e.jpg', exif=exif, quality=100)
    got = pixel(tmp_path/'e.jpg', 16)
    assert got[2].mean() < 20 and got[13].mean() > 235


def test_crop_and_odd_sizes(tmp_path):
    wide = Image.new('RGB', (31, 17), 'black'); wide.paste('white', (0, 0, 6, 17)); wide.save(tmp_path/'w.png')
    assert pixel(tmp_path/'w.png', crop='resize')[:, 0].mean() > 200 and pixel(tmp_path/'w.png',
                                                                               crop='centre')[:, 0].mean() < 20
    Image.new('RGB', (1, 1), 'red').save(tmp_path/'one.png'); assert pixel(tmp_path/'one.png').shape == (8, 8, 3)
    fails(pixel, tmp_path/'w.png', crop='center', says=["'center'", "'centre'"])
    fails(pixel, tmp_path/'w.png', 0, says=['size'])


def test_resize_agrees_with_torchvision(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    noise.save(tmp_path/'n.png')
    assert np.array_equal(pixel(tmp_path/'n.png', 16, crop='resize'), np.asarray(resize(noise, [16, 16])))


# --- the cache

@pytest.fixture
def folder(tmp_path):
    for i in range(6): dot(tmp_path/f'in/{i}.png', 10*i)
    return tmp_path/'in'


def test_cache_is_used_and_is_what_decoding_gives(folder):
    first = cache_pictures(read_folder(folder, 'all'), 8, progress=False)
    home = folder/'.dlcv_gan_cache'
    stamp = {f: f.stat().st_mtime_ns for f in home.rglob('*.npy')}
    again = cache_pictures(read_folder(folder, 'all'), 8, progress=False)
    assert {f: f.stat().st_mtime_ns for f in home.rglob('*.npy')} == stamp and len(stamp) == 1
    assert isinstance(again.images, np.memmap) and np.array_equal(first.images,
                                                                  again.images) and not again.images.flags.writeable
    assert [int(p[0, 0, 0]) for p in again.images] == [0, 10, 20, 30, 40, 50]


def test_changed_picture_size_or_crop_makes_a_new_cache(folder):
    listing = read_folder(folder, 'all')
    for size, crop in [(8, 'centre'), (4, 'centre'), (8, 'resize')]: cache_pictures(listing, size, crop, progress=False)
    assert len(list((folder/'.dlcv_gan_cache').rglob('*.npy'))) == 3
    dot(folder/'3.png', 99); os.utime(folder/'3.png', ns=(1, 1))
    assert cache_pictures(read_folder(folder, 'all'), 8, progress=False).images[3, 0, 0, 0] == 99


def test_corrected_labels_need_no_new_cache(tmp_path):
    hw4(tmp_path, ['a.png,0,1', 'b.png,1,0']); open_pictures(tmp_path, size=8, progress=False)
    hw4(tmp_path, ['a.png,1,1', 'b.png,1,0'], write=[])
    assert open_pictures(tmp_path, size=8, progress=False).labels.tolist() == [[1, 1], [1, 0]]
    assert len(list((tmp_path/'.dlcv_gan_cache').rglob('*.npy'))) == 1


def test_a_moved_data_set_keeps_its_cache(folder, tmp_path):
    cache_pictures(read_folder(folder, 'all'), 8, progress=False)
    moved = folder.rename(tmp_path/'elsewhere')
    cache_pictures(read_folder(moved, 'all'), 8, progress=False)
    assert len(list((moved/'.dlcv_gan_cache').rglob('*.npy'))) == 1


@pytest.mark.parametrize('content', [b'', b'not a picture', None])
def test_broken_picture_is_named_then_skipped_then_remembered(folder, content):
    data = (folder/'2.png').read_bytes()
    (folder/'2.png').write_bytes(data[:len(data)//2] if content is None else content)
    listing = read_folder(folder, 'all')
    listing.labels, listing.attributes = np.arange(6, dtype=np.uint8)[:, None], ['i']
    fails(cache_pictures, listing, 8, progress=False, says=['2.png', 'cannot be decoded', 'skip'])
    assert not list((folder/'.dlcv_gan_cache').glob('*.building'))
    for _ in range(2):
        with pytest.warns(UserWarning, match='1 skipped'):
            pictures = cache_pictures(listing, 8, on_bad='skip', progress=False)
        assert pictures.names == ['0.png', '1.png', '3.png', '4.png',
                                  '5.png'] and pictures.labels[:, 0].tolist() == [0, 1, 3, 4, 5]
        assert [int(p[0, 0, 0]) for p in pictures.images] == [0, 10, 30, 40, 50] and '2.png' in pictures.skipped[0]
    # strict again, although the skipping cache is there
    fails(cache_pictures, listing, 8, progress=False, says=['2.png'])


def test_all_broken(tmp_path):
    (tmp_path/'a.png').write_bytes(b'')
    fails(cache_pictures, read_folder(tmp_path, 'all'), 8, on_bad='skip', progress=False, says=['a.png', '1 pictures'])
    fails(cache_pictures, Listing([]), says=['no picture'])


def child(f, *args):
    "A process of its own, forked so that nothing has to be imported again."
    if 'fork' not in multiprocessing.get_all_start_methods(): pytest.skip('this system cannot fork')
    process = multiprocessing.get_context('fork').Process(target=f, args=args)
    process.start()
    return process


def build(folder, cache, size=64): cache_pictures(read_folder(folder, 'all'), size, cache=cache, progress=False)


def test_killed_build_leaves_no_cache_and_the_next_run_works(folder, tmp_path):
    builder = None
    # nobody writes into this pipe: decoding waits there for ever
    (folder/'3.png').unlink(); os.mkfifo(folder/'3.png')
    try:
        builder = child(build, folder, tmp_path/'c')
        while not list((tmp_path/'c').glob('*.building/images.npy')): assert builder.is_alive(); time.sleep(.01)
    finally:
        if builder: builder.kill(); builder.join()
    assert [p.suffix for p in (tmp_path/'c').iterdir() if p.is_dir()] == ['.building']
    (folder/'3.png').unlink(); dot(folder/'3.png', 30)
    pictures = cache_pictures(read_folder(folder, 'all'), 64, cache=tmp_path/'c', progress=False)
    assert [int(p[0, 0, 0]) for p in pictures.images] == [0, 10, 20, 30, 40, 50]


def test_ruin_of_the_same_cache_is_cleared(folder):
    build(folder, folder/'c')
    done, = (folder/'c').glob('*-64')
    done.rename(done.with_suffix('.building'))                          # a build that was killed before its last step
    (done.with_suffix('.building')/'images.npy').write_bytes(b'half')
    build(folder, folder/'c')
    assert [p.name for p in (folder/'c').iterdir() if p.is_dir()] == [done.name]


def test_damaged_cache_is_rebuilt(folder):
    want = cache_pictures(read_folder(folder, 'all'), 8, progress=False).images.copy()
    for name in ('images.npy', 'about.json'):
        file, = (folder/'.dlcv_gan_cache').rglob(name)
        file.write_bytes(file.read_bytes()[:50])
        assert np.array_equal(cache_pictures(read_folder(folder, 'all'), 8, progress=False).images, want)


def test_two_builders_share_one_build(tmp_path):
    for i in range(300): dot(tmp_path/f'in/{i}.png', i%256)
    builders = [child(build, tmp_path/'in', tmp_path/'c') for _ in range(3)]
    for b in builders: b.join()
    assert [b.exitcode for b in builders] == [0, 0, 0] and len(list((tmp_path/'c').rglob('images.npy'))) == 1
    pictures = cache_pictures(read_folder(tmp_path/'in', 'all'), 64, cache=tmp_path/'c', progress=False)
    assert [int(p[0, 0, 0]) for p in pictures.images] == [i%256 for i in range(300)]


def test_full_disk_names_the_bytes_and_leaves_nothing(folder):
    resource = pytest.importorskip('resource')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))      # a write past this fails as on a full disk
        fails(cache_pictures, read_folder(folder, 'all'), 256, progress=False, kind=OSError,
              says=[f'{6*256*256*3 + 4096:,} bytes', 'Make room'])
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [f for f in (folder/'.dlcv_gan_cache').iterdir() if f.is_dir()]
    # more than any disk: refused before the first picture
    need = f'{6*10**14*3 + 4096:,} bytes'
    fails(cache_pictures, read_folder(folder, 'all'), 10**7, progress=False, kind=OSError, says=[need])


def test_where_caches_go(folder, tmp_path, monkeypatch):
    listing = read_folder(folder, 'all')
    monkeypatch.setenv('DLCV_GAN_CACHE', str(tmp_path/'env')); cache_pictures(listing, 8, progress=False)
    assert list((tmp_path/'env').rglob('*.npy')) and not (folder/'.dlcv_gan_cache').exists()
    cache_pictures(listing, 8, cache=tmp_path/'asked', progress=False); assert list((tmp_path/'asked').rglob('*.npy'))
    monkeypatch.delenv('DLCV_GAN_CACHE'); monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'home'))
    (folder/'.dlcv_gan_cache').write_text('a file stands where the folder should go')
    cache_pictures(listing, 8, progress=False); assert list((tmp_path/'home/dlcv_gan').rglob('*.npy'))
    (tmp_path/'file').write_text('')
    fails(cache_pictures, listing, 8, cache=tmp_path/'file', progress=False, kind=OSError, says=['cache='])


# --- Pictures and the one door

def pictures(n=5):
    images, labels = np.arange(n*48, dtype=np.uint8).reshape(n, 4, 4, 3), np.eye(n, 3, dtype=np.uint8)
    return Pictures(images, labels, ['Male', 'Smiling', 'Young'], [f'{i}.png' for i in range(n)])


def test_pictures_slices_and_columns():
    p = pictures()
    assert len(p) == 5 and torch.equal(p.tensor(2), to_float(p.images[2:3])[0]) and p.tensor(0).shape == (3, 4, 4)
    x, y = p[1]
    assert torch.equal(x, p.tensor(1)) and y.tolist() == [0., 1., 0.] and y.dtype == torch.float32
    mask = np.array([1, 0, 0, 0, 1], bool)
    for index, want in [(slice(1, 4), [1, 2, 3]), ([3, 0], [3, 0]), (mask, [0, 4]), (slice(None, None, -2), [4, 2, 0]),
                        ([], [])]:
        q = p[index]
        assert q.names == [f'{i}.png' for i in want]
        assert np.array_equal(q.images, p.images[want]) and np.array_equal(q.labels, p.labels[want])
    assert p.with_attributes(['Young', 'Male']).labels[:3].tolist() == [[0, 1], [0, 0], [1, 0]]
    fails(p.with_attributes, ['smiling'], says=["'Smiling'"])
    fails(p.with_attributes, ['Hat'], says=['Male, Smiling, Young'])
    fails(Pictures(p.images).with_attributes, ['Male'], says=['no labels'])
    fails(p.with_attributes, ['Male', 'Male '], says=["'Male'"])
    with pytest.raises(IndexError): p[9]


def test_the_door_recognises_layouts(tmp_path):
    hw4(tmp_path/'a', ['a.png,0,1'])
    celeba(tmp_path/'b', [f'{i:06d}.jpg' for i in range(30)])
    celeba(tmp_path/'t/celeba', [f'{i:06d}.jpg' for i in range(30)])
    anime(tmp_path/'c', '\n'.join(f'{i},blue hair:1\tred eyes:1' for i in range(30)), n=30)
    for i in range(3): dot(tmp_path/f'd/trainA/{i}.jpg')
    assert open_pictures(tmp_path/'a', size=8, progress=False).attributes == ['Bangs', 'Smiling']
    for f in 'bt':
        both = [open_pictures(tmp_path/f, s, 8, progress=False) for s in ('train', 'test')]
        assert both[0].attributes == ['Bald', 'Young'] and len(both[0]) + len(both[1]) == 30
    assert open_pictures(tmp_path/'c', 'all', 8, progress=False).attributes == ANIME_TAGS
    assert len(open_pictures(tmp_path/'d', 'trainA', 8, progress=False)) == 3
    fails(open_pictures, tmp_path/'d', kind=FileNotFoundError,
          says=['list_attr_celeba.txt', 'train.csv', 'tags_clean.csv', 'train.json', 'pictures'])
    fails(open_pictures, tmp_path/'z', kind=FileNotFoundError, says=['z'])
    hw4(tmp_path/'a', ['a.png,0,1', 'b.png,0,3'])
    with pytest.warns(UserWarning):
        assert len(open_pictures(tmp_path/'a', size=8, on_bad='skip', progress=False).skipped) == 1


# --- torchvision

def idx(array): return struct.pack(f'>BBBB{array.ndim}I', 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


class Quiet(http.server.SimpleHTTPRequestHandler):
    served = []
    def do_GET(self): self.served.append(self.path); super().do_GET()
    def log_message(self, *args): pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    "A folder behind a real HTTP server on this machine."
    monkeypatch.setenv('no_proxy', '127.0.0.1'); (tmp_path/'www').mkdir(); Quiet.served.clear()
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(tmp_path/'www')))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path/'www', f'http://127.0.0.1:{server.server_port}/'
    server.shutdown(); server.server_close()


def tiny_mnist(folder, url):
    rng, resources = np.random.default_rng(0), []
    for part, n in (('train', 12), ('t10k', 5)):
        images, labels = rng.integers(0, 256, (n, 28, 28), np.uint8), (np.arange(n)%10).astype(np.uint8)
        for kind, array in (('images-idx3', images), ('labels-idx1', labels)):
            data = gzip.compress(idx(array), mtime=0); name = f'{part}-{kind}-ubyte.gz'
            (folder/name).write_bytes(data); resources.append((name, hashlib.md5(data).hexdigest()))
    return type('TinyMNIST', (MNIST,), dict(mirrors=[url], resources=resources))


def test_mnist_is_downloaded_checked_and_cached(served, tmp_path):
    www, url = served
    kind = tiny_mnist(www, url)
    p = torchvision_pictures(kind, tmp_path/'root', size=28, progress=False)
    assert p.images.shape == (12, 28, 28,
                              3) and p.attributes == MNIST.classes and p.labels.argmax(1).tolist() == [*range(10), 0, 1]
    assert np.array_equal(p.images[..., 0], kind(str(tmp_path/'root')).data.numpy())
    n = len(Quiet.served)
    assert len(torchvision_pictures(kind, tmp_path/'root', 'test', 32, progress=False)) == 5
    assert len(Quiet.served) == n                                      # nothing is fetched twice
    fails(torchvision_pictures, kind, tmp_path/'root', 'valid', says=["'valid'"])


def test_wrong_checksum_names_the_way_by_hand(served, tmp_path):
    www, url = served
    kind = tiny_mnist(www, url); (www/'t10k-labels-idx1-ubyte.gz').write_bytes(b'half')
    says = ['TinyMNIST', 'By hand', url + 't10k-labels-idx1-ubyte.gz', 'TinyMNIST/raw', 'curl -C -']
    fails(torchvision_pictures, kind, tmp_path/'root', kind=OSError, says=says)
    # the server is mended: only what is missing is fetched
    tiny_mnist(www, url)
    Quiet.served.clear(); torchvision_pictures(kind, tmp_path/'root', size=28, progress=False)
    assert {Path(s).name for s in Quiet.served} == {'t10k-labels-idx1-ubyte.gz'}


def test_server_gone(tmp_path):
    kind = type('TinyMNIST', (MNIST,), dict(mirrors=['http://127.0.0.1:9/']))
    fails(torchvision_pictures, kind, tmp_path, kind=OSError, says=['By hand', 'raw'])


def test_cifar_on_disk_format(served, tmp_path):
    www, url = served
    folder, rng, sums = www/'cifar-10-batches-py', np.random.default_rng(1), {}
    folder.mkdir()
    def put(name, obj):
        (folder/name).write_bytes(pickle.dumps(obj)); sums[name] = hashlib.md5((folder/name).read_bytes()).hexdigest()
    data = {name: rng.integers(0, 256, (4, 3072), np.uint8)
            for name in [*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch']}
    for name, d in data.items(): put(name, dict(data=d, labels=[0, 1, 2, 9]))
    put('batches.meta', dict(label_names=[f'c{i}' for i in range(10)]))
    with tarfile.open(www/'c.tar.gz', 'w:gz') as t: t.add(folder, 'cifar-10-batches-py')
    md5 = hashlib.md5((www/'c.tar.gz').read_bytes()).hexdigest()
    listed = [[name, sums[name]] for name in data]
    meta = dict(filename='batches.meta', key='label_names', md5=sums['batches.meta'])
    kind = type('TinyCIFAR', (CIFAR10,), dict(url=url + 'c.tar.gz', filename='c.tar.gz', tgz_md5=md5, meta=meta,
                                              train_list=listed[:5], test_list=listed[5:]))
    p = torchvision_pictures(kind, tmp_path/'root', size=32, progress=False)
    assert len(p) == 20 and p.attributes == [f'c{i}'
                                             for i in range(10)] and p.labels[:4].argmax(1).tolist() == [0, 1, 2, 9]
    assert np.array_equal(p.images[0].transpose(2, 0, 1).ravel(), data['data_batch_1'][0])
    test = torchvision_pictures(kind, tmp_path/'root', 'test', 32, download=False, progress=False)
    assert np.array_equal(test.images[3].transpose(2, 0, 1).ravel(), data['test_batch'][3])


def test_celeba_of_torchvision(tmp_path):
    base = tmp_path/'celeba'; base.mkdir()
    rows = [f'{i:06d}.jpg' for i in range(1, 5)]
    for i, n in enumerate(rows): dot(base/'img_align_celeba'/n, 20*i)
    (base/'list_attr_celeba.txt').write_text('4\nBald Young \n'
                                             + ''.join(f'{n} {1 if i == 2 else -1:2d}  1\n'
                                                       for i, n in enumerate(rows)))
    (base/'list_eval_partition.txt').write_text(''.join(f'{n} {int(i > 1)*2}\n' for i, n in enumerate(rows)))
    (base/'identity_CelebA.txt').write_text(''.join(f'{n} 1\n' for n in rows))
    for f, k in (('list_bbox_celeba.txt', 4), ('list_landmarks_align_celeba.txt', 10)):
        (base/f).write_text('4\n' + ' '.join('x'*k) + '\n' + ''.join(f'{n} ' + '1 '*(k-1) + '1\n' for n in rows))
    listed = [(i, hashlib.md5((base/f).read_bytes()).hexdigest() if (base/f).exists() else '', f)
              for i, _, f in CelebA.file_list]
    kind = type('TinyCelebA', (CelebA,), dict(file_list=listed))
    p = torchvision_pictures(kind, tmp_path, size=8, download=False, progress=False)
    assert p.attributes == ['Bald', 'Young'] and p.labels.tolist() == [[0, 1], [0, 1]] and p.names == rows[:2]
    assert torchvision_pictures(kind, tmp_path, 'test', 8, download=False,
                                progress=False).labels.tolist() == [[1, 1], [0, 1]]
    # our own reader sees the same
    assert np.array_equal(open_pictures(tmp_path, size=8, progress=False).images, p.images)
    fails(torchvision_pictures, 'CelebA', tmp_path/'none', download=False, kind=OSError,
          says=['img_align_celeba.zip', 'drive.google.com', 'celeba'])


def test_torchvision_faults(tmp_path):
    fails(torchvision_pictures, 'MNISTT', tmp_path, says=["'MNIST'"])
    fails(from_torchvision, FakeData(3, transform=ToTensor()), cache=tmp_path, says=['FakeData', 'transforms'])
    p = from_torchvision(FakeData(3, (3, 9, 9), 4), 8, cache=tmp_path, progress=False)
    assert p.images.shape == (3, 8, 8, 3) and p.labels is None


def test_image_folder_is_keyed_by_its_files(tmp_path):
    for i, c in enumerate(('cat/a.png', 'dog/b.png', 'dog/c.png')): dot(tmp_path/'in'/c, i)
    p = from_torchvision(ImageFolder(tmp_path/'in'), 8, cache=tmp_path/'c', progress=False)
    assert p.attributes == ['cat', 'dog'] and p.labels.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert p.names == ['cat/a.png', 'dog/b.png', 'dog/c.png']
    dot(tmp_path/'in/dog/c.png', 77); os.utime(tmp_path/'in/dog/c.png', ns=(1, 1))
    assert from_torchvision(ImageFolder(tmp_path/'in'), 8, cache=tmp_path/'c', progress=False).images[2, 0, 0, 0] == 77
