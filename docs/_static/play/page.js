// The live game's page: every element with `data-play` becomes one. The numbers are game.js's; here they are only shown and steered.
import { Curve, colours, fitted, pages, plot } from './curves.js';
import { Game, DEFAULTS, WORLDS, OBJECTIVES, PENALTIES, moves, realBatch } from './game.js';

// Each preset teaches one thing; the sentence says what to see.
const PRESETS = {
  'The mended game': [{ penalty: 'r1', weight: .1, lrD: 3e-3, lrG: 3e-3 }, 'The R1 penalty keeps D’s gradient small at real points. Its score, the background, becomes <b>smooth</b>; the fakes spread, reach <b>all 8 modes</b> and stay on them.'],
  'The plain game': [{}, 'The same game without a penalty. Both networks oscillate: the fakes <b>sweep over the plane</b>, reach the modes late, and few of them stay on one.'],
  'Collapse': [{ objective: 'minimax', d: 5, lrD: 3e-3 }, 'Minimax at 5:1. D’s score is soon flat almost everywhere, with a steep edge: <b>no gradient leads to the other modes</b>, and the fakes stay on two of the eight. Set the penalty to R1 while it runs: they spread again.'],
  'D too sure': [{ objective: 'minimax', d: 5, lrD: 5e-3, lrG: 5e-4 }, 'D’s learning rate is ten times G’s, and the gradient of the minimax loss vanishes where D is sure: <b>the arrows disappear</b>. Change the objective to non-saturating while it runs, and they are back at once.'],
  'Round and round': [{ objective: 'wasserstein' }, 'The Wasserstein objective without a bound on D’s gradient. D gives one direction, G follows it, D reverses it. The fakes <b>go round</b> as one cluster, and the scores do not converge.'],
  'D asleep': [{ d: 0, g: 1 }, 'D is never updated. G maximises the score of an untrained D, and <b>all fakes shrink to its maximum</b>: one point, on no mode. All that G learns about the data comes through D.'],
  'G in a hurry': [{ d: 1, g: 5 }, 'Five G steps per D step. All fakes move to where the current D is highest; D is updated, and they <b>move on together</b>: one or two modes at a time.'],
  'G opens': [{ d: 5, g: 3, first: 'g', penalty: 'r1', weight: .1, lrD: 3e-3, lrG: 3e-3 }, 'Look at the strip: GGGDDDDD. G’s first steps follow an <b>untrained discriminator</b>. Let D open instead: the first rounds differ, and by round 200 either order reaches all 8 modes. The order alone does not make this training fail.'],
};

const NAMES = { ring: 'ring of 8', grid: 'grid of 9', minimax: 'minimax', non_saturating: 'non-saturating', least_squares: 'least squares', hinge: 'hinge',
  wasserstein: 'Wasserstein', none: 'none', gradient_penalty: 'gradient penalty (WGAN-GP)', r1: 'R1 (slope 0 at real points)', dragan: 'DRAGAN (slope 1 near them)', clip: 'weight clipping (WGAN)' };
const RATES = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2], WEIGHTS = [.01, .03, .1, .3, 1, 3, 10], CLIPS = [.01, .03, .1, .3, 1];
const SPEEDS = [1, 3, 10, 30, 100, 300, Infinity]; // turns a second
const FAKES = 256, ARROWS = 72, FIELD = 40;

