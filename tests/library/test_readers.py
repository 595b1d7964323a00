"Readers: formats, splits and faults."
import csv, json, os, shutil, unicodedata, warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from layouts import OBJECTS, SCENES, SHARED, anime, celeba, dot, fails, hw4, iclevr, real, skips, tags
from PIL import Image

from dlcv_gan.data.pictures import cache_pictures, open_pictures
from dlcv_gan.data.readers import (ANIME_TAGS, EYES, HAIR, find_reader, in_test_split, read_anime, read_celeba,
                                   read_conditions, read_folder, read_hw4, read_iclevr, read_objects, read_tag_lines)


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
    (tmp_path/'train.csv').write_text('image_name;Bangs;Smiling\na.png;0;1\n')
    fails(read_hw4, tmp_path, says=['line 1', "';'", 'commas'])
    (tmp_path/'train.csv').write_text('image_name,"Bangs,Smiling\na.png,0,1\n')
    fails(read_hw4, tmp_path, says=['line 1', 'quotes'])
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


NAMES = st.text(st.characters(codec='utf-8', categories=('L', 'N', 'P', 'S', 'Zs')), min_size=1, max_size=8).filter(
    lambda n: n == n.strip() and not n.startswith('.') and '/' not in n and '\\' not in n)


@settings(max_examples=40)
@given(st.lists(NAMES, min_size=1, max_size=4, unique_by=lambda n: unicodedata.normalize('NFC', n)), st.data())
def test_names_survive_the_csv(tmp_path_factory, attributes, data):
    "Commas, quotes, blanks: what the csv module writes is what the reader reads, and columns are picked by name."
    root = tmp_path_factory.mktemp('csv')
    names = ['a.png', 'b, c.png', 'd "e".png', '臉 f.png']
    files = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    bits = data.draw(st.lists(st.lists(st.booleans(), min_size=len(attributes), max_size=len(attributes)),
                              min_size=len(files), max_size=len(files)))
    for f in files: dot(root/'train'/f)
    with open(root/'train.csv', 'w', encoding='utf-8', newline='') as f:
        csv.writer(f).writerows([['image_name', *attributes], *([n, *map(int, b)] for n, b in zip(files, bits))])
    p = open_pictures(root, size=4, cache=root/'c', progress=False)
    assert p.attributes == [unicodedata.normalize('NFC', a) for a in attributes] and p.labels.tolist() == bits
    assert p.with_attributes(p.attributes[::-1]).labels.tolist() == [b[::-1] for b in bits]


def test_a_row_in_another_encoding_is_named_or_skipped(tmp_path):
    hw4(tmp_path, ['a.png,0,1', 'b.png,1,1'])
    (tmp_path/'train.csv').write_bytes(b'image_name,Bangs,Smiling\na.png,0,1\n\xa4\xe9.png,0,1\nb.png,"1,1\n')
    (tmp_path/'train/b.png').rename(tmp_path/'train/a2.png')
    fails(read_hw4, tmp_path, says=['line 3', 'UTF-8', "on_bad='skip'"])
    assert [f.name for f in skips(read_hw4, tmp_path, n=3, says=['line 3', 'line 4', 'a2.png']).files] == ['a.png']


@pytest.mark.parametrize('row, put, says', [
    ('a.heic,0,1', 'a.heic', ["'a.heic' is in", 'Pillow', 'Convert']), ('A.PNG,0,1', 'a.png', ["did you mean 'a.png'"]),
    ('a,0,1', 'a.png', ["did you mean 'a.png'"]), ('train/a.png,0,1', 'a.png', ["did you mean 'a.png'"]),
    (',0,1', 'a.png', ['names no picture'])])
def test_a_row_whose_picture_is_there_otherwise_says_so(tmp_path, row, put, says):
    hw4(tmp_path, ['b.png,0,1', row], write=['b.png']); (tmp_path/'train'/put).write_bytes(b'')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore'); fails(read_hw4, tmp_path, says=['train.csv, line 3', *says])


def test_two_pictures_of_one_name_in_two_unicode_forms(tmp_path):
    twins = [unicodedata.normalize(form, 'é.png') for form in ('NFC', 'NFD')]
    hw4(tmp_path, ['é.png,0,1'], write=twins)
    if len(os.listdir(tmp_path/'train')) < 2: pytest.skip('this file system knows one form')
    fails(read_hw4, tmp_path, says=['another picture has this name'])
    fails(read_hw4, hw4(tmp_path/'b', ['a.png,0,1'], f'image_name,{twins[0][0]},e\u0301'), says=['twice'])


