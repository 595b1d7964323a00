"Laws of writing a dataset: numbers that belong to a picture, errors that reach the caller, complete sets or none."
import os

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dlcv_gan.worlds.writing import in_threads, picture_numbers, write_pictures, write_set


@given(st.integers(0, 6), st.integers(1, 9), st.integers(0, 2**62), st.integers(0, 10**9))
def test_a_picture_s_numbers_do_not_depend_on_its_company(n, k, seed, start):
    rows = picture_numbers(n, k, seed, start)
    assert rows.shape == (n, k) and ((0 <= rows) & (rows < 1)).all()
    for i in range(n): assert (picture_numbers(1, k, seed, start + i)[0] == rows[i]).all()
    if n > 1: assert len(np.unique(rows, axis=0)) == n


@pytest.mark.parametrize('bad', [dict(n=-1), dict(n=1.5), dict(n=True), dict(seed=-1), dict(start='x'),
                                 dict(seed=2**63)])
def test_wrong_numbers_are_named(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is .*whole number"):
        picture_numbers(**{**dict(n=1, k=2), **bad})


def test_every_job_is_done_and_an_error_is_raised():
    done = np.zeros(50, int)
    def work(i): done[i] += 1
    in_threads(work, range(50))
    assert (done == 1).all()
    def fails(i): raise ZeroDivisionError(i)
    with pytest.raises(ZeroDivisionError): in_threads(fails, range(3))


def test_only_what_is_missing_is_drawn(tmp_path):
    asked, told = [], []
    def draw(first, n): asked.append((first, n)); return np.full((n, 4, 4, 3), first, np.uint8)
    paths = [tmp_path/f'{i}.png' for i in range(5)]
    write_pictures(paths, draw, step=2, report=told.append)
    assert asked == [(0, 2), (2, 2), (4, 1)] and told == [2, 4, 5] and sorted(tmp_path.iterdir()) == paths
    paths[3].unlink()
    write_pictures(paths, draw, step=2)
    assert asked[3:] == [(2, 2)] and all(p.exists() for p in paths)


def test_a_set_appears_only_when_it_is_whole(tmp_path):
    def fill(folder):
        assert not (tmp_path/'set').exists()
        if not (folder/'a').exists(): (folder/'a').write_text('1'); raise KeyboardInterrupt
    asked = dict(settings=dict(n=1), what='things', pictures=1, size=10., fill=fill)
    with pytest.raises(KeyboardInterrupt): write_set(tmp_path/'set', **asked)
    assert not (tmp_path/'set').exists() and (tmp_path/'set.partial'/'a').exists()
    assert write_set(tmp_path/'set', **asked) == tmp_path/'set' and not (tmp_path/'set.partial').exists()
    with pytest.raises(FileExistsError, match='another folder'):
        write_set(tmp_path/'set', **{**asked, 'settings': dict(n=2)})


@pytest.mark.parametrize('way', ['empty', 'litter', 'link', 'damaged note'])
def test_a_folder_that_is_empty_for_all_purposes_is_taken(tmp_path, way):
    root = tmp_path/'set'
    if way == 'link': (tmp_path/'disk').mkdir(); os.symlink(tmp_path/'disk', root)
    elif way == 'damaged note':
        (tmp_path/'set.partial').mkdir(); (tmp_path/'set.partial'/'drawn.json').write_text('{"n"')
    else: root.mkdir()
    if way == 'litter': (root/'.DS_Store').touch(); (root/'Thumbs.db').touch()
    def fill(folder): (folder/'a.txt').write_text('a')
    assert write_set(root, dict(n=1), 'letters', 1, 1, fill) == root
    assert sorted(p.name for p in root.iterdir()) == ['a.txt', 'drawn.json'] and root.is_symlink() == (way == 'link')
    (tmp_path/'mine').mkdir(); (tmp_path/'mine'/'.git').mkdir()
    with pytest.raises(FileExistsError, match='another folder'):
        write_set(tmp_path/'mine', dict(n=1), 'letters', 1, 1, fill)
