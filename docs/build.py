"""Build the site: notebooks, with the outputs stored in them, and one API card for each public symbol.

    python docs/build.py            docs/_build/html; exit 1 on a broken link, or where a page would ask another host

nbs/**/*.ipynb -> docs/_build/pages (the functions below) -> Sphinx with MyST-NB -> docs/_build/html -> checked. Nothing
is executed. rooms.py says where a page stands, vendor.py brings what a browser needs, checks.py finds what is wrong.
"""
import ast, base64, json, posixpath, re, shutil, sys, time, tomllib
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BUILD = DOCS/'_build'
sys.path[:0] = [str(DOCS), str(ROOT/'tools'), str(ROOT)]
from api import read_module
from captions import CAPTION, captions_of
from checks import broken_links, foreign_requests, links_of, lost_sources, site_pages # noqa: F401
from conf import cfg
from rooms import LESSON, PAGES, contents, page_of, rooms, sidebar # noqa: F401
from dlcv_gan.cli.notebooks import AT_HOME
from vendor import vendor_demos, vendor_mathjax, vendor_widgets

SOURCES = f"{cfg['git_url']}/blob/{cfg['branch']}"
HOME = f"{cfg['doc_host']}{cfg['doc_baseurl']}/" # where the site is published; links to it stay within the site
DIRECTIVE = re.compile(r'(?m)^[ \t]*#\|[ \t]*([\w-]+)(.*)\n?')
CODE_OR_LINK = re.compile(r'(```.*?```|~~~.*?~~~|(?m:^#+ .*$)|\[[^\]]*\]\([^)]*\))', re.DOTALL)
NOTE = re.compile(r'(?m)^> ?(?:\*\*|\[!)(?:Note|NOTE|Warning|WARNING|Tip|TIP|Important|IMPORTANT)[.:]?(?:\*\*|\]).*\n?'
                  r'(?:^>.*\n?)*')


# ---- where a text stands

@dataclass
class Place:
    "What the text of one notebook (or of CONTRIBUTING) needs to know of its site."
    book: str = 'index' # 'assignments/01_vae'
    books: dict = field(default_factory=dict) # every notebook of the site
    targets: dict = field(default_factory=dict) # `symbol` -> its full name, or an address elsewhere
    widgets: bool = True # whether pages can show sliders

    def link(self, url: str, ending: str = '', embedded: bool = False) -> str:
        """What a link becomes on the page: notebooks become pages (their files, which Sphinx resolves, or '.html' where
        `ending` says so), other files of the repository their source, or the site's own file where a page loads it.
        """
        address, mark, anchor = url.partition('#')
        here = posixpath.dirname(page_of(self.book))
        folder = '' if self.book in PAGES else posixpath.dirname(f'nbs/{self.book}')
        def to(path): return posixpath.relpath(path, here or '.') + mark + anchor
        pages = {page_of(b): f'{page_of(b)}.ipynb' for b in self.books} | PAGES
        if address.startswith(HOME):
            page = address.removeprefix(HOME).removesuffix('.html') or 'index'
            return to(page + ending if ending else pages[page]) if page in pages else url
        if not address or re.match(r'[a-z]+:|//|/', address, re.I): return url
        if address.startswith('_static/'): return to(address)
        file = posixpath.normpath(posixpath.join(folder, address))
        if embedded and file.startswith('docs/_static/'): return to(file.removeprefix('docs/'))
        page, found = file.removesuffix('.md'), file.removeprefix('nbs/').removesuffix('.ipynb')
        # a link that climbs out of nbs/ and comes back wants the notebook's file
        if file.endswith('.ipynb') and found in self.books and '../nbs/' not in address: page = page_of(found)
        if page in pages and page != file: return to(page + ending if ending else pages[page])
        return f'{SOURCES}/{file}{mark}{anchor}' if '../' in address or (ROOT/file).exists() else url

    def relink(self, text: str, ending: str = '') -> str:
        "The same for all links and embedded files of a markdown text; code blocks stay as they are."
        def markdown(m): return f']({self.link(m[1], ending)}'
        def html(m): return m[1] + self.link(m[2], '.html', embedded='href' not in m[1])
        def prose(part):
            part = re.sub(r'\]\(([^)\s]+)', markdown, part)
            return re.sub(r'\b((?:src|srcset|href)=["\'])([^"\']+)', html, part)
        parts = re.split(r'(```.*?```|~~~.*?~~~)', text, flags=re.DOTALL)
        return ''.join(part if i % 2 else prose(part) for i, part in enumerate(parts))


