"Laws of the courses' scores: what counts as a hit, and files that hold evaluators."
import math, subprocess, sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from fastai.torch_core import default_device
from hypothesis import given, strategies as st

from dlcv_gan.worlds.anime import draw_anime
from dlcv_gan.scores import (Evaluator, count_faces, draws_accuracy, face_sheet, measure_translations,
                             top_k_accuracy)
from dlcv_gan.game.base import Game

torch.set_num_threads(1)
CASCADE = Path(__file__).resolve().parents[3]/'shared'/'data'/'lbpcascade_animeface.xml'


@st.composite
def exams(draw):
    n, a = draw(st.integers(1, 8)), draw(st.integers(3, 24))
    g = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    y = torch.zeros(n, a)
    for row in y: row[torch.randperm(a, generator=g)[:torch.randint(1, 4, (1,), generator=g)]] = 1
    return torch.rand(n, a, generator=g), y


@given(exams())
def test_accuracy_by_hand(exam):
    scores, y = exam
    hits = 0
    for s, row in zip(scores.tolist(), y.tolist()):
        k = int(sum(row))
        best = sorted(range(len(s)), key=lambda i: -s[i])[:k]
        hits += sum(row[i] == 1 for i in best)
    assert top_k_accuracy(scores, y) == pytest.approx(hits / y.sum().item())
    assert top_k_accuracy(y, y) == 1 and top_k_accuracy(-y, y) <= top_k_accuracy(y, y)
    assert top_k_accuracy(scores * 3 - 1, y) == top_k_accuracy(scores, y) # only the order counts


def test_hits_over_labels_is_not_the_mean_of_pictures():
    y = torch.tensor([[1., 1, 1, 0], [0, 0, 0, 1]])
    scores = torch.tensor([[.9, .0, .1, .8], [0, 0, 0, 1]]) # 2 of 3, then 1 of 1
    assert top_k_accuracy(scores, y) == 3 / 4


def test_bad_exams_are_named():
    with pytest.raises(ValueError, match='one row a picture'): top_k_accuracy(torch.rand(2, 3), torch.rand(3, 3))
    with pytest.raises(ValueError, match='asks for anything'): top_k_accuracy(torch.rand(2, 3), torch.zeros(2, 3))


class Obedient(Game):
    "Draws its condition as grey levels, sometimes wrongly: what is asked for can be read from the picture."
    nz = 1
    def __init__(self, error): super().__init__(); self.error, self.unused = error, torch.nn.Parameter(torch.zeros(1))
    def players(self): return {'one': [self]}
    def sample(self, n, y=None, z=None):
        z = self.latent(n) if z is None else z
        wrong = torch.special.ndtr(z) < self.error
        return torch.where(wrong, 1 - y, y)[:, None, None, :].expand(-1, 3, 1, -1)


@pytest.mark.parametrize('error', [0., .3])
def test_the_interval_covers_the_truth(error):
    y = torch.zeros(64, 5)
    y[torch.arange(64), torch.arange(64) % 5] = 1
    result = draws_accuracy(Obedient(error), y, lambda x: x[:, 0, 0], draws=20)
    assert result.low - .02 <= 1 - error <= result.high + .02
    assert result.spread == pytest.approx((error * (1 - error) / 64) ** .5, abs=.03)
    with pytest.raises(ValueError, match='spread'): draws_accuracy(Obedient(0.), y, lambda x: x[:, 0, 0], draws=1)


