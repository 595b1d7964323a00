"The live page plays the game that Python plays: same losses and points. Its JavaScript runs in node, else in Chromium."
import contextlib, json, shutil, subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from chromium import browser, served

from dlcv_gan.worlds.points import grid, mode_centres, modes_covered, ring
from dlcv_gan.game.schedules import DG, Schedule
from dlcv_gan.losses import dragan, gradient_penalty, hinge, least_squares, minimax, non_saturating, r1, wasserstein
from dlcv_gan.start.play import MixtureLoader, play_game

STATIC = Path(__file__).resolve().parents[2]/'docs'/'_static'
SCRIPT = STATIC/'play'/'game.js'
if not SCRIPT.exists(): pytest.skip('the page lives in the repository', allow_module_level=True)
WORLDS = dict(ring=mode_centres(ring), grid=mode_centres(grid, side=3))
OBJECTIVES = dict(minimax=minimax, non_saturating=non_saturating, least_squares=least_squares, hinge=hinge,
                  wasserstein=wasserstein)
PENALTIES = dict(gradient_penalty=gradient_penalty, r1=r1, dragan=dragan)
ROUNDS = 40


def javascript(body: str, *args, script: str = 'game'):
    "What an async function body returns; `play` is the module under test."
    file = STATIC/'play'/f'{script}.js'
    if node := shutil.which('node'):
        code = (f'import * as play from {json.dumps(file.as_uri())}; const f = async (play, args) => {{{body}}}; '
                f'console.log(JSON.stringify(await f(play, {json.dumps(args)})))')
        out = subprocess.run([node, '--input-type=module', '-e', code], capture_output=True, text=True, timeout=300)
        assert not out.returncode, out.stderr
        return json.loads(out.stdout)
    with served(STATIC) as url, browser() as chromium:
        page = chromium.new_page()
        page.goto(url + f'play/{script}.js')
        return page.evaluate(f'async args => {{ const play = await import("/play/{script}.js"); {body} }}', list(args))


THEIRS = '''const game = new play.Game(args[0]);
const log = [...args[1]].map(c => c === '.' ? game.next() : game.turn(c));
const x = game.sample(512, 7);
return {log, x: [...x], covered: game.covered(x)};'''


def both(settings: dict, turns: int, **python):
    "The same turns in JavaScript and in Python: what each saw."
    theirs = javascript(THEIRS, settings, '.' * turns)
    ours = play_game(WORLDS[settings.get('world', 'ring')], **python)
    with ours.no_bar(), ours.no_logging(): ours.fit_rounds(ROUNDS)
    return theirs, ours


def assert_same(theirs, ours, centres):
    assert ''.join(r['player'] for r in theirs['log']) == ''.join(p[0].upper() for p in ours.history.player)
    terms = [c for c in ours.history if c.endswith(('.adversarial', '.penalty'))]
    mine = [{c.split('.')[1]: v for c, v in zip(terms, row) if v == v} for row in ours.history[terms].to_numpy()]
    off = [abs(r[k] - v) / max(1, abs(v)) for r, row in zip(theirs['log'], mine) for k, v in row.items()]
    x = np.reshape(theirs['x'], (-1, 2))
    y = ours.sample(512, seed=7).numpy()
    print(f'losses {max(off):.1e}, points {abs(x - y).max():.1e} apart after {len(mine)} turns')
    assert max(off) < 1e-6 and abs(x - y).max() < 1e-6 and abs(y).max() > 1e-2
    modes, share = modes_covered(y, centres, .1)
    assert theirs['covered'] == dict(modes=modes, share=share)


@pytest.mark.parametrize('name', OBJECTIVES)
def test_every_objective_gives_pythons_numbers(name):
    assert_same(*both(dict(objective=name, seed=3), 2 * ROUNDS, objective=OBJECTIVES[name], seed=3), WORLDS['ring'])


