"""Build the site: notebooks, with the outputs stored in them, and one API card for each public symbol.

    python docs/build.py            docs/_build/html; exit 1 on a broken link or on a page that would ask another host for anything

nbs/*.ipynb -> docs/_build/pages (the functions below) -> Sphinx with MyST-NB -> docs/_build/html -> checked. Nothing is executed.
"""
import ast, base64, gzip, json, re, shutil, subprocess, sys, tarfile, tempfile, time, tomllib
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
# The sidebar: section -> which notebooks belong there, by name; within a section, patterns in this order. What fits
# nowhere is a start.
ROOMS = {'Start here': ['index', 'play', 'demos', 'gallery', r'(?!for_teachers|CONTRIBUTING)\D.*'],
         'Assignments': [r'1.*', r'4[4-7]_.*'], # the lessons, then what each course is handed in
         'Studies': [r'3.*', r'2.*'], # the ledger first
         'Library': [r'0.*', r'4.*', 'CONTRIBUTING'],
         'For teachers': ['for_teachers']}
HOME = f"{cfg['doc_host']}{cfg['doc_baseurl']}/" # where the site is published; links to it stay within the site
PAGES = ('gallery', 'CONTRIBUTING') # what is a page and no notebook
DIRECTIVE = re.compile(r'(?m)^[ \t]*#\|[ \t]*([\w-]+)(.*)\n?')


# ---- what a notebook's text becomes

def doc_links(text: str, targets: dict) -> str:
    "`GameLearner` in prose -> a cross reference; code blocks, headings and the text of links stay as they are."
    def link(m):
        full = targets.get(m[1])
        return m[0] if full is None else f'[`{m[1]}`]({full})' if '://' in full else f'{{py:obj}}`{m[1]} <{full}>`'
    parts = re.split(r'(```.*?```|~~~.*?~~~|(?m:^#+ .*$)|\[[^\]]*\]\([^)]*\))', text, flags=re.DOTALL)
    return ''.join(p if i % 2 else re.sub(r'(?<!`)`([A-Za-z_][\w.]*)(?:\(\))?`(?!`)', link, p)
                   for i, p in enumerate(parts))


def adapt_markdown(text: str, targets: dict) -> str:
    "GitHub's markdown -> MyST: notes become admonitions, files of the repository links to their source, symbols cross references."
    def note(m):
        body = re.sub(r'(?m)^> ?', '', m[0])
        kind, body = re.match(r'(?:\*\*|\[!)(\w+)[.:]?(?:\*\*|\])[.:]?\s*(.*)', body, re.DOTALL).groups()
        return f':::{{{kind.lower()}}}\n{body.strip()}\n:::\n'
    text = re.sub(r'(?m)^> ?(?:\*\*|\[!)(?:Note|NOTE|Warning|WARNING|Tip|TIP|Important|IMPORTANT)[.:]?(?:\*\*|\]).*\n?(?:^>.*\n?)*', note, text)
    text = text.replace('](../CONTRIBUTING.md', '](CONTRIBUTING.md').replace('="../docs/_static/', '="_static/')
    text = re.sub(rf'\]\({re.escape(HOME)}(\w+)\.html', lambda m: f']({m[1]}.{"md" if m[1] in PAGES else "ipynb"}',
                  text)
    text = re.sub(r'\]\(\.\./([^)\s]+)\)', rf']({SOURCES}/\1)', text)
    return doc_links(text, targets)


def adapt_title(text: str) -> str:
    "`# Title` and `> subtitle` -> a heading and a paragraph that the stylesheet knows."
    return re.sub(r'\A(# .*)\n+> ?(.*)', r'\1\n\n{.subtitle}\n\2\n', text)


