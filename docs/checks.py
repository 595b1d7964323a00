"What is wrong with a built site: links that lead nowhere, and anything that a page would ask of another host."
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


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


@cache
def read_page(path: Path, written: int) -> Links: return Links(path.read_text(encoding='utf-8'))


def links_of(path: Path) -> Links:
    "A page, read once for as long as it is not written anew."
    return read_page(path, path.stat().st_mtime_ns)


def is_foreign(url: str) -> bool: return bool(re.match(r'(?:(?:https?|wss?|ftp):)?//', url.strip(), re.I))


def site_pages(html: Path) -> list[Path]: return [p for p in sorted(html.rglob('*.html')) if '_static' not in p.parts]


def foreign_requests(html: Path) -> list[str]:
    "What the pages and stylesheets would ask of another host."
    found = []
    for p in site_pages(html):
        page = links_of(p)
        wanted = page.requests | set(re.findall(r'["\'`](https?://(?!www\.w3\.org/)[^"\'`\s]+)', page.inline))
        found += [f'{p.relative_to(html)} asks {x}' for x in sorted(wanted) if is_foreign(x)]
    for p in sorted(html.rglob('*.css')):
        wanted = re.findall(r'(?:url\(|@import\s+)["\']?([^)"\']+)', p.read_text(encoding='utf-8', errors='replace'))
        found += [f'{p.relative_to(html)} asks {x}' for x in wanted if is_foreign(x)]
    return found


def broken_links(html: Path, prefix: str | None = None) -> list[str]:
    "Links, pictures and scripts that lead to no file or no anchor of the site, which lies at `prefix` of its host."
    html = html.resolve()
    pages, found = {p: links_of(p) for p in site_pages(html)}, []
    for p, page in pages.items():
        for x in sorted(page.links | {r for r in page.requests if not r.startswith('data:')}):
            if is_foreign(x) or re.match(r'[a-z]+:', x): continue
            url = urlsplit(x)
            path = unquote(url.path)
            if prefix and path.startswith(prefix): target = html/path.removeprefix(prefix)
            else: target = (p.parent/path).resolve() if path else p
            if target.is_dir(): target = target/'index.html'
            if not target.exists(): found.append(f'{p.relative_to(html)} -> {x}: no such file')
            elif url.fragment and target in pages and unquote(url.fragment) not in pages[target].ids | {''}:
                found.append(f'{p.relative_to(html)} -> {x}: no such anchor')
    return found


def lost_sources(html: Path, sources: str, root: Path) -> list[str]:
    "Links to files of the repository that it does not have; `sources` is what their addresses begin with."
    return [f'{p.relative_to(html)} -> {x}: the repository has no such file' for p in site_pages(html)
            for x in sorted(links_of(p).links) if x.startswith(sources + '/')
            and not (root/unquote(urlsplit(x.removeprefix(sources + '/')).path)).exists()]
