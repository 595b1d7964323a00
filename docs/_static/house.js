// What the pages do beside being read: a film that can be stopped, sliders that come when they are asked for.

// A film moves longer than five seconds, so it has a button; readers who asked for less motion already see its last picture.
for (const figure of document.querySelectorAll('.film')) {
  const image = figure.querySelector('img'), film = image.src, still = film.replace(/\.webp$/, '-still.webp');
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) continue;
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: '❚❚ Pause' });
  button.addEventListener('click', () => {
    const stop = image.src === film;
    image.src = stop ? still : film;
    button.textContent = stop ? '▶ Play' : '❚❚ Pause';
  });
  figure.append(button);
}

// What scrolls sideways can be scrolled with the keyboard.
addEventListener('load', async () => {
  await window.MathJax?.startup?.promise;
  for (const e of document.querySelectorAll('mjx-container, .cell_output, .pst-scrollable-table-container')) if (e.scrollWidth > e.clientWidth) e.tabIndex = 0;
});

// Sliders of executed notebooks: their manager is large, so a page fetches it on request.
const views = [...document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]')];
const here = document.currentScript.src, fetched = name => new Promise((done, failed) => {
  document.head.append(Object.assign(document.createElement('script'), { src: new URL(name, here), onload: done, onerror: failed }));
});
for (const view of views) {
  const button = Object.assign(document.createElement('button'), { type: 'button', className: 'show-sliders', textContent: 'Show the sliders (1 MB)' });
  button.addEventListener('click', async () => {
    const all = [...document.querySelectorAll('.show-sliders')];
    for (const b of all) { b.disabled = true; b.textContent = 'Loading …'; }
    try {
      // The manager speaks to MathJax 2, the pages to 3.
      if (window.MathJax) MathJax.Hub ??= { Queue: ([, , element]) => MathJax.typesetPromise?.([element]) };
      await fetched('require.js');
      await fetched('embed-amd.js');
      for (const b of all) b.remove();
    } catch { for (const b of all) b.textContent = 'The sliders cannot be loaded here: open the notebook (make lab).'; }
  });
  view.before(button);
}
