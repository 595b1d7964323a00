// What the live pages share: curves that grow, and canvases of the size of their boxes. No numbers are made here.

/** Keeps at most 400 points: a full curve is halved, so an hour costs what a minute does. */
export class Curve {
  constructor() { this.points = []; this.stride = 1; this.sum = 0; this.count = 0; }
  add(v) {
    this.sum += v;
    if (++this.count < this.stride) return;
    this.points.push(this.sum / this.count);
    this.sum = this.count = 0;
    if (this.points.length < 400) return;
    this.points = this.points.filter((_, i) => i % 2).map((v, i) => (v + this.points[2 * i]) / 2);
    this.stride *= 2;
  }
}

/** A canvas sized to its box and the screen's pixels, cleared: context, width, height. */
export function fitted(c) {
  const ratio = Math.min(devicePixelRatio || 1, 2), w = c.clientWidth, h = c.clientHeight;
  if (c.width !== Math.round(w * ratio) || c.height !== Math.round(h * ratio)) { c.width = Math.round(w * ratio); c.height = Math.round(h * ratio); }
  const ctx = c.getContext('2d');
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, w, h);
  return [ctx, w, h];
}

/** The page's colours by name. */
export function colours(box) {
  const css = getComputedStyle(box);
  return Object.fromEntries(['real', 'fake', 'fakes', 'paper', 'soft', 'ink', 'quiet', 'edge'].map(n => [n, css.getPropertyValue(`--${n}`).trim()]));
}

/** Curves, each `[curve, colour]`, between their least and largest value, or within `span`. */
export function plot(canvas, lines, c, span) {
  const [ctx, w, h] = fitted(canvas), all = lines.flatMap(([curve]) => curve.points).filter(Number.isFinite);
  if (!all.length) return;
  let [low, high] = span || [Math.min(...all), Math.max(...all)];
  if (high - low < .1) { low -= .05; high += .05; }
  const Y = v => h - 8 - (v - low) / (high - low) * (h - 16);
  ctx.font = '11px system-ui, sans-serif'; ctx.fillStyle = c.quiet; ctx.strokeStyle = c.edge; ctx.lineWidth = 1;
  if (low < 0 && high > 0) { ctx.beginPath(); ctx.moveTo(30, Y(0)); ctx.lineTo(w, Y(0)); ctx.stroke(); }
  const tick = v => Math.abs(v) >= 100 ? v.toFixed(0) : span ? `${v}` : v.toPrecision(2);
  ctx.textBaseline = 'middle'; ctx.fillText(tick(high), 4, 9); ctx.fillText(tick(low), 4, h - 9);
  ctx.lineWidth = 1.6; ctx.lineJoin = 'round';
  for (const [{ points }, colour] of lines) {
    ctx.strokeStyle = c[colour];
    ctx.beginPath();
    points.forEach((v, i) => ctx.lineTo(34 + (points.length > 1 ? i / (points.length - 1) : 1) * (w - 40), Y(v)));
    ctx.stroke();
  }
}

/** The style sheet of the live pages, then `build` for every element that has `data-NAME`; sizes are right only once the style is there. */
export function pages(name, build) {
  const style = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: new URL('play.css', import.meta.url) });
  style.onload = style.onerror = () => document.querySelectorAll(`[data-${name}]`).forEach((box, i) => { box.page = build(box, i); });
  document.head.append(style);
}
