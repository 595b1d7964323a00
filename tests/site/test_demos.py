"The demos of the built site, used in a real browser: their pictures are those that Python makes of the same numbers."
import contextlib, io, json
from functools import partial

import numpy as np
import pytest
import torch
from test_browser import SITE, findings, opened

PAGE, DEMOS = 'start/demos.html', SITE/'_static'/'demos'
if not (SITE/PAGE).exists(): pytest.skip('the site has no page of demos', allow_module_level=True)
TEXT = (SITE/PAGE).read_text(encoding='utf-8')
SLOW = 300_000
pytestmark = pytest.mark.browser


def needs(name: str, *models: str):
    "Skip what the built site does not hold."
    if f'data-demo="{name}"' not in TEXT: pytest.skip(f'the page has no demo {name}')
    missing = [m for m in models if not (DEMOS/'models'/f'{m}.json').exists()]
    if missing: pytest.skip(f'no model {missing[0]}: `make demos`')
    if not (SITE/'_static'/'ort').exists(): pytest.skip('built without onnxruntime-web')


def press_open(page, name: str):
    "The demo's box, opened by its button, with its first drawing done."
    box = page.locator(f'[data-demo={name}]')
    box.locator('.demo-open').click()
    page.wait_for_function("""name => {
        const box = document.querySelector(`[data-demo=${name}]`), button = box.querySelector('.demo-open');
        return 'open' in box.dataset || button?.textContent.startsWith('Try again'); }""", arg=name, timeout=SLOW)
    assert box.get_attribute('data-open') is not None, box.inner_text()
    settled(page, name)
    return box


def settled(page, name: str) -> dict:
    "What the demo has last fed, once it has stopped drawing."
    return page.evaluate('''async name => { const box = document.querySelector(`[data-demo=${name}]`);
        for (let calm = 0, last; calm < 4; await new Promise(r => setTimeout(r, 60))) {
            calm = box.drawn && box.drawn === last ? calm + 1 : 0;
            last = box.drawn; }
        return box.drawn; }''', name)


def shown(page, selector: str) -> dict[int, np.ndarray]:
    "Row -> the pixels (3, size, size) of the canvases that show it."
    found = page.evaluate('''selector => [...document.querySelectorAll(selector)].map(c => {
        const copy = new OffscreenCanvas(c.width, c.height).getContext("2d", {willReadFrequently: true});
        copy.drawImage(c, 0, 0);
        return [+c.dataset.row, c.width, [...copy.getImageData(0, 0, c.width, c.height).data]]; })''', selector)
    return {row: np.reshape(data, (size, size, 4))[..., :3].transpose(2, 0, 1) for row, size, data in found}


def about(model: str) -> dict:
    "What the site says of a model."
    return json.loads((DEMOS/'models'/f'{model}.json').read_text(encoding='utf-8'))


def raw(model: str, part: str, **inputs) -> list[np.ndarray]:
    "What onnxruntime in Python makes of the same numbers."
    runtime = pytest.importorskip('onnxruntime')
    said = about(model)['parts'][part]
    session = runtime.InferenceSession(DEMOS/'models'/said['file'], providers=['CPUExecutionProvider'])
    return session.run(None, {k: np.asarray(v, np.float32).reshape(-1, *said['inputs'][k]) for k, v in inputs.items()})


def grey(x: np.ndarray) -> np.ndarray:
    "Pictures in [-1,1] as pixels."
    return np.clip(np.round(127.5 * x + 127.5), 0, 255)


def python(model: str, part: str, **inputs) -> np.ndarray:
    "The pixels that onnxruntime in Python makes of the same numbers."
    return grey(raw(model, part, **inputs)[0])


def real(sprite: str, i: int) -> np.ndarray:
    "Real picture i, (1, 3, size, size) in [-1,1]."
    from PIL import Image
    said = about(sprite)
    size, row, column = said['size'], *divmod(i, said['columns'])
    sheet = np.asarray(Image.open(DEMOS/'models'/f'{sprite}.png').convert('RGB'))
    return sheet[row*size:(row + 1)*size, column*size:(column + 1)*size].transpose(2, 0, 1)[None] / 127.5 - 1


