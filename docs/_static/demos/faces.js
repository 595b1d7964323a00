// Faces from wishes: the same noise with other attributes, and the other way round.
import { demo, el, latest, normals, pad, paint, picture, rows, seed, slider, words } from './demo.js';

const SIGHTS = 6, REACH = 3, TILES = 7; // directions in hand (two on the plane, a slider for each other), how far they go, faces across the map
const HAIR = ['Black_Hair', 'Blond_Hair', 'Brown_Hair'], BEGIN = ['Brown_Hair', 'Smiling', 'Wavy_Hair'];
const inWords = name => name.replaceAll('_', ' ').toLowerCase();
const inner = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);

/** Orthonormal directions, of vectors in order (Gram and Schmidt). */
function orthonormal(vectors) {
  const found = [];
  for (const v of vectors) {
    for (const d of found) { const along = inner(v, d); v.forEach((_, i) => { v[i] -= along * d[i]; }); }
    const length = Math.hypot(...v);
    found.push(v.map(x => x / length));
  }
  return found;
}

const randomDirections = (start, nz) => orthonormal(Array.from({ length: SIGHTS }, (_, i) => normals(start + i, nz)));

/** The directions of z along which pictures change most: the strongest of the generator's slopes, found at two codes. */
async function visibleDirections(net, nz, y) {
  const step = .5, pull = Array.from({ length: nz }, () => new Float32Array(nz)); // how much two numbers of z move the same pixels
  for (const base of [normals(1, nz), normals(2, nz)]) {
    const codes = [base, ...pull.map((_, i) => base.map((v, k) => v + (k === i ? step : 0)))];
    const { data } = (await net.run('generate', { z: rows(codes), y: rows(codes.map(() => y)) })).x, area = data.length / codes.length;
    const slopes = pull.map((_, i) => data.subarray((i + 1) * area, (i + 2) * area).map((v, k) => v - data[k]));
    for (let i = 0; i < nz; i++) for (let k = 0; k <= i; k++) { const v = inner(slopes[i], slopes[k]); pull[i][k] += v; if (i !== k) pull[k][i] += v; }
  }
  let found = randomDirections(3, nz);
  for (let i = 0; i < 40; i++) found = orthonormal(found.map(d => Float32Array.from(pull, row => inner(row, d)))); // they turn towards the strongest
  return found;
}

function contradictions(on, names) { // what no drawn face, or hardly one, has
  const is = name => on[names.indexOf(name)], hair = HAIR.filter(is);
  if (hair.length > 1) return `${hair.map(h => inWords(h).split(' ')[0]).join(' and ')} hair at once: no face that the generator has learnt from had two hair colours. See what it draws for this condition.`;
  if (is('Straight_Hair') && is('Wavy_Hair')) return 'Straight and wavy at once: no face that the generator has learnt from was both. See what it draws for this condition.';
  if (is('Male') && is('Heavy_Makeup')) return 'Rare: 8 of 100 drawn men wear heavy makeup. What was seen seldom is drawn with less care.';
  if (is('Male') && is('Wearing_Lipstick')) return 'Rare: 10 of 100 drawn men wear lipstick. What was seen seldom is drawn with less care.';
  return '';
}

function showChange(canvas, data, index, area, side) { // orange where a flip has changed the face
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    let change = 0;
    for (let c = 0; c < 3; c++) change += Math.abs(data[index * area + c * side * side + i] - data[c * side * side + i]);
    image.data.set([240, 120, 24, 255 * Math.min(1, change) ** 1.5], 4 * i);
  }
  canvas.width = canvas.height = side;
  canvas.getContext('2d').putImageData(image, 0, 0);
}

