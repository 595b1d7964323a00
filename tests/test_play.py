"The live page plays the game that Python plays: same seed and settings, same losses and points. Its JavaScript runs in node, else in Chromium."
import contextlib, functools, http.server, json, shutil, subprocess, threading
from pathlib import Path

import numpy as np
import pytest
import torch

from dlcv_gan.draw import grid, mode_centres, modes_covered, ring
from dlcv_gan.game import DG, Schedule
from dlcv_gan.losses import dragan, gradient_penalty, hinge, least_squares, minimax, non_saturating, r1, wasserstein
from dlcv_gan.play import Rain, play_game

STATIC = Path(__file__).resolve().parents[1]/'docs'/'_static'
SCRIPT = STATIC/'play'/'game.js'
if not SCRIPT.exists(): pytest.skip('the page lives in the repository', allow_module_level=True)
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync']
WORLDS = dict(ring=mode_centres(ring), grid=mode_centres(grid, side=3))
OBJECTIVES = dict(minimax=minimax, non_saturating=non_saturating, least_squares=least_squares, hinge=hinge, wasserstein=wasserstein)
PENALTIES = dict(gradient_penalty=gradient_penalty, r1=r1, dragan=dragan)
ROUNDS = 40


@contextlib.contextmanager
def served(folder: Path):
    "A folder on a port of this machine."
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): pass
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try: yield f'http://127.0.0.1:{server.server_port}/'
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def browser(**context):
    "A new profile of the Chromium found here."
    sync_api = pytest.importorskip('playwright.sync_api')
    if not CHROMIUM: pytest.skip('no chromium on the PATH')
    with sync_api.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try: yield chromium.new_context(**context)
        finally: chromium.close()


def javascript(body: str, *args):
    "What an async function body returns; `play` is the module under test."
    if node := shutil.which('node'):
        code = f'import * as play from {json.dumps(SCRIPT.as_uri())}; const f = async (play, args) => {{{body}}}; console.log(JSON.stringify(await f(play, {json.dumps(args)})))'
        out = subprocess.run([node, '--input-type=module', '-e', code], capture_output=True, text=True, timeout=300)
        assert not out.returncode, out.stderr
        return json.loads(out.stdout)
    with served(STATIC) as url, browser() as context:
        page = context.new_page()
        page.goto(url + 'play/game.js')
        return page.evaluate(f'async args => {{ const play = await import("/play/game.js"); {body} }}', list(args))


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
    assert_same(*both(settings, 2 * ROUNDS, objective=OBJECTIVES[objective], penalty=PENALTIES[name](2.5), seed=1), WORLDS['ring'])


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


def test_the_rain_is_a_function_of_seed_and_number():
    rain = Rain(WORLDS['ring'], seed=5)
    x, = rain[3]
    assert torch.equal(x, Rain(WORLDS['ring'], seed=5)[3][0]) and not torch.equal(x, rain[4][0]) and x.dtype == torch.float64
    rain.position = 998
    assert len(list(rain)) == 2
    assert np.allclose(javascript('return [...play.realBatch("ring", 5, 3, 64)]', 0), x.flatten(), atol=1e-14)


def test_a_seed_outside_is_refused():
    with pytest.raises(ValueError, match='4001'): Rain(WORLDS['ring'], seed=4001)
    with pytest.raises(ValueError, match='bs is 9'): Rain(WORLDS['ring'], bs=9)