# ---- what a notebook's text becomes

def doc_links(text: str, targets: dict) -> str:
    "`GameLearner` in prose -> a cross reference; code blocks, headings and the text of links stay as they are."
    def link(m):
        full = targets.get(m[1])
        return m[0] if full is None else f'[`{m[1]}`]({full})' if '://' in full else f'{{py:obj}}`{m[1]} <{full}>`'
    return ''.join(part if i % 2 else re.sub(r'(?<!`)`([A-Za-z_][\w.]*)(?:\(\))?`(?!`)', link, part)
                   for i, part in enumerate(CODE_OR_LINK.split(text)))


def adapt_markdown(text: str, place: Place) -> str:
    "GitHub's markdown -> MyST: notes become admonitions, links lead within the site, symbols become cross references."
    def note(m):
        body = re.sub(r'(?m)^> ?', '', m[0])
        kind, body = re.match(r'(?:\*\*|\[!)(\w+)[.:]?(?:\*\*|\])[.:]?\s*(.*)', body, re.DOTALL).groups()
        return f':::{{{kind.lower()}}}\n{body.strip()}\n:::\n'
    return doc_links(place.relink(NOTE.sub(note, text)), place.targets)


def adapt_title(text: str, book: str = 'index') -> str:
    "`# Title` and `> subtitle` -> a heading, a paragraph that the stylesheet knows, and what to do with the notebook."
    # the links are raw, so that no page's description holds them
    actions = '' if book == 'index' else f'\n<p class="actions">{notebook_actions(book)}</p>\n'
    return re.sub(r'\A(# .*)\n+> ?(.*)', rf'\1\n\n{{.subtitle}}\n\2\n{actions}', text)


def notebook_actions(book: str) -> str:
    "Links to the notebook behind a page: run, seen, kept, changed, complained of."
    file, git = f"{cfg['branch']}/nbs/{book}.ipynb", cfg['git_url']
    colab = f"https://colab.research.google.com/github/{git.split('/', 3)[3]}/blob/{file}"
    return ' · '.join(f'<a class="reference external" href="{to}">{says}</a>' for says, to in {
        **({} if book in AT_HOME else {'Open in Colab': colab}),
        'View on GitHub': f'{git}/blob/{file}', 'Download the notebook': f'{git}/raw/{file}',
        'Edit': f'{git}/edit/{file}', 'Report a problem': f'{git}/issues/new?title={book}:%20'}.items())


def adapt_output(output: dict, place: Place) -> dict:
    "Drop what a stored output would fetch from another host, and widgets where no manager is at hand."
    data, view = output.get('data', {}), 'application/vnd.jupyter.widget-view+json'
    if 'text/markdown' in data: # Sphinx resolves links in what is written, not in what was printed
        data['text/markdown'] = place.relink(''.join(data['text/markdown']), '.html')
    if 'text/html' in data:
        foreign = r'<link[^>]*href=["\']https?:[^>]*>|<script[^>]*src=["\']https?:[^>]*>\s*</script>'
        data['text/html'] = re.sub(foreign, '', ''.join(data['text/html']))
    if not place.widgets and view in data:
        del data[view]
        data['text/plain'] = 'Sliders live here: open the notebook (`make lab`).'
    return output


def with_still(output: dict) -> list[dict]:
    "A widget that carries a plain picture of itself: the picture first, then the widget for those who ask."
    data = output.get('data', {})
    still = {k: v for k, v in data.items() if k.startswith('image/')}
    if not still or 'application/vnd.jupyter.widget-view+json' not in data: return [output]
    return [{**output, 'data': still}, {**output, 'data': {k: v for k, v in data.items() if k not in still}}]


