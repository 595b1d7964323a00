"""Carry stamps over a move: a notebook whose code differs from its predecessor's by imports and names keeps its stamp.

    python tools/notebooks.py carry REV [NB ...]

For each notebook without a valid stamp, its predecessor at REV is found (the same path, else docs/moved.toml, else the
notebook that shares most cell ids), and both syntax trees are walked side by side, cell by cell. What may differ:

* imports, as long as each name in use comes from the same definition as before;
* names, and texts in strings, that tools/renames.toml lists ([names] old = "new", [text] "old" = "new", or a list of
  new ones): within a notebook each old variable, keyword or text has one new one and no two become the same, so no
  argument can be swapped;
* settings with a name: `a, b = at_scale(smoke=(1, 2), ...)` and `run = SimpleNamespace(**at_scale(smoke=dict(a=1, b=2),
  ...))` with `run.a` for `a`;
* docstrings, comments, layout, and `f = lambda x: y` written as a `def` that returns y.

Numbers, operators, order and stored outputs may not. What really differs is shown and left.
"""
import ast, difflib, io, json, re, subprocess, sys, tarfile, tomllib
from pathlib import Path

import notebooks as house
import nbformat

PACKAGE = 'dlcv_gan'
NUMBER = re.compile(r'(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?!\w)')


class Differs(Exception):
    "What is not the same, in words."


# ---- the table of renames

def each(table: dict) -> list:
    "[(old, new), ...] of a table that has several new ones for one old."
    return [(old, new) for old, several in table.items() for new in several]


def read_renames(path: Path) -> tuple[dict, dict]:
    "(names, text) of the table, old -> [new, ...]; refused where a text could hide a changed number."
    table = tomllib.loads(path.read_text(encoding='utf-8')) if path.exists() else {}
    names, text = ({old: [new] if isinstance(new, str) else new for old, new in table.get(part, {}).items()}
                   for part in ('names', 'text'))
    for old, new in each(names):
        if not (old.isidentifier() and new.isidentifier()): raise SystemExit(f'{path}: {old} = {new}: no names')
    for old, new in each(text):
        if NUMBER.findall(old) != NUMBER.findall(new) or not re.search('[A-Za-z]{2}', old):
            raise SystemExit(f'{path}: "{old}" = "{new}" would change a number')
    return names, text


# ---- trees without what does not matter

class Plain(ast.NodeTransformer):
    "Takes imports away (and remembers them), docstrings and empty f-strings; a named lambda becomes a def."
    def __init__(self): self.imported = {} # name here -> (module, name there)

    def visit_ImportFrom(self, node):
        self.imported |= {a.asname or a.name: (node.module or '', a.name) for a in node.names}

    def visit_Import(self, node):
        for a in node.names: # `import a.b` binds a
            self.imported[a.asname or a.name.split('.')[0]] = (a.name if a.asname else a.name.split('.')[0], '')

    def visit_JoinedStr(self, node):
        self.generic_visit(node)
        if all(isinstance(v, ast.Constant) for v in node.values):
            return ast.copy_location(ast.Constant(''.join(v.value for v in node.values)), node)
        return node

    def visit_Assign(self, node):
        self.generic_visit(node)
        if len(node.targets) > 1 or not (isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Lambda)):
            return node
        body = [ast.Return(node.value.body)]
        return ast.FunctionDef(name=node.targets[0].id, args=node.value.args, body=body, decorator_list=[])

    def visit_FunctionDef(self, node): return self.without_docstring(node)
    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    def without_docstring(self, node):
        if ast.get_docstring(node, clean=False) is not None: node.body = node.body[1:]
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node


def called(node, name: str) -> list:
    "The keywords of a call of this function that has keywords alone; else none."
    fits = isinstance(node, ast.Call) and getattr(node.func, 'id', '') == name and not node.args
    return node.keywords if fits else []


class Settings(ast.NodeTransformer):
    "`run = SimpleNamespace(**at_scale(smoke=dict(a=1)))` -> `run.a, = at_scale(smoke=(1,))`, where run.a is a name."
    def __init__(self): self.kept = {} # name -> its settings in order

    def visit_Assign(self, node):
        self.generic_visit(node)
        match node:
            case ast.Assign([ast.Name(name)], ast.Call(ast.Name('SimpleNamespace'), [], [ast.keyword(None, call)])):
                scales = [k.value for k in called(call, 'at_scale')]
                keys = [[k.arg for k in called(s, 'dict')] for s in scales]
                if not keys or not all(keys[0]) or any(k != keys[0] for k in keys): return node
                self.kept[name] = keys[0]
                for k, s in zip(call.keywords, scales):
                    k.value = ast.Tuple([x.value for x in s.keywords], ast.Load())
                names = [ast.Name(f'{name}.{k}', ast.Store()) for k in keys[0]]
                return ast.Assign([ast.Tuple(names, ast.Store())], call)
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.attr in self.kept.get(node.value.id, ()):
            return ast.Name(f'{node.value.id}.{node.attr}', node.ctx)
        return node


