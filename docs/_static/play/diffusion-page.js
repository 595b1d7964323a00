// The live diffusion model's page: every element with `data-diffusion` becomes one. The numbers are diffusion.js's; here they are only shown and steered.
import { Curve, colours, fitted, pages, plot } from './curves.js';
import { DEFAULTS, Denoiser } from './diffusion.js';
import { Random, WORLDS, covered, realBatch } from './game.js';

const NAMES = { ring: 'ring of 8', grid: 'grid of 9', cosine: 'cosine', linear: 'linear', v: 'v', noise: 'the noise', data: 'the points' };
const STEPS = [1, 2, 3, 5, 10, 25, 50, 100], RATES = [2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2];
const POINTS = 256, TRACED = 40, SEEN = 250; // drawn points, paths shown, milliseconds between two looks while it trains

const HELP = 'Train the network, then drag the <b>time</b> from noise to points. Each orange point moves a part of the way towards the network’s guess, the small dot at the end of its line, and the network guesses again.';

const options = names => names.map(n => `<option value="${n}">${NAMES[n]}</option>`).join('');
const html = id => {
  const select = (name, label, names) => `<div><label for="${id}-${name}">${label}</label><select id="${id}-${name}" data-set="${name}">${options(names)}</select></div>`;
  const slider = (name, label, max) => `<div><label for="${id}-${name}">${label} <output id="${id}-${name}-out"></output></label><input type="range" id="${id}-${name}" data-set="${name}" min="0" max="${max}" step="1"></div>`;
  return `
  <p class="play-see" aria-live="polite">${HELP}</p>
  <div class="play-board">
    <div>
      <div class="play-stage"><canvas data-plot="stage" role="img" aria-label="The plane: data, drawn points, guesses and paths"></canvas>
        <button type="button" class="play-start" data-do="train">▶ Train</button></div>
      <p class="play-key"><span><i class="r"></i>data</span><span><i class="f"></i>drawn</span><span><i class="a"></i>towards the guess</span></p>
      <div class="play-time"><label for="${id}-time">time <output id="${id}-time-out"></output></label><input type="range" id="${id}-time" data-set="time" min="0" max="25" step="1"></div>
      <div class="play-moves"><button type="button" data-do="train" title="key t">▶ Train</button><button type="button" data-do="once" title="One iteration of the training">Iterate</button><button type="button" data-do="draw" title="From noise to points (key d)">Draw</button><button type="button" data-do="reset" title="key r">Reset</button></div>
    </div>
    <div>
      <dl class="play-counts">
        <div><dt>modes covered</dt><dd data-count="modes"></dd></div><div><dt>points on a mode</dt><dd data-count="share"></dd></div>
        <div><dt>iterations</dt><dd data-count="iterations"></dd></div><div><dt>passes per point</dt><dd data-count="passes"></dd></div>
      </dl>
      <div class="play-settings">
        ${slider('steps', 'steps of drawing', STEPS.length - 1)}
        <div><label for="${id}-eta">new noise at each step</label><select id="${id}-eta" data-set="eta"><option value="0">none (DDIM)</option><option value="1">some (DDPM)</option></select></div>
        ${select('world', 'data', Object.keys(WORLDS))}${select('schedule', 'schedule of the noise', ['cosine', 'linear'])}
        ${select('predict', 'the network predicts', ['v', 'noise', 'data'])}${slider('lr', 'learning rate', RATES.length - 1)}
        <div class="wide"><label for="${id}-seed">seed (a new one starts anew)</label><span class="play-seed"><input type="number" id="${id}-seed" data-set="seed" min="0" max="4000" step="1" inputmode="numeric"><button type="button" data-do="dice">Another</button></span></div>
      </div>
    </div>
  </div>
  <div class="play-curves two"><div><p class="play-label"><span>squared error of the network</span></p><canvas data-plot="loss" role="img" aria-label="Curve of the loss"></canvas></div>
    <div><p class="play-label"><span>share of drawn points on a mode</span></p><canvas data-plot="share" role="img" aria-label="Curve of the share of points on a mode"></canvas></div></div>`;
};

const shown = v => v >= 1e4 ? `${Math.round(v / 1e3)} k` : `${v}`;

