"Diffusion: the noise, the steps back and their limits, against closed forms and against diffusers' schedulers."
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from dlcv_gan.models.diffusion import SCHEDULES, Diffusion, build_ddpm, cosine, linear
from dlcv_gan.residual import UNet, sinusoidal_embedding

schedules = pytest.mark.parametrize('schedule', SCHEDULES.values(), ids=list(SCHEDULES))
answers = pytest.mark.parametrize('predict', ['picture', 'noise', 'v'])


class Oracle(nn.Module):
    "Says what is asked exactly, for data that are independent normal numbers of one mean and standard deviation."
    shape = (6,)

    def __init__(self, schedule, steps, predict, mean=.3, std=0.):
        super().__init__()
        self.kept, self.steps, self.predict, self.mean, self.std = schedule(steps), steps, predict, mean, std
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x, t, y=None):
        kept = self.kept[(t * self.steps).round().long()].view(-1, 1)
        a, b = kept.sqrt(), (1 - kept).sqrt()
        picture = self.mean + a * self.std ** 2 / (kept * self.std ** 2 + 1 - kept) * (x - a * self.mean) # E[x0 | x]
        noise = (x - a * picture) / b
        return {'picture': picture, 'noise': noise, 'v': a * noise - b * picture}[self.predict].to(x)


def oracle(schedule=cosine, steps=100, predict='v', **about):
    game = Diffusion(Oracle(schedule, steps, predict, **about), schedule, steps, predict).double()
    game.kept = schedule(steps)
    game.limits = -9., 9.
    return game


@schedules
@given(steps=st.integers(20, 1000))
@settings(max_examples=20, deadline=None)
def test_a_schedule_goes_from_picture_to_noise(schedule, steps):
    kept = schedule(steps)
    assert kept.shape == (steps + 1,) and kept[0] == 1 and 0 < kept[-1] < .01
    assert (kept.diff() < 0).all()


def test_linear_is_the_papers_for_a_thousand_steps():
    beta = 1 - linear(1000)[1:] / linear(1000)[:-1]
    torch.testing.assert_close(beta, torch.linspace(1e-4, .02, 1000, dtype=torch.float64))


@answers
@schedules
def test_an_exact_answer_costs_nothing(schedule, predict):
    game = oracle(schedule, predict=predict)
    x = torch.full((50, 6), .3).double()
    assert game.loss('denoiser', x)['denoising'] < 1e-12


@answers
@pytest.mark.parametrize('eta', [0., 1.])
@pytest.mark.parametrize('steps', [1, 7, 100])
def test_one_point_is_reached_in_any_number_of_steps(predict, eta, steps):
    x = oracle(predict=predict).sample(4, z=torch.randn(4, 6).double(), steps=steps, eta=eta)
    torch.testing.assert_close(x, torch.full_like(x, .3), atol=1e-5, rtol=0)


@schedules
@pytest.mark.parametrize('eta', [0., .5, 1.])
def test_normal_data_keep_their_mean_and_deviation(schedule, eta):
    torch.manual_seed(0)
    x = oracle(schedule, 400, std=.5).sample(4000, z=torch.randn(4000, 6).double(), steps=400, eta=eta)
    assert abs(x.mean() - .3) < .02 and abs(x.std() - .5) < .02


def test_ddim_decides_all_by_the_code_and_ddpm_does_not():
    game, z = oracle(std=.5), torch.randn(3, 6).double()
    assert torch.equal(game.sample(3, z=z), game.sample(3, z=z))
    assert not torch.equal(game.sample(3, z=z, eta=1.), game.sample(3, z=z, eta=1.))


class Numbers(nn.Module):
    "Answers with the first number of the condition, and with -1 where there is none."
    shape = (2,)
    def __init__(self): super().__init__(); self.unused, self.asked = nn.Parameter(torch.zeros(1)), []
    def forward(self, x, t, y=None):
        self.asked.append(y)
        y = torch.full((len(x), 1), math.nan) if y is None else y
        return torch.where(y[:, :1].isnan(), -1., y[:, :1]).expand_as(x)


@given(w=st.floats(-2, 5), y=st.floats(-1, 1))
@settings(max_examples=30, deadline=None)
def test_guidance_is_a_straight_line_through_both_answers(w, y):
    game = Diffusion(Numbers(), predict='picture')
    game.limits = -99., 99.
    guess = game.denoise(torch.zeros(1, 2), torch.tensor([500]), torch.tensor([[y]]), guidance=w)
    torch.testing.assert_close(guess, torch.full((1, 2), y + w * (y + 1)))


@pytest.mark.parametrize('share, expected', [(0., 0.), (.3, .3), (1., 1.)])
def test_the_condition_is_withheld_in_training_only(share, expected):
    torch.manual_seed(0)
    game, y = Diffusion(Numbers(), unconditional=share), torch.ones(5000, 1)
    game.train().loss('denoiser', torch.zeros(5000, 2), y)
    game.eval().loss('denoiser', torch.zeros(5000, 2), y)
    trained, evaluated = (asked.isnan().float().mean() for asked in game.net.asked)
    assert abs(trained - expected) < .03 and evaluated == 0