def test_hw4_with_one_part_names_the_other(tmp_path):
    hw4(tmp_path, ['a.png,0,1'])
    fails(open_pictures, tmp_path, 'test', 8, kind=FileNotFoundError, says=[str(tmp_path/'test.csv'), 'test/'])
    dot(tmp_path/'test/a.png')
    fails(open_pictures, tmp_path, 'test', 8, kind=FileNotFoundError, says=[str(tmp_path/'test.csv')])
    shutil.rmtree(tmp_path/'test'); (tmp_path/'test.csv').write_text('image_name,Bangs,Smiling\na.png,0,1\n')
    fails(open_pictures, tmp_path, 'test', 8, kind=FileNotFoundError, says=['no pictures', str(tmp_path/'test')])
    for f in ('train.csv', 'test.csv'): (tmp_path/f).unlink()
    fails(open_pictures, tmp_path, 'test', 8, kind=FileNotFoundError,
          says=[f"{tmp_path/'test'} is missing", 'pictures lie in train/'])
    fails(read_folder, tmp_path, 'test', kind=FileNotFoundError, says=[f"{tmp_path/'test'} is missing", 'train/'])
    (tmp_path/'data.zip').write_bytes(b'PK')
    for read in (open_pictures, read_folder):
        fails(read, tmp_path/'data.zip', kind=NotADirectoryError, says=['data.zip', 'is a file'])


# --- CelebA

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


@pytest.mark.parametrize('rows, says', [
    ('000001.jpg 0\n000001.jpg 2\n000002.jpg 0\n000003.jpg 0\n', ['line 2', 'already in line 1']),
    ('000001.jpg 0\n000002.jpg 12\n000003.jpg 0\n', ['line 2', '0, 1 or 2']),
    ('000001.jpg 0\n000002.jpg \n000003.jpg 0\n', ['line 2', '0, 1 or 2'])])
def test_celeba_partition_faults(tmp_path, rows, says):
    "A face in two parts would be trained on and tested on."
    celeba(tmp_path); (tmp_path/'list_eval_partition.txt').write_text(rows)
    fails(read_celeba, tmp_path, says=['list_eval_partition.txt', *says])


