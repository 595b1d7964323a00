"Whatever a test of the command provokes is read again: a flag or function that an error advises must exist there."
import re

import pytest
from advice import wrong_advice

from dlcv_gan.cli import command, flags


@pytest.fixture(autouse=True)
def advice(monkeypatch):
    "Listens to every complaint of the test; yields them as (subcommand, message)."
    heard, real, parse = [], flags.complain, flags.Parser.parse_args
    typed = ['']
    def parse_args(self, *args, **kwargs):
        typed[0] = ''
        found = parse(self, *args, **kwargs)
        typed[0] = found.subcommand
        return found
    def complain(message, kind='error'):
        said = flags.one_line(message)
        of = re.search(r'\(see: dlcv_gan ?([\w-]*) --help\)$', said)
        name = of[1] if of and not typed[0] else typed[0]
        if name: heard.append((name, said))
        real(message, kind)
    monkeypatch.setattr(flags.Parser, 'parse_args', parse_args)
    for module in (command, flags): monkeypatch.setattr(module, 'complain', complain)
    yield heard
    wrong = {f'{name}: {said}': bad for name, said in heard if (bad := wrong_advice(name, said))}
    assert not wrong, f'advice that does not work there: {wrong}'
