"Checks: each accepts the notebook's folded answer, refuses what is wrong, and is called by its own exercise."
import html, json, re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dlcv_gan.check import check, laws, verdict
from dlcv_gan.losses import Objective, hinge, minimax, non_saturating
from dlcv_gan.models.vae import build_vae

NBS = Path(__file__).resolve().parents[2]/'nbs'
torch.set_num_threads(1)


def exercises() -> dict: # (notebook, number) -> text of the exercise with its folded answer
    found = {}
    for path in sorted((NBS/'assignments').glob('*.ipynb')):
        text = '\n'.join(''.join(c['source']) for c in json.loads(path.read_text(encoding='utf-8'))['cells']
                         if c['cell_type'] == 'markdown')
        if '## Exercises' not in text: continue
        for part in re.split(r'(?m)^(?=\d+\. )', text.partition('## Exercises')[2])[1:]:
            found[path.stem.partition('_')[2], int(part.split('.')[0])] = part
    return found


EXERCISES = exercises() # empty beside an installed wheel
CALL = re.compile(r"`check\('([\w.]+)', (.*?)\)`")
CHECKED = {m[1]: (where, text, m[2]) for where, text in EXERCISES.items() for m in [CALL.search(text)] if m}
needs_notebooks = pytest.mark.skipif(not EXERCISES, reason='the exercises lie in the repository')


def folded(text): # the code of a folded answer
    return html.unescape('\n'.join(re.findall(r'<pre>(.*?)</pre>', text.partition('<details>')[2], re.DOTALL)))


@needs_notebooks
def test_every_law_is_referred_to_by_its_own_exercise_and_no_other():
    assert set(CHECKED) == set(laws)
    for name, ((book, number), text, _) in CHECKED.items():
        assert name == f'{book}.{number}' and len(CALL.findall(text)) == 1
    outside = [(book, n) for (book, n), text in EXERCISES.items() if CALL.search(text.partition('<details>')[2])]
    assert not outside, 'what is to be called stands in the question'


@needs_notebooks
@pytest.mark.parametrize('name', CHECKED)
def test_the_folded_answer_is_right(name):
    _, text, answer = CHECKED[name]
    if not folded(text): pytest.skip('to be trained: there is no single answer')
    exec(folded(text), names := dict(torch=torch, nn=nn))
    assert verdict(name, eval(answer, names)) == (True, '')


ce = F.binary_cross_entropy_with_logits
both_sides = Objective(lambda r, f: ce(r, torch.full_like(r, .9)) + ce(f, torch.full_like(f, .1)),
                       non_saturating.generator) # smooths the fakes' targets as well
BLANK = build_vae(32, 2, 4) # untrained
WRONG = {
    'vae.1': [.25, 3*64*64, .25*64*64, 12.],
    'vae.2': [lambda x: 0*x.mean(), lambda x: x.square().mean(), lambda x: (x - x.clamp(0, 1)).abs().mean(),
              lambda x: (x - x.clamp(0, 1)).square().sum()],
    'vae.3': [lambda W, std: 0, lambda W, std: (W*std).sum()**2, lambda W, std: (W*std).abs().sum(),
              lambda W, std: W.square().sum()*std.square().sum(), lambda W, std: (W*std).square().mean()],
    'vae.5': [(BLANK, torch.zeros(2, 3, 32, 32), -1e9), (BLANK, torch.zeros(2, 3, 32, 32)), (1, 2, 3)],
    'diffusion.1': [(1, 0), (0, 1), (0, -2), (0,)], 'diffusion.2': [(25, 25), (50, 25), (1, 2)],
    'diffusion.3': [lambda e, kept: e, lambda e, kept: e * (kept / (1 - kept)) ** .5,
                    lambda e, kept: e / kept ** .5, lambda e, kept: e * (1 - kept) / kept],
    'infogan.1': [(3.3219, 1), (2.3, .5), (10, 2)], 'infogan.2': [.3, 2.3, 2.6],
    'gan.1': [8, 2, 0], 'gan.2': ['scores', 'losses', 'ranking'], 'gan.3': [-4.6, 0, 1., 4., 5.],
    'gan.5': [(5., 4.), (0., 4.), (float('nan'), 4.), (4.,)],
    'acgan.1': ['asked', 'found_if_asked', 'loss'],
    'acgan.2': [lambda p, r, f, y: ce(r if p == 'discriminator' else f, y), lambda p, r, f, y: 3*(ce(r, y) + ce(f, y)),
                lambda p, r, f, y: 3*ce(f if p == 'discriminator' else r, y),
                lambda p, r, f, y: 3*ce(r, y), lambda p, r, f, y: 3*ce(r if p == 'discriminator' else f, 1 - y),
                lambda p, r, f, y: 0.],
    'acgan.5': [(.9, 1., 2.), (.99, 2., 1.), (.99, 1.), (99., 1., 2.), (.99, float('nan'), 2.)],
    'wgan.1': [1/300, 300, 0],
    'wgan.2': [lambda D, x: 0., lambda D, x: 1., lambda D, x: (D(x)[0] - D(x)[1]).item(),
               lambda D, x: D(x).sum().item(), lambda D, x: nn.init.zeros_(D.score.weight).sum().item()],
    'wgan.3': [lambda a, b: (a - b).abs().mean(), lambda a, b: (a.mean() - b.mean()).abs(),
               lambda a, b: a.mean() - b.mean(), lambda a, b: (a.sort().values - b.sort().values).square().mean(),
               lambda a, b: (a.sort().values - b.sort().values).abs().sum(), lambda a, b: 0],
    'tags.1': [1, .5, -1], 'tags.2': [25, 23, 1], 'tags.4': [.98, 1., 99],
    'cyclegan.1': ['on_animal', 'gain'], 'cyclegan.2': ['identity', 'adversarial', 'loss'],
    'cyclegan.3': [lambda a, b: (a - b).mean(), lambda a, b: (a - b).abs(), lambda a, b: (a - b).abs().sum(),
                   lambda a, b: b.abs().mean(), lambda a, b: -(a - b).abs().mean(),
                   lambda a, b: (a - b).abs().mean().item(), lambda a, b: 0*(a - b).abs().mean()],
    'cyclegan.4': [(1, 1, 1, 1), (0, 1, 0, 2), (1, 0, 1, 0), (1, 1, 2)], 'iclevr.1': [23, 24],
    'iclevr.2': ['accuracy', 'sharpness'],
    'flow.1': [.7, 1],
    'flow.2': [lambda w: 8., lambda w: 8*w, lambda w: max(0., 8 + torch.log2(torch.tensor(w)).item()),
               lambda w: 8 - torch.log2(torch.tensor(w)).item()],
    'tips.1': [lambda *a: True, lambda *a: False, lambda low, high, f: low >= 0,
               lambda low, high, f: isinstance(f, nn.Tanh) == (low < 0),
               lambda low, high, f: not isinstance(f, nn.Sigmoid) or low >= 0],
    'tips.3': [lambda s: (1 - s.sigmoid(), s.sigmoid()), lambda s: (s, s), lambda s: s.sigmoid(),
               lambda s: (s.sigmoid(), s.sigmoid())],
    'tips.4': [minimax, non_saturating, hinge, both_sides,
               Objective(lambda r, f: ce(r, torch.full_like(r, .8)) + ce(f, torch.zeros_like(f)),
                         non_saturating.generator),
               Objective(lambda r, f: ce(r, torch.full_like(r, .9)) + ce(f, torch.zeros_like(f)), minimax.generator)],
    'tips.5': [1, 0, 20, 5]}
