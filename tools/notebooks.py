"""Run notebooks in order in a fresh kernel, stamp what ran, and check stamps.

    python tools/notebooks.py run [NB ...]      execute in place (scale from DLCV_GAN_SCALE, default laptop) and stamp
    python tools/notebooks.py check [NB ...]    fail where a notebook's code is not what its outputs were made by
    python tools/notebooks.py carry REV [NB ...]    stamp anew what differs from revision REV by imports and names only
    python tools/notebooks.py readme            write README.md from nbs/index.ipynb, pictures included
    python tools/notebooks.py verdicts          quote the ledger anew wherever a text has a table of verdicts

NB is a path below nbs/ without its ending (assignments/01_vae), its last part (01_vae), that without number (vae), or a
room (assignments).
"""
import base64, hashlib, io, json, os, re, subprocess, sys, time
from pathlib import Path

import nbformat
from captions import captions_of
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT/'nbs'
sys.path.insert(0, str(ROOT))
from dlcv_gan.cli.notebooks import INSTALL, find_notebooks


def name_of(path: Path) -> str:
    "nbs/assignments/01_vae.ipynb -> 'assignments/01_vae'."
    return path.relative_to(NBS).with_suffix('').as_posix()


def notebooks() -> list[Path]:
    "Every notebook, in all rooms."
    return [p for p in sorted(NBS.rglob('*.ipynb')) if '.ipynb_checkpoints' not in p.parts]


def paths_of(names) -> list[Path]:
    "The notebooks of these names and rooms; without one, all."
    there = {name_of(p): p for p in notebooks()}
    try: return [there[n] for n in find_notebooks(names, list(there))]
    except ValueError as e: raise SystemExit(str(e)) from None


def fingerprint(nb) -> str:
    "A hash of every code cell, in order, but the one that installs: what the outputs must have been made by."
    return hashlib.sha256('\0'.join(c['source'] for c in nb['cells'] if c['cell_type'] == 'code'
                                    and c['source'] != INSTALL).encode()).hexdigest()[:16]


def save(nb, path: Path):
    "Write atomically: a reader never meets half a notebook. Sources stand line by line, as Jupyter writes them."
    nb = dict(nb, cells=[dict(c, source=''.join(c['source']).splitlines(keepends=True)) for c in nb['cells']])
    tmp = path.with_suffix('.ipynb.tmp')
    tmp.write_text(json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + '\n', encoding='utf-8')
    os.replace(tmp, path)


def silence(nb):
    "Where a cell redirects stderr, what its processes wrote there goes too: they are not reached by it."
    for c in nb['cells']:
        if c['cell_type'] == 'code' and 'redirect_stderr(' in ''.join(c['source']):
            c['outputs'] = [o for o in c['outputs'] if o.get('name') != 'stderr']


def slim(nb, limit: int = 60_000, quality: int = 88):
    "Keep large pictures as JPEG, a fifth of their PNG: a notebook must stay under 1 MB. Small ones (curves) stay."
    for data in (o['data'] for c in nb.cells for o in c.get('outputs', []) if 'data' in o):
        for kind in ('image/png', 'image/jpeg'):
            if len(data.get(kind, '')) <= limit: continue
            jpeg = io.BytesIO()
            Image.open(io.BytesIO(base64.b64decode(data[kind]))).convert('RGB').save(jpeg, 'JPEG', quality=quality)
            text = base64.b64encode(jpeg.getvalue()).decode()
            if len(text) < len(data[kind]):
                del data[kind]
                data['image/jpeg'] = text
            break


# Run after a notebook's last cell and then taken out: what its kernel held at most, in units of 1024 bytes (macOS: 1).
PEAK = "import resource as _resource\nprint(_resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss)"


def megabytes(cell) -> int | None:
    "What the cell `PEAK` printed, in MB; None where the system does not say."
    text = ''.join(o.get('text', '') for o in cell.outputs if o.output_type == 'stream').strip()
    return round(int(text) / (1e6 if sys.platform == 'darwin' else 1e6 / 1024)) if text.isdigit() else None


def run(path: Path):
    "Execute every cell top to bottom in a new kernel; on an error the file is left as it was."
    os.environ.setdefault('PYTHONWARNINGS', 'ignore') # other people's deprecations are no part of a lesson
    nb, start = nbformat.read(path, as_version=4), time.time()
    for c in nb.cells:
        if c.cell_type == 'code': c.outputs, c.execution_count = [], None
    # not every system has `resource`
    nb.cells.append(nbformat.v4.new_code_cell(PEAK, metadata=dict(tags=['raises-exception'])))
    NotebookClient(nb, timeout=3600, kernel_name='python3', store_widget_state=True,
                   resources={'metadata': {'path': str(path.parent)}}).execute()
    memory = megabytes(nb.cells.pop())
    silence(nb)
    slim(nb)
    if len(json.dumps(nb)) > 950_000: slim(nb, 20_000, quality=70)
    nb.metadata['executed'] = dict(code=fingerprint(nb), scale=os.environ.get('DLCV_GAN_SCALE', 'laptop'),
                                   seconds=round(time.time() - start), **(dict(megabytes=memory) if memory else {}))
    save(nb, path)
    subprocess.run(['nbdev_clean', '--fname', str(path)], check=True, cwd=ROOT)
    print(f"{name_of(path)}: {nb.metadata['executed']['seconds']} s, {memory or '?'} MB of memory, "
          f"{path.stat().st_size / 1e3:.0f} kB", flush=True)