def is_empty(output: dict) -> bool:
    "Is this what a progress bar leaves behind: HTML that shows nothing?"
    html = ''.join(output.get('data', {}).get('text/html', ''))
    return bool(html) and not re.sub(r'<style.*?</style>|<!--.*?-->|</?div>|\s', '', html, flags=re.DOTALL)


def adapt_code(cell: dict, place: Place, fold: bool = False) -> dict | None:
    "A code cell without its directives; None when it is hidden; long exported code folded where the page is no lesson."
    source = ''.join(cell['source'])
    said = {k: v.strip(' :').lower() for k, v in DIRECTIVE.findall(source)}
    lines = [x for x in DIRECTIVE.sub('', source).split('\n') if not re.search(r'#\|\s*hide_line', x)]
    source = '\n'.join(lines).strip('\n')
    if {'hide', 'default_exp'} & said.keys() or not source.strip(): return None
    tags = ['remove-input'] * (said.get('echo') == 'false' or 'hide_input' in said)
    tags += ['remove-output'] * (said.get('output') == 'false' or 'hide_output' in said)
    metadata, n = {'tags': tags}, source.count('\n') + 1
    if fold and 'export' in said and n > 40 and not cell['outputs']:
        metadata = {'tags': [*tags, 'hide-input'],
                    'mystnb': {'code_prompt_show': f'The source, {n} lines', 'code_prompt_hide': 'Fold the source'}}
    outputs = [adapt_output(part, place) for o in cell['outputs'] if not is_empty(o) for part in with_still(o)]
    return {**cell, 'source': source, 'metadata': metadata, 'outputs': outputs}


# ---- figures: what to see, in words

def pictures(cell: dict) -> list[dict]:
    "The outputs of a cell that are pictures."
    return [o for o in cell.get('outputs', ()) if any(k.startswith('image/') for k in o.get('data', {}))]


def plain(text: str) -> str:
    "Markdown as an alternative text: without marks, links, formulas and line ends."
    text = re.sub(r'!?\[([^\]]*)\]\([^)]*\)|\{py:obj\}`([^`<]*?) ?<[^`]*`', lambda m: m[1] or m[2] or '', text)
    return re.sub(r'\s+', ' ', re.sub(r'[`*$]|^#+ .*$|^\|.*$|^> ?', '', text, flags=re.MULTILINE)).strip()


def described(source: str, before: str) -> str:
    "Where no caption says what to see: the title that the code gives its figure, else the last sentence above it."
    title = re.search(r'title=f?([\'"])(.+?)\1', source)
    if title and not re.search(r'[{}]', title[2]): return title[2]
    sentences = re.split(r'(?<=[.!?:]) ', plain(re.sub(r'```.*?```|\$\$.*?\$\$|<[^>]*>', '', before, flags=re.DOTALL)))
    return sentences[-1].rstrip(':') or 'A figure made by the code above'


def with_captions(cell: dict, said: list, before: str, targets: dict) -> list[dict]:
    "A cell whose pictures have alternative texts and captions: one each, or one that stands below the last of them."
    shown, source = pictures(cell), ''.join(cell['source'])
    if not shown: return [cell]
    said = ['']*(len(shown) - len(said)) + list(said) if len(said) == 1 else [*said, *['']*(len(shown) - len(said))]
    def dressed(outputs, caption, first):
        words = {'image': {'alt': plain(caption) or described(source, before)}}
        if caption: words['figure'] = {'caption': doc_links(caption, targets)}
        tags = [*cell['metadata'].get('tags', ()), *([] if first else ['remove-input'])]
        shown_as = {**cell['metadata'].get('mystnb', {}), **words}
        return {**cell, 'outputs': outputs, 'metadata': {**cell['metadata'], 'tags': tags, 'mystnb': shown_as}}
    if not any(said): return [dressed(cell['outputs'], '', True)]
    parts = [] # a caption belongs to its picture alone, so what was printed beside it stands in a cell of its own
    for o in cell['outputs']:
        picture = any(o is p for p in shown)
        caption = said.pop(0) if picture else ''
        if caption or not parts or parts[-1][1]: parts.append(([], caption))
        parts[-1][0].append(o)
    return [dressed(outputs, caption, i == 0) for i, (outputs, caption) in enumerate(parts)]