def test_celeba_csv_without_a_header(tmp_path):
    dot(tmp_path/'images/0.jpg'); dot(tmp_path/'images/1.jpg')
    (tmp_path/'list_attr_celeba.csv').write_text('0.jpg,-1,1\n1.jpg,1,1\n')
    fails(read_celeba, tmp_path, says=['line 1', "'0.jpg'", 'image_name'])


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
    assert np.array_equal(listing.labels, (np.array([row.split()[1:] for row in rows], int) + 1)//2)
    assert listing.attributes == names.split()


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


def test_what_is_passed_over_is_counted_and_said(tmp_path):
    for n in ('a.png', '._a.png', '.DS_Store', 'Thumbs.db', 'desktop.ini'): (tmp_path/n).touch()
    with warnings.catch_warnings():
        warnings.simplefilter('error'); assert read_folder(tmp_path, 'all').passed == [] # litter is no news
    for n in ('b.heic', 'c.HEIC', 'd.svg', 'e'): (tmp_path/n).touch()
    with pytest.warns(UserWarning, match='4 files passed over.*2 .heic.*b.heic.*PNG or JPEG'):
        listing = read_folder(tmp_path, 'all')
    assert [f.name for f in listing.files] == ['a.png'] and len(listing.passed) == 4 and listing.skipped == []
    (tmp_path/'a.png').unlink()
    fails(read_folder, tmp_path, kind=FileNotFoundError, says=['no pictures', '.heic'])


def test_folders_in_folders_and_links_that_lead_up(tmp_path):
    for n in ('a/1.png', 'a/b/2.png', '__MACOSX/a/3.png', '@eaDir/4.png', 'far/5.png'): dot(tmp_path/'in'/n)
    (tmp_path/'in/far').rename(tmp_path/'far')
    os.symlink(tmp_path/'in', tmp_path/'in/a/up'); os.symlink(tmp_path/'far', tmp_path/'in/far')
    names = [f.name for f in read_folder(tmp_path/'in', 'all', recursive=True).files]
    assert sorted(names) == ['1.png', '2.png', '5.png']


# --- which layout

STRAYS = {'train.csv': 'epoch,loss\n1,0.5\n', 'test.csv': 'id,label\n', 'label.csv': 'what,why\nx,y\n',
          'tags.csv': 'holiday,2\n', 'tags_clean.csv': '', 'list_attr_celeba.txt': '1\nBald\nnobody.jpg 1\n',
          'list_attr_celeba.csv': 'image_id,Bald\nnobody.jpg,1\n'}


@pytest.mark.parametrize('stray', STRAYS)
def test_a_stray_table_makes_no_layout(tmp_path, stray):
    for side in ('trainA', 'trainB', 'train'): dot(tmp_path/'sides'/side/'1.jpg')
    for i in range(3): dot(tmp_path/f'plain/{i}.jpg')
    for root in ('sides', 'plain'): (tmp_path/root/stray).write_text(STRAYS[stray])
    for root, split in (('sides', 'trainA'), ('sides', 'trainB'), ('sides', 'train'), ('plain', 'all')):
        with pytest.warns(UserWarning, match=f'plain pictures.*{stray} passed over'):
            p = open_pictures(tmp_path/root, split, 8, progress=False)
        assert len(p) == (3 if root == 'plain' else 1) and p.labels is None


@pytest.mark.parametrize('stray', STRAYS)
def test_a_stray_table_beside_a_layout_that_is_whole(tmp_path, stray):
    hw4(tmp_path/'hw4', ['a.png,0,1']); celeba(tmp_path/'celeba'); iclevr(tmp_path/'scenes')
    anime(tmp_path/'anime', '\n'.join(f'{i},blue hair:1\tred eyes:1' for i in range(3)))
    for root, read in dict(hw4=read_hw4, celeba=read_celeba, anime=read_anime, scenes=read_iclevr).items():
        if (tmp_path/root/stray).exists(): continue
        (tmp_path/root/stray).write_text(STRAYS[stray])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always'); assert find_reader(tmp_path/root) is read
        own = dict(hw4='train.csv test.csv', celeba='list_attr_celeba.csv', anime='label.csv tags.csv', scenes='')[root]
        assert stray in own and not said or stray in str(said[0].message)
        assert len(open_pictures(tmp_path/root, 'train', 8, progress=False)) # the right one of two tables


def test_of_two_tag_files_the_one_with_tags_is_read(tmp_path):
    anime(tmp_path, '\n'.join(f'{i},blue hair red eyes' for i in range(3)), 'tags.csv')
    (tmp_path/'tags_clean.csv').write_text('')
    assert find_reader(tmp_path) is read_anime and len(read_anime(tmp_path, 'all')) == 3


@pytest.mark.parametrize('text', ['', 'a.png,0,1\n', 'id,Bangs\na,1\n', 'image_name,Bangs\nz.png,1\n',
                                  '\ufeffimage_name;Bangs\n'])
def test_a_table_that_speaks_of_the_pictures_is_strict(tmp_path, text):
    "Labels are never dropped because their table has a fault."
    dot(tmp_path/'train/a.png'); (tmp_path/'train.csv').write_text(text, encoding='utf-8')
    assert find_reader(tmp_path) is read_hw4
    fails(open_pictures, tmp_path, size=8, says=['train.csv'])


def test_hashed_split_is_a_tenth_and_never_moves():
    names = [f'{i:06d}.jpg' for i in range(20000)]
    assert abs(np.mean([in_test_split(n) for n in names]) - .1) < .01
    assert [n for n in names[:60] if in_test_split(n)] == [n for n in names[:60] if in_test_split(n)]
    # pinned: a change would leak test pictures into training
    assert [i for i in range(40) if in_test_split(f'{i}.png')] == [2, 6, 27]


# --- anime faces

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


# --- lines of tags to draw

def test_real_testing_text():
    lines = read_tag_lines(real('sample_testing_text.txt'))
    assert len(lines) == 16 and lines[0] == ('1', 'blue', 'blue') and lines[7] == ('8', 'purple', 'aqua')
    assert lines[4] == ('5', 'red', None) and lines[6] == ('7', None, 'black') and lines[-1] == ('16', 'orange', None)
    assert not real('sample_testing_text.txt').read_bytes().endswith(b'\n')  # the real file lacks it


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.none() | st.sampled_from(HAIR), st.none() | st.sampled_from(EYES), st.booleans())
                .filter(lambda t: t[0] or t[1]), min_size=1, max_size=8), st.booleans(),
       st.sampled_from(['\n', '\r\n']))
