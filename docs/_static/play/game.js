// A GAN on points in the plane, in plain JavaScript: what `dlcv_gan.start.play.play_game` trains in PyTorch, number for number.
// No dependencies and no DOM: it runs in a page, in a worker and in node. tests/start/test_play.py trains both and compares.
// Matrices are flat Float64Arrays, row by row; a net's weights are (out, in) as in torch.nn.Linear.

// ---- PyTorch's random numbers. The same seed must give the same game in both languages, so this is torch's CPU generator:
// the Mersenne Twister MT19937, 53-bit uniforms, and normals by Box-Muller in blocks of 16.

export class Random {
  constructor(seed) {
    const s = this.state = new Uint32Array(624);
    s[0] = seed;
    for (let i = 1; i < 624; i++) s[i] = Math.imul(1812433253, s[i - 1] ^ (s[i - 1] >>> 30)) + i;
    this.at = 624;
  }

  bits() { // 32 random bits
    const s = this.state;
    if (this.at === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff);
        s[i] = s[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.at = 0;
    }
    let y = s[this.at++];
    y ^= y >>> 11; y ^= (y << 7) & 0x9d2c5680; y ^= (y << 15) & 0xefc60000; y ^= y >>> 18;
    return y >>> 0;
  }

  below(n) { return this.bits() % n; } // torch.randint

  uniform() { // torch.rand in float64: the lower 53 of 64 bits
    const high = this.bits() & 0x1fffff;
    return (high * 4294967296 + this.bits()) / 9007199254740992;
  }

  uniforms(n, low = 0, high = 1) { return Float64Array.from({ length: n }, () => this.uniform() * (high - low) + low); }

  normals(n) { // torch.randn in float64, for whole blocks of 16
    if (n % 16) throw new RangeError(`${n} normals: torch draws them in blocks of 16; ask for a multiple of 16`);
    const z = this.uniforms(n);
    for (let i = 0; i < n; i += 16)
      for (let j = i; j < i + 8; j++) {
        const radius = Math.sqrt(-2 * Math.log1p(-z[j])), angle = 2 * Math.PI * z[j + 8];
        z[j] = radius * Math.cos(angle);
        z[j + 8] = radius * Math.sin(angle);
      }
    return z;
  }
}

// ---- The toy worlds of dlcv_gan.worlds.points: where the Gaussians sit. Each batch is a pure function of (seed, its number).

const range = n => Array.from({ length: n }, (_, i) => i);
export const WORLDS = {
  ring: { std: .1, extent: 3.2, centres: range(8).map(i => [2 * Math.cos(2 * Math.PI * i / 8), 2 * Math.sin(2 * Math.PI * i / 8)]) },
  grid: { std: .1, extent: 3.2, centres: range(9).map(i => [2 * (Math.floor(i / 3) - 1), 2 * (i % 3 - 1)]) },
};

export function realBatch(world, seed, number, n) {
  const { centres, std } = WORLDS[world], random = new Random(1 + seed * 1000003 + number);
  const modes = range(n).map(() => centres[random.below(centres.length)]), noise = random.normals(2 * n);
  return noise.map((v, i) => modes[i >> 1][i & 1] + std * v);
}

/** dlcv_gan.worlds.points.modes_covered: modes reached, share of the points on one (within 4 standard deviations). */
export function covered(world, x) {
  const { centres, std } = WORLDS[world], n = x.length / 2, hit = new Set();
  let good = 0;
  for (let r = 0; r < n; r++) {
    const far = centres.map(c => Math.hypot(x[2 * r] - c[0], x[2 * r + 1] - c[1])), k = far.indexOf(Math.min(...far));
    if (far[k] <= 4 * std) { good++; hit.add(k); }
  }
  return { modes: hit.size, share: good / n };
}

// ---- Nets: dense layers with a leaky ReLU between them (slope 0 is a plain ReLU).