@pytest.mark.parametrize('objective', ['non_saturating', 'wasserstein'])
@pytest.mark.parametrize('name', PENALTIES)
def test_every_penalty_gives_pythons_numbers(name, objective):
    settings = dict(objective=objective, penalty=name, weight=2.5, seed=1)
    assert_same(*both(settings, 2 * ROUNDS, objective=OBJECTIVES[objective], penalty=PENALTIES[name](2.5), seed=1),
                WORLDS['ring'])


def test_clipping_the_other_world_and_other_rates_give_pythons_numbers():
    settings = dict(world='grid', objective='wasserstein', clip=.1, seed=4000, lrD=3e-3, lrG=5e-4)
    assert_same(*both(settings, 2 * ROUNDS, objective=wasserstein, clip=.1, seed=4000, lr=(3e-3, 5e-4)), WORLDS['grid'])


@pytest.mark.parametrize('d, g, first', [(5, 1, 'd'), (5, 1, 'g'), (1, 3, 'g'), (2, 2, 'd'), (0, 2, 'd'), (3, 0, 'd')])
def test_schedules_give_pythons_numbers(d, g, first):
    schedule = DG(d, g, first)
    turns = sum(len(schedule.moves(i)) for i in range(ROUNDS))
    assert_same(*both(dict(d=d, g=g, first=first), turns, schedule=schedule), WORLDS['ring'])


def test_who_moves_on_a_round_is_the_law_of_DG():
    cases = [dict(d=d, g=g, first=f) for d in range(7) for g in range(7) for f in 'dg' if d + g]
    theirs = javascript('return args[0].map(c => Array.from({length: 12}, (_, i) => play.moves(c, i).join("")))', cases)
    assert theirs == [[''.join(p[0].upper() for p in DG(**c).moves(i)) for i in range(12)] for c in cases]


