// Twenty-five anime faces of the hair and eyes that one asks for, and what becomes of them when z shrinks or grows.
import { demo, el, latest, newId, normals, paint, picture, rows, seed, slider, words } from './demo.js';

const SIDE = 5, COUNT = SIDE * SIDE;
const HUES = { // as dlcv_gan.anime draws them: hair, then eyes
  hair: { orange: '#f27e24', white: '#f0f1f7', aqua: '#68dade', gray: '#92939c', green: '#4aaa54', red: '#c8222a', purple: '#8e54c8', pink: '#fa9ec6', blue: '#3860d6', black: '#322e3c', brown: '#7a4a2c', blonde: '#fada70' },
  eyes: { gray: '#9496a0', black: '#2e2b34', orange: '#f88616', pink: '#ff7abc', yellow: '#fada28', aqua: '#38dae2', purple: '#964ad6', green: '#34b44a', brown: '#844e26', red: '#de1c28', blue: '#2c62ec' },
};
const anyColour = `conic-gradient(${Object.values(HUES.eyes).slice(2).join(', ')})`;

/** Swatches of one part, one of them chosen: a radio group. `name` is undefined where each face may have its own. */
function swatches(part, names, chosen, changed) {
  const group = newId();
  const option = name => {
    const input = el('input', { type: 'radio', name: group, value: name ?? 'any', checked: name === chosen, onchange: () => changed(name) });
    return el('label', { class: 'anime-swatch', style: `--hue: ${name ? HUES[part][name] : anyColour}` }, input, el('i'), name ?? 'any');
  };
  return el('fieldset', { class: 'anime-swatches' }, el('legend', {}, part), [undefined, ...names].map(option));
}

demo('anime', {
  title: 'Anime faces by colour',
  models: ['anime'],
  note: 'Choose hair and eyes: all 25 faces change colour at once, and each keeps its noise z, so it stays the character it was. The slider makes all z smaller or larger.',
}, async (box, { anime: net }) => {
  const { labels, nz, size } = net.about;
  const colours = Object.fromEntries(['hair', 'eyes'].map(part => [part, labels.filter(l => l.endsWith(part)).map(l => l.split(' ')[0])]));
  const wanted = { hair: undefined, eyes: undefined };
  let at = 12;

  // -- controls
  const choice = part => swatches(part, colours[part], wanted[part], name => { wanted[part] = name; draw(); });
  const start = seed('seed', 'Other faces', 3, () => draw());
  const scale = slider('z times', { min: 0, max: 2, step: .05, value: 1, show: v => v.toFixed(2) }, () => draw());
  const big = picture('The chosen face');
  const caption = el('p', { class: 'demo-label anime-caption' });
  const faces = Array.from({ length: COUNT }, (_, i) => picture(`face ${i + 1}`, { 'data-row': i }));
  const tiles = faces.map((face, i) => el('button', { type: 'button', class: 'anime-tile', onclick: () => choose(i) }, face));
  const grid = el('div', { class: 'anime-grid', role: 'group', 'aria-label': '25 faces; arrow keys walk over them' }, tiles);
  grid.addEventListener('keydown', e => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -SIDE, ArrowDown: SIDE }[e.key];
    if (!by || !tiles[at + by]) return;
    e.preventDefault();
    choose(at + by);
    tiles[at].focus();
  });
  const help = el('p', { class: 'demo-label' });
  box.append(choice('hair'), choice('eyes'),
    el('div', { class: 'anime-board' }, grid, el('div', { class: 'anime-side' }, el('div', {}, big, caption), el('div', { class: 'anime-controls' }, scale.element, help, start.element))));
  const say = words(box);

  // -- what is asked for
  const ask = (part, i) => wanted[part] ?? colours[part][(7 * i + (part === 'hair' ? 3 : 5) + start.value) % colours[part].length];
  const wish = i => labels.map(l => Number(l === `${ask('hair', i)} hair` || l === `${ask('eyes', i)} eyes`));
  const means = v => v === 0 ? 'z is 0 for all: 25 times the same face, the generator’s middle one.'
    : v < .7 ? 'Nearer to the middle: the faces grow alike, and fewer go wrong. This is truncation.'
      : v <= 1.15 ? 'As z was in training: at 1 it is drawn from the standard normal.'
        : 'Farther out than z was in training: bolder faces, and more that go wrong.';

  // -- pictures
  function choose(i) {
    at = i;
    show();
  }
  function show() { // the chosen one, enlarged
    tiles.forEach((t, i) => { t.setAttribute('aria-pressed', i === at); t.tabIndex = i === at ? 0 : -1; });
    caption.textContent = `${ask('hair', at)} hair, ${ask('eyes', at)} eyes`;
    big.dataset.row = at;
    big.setAttribute('aria-label', `The chosen face: ${caption.textContent}`);
    big.width = big.height = size;
    big.getContext('2d').drawImage(faces[at], 0, 0);
  }
  const draw = latest(async still => {
    box.drawn = null;
    help.textContent = means(scale.value);
    const noise = normals(start.value, COUNT * nz), by = scale.value;
    const codes = faces.map((_, i) => noise.subarray(i * nz, (i + 1) * nz).map(v => v * by)), wishes = faces.map((_, i) => wish(i));
    for (let i = 0; i < COUNT; i += SIDE) { // a row of the grid at a time
      const { x } = await net.run('generate', { z: rows(codes.slice(i, i + SIDE)), y: rows(wishes.slice(i, i + SIDE)) });
      for (let k = 0; k < SIDE; k++) {
        paint(faces[i + k], x.data, size, k);
        faces[i + k].setAttribute('aria-label', `${ask('hair', i + k)} hair, ${ask('eyes', i + k)} eyes`);
      }
      if (at >= i && at < i + SIDE) show();
      if (!await still()) return;
    }
    box.drawn = { z: codes.flatMap(c => [...c]), y: wishes.flat() };
  }, e => say(e.message));

  await draw();
});