def plain_cells(nb) -> tuple[list, dict]:
    "[(cell id, tree)] of the cells that still hold code, and what is imported."
    cells, imported, settings = [], {}, Settings()
    for c in nb['cells']:
        if c['cell_type'] != 'code': continue
        try: tree = ast.parse(''.join(c['source']))
        except SyntaxError: tree = ast.Module([ast.Expr(ast.Constant(''.join(c['source'])))], []) # a magic: its text
        plain = Plain()
        tree = ast.fix_missing_locations(settings.visit(plain.visit(tree)))
        imported |= plain.imported
        if tree.body: cells.append((c.get('id'), tree))
    return cells, imported


# ---- two trees side by side

IDENTIFIERS = { # node, field -> what kind of name stands there
    ('Name', 'id'): 'variable', ('ClassDef', 'name'): 'variable', ('ExceptHandler', 'name'): 'variable',
    ('Attribute', 'attr'): 'attribute', ('keyword', 'arg'): 'keyword',
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Pairs:
    "Walks two trees together; which old name or text stands for which new one must be the same everywhere."
    def __init__(self, names: dict, text: dict):
        self.names, self.text, self.scopes = names, text, []
        self.there, self.back = {}, {} # (kind, old) -> new, and the other way

    # -- one name or text

    def pair(self, kind: str, old: str, new: str, allowed: bool):
        "One place where `old` stands in the one tree and `new` in the other."
        if old != new and not allowed: raise Differs(f'{kind} {old!r} became {new!r}')
        if kind == 'attribute': return # things of different kinds may have attributes of one name
        for table, a, b in ((self.there, old, new), (self.back, new, old)):
            if table.setdefault((kind, a), b) != b:
                raise Differs(f'{kind} {a!r} stands for {b!r} here and for {table[kind, a]!r} elsewhere')

    def listed(self, old: str, new: str) -> bool:
        "May a name have become another? A setting `run.bs` stands for `bs`."
        return new.rpartition('.')[2] in (old.rpartition('.')[2], *self.names.get(old.rpartition('.')[2], ()))

    def variable(self, old: str, new: str):
        "A name that is read or written: a parameter of the function around it, else one of the whole notebook."
        for there, back, made_here, made_there in reversed(self.scopes):
            if old in there or new in back:
                if there.get(old) != new: raise Differs(f'{old!r} became {new!r}, another parameter')
                return
            if old in made_here or new in made_there: # a local one
                if old not in made_here or new not in made_there or not self.listed(old, new):
                    raise Differs(f'{old!r} became {new!r}, which is not of the same function')
                there[old], back[new] = new, old
                return
        self.pair('variable', old, new, self.listed(old, new))

    def rewritten(self, old: str, new: str) -> bool:
        "Is a text the other but for listed parts?"
        parts = sorted(self.text, key=len, reverse=True)
        if not parts: return False
        pieces = re.split(f"({'|'.join(map(re.escape, parts))})", old)
        choices = [[p, *self.text[p]] if i % 2 else [p] for i, p in enumerate(pieces)]
        return bool(re.fullmatch(''.join(f"(?:{'|'.join(map(re.escape, c))})" for c in choices), new))

    # -- trees

    def walk(self, old, new, kind: str = ''):
        "Raise Differs where the two are not the same."
        if kind == 'variable' and isinstance(old, str) and isinstance(new, str): return self.variable(old, new)
        if kind and isinstance(old, str) and isinstance(new, str):
            return self.pair(kind, old, new, self.listed(old, new))
        if type(old) is not type(new): raise Differs(f'{said(old)} became {said(new)}')
        if isinstance(old, list):
            if len(old) != len(new): raise Differs(f'{len(old)} parts became {len(new)}: {said(old)} -> {said(new)}')
            for a, b in zip(old, new): self.walk(a, b)
        elif isinstance(old, FUNCTIONS): self.function(old, new)
        elif isinstance(old, COMPREHENSIONS): self.comprehension(old, new)
        elif isinstance(old, ast.AST): self.fields(old, new)
        elif isinstance(old, str): self.pair('text', old, new, self.rewritten(old, new))
        elif old != new or str(old) != str(new): raise Differs(f'{old!r} became {new!r}')

    def fields(self, old, new, but=()):
        "Every part of a node, except some."
        for name in old._fields:
            if name in ('type_comment', 'type_params', 'kind', 'ctx', *but): continue
            a, b = getattr(old, name, None), getattr(new, name, None)
            self.walk(a, b, IDENTIFIERS.get((type(old).__name__, name), ''))

    def inside(self, old: list, new: list, walk, made_here=frozenset(), made_there=frozenset()):
        "Walk where some names are parameters or local, whose renames end with the function."
        for a, b in zip(old, new):
            if not self.listed(a, b): raise Differs(f'parameter {a!r} became {b!r}')
        there, back = dict(zip(old, new)), dict(zip(new, old))
        if len(there) != len(back): raise Differs(f'{old} became {new}: two of one name')
        self.scopes.append((there, back, made_here, made_there))
        try: walk()
        finally: self.scopes.pop()

    def function(self, old, new):
        "Defaults, annotations and decorators belong to the place where a function is defined, its body to itself."
        if not isinstance(old, ast.Lambda): self.variable(old.name, new.name)
        a, b = parameters(old.args), parameters(new.args)
        if [k for k, _ in a] != [k for k, _ in b]: raise Differs(f'{said(old.args)} became {said(new.args)}')
        for part in ('decorator_list', 'returns'): self.walk(getattr(old, part, None), getattr(new, part, None))
        for part in ('defaults', 'kw_defaults'): self.walk(getattr(old.args, part), getattr(new.args, part))
        self.walk([x.annotation for _, x in a], [x.annotation for _, x in b])
        self.inside([x.arg for _, x in a], [x.arg for _, x in b], lambda: self.walk(old.body, new.body),
                    local_names(old), local_names(new))

    def comprehension(self, old, new):
        "The first thing that is gone through belongs outside, the rest to the comprehension."
        self.walk(old.generators[0].iter, new.generators[0].iter)
        bound = [[n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)]
                 for node in (old, new)]
        if len(bound[0]) != len(bound[1]): raise Differs(f'{said(old)} became {said(new)}')
        self.inside(*bound, lambda: self.fields(old, new))


