"Captions: the markdown cell below a cell that draws says what to see, a paragraph for each figure."
CAPTION = '**Figure:**' # what each of its paragraphs begins with


def captions_of(nb: dict) -> dict:
    "Cell id -> what the caption cell below it says of each figure."
    found, above = {}, None
    for c in nb['cells']:
        text = ''.join(c['source'])
        if c['cell_type'] == 'markdown' and text.startswith(CAPTION):
            found[above] = [p.strip() for p in text.split(CAPTION)[1:]]
        above = c.get('id')
    return found