export function mlp(random, widths, slope) { // weights and biases as torch.nn.Linear starts them, drawn in its order
  const layers = widths.slice(1).map((out, k) => {
    const fan = widths[k], bound = Math.sqrt(3) * (Math.sqrt(2 / 6) / Math.sqrt(fan));
    return { in: fan, out, W: random.uniforms(out * fan, -bound, bound), b: random.uniforms(out, -1 / Math.sqrt(fan), 1 / Math.sqrt(fan)) };
  });
  return { layers, slope };
}

const times = (x, n, { W, in: I, out: O }, b) => { // (n, I) -> (n, O): x W^T (+ b); four outputs at a time, for speed
  const y = new Float64Array(n * O);
  for (let r = 0; r < n; r++) {
    const from = r * I, to = r * O;
    let o = 0;
    for (; o + 3 < O; o += 4) {
      let w = o * I, p = 0, q = 0, s = 0, t = 0;
      for (let i = 0; i < I; i++, w++) { const v = x[from + i]; p += W[w] * v; q += W[w + I] * v; s += W[w + 2 * I] * v; t += W[w + 3 * I] * v; }
      y[to + o] = p; y[to + o + 1] = q; y[to + o + 2] = s; y[to + o + 3] = t;
    }
    for (; o < O; o++) for (let i = 0; i < I; i++) y[to + o] += W[o * I + i] * x[from + i];
    if (b) for (o = 0; o < O; o++) y[to + o] += b[o];
  }
  return y;
};

const timesTransposed = (e, n, { W, in: I, out: O }) => { // (n, O) -> (n, I): e W
  const y = new Float64Array(n * I);
  for (let r = 0; r < n; r++)
    for (let o = 0; o < O; o++) {
      const v = e[r * O + o];
      if (v) for (let i = 0, w = o * I, a = r * I; i < I; i++) y[a++] += v * W[w++];
    }
  return y;
};

const addOuter = (dW, e, x, n, { in: I, out: O }) => { // dW += e^T x
  for (let r = 0; r < n; r++)
    for (let o = 0; o < O; o++) {
      const v = e[r * O + o];
      if (v) for (let i = 0, w = o * I, a = r * I; i < I; i++) dW[w++] += v * x[a++];
    }
};

const addRows = (db, e, n) => { // the sum of the rows of e
  for (let r = 0, a = 0; r < n; r++) for (let o = 0; o < db.length; o++) db[o] += e[a++];
};

const bend = (z, like, slope) => { // the activation, or its slope times a gradient
  const y = new Float64Array(z.length);
  for (let i = 0; i < y.length; i++) y[i] = like[i] > 0 ? z[i] : slope * z[i];
  return y;
};

export function forward(net, x, n) { // keeps what the way back needs: every layer's input and the values before the bend
  const inputs = [x], before = [], last = net.layers.length - 1;
  net.layers.forEach((layer, k) => {
    before.push(times(inputs[k], n, layer, layer.b));
    inputs.push(k < last ? bend(before[k], before[k], net.slope) : before[k]);
  });
  return { n, inputs, before, out: inputs[last + 1] };
}

export const zeros = net => net.layers.map(l => ({ W: new Float64Array(l.W.length), b: new Float64Array(l.b.length) }));

export function backward(net, pass, e, grads) { // e: gradient at the output; adds to grads, where given
  const cotangents = [];
  for (let k = net.layers.length - 1; k >= 0; k--) {
    const layer = net.layers[k];
    if (k < net.layers.length - 1) e = bend(e, pass.before[k], net.slope);
    cotangents[k] = e;
    if (grads) {
      addOuter(grads[k].W, e, pass.inputs[k], pass.n, layer);
      addRows(grads[k].b, e, pass.n);
    }
    e = timesTransposed(e, pass.n, layer);
  }
  return { input: e, cotangents };
}

// The second derivative that a penalty on D's slope needs. With g = dD/dx, the gradient of any P(g) by the weights:
// a bent line has no curvature, so g is a product of weight matrices and 0-or-1 bends, and dP/dW of a layer is the outer
// product of what comes back to it (the cotangents of D) and of v = dP/dg pushed *forward* through the layers below.
export function backwardOfSlope(net, pass, cotangents, v, grads) {
  net.layers.forEach((layer, k) => {
    addOuter(grads[k].W, cotangents[k], v, pass.n, layer);
    v = times(v, pass.n, layer);
    if (k < net.layers.length - 1) v = bend(v, pass.before[k], net.slope);
  });
}