const options = names => names.map(n => `<option value="${n}">${NAMES[n]}</option>`).join('');
const html = id => {
  const slider = (name, label, max, value, kind = '') => `<div><label for="${id}-${name}">${label} <output id="${id}-${name}-out"></output></label>
    <input type="range" id="${id}-${name}" data-set="${name}" min="0" max="${max}" step="1" value="${value}" class="${kind}"></div>`;
  const select = (name, label, names, kind = '') => `<div class="${kind}"><label for="${id}-${name}">${label}</label><select id="${id}-${name}" data-set="${name}">${names}</select></div>`;
  const panel = (name, label) => `<div><p class="play-label">${label}</p><canvas data-plot="${name}" role="img" aria-label="Curves of ${name}"></canvas></div>`;
  return `
  <fieldset class="play-presets"><legend>Watch</legend>${Object.keys(PRESETS).map(n => `<button type="button" data-preset="${n}" aria-pressed="false">${n}</button>`).join('')}</fieldset>
  <p class="play-see" aria-live="polite"></p>
  <div class="play-board">
    <div>
      <div class="play-stage"><canvas data-plot="stage" role="img" aria-label="The plane: real points, fakes and arrows"></canvas>
        <button type="button" class="play-start" data-do="play">▶ Let them play</button></div>
      <p class="play-key"><span><i class="r"></i>real</span><span><i class="f"></i>fake</span><span><i class="a"></i>where G is pulled</span><span><i class="s"></i>D says: fake … real</span></p>
      <div class="play-moves"><button type="button" data-do="play" title="key p">▶ Play</button><button type="button" data-do="D" title="One step of the discriminator (key d)">D step</button>
        <button type="button" data-do="G" title="One step of the generator (key g)">G step</button><button type="button" data-do="reset" title="Back to the start, same seed (key r)">Reset</button></div>
    </div>
    <div>
      <dl class="play-counts">
        <div><dt>modes covered</dt><dd data-count="modes"></dd></div><div><dt>fakes on a mode</dt><dd data-count="share"></dd></div>
        <div><dt>steps of D, G</dt><dd data-count="steps"></dd></div><div><dt>real points seen</dt><dd data-count="images"></dd></div>
      </dl>
      <div class="play-settings">
        ${slider('d', 'D steps', 8, 1)}${slider('g', 'G steps', 8, 1, 'of-g')}
        ${slider('lrD', 'lr of D', RATES.length - 1, 3)}${slider('lrG', 'lr of G', RATES.length - 1, 3, 'of-g')}
        ${select('first', 'who opens', '<option value="d">D first</option><option value="g">G first</option>')}
        ${select('world', 'data', options(Object.keys(WORLDS)))}
        ${select('objective', 'objective', options(Object.keys(OBJECTIVES)), 'wide')}
        ${select('penalty', 'penalty on D', options([...Object.keys(PENALTIES), 'clip']), 'wide')}
        ${slider('weight', 'weight', WEIGHTS.length - 1, 4)}${slider('speed', 'speed', SPEEDS.length - 1, 5)}
        <div class="wide"><label for="${id}-seed">seed (a new one starts a new game)</label><span class="play-seed"><input type="number" id="${id}-seed" data-set="seed" min="0" max="4000" step="1" inputmode="numeric"><button type="button" data-do="dice">Another</button></span></div>
      </div>
    </div>
  </div>
  <div class="play-strip"><p class="play-label"><span>who moved <span aria-hidden="true">→</span> and who moves next</span><span data-count="round"></span></p><canvas data-plot="strip" role="img" aria-label="Who moved"></canvas></div>
  <div class="play-curves">${panel('losses', '<span>losses</span><span><span class="d">D</span> <span class="g">G</span></span>')}${panel('scores', '<span>mean scores</span><span><span class="d">real</span> <span class="g">fake</span></span>')}${panel('modes', '<span>modes covered</span><span data-count="best"></span>')}</div>
  <details><summary>The same game in Python</summary><pre class="play-code" tabindex="0" aria-label="Python code"></pre><button type="button" class="play-copy" data-do="copy">Copy</button></details>`;
};

const shown = v => v >= 1e6 ? `${(v / 1e6).toFixed(1)} M` : v >= 1e4 ? `${Math.round(v / 1e3)} k` : `${v}`;
const rate = v => v.toExponential().replace('e-', 'e−').replace('.0', '');

