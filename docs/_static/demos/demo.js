// The demos' shell: boxes that open on request, nets that run in the page, numbers and pictures, and the few controls that demos share.
// Every `<div data-demo="NAME">` becomes a box; a demo's own module (NAME.js) fills it. Nothing leaves the page.
import { Random } from '../play/game.js';

const here = name => new URL(name, import.meta.url).href;
// What the build has packed, in bytes as a server sends them; a page outside the built site knows no sizes.
const sizes = import('./sizes.js').then(m => m.default, () => ({}));

// ---- nets

const once = (made, key, make) => { // a promise a key; what has failed may be tried again
  if (!made.has(key)) made.set(key, make().catch(e => { made.delete(key); throw e; }));
  return made.get(key);
};

async function fetched(path, missing) { // a file of the site, or why it is not there, in words
  const answer = await fetch(here(path)).catch(() => { throw new Error(`The server does not answer (${path}). Is it still running? Then try again.`); });
  if (!answer.ok) throw new Error(missing);
  return answer;
}

const made = new Map();
const runtime = () => once(made, 'ort', async () => {
  const ort = await import(here('../ort/ort.wasm.min.mjs')).catch(() => {
    throw new Error('This site was built without onnxruntime-web, which runs nets in the page. Install Node.js with npm, and build it again: make docs.');
  });
  ort.env.wasm.wasmPaths = here('../ort/');
  ort.env.wasm.numThreads = 1; // more would need headers that plain servers do not send
  return ort;
});

let last = Promise.resolve();
const inTurn = work => last = last.then(work, work); // one run at a time: the runtime has one thread

/** A trained model: `about` is its models/NAME.json; `run(part, {input: {data, dims}})` gives {output: {data, dims}}. */
export const model = name => once(made, name, async () => {
  const missing = `The model ${name} is not on this site. Make it with: python tools/demos.py export ${name}. Then build the site again.`;
  const [ort, about] = await Promise.all([runtime(), fetched(`models/${name}.json`, missing).then(answer => answer.json())]);
  const sessions = {};
  await Promise.all(Object.entries(about.parts).map(async ([part, { file }]) => {
    const bytes = await (await fetched(`models/${file}`, missing)).arrayBuffer();
    sessions[part] = await inTurn(() => ort.InferenceSession.create(new Uint8Array(bytes)));
  }));
  return {
    about,
    run: (part, inputs) => inTurn(() => sessions[part].run(
      Object.fromEntries(Object.entries(inputs).map(([k, { data, dims }]) => [k, new ort.Tensor('float32', data, dims)])))),
  };
});

// ---- numbers

/** torch.randn(n) after torch.manual_seed(seed), in float32, for n of 16 and more. */
export function normals(seed, n) {
  if (n < 16) throw new RangeError(`${n} normals: torch draws fewer than 16 in another way; ask for 16 or more`);
  const random = new Random(seed), z = new Float32Array(n);
  const uniforms = (from, to) => { for (let i = from; i < to; i++) z[i] = (random.bits() & 0xffffff) / 0x1000000; };
  const turn = from => { // a block of 16 uniforms into normals, by Box and Muller
    for (let i = from; i < from + 8; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - z[i])), angle = 2 * Math.PI * z[i + 8];
      z[i] = radius * Math.cos(angle);
      z[i + 8] = radius * Math.sin(angle);
    }
  };
  uniforms(0, n);
  for (let i = 0; i + 16 <= n; i += 16) turn(i);
  if (n % 16) { uniforms(n - 16, n); turn(n - 16); } // torch draws the last 16 anew
  return z;
}

/** Rows (arrays of equal length) as one input of a model. */
export function rows(list) {
  const data = new Float32Array(list.length * list[0].length);
  list.forEach((row, i) => data.set(row, i * row.length));
  return { data, dims: [list.length, list[0].length] };
}

// ---- pictures

