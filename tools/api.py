"""A module's public face, read from its source without importing it: signatures, docstrings, docments, line numbers.

Used by the site's API cards (docs/build.py) and by the house rules (tests/house/test_house.py).
"""
import ast, io, tokenize
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Parameter:
    "One parameter as a reader meets it."
    name: str
    type: str = ''
    default: str = ''
    comment: str = ''


@dataclass
class Symbol:
    "A public function, class, method, property or constant."
    name: str
    kind: str                # function class method classmethod staticmethod property data
    module: str
    line: int
    signature: str = ''      # '(x: Tensor, n: int = 8) -> Tensor'; the value of a constant
    doc: str = ''
    parameters: list = field(default_factory=list)
    returns: Parameter | None = None
    bases: list = field(default_factory=list)
    members: list = field(default_factory=list)

    @property
    def full_name(self): return f'{self.module}.{self.name}'


def comments(source: str) -> tuple[dict, set]:
    "Line -> comment on it, and the lines that hold nothing but a comment."
    found, alone = {}, set()
    for t in tokenize.generate_tokens(io.StringIO(source).readline):
        if t.type == tokenize.COMMENT and not t.string.startswith('# %%'):
            found[t.start[0]] = t.string.lstrip('#').strip()
            if not t.line[:t.start[1]].strip(): alone.add(t.start[0])
    return found, alone


def comment_of(node, found: dict, alone: set, taken: int = 0) -> str:
    "A docment: the comment behind a parameter (on line `taken` it is the return's), or the comment lines above it."
    for line in (node.end_lineno, node.lineno):
        if line in found and line != taken: return found[line]
    lines, above = [], node.lineno - 1
    while above in alone: lines, above = [found[above], *lines], above - 1
    return ' '.join(lines)


def text(node) -> str:
    "Source of an annotation or default, '' for none."
    return ast.unparse(node) if node is not None else ''


def written(p: Parameter) -> str:
    "A parameter in a signature: 'n: int = 8'."
    return p.name + (f': {p.type}' if p.type else '') + (f' = {p.default}' if p.default else '')


def returned(f, marks) -> Parameter:
    "The return annotation; its comment may stand behind the closing colon."
    last = f.body[0].lineno
    comment = next((marks[0][i] for i in range(f.returns.end_lineno, last) if i in marks[0] and i not in marks[1]), '')
    return Parameter('returns', text(f.returns), comment=comment)


def read_function(f, module: str, marks, owner='', kind='') -> Symbol:
    "One def: its parameters with their docments, without self or cls."
    a = f.args
    given, defaults = a.posonlyargs + a.args, [None] * (len(a.posonlyargs + a.args) - len(a.defaults)) + a.defaults
    rows = [(x, d, '') for x, d in zip(given, defaults)]
    if owner and kind != 'staticmethod': rows = rows[1:]
    if a.vararg: rows.append((a.vararg, None, '*'))
    rows += [(x, d, '') for x, d in zip(a.kwonlyargs, a.kw_defaults)]
    if a.kwarg: rows.append((a.kwarg, None, '**'))
    taken = f.returns.end_lineno if f.returns else 0
    parameters = [Parameter(star + x.arg, text(x.annotation), text(d), comment_of(x, *marks, taken))
                  for x, d, star in rows]
    shown = [written(p) for p in parameters]
    if a.kwonlyargs and not a.vararg: shown.insert(len(shown) - len(a.kwonlyargs) - bool(a.kwarg), '*')
    signature = f"({', '.join(shown)})" + (f' -> {text(f.returns)}' if f.returns else '')
    back = returned(f, marks) if f.returns else None
    return Symbol(f'{owner}.{f.name}' if owner else f.name, kind or 'function', module, f.lineno, signature,
                  ast.get_docstring(f) or '', parameters, back)


def read_class(c, module: str, marks) -> Symbol:
    "One class: the parameters of __init__ (or a dataclass's fields) and its public methods."
    decorators = {text(d).split('(')[0].split('.')[-1] for d in c.decorator_list}
    members, init = [], None
    for f in c.body:
        if not isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)): continue
        kind = next((k for d in f.decorator_list for k in ('property', 'classmethod', 'staticmethod')
                     if text(d).endswith(k)), 'method')
        if f.name == '__init__': init = read_function(f, module, marks, c.name, kind)
        elif not f.name.startswith('_') and not any('setter' in text(d) for d in f.decorator_list):
            members.append(read_function(f, module, marks, c.name, kind))
    if 'dataclass' in decorators and init is None:
        fields = [Parameter(n.target.id, text(n.annotation), text(n.value), comment_of(n, *marks)) for n in c.body
                  if isinstance(n, ast.AnnAssign) and not n.target.id.startswith('_')]
        init = Symbol('__init__', 'method', module, c.lineno, f"({', '.join(map(written, fields))})", '', fields)
    doc = ast.get_docstring(c) or (init.doc if init else '')
    return Symbol(c.name, 'class', module, c.lineno, init.signature if init else '', doc,
                  init.parameters if init else [], bases=[text(b) for b in c.bases], members=members)


def public_names(tree) -> list[str]:
    "What `__all__` says."
    for n in tree.body:
        if isinstance(n, ast.Assign) and text(n.targets[0]) == '__all__': return ast.literal_eval(n.value)
    return []


def dotted(path: Path) -> str:
    "dlcv_gan/game/learner.py -> 'dlcv_gan.game.learner': the file's name below the last folder that is a package."
    names, folder = [Path(path).stem], Path(path).parent
    while (folder/'__init__.py').exists(): names, folder = [folder.name, *names], folder.parent
    return '.'.join(names)


def read_module(path: Path) -> list[Symbol]:
    "Every public symbol of one file, in the order it is written."
    source = Path(path).read_text(encoding='utf-8')
    tree, marks, module = ast.parse(source), comments(source), dotted(path)
    names, found = public_names(tree), {}
    for n in tree.body:
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)):
            patched = any(text(d).split('(')[0] == 'patch' for d in n.decorator_list)
            owner = text(n.args.args[0].annotation) if patched else ''
            if patched and owner in found and not n.name.startswith('_'):
                found[owner].members.append(read_function(n, module, marks, owner, 'method'))
            elif n.name in names: found[n.name] = read_function(n, module, marks)
        elif isinstance(n, ast.ClassDef) and n.name in names: found[n.name] = read_class(n, module, marks)
        elif isinstance(n, (ast.Assign, ast.AnnAssign)):
            target = n.targets[0] if isinstance(n, ast.Assign) else n.target
            if isinstance(target, ast.Name) and target.id in names:
                found[target.id] = Symbol(target.id, 'data', module, n.lineno, text(n.value), comment_of(n, *marks))
    return list(found.values())
