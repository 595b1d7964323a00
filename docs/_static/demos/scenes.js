// The same request, drawn by a conditional GAN, by a conditional flow and, step by step, by a diffusion model.
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

/** Pictures by one pass of a model's part. */
const once = part => async (model, inputs) => {
  const begun = performance.now(), { x } = await model.run(part, inputs);
  return { x: x.data, time: performance.now() - begun };
};

/** Pictures by the times of the model, from noise: the guess at each time, then a part of the way towards it (DDIM). */
async function steps(model, { z, y }, { w }, show, still) {
  const { times, kept, size } = model.about, n = z.dims[0], all = v => ({ data: new Float32Array(n).fill(v), dims: [n] });
  let x = z.data, time = 0;
  for (let k = 0; k + 1 < times.length; k++) {
    const [a, b] = [kept[k], kept[k + 1]], inputs = { x: { data: x, dims: [n, 3, size, size] }, t: all(times[k]), y, w: all(w) };
    const begun = performance.now(), { guess } = await model.run('denoise', inputs);
    time += performance.now() - begun; // of the network alone: in between the page is painted
    x = x.map((v, i) => Math.sqrt(b) * guess.data[i] + Math.sqrt((1 - b) / (1 - a)) * (v - Math.sqrt(a) * guess.data[i]));
    show(x);
    if (!await still()) return null;
  }
  return { x, time };
}

demo('scenes', {
  title: 'Three ways to draw a request',
  models: ['scenes-gan', 'scenes-flow', 'scenes-ddpm'],
  note: 'Choose one to three objects. A conditional GAN, a flow and a diffusion model draw them, four times each from other noise. The diffusion model takes ten steps, and its pictures emerge as you watch; it was trained for more than an hour, the GAN for half an hour and the flow for minutes. Look whether every object is there, how sharp it is, and how much the four differ.',
}, async (box, models) => {
  const { labels } = models['scenes-gan'].about;
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
  const guidance = slider('guidance of the diffusion model', { min: 0, max: 6, step: .5, value: 2, show: v => v.toFixed(1) }, () => draw());
  const surprise = el('button', { type: 'button', onclick: () => {
    const deck = labels.map(name => [Math.random(), name]).sort().map(([, name]) => name);
    chosen = deck.slice(0, 1 + Math.floor(Math.random() * MOST));
    draw();
  } }, 'Surprise me');
  const controls = el('div', { class: 'scenes-controls' });
  const say = words(controls);
  controls.append(el('div', { class: 'scenes-again' }, start.element, surprise), temperature.element, guidance.element);
  const sides = [
    { name: 'scenes-gan', title: 'conditional GAN', says: 'learnt from a discriminator’s verdicts', run: once('generate') },
    { name: 'scenes-flow', title: 'conditional flow', says: 'learnt to make real pictures likely', spread: () => temperature.value, run: once('decode') },
    { name: 'scenes-ddpm', title: 'diffusion model', says: 'learnt to remove noise', told: () => ({ w: guidance.value }), run: steps },
  ].map(side => {
    const { size } = models[side.name].about;
    const draws = Array.from({ length: DRAWS }, (_, i) => picture(side.title, { 'data-row': i, 'data-model': side.name })), time = el('span', { class: 'scenes-time' });
    const element = el('div', { class: 'scenes-side' }, el('p', { class: 'scenes-title' }, el('b', {}, side.title), time), el('p', { class: 'demo-label' }, side.says), el('div', { class: 'scenes-draws' }, draws));
    return { spread: () => 1, told: () => ({}), ...side, size, draws, time, element };
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
    for (const { name, title, size, spread, told, run, draws, time } of sides) {
      const { nz } = models[name].about, by = spread(), noise = normals(start.value, DRAWS * nz).map(v => v * by);
      const inputs = { z: { data: noise, dims: [DRAWS, nz] }, y: rows(draws.map(() => y)) }, more = told();
      const made = await run(models[name], inputs, more, data => draws.forEach((canvas, i) => paint(canvas, data, size, i)), still);
      if (!made) return;
      time.textContent = `${(made.time / DRAWS).toFixed(1)} ms a picture`;
      draws.forEach((canvas, i) => { paint(canvas, made.x, size, i); canvas.setAttribute('aria-label', `${title}, draw ${i + 1}: ${asked}`); });
      drawn[name] = { z: [...noise], y: [...inputs.y.data], ...more };
      if (!await still()) return;
    }
    box.drawn = drawn;
  }, e => say(e.message));

  await draw(); // the first drawing warms the nets up, the second tells their time
  await draw();
});