class Page {
  constructor(box, number) {
    this.box = box;
    box.innerHTML = html(`diffusion${number}`);
    this.find = selector => box.querySelector(selector);
    this.settings = { ...DEFAULTS };
    this.steps = 25; this.eta = 0; this.training = false; this.visible = false; this.drawing = 0;
    this.calm = matchMedia('(prefers-reduced-motion: reduce)');
    box.addEventListener('click', e => { const what = e.target.closest('button')?.dataset.do; if (what) this.press(what); });
    box.addEventListener('input', e => { if (e.target.type === 'range') this.set(e.target); });
    box.addEventListener('change', e => { if (e.target.type !== 'range') this.set(e.target); });
    box.addEventListener('keydown', e => {
      const key = { t: 'train', d: 'draw', r: 'reset' }[e.key];
      if (key && !e.ctrlKey && !e.metaKey && !e.altKey && !/SELECT|INPUT/.test(e.target.tagName)) this.press(key);
    });
    new IntersectionObserver(([e]) => { this.visible = e.isIntersecting; this.wake(); }).observe(box);
    new ResizeObserver(() => this.draw()).observe(box);
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ['data-theme'] });
    document.addEventListener('visibilitychange', () => this.wake());
    this.reset();
  }

  // -- steering

  reset() {
    this.model = new Denoiser(this.settings);
    this.find('.play-see').innerHTML = HELP;
    this.curves = { loss: new Curve(), share: new Curve() };
    const { world, seed } = this.settings;
    this.real = [0, 1, 2, 3].flatMap(i => [...realBatch(world, seed, i, 64)]);
    this.z = new Random(4001 + seed).normals(2 * POINTS);
    this.at = this.steps; // where along the path the points stand: 0 is noise, `steps` the end
    this.find('.play-start').hidden = this.training;
    this.look();
  }

  press(what) {
    if (what === 'train') this.train(!this.training);
    else if (what === 'once') { this.train(false); this.iterate(); this.look(); }
    else if (what === 'draw') { this.at = 0; this.drawing = performance.now(); this.show(); this.wake(); }
    else if (what === 'reset') { this.train(false); this.reset(); }
    else if (what === 'dice') { this.settings.seed = Math.floor(Math.random() * 4001); this.reset(); }
  }

  set(input) {
    const name = input.dataset.set, v = +input.value;
    if (name === 'time') { this.at = v; this.drawing = 0; return this.show(); }
    if (name === 'steps' || name === 'eta') {
      const share = this.at / this.steps;
      if (name === 'steps') this.steps = STEPS[v]; else this.eta = v;
      this.at = Math.round(share * this.steps);
      return this.look();
    }
    if (name === 'lr') { this.settings.lr = this.model.settings.lr = RATES[v]; return this.show(); }
    this.settings[name] = name === 'seed' ? Math.min(4000, Math.max(0, Math.round(v) || 0)) : input.value;
    this.reset(); // other data, noise or questions are another model
  }

  train(on) {
    this.training = on;
    this.find('.play-start').hidden = on || this.model.steps > 0;
    this.find('.play-moves [data-do=train]').textContent = on ? '❚❚ Pause' : '▶ Train';
    if (!on) this.look();
    this.wake();
  }

  wake() { // run only while it is wanted and seen
    if (this.frame || document.hidden || !this.visible || !(this.training || this.drawing)) return;
    this.frame = requestAnimationFrame(now => this.tick(now));
  }

  tick(now) {
    this.frame = 0;
    if (this.training) {
      const start = performance.now();
      while (performance.now() - start < 20 && this.training) this.iterate();
      if (!this.drawing && now - (this.seen || 0) > (this.calm.matches ? 1000 : SEEN)) { this.seen = now; this.look(); }
    }
    if (this.drawing) { // two seconds from noise to points
      this.at = this.calm.matches ? this.steps : Math.min(this.steps, Math.max(0, Math.floor((now - this.drawing) / 2000 * (this.steps + 1)))) /* a frame may be older than the click */;
      if (this.at === this.steps) this.drawing = 0;
      this.show();
    }
    this.wake();
  }

  iterate() {
    const loss = this.model.step();
    this.curves.loss.add(loss);
    this.find('.play-start').hidden = true;
    if (Number.isFinite(loss)) return;
    this.train(false);
    this.find('.play-see').innerHTML = '<b>The training has diverged: its numbers are no longer finite.</b> Set a lower learning rate, then Reset.';
  }

  // -- looking

  look() { // draw all points anew by the network as it is
    this.path = this.model.path(this.z, this.steps, this.eta);
    this.found = covered(this.settings.world, this.path.at(-1).x);
    if (this.model.steps) this.curves.share.add(this.found.share);
    this.show();
  }

  show() {
    const s = this.settings, { modes, share } = this.found, { t } = this.path[this.at];
    const count = (name, text) => { this.find(`[data-count=${name}]`).innerHTML = text; };
    count('modes', `${modes}<small> of ${WORLDS[s.world].centres.length}</small>`);
    count('share', `${Math.round(100 * share)}<small> %</small>`);
    count('iterations', shown(this.model.steps));
    count('passes', `${this.steps}`);
    const set = (name, value, text) => {
      const input = this.find(`[data-set=${name}]`), out = this.find(`output[id$="-${name}-out"]`);
      input.value = value;
      if (out) { out.textContent = text; input.setAttribute('aria-valuetext', text); }
    };
    this.find('[data-set=time]').max = this.steps;
    set('time', this.at, `${t} of ${s.T}${t === s.T ? ', noise' : t ? '' : ', points'}`);
    set('steps', STEPS.indexOf(this.steps), `${this.steps}`);
    set('lr', RATES.indexOf(s.lr), s.lr.toExponential().replace('e-', 'e−'));
    set('eta', this.eta);
    for (const name of ['world', 'schedule', 'predict', 'seed']) set(name, s[name]);
    this.find('[data-plot=stage]').setAttribute('aria-label', `The plane at time ${t} of ${s.T}, after ${this.model.steps} iterations; at time 0 the points reach ${modes} modes, ${Math.round(100 * share)} percent of them lie on one.`);
    this.draw();
  }

  draw() {
    if (!this.path || !this.box.clientWidth) return;
    this.colour = colours(this.box);
    this.stage();
    plot(this.find('[data-plot=loss]'), [[this.curves.loss, 'real']], this.colour);
    plot(this.find('[data-plot=share]'), [[this.curves.share, 'fake']], this.colour, [0, 1]);
  }

  stage() {
    const [ctx, w] = fitted(this.find('[data-plot=stage]')), { extent } = WORLDS[this.settings.world], c = this.colour, { x, guess, t } = this.path[this.at];
    const X = v => (v / extent + 1) / 2 * w, Y = v => (1 - v / extent) / 2 * w;
    ctx.strokeStyle = c.real; ctx.lineWidth = 1; ctx.globalAlpha = .75;
    for (let i = 0; i < this.real.length; i += 2) { ctx.beginPath(); ctx.arc(X(this.real[i]), Y(this.real[i + 1]), 2.6, 0, 7); ctx.stroke(); }
    ctx.strokeStyle = c.fake; ctx.globalAlpha = .35;
    for (let i = 0; i < 2 * TRACED; i += 2) { // where some points have come from
      ctx.beginPath();
      for (const { x: p } of this.path.slice(0, this.at + 1)) ctx.lineTo(X(p[i]), Y(p[i + 1]));
      ctx.stroke();
    }
    ctx.fillStyle = c.fakes; ctx.globalAlpha = .9;
    for (let i = 0; i < x.length; i += 2) { ctx.beginPath(); ctx.arc(X(x[i]), Y(x[i + 1]), 2.8, 0, 7); ctx.fill(); }
    if (!t) return;
    ctx.strokeStyle = ctx.fillStyle = c.fake; ctx.globalAlpha = .8; ctx.lineWidth = 1.4;
    for (let i = 0; i < 2 * TRACED; i += 2) {
      const tx = X(guess[i]), ty = Y(guess[i + 1]);
      ctx.beginPath(); ctx.moveTo(X(x[i]), Y(x[i + 1])); ctx.lineTo(tx, ty); ctx.stroke();
      ctx.beginPath(); ctx.arc(tx, ty, 2.2, 0, 7); ctx.fill();
    }
  }
}

pages('diffusion', (box, i) => new Page(box, i));