def lost_captions(books: dict) -> list[str]:
    "Captions without a figure above them, or with fewer figures than they speak of."
    have = {n: {c.get('id'): len(pictures(c)) for c in nb['cells']} for n, nb in books.items()}
    return [f'nbs/{n}.ipynb: the cell above "{CAPTION} {said[0][:60]}..." shows {have[n].get(cell, 0)} figures, '
            f'not {len(said)}: move the caption below its figure, or remove it'
            for n, nb in books.items() for cell, said in captions_of(nb).items() if have[n].get(cell, 0) < len(said)]


# ---- the gallery

def printed_systems(package: Path) -> dict:
    "Report's name -> (title, module), read from the code of each `System(...)` without importing it."
    found = {}
    for p in sorted(package.rglob('*.py')):
        for n in ast.walk(ast.parse(p.read_text(encoding='utf-8'))):
            if not isinstance(n, ast.Call) or getattr(n.func, 'id', '') not in ('System', 'replace'): continue
            # System(name, short, title, ...), or another system with a new name and title
            given = dict(zip(('name', 'short', 'title'), n.args)) | {k.arg: k.value for k in n.keywords}
            name, title = (given.get(k) for k in ('name', 'title'))
            if isinstance(name, ast.Constant) and isinstance(title, ast.Constant):
                found[name.value] = (title.value, '.'.join(p.relative_to(package).with_suffix('').parts))
    return found


def find_figure(where: str, books: dict) -> tuple[str, str, int, dict] | None:
    "'assignments/01_vae/CELL' or '.../CELL/1' -> notebook, cell, number and the data of that picture."
    book, cell, number = re.fullmatch(r'(.+?)/([^/]+?)(?:/(\d\d?))?', where).groups()
    shown = [o for c in books.get(book, {'cells': []})['cells'] if c.get('id') == cell for o in pictures(c)]
    number = int(number or 0)
    return (book, cell, number, shown[number]['data']) if number < len(shown) else None


