"Laws of the live view: watching changes nothing, and sliders move what they say."
import io

import numpy as np
import pytest
import torch
from fastai.data.core import DataLoaders
from PIL import Image
from torch import nn

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.live import Film, LiveView, explore, film, latent_directions
from dlcv_gan.models.gan import GAN
from dlcv_gan.nets import DCGANDiscriminator, DCGANGenerator


noise = lambda *shape, seed=0: torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1

class Linear: # draws one grey level for each latent: what comes out is known
    def latent(self, n): return torch.randn(n, 2)
    def sample(self, n, y=None, z=None):
        z = self.latent(n) if z is None else z
        return (z[:, :1] * .3 + (0 if y is None else y.sum(1, keepdim=True) * .4))[:, :, None, None].expand(-1, 3, 4, 4)

def test_the_most_visible_direction_is_found():
    directions = latent_directions(Linear(), k=2)
    assert abs(directions[0, 0]) > .99 # only the first number of the latent is seen
    torch.testing.assert_close(directions @ directions.T, torch.eye(2), rtol=1e-3, atol=1e-3)

def test_sliders_and_boxes_change_the_picture():
    box = explore(Linear(), nz_shown=2, y_names=['Smiling'])
    level = lambda: np.asarray(Image.open(io.BytesIO(box.picture.value)))[0, 0, 0]
    before, state = level(), torch.get_rng_state()
    box.sliders[0].value = 2.; moved = level()
    box.toggles[0].value = True; smiled = level()
    assert before != moved and smiled > moved
    box.reset.click(); box.toggles[0].value = False
    assert level() == before and torch.equal(torch.get_rng_state(), state)

def test_a_film_has_its_frames(tmp_path):
    file = film([noise(4, 3, 8, 8, seed=i) for i in range(5)], tmp_path/'a.gif', fps=10)
    assert Image.open(file).n_frames == 5 and list(tmp_path.iterdir()) == [file]
    for bad, says in (([], 'at least one'), ([noise(1, 3, 4, 4), noise(1, 3, 8, 8)], 'one size')):
        with pytest.raises(ValueError, match=says): film(bad, tmp_path/'b.gif')
    with pytest.raises(ValueError, match='GIF'): film([noise(1, 3, 4, 4)], tmp_path/'b.mp4')
    assert not (tmp_path/'b.gif').exists()

def test_watching_leaves_the_training_as_it_was(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(LiveView, 'show', lambda self, figure: shown.append(figure)) # no front end here
    def play(cbs):
        torch.manual_seed(0)
        images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
        learn = GameLearner(DataLoaders(Batches(images, bs=8), device=torch.device('cpu')),
                            GAN(DCGANGenerator(32, 4, 8), DCGANDiscriminator(32, 4)), precision='fp32')
        with learn.no_bar(), learn.no_logging(): learn.fit_rounds(6, cbs=cbs)
        return learn.game.state_dict()
    watched, alone = play([Film(tmp_path/'film.gif', every=2, n=4), LiveView(every=3, n=4, notebook=True)]), play([])
    assert all(torch.equal(a, b) for a, b in zip(watched.values(), alone.values()))
    assert Image.open(tmp_path/'film.gif').n_frames >= 4 and len(shown) >= 2


class Elsewhere(nn.Module):
    "A game on another device, as far as one machine can say: it refuses labels and codes that do not agree with it."
    nz, device = 2, torch.device('cpu')
    def latent(self, n): return torch.randn(n, 2)
    def sample(self, n, y=None, z=None):
        assert y is None or y.device == z.device == self.device
        return z[:, :1, None, None].expand(-1, 3, 4, 4)


def test_looking_by_sliders_disturbs_no_random_number():
    before = torch.get_rng_state()
    box = explore(Elsewhere(), 2, y_names=['smile'])
    box.sliders[0].value = 1.
    assert torch.equal(before, torch.get_rng_state())


def test_a_label_goes_where_the_codes_are():
    class Meta(Elsewhere):
        device = torch.device('meta')
        def latent(self, n): return torch.randn(n, 2, device='meta')
        def sample(self, n, y, z):
            assert y.device.type == 'meta'
            raise EOFError # the label has come along: that is all that can be seen without values
    with pytest.raises(EOFError): latent_directions(Meta(), 2, 8, y=torch.zeros(1))
