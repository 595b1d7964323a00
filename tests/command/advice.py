"What an error advises must exist where it is said: `conftest` looks at every message of this room's tests."
import importlib, pkgutil, re
from functools import cache

import dlcv_gan
from dlcv_gan.cli import flags


@cache
def subcommands(): return flags.make_parser()._subparsers._group_actions[0].choices


@cache
def flags_of(name): return {o for a in subcommands()[name]._actions for o in a.option_strings}


@cache
def public_names():
    "Every public name of the package."
    found = set()
    for m in pkgutil.walk_packages(dlcv_gan.__path__, 'dlcv_gan.'): found |= set(vars(importlib.import_module(m.name)))
    return found


def wrong_advice(name, message):
    "What the message of `dlcv_gan NAME` advises and is not there; an empty list is right."
    wrong, rest = [], re.sub(r' \(see: dlcv_gan [\w -]+--help\)', '', message)
    for span in re.findall('`([^`]*)`', rest): # another command's line
        words = re.sub(r'\$?RUN\b|\.\.\.', 'x', span).split()
        if words[:1] == ['dlcv_gan'] and len(words) > 1:
            other = words[1]
            if other not in subcommands(): wrong.append(span)
            else: wrong += [w for w in words if w.startswith('--') and w not in flags_of(other)]
    rest = re.sub('`[^`]*`', '', rest)
    wrong += [f for f in re.findall(r"(?<![\w'/-])--[a-z][a-z-]*", rest) if f not in flags_of(name)]
    # an argument of a function is no flag; NAME=VALUE is a setting of --set
    wrong += re.findall(r'\b(?:on_bad|cache|drop_last|resident|device|workers|progress)=', rest)
    wrong += [f for f in re.findall(r'\b([A-Za-z_]\w+)\(\)?(?=[)\s,.;])', rest) if f not in public_names()]
    return wrong
