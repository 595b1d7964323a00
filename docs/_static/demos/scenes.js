// The same request, drawn by a conditional GAN and by a conditional flow.
import { demo, el, latest, normals, paint, picture, rows, seed, slider, words } from './demo.js';

const DRAWS = 4, MOST = 3;
const HUES = { gray: '#8a8a8a', red: '#ad2020', blue: '#2846d2', green: '#1e741c', brown: '#884c1c', purple: '#8428be', cyan: '#26c8cc', yellow: '#fae028' };
const SHAPES = { // drawn in one colour; lighter and darker sides by white and black laid over it
  cube: '<path d="M4 9 16 4l12 5v14l-12 5-12-5z"/><path d="M4 9 16 4l12 5-12 5z" fill="#fff" opacity=".35"/><path d="M16 14l12-5v14l-12 5z" fill="#000" opacity=".25"/>',
  sphere: '<circle cx="16" cy="16" r="12"/><circle cx="12" cy="11.5" r="4.5" fill="#fff" opacity=".4"/>',
  cylinder: '<path d="M5 9v15c0 5 22 5 22 0V9z"/><path d="M16 12.5h11V24c0 2.5-5.5 3.7-11 3.7z" fill="#000" opacity=".2"/><ellipse cx="16" cy="9" rx="11" ry="4" /><ellipse cx="16" cy="9" rx="11" ry="4" fill="#fff" opacity=".35"/>',
};
const drawing = (colour, shape) => `<svg viewBox="0 0 32 32" fill="${HUES[colour]}" aria-hidden="true">${SHAPES[shape]}</svg>`;
const listed = names => names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;

demo('scenes', {
  title: 'Two ways to draw a request',
  models: ['scenes-gan', 'scenes-flow'],
  note: 'Choose one to three objects. A conditional GAN and a flow draw them, four times each from other noise: look whether every object is there, how sharp it is, and how much the four differ.',
}, async (box, models) => {
  const { labels, size } = models['scenes-gan'].about;
  let chosen = ['red cube', 'blue sphere'];

  // -- controls
  const things = labels.map(name => {
    const [colour, shape] = name.split(' '), button = el('button', { type: 'button', class: 'scenes-thing', 'aria-label': name, title: name, onclick: () => toggle(name) });
    button.innerHTML = drawing(colour, shape);
    return button;
  });
  const board = el('div', { class: 'scenes-things', role: 'group', 'aria-label': `Objects, at most ${MOST}` }, things);
  const start = seed('seed', 'Draw again', 1, () => draw());
  const temperature = slider('temperature of the flow', { min: 0, max: 1.2, step: .05, value: .7, show: v => v.toFixed(2) }, () => draw());
  const surprise = el('button', { type: 'button', onclick: () => {
    const deck = labels.map(name => [Math.random(), name]).sort().map(([, name]) => name);
    chosen = deck.slice(0, 1 + Math.floor(Math.random() * MOST));
    draw();
  } }, 'Surprise me');
  const controls = el('div', { class: 'scenes-controls' });
  const say = words(controls);
  controls.append(el('div', { class: 'scenes-again' }, start.element, surprise), temperature.element);
  const sides = [
    { name: 'scenes-gan', part: 'generate', title: 'conditional GAN', says: 'learnt from a discriminator’s verdicts', spread: () => 1 },
    { name: 'scenes-flow', part: 'decode', title: 'conditional flow', says: 'learnt to make real pictures likely', spread: () => temperature.value },
  ].map(side => {
    const draws = Array.from({ length: DRAWS }, (_, i) => picture(side.title, { 'data-row': i, 'data-model': side.name })), time = el('span', { class: 'scenes-time' });
    const element = el('div', { class: 'scenes-side' }, el('p', { class: 'scenes-title' }, el('b', {}, side.title), time), el('p', { class: 'demo-label' }, side.says), el('div', { class: 'scenes-draws' }, draws));
    return { ...side, draws, time, element };
  });
  box.append(el('div', { class: 'scenes-request' }, board, controls), el('div', { class: 'scenes-board' }, sides.map(s => s.element)));

  // -- what is asked for
  function toggle(name) {
    if (!chosen.includes(name) && chosen.length === MOST) return say(`Three at most, as in training: take one away before the ${name} comes.`);
    if (chosen.length === 1 && chosen[0] === name) return say('One object at least: choose another before this one goes.');
    chosen = chosen.includes(name) ? chosen.filter(c => c !== name) : [...chosen, name];
    draw();
  }

  // -- pictures
  const draw = latest(async still => {
    box.drawn = null;
    const asked = `Asked for: ${listed(chosen.map(name => `a ${name}`))}.`, y = labels.map(l => Number(chosen.includes(l))), drawn = {};
    things.forEach((t, i) => t.setAttribute('aria-pressed', y[i] === 1));
    say(asked);
    for (const { name, part, title, spread, draws, time } of sides) {
      const { nz } = models[name].about, by = spread(), noise = normals(start.value, DRAWS * nz).map(v => v * by);
      const inputs = { z: { data: noise, dims: [DRAWS, nz] }, y: rows(draws.map(() => y)) }, begun = performance.now();
      const { x } = await models[name].run(part, inputs);
      time.textContent = `${((performance.now() - begun) / DRAWS).toFixed(1)} ms a picture`;
      draws.forEach((canvas, i) => { paint(canvas, x.data, size, i); canvas.setAttribute('aria-label', `${title}, draw ${i + 1}: ${asked}`); });
      drawn[name] = { z: [...noise], y: [...inputs.y.data] };
      if (!await still()) return;
    }
    box.drawn = drawn;
  }, e => say(e.message));

  await draw(); // the first drawing warms the nets up, the second tells their time
  await draw();
});
