"The course's cascade is read from wherever it lies, and what is none is refused."
import os, shutil

import numpy as np
import pytest
from layouts import real

from dlcv_gan.scores import count_faces, face_sheet
from dlcv_gan.worlds.anime import draw_anime

cv2 = pytest.importorskip('cv2')


def test_a_path_outside_ascii_finds_the_same_faces(tmp_path):
    cascade, moved = real('lbpcascade_animeface.xml'), tmp_path/'臉 é'/'貓.xml'
    moved.parent.mkdir(); shutil.copy(cascade, moved)
    sheet = face_sheet(draw_anime(25, 0, 64)[0])
    grey = cv2.equalizeHist(cv2.cvtColor(np.ascontiguousarray(sheet), cv2.COLOR_RGB2GRAY))
    detector = cv2.CascadeClassifier(os.fspath(cascade)) # as the course's grader opens it
    want = sorted(tuple(map(int, face)) for face in detector.detectMultiScale(grey, 1.1, 5, minSize=(24, 24)))
    # OpenCV's threads find them in any order
    assert sorted(count_faces(sheet, cascade)) == sorted(count_faces(sheet, moved)) == want and len(want) >= 20


XML = b'<?xml version="1.0"?><opencv_storage>%s</opencv_storage>'

@pytest.mark.parametrize('content', [b'', b'\xff\xfe', XML % b'', XML % b'<a>1</a>', b'<html>', b'1'])
def test_what_is_no_cascade_is_refused(tmp_path, content):
    (tmp_path/'c.xml').write_bytes(content)
    with pytest.raises(ValueError, match='no cascade'): count_faces(np.zeros((9, 9, 3), np.uint8), tmp_path/'c.xml')