def test_tag_lines_round_trip(tmp_path_factory, asked, newline, end):
    lines = []
    for i, (h, e, swap) in enumerate(asked):
        parts = [f'{h} hair'] * bool(h) + [f'{e} eyes'] * bool(e)
        lines.append(f'{i},' + ' '.join(parts[::-1] if swap else parts))
    path = tmp_path_factory.mktemp('tags')/'t.txt'
    path.write_bytes((end.join(lines) + end*newline).encode())
    assert read_tag_lines(path) == [(str(i), h, e) for i, (h, e, _) in enumerate(asked)]


@pytest.mark.parametrize('text,says', [
    ('1,blue hair\n2,purpel hair', ['line 2', "'purple'"]),
    ('1,blue hair\n1,red eyes', ['line 2', 'twice']), ('blue hair', ['line 1', 'id']),
    ('../x,blue hair', ['line 1', 'id']), ('1,', ['line 1']), ('', ['no lines']),
    ('1,yellow hair', ['line 1', "'yellow'"])])
def test_tag_line_faults(tmp_path, text, says):
    (tmp_path/'t.txt').write_text(text)
    fails(read_tag_lines, tmp_path/'t.txt', says=['t.txt', *says] if text else says)


# --- i-CLEVR: scenes and conditions

@pytest.mark.parametrize('folder, opened', [('iclevr', '.'), ('images', '.'), ('.', '.'),
                                            ('iclevr', 'iclevr'), ('images', 'images')])
def test_iclevr_layouts(tmp_path, folder, opened):
    listing = read_iclevr(iclevr(tmp_path, folder=folder)/opened, 'all')
    assert [f.name for f in listing.files] == list(SCENES)
    assert listing.attributes == OBJECTS and listing.labels.dtype == np.uint8
    for row, condition in zip(listing.labels, SCENES.values()): # every object of a list, not the first one
        assert [o for o, bit in zip(OBJECTS, row) if bit] == sorted(condition, key=OBJECTS.index)
    assert open_pictures(tmp_path/opened, 'all', 8, progress=False).labels.sum(1).tolist() == [1, 2, 3, 1]


def test_iclevr_columns_are_the_numbers_of_objects_json(tmp_path):
    backwards = {o: 23 - i for i, o in enumerate(OBJECTS)}
    listing = read_iclevr(iclevr(tmp_path, objects=backwards), 'all')
    assert listing.attributes == OBJECTS[::-1]
    asked = sorted(backwards[o] for o in SCENES['CLEVR_train_000007_2.png'])
    assert np.flatnonzero(listing.labels[2]).tolist() == asked


def test_conditions_find_their_columns_by_name(tmp_path):
    "A run's names decide, whatever the objects.json beside the conditions says."
    iclevr(tmp_path, objects={o: 23 - i for i, o in enumerate(OBJECTS)})
    (tmp_path/'test.json').write_text('[["gray sphere", "red cube"]]')
    assert read_objects(tmp_path/'objects.json') == OBJECTS[::-1]
    theirs, ours = read_conditions(tmp_path/'test.json'), read_conditions(tmp_path/'test.json', OBJECTS)
    assert np.flatnonzero(theirs[0]).tolist() == [15, 22] and np.flatnonzero(ours[0]).tolist() == [1, 8]
    fails(read_conditions, tmp_path/'test.json', ['red cube', 'red cube'], says=["'red cube' twice"])
    fails(read_conditions, tmp_path/'test.json', ['red cube'], says=["'gray sphere'"])
    fails(read_objects, tmp_path/'none.json', kind=FileNotFoundError, says=['none.json'])


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


def test_conditions(tmp_path):
    iclevr(tmp_path)
    path = tmp_path/'test.json'
    path.write_text('[["gray sphere", "red cube"], ["yellow cylinder"]]')
    y = read_conditions(path)
    assert y.dtype == np.float32 and y.shape == (2, 24)
    assert [np.flatnonzero(row).tolist() for row in y] == [[1, 8], [23]]
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