/** Picture `index` of float CHW pictures in [-1,1] onto a canvas, at its own size; the stylesheet enlarges it. */
export function paint(canvas, data, size, index = 0) {
  const area = size * size, from = 3 * area * index, image = new ImageData(size, size);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(127.5 * data[from + c * area + i] + 127.5); // clamped by its type
    image.data[4 * i + 3] = 255;
  }
  if (canvas.width !== size || canvas.height !== size) canvas.width = canvas.height = size;
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** Real pictures of models/NAME.png: `picture(i)` is float CHW in [-1,1]. */
export const sprite = name => once(made, name, async () => {
  const missing = `The pictures ${name} are not on this site. Make them with: python tools/demos.py export. Then build the site again.`;
  const about = await (await fetched(`models/${name}.json`, missing)).json();
  const sheet = await createImageBitmap(await (await fetched(`models/${name}.png`, missing)).blob(), { colorSpaceConversion: 'none' });
  const canvas = Object.assign(document.createElement('canvas'), { width: sheet.width, height: sheet.height });
  const ctx = canvas.getContext('2d', { willReadFrequently: true });
  ctx.drawImage(sheet, 0, 0);
  return {
    about,
    picture: i => {
      const s = about.size, { data } = ctx.getImageData(i % about.columns * s, Math.floor(i / about.columns) * s, s, s);
      return Float32Array.from({ length: 3 * s * s }, (_, k) => data[4 * (k % (s * s)) + Math.floor(k / (s * s))] / 127.5 - 1);
    },
  };
});

// ---- what demos are built of

let ids = 0;
/** A new id for a control and its label. */
export const newId = () => `demo-${++ids}`;

/** An element: properties (`class`, `onclick`, ...; `data-` and `aria-` ones as attributes), then children. */
export function el(tag, properties = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(properties)) k in e && !k.includes('-') ? e[k] = v : k === 'class' ? e.className = v : e.setAttribute(k, v);
  e.append(...children.flat());
  return e;
}

/** A canvas that says what it shows. */
export const picture = (label, properties = {}) => el('canvas', { class: 'demo-picture', width: 32, height: 32, role: 'img', 'aria-label': label, ...properties });

/** A labelled slider; `show(value)` is its value in words. Has `value` to read and set. */
export function slider(label, { min, max, step, value, show = v => v.toFixed(1) }, changed) {
  const id = newId(), out = el('output', { htmlFor: id }), input = el('input', { id, type: 'range', min, max, step, value });
  const say = () => { out.textContent = show(+input.value); input.setAttribute('aria-valuetext', out.textContent); };
  input.addEventListener('input', () => { say(); changed(+input.value); });
  say();
  const element = el('div', { class: 'demo-slider' }, el('label', { htmlFor: id }, label, ' ', out), input);
  return Object.defineProperty({ element, input }, 'value', { get: () => +input.value, set: v => { input.value = v; say(); } });
}

/** A number to start from and a button for another one. Has `value`. */
export function seed(label, another, value, changed) {
  const id = newId(), input = el('input', { id, type: 'number', min: 0, max: 9999, step: 1, value, inputMode: 'numeric' });
  const read = () => Math.min(9999, Math.max(0, Math.round(+input.value) || 0));
  input.addEventListener('change', () => { input.value = read(); changed(read()); });
  const button = el('button', { type: 'button', onclick: () => { input.value = Math.floor(Math.random() * 10000); changed(read()); } }, another);
  return Object.defineProperty({ element: el('div', { class: 'demo-seed' }, button, el('label', { htmlFor: id }, label), input), button }, 'value', { get: read });
}

