"Where a notebook's page stands: its address, its section of the sidebar, and the sidebar itself."
import re

# Section -> its pages: patterns in reading order, a pattern's own pages in the order of their notebooks. A folder
# within a room is a part of its section.
ROOMS = {
    'Start here': ['index', 'start/play', 'start/play_diffusion', 'start/demos', 'gallery', 'start/reports',
                   r'start/(?!for_teachers).*'],
    'Assignments': [r'assignments/.*'],
    'Hand-ins': ['handins/hw4', 'handins/hw3', r'handins/(?!handin$).*', 'handins/handin'],
    'Studies': ['studies/ledger', r'studies/\d.*', r'studies/.*'],
    'Worlds': [r'worlds/(faces|anime|scenes|animals|points)', r'worlds/.*'],
    'Library': ['library/data/readers', 'library/data/pictures', 'library/data/loaders', r'library/data/.*',
                'library/game/base', 'library/game/learner', 'library/game/schedules',
                'library/runs/settings', 'library/runs/folder', 'library/runs/training', r'library/.+/.*',
                r'library/(nets|conditional|residual|losses)', r'library/(metrics|inception|diagnosis|scores)',
                r'library/(view|live)', r'library/(widgets|training_panel|controls)', r'library/.*'],
    'Command': ['command/command', r'command/.*'],
    'Teach, contribute': ['start/for_teachers', 'CONTRIBUTING'],
    'More': [r'.*'],
}
PAGES = {'CONTRIBUTING': 'CONTRIBUTING.md', 'gallery': 'gallery.md'} # what is a page and no notebook
LESSON = re.compile(r'index|start/|assignments/|studies/\d') # pages whose code is shown whole


def page_of(book: str) -> str:
    "'assignments/01_vae' -> 'assignments/vae': the address that nbdev's own links give a notebook."
    if book in PAGES: return book
    folder, _, name = book.rpartition('/')
    return f'{folder}/'*bool(folder) + re.sub(r'^\d+[a-zA-Z0-9]*_', '', name.lower())


def number_of(book: str) -> str:
    "'assignments/01_vae' -> '1'; '' for a notebook without a place in a row."
    found = re.match(r'\d+', book.rpartition('/')[2])
    return found[0].lstrip('0') if found else ''


def rooms(names: list) -> dict:
    "Section -> its notebooks in order, each in the first that takes it; 'Library / game' is a part of a section."
    found, left = {}, sorted(names)
    for room, patterns in ROOMS.items():
        for pattern in patterns:
            taken = [n for n in left if re.fullmatch(pattern, n)]
            left = [n for n in left if n not in taken]
            for n in taken:
                part = n.split('/')[1:-1]
                found.setdefault(' / '.join([room, *part]), []).append(n)
    # a section before its parts
    order = sorted(found, key=lambda s: (list(ROOMS).index(s.split(' / ')[0]), ' / ' in s))
    return {room: found[room] for room in order}


def contents(titles: dict) -> str:
    "The hidden tables of contents, one for each section; they show what is before a title's colon."
    def entry(book):
        if book == 'index': return 'self'
        return f'{number_of(book)}  {titles[book].split(": ")[0]} <{page_of(book)}>'.lstrip()
    return '\n'.join(f'```{{toctree}}\n:hidden:\n:caption: {room}\n\n' + '\n'.join(map(entry, members)) + '\n```\n'
                     for room, members in rooms(titles).items())


def sidebar(html: str) -> str:
    "Sphinx's tables of contents as sections that open and shut, the parts of a section inside it."
    pieces = re.split(r'<p [^>]*class="caption"[^>]*><span class="caption-text">(.*?)</span></p>', str(html))
    sections = {}
    for caption, links in zip(pieces[1::2], pieces[2::2]):
        room, _, part = caption.partition(' / ')
        sections[room] = sections.get(room, '') + f'<p class="part">{part}</p>'*bool(part) + links
    open_here = [room for room, links in sections.items() if re.search(r'class="[^"]*\bcurrent\b', links)]
    here = (open_here or ['Start here'])[0]
    # whoever has just come sees the lessons too
    shown = {here, 'Assignments'} if here == 'Start here' else {here}
    return ''.join(f'<details{" open"*(room in shown)}><summary>{room}</summary>{links}</details>'
                   for room, links in sections.items())
