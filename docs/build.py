"""Build the site: notebooks, with the outputs stored in them, and one API card for each public symbol.

    python docs/build.py            docs/_build/html; exit 1 on a broken link or on a page that would ask another host for anything

nbs/*.ipynb -> docs/_build/pages (the functions below) -> Sphinx with MyST-NB -> docs/_build/html -> checked. Nothing is executed.
"""
import json, re, shutil, subprocess, sys, tarfile, tempfile, time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BUILD = DOCS/'_build'
VENDOR = BUILD/'vendor' # what a browser needs and git does not hold
sys.path[:0] = [str(DOCS), str(ROOT/'tools')]
from api import read_module  # noqa: E402
from conf import cfg  # noqa: E402

SOURCES = f"{cfg['git_url']}/blob/{cfg['branch']}"
ROOMS = {'1': 'Assignments', '2': 'Studies', '0': 'Library', '4': 'The doors'}
DIRECTIVE = re.compile(r'(?m)^[ \t]*#\|[ \t]*([\w-]+)(.*)\n?')


# ---- what a notebook's text becomes

def doc_links(text: str, targets: dict) -> str:
    "`GameLearner` in prose -> a cross reference; code blocks, headings and the text of links stay as they are."
    def link(m):
        full = targets.get(m[1])
        return m[0] if full is None else f'[`{m[1]}`]({full})' if '://' in full else f'{{py:obj}}`{m[1]} <{full}>`'
    parts = re.split(r'(```.*?```|~~~.*?~~~|(?m:^#+ .*$)|\[[^\]]*\]\([^)]*\))', text, flags=re.DOTALL)
    return ''.join(p if i % 2 else re.sub(r'(?<!`)`([A-Za-z_][\w.]*)(?:\(\))?`(?!`)', link, p) for i, p in enumerate(parts))


def adapt_markdown(text: str, targets: dict) -> str:
    "GitHub's markdown -> MyST: notes become admonitions, files of the repository links to their source, symbols cross references."
    def note(m):
        body = re.sub(r'(?m)^> ?', '', m[0])
        kind, body = re.match(r'(?:\*\*|\[!)(\w+)[.:]?(?:\*\*|\])[.:]?\s*(.*)', body, re.DOTALL).groups()
        return f':::{{{kind.lower()}}}\n{body.strip()}\n:::\n'
    text = re.sub(r'(?m)^> ?(?:\*\*|\[!)(?:Note|NOTE|Warning|WARNING|Tip|TIP|Important|IMPORTANT)[.:]?(?:\*\*|\]).*\n?(?:^>.*\n?)*', note, text)
    text = text.replace('](../CONTRIBUTING.md', '](CONTRIBUTING.md')
    text = re.sub(r'\]\(\.\./([^)\s]+)\)', rf']({SOURCES}/\1)', text)
    return doc_links(text, targets)


def adapt_title(text: str) -> str:
    "`# Title` and `> subtitle` -> a heading and a paragraph that the stylesheet knows."
    return re.sub(r'\A(# .*)\n+> ?(.*)', r'\1\n\n{.subtitle}\n\2\n', text)


def adapt_output(output: dict, widgets: bool) -> dict:
    "Drop what a stored output would fetch from another host, and widgets where no manager is at hand."
    data = output.get('data', {})
    if 'text/html' in data:
        data['text/html'] = re.sub(r'<link[^>]*href=["\']https?:[^>]*>|<script[^>]*src=["\']https?:[^>]*>\s*</script>', '', ''.join(data['text/html']))
    if not widgets and 'application/vnd.jupyter.widget-view+json' in data:
        del data['application/vnd.jupyter.widget-view+json']
        data['text/plain'] = 'Sliders live here: open the notebook (`make lab`).'
    return output


def adapt_code(cell: dict, widgets: bool, fold: bool = False) -> dict | None:
    "A code cell without its directives; None when it is hidden; long exported code folded where the page is no lesson."
    source = ''.join(cell['source'])
    said = {k: v.strip(' :').lower() for k, v in DIRECTIVE.findall(source)}
    source = '\n'.join(x for x in DIRECTIVE.sub('', source).split('\n') if not re.search(r'#\|\s*hide_line', x)).strip('\n')
    if {'hide', 'default_exp'} & said.keys() or not source.strip(): return None
    tags = ['remove-input'] * (said.get('echo') == 'false' or 'hide_input' in said)
    tags += ['remove-output'] * (said.get('output') == 'false' or 'hide_output' in said)
    metadata, lines = {'tags': tags}, source.count('\n') + 1
    if fold and 'export' in said and lines > 40 and not cell['outputs']:
        metadata = {'tags': [*tags, 'hide-input'], 'mystnb': {'code_prompt_show': f'The source, {lines} lines', 'code_prompt_hide': 'Fold the source'}}
    return {**cell, 'source': source, 'metadata': metadata, 'outputs': [adapt_output(o, widgets) for o in cell['outputs']]}