def test_the_path_goes_from_noise_to_the_sample():
    game, z = oracle(std=.5), torch.randn(3, 6).double()
    path = list(game.path(z, steps=5))
    assert [t for t, _, _ in path] == [100, 80, 60, 40, 20, 0]
    assert torch.equal(path[0][1], z) and torch.equal(path[-1][1], game.sample(3, z=z, steps=5))
    for steps in (0, 101):
        with pytest.raises(ValueError, match='give 1 to 100'): next(game.path(z, steps=steps))


def test_stages_are_moments_of_the_path_from_noise_to_the_sample():
    game, z = oracle(std=.5), torch.randn(3, 6).double()
    times, stages = game.stages(z, stages=5)
    path = list(game.path(z, steps=max(game.sampling_steps, 4)))
    assert stages.shape == (3, 2, 5, 6) and times[0] == 100 and times[-1] == 0 and times == sorted(times)[::-1]
    assert torch.equal(stages[:, 0, 0], z) and torch.equal(stages[:, 0, -1], path[-1][1])
    assert torch.equal(stages[:, 1, 0], path[0][2]) # the guess from pure noise
    assert game.stages(z, stages=500)[1].isfinite().all() # more stages than steps of the noise


def test_a_strength_may_be_one_for_each_picture():
    torch.manual_seed(0)
    game, y, x = build_ddpm(16, 8, 3, depth=1).eval(), torch.eye(3), torch.randn(3, 3, 16, 16)
    t = torch.full((3,), 500)
    with torch.no_grad():
        for p in game.parameters(): p.add_(.1 * torch.randn_like(p)) # at the start the last layer is 0
        each = game.denoise(x, t, y, torch.tensor([0., 1., 4.]).view(3, 1, 1, 1))
        alone = [game.denoise(x, t, y, w)[i] for i, w in enumerate((0., 1., 4.))]
    assert torch.allclose(each, torch.stack(alone), atol=1e-6) and not torch.allclose(alone[0][:1], alone[1][:1])


@answers
@schedules
def test_steps_are_those_of_diffusers(schedule, predict):
    diffusers = pytest.importorskip('diffusers')
    kept, names = schedule(200), dict(picture='sample', noise='epsilon', v='v_prediction')
    theirs = diffusers.DDIMScheduler(200, trained_betas=(1 - kept[1:] / kept[:-1]).tolist(), set_alpha_to_one=True,
                                     timestep_spacing='trailing', prediction_type=names[predict], clip_sample=True)
    torch.testing.assert_close(theirs.alphas_cumprod, kept[1:].float(), rtol=1e-4, atol=1e-7)
    torch.manual_seed(0)
    game = build_ddpm(16, 8, 0, 1, schedule=schedule.__name__, predict=predict, timesteps=200)
    for p in game.parameters(): nn.init.normal_(p, std=.1)
    z = torch.randn(2, game.nz)
    x = z.unflatten(1, game.net.shape)
    theirs.set_timesteps(10)
    with torch.no_grad():
        for t in theirs.timesteps: # theirs count from 0
            said = game.net(x, torch.full((2,), (t + 1) / 200))
            x = theirs.step(said, t, x, use_clipped_model_output=True).prev_sample # the noise anew, as ours
        ours = game.sample(2, z=z, steps=10)
    torch.testing.assert_close(ours, x, rtol=1e-3, atol=1e-4)


def test_the_schedules_are_those_of_diffusers():
    diffusers = pytest.importorskip('diffusers')
    for name, ours in (('linear', linear), ('squaredcos_cap_v2', cosine)):
        theirs = diffusers.DDPMScheduler(1000, beta_schedule=name).alphas_cumprod
        torch.testing.assert_close(ours(1000)[1:].float(), theirs, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize('wrong, said', [
    (dict(predict='score'), "choose 'picture', 'noise' or 'v'"), (dict(sampling_steps=0), 'give 1 to 1000'),
    (dict(sampling_steps=1001), 'give 1 to 1000'), (dict(schedule='sine'), 'choose cosine or linear'),
    (dict(size=20), 'give a multiple of 8'), (dict(width=9), 'give an even number'),
    (dict(size=24, patch=2), 'give a multiple of 16')])
def test_what_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said): build_ddpm(**{'size': 16, 'width': 8, **wrong})


def test_a_condition_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match='need y of shape'): build_ddpm(16, 8, 3, 1).sample(2, torch.zeros(2, 4))


@given(patch=st.sampled_from([1, 2]), depth=st.integers(1, 2), conditions=st.integers(0, 5), n=st.integers(1, 3))
@settings(max_examples=12, deadline=None)
def test_a_u_net_keeps_the_shape(patch, depth, conditions, n):
    net = UNet(16, conditions, 8, depth, patch)
    for p in net.parameters(): nn.init.normal_(p, std=.1)
    x, y = torch.randn(n, 3, 16, 16), torch.ones(n, conditions)
    assert net(x, torch.rand(n), y).shape == x.shape
    rows = torch.cat([net(x[i:i + 1], torch.full((1,), .5), y[i:i + 1]) for i in range(n)])
    torch.testing.assert_close(net(x, torch.full((n,), .5), y), rows, rtol=1e-3, atol=1e-4) # rows do not mix


def test_neighbouring_times_have_different_embeddings():
    e = sinusoidal_embedding(torch.arange(1001) / 1000, 32)
    assert e.shape == (1001, 32) and e.abs().max() <= 1
    assert (e[1:] - e[:-1]).norm(dim=1).min() > .05
