"Files: written whole, litter is no content, names that can be printed."
import os

import pytest
from hypothesis import given, strategies as st

from dlcv_gan.files import contents, is_litter, printable, write_atomic, write_text


@pytest.mark.parametrize('name', ['.DS_Store', 'Thumbs.db', 'THUMBS.DB', 'desktop.ini', '._cat.png', '__MACOSX',
                                  'lost+found', 'Icon\r', '@eaDir', '.ipynb_checkpoints'])
def test_litter_is_no_content(tmp_path, name):
    assert is_litter(name) and contents(tmp_path) == []
    if os.name == 'posix': (tmp_path/name).touch(); assert contents(tmp_path) == []
    (tmp_path/'.git').mkdir(); (tmp_path/'a.png').touch() # hidden, but somebody's
    assert [p.name for p in contents(tmp_path)] == ['.git', 'a.png']
    assert contents(tmp_path/'nowhere') == []
    with pytest.raises(NotADirectoryError): contents(tmp_path/'a.png')


@given(st.text(st.characters()))
def test_what_is_printable_is_one_line_of_unicode(text):
    out = printable(text)
    assert out.encode('utf-8') is not None and len(out.splitlines()) <= 1 and printable(out) == out
    if text.isascii() and text.isprintable(): assert out == text


def test_a_name_in_big5_is_escaped_and_others_stay():
    name = b'\xa4\xe9.png'.decode('utf-8', 'surrogateescape')
    assert printable(name) == r'\udca4\udce9.png' and printable('臉 é　.png') == '臉 é　.png'


def test_text_with_such_a_name_is_written(tmp_path):
    write_text(tmp_path/'a.txt', '臉 \udca4')
    assert (tmp_path/'a.txt').read_text(encoding='utf-8') == r'臉 \udca4'


def test_a_name_as_long_as_names_can_be(tmp_path):
    file = tmp_path/('臉'*83 + '.txt') # 253 bytes
    write_atomic(file, lambda f: f.write(b'x'))
    assert file.read_bytes() == b'x' and list(tmp_path.iterdir()) == [file]
