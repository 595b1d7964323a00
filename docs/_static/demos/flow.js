// A flow on 32x32 faces forgets nothing: every face has a code, and the code gives exactly that face. So one can walk between two faces, and add attributes.
import { demo, el, latest, rows, slider, sprite, words } from './demo.js';
import { button, choices, described, figure, memory, mixed, plain, see, several, split, thumbs } from './parts.js';

const SIZE = 32, STEPS = [0, 1, 2, 3, 4, 5, 6].map(i => i / 6);

/** float16 numbers as a file holds them (little-endian), in float32. */
export const halves = buffer => Float32Array.from(new Uint16Array(buffer), bits => {
  const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
});

const furthest = (a, b) => a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), 0);
const power = v => v.toExponential(1).replace(/e([+-])(\d+)/, (_, sign, digits) => ` · 10<sup>${sign === '-' ? '−' : ''}${digits}</sup>`);
const between = (a, b, t, line) => mixed(a, b, t).map(v => line === 'straight' ? v : v / Math.hypot(1 - t, t)); // codes are Gaussian: their mixture has their spread again
const signed = v => `${v > 0 ? '+' : v < 0 ? '−' : ''}${Math.abs(v).toFixed(1)}`;

async function moves({ file, attributes }) { // each attribute's direction among the codes
  const answer = await fetch(new URL(`models/${file}`, import.meta.url));
  if (!answer.ok) throw new Error(`The attributes’ directions (${file}) are not on this site. Make them with: python tools/demos.py export flow. Then build the site again.`);
  return split({ data: halves(await answer.arrayBuffer()), dims: [attributes.length] });
}

async function open(box, { flow }) {
  const { attributes } = flow.about.moves, [faces, directions] = await Promise.all([sprite('faces-real'), moves(flow.about.moves)]);
  const real = Array.from({ length: faces.about.count }, (_, i) => faces.picture(i)), name = described(faces), fresh = memory(), codes = new Map();
  const state = { end: 0, chosen: [0, 3], t: .5, line: 'shell', amounts: attributes.map(() => 0) };

  const ends = [figure(SIZE, 'First face'), figure(SIZE, 'Second face')], path = figure(SIZE, 'On the path of codes', { 'data-row': 0 }), faded = figure(SIZE, 'Pixels cross-faded');
  const pathStrip = several(SIZE, 'Codes in between, decoded', STEPS.length), fadedStrip = several(SIZE, 'Pixels in between', STEPS.length);
  const numbers = el('p', { class: 'demo-numbers' }), before = figure(SIZE, 'First face'), after = figure(SIZE, 'With what you add', { 'data-row': 1 });
  const way = slider('From the first face to the second', { min: 0, max: 1, step: .01, value: state.t, show: v => `${Math.round(100 * v)} %` }, t => { state.t = t; refresh(); });
  const line = choices('The path goes', [['shell', 'where codes lie'], ['straight', 'straight']], state.line, l => { state.line = l; refresh(); });
  const end = choices('Choose the', [[0, 'first face'], [1, 'second face']], state.end, i => { state.end = i; pick.value = state.chosen[i]; });
  const pick = thumbs('among faces that the flow has never seen', faces, real.map((_, i) => i), name, i => { state.chosen[state.end] = i; refresh(); });
  const sliders = attributes.map((a, k) => slider(a.replaceAll('_', ' '), { min: -2, max: 2, step: .1, value: 0, show: signed }, v => { state.amounts[k] = v; refresh(); }));
  const nothing = button('Add nothing', () => { sliders.forEach((s, k) => { s.value = state.amounts[k] = 0; }); refresh(); });
  box.append(
    see('Drag the slider. The cross-fade shows <b>two faces through each other</b>; the path shows faces that are as crisp as its ends, and its ends are exact: a flow loses nothing on the way to a code and back. Codes lie on a shell around 0, so take the <b>straight</b> path once: it cuts through the empty middle, and fades almost as pixels do.'),
    el('div', { class: 'flow-board' }, ends[0].element, path.element, faded.element, ends[1].element), way.element, line.element,
    el('div', { class: 'flow-strips' }, pathStrip.element, fadedStrip.element), numbers,
    el('div', { class: 'flow-choose' }, end.element, pick.element),
    el('p', { class: 'demo-part' }, 'Attribute arithmetic'),
    see('The mean code of smiling faces minus the mean code of the others is a direction. <b>Add it to the first face’s code</b>: nobody has trained the flow to change a smile, and the mouth changes. Keep the steps small: +1 is the whole difference of the means, and further out lies nothing that this small flow has seen, so <b>pixels burst</b>.'),
    el('div', { class: 'flow-sum' }, el('div', { class: 'flow-before' }, before.element, after.element), el('div', { class: 'flow-moves' }, sliders.map(s => s.element), nothing)));
  const say = words(box);

  const untold = n => ({ data: new Float32Array(n * attributes.length).fill(NaN), dims: [n, attributes.length] });
  const decode = async z => (await flow.run('decode', { z: rows(z), y: untold(z.length) })).x;
  async function encoded(i) { // face i's code, and how far what it gives back is off
    if (!codes.has(i)) {
      const { z } = await flow.run('encode', { x: { data: real[i], dims: [1, 3, SIZE, SIZE] }, y: untold(1) });
      codes.set(i, { z: z.data, error: furthest((await decode([z.data])).data, real[i]) });
    }
    return codes.get(i);
  }

  async function ended(a, b) { // what changes with the two faces and the kind of path only
    ends.forEach(({ show, canvas, said }, k) => { show(real[state.chosen[k]]); canvas.setAttribute('aria-label', `${said.textContent}. ${name(state.chosen[k])}`); });
    before.show(real[state.chosen[0]]);
    numbers.innerHTML = `decode(encode(x)) is at most <b>${power(a.error)}</b> off x for the first face, <b>${power(b.error)}</b> for the second; one step of an 8-bit pixel is 8 · 10<sup>−3</sup>.`;
    pathStrip.show((await decode(STEPS.map(t => between(a.z, b.z, t, state.line)))).data);
    fadedStrip.show(rows(STEPS.map(t => mixed(real[state.chosen[0]], real[state.chosen[1]], t))).data);
  }

  const refresh = latest(async () => {
    box.setAttribute('aria-busy', true);
    const { t, line, amounts, chosen } = state, [i, j] = chosen, a = await encoded(i), b = await encoded(j);
    const moved = a.z.map((v, k) => amounts.reduce((sum, amount, m) => sum + amount * directions[m][k], v));
    const z = [between(a.z, b.z, t, line), moved], x = await decode(z), blend = mixed(real[i], real[j], t);
    path.show(x.data);
    after.show(x.data, 1);
    faded.show(blend);
    if (fresh('ends', i, j, line)) await ended(a, b);
    box.drawn = { chosen: [...chosen], t, line, amounts: [...amounts], codes: plain([a.z, b.z]), errors: [a.error, b.error], z: plain(z), x: plain(split(x)), faded: [...blend] };
    box.setAttribute('aria-busy', false);
    say('');
  }, e => say(e.message));

  pick.value = state.chosen[state.end];
  await refresh();
}

demo('flow', {
  title: 'Two faces and the exact path between them', models: ['flow'],
  note: 'A normalizing flow runs backwards as well as forwards. Walk from face to face through its codes, and add a smile by arithmetic.',
}, open);
