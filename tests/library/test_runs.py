"A run's settings: checked when they are made, the same after writing and reading, read where older code wrote them."
import json
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from dlcv_gan.data.pictures import Pictures
from dlcv_gan.runs import training
from dlcv_gan.runs.folder import choose_labels
from dlcv_gan.runs.scoring import check_evaluator, hold_out
from dlcv_gan.runs.settings import RunSettings
from dlcv_gan.runs.training import make_learner
from dlcv_gan.systems import find_system, systems
from dlcv_gan.worlds.faces import write_hw4

FLAGS = dict(system='gan', data='faces', size=32, width=4, bs=8, lr=[4e-4, 1e-4], d=2, g=1, ema=.9, seed=3)
# what the code before `RunSettings` wrote for these flags, key by key
OLD = ['format', 'system', 'data', 'size', 'build', 'schedule', 'bs', 'lr', 'betas', 'one_cycle', 'best_every',
       'evaluator', 'ema', 'precision', 'seed', 'flip', 'rotate', 'attributes', 'on_bad', 'flags', 'rounds', 'pictures',
       'save_every']
NEW = ['graphs', 'label_names', 'digests', 'log'] # what has been added since


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


@pytest.mark.parametrize('start', [.5, 1., 0.])
def test_a_rate_that_falls_in_a_straight_line(start):
    "A system may say from which share of the run its learning rate falls to 0; it is a function of the round."
    system, seen = find_system('gan'), {}
    images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    before = vars(system).get('decay_from')
    object.__setattr__(system, 'decay_from', start)
    try:
        learn = make_learner(made(d=1, rounds=10), Pictures(images))
        def look(self): seen.setdefault(learn.rounds, [h['lr'] for h in learn.opt.hypers])
        learn.add_cb(Callback(before_step=look))
        with learn.no_bar(), learn.no_logging(): learn.fit_to(10)
    finally:
        if before is None: object.__delattr__(system, 'decay_from')
        else: object.__setattr__(system, 'decay_from', before)
    for i, rates in seen.items():
        share = 1 if start == 1 else min(1, (1 - i / 10) / (1 - start))
        assert rates == pytest.approx([4e-4 * share, 1e-4 * share])
    assert set(seen) == set(range(10))


def test_noise_depends_on_the_seed_and_not_on_who_else_draws(tmp_path, monkeypatch):
    "Whoever scores the run may use up random numbers before it begins: the training is the same."
    write_hw4(tmp_path/'faces', 16, 8, 32, progress=False)
    flags = dict(system='gan', data=str(tmp_path/'faces'), size=32, width=4, nz=8, bs=8, rounds=3)
    weights = []
    for i, greedy in enumerate((0, 7)):
        run = tmp_path/f'run{i}'
        pictures, learn = training.start(run, flags)
        torch.rand(greedy)
        training.train_run(run, pictures=pictures, learn=learn)
        weights.append(load_file(run/'weights.safetensors'))
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])


def test_where_something_lies_by_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path/'here').mkdir()
    settings = made(data='here')
    assert settings.moved('data', None) == settings.moved('data', 'here') == str(tmp_path/'here')
    (tmp_path/'other').mkdir(); monkeypatch.chdir(tmp_path/'other')
    assert settings.moved('data', 'here') == str(tmp_path/'here') # typed again, from elsewhere
    assert settings.moved('data', tmp_path/'there') == str(tmp_path/'there')
    (tmp_path/'here').rename(tmp_path/'other'/'here') # moved, and the same name is right again
    assert settings.moved('data', 'here') == str(tmp_path/'other'/'here')


NAMES = st.text(st.characters(exclude_categories=['Cs', 'Cc']), min_size=1)


@given(st.lists(NAMES, min_size=1, max_size=4, unique=True), st.data())
def test_columns_are_found_by_name_in_any_order(names, data):
    order = data.draw(st.permutations(range(len(names))))
    labels = np.eye(len(names), dtype=np.uint8)
    settings = RunSettings.from_flags(dict(system='acgan-mended', data='.', set=[f'labels={len(names)}']))
    there = Pictures(np.zeros((len(names), 8, 8, 3), np.uint8), labels[:, order], [names[i] for i in order])
    got = choose_labels(there, settings.with_data(3, 1, names))
    assert got.attributes == names and (got.labels == labels).all()


def test_held_out_pictures_are_drawn_evenly_and_scenes_stay_together():
    n = 120
    labels = np.zeros((n, 2), np.uint8)
    labels[n // 2:, 0] = 1 # a sorted table
    labels[::3, 1] = 1
    images = np.zeros((n, 8, 8, 3), np.uint8)
    held = hold_out(Pictures(images, labels, ['a', 'b'], [f'{i}.png' for i in range(n)]), seed=1)
    assert held.sum() == 12 and np.abs(labels[held].mean(0) - labels.mean(0)).max() < .1
    names = [f'CLEVR_train_{i // 3:06d}_{i % 3}.png' for i in range(n)]
    held = hold_out(Pictures(images, labels, ['a', 'b'], names))
    assert held.sum() == 12 and (held.reshape(-1, 3).all(1) == held.reshape(-1, 3).any(1)).all()
    with pytest.raises(ValueError, match='too few'): hold_out(Pictures(images[:3], labels[:3], ['a', 'b'], names[:3]))
    one = Pictures(images, labels * 0, ['a', 'b'], names)
    with pytest.raises(ValueError, match='no label varies'): check_evaluator('e.safetensors', one)


def test_a_film_of_a_stopped_run_is_that_of_an_undisturbed_one(tmp_path):
    "The frame of the round in which a run is stopped is taken when it goes on, from the same weights."
    write_hw4(tmp_path/'faces', 16, 8, 32, progress=False)
    flags = dict(system='gan', data=str(tmp_path/'faces'), size=32, width=4, nz=8, bs=8, rounds=8, save_every=2)
    def play(run, stop_at=None):
        pictures, learn = training.start(run, flags)
        def stop():
            if learn.rounds == stop_at and learn.moved == 0: raise KeyboardInterrupt
        # after the checkpoint of that round and before its frame
        if stop_at: learn.add_cb(type('Killed', (Callback,), dict(order=82, after_batch=lambda self: stop()))())
        try: training.train_run(run, pictures=pictures, learn=learn)
        except KeyboardInterrupt: training.train_run(run, True, *training.go_on(run, {}))
        return (run/'samples.gif').read_bytes()
    assert play(tmp_path/'a') == play(tmp_path/'b', 4)