/** A plane to drag in, [-extent, extent] both ways: by pointer, or with arrow keys (a tenth of it with Shift). `under` is a canvas behind the dot; has `place(x, y)`. */
export function pad(label, extent, changed) {
  const dot = el('i', { class: 'demo-dot' }), under = el('canvas', { class: 'demo-under' });
  const element = el('div', { class: 'demo-pad', tabIndex: 0, role: 'application', 'aria-roledescription': 'plane', 'aria-label': label }, under, dot);
  const self = { element, under, x: 0, y: 0, place(x, y) {
    [self.x, self.y] = [x, y].map(v => Math.min(extent, Math.max(-extent, v)));
    dot.style.left = `${50 + 50 * self.x / extent}%`;
    dot.style.top = `${50 - 50 * self.y / extent}%`;
    element.setAttribute('aria-label', `${label}: ${self.x.toFixed(1)} across, ${self.y.toFixed(1)} up. Arrow keys move it.`);
  } };
  const move = (x, y) => { self.place(x, y); changed(self.x, self.y); };
  const drag = e => {
    const box = element.getBoundingClientRect();
    move((2 * (e.clientX - box.left) / box.width - 1) * extent, (1 - 2 * (e.clientY - box.top) / box.height) * extent);
  };
  element.addEventListener('pointerdown', e => { element.setPointerCapture(e.pointerId); element.focus({ preventScroll: true }); drag(e); });
  element.addEventListener('pointermove', e => { if (element.hasPointerCapture(e.pointerId)) drag(e); });
  element.addEventListener('keydown', e => {
    const step = extent / (e.shiftKey ? 100 : 10), [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key] ?? [];
    if (dx === undefined) return;
    e.preventDefault();
    move(self.x + dx * step, self.y + dy * step);
  });
  self.place(0, 0);
  return self;
}

/** `work`, never twice at once: calls that come while it runs become one more run, with what holds then.
 * Long work asks in between `if (!await still()) return;`: the page is painted, hands are listened to, and what is out of date stops. */
export function latest(work, failed) {
  let running = false, again = false;
  const still = async () => { await new Promise(done => setTimeout(done, 15)); return !again; };
  return async () => {
    if (running) { again = true; return; }
    running = true;
    try { do { again = false; await work(still); } while (again); } catch (e) { failed(e); } finally { running = false; }
  };
}

/** A line of words above a demo's end, told to screen readers too: what a wish means, what went wrong. */
export function words(box) {
  const line = el('p', { class: 'demo-words', role: 'status' });
  box.append(line);
  return text => { if (line.textContent !== text) line.textContent = text; };
}

// ---- boxes

const megabytes = bytes => bytes < 95e4 ? `${Math.max(1, Math.round(bytes / 1e5)) / 10} MB` : `${Math.round(bytes / 1e6)} MB`;

function invite(box, { title, models, note }, build) {
  const still = box.querySelector('img'), id = `${newId()}-title`;
  const said = el('p', { class: 'demo-words', role: 'status' });
  const button = el('button', { type: 'button', class: 'demo-open' }, 'Open the demo');
  box.replaceChildren(el('p', { class: 'demo-title', id }, title), el('p', { class: 'demo-note' }, note), ...(still ? [still] : []), button, said);
  box.classList.add('demo');
  box.setAttribute('role', 'region');
  box.setAttribute('aria-labelledby', id);
  box.tabIndex = -1;
  sizes.then(known => {
    const all = ['ort', ...models].map(n => known[n]);
    if (all.every(Boolean)) button.textContent = `Open the demo (${megabytes(all.reduce((a, b) => a + b))})`;
  });
  button.addEventListener('click', async () => {
    const before = [...box.children], offer = button.textContent;
    button.disabled = true;
    button.textContent = 'Loading …';
    said.textContent = '';
    try {
      const loaded = Object.fromEntries(await Promise.all(models.map(async n => [n, await model(n)])));
      still?.remove(); button.remove(); said.remove();
      await build(box, loaded);
      box.dataset.open = '';
      box.focus({ preventScroll: true });
    } catch (e) {
      box.replaceChildren(...before);
      button.disabled = false;
      button.textContent = offer.replace('Open the demo', 'Try again');
      said.textContent = e.message;
    }
  });
}

const style = new Promise(done => document.head.append(el('link', { rel: 'stylesheet', href: here('demo.css'), onload: done, onerror: done })));

/** Every `<div data-demo="NAME">` of the page becomes a box that offers to open; then `build(box, {name: model})` fills it.
 * After each drawing a demo sets `box.drawn`: the numbers that it fed. A canvas with `data-row` shows that row of what came out. */
export async function demo(name, spec, build) {
  await style;
  document.querySelectorAll(`[data-demo="${name}"]`).forEach(box => invite(box, spec, build));
}
