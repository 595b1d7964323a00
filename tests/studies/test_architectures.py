"The study of architectures: a run is a function of settings and seed, budgets are kept, a broken game counts."
import pytest

from dlcv_gan.models.flow import Flow
from dlcv_gan.studies import architectures as module
from dlcv_gan.studies.architectures import (LOST, PRICES, architectures, build_architecture, play_architecture,
                                            train_architecture)


@pytest.fixture(autouse=True)
def smoke(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


@pytest.mark.parametrize('model,size', PRICES)
def test_every_model_plays_and_draws(model, size):
    game, marks = train_architecture(0, model, size, 1e-3)
    spent = max(1, round(8 / PRICES[model, size]))
    assert spent in marks and (8 in marks or isinstance(game, Flow))
    assert all(set(m) == set(LOST) for m in marks.values())
    assert max(marks) == (spent if isinstance(game, Flow) else 8) # nobody plays longer than its budgets say


def test_a_run_is_a_function_of_its_settings_and_seed():
    one, again, other = (play_architecture(s, 'cgan', 16, '1e-4 4e-4 1.6e-3') for s in (0, 0, 1))
    assert one == again and one != other and {'tuning', 'failures', 'setback', 'bad_seconds'} <= set(one)
    assert 0 <= one['tuning'] <= 1 and 0 <= one['setback'] <= 1


def test_a_game_that_breaks_is_lost_from_there(monkeypatch):
    def broken(game, x, y, rounds, watch, **kwargs):
        watch(1, {})
        raise ArithmeticError('not finite')
    monkeypatch.setattr(module, 'play_short_run', broken)
    marks = train_architecture(0, 'flow', 16, 1.)[1]
    assert marks[1] != LOST and all(m == LOST for i, m in marks.items() if i > 1) and len(marks) > 1


def test_the_metrics_that_claims_name_are_measured():
    single, several = play_architecture(0, 'dcgan', 16, '1e-4'), play_architecture(0, 'flow', 16, '5e-4 2e-3 8e-3')
    for claim in architectures.claims:
        for c in claim.contrasts: assert c.metric in (several if claim.number == 34 else single)


def test_a_stranger_is_named():
    with pytest.raises(ValueError, match="'vae'.*dcgan, srresnet, cgan, flow"): build_architecture('vae', 16, 13)