# ---- API cards

def cell_text(text: str) -> str:
    "Words that are safe inside a table's cell."
    return text.replace('|', '\\|').replace('<', '\\<').replace('\n', ' ')


def parameter_table(symbol) -> str:
    "The docments of one signature."
    rows = [(f'`{p.name}`', p) for p in symbol.parameters] + [('*returns*', p) for p in [symbol.returns] if p and (p.comment or symbol.parameters)]
    if not any(p.comment for _, p in rows): return ''
    code = lambda x: '`' + x.replace('|', '\\|') + '`' if x else ''
    return '\n'.join(['', '| Parameter | Type | |', '|:--|:--|:--|'] + [f'| {name} | {code(p.type)} | {cell_text(p.comment)} |' for name, p in rows]) + '\n'


def card(symbol, targets: dict, depth: int = 0) -> str:
    "One symbol as a Python-domain directive: heading, anchor, signature, docstring, docments, source, members."
    kind = {'classmethod': 'method', 'staticmethod': 'method'}.get(symbol.kind, symbol.kind)
    signature, options = symbol.signature, []
    if kind == 'data': options, signature = [f':value: {json.dumps(symbol.signature)}'] if len(symbol.signature) < 80 else [], ''
    if kind == 'property': options, signature = [f':type: {json.dumps(symbol.returns.type)}'] if symbol.returns else [], ''
    if kind != symbol.kind: options.append(f':{symbol.kind}:')
    fence, members = ':' * (6 - depth), ''.join(card(m, targets, depth + 1) for m in symbol.members)
    bases = [doc_links(f'`{b}`', targets) for b in symbol.bases]
    value = f'```python\n{symbol.name} = {symbol.signature}\n```\n' if kind == 'data' and not options else ''
    lines = [f'{fence}{{py:{kind}}} {symbol.name if depth == 0 else symbol.name.split(".")[-1]}{signature}', *options, '',
             f'[source]({SOURCES}/{symbol.module.replace(".", "/")}.py#L{symbol.line}){{.source}}', '',
             doc_links(symbol.doc, targets), '', value, *([f'*Is a* {", ".join(bases)}.', ''] if bases else []),
             doc_links(parameter_table(symbol), targets), members, fence, '']
    return '\n'.join(lines)


def reference(symbols: list, module: str, targets: dict) -> list[str]:
    "The cells that close a library page: one card for each public symbol."
    head = f'## Reference\n\n```{{py:module}} {module}\n```\n\n`from {module} import` any of these.'
    return [head] + [card(s, targets) for s in symbols] if symbols else []


def all_targets(modules: dict) -> dict:
    "Every way to name a symbol in backticks -> its full name here, or fastai's page for it."
    try:
        from fastai._modidx import d
        base = d['settings']['doc_host'] + d['settings']['doc_baseurl'].rstrip('/')
        found = {k.rsplit('.', 1)[-1]: f'{base}/{v[0]}' for m in d['syms'].values() for k, v in m.items() if k.rsplit('.', 1)[-1][0].isupper()}
    except (ImportError, KeyError): found = {}
    for symbols in modules.values():
        for s in [x for y in symbols for x in (y, *y.members)]:
            found |= {name: s.full_name for name in (s.name, s.full_name, s.full_name.split('.', 1)[1])}
    return found


# ---- pages

def markdown_cell(text: str) -> dict: return dict(cell_type='markdown', metadata={}, source=text)


def page(nb: dict, targets: dict, symbols: list = (), module: str = '', widgets: bool = False, fold: bool = False) -> dict:
    "A notebook as the site shows it."
    cells = []
    for i, c in enumerate(nb['cells']):
        text = ''.join(c['source'])
        if c['cell_type'] == 'code': c = adapt_code(c, widgets, fold)
        else: c = {**c, 'source': adapt_markdown(adapt_title(text) if i == 0 else text, targets)}
        if c: cells.append(c)
    cells += map(markdown_cell, reference(list(symbols), module, targets))
    metadata = {k: v for k, v in nb['metadata'].items() if k != 'widgets' or widgets}
    return dict(nb, cells=cells, metadata=metadata, nbformat=4, nbformat_minor=4)