// ---- What the players lower, as in dlcv_gan.losses: value and slope per score; means are taken by the caller.

const softplus = x => x > 20 ? x : Math.log1p(Math.exp(x)), sigmoid = x => 1 / (1 + Math.exp(-x));
const relu = x => Math.max(x, 0), step = x => x > 0 ? 1 : 0;
const soft = { real: [s => softplus(-s), s => -sigmoid(-s)], fake: [s => softplus(s), s => sigmoid(s)] };

export const OBJECTIVES = {
  minimax: { ...soft, generator: [s => -softplus(s), s => -sigmoid(s)] },
  non_saturating: { ...soft, generator: [s => softplus(-s), s => -sigmoid(-s)] },
  least_squares: { real: [s => (s - 1) ** 2 / 2, s => s - 1], fake: [s => s * s / 2, s => s], generator: [s => (s - 1) ** 2 / 2, s => s - 1] },
  hinge: { real: [s => relu(1 - s), s => -step(1 - s)], fake: [s => relu(1 + s), s => step(1 + s)], generator: [s => -s, () => -1] },
  wasserstein: { real: [s => -s, () => -1], fake: [s => s, () => 1], generator: [s => -s, () => -1] },
};

const mean = a => a.reduce((s, v) => s + v, 0) / a.length;
const average = ([value, slope], scores) => [mean(scores.map(value)), scores.map(s => slope(s) / scores.length)];
const length = (g, r) => Math.sqrt(g[2 * r] ** 2 + g[2 * r + 1] ** 2 + 1e-12);

// Where each penalty looks at D's slope g, and what it makes of it: per point its value, and factor f with dP/dg = f g.
const toOne = (g, r) => { const l = length(g, r); return [(l - 1) ** 2, 2 * (l - 1) / l]; };
export const PENALTIES = {
  none: null,
  gradient_penalty: { at: (real, fake, random) => { const t = random.uniforms(real.length / 2); return real.map((v, i) => v + t[i >> 1] * (fake[i] - v)); }, of: toOne },
  r1: { at: real => real, of: (g, r) => [(g[2 * r] ** 2 + g[2 * r + 1] ** 2) / 2, 1] },
  dragan: { at: (real, fake, random) => {
    const m = mean(real), std = Math.sqrt(real.reduce((s, v) => s + (v - m) ** 2, 0) / (real.length - 1));
    const u = random.uniforms(real.length);
    return real.map((v, i) => v + .5 * std * u[i]);
  }, of: toOne },
};

export function penalise(D, name, weight, real, fake, random, grads) { // weighted value; adds to grads
  const { at, of } = PENALTIES[name], n = real.length / 2, pass = forward(D, at(real, fake, random), n);
  const { input: g, cotangents } = backward(D, pass, new Float64Array(n).fill(1));
  const terms = range(n).map(r => of(g, r));
  backwardOfSlope(D, pass, cotangents, g.map((v, i) => weight * terms[i >> 1][1] * v / n), grads);
  return weight * mean(terms.map(t => t[0]));
}

// ---- Adam (Kingma & Ba 2015), one for each player: who waits is not stepped, so its momentum waits too.

export class Adam {
  constructor(net, lr, betas = [.5, .999], eps = 1e-8) {
    Object.assign(this, { lr, betas, eps, t: 0 });
    this.tensors = net.layers.flatMap((l, k) => ['W', 'b'].map(name => ({ k, name, p: l[name], m: new Float64Array(l[name].length), v: new Float64Array(l[name].length) })));
  }

  step(grads) {
    const [b1, b2] = this.betas, t = ++this.t, scale = this.lr / (1 - b1 ** t), root = Math.sqrt(1 - b2 ** t);
    for (const { k, name, p, m, v } of this.tensors) {
      const g = grads[k][name];
      for (let i = 0; i < p.length; i++) {
        m[i] += (1 - b1) * (g[i] - m[i]);
        v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
        p[i] -= scale * m[i] / (Math.sqrt(v[i]) / root + this.eps);
      }
    }
  }
}

