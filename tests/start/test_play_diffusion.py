"The diffusion model of the live page does what Python's does: schedules, gradients, paths; and the page obeys."
import numpy as np
import pytest
import torch
from test_play import WORLDS, chromium, javascript, opened # noqa: F401 (a fixture)
from torch import nn

from dlcv_gan.models.diffusion import SCHEDULES, Diffusion
from dlcv_gan.nets import mlp
from dlcv_gan.worlds.points import modes_covered


@pytest.fixture(autouse=True)
def double():
    "JavaScript's numbers are doubles."
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.double)
    yield
    torch.set_default_dtype(usual)


class Plane(nn.Module):
    "The page's network in PyTorch, with weights that the page has trained."
    shape = (2,)
    def __init__(self, layers):
        super().__init__()
        self.net = mlp(9, 64, 64, 2).double()
        for linear, layer in zip(self.net[::2], layers):
            linear.weight.data = torch.tensor(layer['W'], dtype=torch.double).reshape(linear.weight.shape)
            linear.bias.data = torch.tensor(layer['b'], dtype=torch.double)
    def forward(self, x, t, y=None):
        turns = torch.tensor([1., 2., 4.], dtype=torch.double) * torch.pi * t[:, None]
        return self.net(torch.cat([x, t[:, None], torch.stack([turns.sin(), turns.cos()], 2).flatten(1)], 1))


def python(found, predict='v', schedule='cosine'):
    "The game with the page's weights; its schedule in double precision, as JavaScript has it."
    names = {'v': 'v', 'noise': 'noise', 'data': 'picture'}
    game = Diffusion(Plane(found['layers']), SCHEDULES[schedule], 200, names[predict])
    game.kept, game.limits = SCHEDULES[schedule](200), (-4., 4.)
    return game


PLAIN = 'const plain = a => [...a], layers = net => net.layers.map(l => ({W: plain(l.W), b: plain(l.b)}));'


@pytest.mark.parametrize('name', SCHEDULES)
def test_the_schedules_are_pythons(name):
    for steps in (5, 200):
        theirs = javascript(f'return play.SCHEDULES.{name}({steps})', script='diffusion')
        assert np.allclose(theirs, SCHEDULES[name](steps), rtol=1e-12, atol=0)


@pytest.mark.parametrize('predict', ['v', 'noise', 'data'])
def test_loss_and_gradients_are_autograds(predict):
    found = javascript('''const d = new play.Denoiser({predict: args[0], seed: 5}), plain = a => [...a];
        for (let i = 0; i < 20; i++) d.step();
        const t = args[1], {value, grads} = d.loss(args[2], t, args[3]);
        return {value, layers: d.net.layers.map(l => ({W: plain(l.W), b: plain(l.b)})),
                grads: grads.map(g => [plain(g.W), plain(g.b)])};''',
                       predict, (t := [1, 3, 50, 199, 200, 120, 60, 10]),
                       (x := np.random.default_rng(0).normal(size=16)).tolist(),
                       (noise := np.random.default_rng(1).normal(size=16)).tolist(), script='diffusion')
    game, t = python(found, predict), torch.tensor(t)
    x, noise = (torch.tensor(v).reshape(-1, 2) for v in (x, noise))
    a, b = game.amplitudes(t)
    asked = {'data': x, 'noise': noise, 'v': a * noise - b * x}[predict]
    loss = nn.functional.mse_loss(game.net(a * x + b * noise, t / 200), asked)
    loss.backward()
    assert loss.item() == pytest.approx(found['value'], rel=1e-9)
    for linear, (W, bias) in zip(game.net.net[::2], found['grads']):
        assert np.allclose(linear.weight.grad.flatten(), W, atol=1e-9)
        assert np.allclose(linear.bias.grad, bias, atol=1e-9)


TRAINED = '''const d = new play.Denoiser({predict: args[0], seed: 1}), plain = a => [...a], losses = [];
    for (let i = 0; i < args[1]; i++) losses.push(d.step());
    const path = d.path(Float64Array.from(args[2]), args[3]).map(s => ({t: s.t, x: plain(s.x), guess: plain(s.guess)}));
    return {losses, path, layers: d.average.layers.map(l => ({W: plain(l.W), b: plain(l.b)}))};'''


