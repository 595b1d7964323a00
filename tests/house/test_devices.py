"What keeps a GPU busy and its random numbers whole, as far as the code itself shows it."
import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2]/'dlcv_gan'
MODULES = sorted(p for p in PACKAGE.rglob('*.py') if p.name not in ('__init__.py', '_modidx.py'))
each_module = pytest.mark.parametrize('path', MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
INSIDE_A_TURN = {'loss', 'gate', 'listen', 'constrain'} # methods that a graph captures


def called(node) -> str: # 'fork_rng' of torch.random.fork_rng(...)
    f = getattr(node, 'func', None)
    return f.attr if isinstance(f, ast.Attribute) else getattr(f, 'id', '')


def careless_seeds(text: str) -> list[str]:
    "Forks of the random state that forget a device: `torch.manual_seed` seeds all of them."
    found = []
    for n in ast.walk(ast.parse(text)):
        if not isinstance(n, ast.With): continue
        for fork in (i.context_expr for i in n.items if called(i.context_expr) == 'fork_rng'):
            devices = [*fork.args[:1], *(k.value for k in fork.keywords if k.arg == 'devices')]
            if not devices:
                found.append(f'{fork.lineno}: fork_rng() without devices wakes every GPU of the machine')
            elif isinstance(devices[0], ast.List) and not devices[0].elts and any(
                    called(c) == 'manual_seed' and getattr(getattr(c.func, 'value', None), 'id', '') == 'torch'
                    for c in ast.walk(n)):
                found.append(f'{fork.lineno}: torch.manual_seed seeds the GPUs too, and devices=[] puts none back')
    return found


def waits(text: str) -> list[str]:
    "Where a method that a graph captures asks the host for a number."
    methods = [f for c in ast.walk(ast.parse(text)) if isinstance(c, ast.ClassDef) for f in c.body
               if isinstance(f, ast.FunctionDef) and f.name in INSIDE_A_TURN]
    return [f'{n.lineno}: {called(n)}() in {f.name}' for f in methods for n in ast.walk(f) if isinstance(n, ast.Call)
            and (called(n) in ('item', 'tolist', 'numpy', 'cpu', 'nonzero') and isinstance(n.func, ast.Attribute)
                 or isinstance(n.func, ast.Name) and n.func.id in ('float', 'int', 'bool'))]


@each_module
def test_no_seed_is_left_on_a_device(path):
    wrong = careless_seeds(path.read_text(encoding='utf-8'))
    assert not wrong, f'{path.name}: {wrong}: draw from a torch.Generator, or fork and seed the device in use'


@each_module
def test_no_turn_waits_for_the_host(path):
    wrong = waits(path.read_text(encoding='utf-8'))
    assert not wrong, f'{path.name}: {wrong}: keep it a tensor'


def test_these_readers_bite():
    seed = 'with torch.random.fork_rng({}):\n    torch.manual_seed(0)\n'
    assert careless_seeds(seed.format('')) and careless_seeds(seed.format('devices=[]'))
    assert careless_seeds(seed.format('[]')) and not careless_seeds(seed.format('[device]'))
    assert not careless_seeds('with torch.random.fork_rng(devices=[]):\n    generator.manual_seed(0)\n')
    game = 'class A:\n    def {}(self, x): return {}\n'
    for wrong in ('x.item()', 'float(x)', 'x.tolist()', 'x if bool(x) else 0'):
        assert waits(game.format('loss', wrong)) and not waits(game.format('sample', wrong))
    assert not waits(game.format('gate', 'x.float()'))
