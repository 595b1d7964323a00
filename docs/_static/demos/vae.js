// A VAE on 32x32 faces: what goes in, the code, what comes back; the plane of codes; faces from the prior; and all of it under four KL weights.
import { demo, el, latest, model, normals, pad, paint, picture, rows, slider, sprite, words } from './demo.js';
import { Painter } from './painter.js';
import { button, choices, described, figure, fitted, memory, plain, redrawn, see, several, split, thumbs } from './parts.js';

const WEIGHTS = [0, 1, 5, 25], SIZE = 32, DRAWS = 3, INVENTED = 16;
const MAP = 7, PLACES = Array.from({ length: MAP * MAP }, (_, i) => [(2 * (i % MAP) + 1) / MAP - 1, 1 - (2 * Math.floor(i / MAP) + 1) / MAP]); // from -1 to 1, upwards

const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
const along = (from, [p, q], x, y) => from.map((v, i) => v + x * p[i] + y * q[i]);
const errorOf = (a, b) => a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0);
const klOf = (mean, logvar) => mean.reduce((sum, m, i) => sum + (m * m + Math.exp(logvar[i]) - 1 - logvar[i]) / 2, 0);
const rms = (values, middle) => Math.sqrt(values.reduce((sum, v) => sum + (v - middle) ** 2, 0) / values.length);

function drawCode(canvas, mean, logvar) { // a bar for each mean, a line for its standard deviation
  const [ctx, w, h, colour] = fitted(canvas), sd = logvar.map(v => Math.exp(v / 2)), top = Math.max(3, ...mean.map((m, i) => Math.abs(m) + sd[i]));
  const step = w / mean.length, Y = v => h / 2 - v / top * (h / 2 - 3);
  ctx.fillStyle = colour('edge');
  ctx.fillRect(0, Y(0) - .5, w, 1);
  mean.forEach((m, i) => {
    const x = (i + .5) * step;
    ctx.fillStyle = colour('main');
    ctx.fillRect(x - .36 * step, Math.min(Y(0), Y(m)), .72 * step, Math.abs(Y(m) - Y(0)));
    ctx.fillStyle = colour('other');
    ctx.fillRect(x - .6, Y(m + sd[i]), 1.2, Y(m - sd[i]) - Y(m + sd[i]));
  });
  ctx.fillStyle = colour('quiet');
  ctx.fillText(top.toFixed(top < 10 ? 1 : 0), 1, 10);
  canvas.setAttribute('aria-label', `The code: ${sd.filter(v => v < .5).length} of its ${mean.length} numbers are told to within half a unit`);
}

function drawMap(canvas, tiles, { dots, origin, radius }) { // pictures side by side; over them real faces, and the ring of the prior; all in units of the pad
  const [ctx, w, h] = fitted(canvas), side = tiles.width / MAP, circle = (x, y, r) => { ctx.beginPath(); ctx.arc((x + 1) / 2 * w, (1 - y) / 2 * h, r, 0, 7); };
  ctx.imageSmoothingQuality = 'high';
  for (let i = 0; i < MAP * MAP; i++) { // one by one, so that neighbours do not run into each other
    const c = i % MAP, r = Math.floor(i / MAP);
    ctx.drawImage(tiles, c * side, r * side, side, side, c * w / MAP, r * h / MAP, w / MAP + .5, h / MAP + .5);
  }
  for (const [width, colour] of [[4, '#fffd'], [1.5, '#000d']]) { ctx.lineWidth = width; ctx.strokeStyle = colour; circle(...origin, radius * w / 2); ctx.stroke(); }
  for (const at of dots) for (const [r, colour] of [[4, '#000d'], [2.8, '#fff']]) { ctx.fillStyle = colour; circle(...at, r); ctx.fill(); }
}