def local_names(function) -> set:
    "What a function makes inside itself, and only there."
    found, shared, todo = set(), set(), list(function.body) if isinstance(function.body, list) else []
    while todo:
        n = todo.pop()
        if isinstance(n, (ast.Global, ast.Nonlocal)): shared |= set(n.names)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store): found.add(n.id)
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)): found.add(n.name)
        elif not isinstance(n, (ast.Lambda, *COMPREHENSIONS)): todo += ast.iter_child_nodes(n)
    return found - shared


def parameters(args: ast.arguments) -> list:
    "(kind, parameter) in order."
    alone = [(kind, x) for kind, x in (('*', args.vararg), ('**', args.kwarg)) if x]
    return [(kind, x) for kind in ('posonlyargs', 'args', 'kwonlyargs') for x in getattr(args, kind)] + alone


def said(node) -> str:
    "A piece of code in words."
    if isinstance(node, list): return '; '.join(map(said, node))[:80] or 'nothing'
    return ast.unparse(node)[:80] if isinstance(node, ast.AST) else repr(node)


# ---- where an imported name comes from

def definitions(modules: dict) -> dict:
    "Name -> {module: its definition's tree} of a whole package, given as module -> source."
    found = {}
    for module, source in modules.items():
        for n in ast.parse(source).body:
            names = [n.name] if hasattr(n, 'name') else [t.id for t in getattr(n, 'targets', ()) if hasattr(t, 'id')]
            for name in names: found.setdefault(name, {})[module] = n
    return found


def check_imports(old: dict, new: dict, pairs: Pairs, before: dict, after: dict):
    "Every imported name in use is still imported, and from the definition that it came from."
    renamed = {a: b for (kind, a), b in pairs.there.items() if kind == 'variable'}
    came = {renamed[name]: at for name, at in old.items() if name in renamed}
    comes = {name: at for name, at in new.items() if ('variable', name) in pairs.back}
    if came.keys() != comes.keys():
        raise Differs(f'no longer imported, or only now: {", ".join(sorted(came.keys() ^ comes.keys()))}')
    for local, (module, name) in came.items():
        there, here = comes[local]
        if not pairs.listed(name, here): raise Differs(f'{local} was {name} and is {here}')
        if there == module: continue
        if not module.startswith(PACKAGE) or not there.startswith(PACKAGE):
            raise Differs(f'{local} came from {module} and comes from {there}')
        was, is_now = before.get(name, {}), after.get(here, {})
        if len(was) <= 1 and len(is_now) <= 1: continue
        a, b = was.get(module), is_now.get(there) # the name is several things: they must be the same
        if a is None or b is None: raise Differs(f'{name} of {module} is not found again as {here} of {there}')
        try: Pairs(pairs.names, pairs.text).walk(*(Settings().visit(Plain().visit(copied(x))) for x in (a, b)))
        except Differs as e: raise Differs(f'{name} of {module} is not {here} of {there}: {e}') from None


