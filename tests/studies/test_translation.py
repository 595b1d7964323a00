"The study of translation: who changes nothing translates nothing, and the truth is what counts."
import pytest
import torch

from dlcv_gan.studies import translation as module
from dlcv_gan.studies.translation import domains, play_translation, translation


@pytest.fixture(autouse=True)
def smoke(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


def test_the_idle_translator_is_the_zero_of_every_metric():
    found = play_translation(0, 'idle', 0.)
    assert not any(found.values()) and {c.metric for claim in translation.claims for c in claim.contrasts} <= set(found)


def test_who_knows_the_truth_translates_everything_and_no_background(monkeypatch):
    class Oracle:
        def translate(self, x): return domains()[-1]
    monkeypatch.setattr(module, 'train_translator', lambda *args: Oracle())
    found = play_translation(0, 'cyclegan', 1.)
    assert found['translated'] > .9 and found['heads_translated'] > .9 and abs(found['head_gap']) < .1
    assert found['beside'] < .01 and found['shifted'] == 0
    assert found['gain'] > 0 and found['head_gain'] > 0


def test_a_run_is_a_function_of_its_settings_and_seed():
    one, again, other, free = (play_translation(s, 'cyclegan', i) for s, i in ((0, 1.), (0, 1.), (1, 1.), (0, 0.)))
    assert one == again and one != other and one != free


def test_half_of_the_test_horses_are_heads_and_none_has_company():
    a, b, x, where, head, truth = domains()
    assert head.float().mean() >= .5
    assert not torch.equal(x, truth)
    assert a.shape[1:] == b.shape[1:] == x.shape[1:] == (3, 32, 32)
    beside = torch.as_tensor(where == 0)[:, None].expand_as(x)
    assert (x - truth)[beside].abs().mean() < .01 # the other coat changes nothing beside the animal
