// What the demos with real pictures share: figures, rows of figures, faces to pick from, small plots.
import { el, newId, paint, picture } from './demo.js';

/** One picture under its name; `show` paints it. */
export function figure(size, label, properties) {
  const canvas = picture(label, { width: size, height: size, ...properties }), said = el('figcaption', {}, label);
  return { element: el('figure', {}, canvas, said), canvas, said, show: (data, index = 0) => paint(canvas, data, size, index) };
}

/** `n` pictures in a row, or in lines of `columns`, under one name; the first is row `from` of what came out. */
export function several(size, label, n, { columns = n, from = 0 } = {}) {
  const canvases = Array.from({ length: n }, (_, i) => picture(`${label}, ${i + 1} of ${n}`, { width: size, height: size, 'data-row': from + i }));
  const element = el('figure', {}, el('div', { class: 'demo-several', style: `--columns: ${columns}` }, canvases), el('figcaption', {}, label));
  return { element, show: data => canvases.forEach((c, i) => paint(c, data, size, from + i)) };
}

/** One of several, by radio buttons: `options` is [value, words or an element] each. Has `value` to set; null: none. */
export function choices(legend, options, value, changed, kind = '') {
  const name = newId(), inputs = options.map(([v]) => el('input', { type: 'radio', name, value: v, checked: v === value, onchange: () => changed(v) }));
  const labels = options.map(([, shown], i) => el('label', {}, inputs[i], typeof shown === 'string' ? el('span', {}, shown) : shown));
  const element = el('fieldset', { class: `demo-choices demo-radios ${kind}` }, el('legend', {}, legend), labels);
  return Object.defineProperty({ element }, 'value', { set: v => inputs.forEach((input, i) => { input.checked = options[i][0] === v; }) });
}

/** Real pictures to pick one of; `name(i)` says what picture i is. */
export function thumbs(legend, pictures, numbers, name, changed) {
  const { size } = pictures.about, shown = numbers.map(i => [i, picture(name(i), { width: size, height: size })]);
  for (const [i, canvas] of shown) paint(canvas, pictures.picture(i), size);
  return choices(legend, shown, null, changed, 'demo-thumbs');
}

export const button = (label, onclick) => el('button', { type: 'button', onclick }, label);

/** What to see, with emphasis. */
export const see = html => el('p', { class: 'demo-see', innerHTML: html });

/** A canvas for lines, in the pixels of its box: context, width, height, and the page's colours by name. */
export function fitted(canvas) {
  const ratio = Math.min(devicePixelRatio || 1, 2), w = canvas.clientWidth, h = canvas.clientHeight, css = getComputedStyle(canvas), ctx = canvas.getContext('2d');
  [canvas.width, canvas.height] = [w, h].map(v => Math.round(v * ratio));
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.font = '11px system-ui, sans-serif';
  return [ctx, w, h, name => css.getPropertyValue(`--${name}`).trim()];
}

/** Draw now, and again when the box has another size or the page other colours. */
export function redrawn(canvas, draw) {
  new ResizeObserver(draw).observe(canvas);
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ['data-theme'] });
}

/** `fresh('name', ...values)` is true when the values are not those of the last time. */
export function memory() {
  const past = {};
  return (name, ...now) => {
    const same = past[name]?.every((v, i) => v === now[i]);
    past[name] = now;
    return !same;
  };
}

/** What came out of a model, row by row. */
export const split = ({ data, dims }) => Array.from({ length: dims[0] }, (_, i) => data.slice(i * data.length / dims[0], (i + 1) * data.length / dims[0]));
export const plain = arrays => Array.from(arrays, a => Array.from(a));
export const mixed = (a, b, t) => a.map((v, i) => (1 - t) * v + t * b[i]);

const said = names => names.map(n => n.replaceAll('_', ' ').toLowerCase()).join(', ');
/** What face i of faces-real is, in words. */
export const described = faces => i => `Face ${i + 1}: ${said(faces.about.names.filter((_, k) => faces.about.labels[i][k])) || 'no attribute'}`;

document.head.append(el('link', { rel: 'stylesheet', href: new URL('parts.css', import.meta.url).href }));