def test_an_evaluator_learns_colours_and_survives_its_file(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.eye(3, dtype=np.uint8)[rng.integers(0, 3, 96)]
    pictures = (labels[:, None, None, :] * 200 + rng.integers(0, 40, (96, 16, 16, 3))).astype(np.uint8)
    net = Evaluator.fit(pictures, labels, epochs=2, bs=16)
    x = torch.tensor(pictures).permute(0, 3, 1, 2) / 127.5 - 1
    assert top_k_accuracy(net.probabilities(x), labels) > .95
    again = Evaluator.load(net.save(tmp_path/'deep'/'evaluator.safetensors'))
    assert torch.equal(net.probabilities(x[:4]), again.probabilities(x[:4]))


def test_the_course_s_checkpoint_loads_and_others_are_refused(tmp_path):
    net = Evaluator(24)
    course = {k.removeprefix('net.').replace('fc.', 'fc.0.'): v for k, v in net.state_dict().items()}
    torch.save({'model': course}, tmp_path/'checkpoint.pth')
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    assert torch.equal(Evaluator.load(tmp_path/'checkpoint.pth').probabilities(x), net.probabilities(x))
    torch.save({'model': {'other': torch.zeros(1)}}, tmp_path/'other.pth')
    (tmp_path/'half.pth').write_bytes((tmp_path/'checkpoint.pth').read_bytes()[:1000])
    class Evil:
        def __reduce__(self): return (print, ('executed',))
    torch.save({'model': Evil()}, tmp_path/'evil.pth')
    for name, says in (('other', 'no ResNet18'), ('half', 'damaged'), ('evil', 'damaged')):
        with pytest.raises(ValueError, match=says): Evaluator.load(tmp_path/f'{name}.pth')
    with pytest.raises(FileNotFoundError, match='fit one'): Evaluator.load(tmp_path/'none.pth')


def test_the_sheet_is_the_course_s_figure(tmp_path):
    x = np.zeros((25, 8, 8, 3), np.uint8)
    x[7] = [255, 0, 0] # second row, third column
    sheet = face_sheet(x)
    assert sheet.shape == (480, 640, 3) and (sheet[0, 0] == 255).all()
    red = np.argwhere((sheet == [255, 0, 0]).all(2))
    # left of the middle row and column by the figure's own margins
    assert 100 < red[:, 0].mean() < 240 and 280 < red[:, 1].mean() < 360
    assert (face_sheet(torch.tensor(x).permute(0, 3, 1, 2) / 127.5 - 1) == sheet).mean() > .99
    with pytest.raises(ValueError, match='25'): face_sheet(x[:24])
    pytest.importorskip('cv2')
    with pytest.raises(FileNotFoundError, match='lbpcascade'): count_faces(sheet, tmp_path/'none.xml')
    (tmp_path/'bad.xml').write_text('<opencv_storage></opencv_storage>')
    with pytest.raises(ValueError, match='no cascade'): count_faces(sheet, tmp_path/'bad.xml')


def test_the_real_cascade_counts_faces_and_nothing_else():
    "The course's own grader on the course's own figure: noise has no face, drawn anime faces are a pass."
    pytest.importorskip('cv2')
    if not CASCADE.exists(): pytest.skip(f'{CASCADE} is absent: the real sample files travel beside the repository')
    noise = np.random.default_rng(0).integers(0, 256, (25, 64, 64, 3), np.uint8)
    grey = np.full((25, 64, 64, 3), 128, np.uint8)
    for nothing in (noise, grey): assert count_faces(face_sheet(nothing), CASCADE) == []
    for seed in range(3): assert 20 <= len(count_faces(face_sheet(draw_anime(25, seed, 64)[0]), CASCADE)) <= 25


# --- where it computes, what it refuses, how sure it is --------------------------------------------------------------

@pytest.mark.parametrize('luggage, beside', [(dict(best=np.float64(.9)), True), (dict(best=np.float32(.9)), False),
                                             (dict(args=Namespace(lr=.1, out=Path('runs'))), False)])
def test_a_checkpoint_with_luggage_is_refused_with_a_line_that_takes_the_weights_out(tmp_path, luggage, beside):
    net, x, file = Evaluator(3), torch.rand(2, 3, 64, 64), tmp_path/'checkpoint.pth'
    torch.save({**(net.net.state_dict() if beside else dict(model=net.net.state_dict())), **luggage}, file)
    with pytest.raises(ValueError, match='more than weights') as refusal: Evaluator.load(file)
    said = str(refusal.value)
    assert '\n' not in said and ('Namespace' in said) == ('args' in luggage)
    line = said[said.index('python -c'):said.rindex(', and give')]
    subprocess.run(line.replace('python', sys.executable, 1), shell=True, check=True)
    assert torch.equal(Evaluator.load(tmp_path/'checkpoint-weights.pth').probabilities(x), net.probabilities(x))


def test_what_would_run_something_else_gets_no_such_line(tmp_path):
    class Evil:
        def __reduce__(self): return print, ('run!',)
    torch.save(dict(model={}, best=np.float64(1), evil=Evil()), tmp_path/'evil.pth')
    with pytest.raises(ValueError, match='damaged') as refusal: Evaluator.load(tmp_path/'evil.pth')
    assert 'weights_only' not in str(refusal.value)


def test_the_interval_is_students():
    "With k draws the mean lies within t of the truth in 95 % of experiments: of normal draws, for any k."
    y, said = torch.eye(4)[torch.arange(64) % 4], draws_accuracy(Obedient(.3), torch.eye(4), lambda x: x[:, 0, 0], 4)
    assert said.mean - said.low == pytest.approx(3.1824463 * said.spread / 2) # t of 3 degrees of freedom
    random, inside = np.random.default_rng(0), 0
    for _ in range(300):
        draws = iter(np.clip(random.normal(.5, .08, 5), 0, 1))
        def evaluator(x): # right in that share of the pictures
            right = torch.arange(len(y)) < round(next(draws) * len(y))
            return torch.where(right[:, None], y, 1 - y)
        said = draws_accuracy(Obedient(0.), y, evaluator, 5)
        inside += said.low <= .5 <= said.high
    assert .91 < inside / 300 < .985


def test_nan_is_no_answer():
    with pytest.raises(ValueError, match='NaN'): top_k_accuracy(torch.full((2, 3), float('nan')), torch.eye(3)[:2])
    for wrong in (-1., float('nan')):
        with pytest.raises(ValueError, match='0 or 1'):
            Evaluator.fit(np.zeros((2, 8, 8, 3), np.uint8), torch.tensor([[wrong], [1.]]), device='cpu')


def test_an_evaluator_computes_on_its_device_and_leaves_random_numbers_alone():
    assert Evaluator(2).to('meta')(torch.rand(2, 3, 64, 64)).device.type == 'meta'
    images = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), np.uint8)
    labels = torch.eye(2)[torch.arange(8) % 2]
    before = torch.get_rng_state()
    nets = [Evaluator.fit(images, labels, 1, bs=4, device=device) for device in ('cpu', None)]
    assert torch.equal(before, torch.get_rng_state())
    assert nets[1].net.fc.weight.device == default_device()
    weights = [n.net.fc.weight.cpu() for n in nets]
    assert torch.allclose(*weights, atol=1e-2), 'the same weights, order and flips on every device'


def test_changes_are_measured_where_there_is_something_to_measure():
    x, y = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), .5)
    where = torch.zeros(2, 4, 4, dtype=torch.uint8)
    where[0, :, :2] = 255
    found = measure_translations(x, y, where)
    assert found.on_animal[0] == found.beside[0] == found.beside[1] == .5 and math.isnan(found.on_animal[1])
    assert found.shifted.all() and not found.unchanged.any()
    assert measure_translations(x, x).unchanged.all() and measure_translations(x, x).beside.isna().all()
    with pytest.raises(ValueError, match='diverged'): measure_translations(x, y * float('nan'), where)