@pytest.mark.parametrize('predict', ['v', 'noise', 'data'])
def test_a_path_is_pythons_path(predict):
    z = torch.randn(64, 2, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    found = javascript(TRAINED, predict, 50, z.flatten().tolist(), 7, script='diffusion')
    with torch.no_grad(): ours = list(python(found, predict).path(z, steps=7))
    assert [t for t, *_ in ours] == [s['t'] for s in found['path']]
    for (_, x, guess), theirs in zip(ours, found['path']):
        assert np.allclose(x.flatten(), theirs['x'], atol=1e-9) and np.allclose(guess.flatten(), theirs['guess'],
                                                                               atol=1e-9)


@pytest.mark.parametrize('schedule', SCHEDULES)
def test_a_path_with_new_noise_is_pythons_path(schedule, monkeypatch):
    z = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    found = javascript(PLAIN + '''const d = new play.Denoiser({schedule: args[0], seed: 1});
        for (let i = 0; i < 30; i++) d.step();
        const given = { normals: n => Float64Array.from({ length: n }, (_, i) => Math.sin(i + 1)) };
        const path = d.path(Float64Array.from(args[1]), 6, 1, given);
        return { x: path.map(s => plain(s.x)), layers: layers(d.average) };''', schedule, z.flatten().tolist(),
                       script='diffusion')
    given = torch.arange(1., 17).sin().reshape(8, 2)
    monkeypatch.setattr('dlcv_gan.models.diffusion.share', lambda make, *shape, **kw: given)
    with torch.no_grad(): ours = list(python(found, schedule=schedule).path(z, steps=6, eta=1.))
    for (_, x, _), theirs in zip(ours, found['x']): assert np.allclose(x.flatten(), theirs, atol=1e-9)


def test_the_average_of_the_weights_is_pythons():
    found = javascript(PLAIN + '''const d = new play.Denoiser({seed: 2}), nets = [];
        for (let i = 0; i < 15; i++) { d.step(); nets.push(layers(d.net)[0].W.slice(0, 5)); }
        const some = net => layers(net)[0].W.slice(0, 5);
        return {nets, average: some(d.average), start: some(new play.Denoiser({seed: 2}).net)};''',
                       script='diffusion')
    average = np.array(found['start'])
    for count, net in enumerate(found['nets'], 1): # as `EMA` counts
        keep = min(.99, count / (count + 10))
        average = keep * average + (1 - keep) * np.array(net)
    assert np.allclose(average, found['average'], atol=1e-12)


def test_it_learns_the_ring():
    z = torch.randn(256, 2, generator=torch.Generator().manual_seed(0))
    found = javascript(TRAINED, 'v', 1500, z.flatten().tolist(), 25, script='diffusion')
    modes, share = modes_covered(np.reshape(found['path'][-1]['x'], (-1, 2)), WORLDS['ring'], .1)
    assert modes == 8 and share > .7
    assert np.mean(found['losses'][-100:]) < .9 * np.mean(found['losses'][:20])


PAGE = 'document.querySelector("[data-diffusion]").page'


@pytest.fixture
def page_of(chromium, tmp_path): # noqa: F811 (the same fixture)
    "The page under a sub-path: opened with the tests' checks on requests and the console."
    html = ('<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            '<title>t</title><h1>Diffusion</h1><div class="play" data-diffusion></div>'
            '<script type="module" src="_static/play/diffusion-page.js"></script></html>')
    def open_it(**context): return opened(chromium, tmp_path, html=html, **context)
    return open_it


def test_time_is_dragged_from_noise_to_points(page_of):
    with page_of(viewport=dict(width=1000, height=1200)) as page:
        page.click('.play-start')
        page.wait_for_function(f'{PAGE}.model.steps > 200')
        page.click('.play-moves [data-do=train]')
        pixels = lambda: page.evaluate('document.querySelector("[data-plot=stage]").toDataURL()')
        points, steps = pixels(), page.evaluate(f'{PAGE}.model.steps')
        page.locator('[data-set=time]').fill('0')
        noise = pixels()
        assert 'noise' in page.inner_text('output[id$="-time-out"]') and noise != points
        drawn = np.reshape(page.evaluate(f'[...{PAGE}.path[0].x]'), (-1, 2))
        assert abs(drawn.std() - 1) < .15 # standard normal
        page.locator('[data-set=time]').fill('25')
        assert pixels() == points and page.evaluate(f'{PAGE}.model.steps') == steps # looking does not train
        page.click('.play-moves [data-do=train]') # a drawing begun while it trains goes from noise to points
        page.click('.play-moves [data-do=draw]')
        page.wait_for_function(f'{PAGE}.drawing === 0')
        assert page.evaluate(f'{PAGE}.at') == 25
        page.click('.play-moves [data-do=train]')
        page.locator('[data-set=steps]').fill('3') # 5 steps
        assert page.inner_text('[data-count=passes]') == '5'
        page.select_option('[data-set=world]', 'grid')
        assert page.inner_text('[data-count=iterations]') == '0'


@pytest.mark.parametrize('width', [360, 1200])
def test_it_fits_the_width(page_of, width):
    with page_of(viewport=dict(width=width, height=900)) as page:
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        page.click('[data-do=once]')
        assert page.inner_text('[data-count=iterations]') == '1'
