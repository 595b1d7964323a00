// A diffusion model on points in the plane, in plain JavaScript: what `dlcv_gan.models.diffusion.Diffusion` does in PyTorch.
// No dependencies and no DOM. tests/start/test_play_diffusion.py compares schedule, gradients and paths with Python's.
import { Adam, Random, backward, forward, mlp, realBatch, zeros } from './game.js';

// ---- The noise: share of the variance that is still data after t of T steps, from 1 down.

const running = beta => beta.reduce((kept, b) => [...kept, kept.at(-1) * (1 - b)], [1]);
const times = T => Array.from({ length: T }, (_, i) => i);
const bend = x => Math.cos((x + .008) / 1.008 * Math.PI / 2) ** 2;

export const SCHEDULES = {
  cosine: T => running(times(T).map(i => Math.min(.999, 1 - bend((i + 1) / T) / bend(i / T)))),
  linear: T => running(times(T).map(i => .1 / T + (Math.min(20 / T, .999) - .1 / T) * i / Math.max(1, T - 1))),
};

// ---- The network: a point and features of the time in, two numbers out.

const WAVES = [1, 2, 4];
export const FEATURES = 2 + 1 + 2 * WAVES.length;

/** Points (n, 2) and their times in [0, 1] as the network's input, row by row. */
export function features(x, t) {
  const n = t.length, rows = new Float64Array(n * FEATURES);
  for (let r = 0; r < n; r++)
    rows.set([x[2 * r], x[2 * r + 1], t[r], ...WAVES.flatMap(w => [Math.sin(w * Math.PI * t[r]), Math.cos(w * Math.PI * t[r])])], r * FEATURES);
  return rows;
}

// ---- What the network is asked, and the data that its answer stands for. a: amplitude of the data, b: of the noise.

export const PREDICTIONS = {
  v: { ask: (x, noise, a, b) => a * noise - b * x, data: (said, x, a, b) => a * x - b * said },
  noise: { ask: (x, noise) => noise, data: (said, x, a, b) => (x - b * said) / a },
  data: { ask: x => x, data: said => said },
};

export const DEFAULTS = { seed: 0, world: 'ring', schedule: 'cosine', predict: 'v', lr: 5e-3, width: 64, bs: 64, T: 200, limit: 4, ema: .99 };

export class Denoiser {
  constructor(settings = {}) {
    const s = this.settings = { ...DEFAULTS, ...settings };
    this.random = new Random(s.seed);
    this.net = mlp(this.random, [FEATURES, s.width, s.width, 2], 0);
    this.average = { slope: 0, layers: this.net.layers.map(l => ({ ...l, W: l.W.slice(), b: l.b.slice() })) }; // what draws
    this.adam = new Adam(this.net, s.lr, [.9, .999]);
    this.kept = SCHEDULES[s.schedule](s.T);
    this.steps = 0;
  }

  amplitudes(t) { return [Math.sqrt(this.kept[t]), Math.sqrt(1 - this.kept[t])]; }

  /** Mean squared error of what the network says, and its gradient, for given points, times 1 .. T and noise. */
  loss(x, t, noise) {
    const { predict, T } = this.settings, n = t.length, noisy = new Float64Array(2 * n), asked = new Float64Array(2 * n);
    for (let i = 0; i < 2 * n; i++) {
      const [a, b] = this.amplitudes(t[i >> 1]);
      noisy[i] = a * x[i] + b * noise[i];
      asked[i] = PREDICTIONS[predict].ask(x[i], noise[i], a, b);
    }
    const pass = forward(this.net, features(noisy, t.map(v => v / T)), n), off = pass.out.map((v, i) => v - asked[i]), grads = zeros(this.net);
    backward(this.net, pass, off.map(v => v / n), grads); // the mean is over 2 n numbers
    return { value: off.reduce((s, v) => s + v * v, 0) / (2 * n), grads };
  }

  /** One iteration: new points, a time and a noise at random for each. */
  step() {
    const { seed, world, bs, T, lr, ema } = this.settings, x = realBatch(world, seed, this.steps, bs);
    const t = Array.from({ length: bs }, () => 1 + this.random.below(T)), { value, grads } = this.loss(x, t, this.random.normals(2 * bs));
    this.adam.lr = lr;
    this.adam.step(grads);
    const keep = Math.min(ema, (1 + this.steps) / (11 + this.steps));
    this.average.layers.forEach((l, k) => { for (const name of ['W', 'b']) l[name].forEach((v, i) => { l[name][i] = keep * v + (1 - keep) * this.net.layers[k][name][i]; }); });
    this.steps++;
    return value;
  }

  /** The data that the averaged network takes noisy points for, all at time t. */
  denoise(x, t) {
    const { T, predict, limit } = this.settings, n = x.length / 2, [a, b] = this.amplitudes(t);
    const { out } = forward(this.average, features(x, Array(n).fill(t / T)), n);
    return out.map((v, i) => Math.min(limit, Math.max(-limit, PREDICTIONS[predict].data(v, x[i], a, b))));
  }

  /** From noise to points (times are rounded as in Python where none lies at a half): `[{ t, x, guess }, ...]`, the last one the points. eta 0: DDIM; 1: fresh noise as in DDPM. */
  path(z, steps, eta = 0, random = new Random(this.settings.seed + 1)) {
    const { T } = this.settings, at = Array.from({ length: steps + 1 }, (_, i) => Math.round(T * (1 - i / steps))), found = [];
    let x = z;
    for (let k = 0; k < steps; k++) {
      const [now, then] = [at[k], at[k + 1]], guess = this.denoise(x, now), a = this.kept[now], b = this.kept[then];
      found.push({ t: now, x, guess });
      const fresh = eta * Math.sqrt((1 - b) / (1 - a) * (1 - a / b)), rest = Math.sqrt(Math.max(0, 1 - b - fresh ** 2));
      const extra = eta && then ? random.normals(Math.ceil(x.length / 16) * 16) : null;
      x = x.map((v, i) => Math.sqrt(b) * guess[i] + rest * (v - Math.sqrt(a) * guess[i]) / Math.sqrt(1 - a) + (extra ? fresh * extra[i] : 0));
    }
    found.push({ t: 0, x, guess: x });
    return found;
  }
}