def adapt_output(output: dict, widgets: bool) -> dict:
    "Drop what a stored output would fetch from another host, and widgets where no manager is at hand."
    data = output.get('data', {})
    if 'text/markdown' in data: # Sphinx resolves links in what is written, not in what was printed
        data['text/markdown'] = re.sub(r'\]\((\w+)\.ipynb', r'](\1.html', ''.join(data['text/markdown']))
    if 'text/html' in data:
        data['text/html'] = re.sub(r'<link[^>]*href=["\']https?:[^>]*>|<script[^>]*src=["\']https?:[^>]*>\s*</script>',
                                   '', ''.join(data['text/html']))
    if not widgets and 'application/vnd.jupyter.widget-view+json' in data:
        del data['application/vnd.jupyter.widget-view+json']
        data['text/plain'] = 'Sliders live here: open the notebook (`make lab`).'
    return output


def with_still(output: dict) -> list[dict]:
    "A widget that carries a plain picture of itself: the picture first, which every reader sees, then the widget for those who ask."
    data = output.get('data', {})
    still = {k: v for k, v in data.items() if k.startswith('image/')}
    if not still or 'application/vnd.jupyter.widget-view+json' not in data: return [output]
    return [{**output, 'data': still}, {**output, 'data': {k: v for k, v in data.items() if k not in still}}]


def is_empty(output: dict) -> bool:
    "Is this what a progress bar leaves behind: HTML that shows nothing?"
    html = ''.join(output.get('data', {}).get('text/html', ''))
    return bool(html) and not re.sub(r'<style.*?</style>|<!--.*?-->|</?div>|\s', '', html, flags=re.DOTALL)


def adapt_code(cell: dict, widgets: bool, fold: bool = False) -> dict | None:
    "A code cell without its directives; None when it is hidden; long exported code folded where the page is no lesson."
    source = ''.join(cell['source'])
    said = {k: v.strip(' :').lower() for k, v in DIRECTIVE.findall(source)}
    source = '\n'.join(x for x in DIRECTIVE.sub('', source).split('\n')
                       if not re.search(r'#\|\s*hide_line', x)).strip('\n')
    if {'hide', 'default_exp'} & said.keys() or not source.strip(): return None
    tags = ['remove-input'] * (said.get('echo') == 'false' or 'hide_input' in said)
    tags += ['remove-output'] * (said.get('output') == 'false' or 'hide_output' in said)
    metadata, lines = {'tags': tags}, source.count('\n') + 1
    if fold and 'export' in said and lines > 40 and not cell['outputs']:
        metadata = {'tags': [*tags, 'hide-input'], 'mystnb': {'code_prompt_show': f'The source, {lines} lines',
                                                              'code_prompt_hide': 'Fold the source'}}
    return {**cell, 'source': source, 'metadata': metadata,
            'outputs': [adapt_output(part, widgets) for o in cell['outputs'] if not is_empty(o)
                        for part in with_still(o)]}


# ---- figures: what to see, in words

def pictures(cell: dict) -> list[dict]:
    "The outputs of a cell that are pictures."
    return [o for o in cell.get('outputs', ()) if any(k.startswith('image/') for k in o.get('data', {}))]


def plain(text: str) -> str:
    "Markdown as an alternative text: without marks, links, formulas and line ends."
    text = re.sub(r'!?\[([^\]]*)\]\([^)]*\)|\{py:obj\}`([^`<]*?) ?<[^`]*`', lambda m: m[1] or m[2] or '', text)
    return re.sub(r'\s+', ' ', re.sub(r'[`*$]|^#+ .*$|^\|.*$|^> ?', '', text, flags=re.MULTILINE)).strip()


def described(source: str, before: str) -> str:
    "Where nobody has said what to see: the title that the code gives its figure, else the last sentence of the prose above."
    title = re.search(r'title=f?([\'"])(.+?)\1', source)
    if title and not re.search(r'[{}]', title[2]): return title[2]
    sentences = re.split(r'(?<=[.!?:]) ', plain(re.sub(r'```.*?```|\$\$.*?\$\$|<[^>]*>', '', before, flags=re.DOTALL)))
    return sentences[-1].rstrip(':') or 'A figure made by the code above'


