"On a GPU: captured turns are eager turns."
import numpy as np
import pytest
import torch
from duel import Duel, play, points
from fastai.data.core import DataLoaders

from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import DG, Adaptive


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('schedule', [DG(2, 1), DG(1, 3), Adaptive()])
def test_captured_turns_equal_eager_turns(schedule):
    def run(graphs):
        torch.manual_seed(0)
        dls = DataLoaders(Batches(points(80), bs=8, device='cuda'), device=torch.device('cuda'))
        game = Duel(); game.discriminator[3].p = 0.
        # no noise, so that both see the same
        game.latent = lambda n: torch.linspace(-1, 1, n * 4, device='cuda').view(n, 4)
        return play(GameLearner(dls, game, schedule, lr=1e-3, precision='fp32', graphs=graphs), 30)
    eager, graphed = run(False), run(True)
    assert graphed.captured and not eager.captured
    for a, b in zip(eager.game.state_dict().values(), graphed.game.state_dict().values()):
        torch.testing.assert_close(a.float(), b.float(), rtol=1e-3, atol=1e-4)
    assert eager.steps == graphed.steps
    columns = [c for c in eager.history if '.' in c]
    np.testing.assert_allclose(eager.history[columns].to_numpy(float), graphed.history[columns].to_numpy(float),
                               rtol=1e-2, atol=1e-3)
