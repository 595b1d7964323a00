// A CycleGAN on 64x64 pictures: yours, or a drawn horse, becomes a zebra and comes back. The picture is read, cut and translated in the page.
import { demo, el, latest, sprite, words } from './demo.js';
import { choices, figure, see, thumbs } from './parts.js';

const SIZE = 64, LARGEST = 40e6; // bytes of a file; larger ones are no photographs, and a phone would choke on them

/** The middle square of a picture as float CHW in [-1,1]: mean colours of equal tiles, so that fine patterns do not turn into others. */
export function shrunk(picture, size = SIZE) {
  const side = Math.min(picture.width, picture.height), tile = 2 ** Math.min(4, Math.max(0, Math.floor(Math.log2(side / size)))), wide = tile * size;
  const ctx = el('canvas', { width: wide, height: wide }).getContext('2d', { willReadFrequently: true });
  ctx.fillStyle = '#fff'; // what is transparent becomes paper
  ctx.fillRect(0, 0, wide, wide);
  ctx.imageSmoothingQuality = 'high';
  ctx.drawImage(picture, Math.floor((picture.width - side) / 2), Math.floor((picture.height - side) / 2), side, side, 0, 0, wide, wide);
  const { data } = ctx.getImageData(0, 0, wide, wide), x = new Float32Array(3 * size * size);
  for (let row = 0; row < wide; row++) for (let column = 0; column < wide; column++) for (let c = 0; c < 3; c++)
    x[(c * size + Math.floor(row / tile)) * size + Math.floor(column / tile)] += data[4 * (row * wide + column) + c];
  return x.map(sum => sum / (tile * tile) / 127.5 - 1);
}

/** A file as a picture, or an Error that says in words what is wrong with it. */
export async function read(file) {
  const called = file.name ? `“${file.name}”` : 'What you gave';
  if (!file.type.startsWith('image/')) throw new Error(`${called} is not a picture. Choose a JPEG, PNG or WebP file.`);
  if (!file.size) throw new Error(`${called} is empty. Choose another file.`);
  if (file.size > LARGEST) throw new Error(`${called} has ${Math.round(file.size / 1e6)} MB; that is more than a page should read. Choose one below ${LARGEST / 1e6} MB, or make it smaller.`);
  try { return await createImageBitmap(file); } catch { throw new Error(`${called} cannot be read: it is broken, or of a kind that this browser does not know. Save it as JPEG or PNG, and try again.`); }
}

async function open(box, { zebra }) {
  const animals = await sprite('animals-real'), herd = from => Array.from({ length: 8 }, (_, i) => from + i);
  const state = { x: animals.picture(0), way: 'ab' };
  const names = { ab: ['As a zebra', 'And back to a horse'], ba: ['As a horse', 'And back to a zebra'] };

  const [given, out, back] = ['What goes in', '', ''].map((name, i) => figure(SIZE, name, { 'data-row': i })), numbers = el('p', { class: 'demo-numbers' });
  const way = choices('Translate', [['ab', 'horse → zebra'], ['ba', 'zebra → horse']], 'ab', w => { state.way = w; refresh(); });
  const show = (x, w) => { state.x = x; state.way = way.value = w; refresh(); };
  const horses = thumbs('Drawn horses, new to the net', animals, herd(0), i => `Horse ${i + 1}`, i => { zebras.value = null; show(animals.picture(i), 'ab'); });
  const zebras = thumbs('Drawn zebras, for the way back', animals, herd(8), i => `Zebra ${i - 7}`, i => { horses.value = null; show(animals.picture(i), 'ba'); });

  async function take(file) {
    if (!file) return;
    try {
      const picture = await read(file), x = shrunk(picture);
      picture.close();
      horses.value = zebras.value = null;
      say('');
      show(x, state.way);
    } catch (e) { say(e.message); }
  }
  const input = el('input', { type: 'file', id: 'zebra-file', accept: 'image/*', onchange: () => { take(input.files[0]); input.value = ''; } });
  const yours = el('div', { class: 'zebra-yours' }, input, el('label', { htmlFor: 'zebra-file' }, 'Choose your picture'),
    el('p', {}, 'or drop it here, or paste it. ', el('b', {}, 'It never leaves this page'), ': it is translated on your own machine.'));
  const over = on => yours.classList.toggle('is-over', on);
  box.addEventListener('dragover', e => { e.preventDefault(); over(true); });
  box.addEventListener('dragleave', () => over(false));
  box.addEventListener('drop', e => { e.preventDefault(); over(false); take(e.dataTransfer.files[0]); });
  document.addEventListener('paste', e => { if (e.clipboardData.files.length) take(e.clipboardData.files[0]); });

  box.append(
    see('The horse gets <b>stripes</b>, the place around it stays, and the way back <b>rubs most of them out again</b>: that is what a CycleGAN is trained for, and all it is told. It has only ever seen <b>drawn</b> animals, so a photograph gets its stripes in odd places.'),
    el('div', { class: 'zebra-board' }, given.element, out.element, back.element), numbers, yours);
  const say = words(box);
  box.append(el('div', { class: 'zebra-herds' }, horses.element, zebras.element), way.element);

  const translate = async (part, data) => { const [x] = Object.values(await zebra.run(part, { x: { data, dims: [1, 3, SIZE, SIZE] } })); return x.data; };
  const label = (shown, text) => { shown.said.textContent = text; shown.canvas.setAttribute('aria-label', text); };

  const refresh = latest(async () => {
    box.setAttribute('aria-busy', true);
    const { x, way } = state, y = await translate(way, x), again = await translate(way === 'ab' ? 'ba' : 'ab', y);
    const error = x.reduce((sum, v, i) => sum + Math.abs(v - again[i]), 0) / x.length;
    given.show(x);
    out.show(y);
    back.show(again);
    [out, back].forEach((shown, k) => label(shown, names[way][k]));
    numbers.innerHTML = `The way there and back changes a value by <b>${(127.5 * error).toFixed(1)}</b> of 255 on average.`;
    box.drawn = { way, error, x: [...x], y: [...y], back: [...again] };
    box.setAttribute('aria-busy', false);
  }, e => say(e.message));

  horses.value = 0;
  await refresh();
}

demo('zebra', {
  title: 'Your picture as a zebra', models: ['zebra'],
  note: 'A CycleGAN that turns drawn horses into zebras and back. Give it a picture of your own: it never leaves the page.',
}, open);