def with_captions(cell: dict, said, before: str, targets: dict) -> list[dict]:
    "A cell whose pictures have alternative texts and, where `said` has them, captions; one cell for each picture that has its own."
    shown, source = pictures(cell), ''.join(cell['source'])
    if not shown: return [cell]
    # one for several stands below the last
    said = said if isinstance(said, list) else [said or ''] if len(shown) == 1 else ['']*(len(shown) - 1) + [said or '']
    said = said + ['']*(len(shown) - len(said))
    def dressed(outputs, caption, first):
        words = {'image': {'alt': plain(caption) or described(source, before)},
                 **({'figure': {'caption': doc_links(caption, targets)}} if caption else {})}
        tags = [*cell['metadata'].get('tags', ()), *([] if first else ['remove-input'])]
        return {**cell, 'outputs': outputs, 'metadata': {**cell['metadata'], 'tags': tags,
                                                         'mystnb': {**cell['metadata'].get('mystnb', {}), **words}}}
    if not any(said): return [dressed(cell['outputs'], '', True)]
    parts = [] # a caption belongs to its picture alone, so what was printed beside it stands in a cell of its own
    for o in cell['outputs']:
        picture = any(o is p for p in shown)
        caption = said.pop(0) if picture else ''
        if caption or not parts or parts[-1][1]: parts.append(([], caption))
        parts[-1][0].append(o)
    return [dressed(outputs, caption, i == 0) for i, (outputs, caption) in enumerate(parts)]


def lost_captions(books: dict, figures: dict) -> list[str]:
    "Captions whose figure is gone."
    have = {n: {c.get('id') for c in nb['cells'] if pictures(c)} for n, nb in books.items()}
    return [f'docs/figures.toml: [{n}] {cell} is no cell with a figure; give the caption to the new cell, or remove it'
            for n, said in figures.items() for cell in said if cell not in have.get(n, ())]


# ---- the gallery

def printed_systems(package: Path) -> dict:
    "Report's name -> (title, module), read from the code of each `System(...)` without importing it."
    found = {}
    for p in sorted(package.glob('*.py')):
        for n in ast.walk(ast.parse(p.read_text(encoding='utf-8'))):
            if isinstance(n, ast.Call) and getattr(n.func, 'id',
                                                   '') == 'System' and all(isinstance(a, ast.Constant)
                                                                           for a in n.args[:3]) and len(n.args) > 2:
                found[n.args[0].value] = (n.args[2].value, p.stem)
    return found


def gallery(chosen: dict, systems: dict, books: dict, figures: dict, titles: dict, to: Path) -> str:
    "The gallery's page; its pictures are taken out of the notebooks and laid into `to`/gallery."
    at = {n.partition('_')[2]: n for n in titles} # module -> notebook
    known = [s.strip() for names in chosen for s in names.split(',')]
    if wrong := [s for s in known if s not in systems]:
        raise ValueError(f'docs/gallery.toml: no module defines the system {wrong[0]}; there are {", ".join(systems)}')
    (to/'gallery').mkdir(exist_ok=True)
    cards = []
    for names, where in chosen.items():
        book, cell, number = (*where.split('/'), '0')[:3]
        found = [pictures(c) for c in books.get(book, {'cells': []})['cells'] if c.get('id') == cell]
        if not found or len(found[0]) <= int(number):
            raise ValueError(f'docs/gallery.toml: {names}: {where} is no figure of a notebook; name another')
        kind, data = next((k, d) for k, d in found[0][int(number)]['data'].items() if k.startswith('image/'))
        file = f'gallery/{book}-{cell}-{number}.{kind.removeprefix("image/")}'
        (to/file).write_bytes(base64.b64decode(''.join(data)))
        said = figures.get(book, {}).get(cell, '')
        said = said if isinstance(said, str) else said[int(number)]
        head = ' and '.join(f'**{s}**, {systems[s][0]}' for s in map(str.strip, names.split(',')))
        cards.append(f'::::{{grid-item}}\n:::{{figure}} {file}\n:alt: {plain(said)}\n:target: {book}.html\n\n{head}. '
                     f'{said} [{titles[book]}]({book}.ipynb)\n:::\n::::\n')
    rest = [f'{s} ([{systems[s][0]}]({at[systems[s][1]]}.ipynb))'
            for s in systems if s not in known and systems[s][1] in at]
    text = ('# Gallery\n\n{.subtitle}\nWhat every system draws, as the notebooks left it: trained on drawn worlds, '
            'most of them for minutes on two processor cores. Nothing is picked out, and the failures hang too.\n\n'
            'A picture leads to the notebook that made it, where you can read why it looks as it does. The reports\' '
            'own sizes and lengths need a GPU (`make gpu`).\n\n'
            ':::::{grid} 1 1 1 2\n:gutter: 4\n:class-container: gallery\n\n' + '\n'.join(cards) + ':::::\n')
    return text + (f'\nNot shown, because no page trains them yet: {"; ".join(rest)}.\n' if rest else '')