def assert_pictures(page, selector: str, expected: np.ndarray, count: int):
    "Each row's canvas holds Python's pixels, but for one grey value of 255."
    found = shown(page, selector)
    assert sorted(found) == list(range(count)) and len(expected) == count
    off = max(abs(found[row] - expected[row]).max() for row in found)
    assert off <= 1, f'{selector}: {off:.0f} of 255 from Python'


def moved(before: dict, after: dict) -> float:
    "Mean change over the pictures, in grey values."
    return float(np.mean([abs(before[r] - after[r]).mean() for r in before]))


# ---- the shell

def test_nothing_is_fetched_before_it_is_asked_for(chromium, url):
    needs('faces', 'faces')
    with opened(chromium, url, PAGE) as page:
        asked = []
        page.on('request', lambda r: asked.append(r.url))
        page.reload()
        page.wait_for_selector('[data-demo=faces] .demo-open')
        assert asked and not [a for a in asked if '/ort/' in a or '/models/' in a]
        assert 'MB)' in page.inner_text('[data-demo=faces] .demo-open')
        assert page.fetched() < 3e6
        press_open(page, 'faces')
        assert {a.split('/')[-1] for a in asked if '/ort/' in a} == {'ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs',
                                                                     'ort-wasm-simd-threaded.wasm'}
        assert any('/models/faces' in a for a in asked)


@pytest.mark.parametrize('lost, mend', [('**/ort/ort.wasm.min.mjs', 'Install Node.js'),
                                        ('**/models/faces.json', 'tools/demos.py export faces')])
def test_what_is_missing_is_said_with_the_mend_and_can_be_tried_again(chromium, url, lost, mend):
    needs('faces', 'faces')
    with contextlib.closing(chromium.new_context()) as made:
        page = made.new_page()
        page.set_default_timeout(SLOW)
        page.goto(url + PAGE)
        page.route(lost, lambda route: route.fulfill(status=404, body='lost'))
        box = page.locator('[data-demo=faces]')
        box.locator('.demo-open').click()
        page.wait_for_function('document.querySelector("[data-demo=faces] .demo-words").textContent')
        assert mend in box.locator('.demo-words').inner_text() and 'Try again' in box.locator('.demo-open').inner_text()


def test_the_noise_is_pytorchs(chromium, url):
    with opened(chromium, url, PAGE) as page:
        for seed, n in ((0, 16), (7, 64), (4000, 3072), (3, 101)):
            ours = page.evaluate('async ([path, seed, n]) => [...(await import(path)).normals(seed, n)]',
                                 [f'{url}_static/demos/demo.js', seed, n])
            assert abs(torch.tensor(ours) - torch.randn(n, generator=torch.Generator().manual_seed(seed))).max() < 2e-6


@pytest.mark.parametrize('width, theme', [(1200, 'light'), (360, 'dark')])
@pytest.mark.parametrize('name, models', [('faces', ['faces']), ('anime', ['anime']),
                                          ('scenes', ['scenes-gan', 'scenes-flow', 'scenes-ddpm']),
                                          ('vae', ['vae-1']), ('flow', ['flow']), ('zebra', ['zebra'])])
def test_an_open_demo_fits_and_can_be_read(chromium, url, axe, name, models, width, theme):
    needs(name, *models)
    with opened(chromium, url, PAGE, width, theme, has_touch=width < 500) as page:
        box = press_open(page, name)
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        small = box.locator('button').evaluate_all(
            'all => all.filter(b => b.offsetParent && b.offsetHeight < 30).map(b => b.outerHTML.slice(0, 80))')
        assert not small, f'{small}: too small for a finger'
        wrong = findings(page, axe, None)
        assert not wrong, '\n'.join(wrong)


# ---- faces

def check_faces(page) -> tuple[dict, dict]:
    "Every face is Python's of the numbers fed, and every flip differs from the wish in its own attribute only."
    drawn = settled(page, 'faces')
    assert_pictures(page, '[data-demo=faces] canvas[data-row]', python('faces', 'generate', **drawn), 14)
    z, y = np.reshape(drawn['z'], (14, -1)), np.reshape(drawn['y'], (14, 13))
    assert (z == z[0]).all() and (abs(y[1:] - y[0]) == np.eye(13)).all()
    return dict(z=z[0], y=y[0]), shown(page, '[data-demo=faces] canvas[data-row]')