def test_steps_by_hand_give_pythons_numbers():
    rounds = ['D', 'DGG', 'D', 'DG', 'DGGG'] # a hand that asks for D takes a new batch, one that asks for G does not
    class ByHand(Schedule):
        def moves(self, i): return tuple(dict(D='discriminator', G='generator')[c] for c in rounds[i % 5])
    theirs = javascript(THEIRS, dict(seed=9, penalty='r1', weight=1), ''.join(rounds) * (ROUNDS // 5))
    ours = play_game(WORLDS['ring'], penalty=r1(1.), schedule=ByHand(), seed=9)
    with ours.no_bar(), ours.no_logging(): ours.fit_rounds(ROUNDS)
    assert_same(theirs, ours, WORLDS['ring'])


def test_scores_and_pulls_are_autograds():
    body = '''const g = new play.Game(args[0]), x = Float64Array.from(args[1]);
    return [[...g.scores(x)], [...g.pull(x)]];'''
    x = torch.linspace(-3, 3, 40, dtype=torch.float64).reshape(20, 2) ** 2
    for name, objective in OBJECTIVES.items():
        scores, pull = javascript(body, dict(objective=name, seed=2), x.flatten().tolist())
        D = play_game(WORLDS['ring'], seed=2).game.discriminator
        points = x.clone().requires_grad_()
        mine = D(points)
        down, = torch.autograd.grad(len(x) * objective.generator(mine), points)
        assert np.allclose(scores, mine.detach(), atol=1e-12) and np.allclose(pull, -down.flatten(), atol=1e-12)


def test_the_loader_is_a_function_of_seed_and_number():
    loader = MixtureLoader(WORLDS['ring'], seed=5)
    x, = loader[3]
    assert torch.equal(x, MixtureLoader(WORLDS['ring'], seed=5)[3][0]) and x.dtype == torch.float64
    assert not torch.equal(x, loader[4][0])
    loader.position = 998
    assert len(list(loader)) == 2
    assert np.allclose(javascript('return [...play.realBatch("ring", 5, 3, 64)]', 0), x.flatten(), atol=1e-14)


def test_a_seed_outside_is_refused():
    with pytest.raises(ValueError, match='4001'): MixtureLoader(WORLDS['ring'], seed=4001)
    with pytest.raises(ValueError, match='bs is 9'): MixtureLoader(WORLDS['ring'], bs=9)


# ---- the page, in a real browser

BUILT = SCRIPT.parents[2]/'_build'/'html' # `make docs` writes it
HTML = ('<!doctype html><html lang="en"{}><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>t</title><h1>Game</h1>'
        '<div class="play" data-play></div><script type="module" src="_static/play/page.js"></script></html>')


@pytest.fixture(scope='module')
def chromium():
    with browser() as it: yield it


@contextlib.contextmanager
def opened(chromium, tmp_path, theme='light', address='play.html', html=HTML, **context):
    "The page under a sub-path, in a new profile, and what went wrong: console errors, failed and foreign requests."
    if not (site := tmp_path/'sub'/'path').exists():
        shutil.copytree(STATIC/'play', site/'_static'/'play')
        (site/'play.html').write_text(html.format(f' data-theme="{theme}"'), encoding='utf-8')
    wrong = []
    with served(tmp_path) as url, contextlib.closing(chromium.new_context(**context)) as made:
        page = made.new_page()
        page.set_default_timeout(120_000)
        page.on('console', lambda m: wrong.append(m.text) if m.type in ('error', 'warning')
                and 'favicon' not in m.location.get('url', '') else None)
        page.on('pageerror', lambda e: wrong.append(str(e)))
        page.on('request', lambda r: wrong.append(r.url) if not r.url.startswith((url, 'data:', 'blob:')) else None)
        page.goto(url + f'sub/path/{address}')
        page.wait_for_selector('.play-start')
        yield page
    assert not wrong, wrong


def pixels(page, name='stage'): return page.evaluate(f'document.querySelector("[data-plot={name}]").toDataURL()')


def test_a_step_of_each_by_hand_is_pythons_step(chromium, tmp_path):
    with opened(chromium, tmp_path, viewport=dict(width=1000, height=1200)) as page:
        page.evaluate('document.querySelector("[data-play]").page.preset("The plain game", false)')
        start = pixels(page)
        page.click('.play-moves [data-do=D]')
        after_d, fakes = pixels(page), page.evaluate('[...document.querySelector("[data-play]").page.fakes]')
        page.click('.play-moves [data-do=G]')
        after_g, x = pixels(page), page.evaluate('[...document.querySelector("[data-play]").page.game.sample(512, 0)]')
        losses = page.evaluate('(c => [c.lossD.points, c.lossG.points].flat())'
                               '(document.querySelector("[data-play]").page.curves)')
        assert len({start, after_d, after_g}) == 3
        assert page.inner_text('[data-count=steps]') == '1, 1' and page.inner_text('[data-count=images]') == '64'
    ours = play_game(WORLDS['ring'])
    # a step of D leaves the fakes where they were
    assert np.allclose(fakes, ours.sample(256, seed=0).flatten(), atol=1e-6)
    with ours.no_bar(), ours.no_logging(): ours.fit_rounds(1)
    assert np.allclose(x, ours.sample(512, seed=0).flatten(), atol=1e-6)
    assert np.allclose(losses, ours.history[['discriminator.adversarial', 'generator.adversarial']].sum(axis=1),
                       atol=1e-6)


def test_it_plays_pauses_and_obeys_its_controls(chromium, tmp_path):
    with opened(chromium, tmp_path, viewport=dict(width=1000, height=1200)) as page:
        steps = lambda: page.evaluate('(g => g.steps.D + g.steps.G)(document.querySelector("[data-play]").page.game)')
        assert steps() == 0 # nothing moves before it is asked to
        page.click('.play-start')
        page.wait_for_function('document.querySelector("[data-play]").page.game.steps.G > 3')
        page.focus('.play-moves [data-do=play]')
        page.keyboard.press('Enter')
        at, before = steps(), None
        for _ in range(20): # on a busy machine frames that were asked for before the pause may still come
            if at == before: break
            page.wait_for_timeout(300)
            at, before = steps(), at
        assert at == before and 'Play' in page.inner_text('.play-moves [data-do=play]')
        page.keyboard.press('d')
        page.keyboard.press('g')
        assert steps() == at + 2
        page.keyboard.press('r')
        assert steps() == 0
        page.focus('[data-set=d]')
        for _ in range(4): page.keyboard.press('ArrowRight')
        page.select_option('[data-set=first]', 'g')
        page.select_option('[data-set=objective]', 'hinge')
        page.select_option('[data-set=penalty]', 'dragan')
        said = page.text_content('.play-code')
        assert 'DG(5, 1, first=\'g\')' in said and 'objective=hinge' in said and 'penalty=dragan(0.1)' in said
        moved = page.evaluate('(p => Array.from({length: 7}, () => (p.turn(), p.past.at(-1))).join(""))'
                              '(document.querySelector("[data-play]").page)')
        assert moved == 'GDDDDDG'
        ours = {}
        exec(said, ours) # the lines that it offers are lines that run
        assert ours['learn'].rounds == 100


def test_every_preset_starts_and_stays_finite(chromium, tmp_path):
    with opened(chromium, tmp_path, viewport=dict(width=1000, height=1200), reduced_motion='reduce') as page:
        finite = page.evaluate('''() => { const p = document.querySelector("[data-play]").page, out = {};
            for (const b of document.querySelectorAll("[data-preset]")) {
              p.preset(b.dataset.preset, false);
              for (let i = 0; i < 60; i++) p.turn();
              p.look(); p.draw();
              out[b.dataset.preset] = p.fakes.every(Number.isFinite) && b.getAttribute("aria-pressed") === "true";
            } return out; }''')
        assert len(finite) == 8 and all(finite.values()), finite


@pytest.mark.parametrize('width', [360, 1200])
@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_it_fits_is_labelled_and_can_be_read(chromium, tmp_path, width, theme):
    with opened(chromium, tmp_path, theme, viewport=dict(width=width, height=800), has_touch=width < 500) as page:
        if theme == 'dark': page.evaluate('document.body.style.background = "#121212"')
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        assert page.evaluate('''[...document.querySelectorAll(".play button, .play input, .play select")]
            .filter(e => !(e.labels?.length || e.textContent.trim() || e.ariaLabel)).map(e => e.outerHTML)''') == []
        assert page.evaluate('[...document.querySelectorAll(".play canvas")]'
                             '.every(c => c.getAttribute("role") === "img" && c.ariaLabel)')
        ids = page.evaluate('[...document.querySelectorAll("[id]")].map(e => e.id)')
        assert len(ids) == len(set(ids))
        small = page.evaluate('''[...document.querySelectorAll(".play button")]
            .filter(b => b.offsetParent && b.offsetHeight < 36).map(b => b.textContent)''')
        assert not small, f'{small}: too small for a finger'
        faint = page.evaluate('''() => { // WCAG AA: text against the nearest painted background, 4.5 to 1
            const rgb = s => s.match(/[\\d.]+/g).map(Number);
            const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
            const light = s => rgb(s).slice(0, 3).map(v => linear(v / 255))
              .reduce((a, v, i) => a + v * [.2126, .7152, .0722][i], 0);
            const ground = e => {
              for (; e; e = e.parentElement) {
                const c = getComputedStyle(e).backgroundColor;
                if ((rgb(c)[3] ?? 1) > .5) return c;
              }
              return "rgb(255,255,255)"; };
            const has_text = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
            return [...document.querySelectorAll(".play *")]
              .filter(e => e.offsetParent && !e.closest("[data-off]") && has_text(e)).map(e => {
                const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
                return [(a + .05) / (b + .05), e.outerHTML.slice(0, 80)]; }).filter(([r]) => r < 4.5); }''')
        assert not faint, faint


def test_the_built_page_holds_the_game(chromium, tmp_path):
    if not (BUILT/'start'/'play.html').exists(): pytest.skip('build it with `make docs`')
    shutil.copytree(BUILT, tmp_path/'sub'/'path')
    for width in (360, 1200):
        viewport = dict(width=width, height=800)
        with opened(chromium, tmp_path, address='start/play.html', viewport=viewport) as page:
            page.click('.play-moves [data-do=D]')
            assert page.inner_text('[data-count=steps]') == '1, 0'
            assert page.evaluate('document.documentElement.scrollWidth') <= width
