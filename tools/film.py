"""The film on the front page: a row of samples a run, from first to last round, out of the frames in its checkpoint.

    python tools/film.py RUN [RUN ...]     docs/_static/film.webp, and film-still.webp for readers who want less motion

The shipped one shows course A and a run of course B: `dlcv_gan hw4 demo && dlcv_gan hw3 demo-b`, then
`python tools/film.py demo/vae demo/gan demo/acgan demo-b/cgan`. What it shows is said in nbs/index.ipynb: change both.
"""
import argparse, io, sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dlcv_gan.files import write_atomic

STATIC = Path(__file__).resolve().parents[1]/'docs'/'_static'


def frames_of(run: Path, n: int) -> list[np.ndarray]:
    "The first `n` pictures of each frame that a run's checkpoint keeps, as one row."
    file = run/'checkpoint.pth'
    if not file.exists():
        raise FileNotFoundError(f'{file} is missing: name the folder of a run that `dlcv_gan train` or a hand-in made')
    film = torch.load(file, map_location='cpu', weights_only=True)['callbacks'].get('film')
    if not film or not film['frames']:
        raise ValueError(f'{file} keeps no film: train the run with `dlcv_gan train`, which does')
    rows = [f.numpy() for f in film['frames']]
    gap = 2
    side = (rows[0].shape[0] - gap)//2 # sheets of two rows, with a gap around every picture
    if rows[0].shape[1] < n*side + gap:
        raise ValueError(f'{file}: a frame holds fewer than {n} pictures a row; ask for fewer with --pictures')
    return [f[:side + gap, :n*side + gap] for f in rows]


def shoot(runs: list, # folders of runs, one row each
          out: Path, # where the film goes; must end in .webp
          pictures: int = 6, # of each run
          frames: int = 36, # in all: the early ones, where most happens, stand closer together
          fps: float = 8, # frames a second; the last one rests for three seconds
          quality: int = 55, # of the WebP, up to 100
         ):
    "Write the film and its last frame, whole or not at all."
    if out.suffix != '.webp': raise ValueError(f'{out}: name the film .webp')
    rows = [frames_of(Path(r), pictures) for r in runs]
    if len({r[0].shape for r in rows}) > 1:
        raise ValueError(f'the runs show pictures of different sizes: {[r[0].shape for r in rows]}; take runs of one '
                         '--size')
    sheets = []
    for t in np.linspace(0, 1, frames)**1.5:
        sheet = np.concatenate([r[round(t*(len(r) - 1))] for r in rows])
        bar = np.full((6, sheet.shape[1], 3), 235, np.uint8)
        bar[1:5, :round(t*sheet.shape[1])] = (109, 63, 192) # how far the training is, in the colour of the site
        sheets.append(Image.fromarray(np.concatenate([sheet, bar])))
    still = out.with_stem(out.stem + '-still')
    for path, kind in ((out, dict(save_all=True, append_images=sheets[1:], loop=0,
                                  duration=[round(1000/fps)]*(frames - 1) + [3000])), (still, {})):
        data = io.BytesIO()
        (sheets[-1] if path == still else sheets[0]).save(data, 'WEBP', quality=quality, method=6, **kind)
        write_atomic(path, lambda f: f.write(data.getvalue()))
        print(f'{path}: {sheets[0].width}x{sheets[0].height}, {path.stat().st_size/1e3:.0f} kB')


def main():
    "Read the command line."
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('runs', nargs='+', metavar='RUN')
    p.add_argument('--out', type=Path, default=STATIC/'film.webp')
    p.add_argument('--pictures', type=int, default=6)
    p.add_argument('--frames', type=int, default=36)
    p.add_argument('--quality', type=int, default=55)
    a = vars(p.parse_args())
    try: shoot(**a)
    except (OSError, ValueError) as e: sys.exit(f'film: {e}')


if __name__ == '__main__': main()
