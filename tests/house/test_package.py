"What a package index and pip are told."
import re
from importlib.metadata import metadata
from importlib.resources import files
from pathlib import Path

import dlcv_gan

ROOT = Path(__file__).parents[2]


def test_the_description_leads_somewhere_from_anywhere():
    said = metadata('dlcv_gan')
    text = said.get_payload() or said['Description']
    links = re.findall(r'\]\(([^)\s]+)', text) + re.findall(r'(?:src|href|srcset)="([^"]+)"', text)
    assert links and '<script' not in text
    assert not [link for link in links if not link.startswith('https://')]
    if not (ROOT/'README.md').is_file(): return # beside an installed wheel
    site = []
    for link in links:
        if found := re.match(r'https://dlcv-gan.github.io/dlcv_gan/(.*)\.html$', link): site.append(found[1])
        elif found := re.search(r'/(?:raw|blob)/main/(.*)$', link): assert (ROOT/found[1]).is_file(), link
    pages = [p for p in site if p != 'gallery']
    assert pages and all((ROOT/'nbs'/f'{p}.ipynb').is_file() for p in pages)


def test_the_version_is_said_once():
    assert metadata('dlcv_gan')['Version'] == dlcv_gan.__version__
    if (ROOT/'CHANGELOG.md').is_file():
        heads = {'CHANGELOG.md': f'## {dlcv_gan.__version__}', 'CITATION.cff': f'version: {dlcv_gan.__version__}\n'}
        for name, text in heads.items():
            assert text in (ROOT/name).read_text(encoding='utf-8'), f'{name} is of another version'


def test_the_package_says_that_it_is_typed_and_carries_its_weights():
    there = files('dlcv_gan')
    assert (there/'py.typed').is_file() and (there/'weights'/'features-faces.safetensors').is_file()
