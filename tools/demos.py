"""The demos' models, by the recipes of docs/demos.toml: draw the worlds, train, export.

    python tools/demos.py train [NAME ...]      worlds and runs, in demos/; what is finished stays, what was stopped goes on
    python tools/demos.py export [NAME ...]     the finished runs -> docs/_static/demos/models
"""
import argparse, shlex, subprocess, sys, tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS, SITE = ROOT/'demos', ROOT/'docs'/'_static'/'demos'/'models'
RECIPES = tomllib.loads((ROOT/'docs'/'demos.toml').read_text(encoding='utf-8'))


def command(*words): subprocess.run([sys.executable, '-m', 'dlcv_gan.command', *map(str, words)], check=True, cwd=ROOT)


def train(name: str):
    "Draw the model's world where it is missing, then train, or go on."
    recipe = RECIPES['models'][name]
    kind, *flags = shlex.split(RECIPES['data'][recipe['data']])
    world, run = RUNS/'data'/recipe['data'], RUNS/name
    command('draw', kind, world, *flags)
    system, *flags = shlex.split(recipe['train'])
    if (run/'weights.safetensors').exists(): return print(f'{name}: trained')
    command('train', *(['--out', run, '--resume'] if (run/'settings.json').exists() else [system, '--data', world, '--out', run, *flags]))


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['train', 'export'])
    p.add_argument('names', nargs='*', metavar='NAME', help='models of docs/demos.toml (default: all)')
    args = p.parse_args()
    if unknown := [n for n in args.names if n not in RECIPES['models']]: p.error(f'docs/demos.toml has no model {unknown[0]}; there are {", ".join(RECIPES["models"])}')
    for name in args.names or RECIPES['models']: globals()[args.what](name)
