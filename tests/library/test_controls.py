"Laws of the controls: what is turned is seen, and nothing else changes."
import io
from datetime import datetime

import pytest
import torch
from PIL import Image
from toys import floats, ring_learner

from dlcv_gan.controls import Controls, controls, read_picture, tag_controls
from dlcv_gan.data.readers import ANIME_TAGS
from dlcv_gan.models.acgan import build_attribute_gan
from dlcv_gan.models.cyclegan import build_cyclegan
from dlcv_gan.models.flow import build_cnf
from dlcv_gan.models.gan import GAN
from dlcv_gan.models.tags import build_t2i
from dlcv_gan.models.vae import build_vae
from dlcv_gan.nets import DCGANDiscriminator, DCGANGenerator
from dlcv_gan.view import to_grid


def conditional(labels=3):
    torch.manual_seed(0)
    return build_attribute_gan(32, 4, 8, labels=labels)


MADE = {'attributes': (lambda: controls(conditional(), ['a', 'b', 'c']), dict(a=True, across=2., up=-2., seed=7)),
        'plain': (lambda: controls(GAN(DCGANGenerator(32, 4, 8), DCGANDiscriminator(32, 4))),
                  dict(across=2., up=-2., seed=7)),
        'tags': (lambda: controls(build_t2i(32, 8, 1, 1, 8), ANIME_TAGS),
                 dict(hair='blue hair', eyes='red eyes', truncation=.3, seed=3)),
        'vae': (lambda: controls(build_vae(32, 4, 8), pictures=floats()), dict(picture=3, across=2., up=-2.)),
        'flow': (lambda: controls(build_cnf(16, 8, 2, levels=2, steps=1), pictures=floats(size=16)),
                 dict(start=2, end=3, along=.9)),
        'translation': (lambda: controls(build_cyclegan(32, 4, 1, 1), pictures=(floats(), floats(4).flip(2))),
                        dict(to='a', picture=1))}


@pytest.mark.parametrize('kind', MADE)
def test_every_control_changes_the_picture_and_nothing_else(kind):
    torch.manual_seed(1)
    make, turns = MADE[kind]
    box = make()
    assert set(turns) == set(box.inputs) - {'b', 'c', 'own'}
    for name, value in turns.items():
        before, state, old = box.picture.value, torch.get_rng_state(), box.inputs[name].value
        box.inputs[name].value = value
        assert box.picture.value != before and not box.message.value, name
        assert torch.equal(torch.get_rng_state(), state)
        box.inputs[name].value = old
        assert box.picture.value == before # the same values, the same picture


def test_turning_controls_leaves_a_game_in_training_as_it_was():
    game = conditional().train()
    before = {k: v.clone() for k, v in game.state_dict().items()}
    box = controls(game, ['a', 'b', 'c'])
    box.inputs['a'].value = True
    assert all(torch.equal(v, before[k])
               for k, v in game.state_dict().items()) and all(m.training for m in game.modules())


def test_the_ends_of_a_path_are_the_pictures():
    torch.manual_seed(0)
    game, x = build_cnf(16, 8, 2, levels=2, steps=1).eval(), floats(3, 16)
    box = controls(game, pictures=x)
    for along, i in ((0., 0), (1., 1)):
        box.inputs['along'].value = along
        assert abs(box.sheet[:192:12, :192:12].astype(int) - to_grid(x[i:i + 1], 1, 0)).max() <= 1


def test_a_picture_of_your_own_is_translated_and_a_bad_file_is_named():
    box = MADE['translation'][0]()
    data = io.BytesIO()
    Image.new('RGB', (90, 50), 'red').save(data, 'PNG')
    before = box.picture.value
    def upload(content):
        file = dict(name='x.png', type='image/png', size=len(content), content=memoryview(content),
                    last_modified=datetime(2020, 1, 1))
        box.inputs['own'].set_trait('value', (file,))
    upload(data.getvalue())
    own = box.picture.value
    assert own != before and tuple(box.sheet[50, 50]) == (255, 0, 0)
    upload(b'no picture')
    assert 'no picture that can be read' in box.message.value and box.picture.value == own
    assert read_picture(data.getvalue(), 32).shape == (1, 3, 32, 32)


def test_a_learner_brings_its_own_pictures():
    learn = ring_learner(32, valid=True)
    assert isinstance(controls(learn), Controls)


def test_a_run_folder_has_controls(tmp_path):
    from dlcv_gan.cli.command import main
    assert main(['draw', 'faces', str(tmp_path/'data'), '--n', '32', '--test', '8', '--size', '32']) in (0, None)
    run = tmp_path/'run'
    assert main(['train', 'vae', '--data', str(tmp_path/'data'), '--size', '32', '--width', '4', '--nz', '8', '--bs',
                 '8', '--rounds', '2', '--out', str(run)]) in (0, None)
    box = controls(run)
    assert {'picture', 'across', 'up'} == set(box.inputs) and box.inputs['picture'].max == 7


@pytest.mark.parametrize('act, says', [
    (lambda: controls(conditional()), 'names of all its labels'),
    (lambda: controls(conditional(), ['a']), 'names of all its labels'),
    (lambda: controls(build_vae(32, 4, 8)), 'starts from pictures'),
    (lambda: controls(ring_learner().game), 'points, not pictures'),
    (lambda: controls(build_cnf(16, 8, 2, levels=2, steps=1), pictures=floats(1, 16)), 'at least 2'),
    (lambda: controls(7), 'int is no game'),
    (lambda: tag_controls(conditional(), ['a', 'b', 'c']), '<colour> hair')])
def test_bad_input_is_told_in_words(act, says):
    with pytest.raises(ValueError, match=says): act()
