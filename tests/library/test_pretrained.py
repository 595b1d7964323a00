"Runs that the package carries: made by their recipes, and as good as is published."
import tomllib
from pathlib import Path

import pytest
import torch

from dlcv_gan.game.base import draw
from dlcv_gan.metrics import WEIGHTS, floats_of, kernel_distance, with_interval, world_features
from dlcv_gan.runs.folder import read_conditions_of
from dlcv_gan.runs.pretrained import pretrained, pretrained_names, pretrained_run, published_scores
from dlcv_gan.runs.settings import RunSettings
from dlcv_gan.worlds.faces import draw_faces

RECIPES = Path(__file__).parents[2]/'docs'/'runs.toml' # in the repository alone


def test_every_recipe_has_its_run_and_every_run_its_recipe():
    if not RECIPES.is_file(): pytest.skip('the recipes are in the repository, not in the wheel')
    from dlcv_gan.cli.flags import make_parser
    recipes = tomllib.loads(RECIPES.read_text(encoding='utf-8'))
    assert sorted(recipes['models']) == pretrained_names()
    for name, recipe in recipes['models'].items():
        typed = ['train', *recipe['train'].split(), '--data', recipe['data'], '--out', 'x']
        flags = {k: v for k, v in vars(make_parser().parse_args(typed)).items() if v is not None}
        settings = RunSettings.read(pretrained_run(name))
        told = {k: v for k, v in settings.flags.items() if k not in ('out', 'resume')}
        assert told == {k: v for k, v in flags.items() if k in told}, f'{name}: another recipe: `make runs`'
        assert settings.rounds == flags['rounds'], f'{name}: another length: `make runs`'


@pytest.mark.parametrize('name', pretrained_names())
def test_a_pretrained_run_is_small_draws_the_same_again_and_scores_as_published(name):
    folder, game, published = pretrained_run(name), pretrained(name), published_scores(name)
    assert sum(f.stat().st_size for f in folder.iterdir()) < 2.2e6
    faces = published['features'] == 'faces'
    n = 400 if faces else 16 # a diffusion model draws slowly
    y = read_conditions_of(folder, n)
    x = draw(game, n, y=y, seed=11)
    assert torch.equal(x, draw(pretrained(name), n, y=y, seed=11))
    if not faces: return
    net = world_features('faces')
    reals = floats_of(draw_faces(400, seed=909, size=published['size'])[0]) # nothing was trained or scored on these
    here = with_interval(kernel_distance, net.features(x), net.features(reals))
    said = published['kernel_distance']['samples']
    assert here.low < said['high'] and said['low'] < here.high, 'its scores are not those that stand beside it'


def test_the_scenes_of_the_diffusion_model_show_what_is_asked_for():
    "By colour alone, which a few pixels settle: the picture's nearest hues to those asked for are there."
    from dlcv_gan.worlds.scenes import OBJECTS, draw_scenes
    y = torch.zeros(24, 24)
    for i, colour in enumerate(('red', 'green', 'blue')): y[8 * i:8 * i + 8, OBJECTS.index(f'{colour} sphere')] = 1
    x, real = draw(pretrained('ddpm-scenes'), 24, y=y, seed=0), floats_of(draw_scenes(24, 5, 64, objects=y.numpy())[0])
    def hue(x): # of the most colourful fiftieth of each picture: which channel is largest?
        flat, k = x.flatten(2), x[0, 0].numel() // 50
        rows = (flat.amax(1) - flat.amin(1)).topk(k, 1).indices
        return flat.gather(2, rows[:, None].expand(-1, 3, -1)).mean(2).argmax(1)
    asked = torch.arange(3).repeat_interleave(8)
    assert (hue(real) == asked).float().mean() > .95 and (hue(x) == asked).float().mean() > .85


def test_an_unknown_name_is_told_with_those_that_are_known():
    with pytest.raises(ValueError, match='choose from'): pretrained('no such run')


def test_no_stray_file_is_carried():
    assert {p.name.split('-')[0] for p in WEIGHTS.glob('*.safetensors')} == {'features'}