def test_faces_keep_z_when_a_wish_flips_and_wishes_when_z_moves(chromium, url):
    needs('faces', 'faces')
    with opened(chromium, url, PAGE, viewport=dict(width=1200, height=1400)) as page:
        box = press_open(page, 'faces')
        first, faces = check_faces(page)

        box.get_by_role('switch', name='blond hair').focus() # by key
        page.keyboard.press('Space')
        second, blond = check_faces(page)
        assert (second['z'] == first['z']).all() and abs(second['y'] - first['y']).sum() == 1
        assert abs(blond[0] - faces[4]).max() <= 1, 'the flip in the strip was another face'
        assert moved({0: faces[0]}, blond) > .5
        assert 'two hair colours' in box.inner_text() # brown and blond: told, not forbidden
        assert box.locator('[role=switch][aria-checked=true]').count() == second['y'].sum()

        box.locator('.faces-tile').nth(4).click() # brown goes, by pointer
        third, _ = check_faces(page)
        assert third['y'][4] == 0 and 'two hair colours' not in box.inner_text()

        plane = box.locator('.demo-pad')
        plane.focus()
        page.keyboard.press('ArrowRight')
        fourth, pushed = check_faces(page)
        assert (fourth['y'] == third['y']).all() and abs(np.linalg.norm(fourth['z'] - third['z']) - .3) < 1e-3
        place = plane.bounding_box()
        page.mouse.move(place['x'] + 20, place['y'] + 20)
        page.mouse.down()
        page.mouse.move(place['x'] + place['width'] - 20, place['y'] + place['height'] - 20, steps=4)
        page.mouse.up()
        fifth, dragged = check_faces(page)
        assert moved(pushed, dragged) > .5 and (fifth['y'] == third['y']).all()

        box.get_by_role('slider').first.focus()
        for _ in range(5): page.keyboard.press('ArrowLeft')
        sixth, _ = check_faces(page)
        assert abs(np.linalg.norm(sixth['z'] - fifth['z'])) > .3
        box.get_by_role('button', name='at random').click()
        box.get_by_role('button', name='Another face').click()
        seventh, _ = check_faces(page)
        assert abs(seventh['z'] - sixth['z']).max() > .1


# ---- anime

def check_anime(page) -> tuple[np.ndarray, np.ndarray, dict]:
    "z (25, nz), y (25, 23) and the pictures, which are Python's."
    drawn = settled(page, 'anime')
    assert_pictures(page, '[data-demo=anime] .anime-tile canvas', python('anime', 'generate', **drawn), 25)
    y = np.reshape(drawn['y'], (25, 23))
    assert (y[:, :12].sum(1) == 1).all() and (y[:, 12:].sum(1) == 1).all()
    return np.reshape(drawn['z'], (25, -1)), y, shown(page, '[data-demo=anime] .anime-tile canvas')


def test_anime_faces_change_colour_keep_z_and_shrink_to_one(chromium, url):
    needs('anime', 'anime')
    with opened(chromium, url, PAGE, viewport=dict(width=1200, height=1400)) as page:
        box = press_open(page, 'anime')
        z, y, before = check_anime(page)
        assert len(set(y.argmax(1))) > 3 # any colour at first
        box.get_by_role('radio', name='red').first.check(force=True) # by pointer
        box.get_by_role('radio', name='any').last.focus() # by key
        page.keyboard.press('ArrowRight')
        same, y, after = check_anime(page)
        assert (same == z).all() and (y[:, 5] == 1).all() and (y[:, 12] == 1).all() and moved(before, after) > .5

        box.locator('.anime-tile').nth(12).focus()
        page.keyboard.press('ArrowDown')
        box.locator('.anime-tile').nth(3).click()
        large = shown(page, '[data-demo=anime] .anime-side canvas')
        assert list(large) == [3] and abs(large[3] - after[3]).max() <= 1
        assert box.locator('.anime-tile[aria-pressed=true]').count() == 1

        box.get_by_role('slider').focus()
        page.keyboard.press('Home')
        z, _, faces = check_anime(page)
        assert (z == 0).all() and max(abs(faces[i] - faces[0]).max() for i in faces) <= 1
        assert 'the same face' in box.inner_text()
        page.keyboard.press('End')
        assert abs(check_anime(page)[0] - 2 * same).max() < 1e-5
        box.get_by_role('button', name='Other faces').click()
        assert abs(check_anime(page)[0] - 2 * same).max() > 1


