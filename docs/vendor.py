"What a browser needs and git does not hold, packed from npm once and served by the site itself."
import gzip, json, re, subprocess, tarfile, tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
VENDOR = DOCS/'_build'/'vendor'
TEX = ['startup', 'core', 'input/tex', 'output/chtml', 'output/chtml/fonts/tex', 'a11y/assistive-mml']
PACKED = { # npm package -> its files that a browser needs, each by the name it gets
    'mathjax@3': rf'package/es5/((?:{"|".join(TEX)})\.js|output/chtml/fonts/woff-v2/.*|input/tex/extensions/.*)',
    'requirejs@2': r'package/(require\.js)',
    '@jupyter-widgets/html-manager@1': r'package/dist/(embed-amd\.js|\w+\.woff2)',
    'onnxruntime-web@1': r'package/dist/(ort\.wasm\.min\.mjs|ort-wasm-simd-threaded\.(?:mjs|wasm))',
}


def vendor(package: str, marker: str, to: Path) -> bool:
    "Files of an npm package, packed once into the ignored cache; False, said aloud, where npm cannot."
    if (to/marker).exists(): return True
    with tempfile.TemporaryDirectory() as tmp:
        try:
            subprocess.run(['npm', 'pack', '--silent', package], cwd=tmp, check=True, capture_output=True, text=True,
                           timeout=300)
        except (OSError, subprocess.SubprocessError) as e:
            why = f'npm failed: {(getattr(e, "stderr", "") or str(e)).strip()[-200:]}'
            if isinstance(e, FileNotFoundError): why = 'there is no npm here'
            print(f'docs: no {package} ({why}). '
                  'Install Node.js with npm, or let npm reach its registry, and build again.')
            return False
        with tarfile.open(next(Path(tmp).glob('*.tgz'))) as archive:
            for m in archive.getmembers():
                if not m.isfile() or not (kept := re.fullmatch(PACKED[package], m.name)): continue
                (to/kept[1]).parent.mkdir(parents=True, exist_ok=True)
                (to/kept[1]).write_bytes(archive.extractfile(m).read())
    return (to/marker).exists()


def vendor_mathjax() -> bool:
    "The renderer of formulas, its fonts and TeX extensions; without it pages show the formulas' TeX."
    if vendor('mathjax@3', 'startup.js', VENDOR/'mathjax'): return True
    print('docs: formulas will be shown as TeX.')
    return False


def vendor_widgets() -> bool:
    "The widget manager and what loads it; without it pages say where the sliders are."
    loader = vendor('requirejs@2', 'require.js', VENDOR)
    if loader and vendor('@jupyter-widgets/html-manager@1', 'embed-amd.js', VENDOR): return True
    print('docs: sliders will be named, not shown.')
    return False


def packed_size(*files: Path) -> int:
    "Bytes on the way to a browser, as a server packs them."
    return sum(len(gzip.compress(p.read_bytes(), 6)) for p in files)


def vendor_demos() -> bool:
    "What runs nets in the page, and how large each demo is to open; without it the demos' boxes say what is missing."
    found = vendor('onnxruntime-web@1', 'ort-wasm-simd-threaded.wasm', VENDOR/'ort')
    if not found: print('docs: demos will say that their runtime is missing.')
    models, sizes = DOCS/'_static'/'demos'/'models', {}
    if found: sizes['ort'] = packed_size(*(VENDOR/'ort').iterdir())
    for about in sorted(models.glob('*.json')):
        parts = json.loads(about.read_text(encoding='utf-8')).get('parts', {}).values()
        if parts: sizes[about.stem] = packed_size(about, *(models/part['file'] for part in parts))
    (VENDOR/'demos').mkdir(parents=True, exist_ok=True)
    (VENDOR/'demos'/'sizes.js').write_text(f'export default {json.dumps(sizes)};\n', encoding='utf-8')
    return found
