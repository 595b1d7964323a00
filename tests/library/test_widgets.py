"A box of widgets is a picture too, for readers without a kernel."
import base64, io

import numpy as np
from PIL import Image
from toys import floats, ring_learner

from dlcv_gan.controls import controls
from dlcv_gan.models.vae import build_vae
from dlcv_gan.training_panel import training_panel


def test_a_box_is_a_plain_picture_too():
    for box in (training_panel(ring_learner(), n=8), controls(build_vae(32, 4, 8), pictures=floats())):
        bundle = box._repr_mimebundle_()
        assert 'application/vnd.jupyter.widget-view+json' in bundle
        still = np.asarray(Image.open(io.BytesIO(base64.b64decode(bundle['image/png']))))
        assert (still == box.still()).all() and still.std() > 5