def contents(titles: dict) -> str:
    "The sidebar: one hidden table of contents for each room, notebooks with their numbers; `titles` is page -> title."
    rooms = {'Start here': ['self', *(n for n in titles if not n[0].isdigit() and n != 'index')]}
    rooms |= {room: [f'{n.partition("_")[0]}  {t} <{n}>' for n, t in titles.items() if n.startswith(digit)] for digit, room in ROOMS.items()}
    return '\n'.join(f'```{{toctree}}\n:hidden:\n:caption: {title}\n\n' + '\n'.join(members) + '\n```\n' for title, members in rooms.items() if members)


def write_pages(nbs: Path, package: Path, to: Path):
    "Every notebook (and CONTRIBUTING) as a page."
    books = {p.stem: json.loads(p.read_text(encoding='utf-8')) for p in sorted(nbs.glob('*.ipynb'))}
    default = re.compile(r'(?m)^\s*#\|\s*default_exp\s+(\S+)')
    module = {n: m[1] for n, nb in books.items() for c in nb['cells'] if c['cell_type'] == 'code' for m in [default.search(''.join(c['source']))] if m}
    symbols = {n: read_module(package/f'{m}.py') for n, m in module.items() if (package/f'{m}.py').exists()}
    targets = all_targets(symbols)
    vendor_mathjax()
    widgets = any('widgets' in nb['metadata'] for nb in books.values()) and vendor_widgets()
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    titles = {n: re.match(r'#?\s*(.*)', ''.join(nb['cells'][0]['source']))[1] for n, nb in books.items()}
    if (ROOT/'CONTRIBUTING.md').exists():
        text = re.sub(r'\]\(nbs/(\w+\.ipynb)', r'](\1', (ROOT/'CONTRIBUTING.md').read_text(encoding='utf-8'))
        (to/'CONTRIBUTING.md').write_text(re.sub(r'\]\((?!\w+:|#|\w+\.ipynb)([^)\s]+)\)', rf']({SOURCES}/\1)', text), encoding='utf-8')
        titles['CONTRIBUTING'] = 'Contributing'
    for name, nb in books.items():
        nb = page(nb, targets, symbols.get(name, []), f"{package.name}.{module.get(name)}", widgets, name[0] in '04')
        if name == 'index': nb['cells'].append(markdown_cell(contents(titles)))
        (to/f'{name}.ipynb').write_text(json.dumps(nb), encoding='utf-8')


# ---- what a browser needs, served by us

PACKED = {'mathjax@3': r'package/es5/((?:tex-chtml\.js|output/chtml/fonts/woff-v2/.*|input/tex/extensions/.*))', # -> mathjax/
          'requirejs@2': r'package/(require\.js)',
          '@jupyter-widgets/html-manager@1': r'package/dist/(embed-amd\.js|\w+\.woff2)'}