# ---- scenes

def steps(name: str, z, y, w) -> np.ndarray:
    "The pixels of the diffusion model, by Python."
    said = about(name)
    n, size = len(y) // 24, said['size']
    x, y = np.reshape(z, (n, 3, size, size)).astype(np.float32), np.reshape(y, (n, 24))
    for t, a, b in zip(said['times'], said['kept'], said['kept'][1:]):
        guess, = raw(name, 'denoise', x=x, t=[t] * n, y=y, w=[w] * n)
        x = (b**.5 * guess + ((1 - b) / (1 - a))**.5 * (x - a**.5 * guess)).astype(np.float32)
    return grey(x)


def test_the_diffusion_models_steps_are_those_of_its_game():
    needs('scenes', 'scenes-ddpm')
    from dlcv_gan.cli.export import round_weights
    from dlcv_gan.runs.pretrained import pretrained
    game, y = round_weights(pretrained('ddpm-scenes', device='cpu')).eval(), torch.eye(24)[:2]
    z = torch.randn(2, game.nz, generator=torch.Generator().manual_seed(3))
    with torch.no_grad(): ours = grey(game.sample(2, y, z, steps=10, guidance=2.).numpy())
    assert abs(ours - steps('scenes-ddpm', z.numpy(), y.numpy().flatten(), 2.)).max() <= 1


def check_scenes(page) -> tuple[dict, dict]:
    "All models' numbers, and their pictures, which are Python's."
    drawn, pictures = settled(page, 'scenes'), {}
    models = {'scenes-gan': partial(python, part='generate'), 'scenes-flow': partial(python, part='decode'),
              'scenes-ddpm': steps}
    for name, made in models.items():
        selector = f'[data-demo=scenes] canvas[data-model={name}]'
        assert_pictures(page, selector, made(name, **drawn[name]), 4)
        pictures[name] = shown(page, selector)
    y = np.reshape([drawn[name]['y'] for name in drawn], (12, 24))
    assert (y == y[0]).all()
    return dict(y=y[0], **{name: np.reshape(drawn[name]['z'], (4, -1)) for name in drawn}), pictures


def test_three_models_draw_the_same_request(chromium, url):
    needs('scenes', 'scenes-gan', 'scenes-flow', 'scenes-ddpm')
    with opened(chromium, url, PAGE, viewport=dict(width=1200, height=1400)) as page:
        box = press_open(page, 'scenes')
        first, before = check_scenes(page)
        assert first['y'].sum() == 2 and len(set(box.locator('.scenes-time').all_inner_texts()))
        assert 'ms a picture' in box.inner_text()
        box.get_by_role('button', name='yellow cylinder').focus() # by key
        page.keyboard.press('Enter')
        second, after = check_scenes(page)
        assert second['y'].sum() == 3 and all((second[m] == first[m]).all() for m in before)
        assert all(moved(before[m], after[m]) > 0 for m in before) and 'a yellow cylinder' in box.inner_text()
        box.get_by_role('button', name='gray cube').click() # a fourth is refused, in words
        assert 'Three at most' in box.inner_text()
        assert settled(page, 'scenes')['scenes-gan']['y'] == second['y'].tolist() * 4
        for name in ('red cube', 'blue sphere', 'yellow cylinder'): box.get_by_role('button', name=name).click()
        assert 'at least' in box.inner_text() and check_scenes(page)[0]['y'].tolist().index(1) == 23

        box.get_by_role('slider', name='temperature').focus()
        page.keyboard.press('Home')
        cold, pictures = check_scenes(page)
        assert (cold['scenes-flow'] == 0).all()
        assert max(abs(x - pictures['scenes-flow'][0]).max() for x in pictures['scenes-flow'].values()) <= 1
        assert min(abs(pictures['scenes-gan'][i] - pictures['scenes-gan'][0]).max() for i in (1, 2, 3)) > 0
        box.get_by_role('slider', name='guidance').focus()
        page.keyboard.press('Home')
        plain, unguided = check_scenes(page)
        assert settled(page, 'scenes')['scenes-ddpm']['w'] == 0
        assert moved(pictures['scenes-ddpm'], unguided['scenes-ddpm']) > 0
        box.get_by_role('button', name='Draw again').click()
        assert abs(check_scenes(page)[0]['scenes-gan'] - cold['scenes-gan']).max() > .1


