"TensorBoard and Weights & Biases: what is logged is what was recorded, once, also across a stop."
import importlib.util, json

import numpy as np
import pytest
import torch

from dlcv_gan.data.loaders import picture_loaders
from dlcv_gan.data.pictures import Pictures
from dlcv_gan.game.callbacks import EMA
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.game.schedules import DG
from dlcv_gan.models.gan import build_gan
from dlcv_gan.runs import trackers
from dlcv_gan.runs.trackers import TensorBoard, Tracker, WeightsAndBiases, make_trackers

needs_tensorboard = pytest.mark.skipif(importlib.util.find_spec('tensorboard') is None, reason='no tensorboard here')
needs_wandb = pytest.mark.skipif(importlib.util.find_spec('wandb') is None, reason='no wandb here')


def learner(schedule=DG(2, 1)):
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    return GameLearner(picture_loaders(Pictures(images), bs=4), build_gan(32, 2, 8), schedule, lr=(4e-4, 1e-4),
                       cbs=EMA(.9))


def play(learn, rounds, *cbs):
    with learn.no_bar(), learn.no_logging(): learn.fit_to(rounds, cbs=list(cbs))


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    return EventAccumulator(str(folder), dict(images=0, scalars=0)).Reload() # 0: all of them


class Kept(Tracker):
    "A tracker that keeps what it is told."
    def open(self, iteration): self.said, self.drawn, self.begun = [], [], iteration
    def numbers(self, values, iteration): self.said.append((iteration, values))
    def picture(self, sheet, iteration): self.drawn.append((iteration, sheet))


def test_each_logged_number_is_the_mean_of_the_rows_since_the_last():
    learn, kept = learner(), Kept(every=4, pictures=6)
    play(learn, 10, kept)
    assert [i for i, _ in kept.said] == [4, 8, 10] and [i for i, _ in kept.drawn] == [6, 10]
    history, last = learn.history, 0
    for i, values in kept.said:
        part = history[(history['round'] >= last) & (history['round'] < i)]
        for column in (c for c in history if '.' in c and c.split('.')[0] in ('discriminator', 'generator')):
            if len(numbers := part[column].dropna()):
                assert values[column.replace('.', '/')] == pytest.approx(numbers.mean())
        last = i
    assert values['learning rate/discriminator'] == 4e-4 and values['learning rate/generator'] == 1e-4
    sheet = kept.drawn[0][1]
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3


def test_watching_changes_nothing():
    play(plain := learner(), 8)
    play(watched := learner(), 8, Kept(every=2, pictures=3))
    assert all(torch.equal(a, b) for a, b in zip(plain.game.state_dict().values(), watched.game.state_dict().values()))


@needs_tensorboard
def test_a_resumed_run_logs_each_iteration_once(tmp_path):
    first = learner()
    play(first, 6, TensorBoard(tmp_path/'tb', every=2, pictures=4))
    first.save(tmp_path/'at6')
    # then the machine dies, and 7 to 10 are played again
    play(first, 10, TensorBoard(tmp_path/'tb', every=2, pictures=4))
    second = learner()
    second.load(tmp_path/'at6')
    play(second, 12, TensorBoard(tmp_path/'tb', every=2, pictures=4))
    log = events(tmp_path/'tb')
    steps = [e.step for e in log.Scalars('discriminator/adversarial')]
    assert steps == [2, 4, 6, 8, 10, 12]
    history = second.history
    assert log.Scalars('generator/adversarial')[-1].value == pytest.approx(
        history[history['round'] >= 10]['generator.adversarial'].mean(), rel=1e-5)
    assert [e.step for e in log.Images('samples')] == [4, 6, 8, 12]


class Closed(WeightsAndBiases):
    "Keeps what was logged last, before the run is finished."
    def close(self):
        self.last = dict(self.session.summary)
        super().close()


@needs_wandb
def test_wandb_goes_on_under_its_id(tmp_path, monkeypatch):
    monkeypatch.setenv('WANDB_MODE', 'offline')
    monkeypatch.setenv('WANDB_SILENT', 'true')
    learn, folder = learner(), tmp_path/'run'
    play(learn, 4, tracker := Closed(folder, config=dict(bs=4), every=2, pictures=4))
    own = (folder/'wandb-id.txt').read_text().strip()
    assert tracker.session.id == own and tracker.session.config['bs'] == 4
    assert tracker.last['iteration'] == 4 and 'samples' in tracker.last
    play(learn, 6, more := Closed(folder, every=2))
    assert more.session.id == own and more.last['iteration'] == 6
    history = learn.history
    assert more.last['generator/adversarial'] == pytest.approx(
        history[history['round'] >= 4]['generator.adversarial'].mean(), rel=1e-5)
    play(learner(), 2, fresh := Closed(folder, every=2)) # a run that begins anew is a new one
    assert fresh.session.id != own
    assert len(list(folder.rglob('*.wandb'))) == 3


def test_what_is_wrong_is_told(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='--log comet: give tensorboard or wandb'): make_trackers(['comet'], tmp_path)
    with pytest.raises(ValueError, match='every=0'): Kept(every=0)
    monkeypatch.setattr(trackers.importlib.util, 'find_spec', lambda name: None)
    for name in ('tensorboard', 'wandb'):
        with pytest.raises(ValueError, match=f'pip install {name}'): make_trackers([name], tmp_path)


@needs_tensorboard
def test_the_command_logs(tmp_path):
    from dlcv_gan.cli.command import main
    data, run = tmp_path/'faces', tmp_path/'run'
    assert main(['draw', 'faces', str(data), '--n', '24', '--test', '8', '--size', '32']) == 0
    small = ['--size', '32', '--width', '4', '--nz', '8', '--bs', '8', '--rounds', '60']
    line = ['train', 'acgan-mended', '--data', str(data), *small, '--set', 'labels=13', '--out', str(run)]
    assert main([*line, '--log', 'tensorboard']) == 0
    log = events(run/'tensorboard')
    assert {'discriminator/attributes', 'generator/adversarial'} <= set(log.Tags()['scalars']) and log.Tags()['images']
    assert json.loads((run/'settings.json').read_text())['log'] == ['tensorboard']
    assert main(['train', '--out', str(run), '--resume', '--rounds', '70']) == 0 # it goes on logging
    assert events(run/'tensorboard').Scalars('generator/adversarial')[-1].step == 70