# ---- API cards

def cell_text(text: str) -> str:
    "Words that are safe inside a table's cell."
    return text.replace('|', '\\|').replace('<', '\\<').replace('\n', ' ')


def parameter_table(symbol) -> str:
    "The docments of one signature."
    rows = [(f'`{p.name}`', p) for p in symbol.parameters] + [('*returns*', p)
                                                              for p in [symbol.returns] if p
                                                              and (p.comment or symbol.parameters)]
    if not any(p.comment for _, p in rows): return ''
    code = lambda x: '`' + x.replace('|', '\\|') + '`' if x else ''
    return '\n'.join(['', '| Parameter | Type | |', '|:--|:--|:--|'] + [f'| {name} | {code(p.type)} | '
                                                                        f'{cell_text(p.comment)} |'
                                                                        for name, p in rows]) + '\n'


def card(symbol, targets: dict, depth: int = 0) -> str:
    "One symbol as a Python-domain directive: heading, anchor, signature, docstring, docments, source, members."
    kind = {'classmethod': 'method', 'staticmethod': 'method'}.get(symbol.kind, symbol.kind)
    signature, options = symbol.signature, []
    if kind == 'data':
        options, signature = [f':value: {json.dumps(symbol.signature)}'] if len(symbol.signature) < 80 else [], ''
    if kind == 'property':
        options, signature = [f':type: {json.dumps(symbol.returns.type)}'] if symbol.returns else [], ''
    if kind != symbol.kind: options.append(f':{symbol.kind}:')
    fence, members = ':' * (6 - depth), ''.join(card(m, targets, depth + 1) for m in symbol.members)
    bases = [doc_links(f'`{b}`', targets) for b in symbol.bases]
    value = f'```python\n{symbol.name} = {symbol.signature}\n```\n' if kind == 'data' and not options else ''
    lines = [f'{fence}{{py:{kind}}} {symbol.name if depth == 0 else symbol.name.split(".")[-1]}{signature}', *options,
             '',
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
        found = {k.rsplit('.', 1)[-1]: f'{base}/{v[0]}' for m in d['syms'].values()
                 for k, v in m.items() if k.rsplit('.', 1)[-1][0].isupper()}
    except (ImportError, KeyError): found = {}
    for symbols in modules.values():
        for s in [x for y in symbols for x in (y, *y.members)]:
            found |= {name: s.full_name for name in (s.name, s.full_name, s.full_name.split('.', 1)[1])}
    return found


# ---- pages

def markdown_cell(text: str) -> dict: return dict(cell_type='markdown', metadata={}, source=text)


def page(nb: dict, targets: dict, symbols: list = (), module: str = '', widgets: bool = False, fold: bool = False,
         figures: dict | None = None) -> dict:
    "A notebook as the site shows it."
    cells, before = [], ''
    for i, c in enumerate(nb['cells']):
        text = ''.join(c['source'])
        if c['cell_type'] == 'code':
            if shown := adapt_code(c, widgets, fold):
                cells += with_captions(shown, (figures or {}).get(c.get('id')), before, targets)
        else:
            before = text
            cells.append({**c, 'source': adapt_markdown(adapt_title(text) if i == 0 else text, targets)})
    cells += map(markdown_cell, reference(list(symbols), module, targets))
    metadata = {k: v for k, v in nb['metadata'].items() if k != 'widgets' or widgets}
    return dict(nb, cells=cells, metadata=metadata, nbformat=4, nbformat_minor=4)


def rooms(names: list) -> dict:
    "Section -> its pages in order, each page in the first section that takes it."
    found, left = {}, list(names)
    for room, patterns in ROOMS.items():
        for pattern in patterns:
            taken = [n for n in left if re.fullmatch(pattern, n)]
            left = [n for n in left if n not in taken]
            found.setdefault(room, []).extend(taken)
    return {room: members for room, members in found.items() if members}


def contents(titles: dict) -> str:
    "The sidebar: one hidden table of contents for each section, notebooks with their numbers; `titles` is page -> title."
    entry = lambda n: 'self' if n == 'index' else f'{n.partition("_")[0]}  {titles[n]} <{n}>' if n[0].isdigit() else f'{titles[n]} <{n}>'
    return '\n'.join(f'```{{toctree}}\n:hidden:\n:caption: {room}\n\n' + '\n'.join(map(entry, members)) + '\n```\n'
                     for room, members in rooms(titles).items())


def write_pages(nbs: Path, package: Path, to: Path) -> list[str]:
    "Every notebook, the gallery and CONTRIBUTING as pages; what is wrong, in words."
    books = {p.stem: json.loads(p.read_text(encoding='utf-8')) for p in sorted(nbs.glob('*.ipynb'))}
    default = re.compile(r'(?m)^\s*#\|\s*default_exp\s+(\S+)')
    module = {n: m[1] for n, nb in books.items() for c in nb['cells'] if c['cell_type'] == 'code'
              for m in [default.search(''.join(c['source']))] if m}
    symbols = {n: read_module(package/f'{m}.py') for n, m in module.items() if (package/f'{m}.py').exists()}
    targets = all_targets(symbols)
    vendor_mathjax()
    vendor_demos()
    widgets = any('widgets' in nb['metadata'] for nb in books.values()) and vendor_widgets()
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    titles = {n: re.match(r'#?\s*(.*)', ''.join(nb['cells'][0]['source']))[1] for n, nb in books.items()}
    if (ROOT/'CONTRIBUTING.md').exists():
        text = re.sub(r'\]\(nbs/(\w+\.ipynb)', r'](\1', (ROOT/'CONTRIBUTING.md').read_text(encoding='utf-8'))
        (to/'CONTRIBUTING.md').write_text(re.sub(r'\]\((?!\w+:|#|\w+\.ipynb)([^)\s]+)\)', rf']({SOURCES}/\1)', text),
                                          encoding='utf-8')
        titles['CONTRIBUTING'] = 'Contributing'
    figures, chosen = (tomllib.loads((DOCS/f'{x}.toml').read_text(encoding='utf-8')) for x in ('figures', 'gallery'))
    # a copy may hold some notebooks only
    if chosen := {names: where for names, where in chosen.items() if where.split('/')[0] in books}:
        (to/'gallery.md').write_text(gallery(chosen, printed_systems(package), books, figures, titles, to),
                                     encoding='utf-8')
        titles['gallery'] = 'Gallery'
    for name, nb in books.items():
        nb = page(nb, targets, symbols.get(name, []), f"{package.name}.{module.get(name)}", widgets, name[0] in '034',
                  figures.get(name))
        if name == 'index': nb['cells'].append(markdown_cell(contents(titles)))
        (to/f'{name}.ipynb').write_text(json.dumps(nb), encoding='utf-8')
    return lost_captions(books, figures)


# ---- what a browser needs, served by us

# -> mathjax/
PACKED = {'mathjax@3': r'package/es5/((?:startup|core|input/tex|output/chtml|output/chtml/fonts/tex|a11y/assistive-mml)\.js|output/chtml/fonts/woff-v2/.*|input/tex/extensions/.*)',
          'requirejs@2': r'package/(require\.js)',
          '@jupyter-widgets/html-manager@1': r'package/dist/(embed-amd\.js|\w+\.woff2)',
          'onnxruntime-web@1': r'package/dist/(ort\.wasm\.min\.mjs|ort-wasm-simd-threaded\.(?:mjs|wasm))'} # -> ort/


def vendor(package: str, marker: str, to: Path) -> bool:
    "Files of an npm package, packed once into the ignored cache; False, said aloud, where npm cannot."
    if (to/marker).exists(): return True
    with tempfile.TemporaryDirectory() as tmp:
        try:
            subprocess.run(['npm', 'pack', '--silent', package], cwd=tmp, check=True, capture_output=True, text=True,
                           timeout=300)
        except (OSError, subprocess.SubprocessError) as e:
            why = 'there is no npm here' if isinstance(e,
                                                       FileNotFoundError) else f'npm failed: {(getattr(e, "stderr", "") or str(e)).strip()[-200:]}'
            print(f'docs: no {package} ({why}). Install Node.js with npm, or let npm reach its registry, and build '
                  'again.')
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
    if vendor('requirejs@2', 'require.js', VENDOR) and vendor('@jupyter-widgets/html-manager@1', 'embed-amd.js',
                                                              VENDOR):
        return True
    print('docs: sliders will be named, not shown.')
    return False


def vendor_demos() -> bool:
    "What runs nets in the page, and how large each demo is to open, packed as a server sends it; without it the demos' boxes say what is missing."
    found = vendor('onnxruntime-web@1', 'ort-wasm-simd-threaded.wasm', VENDOR/'ort')
    if not found: print('docs: demos will say that their runtime is missing.')
    models, packed = DOCS/'_static'/'demos'/'models', lambda *files: sum(len(gzip.compress(p.read_bytes(), 6))
                                                                         for p in files)
    sizes = {'ort': packed(*(VENDOR/'ort').iterdir())} if found else {}
    for about in sorted(models.glob('*.json')):
        parts = json.loads(about.read_text(encoding='utf-8')).get('parts', {}).values()
        if parts: sizes[about.stem] = packed(about, *(models/part['file'] for part in parts))
    (VENDOR/'demos').mkdir(parents=True, exist_ok=True)
    (VENDOR/'demos'/'sizes.js').write_text(f'export default {json.dumps(sizes)};\n', encoding='utf-8')
    return found


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
        if tag == 'link' and not {'canonical', 'next', 'prev', 'index', 'search'} & set(a.get('rel', '').split()):
            fetched.append(a.get('href', ''))
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
    lost = write_pages(nbs, package, pages)
    shutil.rmtree(html, ignore_errors=True)
    if sphinx(['-q', '-E', '-b', 'html', '-c', str(DOCS), '-d', str(out/'doctrees'), '-w', str(warnings), str(pages),
               str(html)]):
        return ['Sphinx failed: see above']
    said = [x.replace(str(pages), 'nbs') for x in warnings.read_text(encoding='utf-8').splitlines()
            if x.startswith(str(pages))]
    return lost + said + broken_links(html) + foreign_requests(html)


def main() -> int:
    "Build, list what is wrong, say where the site is."
    start, wrong, html = time.time(), build(ROOT/'nbs', ROOT/cfg['lib_path'], BUILD), BUILD/'html'
    size = sum(p.stat().st_size for p in html.rglob('*') if p.is_file()) / 1e6
    print('\n'.join(wrong + [f'{len(list(html.glob("*.html")))} pages, {size:.1f} MB, {time.time() - start:.0f} s, '
                             f'{len(wrong)} faults: {html/"index.html"}']))
    return bool(wrong)


if __name__ == '__main__': sys.exit(main())