# ---- VAE

def check_vae(page) -> tuple[dict, dict]:
    "Code, reconstruction, draws, walk and invented faces are Python's of the same numbers."
    drawn = settled(page, 'vae')
    mean, logvar = raw(drawn['model'], 'encode', x=drawn['x'])
    assert abs(mean[0] - drawn['mean']).max() < 1e-3 and abs(logvar[0] - drawn['logvar']).max() < 1e-3
    z = np.array(drawn['z'])
    sd = np.exp(logvar[0]/2)
    noise = ((z[1:4] - mean[0]) / sd)
    assert abs(z[0] - mean[0]).max() < 1e-3
    now = '[data-demo=vae] :is(.vae-trio, .vae-side) canvas[data-row]'
    assert_pictures(page, now, python(drawn['model'], 'decode', z=z), 5)
    assert_pictures(page, '[data-demo=vae] .vae-invented canvas',
                    python(drawn['model'], 'decode', z=drawn['prior']['z']), 16)
    return drawn | dict(noise=noise), shown(page, now)


def test_a_vae_gives_back_walks_and_invents(chromium, url):
    needs('vae', 'vae-0', 'vae-1', 'vae-5', 'vae-25')
    with opened(chromium, url, PAGE, viewport=dict(width=1200, height=1600)) as page:
        box = press_open(page, 'vae')
        first, faces = check_vae(page)
        noise = lambda seed, n: torch.randn(n, 32, generator=torch.Generator().manual_seed(seed)).numpy()
        assert first['model'] == 'vae-1' and abs(first['noise'] - noise(1, 3)).max() < 1e-2
        assert abs(np.array(first['prior']['z']) - noise(1, 16)).max() < 1e-5

        paper = box.locator('.demo-paper canvas')
        paper.scroll_into_view_if_needed()
        place = paper.bounding_box()
        page.mouse.move(place['x'] + place['width']/3, place['y'] + place['height']/3)
        page.mouse.down()
        page.mouse.move(place['x'] + place['width']*2/3, place['y'] + place['height']/3, steps=3)
        page.mouse.up()
        painted, after = check_vae(page)
        change = abs(np.reshape(painted['x'], (3, 32, 32)) - np.reshape(first['x'], (3, 32, 32))).max(0)
        stroke = change[9:12, 12:20]
        assert stroke.min() > .05 and change[16:].max() == 0, 'the stroke is where the mouse went, and nowhere else'
        assert moved(faces, after) > .2
        box.get_by_role('button', name='Undo').click()
        assert check_vae(page)[0]['x'] == first['x']

        box.get_by_role('radio', name='white', exact=True).check(force=True)
        paper.focus() # by key
        page.keyboard.press('ArrowUp')
        page.keyboard.down(' ')
        page.keyboard.press('ArrowLeft')
        page.keyboard.up(' ')
        keyed, _ = check_vae(page)
        assert np.reshape(keyed['x'], (3, 32, 32))[:, 9, 20:22].min() == 1, 'keys go on where the mouse has been'
        box.get_by_role('radio', name='eraser').check(force=True)
        paper.click(position=dict(x=place['width']*21/32, y=place['height']*9.5/32))
        rubbed = abs(np.reshape(check_vae(page)[0]['x'], (3, 32, 32)) - np.reshape(first['x'], (3, 32, 32)))
        assert rubbed[:, 9, 20:22].max() < 1e-6

        plane = box.locator('.demo-pad')
        plane.focus()
        page.keyboard.press('ArrowUp')
        walked, _ = check_vae(page)
        step = np.array(walked['z'][4]) - walked['z'][0]
        directions = np.array(about('vae-1')['plane'])
        assert abs(step @ directions[0]) < 1e-3 and step @ directions[1] > .29
        assert abs(step - directions.T @ directions @ step).max() < 1e-3
        box.get_by_role('radio', name='the prior’s centre').check(force=True)
        assert abs(np.array(check_vae(page)[0]['z'][4])).max() == 0

        box.get_by_role('slider', name='KL weight').focus()
        page.keyboard.press('End')
        page.wait_for_function('document.querySelector("[data-demo=vae]").drawn.model === "vae-25"')
        blurred, _ = check_vae(page)
        assert blurred['prior']['z'] == first['prior']['z'] and blurred['prior']['x'] != first['prior']['x']
        box.get_by_role('button', name='Invent others').click()
        assert check_vae(page)[0]['prior']['z'] != first['prior']['z']
        box.get_by_role('radio', name='Face 9').check(force=True)
        assert check_vae(page)[0]['x'] != first['x']


