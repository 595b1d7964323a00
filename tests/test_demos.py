"The demos of the built site, used in a real browser: their pictures are those that Python makes of the same numbers."
import contextlib, json

import numpy as np
import pytest
import torch
from test_browser import SITE, axe, chromium, findings, opened, url  # noqa: F401

PAGE, DEMOS = 'demos.html', SITE/'_static'/'demos'
if not (SITE/PAGE).exists(): pytest.skip('the site has no page of demos', allow_module_level=True)
TEXT = (SITE/PAGE).read_text(encoding='utf-8')
SLOW = 300_000


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
    page.wait_for_function('name => { const b = document.querySelector(`[data-demo=${name}]`); return "open" in b.dataset || b.querySelector(".demo-words")?.textContent; }', arg=name, timeout=SLOW)
    assert box.get_attribute('data-open') is not None, box.inner_text()
    settled(page, name)
    return box


def settled(page, name: str) -> dict:
    "What the demo has last fed, once it has stopped drawing."
    return page.evaluate('''async name => { const box = document.querySelector(`[data-demo=${name}]`);
        for (let calm = 0, last; calm < 4; await new Promise(r => setTimeout(r, 60))) { calm = box.drawn && box.drawn === last ? calm + 1 : 0; last = box.drawn; }
        return box.drawn; }''', name)


def shown(page, selector: str) -> dict[int, np.ndarray]:
    "Row -> the pixels (3, size, size) of the canvases that show it."
    found = page.evaluate('''selector => [...document.querySelectorAll(selector)].map(c => {
        const copy = new OffscreenCanvas(c.width, c.height).getContext("2d", {willReadFrequently: true});
        copy.drawImage(c, 0, 0);
        return [+c.dataset.row, c.width, [...copy.getImageData(0, 0, c.width, c.height).data]]; })''', selector)
    return {row: np.reshape(data, (size, size, 4))[..., :3].transpose(2, 0, 1) for row, size, data in found}


def python(model: str, part: str, **inputs) -> np.ndarray:
    "The pixels that onnxruntime in Python makes of the same numbers."
    runtime = pytest.importorskip('onnxruntime')
    about = json.loads((DEMOS/'models'/f'{model}.json').read_text(encoding='utf-8'))['parts'][part]
    session = runtime.InferenceSession(DEMOS/'models'/about['file'], providers=['CPUExecutionProvider'])
    fed = {k: np.asarray(v, np.float32).reshape(-1, *about['inputs'][k]) for k, v in inputs.items()}
    return np.clip(np.round(127.5 * session.run(['x'], fed)[0] + 127.5), 0, 255)


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
        assert {a.split('/')[-1] for a in asked if '/ort/' in a} == {'ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'}
        assert any('/models/faces' in a for a in asked)


@pytest.mark.parametrize('lost, mend', [('**/ort/ort.wasm.min.mjs', 'Install Node.js'), ('**/models/faces.json', 'tools/demos.py export faces')])
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
            ours = page.evaluate('async ([path, seed, n]) => [...(await import(path)).normals(seed, n)]', [f'{url}_static/demos/demo.js', seed, n])
            assert abs(torch.tensor(ours) - torch.randn(n, generator=torch.Generator().manual_seed(seed))).max() < 2e-6


@pytest.mark.parametrize('width, theme', [(1200, 'light'), (360, 'dark')])
@pytest.mark.parametrize('name, models', [('faces', ['faces']), ('anime', ['anime']), ('scenes', ['scenes-gan', 'scenes-flow'])])
def test_an_open_demo_fits_and_can_be_read(chromium, url, axe, name, models, width, theme):
    needs(name, *models)
    with opened(chromium, url, PAGE, width, theme, has_touch=width < 500) as page:
        box = press_open(page, name)
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        small = box.locator('button').evaluate_all('all => all.filter(b => b.offsetParent && b.offsetHeight < 30).map(b => b.outerHTML.slice(0, 80))')
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
        assert (z == 0).all() and max(abs(faces[i] - faces[0]).max() for i in faces) <= 1 and 'the same face' in box.inner_text()
        page.keyboard.press('End')
        assert abs(check_anime(page)[0] - 2 * same).max() < 1e-5
        box.get_by_role('button', name='Other faces').click()
        assert abs(check_anime(page)[0] - 2 * same).max() > 1


# ---- scenes

def check_scenes(page) -> tuple[dict, dict]:
    "Both models' numbers, and their pictures, which are Python's."
    drawn, pictures = settled(page, 'scenes'), {}
    for name, part in (('scenes-gan', 'generate'), ('scenes-flow', 'decode')):
        selector = f'[data-demo=scenes] canvas[data-model={name}]'
        assert_pictures(page, selector, python(name, part, **drawn[name]), 4)
        pictures[name] = shown(page, selector)
    y = np.reshape([drawn[name]['y'] for name in drawn], (8, 24))
    assert (y == y[0]).all()
    return dict(y=y[0], **{name: np.reshape(drawn[name]['z'], (4, -1)) for name in drawn}), pictures


def test_two_models_draw_the_same_request(chromium, url):
    needs('scenes', 'scenes-gan', 'scenes-flow')
    with opened(chromium, url, PAGE, viewport=dict(width=1200, height=1400)) as page:
        box = press_open(page, 'scenes')
        first, before = check_scenes(page)
        assert first['y'].sum() == 2 and len(set(box.locator('.scenes-time').all_inner_texts())) and 'ms a picture' in box.inner_text()
        box.get_by_role('button', name='yellow cylinder').focus() # by key
        page.keyboard.press('Enter')
        second, after = check_scenes(page)
        assert second['y'].sum() == 3 and all((second[m] == first[m]).all() for m in before)
        assert all(moved(before[m], after[m]) > 0 for m in before) and 'a yellow cylinder' in box.inner_text()
        box.get_by_role('button', name='gray cube').click() # a fourth is refused, in words
        assert 'Three at most' in box.inner_text() and settled(page, 'scenes')['scenes-gan']['y'] == second['y'].tolist() * 4
        for name in ('red cube', 'blue sphere', 'yellow cylinder'): box.get_by_role('button', name=name).click()
        assert 'at least' in box.inner_text() and check_scenes(page)[0]['y'].tolist().index(1) == 23

        box.get_by_role('slider').focus()
        page.keyboard.press('Home')
        cold, pictures = check_scenes(page)
        assert (cold['scenes-flow'] == 0).all() and max(abs(x - pictures['scenes-flow'][0]).max() for x in pictures['scenes-flow'].values()) <= 1
        assert min(abs(pictures['scenes-gan'][i] - pictures['scenes-gan'][0]).max() for i in (1, 2, 3)) > 0
        box.get_by_role('button', name='Draw again').click()
        assert abs(check_scenes(page)[0]['scenes-gan'] - cold['scenes-gan']).max() > .1