async function open(box) {
  const faces = await sprite('faces-real'), real = Array.from({ length: faces.about.count }, (_, i) => faces.picture(i));
  const fresh = memory(), state = { weight: WEIGHTS.indexOf(1), seed: 1, invented: 1, centre: 'face' };
  let net, codes, reach, code, chart, mapped; // the model; the real faces' codes; how far the pad goes; what stands on the page

  const paper = new Painter(SIZE, 'What goes in: paint on it', () => refresh()), back = figure(SIZE, 'What comes back', { 'data-row': 0 });
  const bars = picture('The code', { class: 'demo-bars' }), numbers = el('p', { class: 'demo-numbers' });
  const draws = several(SIZE, 'Three draws of q(z|x), decoded', DRAWS, { from: 1 }), invented = several(SIZE, 'Invented: codes drawn from the prior, decoded', INVENTED, { columns: 8 });
  const plane = pad('The plane of codes', 1, () => refresh()), stand = figure(SIZE, 'The face under the dot', { 'data-row': 1 + DRAWS }), tiles = el('canvas', { width: MAP * SIZE, height: MAP * SIZE });
  const weight = slider('KL weight', { min: 0, max: WEIGHTS.length - 1, step: 1, value: state.weight, show: i => `${WEIGHTS[i]}` }, i => { state.weight = i; refresh(); });
  const pick = thumbs('Start from a face', faces, real.map((_, i) => i), described(faces), i => paper.start(real[i]));
  const centre = choices('In the middle', [['face', 'this face'], ['prior', 'the prior’s centre']], state.centre, c => { state.centre = c; plane.place(0, 0); refresh(); });
  box.append(
    see('Paint a blue nose, a third eye, a hat: 32 numbers have no room for what the training faces never had, and <b>a face comes back</b>. Then slide the <b>KL weight</b>: at 0 the copy is good and the invented faces fall apart; at 25 the invented ones hold together, and everything blurs.'),
    el('div', { class: 'vae-weight' }, weight.element, numbers),
    el('div', { class: 'vae-trio' }, paper.element, back.element, el('figure', {}, bars, el('figcaption', {}, 'The code: 32 means (bars), each with its standard deviation (line)'))),
    paper.tools, pick.element,
    el('div', { class: 'vae-walk' },
      el('figure', {}, plane.element, el('figcaption', {}, 'The two directions that show most: drag, or press arrow keys. White dots are the real faces; the ring is two standard deviations of the prior.')),
      el('div', { class: 'vae-side' }, stand.element, centre.element, draws.element, button('Draw again', () => { state.seed++; refresh(); }))),
    el('div', { class: 'vae-invented' }, invented.element, button('Invent others', () => { state.invented++; refresh(); })));
  const say = words(box);

  const decode = async codes => (await net.run('decode', { z: rows(codes) })).x;
  async function encode(pictures) {
    const { mean, logvar } = await net.run('encode', { x: { data: rows(pictures).data, dims: [pictures.length, 3, SIZE, SIZE] } });
    return [split(mean), split(logvar)];
  }

  async function survey() { // another model: how far its real faces lie apart is how far the pad goes, and at least over the prior
    const { plane: directions, mean_code: middle } = net.about;
    [codes] = await encode(real);
    reach = Math.max(3, ...directions.map(p => 2.5 * rms(codes.map(c => dot(c, p)), dot(middle, p))));
    plane.place(0, 0);
  }

  async function invent() {
    const z = split({ data: normals(state.invented, INVENTED * net.about.nz), dims: [INVENTED] }), x = await decode(z);
    invented.show(x.data);
    return { z: plain(z), x: plain(split(x)) };
  }

  async function map(from, still) { // 49 pictures, a line at a time, unless a hand is quicker
    const { plane: directions } = net.about, place = z => directions.map(p => (dot(z, p) - dot(from, p)) / reach);
    chart = { dots: codes.map(place), origin: place(from.map(() => 0)), radius: 2 / reach };
    drawMap(plane.under, tiles, chart);
    if (mapped === chartOf()) return;
    const tile = el('canvas'), ctx = tiles.getContext('2d');
    for (let r = 0; r < MAP; r++) {
      if (!await still()) return;
      const x = await decode(PLACES.slice(r * MAP, (r + 1) * MAP).map(([x, y]) => along(from, directions, x * reach, y * reach)));
      for (let c = 0; c < MAP; c++) { paint(tile, x.data, SIZE, c); ctx.drawImage(tile, c * SIZE, r * SIZE); }
      drawMap(plane.under, tiles, chart);
    }
    mapped = chartOf();
  }
  const chartOf = () => [net.about.name, state.centre, state.centre === 'face' && paper.version].join();

  const refresh = latest(async still => {
    box.setAttribute('aria-busy', true);
    net = await model(`vae-${WEIGHTS[state.weight]}`);
    if (fresh('model', net)) await survey();
    const { name, nz, plane: directions } = net.about, x = paper.pixels, [[mean], [logvar]] = await encode([x]), noise = normals(state.seed, DRAWS * nz);
    const drawn = Array.from({ length: DRAWS }, (_, k) => mean.map((m, i) => m + Math.exp(logvar[i] / 2) * noise[k * nz + i]));
    const from = state.centre === 'face' ? mean : new Float32Array(nz);
    const z = [mean, ...drawn, along(from, directions, plane.x * reach, plane.y * reach)], out = await decode(z), pictures = split(out);
    back.show(out.data);
    draws.show(out.data);
    stand.show(out.data, 1 + DRAWS);
    code = [mean, logvar];
    drawCode(bars, ...code);
    numbers.innerHTML = `The copy is <b>${errorOf(x, pictures[0]).toFixed(1)}</b> off (squared error); the code tells <b>${klOf(mean, logvar).toFixed(1)}</b> nats (KL)`;
    const prior = fresh('invented', net, state.invented) ? await invent() : box.drawn.prior;
    box.drawn = { model: name, x: [...x], mean: [...mean], logvar: [...logvar], z: plain(z), pictures: plain(pictures), prior };
    await map(from, still);
    box.setAttribute('aria-busy', false);
    say('');
  }, e => say(e.message));

  redrawn(bars, () => code && drawCode(bars, ...code));
  redrawn(plane.under, () => chart && drawMap(plane.under, tiles, chart));
  pick.value = 0;
  paper.start(real[0]);
}

demo('vae', {
  title: 'A face through 32 numbers', models: ['vae-1'],
  note: 'Draw or pick a face, see its code and what comes back, walk among the codes. Models of other KL weights are fetched when you ask for them.',
}, open);