// ---- Who moves on round i: dlcv_gan.game.schedules.DG, word for word.

export function moves({ d, g, first }, i) {
  if (d === 0) return Array(g).fill('G');
  const turn = i % d === (first === 'd' ? d - 1 : 0) ? Array(g).fill('G') : [];
  return first === 'd' ? ['D', ...turn] : [...turn, 'D'];
}

// ---- The game.

export const DEFAULTS = { seed: 0, world: 'ring', objective: 'non_saturating', penalty: 'none', weight: 1, clip: 0,
  d: 1, g: 1, first: 'd', lrD: 1e-3, lrG: 1e-3, nz: 4, width: 32, bs: 64 };

export class Game {
  constructor(settings = {}) {
    const s = this.settings = { ...DEFAULTS, ...settings }, random = this.random = new Random(s.seed);
    this.G = mlp(random, [s.nz, s.width, s.width, 2], 0);
    this.D = mlp(random, [2, s.width, s.width, 1], .2);
    this.adam = { D: new Adam(this.D, s.lrD), G: new Adam(this.G, s.lrG) };
    this.steps = { D: 0, G: 0 };
    this.round = 0; // of the schedule
    this.queue = []; // who still moves on this round
  }

  fakes(n) { return forward(this.G, this.random.normals(n * this.settings.nz), n); }

  next() { // the schedule's next turn
    if (!this.queue.length) this.queue = moves(this.settings, this.round++);
    return this.turn(this.queue.shift());
  }

  turn(player) { // one turn of one player, by the schedule or by hand; D takes a new batch, G takes none
    const s = this.settings, row = player === 'D' ? this.stepD(s) : this.stepG(s);
    this.steps[player]++;
    return { player, ...row };
  }

  stepD(s) {
    const n = s.bs, real = realBatch(s.world, s.seed, this.steps.D, n), fake = this.fakes(n).out, { real: ofReal, fake: ofFake } = OBJECTIVES[s.objective];
    const passes = [forward(this.D, real, n), forward(this.D, fake, n)], grads = zeros(this.D);
    const [a, ea] = average(ofReal, passes[0].out), [b, eb] = average(ofFake, passes[1].out);
    backward(this.D, passes[0], ea, grads);
    backward(this.D, passes[1], eb, grads);
    const penalty = s.penalty === 'none' ? 0 : penalise(this.D, s.penalty, s.weight, real, fake, this.random, grads);
    this.adam.D.lr = s.lrD;
    this.adam.D.step(grads);
    if (s.clip) for (const { W, b } of this.D.layers) for (const p of [W, b]) p.forEach((v, i) => { p[i] = Math.min(s.clip, Math.max(-s.clip, v)); });
    return { adversarial: a + b, penalty, real: mean(passes[0].out), fake: mean(passes[1].out) };
  }

  stepG(s) {
    const n = s.bs, made = this.fakes(n), judged = forward(this.D, made.out, n), [value, e] = average(OBJECTIVES[s.objective].generator, judged.out);
    const grads = zeros(this.G);
    backward(this.G, made, backward(this.D, judged, e).input, grads);
    this.adam.G.lr = s.lrG;
    this.adam.G.step(grads);
    return { adversarial: value, fake: mean(judged.out) };
  }

  sample(n, seed) { return forward(this.G, new Random(seed).normals(n * this.settings.nz), n).out; } // GameLearner.sample(n, seed=seed)

  scores(x) { return forward(this.D, x, x.length / 2).out; }

  pull(x) { // where G's loss would have each point go: minus its gradient there, as if each were the only one
    const n = x.length / 2, pass = forward(this.D, x, n), slope = OBJECTIVES[this.settings.objective].generator[1];
    return backward(this.D, pass, pass.out.map(v => -slope(v))).input;
  }

  covered(x) { return covered(this.settings.world, x); }
}