# ---- flow

def check_flow(page) -> tuple[dict, dict]:
    "Codes, the picture on the path, and the sum of code and attributes are Python's."
    drawn, untold = settled(page, 'flow'), np.full((7, 13), np.nan)
    z, codes = np.array(drawn['z']), np.array(drawn['codes'])
    for code, i in zip(codes, drawn['chosen']):
        assert abs(raw('flow', 'encode', x=real('faces-real', i), y=untold[:1])[0] - code).max() < 1e-2
    along = lambda t: ((1 - t)*codes[0] + t*codes[1]) / (1 if drawn['line'] == 'straight' else np.hypot(1 - t, t))
    assert abs(z[0] - along(drawn['t'])).max() < 1e-4
    added = np.frombuffer((DEMOS/'models'/'flow.moves.f16').read_bytes(), '<f2').reshape(13, 3072).astype(np.float32)
    assert abs(z[1] - codes[0] - drawn['amounts'] @ added).max() < 1e-4
    now = '[data-demo=flow] :is(.flow-board, .flow-sum) canvas[data-row]'
    assert_pictures(page, now, python('flow', 'decode', z=z, y=untold[:2]), 2)
    assert_pictures(page, '[data-demo=flow] .flow-strips figure:first-child canvas',
                    python('flow', 'decode', z=[*map(along, np.linspace(0, 1, 7))], y=untold), 7)
    return drawn, shown(page, now)


def test_a_flow_walks_exactly_between_faces_and_adds_attributes(chromium, url):
    needs('flow', 'flow')
    with opened(chromium, url, PAGE, viewport=dict(width=1200, height=1600)) as page:
        box = press_open(page, 'flow')
        first, middle = check_flow(page)
        assert first['t'] == .5 and 0 < max(first['errors']) < 1e-3 and '10−' in box.inner_text()
        strip = shown(page, '[data-demo=flow] .flow-strips figure:first-child canvas')
        ends = [np.round(127.5*real('faces-real', i) + 127.5)[0] for i in first['chosen']]
        assert max(abs(strip[0] - ends[0]).max(), abs(strip[6] - ends[1]).max()) <= 1, (
            'the path begins and ends at the faces themselves')
        box.get_by_role('radio', name='straight', exact=True).check(force=True)
        straight, faded = check_flow(page)
        assert straight['line'] == 'straight' and moved({0: middle[0]}, faded) > .5
        box.get_by_role('slider', name='From the first face').focus()
        page.keyboard.press('Home')
        start, pictures = check_flow(page)
        assert start['t'] == 0 and abs(pictures[0] - ends[0]).max() <= 1 and moved({0: middle[0]}, pictures) > .5
        box.get_by_role('slider', name='Smiling').focus()
        page.keyboard.press('End')
        added, pictures = check_flow(page)
        assert added['amounts'][9] == 2 and sum(map(abs, added['amounts'])) == 2 and moved({1: ends[0]}, pictures) > .5
        box.get_by_role('button', name='Add nothing').click()
        assert sum(check_flow(page)[0]['amounts']) == 0
        box.get_by_role('radio', name='second face').check(force=True)
        box.get_by_role('radio', name='Face 10').check(force=True)
        assert check_flow(page)[0]['chosen'] == [first['chosen'][0], 9]


