"""The demos' models, by the recipes of docs/demos.toml: draw the worlds, train, export.

    python tools/demos.py train [NAME ...]    worlds and runs, in demos/; what is finished stays, what stopped goes on
    python tools/demos.py export [NAME ...]   the finished runs -> docs/_static/demos/models
"""
import argparse, json, shlex, subprocess, sys, tomllib
from functools import cache
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
RUNS, SITE = ROOT/'demos', ROOT/'docs'/'_static'/'demos'/'models'
RECIPES = tomllib.loads((ROOT/'docs'/'demos.toml').read_text(encoding='utf-8'))


def command(*words):
    subprocess.run([sys.executable, '-m', 'dlcv_gan.cli.command', *map(str, words)], check=True, cwd=ROOT)


@cache
def world(data: str) -> Path:
    "A folder of drawn pictures; what is drawn already stays."
    kind, *flags = shlex.split(RECIPES['data'][data])
    command('draw', kind, RUNS/'data'/data, *flags)
    return RUNS/'data'/data


def train(name: str):
    "Train a model, or go on where it was stopped."
    recipe, run = RECIPES['models'][name], RUNS/name
    if (run/'weights.safetensors').exists(): return print(f'{name}: trained')
    system, *flags = shlex.split(recipe['train'])
    command('train', *(['--out', run, '--resume'] if (run/'settings.json').exists()
                       else [system, '--data', world(recipe['data']), '--out', run, *flags]))


def export(name: str):
    "A finished run as files of the site, with what its demo needs beside the nets."
    from dlcv_gan.cli.export import export_run
    run = RUNS/name
    if not (run/'weights.safetensors').exists():
        raise SystemExit(f'{name} is not trained; first run: python tools/demos.py train {name}')
    said = export_run(run, SITE, name, only=RECIPES['models'][name].get('parts'),
                      train=RECIPES['models'][name]['train'], **EXTRAS.get(name.split('-')[0], lambda run: {})(run))
    print(f"{name}: {said['bytes']/1e6:.2f} MB, {said['parity']:.0e} from PyTorch")


def vae_extras(run: Path) -> dict:
    "The plane that changes pictures most, and the mean code of real faces."
    from dlcv_gan.data.pictures import to_float
    from dlcv_gan.live import latent_directions
    from dlcv_gan.runs.folder import load_run
    game = load_run(run)
    with torch.no_grad(): mean = game.encode(to_float(faces('train').images[:2000]))[0].mean(0)
    return dict(plane=rounded(latent_directions(game, 2)), mean_code=rounded(mean))


def flow_extras(run: Path) -> dict:
    "Where the mean code moves when an attribute is there, in a file of float16."
    from dlcv_gan.data.pictures import to_float
    from dlcv_gan.files import write_atomic
    from dlcv_gan.runs.folder import load_run
    game, real = load_run(run), faces('train')
    with torch.no_grad(): z = torch.cat([game.encode(part)[0] for part in to_float(real.images[:4000]).split(250)])
    y = torch.as_tensor(real.labels[:4000]) > 0
    moves = torch.stack([z[y[:, k]].mean(0) - z[~y[:, k]].mean(0) for k in range(y.shape[1])]).half()
    write_atomic(SITE/'flow.moves.f16', lambda f: f.write(moves.numpy().astype('<f2').tobytes()))
    return dict(moves=dict(file='flow.moves.f16', attributes=list(real.attributes)))


EXTRAS = dict(vae=vae_extras, flow=flow_extras)


def rounded(x): return np.round(x.numpy().astype(float), 4).tolist()


def faces(split: str):
    "The drawn faces that the demos' models learned from ('train'), or some that they never saw."
    from dlcv_gan.data.pictures import open_pictures
    return open_pictures(world('faces'), split=split, size=32)


def sprites():
    "Real pictures, no part of any training: 32 faces, and 8 horses before 8 zebras, each set a file with its labels."
    from dlcv_gan.data.pictures import open_pictures
    real, animals = faces('test'), [open_pictures(world('animals')/f'test{side}', size=64) for side in 'AB']
    sheet('faces', real.images[:32], names=list(real.attributes), labels=np.asarray(real.labels[:32]).tolist())
    sheet('animals', np.concatenate([a.images[:8] for a in animals]))


def sheet(name: str, images, **about):
    "Pictures side by side, eight in a row, and what they are."
    from dlcv_gan.files import write_atomic
    from dlcv_gan.view import save_picture, to_grid
    save_picture(to_grid(images, 8, 0), SITE/f'{name}-real.png')
    said = json.dumps(dict(size=images.shape[1], count=len(images), columns=8, **about))
    write_atomic(SITE/f'{name}-real.json', lambda f: f.write(said.encode()))


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['train', 'export'])
    p.add_argument('names', nargs='*', metavar='NAME', help='models of docs/demos.toml (default: all)')
    args = p.parse_args()
    if unknown := [n for n in args.names if n not in RECIPES['models']]:
        p.error(f'docs/demos.toml has no model {unknown[0]}; there are {", ".join(RECIPES["models"])}')
    for name in args.names or RECIPES['models']: globals()[args.what](name)
    if args.what == 'export': sprites()
