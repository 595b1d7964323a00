"""The nets in whose features distances between pictures are measured, one a world: draw, fit, keep in dlcv_gan/weights.

    python tools/features.py [WORLD ...]      those named, or all; some minutes each
"""
import sys

import numpy as np

from dlcv_gan.metrics import WEIGHTS, FeatureNet, floats_of, frechet_distance, kernel_distance
from dlcv_gan.worlds.animals import ACTIONS, PLACES, animal_factors, draw_animals
from dlcv_gan.worlds.anime import ANIME_TAGS, anime_factors, draw_anime
from dlcv_gan.worlds.faces import ATTRIBUTES, draw_faces
from dlcv_gan.worlds.scenes import OBJECTS, draw_scenes

SEED, N, SIZE, COMPARED = 77, 20_000, 64, 2_000 # COMPARED: pictures a side, for the distance between equal sets


def draw_tagged(n, seed, size):
    "Anime faces with their tags and kinds: a net that knows colours alone sees neither shapes nor noise."
    (images, tags), f = draw_anime(n, seed, size), anime_factors(n, seed)
    kinds = np.stack([f[name] == kind for name, kinds in KINDS.items() for kind in kinds], 1)
    return images, np.concatenate([tags, kinds], 1).astype(np.uint8)


def draw_both(n, seed, size):
    "Horses and zebras by turns, with what can be told of an animal and its place in either direction."
    zebra, f = np.arange(n) % 2, animal_factors(n, seed)
    columns = [zebra == 1, f['company'], *(f['action'][:, 0] == i for i in range(len(ACTIONS))),
               *(f['place'] == i for i in range(len(PLACES)))]
    return draw_animals(n, seed, size, zebra), np.stack(columns, 1).astype(np.uint8)


KINDS = {name: np.unique(values) for name, values in anime_factors(5000).items() if values.dtype.kind in 'Ub'}
WORLDS = dict( # drawing, names of the attributes, passes over the pictures
    faces=(draw_faces, ATTRIBUTES, 5),
    anime=(draw_tagged, [*ANIME_TAGS, *(f'{name} {kind}' for name, kinds in KINDS.items() for kind in kinds)], 5),
    scenes=(draw_scenes, OBJECTS, 10),
    animals=(draw_both, ['zebra', 'company', *ACTIONS, *PLACES], 5))


def fit(world: str):
    "One net: fitted to drawn pictures' attributes, kept with what it knows and how far apart equal sets are in it."
    draw, attributes, epochs = WORLDS[world]
    images, labels = draw(N, seed=SEED, size=SIZE)
    net = FeatureNet.fit(images, labels, epochs).half().float() # as it will be read: half of the bytes
    first, second = (draw(COMPARED, seed=SEED + k, size=SIZE) for k in (1, 2))
    a, b = (net.features(floats_of(x)) for x, _ in (first, second))
    right = ((net.attribute_probabilities(first[0]).numpy() > .5) == first[1]).mean(0)
    net.about = dict(world=world, attributes=list(attributes), compared=COMPARED, size=SIZE,
                     frechet_distance=round(frechet_distance(a, b), 3),
                     kernel_distance=round(kernel_distance(a, b), 6), accuracy=right.round(3).tolist())
    print(f'{world}: equal sets of {COMPARED} are {net.about["frechet_distance"]} apart (kernel distance '
          f'{net.about["kernel_distance"]}); attributes right {right.min():.3f} to {right.max():.3f}', flush=True)
    net.half().save(WEIGHTS/f'features-{world}.safetensors')


if __name__ == '__main__':
    for name in sys.argv[1:] or WORLDS:
        if name not in WORLDS: sys.exit(f'no world is called {name!r}: choose from {", ".join(WORLDS)}')
        fit(name)
