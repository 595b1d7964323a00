"""The worlds' feature nets, in which the package measures distances: draw, fit, and keep them in dlcv_gan/weights.

    python tools/features.py [WORLD ...]      a net each, of those named or of all; minutes of two cores
"""
import sys
from pathlib import Path

import numpy as np

from dlcv_gan.metrics import WEIGHTS, FeatureNet, floats_of, frechet_distance, kernel_distance
from dlcv_gan.worlds.animals import ACTIONS, PLACES, animal_factors, draw_animals
from dlcv_gan.worlds.anime import ANIME_TAGS, draw_anime
from dlcv_gan.worlds.faces import ATTRIBUTES, draw_faces
from dlcv_gan.worlds.scenes import OBJECTS, draw_scenes

SEED, N, SIZE, COMPARED = 77, 20_000, 64, 2_000 # COMPARED: fresh pictures a side, for the distance between equals


def animals(n, seed, size):
    "Horses and zebras by turns, with what can be told of the first animal and its place, however it is flipped."
    zebra, f = np.arange(n) % 2, animal_factors(n, seed)
    columns = [zebra == 1, f['company'], *(f['action'][:, 0] == i for i in range(len(ACTIONS))),
               *(f['place'] == i for i in range(len(PLACES)))]
    return draw_animals(n, seed, size, zebra), np.stack(columns, 1).astype(np.uint8)


WORLDS = dict( # drawing, names of the attributes, passes over the pictures
    faces=(draw_faces, ATTRIBUTES, 5), anime=(draw_anime, ANIME_TAGS, 5), scenes=(draw_scenes, OBJECTS, 10),
    animals=(animals, ['zebra', 'company', *ACTIONS, *PLACES], 5))


def fit(world: str) -> Path:
    "One net: fitted to drawn pictures' attributes, kept with what it knows and how far apart equal sets are in it."
    draw, attributes, epochs = WORLDS[world]
    images, labels = draw(N, seed=SEED, size=SIZE)
    net = FeatureNet.fit(images, labels, epochs).half().float() # as it will be read: half of the bytes
    first, second = (draw(COMPARED, seed=SEED + k, size=SIZE) for k in (1, 2))
    a, b = (net.features(floats_of(x)) for x, _ in (first, second))
    right = ((net.attribute_probabilities(first[0]).numpy() > .5) == first[1]).mean(0)
    about = dict(attributes=list(attributes), n=COMPARED, size=SIZE, frechet_distance=frechet_distance(a, b),
                 kernel_distance=kernel_distance(a, b), accuracy=dict(zip(attributes, right.round(3).tolist())))
    print(f'{world}: equal sets of {COMPARED} are {about["frechet_distance"]:.2f} apart (kernel distance '
          f'{about["kernel_distance"]:.4f}); attributes right {right.min():.3f} to {right.max():.3f}')
    return net.save(WEIGHTS/f'features-{world}.safetensors', about)


if __name__ == '__main__':
    for name in sys.argv[1:] or WORLDS:
        if name not in WORLDS: sys.exit(f'no world is called {name!r}: choose from {", ".join(WORLDS)}')
        fit(name)
