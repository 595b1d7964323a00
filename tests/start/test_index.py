"The front page names every notebook of every room by its title, in the room where it lies."
import json, re
from pathlib import Path

import pytest

NBS = Path(__file__).resolve().parents[2]/'nbs'
if not NBS.is_dir(): pytest.skip('the notebooks lie in the repository', allow_module_level=True)
ROOMS = {'Start here': 'start', 'Assignments': 'assignments', 'Hand-ins': 'handins', 'Studies': 'studies',
         'Worlds': 'worlds', 'Library': 'library', 'Command': 'command'}


def titles(folder):
    "Path below nbs/ -> title, for every notebook of a room."
    files = (p for p in sorted((NBS/folder).rglob('*.ipynb')) if '.ipynb_checkpoints' not in p.parts)
    first = {p: ''.join(json.loads(p.read_text(encoding='utf-8'))['cells'][0]['source']) for p in files}
    return {p.relative_to(NBS).as_posix(): text.splitlines()[0].removeprefix('# ').strip() for p, text in first.items()}


def table():
    "Room -> its links, path -> text; 'Library: data' is a part of the library."
    cells = json.loads((NBS/'index.ipynb').read_text(encoding='utf-8'))['cells']
    text, found = '\n'.join(''.join(c['source']) for c in cells), {}
    for room, row in re.findall(r'(?m)^\| \*\*([\w -]+)(?:: \w+)?\*\* \|(.*)\|$', text):
        links = re.findall(r'\[([^\]]+)\]\(([\w/]+\.ipynb)\)', row)
        found.setdefault(room, {}).update({path: name for name, path in links})
    return found


def test_the_table_has_the_rooms(): assert list(table()) == list(ROOMS)


@pytest.mark.parametrize('room', ROOMS)
def test_every_notebook_is_linked_by_its_title(room):
    linked, there = table()[room], titles(ROOMS[room])
    wrong = sorted({p for p in linked.keys() | there.keys() if linked.get(p) != there.get(p)})
    assert not wrong, '; '.join(f'nbs/index.ipynb, {room}: {p} is called {there.get(p, "nothing")!r}, '
                                f'the table says {linked.get(p, "nothing")!r}' for p in wrong)


def test_the_folders_of_nbs_are_the_rooms():
    assert {p.parent.relative_to(NBS).parts[0] for p in NBS.rglob('*.ipynb') if p.parent != NBS
            and '.ipynb_checkpoints' not in p.parts} == set(ROOMS.values())
