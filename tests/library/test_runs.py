"A run's settings: checked when they are made, the same after writing and reading, read where older code wrote them."
import json
from dataclasses import FrozenInstanceError, asdict

import pytest

from dlcv_gan.runs.settings import RunSettings
from dlcv_gan.systems import systems

FLAGS = dict(system='gan', data='faces', size=32, width=4, bs=8, lr=[4e-4, 1e-4], d=2, g=1, ema=.9, seed=3)
# what the code before `RunSettings` wrote for these flags, key by key
OLD = ['format', 'system', 'data', 'size', 'build', 'schedule', 'bs', 'lr', 'betas', 'one_cycle', 'best_every',
       'evaluator', 'ema', 'precision', 'seed', 'flip', 'rotate', 'attributes', 'on_bad', 'flags', 'rounds', 'pictures',
       'save_every']
NEW = ['graphs', 'label_names', 'digests'] # what has been added since


def made(**more): return RunSettings.from_flags(FLAGS | more)


def test_written_and_read_they_are_the_same_and_nobody_changes_them(tmp_path):
    settings = made().with_data(pictures=48, batches=6)
    settings.write(tmp_path)
    assert RunSettings.read(tmp_path) == settings
    assert set(json.loads((tmp_path/'settings.json').read_text())) == {*OLD, *NEW}
    with pytest.raises(FrozenInstanceError): settings.seed = 1


def test_a_record_without_later_fields_or_with_unknown_ones_is_read(tmp_path):
    settings = made().with_data(pictures=48, batches=6)
    old = {k: v for k, v in asdict(settings).items() if k not in ('best_every', 'evaluator', 'one_cycle')}
    (tmp_path/'settings.json').write_text(json.dumps(old | dict(colour='red')))
    assert RunSettings.read(tmp_path) == settings
    (tmp_path/'settings.json').write_text(json.dumps({k: v for k, v in old.items() if k != 'bs'}))
    with pytest.raises(ValueError, match='settings.json is damaged.*bs'): RunSettings.read(tmp_path)


def test_what_is_not_given_is_as_the_report_prints_it():
    for name, system in systems().items():
        settings = RunSettings.from_flags(dict(system=name, data='.'))
        assert settings.definition is system and settings.who_moves() == system.schedule
        assert (settings.bs, settings.betas, settings.labels) == (system.bs, list(system.betas), system.labels)
        assert settings.with_data(100, 10).rounds == system.rounds


@pytest.mark.parametrize('wrong, says', [
    (dict(system='vae', lr=None), '--d: R1.VAE has one player'), (dict(lr=[1., 2., 3.]), '--lr: 3 rates for 2'),
    (dict(lr=[0.]), 'rates above 0'), (dict(betas=[1., .5]), '--betas'), (dict(adaptive=True), '--adaptive decides'),
    (dict(warm_up=-1), '--warm-up -1'), (dict(objective='hing'), 'did you mean hinge'),
    (dict(penalty_weight=1), '--penalty-weight: say which'), (dict(set=['beta=2']), '--set beta: R1.GAN takes no such'),
    (dict(attributes=['Male']), 'not conditional'), (dict(best_every=-1), '--best-every -1'),
    (dict(evaluator='e.safetensors'), 'with --best-every'),
    (dict(evaluator='e.safetensors', best_every=2), 'asked for nothing'),
    (dict(system='cyclegan', best_every=2), 'translates')])
def test_what_does_not_go_together_is_named_when_they_are_made(wrong, says):
    with pytest.raises(ValueError, match=says): made(**wrong)


def test_the_length_comes_from_rounds_or_epochs():
    assert made(rounds=7).with_data(48, 6).rounds == 7 and made(epochs=2).with_data(48, 6).rounds == 12
    assert made().with_data(48, 6).save_every is None and made(save_every=4).with_data(48, 6).save_every == 4
    for wrong, says in ((dict(rounds=0), 'at least 1'), (dict(rounds=1, epochs=1), 'give one of them'),
                        (dict(save_every=0), '--save-every 0')):
        with pytest.raises(ValueError, match=says): made(**wrong).with_data(48, 6)


def test_the_same_flags_go_on_and_others_are_refused_by_name():
    settings = made()
    settings.refuse_other(FLAGS, 'RUN')
    settings.refuse_other(dict(rounds=9, save_every=2, flip=False), 'RUN')
    others = (('bs', 4, 8), ('width', 8, 4), ('d', 1, 2), ('flip', True, False), ('nz', 9, 'its default'))
    for name, value, was in others:
        with pytest.raises(ValueError, match=f'--{name} {value}: the run in RUN was started with {was}'):
            settings.refuse_other({name: value}, 'RUN')
