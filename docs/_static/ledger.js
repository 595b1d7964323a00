// The verdicts of the ledger for another threshold: the rule of `studies.verdicts`, for every smallest effect that matters times a factor.
const LEAST_SEEDS = 5;

// One contrast, in the claim's direction: [effect, low, high, least, seeds].
export function verdictOn([effect, low, high, least, seeds], factor = 1) {
  const enough = least * factor;
  if (seeds < LEAST_SEEDS) return 'open';
  if (low > 0 && effect >= enough) return 'holds';
  if (high < 0 && effect <= -enough) return 'reversed';
  return 'not seen';
}

export const verdict = words => !words.length || words.includes('open') ? 'open' : new Set(words).size === 1 ? words[0] : 'mixed';

export function counts(words) {
  const found = new Map();
  for (const w of words) found.set(w, (found.get(w) ?? 0) + 1);
  return [...found].sort((a, b) => b[1] - a[1]).map(([w, n]) => `${n} ${w}`).join(', ');
}

function start(place) {
  const verdicts = [...document.querySelectorAll('.verdict[data-contrasts]')].map(e => ({ e, contrasts: JSON.parse(e.dataset.contrasts), usual: e.innerHTML }));
  place.innerHTML = `<label>Smallest effects that matter, times <b>1</b> <input type="range" min="-2" max="2" step="0.25" value="0" aria-valuetext="1"></label> <span role="status"></span>`;
  const [slider, shown, status] = ['input', 'b', '[role=status]'].map(s => place.querySelector(s));
  slider.addEventListener('input', () => {
    const factor = 2 ** slider.valueAsNumber;
    let changed = 0;
    for (const { e, contrasts, usual } of verdicts) {
      const words = contrasts.map(c => verdictOn(c, factor)), word = verdict(words);
      e.innerHTML = slider.valueAsNumber ? `<strong>${word}</strong> (${counts(words)})` : usual;
      const moved = word !== verdict(contrasts.map(c => verdictOn(c)));
      e.classList.toggle('changed', moved);
      changed += moved;
    }
    shown.textContent = factor.toFixed(2).replace(/\.?0+$/, '');
    slider.setAttribute('aria-valuetext', shown.textContent);
    status.textContent = `${changed} of ${verdicts.length} verdicts change`;
  });
}

if (globalThis.document) document.querySelectorAll('.threshold').forEach(start);