def copied(node): return ast.parse(ast.unparse(node)).body[0]


# ---- two notebooks

def outputs(cell) -> list:
    "What a cell shows; the addresses of printed links may have moved."
    kept = json.loads(json.dumps(cell.get('outputs', [])))
    for o in kept:
        o.pop('execution_count', None)
        for kind, data in o.get('data', {}).items():
            if isinstance(data, list): o['data'][kind] = data = ''.join(data)
            if kind == 'text/markdown': o['data'][kind] = re.sub(r'\]\([^)]*\)', ']', data)
        if isinstance(o.get('text'), list): o['text'] = ''.join(o['text'])
    return kept


def same(old, new, names: dict, text: dict, before: dict | None = None, after: dict | None = None) -> str:
    "'' where two notebooks differ by imports and listed names alone, else the first difference, with its cell's diff."
    (a, imported), (b, imports), pairs = plain_cells(old), plain_cells(new), Pairs(names, text)
    for (_, x), (i, y) in zip(a, b):
        try: pairs.walk(x, y)
        except Differs as e:
            lines = [ast.unparse(tree).splitlines() for tree in (x, y)]
            return f'cell {i}: {e}\n' + '\n'.join(difflib.unified_diff(*lines, 'old', 'new', lineterm=''))
    if len(a) != len(b):
        i, extra = (b if len(b) > len(a) else a)[min(len(a), len(b))]
        return f'{len(a)} cells with code became {len(b)}; without a partner: {i}\n{ast.unparse(extra)}'
    try: check_imports(imported, imports, pairs, before or {}, after or {})
    except Differs as e: return str(e)
    shown = [[x for c in nb['cells'] if c['cell_type'] == 'code' for x in outputs(c)] for nb in (old, new)]
    return '' if shown[0] == shown[1] else 'the stored outputs are not those of the old notebook'


def at_revision(rev: str) -> tuple[dict, dict]:
    "Notebooks (path below nbs/ -> notebook) and modules (dotted name -> source) as git holds them at a revision."
    tar = subprocess.run(['git', 'archive', '--format=tar', rev, 'nbs', PACKAGE], cwd=house.ROOT, check=True,
                         stdout=subprocess.PIPE).stdout
    books, modules = {}, {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for m in archive.getmembers():
            path = Path(m.name)
            if not m.isfile() or path.suffix not in ('.ipynb', '.py'): continue
            text = archive.extractfile(m).read().decode()
            if path.suffix == '.py': modules['.'.join(path.with_suffix('').parts)] = text
            else: books['/'.join(path.with_suffix('').parts[1:])] = nbformat.reads(text, as_version=4)
    return books, modules


def predecessor(name: str, nb, books: dict, moved: dict) -> str | None:
    "The notebook at the old revision that this one was: by path, by docs/moved.toml, by the ids of its cells."
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]/'docs'))
    from rooms import page_of
    if name in books: return name
    for old, pages in moved.items():
        if old in books and page_of(name) in ([pages] if isinstance(pages, str) else pages): return old
    ids = {c.get('id') for c in nb['cells'] if c['cell_type'] == 'code'}
    shared = {old: len(ids & {c.get('id') for c in b['cells']}) for old, b in books.items()}
    return max(shared, key=shared.get) if shared and max(shared.values()) else None


def carry(rev: str = 'HEAD', *only) -> int:
    "Stamp what only moved (all notebooks, or some); say what really differs. 1 where something is left."
    names, text = read_renames(house.ROOT/'tools'/'renames.toml')
    file = house.ROOT/'docs'/'moved.toml'
    moved = tomllib.loads(file.read_text(encoding='utf-8')).get('pages', {}) if file.exists() else {}
    books, modules = at_revision(rev)
    files = (house.ROOT/PACKAGE).rglob('*.py')
    now = {'.'.join(p.relative_to(house.ROOT).with_suffix('').parts): p.read_text(encoding='utf-8') for p in files}
    before, after, left = definitions(modules), definitions(now), 0
    for path in house.paths_of(only):
        nb, name = nbformat.read(path, as_version=4), house.name_of(path)
        if nb.metadata.get('executed', {}).get('code') == house.fingerprint(nb): continue
        old = predecessor(name, nb, books, moved)
        if old is None: why = f'nothing at {rev} was this notebook'
        elif (stamp := books[old].metadata.get('executed', {})).get('code') != house.fingerprint(books[old]):
            why = f'{old} at {rev} has no valid stamp itself'
        else: why = same(books[old], nb, names, text, before, after)
        left += bool(why)
        print(f'{name}: ' + (f'differs. {why}' if why else f'same as {old}'), flush=True)
        if why: continue
        nb.metadata['executed'] = {**stamp, 'code': house.fingerprint(nb)}
        house.save(nb, path)
    return left > 0
