"Tables for a terminal and plain text for a program: the same facts."
import os, pty, subprocess, sys

import pytest

from dlcv_gan.cli.terminal import print_table

ROWS = [dict(name='gan [a]', rounds='30,000'), dict(name='vae', rounds='500')]


def seen_in_a_terminal(*command): # what a person sees
    ours, theirs = pty.openpty()
    wide = dict(os.environ, COLUMNS='200', TERM='xterm')
    process = subprocess.Popen([sys.executable, *command], stdout=theirs, env=wide)
    os.close(theirs)
    seen = b''
    while True:
        try: part = os.read(ours, 65536)
        except OSError: break # the other end is closed
        if not part: break
        seen += part
    assert process.wait() == 0
    return seen.decode()


def test_a_program_gets_the_plain_text(capsys):
    print_table(ROWS, 'plain')
    print_table([], 'none')
    assert capsys.readouterr().out == 'plain\nnone\n'


@pytest.mark.skipif(sys.platform == 'win32', reason='no pty')
def test_a_person_gets_columns_and_brackets_as_they_are():
    seen = seen_in_a_terminal('-c', f'from dlcv_gan.cli.terminal import print_table; print_table({ROWS}, "plain")')
    assert 'plain' not in seen and '│' in seen
    for word in 'name', 'rounds', 'gan [a]', '30,000', '500': assert word in seen


@pytest.mark.skipif(sys.platform == 'win32', reason='no pty')
def test_the_command_lists_the_same_systems_for_both():
    plain = subprocess.run([sys.executable, '-m', 'dlcv_gan', 'systems'], capture_output=True, text=True, check=True)
    seen = seen_in_a_terminal('-m', 'dlcv_gan', 'systems')
    names = [line.split()[0] for line in plain.stdout.split('\n') if line[:1].strip()]
    assert len(names) > 15 and '│' not in plain.stdout
    for name in names: assert name in seen