def faults(path: Path) -> list[str]:
    "What is wrong with a committed notebook, in words; empty when nothing is."
    nb = nbformat.read(path, as_version=4)
    stamp, name = nb.metadata.get('executed'), name_of(path)
    errors = [f'{name}: cell {i} holds an error' for i, c in enumerate(nb.cells)
              for o in c.get('outputs', []) if o.output_type == 'error']
    if not stamp: return errors + [f'{name}: never executed as a whole; run `make notebooks NB={name}`']
    if stamp['code'] != fingerprint(nb):
        errors.append(f'{name}: its code changed after its outputs were made; run `make notebooks NB={name}`')
    if stamp['scale'] == 'smoke':
        errors.append(f'{name}: committed at smoke scale; run `make notebooks NB={name}`')
    if path.stat().st_size > 1_000_000: errors.append(f'{name}: {path.stat().st_size / 1e6:.1f} MB, over 1 MB')
    return errors


def readme():
    "Turn index.ipynb into README.md; its pictures go to docs/readme/."
    nb, out, pics = nbformat.read(NBS/'index.ipynb', as_version=4), [], ROOT/'docs'/'readme'
    pics.mkdir(parents=True, exist_ok=True)
    captions = captions_of(nb)
    for c in nb.cells:
        hidden = re.search(r'(?m)^#\|\s*hide', c.source)
        if c.cell_type == 'markdown': out.append(c.source)
        if c.cell_type == 'markdown' or hidden: continue
        code = re.sub(r'(?m)^#\|.*\n?', '', c.source).strip()
        if code and not re.search(r'(?m)^#\|\s*echo:\s*false', c.source): out.append(f'```python\n{code}\n```')
        for j, o in enumerate(c.outputs):
            data = o.get('data', {})
            kind = next((k for k in ('image/png', 'image/jpeg') if k in data), None)
            if kind:
                name = f"{c.id}-{j}.{kind.removeprefix('image/')}"
                (pics/name).write_bytes(base64.b64decode(data[kind]))
                out.append(f'![{captions.get(c.id, [""])[0]}](docs/readme/{name})')
            elif o.output_type == 'stream' or 'text/plain' in data:
                out.append('```\n' + (o.get('text') or data.get('text/plain')).rstrip() + '\n```')
    text = re.sub(r'\]\((?!\w+:)([\w./-]+\.ipynb)', r'](nbs/\1', '\n\n'.join(out)) # nbs/ is one folder deeper
    text = re.sub(r'(="|\]\()\.\./', r'\1', text) + '\n'
    (ROOT/'README.md').write_text(text, encoding='utf-8')


QUOTED = re.compile(r'<!-- verdicts ([\d ]+) -->\n.*?<!-- / -->', re.S)


def quoted(text: str, larger, small) -> str:
    "A text whose tables of verdicts say what the ledger says now."
    from dlcv_gan.studies.ledger import verdict_table
    def table(m):
        found = verdict_table(list(map(int, m[1].split())), larger, small)
        return f'<!-- verdicts {m[1]} -->\n{found}\n<!-- / -->'
    return QUOTED.sub(table, text)


def verdicts():
    "Quote the ledger anew in every notebook."
    from dlcv_gan.cli.studies import studies
    from dlcv_gan.studies.ledger import ledgers
    both = ledgers(list(studies().values()), scale='laptop')
    for path in notebooks():
        nb = nbformat.read(path, as_version=4)
        before = [c.source for c in nb.cells]
        for c in nb.cells:
            if c.cell_type == 'markdown': c.source = quoted(c.source, *both)
        if [c.source for c in nb.cells] != before:
            save(nb, path)
            print(f'{name_of(path)}: its verdicts are those of the ledger now')


def main(verb='check', *names):
    if verb == 'readme': return readme()
    if verb == 'verdicts': return verdicts()
    if verb == 'carry':
        from carry import carry
        return carry(*names)
    paths = paths_of(names)
    if verb == 'run': return [run(p) for p in paths] and 0
    wrong = [f for p in paths for f in faults(p)]
    print('\n'.join(wrong) or f'{len(paths)} notebooks: code and outputs agree')
    return len(wrong) > 0


if __name__ == '__main__': sys.exit(main(*sys.argv[1:]))