# ---- zebra

def check_zebra(page) -> dict:
    "There and back are Python's."
    drawn = settled(page, 'zebra')
    there, back = (drawn['way'], 'ba') if drawn['way'] == 'ab' else ('ba', 'ab')
    y = raw('zebra', there, x=drawn['x'])[0]
    expected = [grey(np.reshape(drawn['x'], (1, 3, 64, 64))), grey(y), grey(raw('zebra', back, x=y)[0])]
    assert_pictures(page, '[data-demo=zebra] .zebra-board canvas', np.concatenate(expected), 3)
    assert abs(drawn['error'] - abs(np.array(drawn['back']) - drawn['x']).mean()) < 1e-6
    return drawn


def png(pixels: np.ndarray) -> bytes:
    "A file of a picture (h, w, 3)."
    from PIL import Image
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, 'png')
    return held.getvalue()


def test_a_picture_of_ones_own_becomes_a_zebra_and_stays_in_the_page(chromium, url):
    needs('zebra', 'zebra')
    with opened(chromium, url, PAGE, viewport=dict(width=1200, height=1200)) as page:
        box = press_open(page, 'zebra')
        first = check_zebra(page)
        assert first['way'] == 'ab' and abs(np.array(first['x']) - real('animals-real', 0).ravel()).max() < 1e-6
        box.get_by_role('radio', name='Zebra 3').check(force=True)
        back = check_zebra(page)
        assert back['way'] == 'ba' and 'As a horse' in box.inner_text()

        asked = []
        page.on('request', lambda r: asked.append(r.url))
        mine = np.random.default_rng(0).integers(0, 256, (128, 170, 3), np.uint8)
        page.set_input_files('#zebra-file', dict(name='mine.png', mimeType='image/png', buffer=png(mine)))
        page.wait_for_function('old => document.querySelector("[data-demo=zebra]").drawn.x[0] !== old',
                               arg=back['x'][0])
        given = check_zebra(page)
        # the middle square, in means of 2 x 2 pixels
        tiles = mine[:, 21:149].astype(float).reshape(64, 2, 64, 2, 3).mean((1, 3)).transpose(2, 0, 1)
        assert abs(np.reshape(given['x'], (3, 64, 64)) - (tiles/127.5 - 1)).max() < 1e-5
        box.get_by_role('radio', name='horse → zebra').check(force=True)
        assert check_zebra(page)['way'] == 'ab'

        said = lambda: box.locator('.demo-words').last.inner_text()
        for name, kind, held, words in (('notes.txt', 'text/plain', b'a horse', 'is not a picture'),
                                        ('broken.png', 'image/png', png(mine)[:60], 'cannot be read'),
                                        ('none.png', 'image/png', b'', 'is empty')):
            page.set_input_files('#zebra-file', dict(name=name, mimeType=kind, buffer=held))
            page.wait_for_function('words => document.querySelector("[data-demo=zebra]").innerText.includes(words)',
                                   arg=words)
            assert name in said()
        assert settled(page, 'zebra')['x'] == given['x'], 'a bad file changes nothing'
        large = page.evaluate('async path => (await import(path)).read({name: "large.png", type: "image/png", size: '
                              '9e7}).catch(e => e.message)', f'{url}_static/demos/zebra.js')
        assert '90 MB' in large and 'below 40 MB' in large

        page.evaluate('''bytes => {
            const held = new DataTransfer(), drop = {dataTransfer: held, bubbles: true, cancelable: true};
            held.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
            document.querySelector("[data-demo=zebra]").dispatchEvent(new DragEvent("drop", drop)); }''',
            list(png(255 - mine)))
        page.wait_for_function('old => document.querySelector("[data-demo=zebra]").drawn.x[0] !== old',
                               arg=given['x'][0])
        assert abs(np.array(check_zebra(page)['x']) + given['x']).max() < 1e-5 and said() == ''
        assert not [a for a in asked if not a.startswith(('blob:', 'data:'))], 'the picture stays in the page'