demo('faces', {
  title: 'Faces to order',
  models: ['faces'],
  note: 'Switch an attribute: the noise z stays as it is, so it is the same person with another hair or mouth. Then change z: the attributes stay, and the person changes.',
}, async (box, { faces: net }) => {
  const { labels: names, nz, size } = net.about;
  let z = normals(7, nz), on = names.map(n => BEGIN.includes(n)), directions = randomDirections(20, nz), draws = 20;
  const wish = () => on.map(Number);

  // -- controls
  const big = picture('The face', { 'data-row': 0 });
  const person = seed('seed', 'Another face', 7, value => { z = normals(value, nz); moved(); });
  const switches = names.map((name, i) => el('button', { type: 'button', role: 'switch', 'aria-checked': false, onclick: () => flip(i) }, inWords(name)));
  const plane = pad('Two directions of z', REACH, (x, y) => { put(0, x); put(1, y); draw(); });
  const walks = Array.from({ length: SIGHTS - 2 }, (_, i) => slider(`direction ${i + 3}`, { min: -REACH, max: REACH, step: .1, value: 0 }, v => { put(i + 2, v); mapped = ''; draw(); }));
  const kinds = [['the most visible', async () => visibleDirections(net, nz, wish())], ['at random', async () => randomDirections(draws += SIGHTS, nz)]];
  const choices = kinds.map(([name, find], i) => el('button', { type: 'button', 'aria-pressed': i === 0, onclick: async e => {
    choices.forEach(b => b.setAttribute('aria-pressed', b === e.target));
    directions = await find();
    moved();
  } }, name));
  const strip = names.map((name, i) => {
    const face = picture(inWords(name), { 'data-row': i + 1 }), change = picture('what has changed', { 'data-change': i + 1 }), says = el('span');
    return { face, change, says, tile: el('button', { type: 'button', class: 'faces-tile', onclick: () => flip(i) }, face, change, says) };
  });

  const wishes = el('div', { class: 'faces-wishes' }, el('fieldset', { class: 'demo-choices' }, el('legend', {}, 'The attributes, y'), switches));
  const say = words(wishes);
  box.append(
    el('div', { class: 'faces-board' },
      el('div', { class: 'faces-person' }, big, person.element),
      el('div', { class: 'faces-walk' }, plane.element, el('fieldset', { class: 'demo-choices' }, el('legend', {}, 'A map of the noise z; its directions:'), choices)),
      el('div', { class: 'faces-sliders' }, walks.map(w => w.element)),
      wishes),
    el('p', { class: 'demo-label' }, 'The same z with one attribute flipped. Below each, in orange, what the flip has changed. Press one to take it.'),
    el('div', { class: 'faces-strip' }, strip.map(s => s.tile)));

  // -- state
  const put = (i, v) => { // the coordinate of z along a direction
    const by = v - inner(z, directions[i]);
    z = z.map((old, k) => old + by * directions[i][k]);
  };
  function moved() { // z or the directions are others: the controls follow
    const at = directions.map(d => inner(z, d));
    plane.place(at[0], at[1]);
    walks.forEach((w, i) => { w.value = at[i + 2]; });
    mapped = '';
    draw();
  }
  function flip(i) {
    on[i] = !on[i];
    mapped = '';
    draw();
  }

  // -- pictures
  const generate = async (codes, wishes) => (await net.run('generate', { z: rows(codes), y: rows(wishes) })).x.data;
  let mapped = '';
  async function map(still) { // what lies where on the plane, a line of faces at a time
    const sheet = Object.assign(document.createElement('canvas'), { width: TILES * size, height: TILES * size }), tile = document.createElement('canvas');
    const at = directions.slice(0, 2).map(d => inner(z, d)), place = i => (2 * (i + .5) / TILES - 1) * REACH;
    for (let row = 0; row < TILES; row++) {
      const codes = Array.from({ length: TILES }, (_, column) => z.map((v, k) => v + (place(column) - at[0]) * directions[0][k] + (-place(row) - at[1]) * directions[1][k]));
      const data = await generate(codes, codes.map(wish));
      codes.forEach((_, column) => { paint(tile, data, size, column); sheet.getContext('2d').drawImage(tile, column * size, row * size); });
      if (!await still()) return;
    }
    plane.under.width = plane.under.height = TILES * size;
    plane.under.getContext('2d').drawImage(sheet, 0, 0);
    mapped = 'yes';
  }

  const draw = latest(async still => {
    box.drawn = null;
    switches.forEach((s, i) => s.setAttribute('aria-checked', on[i]));
    say(contradictions(on, names));
    const code = z, wishes = [wish(), ...names.map((_, i) => wish().map((v, k) => k === i ? 1 - v : v))];
    paint(big, await generate([code], wishes.slice(0, 1)), size);
    if (!await still()) return;
    const data = await generate(wishes.map(() => code), wishes), area = data.length / wishes.length;
    strip.forEach(({ face, change, says, tile }, i) => {
      paint(face, data, size, i + 1);
      showChange(change, data, i + 1, area, size);
      says.textContent = `${on[i] ? '−' : '+'} ${inWords(names[i])}`;
      tile.classList.toggle('is-on', on[i]);
    });
    box.drawn = { z: wishes.flatMap(() => [...code]), y: wishes.flat() };
    if (!mapped && await still()) await map(still);
  }, e => say(e.message));

  directions = await visibleDirections(net, nz, wish());
  moved();
});