class Page {
  constructor(box, number) {
    this.box = box;
    box.innerHTML = html(`play${number}`);
    this.find = (selector) => box.querySelector(selector);
    this.settings = { ...DEFAULTS };
    this.speed = 300;
    this.playing = false;
    this.visible = false;
    this.calm = matchMedia('(prefers-reduced-motion: reduce)');
    box.addEventListener('click', e => {
      const b = e.target.closest('button');
      if (b?.dataset.preset) this.preset(b.dataset.preset, true);
      else if (b) this.press(b.dataset.do);
    });
    box.addEventListener('input', e => { if (e.target.dataset.set && e.target.type === 'range') this.set(e.target); });
    box.addEventListener('change', e => { if (e.target.dataset.set && e.target.type !== 'range') this.set(e.target); });
    box.addEventListener('keydown', e => {
      const key = { p: 'play', d: 'D', g: 'G', r: 'reset' }[e.key];
      if (key && !e.ctrlKey && !e.metaKey && !e.altKey && !/SELECT|INPUT/.test(e.target.tagName)) this.press(key);
    });
    new IntersectionObserver(([e]) => { this.visible = e.isIntersecting; this.wake(); }).observe(box);
    new ResizeObserver(() => this.draw()).observe(box);
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ['data-theme'] });
    document.addEventListener('visibilitychange', () => this.wake());
    this.preset(box.dataset.play in PRESETS ? box.dataset.play : 'The mended game', false);
  }

  // -- steering

  preset(name, start) {
    const [changes, see] = PRESETS[name];
    this.settings = { ...DEFAULTS, ...changes };
    this.box.querySelectorAll('[data-preset]').forEach(b => b.setAttribute('aria-pressed', b.dataset.preset === name));
    this.find('.play-see').innerHTML = see;
    this.reset();
    if (start) this.play(true);
  }

  reset() {
    this.game = new Game(this.settings);
    this.changed = false; // settings or a hand have made it another game than Python's line says
    this.owed = 0;
    this.past = []; // who moved
    this.find('.play-start').hidden = this.playing;
    this.curves = Object.fromEntries(['lossD', 'lossG', 'real', 'fake', 'modes'].map(n => [n, new Curve()]));
    const { world, seed } = this.settings;
    this.real = [0, 1, 2, 3].flatMap(i => [...realBatch(world, seed, i, 64)]);
    this.look();
    this.controls();
    this.draw();
  }

  press(what) {
    if (what === 'play') this.play(!this.playing);
    else if (what === 'reset') { this.play(false); this.reset(); }
    else if (what === 'dice') { this.settings.seed = Math.floor(Math.random() * 4001); this.reset(); }
    else if (what === 'copy') this.copy();
    else if (what === 'D' || what === 'G') { this.play(false); this.changed = true; this.turn(what); this.look(); this.controls(); this.draw(); }
  }

  set(input) {
    const name = input.dataset.set, s = this.settings, v = +input.value;
    if (name === 'speed') this.speed = SPEEDS[v];
    else if (name === 'lrD' || name === 'lrG') s[name] = RATES[v];
    else if (name === 'weight') s.penalty === 'none' && s.clip ? s.clip = CLIPS[Math.min(v, CLIPS.length - 1)] : s.weight = WEIGHTS[v];
    else if (name === 'penalty') Object.assign(s, input.value === 'clip' ? { penalty: 'none', clip: .1 } : { penalty: input.value, clip: 0 });
    else if (name === 'seed') s.seed = Math.min(4000, Math.max(0, Math.round(v) || 0));
    else s[name] = input.type === 'range' ? v : input.value;
    if (s.d + s.g === 0) s[name === 'd' ? 'g' : 'd'] = 1; // somebody has to move
    if (name === 'speed') return this.controls();
    this.box.querySelectorAll('[data-preset]').forEach(b => b.setAttribute('aria-pressed', false));
    const fresh = this.game.steps.D + this.game.steps.G === 0;
    if (fresh || name === 'seed' || name === 'world') return this.reset();
    Object.assign(this.game.settings, s); // the rest may change in the middle of a game: that is what one wants to see
    if (['d', 'g', 'first'].includes(name)) { this.game.queue = []; this.game.round = 0; }
    this.changed = true;
    this.controls();
    this.draw();
  }

  play(on) {
    this.playing = on;
    this.find('.play-start').hidden = on || this.past.length > 0;
    const b = this.find('.play-moves [data-do=play]');
    b.textContent = on ? '❚❚ Pause' : '▶ Play';
    if (!on) this.describe();
    this.wake();
  }

  wake() { // run only while it is wanted and seen
    const run = this.playing && this.visible && !document.hidden;
    if (!run || this.frame) return;
    this.then = performance.now();
    this.frame = requestAnimationFrame(t => this.tick(t));
  }

  tick(now) {
    this.frame = 0;
    const rest = this.calm.matches ? 500 : 0; // readers who asked for less motion get two pictures a second
    this.owed = Math.min(this.owed + (now - this.then) / 1000 * Math.min(this.speed, 1e5), this.speed === Infinity ? 1e5 : Math.max(1, this.speed / 4));
    this.then = now;
    let moved = false;
    while (this.owed >= 1 && performance.now() - now < (rest ? 60 : 12)) { this.turn(); this.owed--; moved = true; }
    if (moved && (!rest || now - (this.drawn || 0) > rest)) { this.drawn = now; this.look(); this.draw(); }
    this.wake();
  }

  turn(player) {
    const row = player ? this.game.turn(player) : this.game.next(), c = this.curves;
    this.past.push(row.player);
    if (this.past.length > 200) this.past.splice(0, 100);
    c[`loss${row.player}`].add(row.adversarial + (row.penalty || 0));
    if (row.player === 'D') { c.real.add(row.real); c.fake.add(row.fake); }
    if ((this.game.steps.D + this.game.steps.G) % 20 === 1) c.modes.add(this.game.covered(this.game.sample(512, 0)).modes);
    this.find('.play-start').hidden = true;
    if (!Number.isFinite(row.adversarial)) {
      this.play(false);
      this.find('.play-see').innerHTML = '<b>The training has diverged: its numbers are no longer finite.</b> A lower learning rate or a penalty may prevent this. Reset.';
    }
  }

  // -- looking

  look() {
    const g = this.game;
    this.fakes = g.sample(FAKES, 0);
    this.covered = g.covered(g.sample(512, 0));
    const k = WORLDS[this.settings.world].centres.length, count = (name, text) => { this.find(`[data-count=${name}]`).innerHTML = text; };
    count('modes', `${this.covered.modes}<small> of ${k}</small>`);
    count('share', `${Math.round(100 * this.covered.share)}<small> %</small>`);
    count('steps', `${shown(g.steps.D)}<small>, </small>${shown(g.steps.G)}`);
    count('images', shown(g.steps.D * this.settings.bs));
    count('round', `round ${shown(g.round)}`);
  }

  controls() {
    const s = this.settings, set = (name, value, text) => {
      const input = this.find(`[data-set=${name}]`), out = this.find(`output[id$="-${name}-out"]`);
      input.value = value;
      if (out) { out.textContent = text; input.setAttribute('aria-valuetext', text); }
    };
    const nearest = (list, v) => list.reduce((best, x, i) => Math.abs(Math.log(x / v)) < Math.abs(Math.log(list[best] / v)) ? i : best, 0);
    set('d', s.d, `${s.d}`); set('g', s.g, `${s.g}`);
    set('lrD', nearest(RATES, s.lrD), rate(s.lrD)); set('lrG', nearest(RATES, s.lrG), rate(s.lrG));
    for (const name of ['first', 'world', 'objective', 'seed']) set(name, s[name]);
    set('penalty', s.clip ? 'clip' : s.penalty);
    const weight = this.find('[data-set=weight]'), list = s.clip ? CLIPS : WEIGHTS, none = !s.clip && s.penalty === 'none';
    weight.max = list.length - 1;
    weight.disabled = none;
    weight.parentElement.toggleAttribute('data-off', none);
    set('weight', nearest(list, s.clip || s.weight), none ? '–' : `${s.clip ? '±' : ''}${s.clip || s.weight}`);
    set('speed', SPEEDS.indexOf(this.speed), this.speed === Infinity ? 'all it can' : `${this.speed} / s`);
    this.find('.play-code').textContent = this.python();
  }

  python() { // what to type for the same numbers
    const s = this.settings, ring = s.world === 'ring', names = [s.objective, ...(s.penalty === 'none' ? [] : [s.penalty])].sort();
    const extra = [['objective', s.objective], ...(s.penalty === 'none' ? [] : [['penalty', `${s.penalty}(${s.weight})`]]), ...(s.clip ? [['clip', s.clip]] : []),
      ['schedule', `DG(${s.d}, ${s.g}${s.first === 'g' ? ", first='g'" : ''})`], ['lr', `(${s.lrD}, ${s.lrG})`], ['seed', s.seed]];
    return `from dlcv_gan.worlds.points import ${ring ? 'mode_centres, ring' : 'grid, mode_centres'}\nfrom dlcv_gan.game.schedules import DG\nfrom dlcv_gan.losses import ${names.join(', ')}\nfrom dlcv_gan.start.play import play_game\n\n`
      + `learn = play_game(mode_centres(${ring ? 'ring' : 'grid, side=3'}),\n                  ${extra.map(([k, v]) => `${k}=${v}`).join(',\n                  ')})\n`
      + `learn.fit_rounds(100)           # the page's first 100 rounds\nlearn.sample(512, seed=0)       # the page's fakes`
      + (this.changed ? '\n\n# You have stepped by hand or changed the rules since the start: Reset plays this game.' : '');
  }

  async copy() {
    const b = this.find('[data-do=copy]');
    try { await navigator.clipboard.writeText(this.python()); b.textContent = 'Copied'; } catch { b.textContent = 'Select it and copy'; }
    setTimeout(() => { b.textContent = 'Copy'; }, 1500);
  }

  describe() { // the picture in words, for who cannot see it; said when it stands still
    const { modes, share } = this.covered, s = this.game.steps;
    this.find('[data-plot=stage]').setAttribute('aria-label', `The plane after ${s.D} steps of D and ${s.G} of G: fakes reach ${modes} modes, ${Math.round(100 * share)} percent of them lie on one.`);
    this.find('[data-plot=strip]').setAttribute('aria-label', `Last moves: ${this.past.slice(-24).join(' ') || 'none yet'}`);
  }

  // -- drawing

  canvas(name) { return this.find(`[data-plot=${name}]`); }

  draw() {
    if (!this.fakes || !this.box.clientWidth) return;
    this.colour = colours(this.box);
    this.stage();
    this.strip();
    const { lossD, lossG, real, fake, modes } = this.curves;
    plot(this.canvas('losses'), [[lossD, 'real'], [lossG, 'fake']], this.colour);
    plot(this.canvas('scores'), [[real, 'real'], [fake, 'fake']], this.colour);
    plot(this.canvas('modes'), [[modes, 'ink']], this.colour, [0, WORLDS[this.settings.world].centres.length]);
    if (!this.playing) this.describe();
  }

  field(extent) { // D's opinion at the middles of FIELD x FIELD tiles, squashed to -1 (fake) .. 1 (real)
    const grid = new Float64Array(2 * FIELD * FIELD);
    for (let i = 0; i < FIELD * FIELD; i++) {
      grid[2 * i] = ((i % FIELD + .5) / FIELD * 2 - 1) * extent;
      grid[2 * i + 1] = (1 - (Math.floor(i / FIELD) + .5) / FIELD * 2) * extent;
    }
    const scores = this.game.scores(grid), kind = this.settings.objective;
    if (kind === 'least_squares') return scores.map(s => Math.tanh(2 * s - 1));
    if (kind !== 'wasserstein') return scores.map(s => Math.tanh(s / 2));
    const middle = scores.reduce((a, b) => a + b, 0) / scores.length, spread = Math.sqrt(scores.reduce((a, s) => a + (s - middle) ** 2, 0) / scores.length);
    return scores.map(s => Math.tanh((s - middle) / Math.max(1, spread))); // a critic has no zero: only differences count
  }

  stage() {
    const [ctx, w] = fitted(this.canvas('stage')), { extent } = WORLDS[this.settings.world], c = this.colour;
    const X = x => (x / extent + 1) / 2 * w, Y = y => (1 - y / extent) / 2 * w;
    this.tiles ??= Object.assign(document.createElement('canvas'), { width: FIELD, height: FIELD });
    const tiles = this.tiles.getContext('2d'), image = tiles.createImageData(FIELD, FIELD), rgb = n => [1, 3, 5].map(i => parseInt((c[n] + c[n].slice(1)).slice(i, i + 2), 16));
    const [high, low] = [rgb('real'), rgb('fakes')];
    this.field(extent).forEach((v, i) => image.data.set([...(v > 0 ? high : low), 115 * Math.abs(v)], 4 * i));
    tiles.putImageData(image, 0, 0);
    ctx.imageSmoothingQuality = 'high';
    ctx.drawImage(this.tiles, 0, 0, w, w);
    const each = (points, f) => { for (let i = 0; i < points.length; i += 2) f(X(points[i]), Y(points[i + 1])); };
    ctx.strokeStyle = c.real; ctx.lineWidth = 1; ctx.globalAlpha = .75;
    each(this.real, (x, y) => { ctx.beginPath(); ctx.arc(x, y, 2.6, 0, 7); ctx.stroke(); });
    ctx.globalAlpha = .9; ctx.fillStyle = c.fakes;
    each(this.fakes, (x, y) => { ctx.beginPath(); ctx.arc(x, y, 2.8, 0, 7); ctx.fill(); });
    ctx.globalAlpha = 1; ctx.strokeStyle = ctx.fillStyle = c.fake; ctx.lineWidth = 1.5;
    const from = this.fakes.subarray(0, 2 * ARROWS), pull = this.game.pull(from);
    for (let i = 0; i < from.length; i += 2) {
      const size = Math.hypot(pull[i], pull[i + 1]), length = 32 * Math.tanh(1.5 * size);
      if (length < 1.5) continue;
      const dx = pull[i] / size, dy = -pull[i + 1] / size, x = X(from[i]), y = Y(from[i + 1]), tx = x + dx * length, ty = y + dy * length, head = Math.min(5, length / 2);
      ctx.beginPath(); ctx.moveTo(x, y); ctx.lineTo(tx, ty); ctx.stroke();
      ctx.beginPath(); ctx.moveTo(tx + dx * head / 2, ty + dy * head / 2);
      ctx.lineTo(tx - (dx + dy * .7) * head, ty - (dy - dx * .7) * head); ctx.lineTo(tx - (dx - dy * .7) * head, ty - (dy + dx * .7) * head); ctx.fill();
    }
  }

  strip() { // the last moves, then (faint) the next ones
    const [ctx, w, h] = fitted(this.canvas('strip')), c = this.colour, size = 19, room = Math.max(4, Math.floor(w / size)), next = [...this.game.queue];
    for (let i = this.game.round; next.length < room / 4; i++) next.push(...moves(this.game.settings, i));
    const ahead = next.slice(0, Math.floor(room / 4)), past = this.past.slice(-(room - ahead.length));
    ctx.font = '600 12px system-ui, sans-serif'; ctx.textAlign = 'center'; ctx.textBaseline = 'middle';
    [...past, ...ahead].forEach((p, i) => {
      const coming = i >= past.length, x = i * size + 1, y = p === 'D' ? 1 : h - 22;
      ctx.globalAlpha = coming ? .45 : 1;
      ctx.fillStyle = ctx.strokeStyle = p === 'D' ? c.real : c.fake;
      ctx.beginPath(); ctx.roundRect(x + .5, y + .5, size - 3, 20, 4);
      coming ? ctx.stroke() : ctx.fill();
      ctx.fillStyle = coming ? c.ink : c.paper;
      ctx.fillText(p, x + (size - 2) / 2, y + 11);
    });
    ctx.globalAlpha = 1; ctx.fillStyle = c.ink;
    if (ahead.length) ctx.fillRect(past.length * size - .5, 0, 1.5, h);
  }
}

pages('play', (box, i) => new Page(box, i));