def gallery(chosen: dict, systems: dict, books: dict, titles: dict, to: Path) -> str:
    "The gallery's page; its pictures are taken out of the notebooks and laid into `to`/gallery."
    at = {exported_module(nb): book for book, nb in books.items()}
    known = [s.strip() for names in chosen for s in names.split(',')]
    if wrong := [s for s in known if s not in systems]:
        raise ValueError(f'docs/gallery.toml: no module defines the system {wrong[0]}; there are {", ".join(systems)}')
    (to/'gallery').mkdir(exist_ok=True)
    cards = []
    for names, where in chosen.items():
        if not (found := find_figure(where, books)):
            raise ValueError(f'docs/gallery.toml: {names}: {where} is no figure of a notebook; name another')
        book, cell, number, data = found
        kind = next(k for k in data if k.startswith('image/'))
        page, ending = page_of(book), kind.removeprefix('image/')
        file = f'gallery/{page.replace("/", "-")}-{cell}-{number}.{ending}'
        (to/file).write_bytes(base64.b64decode(''.join(data[kind])))
        said = captions_of(books[book]).get(cell, [''])
        said = said[number if number < len(said) else 0]
        head = ' and '.join(f'**{s}**, {systems[s][0]}' for s in map(str.strip, names.split(',')))
        cards.append(f'::::{{grid-item}}\n:::{{figure}} {file}\n:alt: {plain(said)}\n:target: {page}.html\n\n{head}. '
                     f'{said} [{titles[book]}]({page}.ipynb)\n:::\n::::\n')
    rest = [f'{s} ([{systems[s][0]}]({page_of(at[systems[s][1]])}.ipynb))'
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
    rows = [(f'`{p.name}`', p) for p in symbol.parameters]
    if symbol.returns and (symbol.returns.comment or symbol.parameters): rows.append(('*returns*', symbol.returns))
    if not any(p.comment for _, p in rows): return ''
    def code(x): return '`' + x.replace('|', '\\|') + '`' if x else ''
    lines = [f'| {name} | {code(p.type)} | {cell_text(p.comment)} |' for name, p in rows]
    return '\n'.join(['', '| Parameter | Type | |', '|:--|:--|:--|', *lines]) + '\n'


def anchor_of(name: str) -> str:
    "GameLearner.fit_to -> gamelearner.fit_to: the place on a page that nbdev's own links name."
    return name.lower()


def anchors(ids) -> str:
    "Places that links lead to, without a trace on the page."
    return ''.join(f'<div id="{escape(i)}"></div>' for i in ids)


def card(symbol, targets: dict, depth: int = 0, taken: set | None = None) -> str:
    """One symbol as a Python-domain directive: heading, anchor, signature, docstring, docments, source, members.

    `taken` holds the page's ids so far; the anchor that nbdev's links name is set beside Python's own where it is free.
    """
    kind = {'classmethod': 'method', 'staticmethod': 'method'}.get(symbol.kind, symbol.kind)
    signature, options, taken = symbol.signature, [], set() if taken is None else taken
    place = [i for i in [anchor_of(symbol.name)] if i not in taken]
    taken.update(place)
    if kind == 'data':
        options, signature = [f':value: {json.dumps(symbol.signature)}'] if len(symbol.signature) < 80 else [], ''
    if kind == 'property':
        options, signature = [f':type: {json.dumps(symbol.returns.type)}'] if symbol.returns else [], ''
    if kind != symbol.kind: options.append(f':{symbol.kind}:')
    fence = ':' * (6 - depth)
    members = ''.join(card(m, targets, depth + 1, taken) for m in symbol.members)
    bases = ', '.join(doc_links(f'`{b}`', targets) for b in symbol.bases)
    value = f'```python\n{symbol.name} = {symbol.signature}\n```\n' if kind == 'data' and not options else ''
    name = symbol.name if depth == 0 else symbol.name.split('.')[-1]
    lines = [anchors(place), '', f'{fence}{{py:{kind}}} {name}{signature}', *options, '',
             f'[source]({SOURCES}/{symbol.module.replace(".", "/")}.py#L{symbol.line}){{.source}}', '',
             doc_links(symbol.doc, targets), '', value, *([f'*Is a* {bases}.', ''] if bases else []),
             doc_links(parameter_table(symbol), targets), members, fence, '']
    return '\n'.join(lines)


def reference(symbols: list, module: str, targets: dict, taken: set | None = None) -> list[str]:
    "The cells that close a library page: one card for each public symbol."
    head = f'## Reference\n\n```{{py:module}} {module}\n```\n\n`from {module} import` any of these.'
    taken = set() if taken is None else taken
    return [head] + [card(s, targets, taken=taken) for s in symbols] if symbols else []


def all_targets(modules: dict) -> dict:
    "Every way to name a symbol in backticks -> its full name here, or fastai's page for it."
    found = {}
    try:
        from fastai._modidx import d
        base = d['settings']['doc_host'] + d['settings']['doc_baseurl'].rstrip('/')
        names = {full.rsplit('.', 1)[-1]: at[0] for symbols in d['syms'].values() for full, at in symbols.items()}
        found = {name: f'{base}/{at}' for name, at in names.items() if name[0].isupper()}
    except (ImportError, KeyError): pass
    for symbols in modules.values():
        for s in [x for y in symbols for x in (y, *y.members)]:
            module, here = s.module.split('.'), s.name
            # GameLearner, learner.GameLearner, game.learner.GameLearner, dlcv_gan.game.learner.GameLearner
            found |= {'.'.join([*module[i:], here]): s.full_name for i in range(len(module) + 1)}
    return found


# ---- pages

def markdown_cell(text: str) -> dict: return dict(cell_type='markdown', metadata={}, source=text)


def exported_module(nb: dict) -> str:
    "What the notebook's `default_exp` says: 'game.learner'; '' where it exports nothing."
    sources = (''.join(c['source']) for c in nb['cells'] if c['cell_type'] == 'code')
    return next((m[1] for s in sources if (m := re.search(r'(?m)^\s*#\|\s*default_exp\s+(\S+)', s))), '')


def headings(nb: dict) -> set:
    "The anchors that a notebook's headings will have."
    from docutils.nodes import make_id
    texts = [''.join(c['source']) for c in nb['cells'] if c['cell_type'] == 'markdown']
    return {make_id(h) for text in texts for h in re.findall(r'(?m)^#+ +(.*)', text)} | {'reference'}


def defined(source: str) -> list[str]:
    "The anchors that nbdev's links give what an exported cell defines: functions, classes, their methods, patches."
    if not re.search(r'(?m)^\s*#\|\s*exporti?\b', source): return []
    made, kinds = [], (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for n in ast.parse(source).body:
        if not isinstance(n, kinds): continue
        patched = any(ast.unparse(d).split('(')[0] == 'patch' for d in n.decorator_list)
        owners = ast.unparse(n.args.args[0].annotation).split(' | ') if patched else []
        made += [f'{owner}.{n.name}' for owner in owners] or [n.name]
        made += [f'{n.name}.{f.name}' for f in getattr(n, 'body', ()) if isinstance(n, ast.ClassDef)
                 and isinstance(f, kinds)]
    return [anchor_of(name) for name in made]


def page(nb: dict, place: Place, symbols: list = (), module: str = '', fold: bool = False) -> dict:
    "A notebook as the site shows it."
    own = {name: full for name, full in all_targets({module: symbols}).items() if '://' not in full}
    place = replace(place, targets=place.targets | own) # a name means what this page defines, before others' symbols
    cells, before, taken = [], '', headings(nb)
    public = reference(list(symbols), module, place.targets, taken)
    captions = captions_of(nb)
    for i, c in enumerate(nb['cells']):
        text = ''.join(c['source'])
        if c['cell_type'] == 'code':
            private = [d for d in dict.fromkeys(defined(text)) if d not in taken]
            if private: cells.append(markdown_cell(anchors(private)))
            taken.update(private)
            if shown := adapt_code(c, place, fold):
                cells += with_captions(shown, captions.get(c.get('id'), []), before, place.targets)
        elif not text.startswith(CAPTION): # a caption is said with its figure
            before = text
            cells.append({**c, 'source': adapt_markdown(adapt_title(text, place.book) if i == 0 else text, place)})
    cells += map(markdown_cell, public)
    metadata = {k: v for k, v in nb['metadata'].items() if k != 'widgets' or place.widgets}
    return dict(nb, cells=cells, metadata=metadata, nbformat=4, nbformat_minor=4)


def read_books(nbs: Path) -> dict:
    "Every notebook, by its path: 'assignments/01_vae' -> its content."
    paths = [p for p in sorted(nbs.rglob('*.ipynb')) if '.ipynb_checkpoints' not in p.parts]
    return {p.relative_to(nbs).with_suffix('').as_posix(): json.loads(p.read_text(encoding='utf-8')) for p in paths}


def refuse_collisions(books):
    "Two notebooks never share a page."
    at = {}
    for book in books:
        other = at.setdefault(page_of(book), book)
        if other == book: continue
        raise ValueError(f'nbs/{other}.ipynb and nbs/{book}.ipynb would both be {page_of(book)}.html: rename one')


def write_pages(nbs: Path, package: Path, to: Path) -> list[str]:
    "Every notebook, the gallery and CONTRIBUTING as pages; what is wrong, in words."
    books = read_books(nbs)
    refuse_collisions(books)
    modules = {book: m for book, nb in books.items() if (m := exported_module(nb))}
    files = {book: package/f'{m.replace(".", "/")}.py' for book, m in modules.items()}
    symbols = {book: read_module(file) for book, file in files.items() if file.exists()}
    vendor_mathjax()
    vendor_demos()
    widgets = any('widgets' in nb['metadata'] for nb in books.values()) and vendor_widgets()
    place = Place(books=books, targets=all_targets(symbols), widgets=widgets)
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    titles = {n: re.match(r'#?\s*(.*)', ''.join(nb['cells'][0]['source']))[1] for n, nb in books.items()}
    if (ROOT/'CONTRIBUTING.md').exists():
        text = (ROOT/'CONTRIBUTING.md').read_text(encoding='utf-8')
        (to/'CONTRIBUTING.md').write_text(replace(place, book='CONTRIBUTING').relink(text), encoding='utf-8')
        titles['CONTRIBUTING'] = 'Contributing'
    chosen = tomllib.loads((DOCS/'gallery.toml').read_text(encoding='utf-8'))
    # a copy may hold some notebooks only
    chosen = {names: where for names, where in chosen.items() if any(where.startswith(f'{b}/') for b in books)}
    if chosen:
        text = gallery(chosen, printed_systems(package), books, titles, to)
        (to/'gallery.md').write_text(text, encoding='utf-8')
        titles['gallery'] = 'Gallery'
    for book, nb in books.items():
        nb = page(nb, replace(place, book=book), symbols.get(book, []), f'{package.name}.{modules.get(book)}',
                  not LESSON.match(book))
        if book == 'index': nb['cells'].append(markdown_cell(contents(titles)))
        file = to/f'{page_of(book)}.ipynb'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(nb), encoding='utf-8')
    return lost_captions(books)


# ---- old addresses

STUB = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Moved: {title}</title><meta name="robots" content="noindex">
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="canonical" href="{home}{page}.html"><meta http-equiv="refresh" content="0; url={page}.html">
<script>
const at = {at}, old = decodeURIComponent(location.hash.slice(1)), symbol = old.replace(/^dlcv_gan\\.\\w+\\./, '');
const id = [old, symbol.toLowerCase()].find(x => x in at);
location.replace(id ? `${{at[id]}}.html#${{id}}` : '{page}.html');
</script></head>
<body><main><h1>This page has moved</h1><p>It is now <a href="{page}.html">{title}</a>.</p></main></body></html>
"""


def moved() -> dict:
    "Old page -> its new pages, the first first, as docs/moved.toml says."
    pages = tomllib.loads((DOCS/'moved.toml').read_text(encoding='utf-8'))['pages']
    return {old: [new] if isinstance(new, str) else new for old, new in pages.items()}


def write_stubs(html: Path, old_pages: dict) -> list[str]:
    "A small page at each old address that leads to the new one, at the same anchor where one has it; faults, in words."
    faults = []
    for old, pages in old_pages.items():
        lost = [p for p in pages if not (html/f'{p}.html').exists()]
        faults += [f'docs/moved.toml: {old} leads to {p}.html, which is no page' for p in lost]
        if (html/f'{old}.html').exists(): faults.append(f'docs/moved.toml: {old}.html is a page of its own')
        elif not lost:
            at = {i: p for p in reversed(pages) for i in sorted(links_of(html/f'{p}.html').ids)
                  if re.fullmatch(r'[a-z_][\w.-]*', i) and not i.startswith(('pst-', 'codecell', 'search-'))}
            title = re.search(r'<title>(.*?)(?: &#8212;.*)?</title>',
                              (html/f'{pages[0]}.html').read_text(encoding='utf-8'), re.DOTALL)[1].strip()
            (html/f'{old}.html').write_text(STUB.format(title=title, home=HOME, page=pages[0], at=json.dumps(at)),
                                            encoding='utf-8')
    return faults


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
    lost += write_stubs(html, moved())
    lost += said + broken_links(html, f"{cfg['doc_baseurl']}/") + lost_sources(html, SOURCES, ROOT)
    return lost + foreign_requests(html)


def main() -> int:
    "Build, list what is wrong, say where the site is."
    start, wrong, html = time.time(), build(ROOT/'nbs', ROOT/cfg['lib_path'], BUILD), BUILD/'html'
    size = sum(p.stat().st_size for p in html.rglob('*') if p.is_file()) / 1e6
    print('\n'.join(wrong + [f'{len(list(html.rglob("*.html")))} pages, {size:.1f} MB, {time.time() - start:.0f} s, '
                             f'{len(wrong)} faults: {html/"index.html"}']))
    return bool(wrong)


if __name__ == '__main__': sys.exit(main())