def vendor(package: str, marker: str, to: Path) -> bool:
    "Files of an npm package, packed once into the ignored cache; False, said aloud, where npm cannot."
    if (to/marker).exists(): return True
    with tempfile.TemporaryDirectory() as tmp:
        try: subprocess.run(['npm', 'pack', '--silent', package], cwd=tmp, check=True, capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as e:
            why = 'there is no npm here' if isinstance(e, FileNotFoundError) else f'npm failed: {(getattr(e, "stderr", "") or str(e)).strip()[-200:]}'
            print(f'docs: no {package} ({why}). Install Node.js with npm, or let npm reach its registry, and build again.')
            return False
        with tarfile.open(next(Path(tmp).glob('*.tgz'))) as archive:
            for m in archive.getmembers():
                if not m.isfile() or not (kept := re.fullmatch(PACKED[package], m.name)): continue
                (to/kept[1]).parent.mkdir(parents=True, exist_ok=True)
                (to/kept[1]).write_bytes(archive.extractfile(m).read())
    return (to/marker).exists()


def vendor_mathjax() -> bool:
    "The renderer of formulas, its fonts and TeX extensions; without it pages show the formulas' TeX."
    if vendor('mathjax@3', 'tex-chtml.js', VENDOR/'mathjax'): return True
    print('docs: formulas will be shown as TeX.')
    return False


def vendor_widgets() -> bool:
    "The widget manager and what loads it; without it pages say where the sliders are."
    if vendor('requirejs@2', 'require.js', VENDOR) and vendor('@jupyter-widgets/html-manager@1', 'embed-amd.js', VENDOR): return True
    print('docs: sliders will be named, not shown.')
    return False


# ---- checks of what was built

class Links(HTMLParser):
    "What one page offers (ids), points at (links) and makes a browser fetch (requests)."
    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.requests, self.inline = set(), set(), set(), ''
        self.in_script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = {k: v or '' for k, v in attrs}
        self.ids |= {a[k] for k in ('id', 'name') if k in a}
        self.in_script = tag == 'script' and 'json' not in a.get('type', '')
        fetched = [a.get(k, '') for k in ('src', 'srcset', 'data', 'poster') if k in a and tag != 'a']
        if tag == 'link' and not {'canonical', 'next', 'prev', 'index', 'search'} & set(a.get('rel', '').split()): fetched.append(a.get('href', ''))
        fetched += re.findall(r'url\(["\']?([^)"\']+)', a.get('style', ''))
        self.requests |= {x for x in fetched if x}
        self.links |= {a['href']} if tag in ('a', 'link', 'area') and 'href' in a else set()

    def handle_endtag(self, tag): self.in_script = self.in_script and tag != 'script'
    def handle_data(self, data): self.inline += data if self.in_script else ''


def is_foreign(url: str) -> bool: return bool(re.match(r'(?:(?:https?|wss?|ftp):)?//', url.strip(), re.I))


def site_pages(html: Path) -> list[Path]: return [p for p in sorted(html.rglob('*.html')) if '_static' not in p.parts]


def foreign_requests(html: Path) -> list[str]:
    "What the pages and stylesheets would ask of another host."
    found = []
    for p in site_pages(html):
        page = Links(p.read_text(encoding='utf-8'))
        wanted = page.requests | set(re.findall(r'["\'`](https?://(?!www\.w3\.org/)[^"\'`\s]+)', page.inline))
        found += [f'{p.relative_to(html)} asks {x}' for x in sorted(wanted) if is_foreign(x)]
    for p in sorted(html.rglob('*.css')):
        wanted = re.findall(r'(?:url\(|@import\s+)["\']?([^)"\']+)', p.read_text(encoding='utf-8', errors='replace'))
        found += [f'{p.relative_to(html)} asks {x}' for x in wanted if is_foreign(x)]
    return found


def broken_links(html: Path) -> list[str]:
    "Links, pictures and scripts that lead to no file or to no anchor of the site."
    pages, found = {p.resolve(): Links(p.read_text(encoding='utf-8')) for p in site_pages(html)}, []
    for p, page in sorted(pages.items()):
        for x in sorted(page.links | {r for r in page.requests if not r.startswith('data:')}):
            if is_foreign(x) or re.match(r'[a-z]+:', x): continue
            url = urlsplit(x)
            target = (p.parent/unquote(url.path)).resolve() if url.path else p
            if target.is_dir(): target = target/'index.html'
            if not target.exists(): found.append(f'{p.relative_to(html.resolve())} -> {x}: no such file')
            elif url.fragment and target in pages and unquote(url.fragment) not in pages[target].ids | {''}:
                found.append(f'{p.relative_to(html.resolve())} -> {x}: no such anchor')
    return found


def build(nbs: Path, package: Path, out: Path) -> list[str]:
    "Pages, site and checks under `out`; what is wrong, in words."
    from sphinx.cmd.build import main as sphinx
    pages, html, warnings = out/'pages', out/'html', out/'warnings.txt'
    write_pages(nbs, package, pages)
    shutil.rmtree(html, ignore_errors=True)
    if sphinx(['-q', '-E', '-b', 'html', '-c', str(DOCS), '-d', str(out/'doctrees'), '-w', str(warnings), str(pages), str(html)]):
        return ['Sphinx failed: see above']
    said = [x.replace(str(pages), 'nbs') for x in warnings.read_text(encoding='utf-8').splitlines() if x.startswith(str(pages))]
    return said + broken_links(html) + foreign_requests(html)


def main() -> int:
    "Build, list what is wrong, say where the site is."
    start, wrong, html = time.time(), build(ROOT/'nbs', ROOT/cfg['lib_path'], BUILD), BUILD/'html'
    size = sum(p.stat().st_size for p in html.rglob('*') if p.is_file()) / 1e6
    print('\n'.join(wrong + [f'{len(list(html.glob("*.html")))} pages, {size:.1f} MB, {time.time() - start:.0f} s, {len(wrong)} faults: {html/"index.html"}']))
    return bool(wrong)


if __name__ == '__main__': sys.exit(main())
