"Small folders in the layouts of real datasets, and how faults in them are told: shared by the tests of the data."
import json, warnings
from pathlib import Path

import pytest
from PIL import Image


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


# --- CelebA

def celeba(root, names=('000001.jpg', '000002.jpg', '000003.jpg'), folder='img_align_celeba', gap=' ', said=None):
    for i, n in enumerate(names): dot(root/folder/n, i)
    rows = [f'{n}{gap}{-1 if i%2 else 1:2d}  {1 if i == 2 else -1:2d} ' for i, n in enumerate(names)]
    table = [str(len(names) if said is None else said), 'Bald Young ', *rows]
    (root/'list_attr_celeba.txt').write_text('\n'.join(table) + '\n')
    return root


# --- anime faces

def anime(root, text, table='tags_clean.csv', n=3, folder='faces'):
    for i in range(n): dot(root/folder/f'{i}.jpg', i)
    (root/table).parent.mkdir(exist_ok=True, parents=True)
    (root/table).write_text(text)
    return root


def tags(listing):
    return {f.stem: [t for t, b in zip(listing.attributes, bits) if b]
            for f, bits in zip(listing.files, listing.labels)}


# --- i-CLEVR

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