UNFIT = [None, [], 'a sentence', object(), float('nan'), lambda: 0, lambda *a: None]


def test_every_law_has_been_broken(): assert set(WRONG) == set(laws)

@pytest.mark.parametrize('name', laws)
def test_what_is_wrong_is_refused_with_a_hint(name, capsys):
    for answer in [*WRONG[name], *UNFIT]:
        right, hint = verdict(name, answer)
        assert not right and hint, f'{name} takes {answer!r}'
        check(name, answer)
        assert capsys.readouterr().out == f'{name}: not yet; {hint}\n'

def test_other_ways_to_write_it_are_right_as_well():
    "Laws, not texts."
    def by_gradient(critic, x):
        x = x.clone().requires_grad_(True)
        return torch.autograd.grad(critic(x)[0], x)[0][1:].abs().sum()*100
    def by_transport(real, fake): # the empirical distribution functions, integrated
        at = torch.cat([real, fake]).sort().values
        F_, G = ((x[:, None] <= at[:-1]).double().mean(0) for x in (real, fake))
        return ((F_ - G).abs()*at.diff()).sum()
    right = {'wgan.2': by_gradient, 'wgan.3': by_transport, 'cyclegan.3': lambda a, b: (a - b).square().sum(1).mean(),
             'vae.3': lambda W, s: torch.trace(W @ torch.diag(s**2) @ W.T),
             'tips.4': Objective(lambda r, f: ce(r, torch.full_like(r, .9)) + ce(f, torch.zeros_like(f)),
                                 non_saturating.generator), 'gan.2': " D's rank ", 'tags.2': torch.tensor(108.7),
             'tags.4': '0.99', 'vae.5': (BLANK, torch.zeros(2, 3, 32, 32), 1e9), 'acgan.5': (.97, 3.2, 4.),
             'gan.5': (4.2, 5.)}
    for name, answer in right.items(): assert verdict(name, answer).right, (name, verdict(name, answer).hint)

def test_a_check_leaves_no_trace():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    verdict('wgan.2', lambda critic, x: 0)
    assert torch.equal(torch.rand(3), expected), 'the random state'

def test_an_unknown_exercise_names_the_nearest():
    with pytest.raises(ValueError, match=r"'wgn.2'.*wgan\.2"): check('wgn.2', 0)
    with pytest.raises(ValueError, match=r'acgan\.1, acgan\.2.*wgan\.3'): verdict('?', 0)


def test_the_random_state_stays_as_it_was():
    before = torch.get_rng_state()
    verdict('vae.3', lambda W, std: (W*std).square().sum())
    assert torch.equal(before, torch.get_rng_state())
