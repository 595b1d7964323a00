"""The demos' models, by the recipes of docs/demos.toml: draw the worlds, train, export.

    python tools/demos.py train [NAME ...]    worlds and runs, in demos/; what is finished stays, what stopped goes on
    python tools/demos.py export [NAME ...]   the finished runs -> docs/_static/demos/models
"""
import json
from pathlib import Path

import numpy as np
import torch
from runs import RECIPES as RUNS
from runs import ROOT, Recipes

SITE = ROOT/'docs'/'_static'/'demos'/'models'
RECIPES = Recipes(ROOT/'docs'/'demos.toml', ROOT/'demos')


def export(name: str):
    "A finished run as files of the site, with what its demo needs beside the nets."
    from dlcv_gan.cli.export import export_run
    run, recipe = RECIPES.trained(name), RECIPES.models[name]
    extras = EXTRAS.get(name, EXTRAS.get(name.split('-')[0], lambda run: {}))(run)
    train = (RUNS.models[recipe['pretrained']] if 'pretrained' in recipe else recipe)['train']
    said = export_run(run, SITE, name, only=recipe.get('parts'), train=train, **extras)
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


def ddpm_extras(run: Path, steps: int = 10) -> dict:
    "The times of a drawing in few steps, and how much of the variance is still picture at each."
    from dlcv_gan.runs.folder import load_run
    game = load_run(run, device='cpu')
    times = [round(game.timesteps * (1 - i / steps)) for i in range(steps + 1)]
    return dict(times=times, kept=game.kept[times].tolist())


EXTRAS = {'vae': vae_extras, 'flow': flow_extras, 'scenes-ddpm': ddpm_extras}


def rounded(x): return np.round(x.numpy().astype(float), 4).tolist()


def faces(split: str):
    "The drawn faces that the demos' models learned from ('train'), or some that they never saw."
    from dlcv_gan.data.pictures import open_pictures
    return open_pictures(RECIPES.world('faces'), split=split, size=32)


def sprites():
    "Real pictures, no part of any training: 32 faces, and 8 horses before 8 zebras, each set a file with its labels."
    from dlcv_gan.data.pictures import open_pictures
    real, animals = faces('test'), [open_pictures(RECIPES.world('animals')/f'test{side}', size=64) for side in 'AB']
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
    if RECIPES.main(__doc__, 'export', export).what == 'export': sprites()
