// A painter on few pixels, for mouse, finger and keyboard. A stroke covers: going over a place twice does not make its edge harder.
import { el, slider } from './demo.js';
import { button, choices, figure } from './parts.js';

const COLOURS = { 'light skin': '#f2cfb0', 'brown skin': '#c08a60', 'dark skin': '#74452c', 'black': '#1c1718', 'brown hair': '#5d3a22', 'blond hair': '#e3bf6b',
  'red hair': '#a5431e', 'lips': '#bb3f4b', 'white': '#ffffff', 'blue': '#3366cc', 'green': '#4c9a52' };
const rgb = colour => [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16) / 127.5 - 1);

export class Painter {
  constructor(size, label, changed) {
    Object.assign(this, { size, changed, version: 0, colour: COLOURS.black, radius: 1.5, cursor: [size / 2, size / 2], past: [], stroke: null });
    this.blank = new Float32Array(3 * size * size).fill(.85);
    this.base = this.pixels = this.blank;
    this.shown = figure(size, label, { tabIndex: 0, role: 'application', 'aria-label': `${label}. Arrow keys move the brush; hold the space bar to paint.` });
    this.element = this.shown.element;
    this.ring = el('i', { class: 'demo-brush', hidden: true });
    const paper = el('div', { class: 'demo-paper' });
    this.shown.canvas.replaceWith(paper);
    paper.append(this.shown.canvas, this.ring);
    this.listen(this.shown.canvas);
    this.tools = this.toolbox();
    this.shown.show(this.pixels);
  }

  start(pixels) { // another picture; the eraser brings it back
    this.base = pixels;
    this.past = [];
    this.put(pixels);
  }

  put(pixels) {
    this.pixels = pixels;
    this.version++;
    this.shown.show(pixels);
    this.undo.disabled = !this.past.length;
    this.changed();
  }

  remember() { this.past = [...this.past.slice(-29), this.pixels]; }

  begin() {
    this.remember();
    this.stroke = { under: this.pixels, cover: new Float32Array(this.size ** 2) };
  }

  dab([x, y], onto) { // the brush put down once; its edge is one pixel soft
    const { size, radius, base, stroke: { under, cover } } = this, area = size * size, paint = this.colour && rgb(this.colour);
    for (let i = 0; i < area; i++) {
      const c = Math.min(1, radius + .5 - Math.hypot(i % size + .5 - x, Math.floor(i / size) + .5 - y));
      if (c <= cover[i]) continue;
      cover[i] = c;
      for (let channel = 0, k = i; channel < 3; channel++, k += area) onto[k] = (1 - c) * under[k] + c * (paint ? paint[channel] : base[k]);
    }
  }

  move(to) { // in steps that leave no gaps
    const from = this.cursor, steps = Math.max(1, Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1]))), pixels = this.pixels.slice();
    for (let s = 1; s <= steps; s++) this.dab(from.map((v, k) => v + (to[k] - v) * s / steps), pixels);
    this.cursor = to;
    this.put(pixels);
  }

  place(seen = true) { // the ring shows where the brush is and how thick
    const percent = v => `${100 * v / this.size}%`, [x, y] = this.cursor;
    this.ring.hidden = !seen;
    Object.assign(this.ring.style, { left: percent(x), top: percent(y), width: percent(2 * this.radius), height: percent(2 * this.radius) });
  }

  listen(canvas) {
    const at = e => { const r = canvas.getBoundingClientRect(); return [(e.clientX - r.left) / r.width * this.size, (e.clientY - r.top) / r.height * this.size]; };
    const end = () => { this.stroke = null; };
    canvas.addEventListener('pointerdown', e => { canvas.setPointerCapture(e.pointerId); canvas.focus({ preventScroll: true }); this.cursor = at(e); this.begin(); this.move(this.cursor); this.place(); });
    canvas.addEventListener('pointermove', e => { this.stroke ? this.move(at(e)) : this.cursor = at(e); this.place(); });
    canvas.addEventListener('pointerup', end);
    canvas.addEventListener('pointercancel', end);
    canvas.addEventListener('pointerleave', () => this.place(document.activeElement === canvas));
    canvas.addEventListener('focus', () => this.place());
    canvas.addEventListener('blur', () => { end(); this.place(false); });
    canvas.addEventListener('keydown', e => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], ' ': [0, 0] }[e.key];
      if (!step) return;
      e.preventDefault();
      const to = this.cursor.map((v, k) => Math.min(this.size - .5, Math.max(.5, v + step[k])));
      if (e.key === ' ' && !this.stroke) { this.begin(); this.move(to); }
      else if (this.stroke) this.move(to);
      else this.cursor = to;
      this.place();
    });
    canvas.addEventListener('keyup', e => { if (e.key === ' ') end(); });
  }

  toolbox() {
    const swatch = (name, c) => el('span', { class: 'demo-swatch', style: `--swatch: ${c}`, title: name }, el('span', { class: 'demo-unseen' }, name));
    const other = el('input', { type: 'color', value: '#8844cc', 'aria-label': 'Another colour', title: 'another colour', oninput: () => { this.colour = other.value; colours.value = null; } });
    const colours = choices('Paint with', [...Object.entries(COLOURS).map(([name, c]) => [c, swatch(name, c)]), ['', 'eraser']], this.colour, c => { this.colour = c; }, 'demo-colours');
    const thick = slider('Brush', { min: 1, max: 10, step: 1, value: 2 * this.radius, show: v => `${v} pixel${v === 1 ? '' : 's'}` }, v => { this.radius = v / 2; });
    this.undo = el('button', { type: 'button', disabled: true, onclick: () => this.put(this.past.pop()) }, 'Undo');
    const empty = button('Empty paper', () => { this.remember(); this.base = this.blank; this.put(this.blank); });
    const clean = button('Rub all out', () => { this.remember(); this.put(this.base); });
    colours.element.append(other);
    return el('div', { class: 'demo-tools' }, colours.element, thick.element, el('div', { class: 'demo-buttons' }, this.undo, clean, empty));
  }
}
