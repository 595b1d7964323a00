"Sphinx settings of the site; docs/build.py makes the pages and calls Sphinx. Facts come from settings.ini."
import re, sys
from configparser import ConfigParser
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from rooms import sidebar

cfg = ConfigParser(delimiters=['='])
cfg.read(Path(__file__).parents[1]/'settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']

project, author, release, copyright = cfg['lib_name'], cfg['author'], cfg['version'], cfg['copyright']
extensions = ['sphinx.ext.githubpages', 'myst_nb', 'sphinx_design', 'sphinx_copybutton', 'sphinx_sitemap',
              'sphinxext.opengraph', 'notfound.extension']
templates_path, html_static_path, html_css_files = ['_templates'], ['_static', '_build/vendor'], ['house.css']
html_js_files = [('house.js', {'defer': 'defer'})]
exclude_patterns = ['.ipynb_checkpoints']

# Pages arrive executed: stored outputs are shown, nothing runs here.
nb_execution_mode = 'off'
nb_merge_streams = True
nb_render_markdown_format = 'gfm' # printed tables
nb_number_source_lines = False
# house.js fetches the manager when a reader asks for the sliders: 3.6 MB that most pages' readers do not want
nb_ipywidgets_js = {}
myst_enable_extensions = ['dollarmath', 'amsmath', 'colon_fence', 'attrs_block', 'attrs_inline', 'html_image',
                          'deflist']
myst_heading_anchors = 4
suppress_warnings = ['myst.header', 'mystnb.unknown_mime_type']

# MathJax from the site itself, never from a CDN, only on pages that hold maths; without it the TeX is shown, legibly.
typeset = (Path(__file__).parent/'_build'/'vendor'/'mathjax'/'startup.js').exists()
mathjax_path = 'mathjax/startup.js' if typeset else 'maths-as-text.js'
# without its menu, which is half of it
mathjax3_config = {'loader': {'load': ['input/tex', 'output/chtml', 'a11y/assistive-mml']},
                   'chtml': {'displayAlign': 'center'}}

add_module_names = False
python_maximum_signature_line_length = 84
toc_object_entries_show_parents = 'hide'
copybutton_exclude = '.linenos, .gp, .go'

html_theme = 'pydata_sphinx_theme'
html_title = project
html_favicon = '_static/two-players.svg'
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {'**': ['rooms.html']}
html_theme_options = dict(
    logo=dict(text=project, image_light='_static/two-players.svg', image_dark='_static/two-players.svg', alt_text=''),
    navbar_center=[], navbar_end=['theme-switcher', 'navbar-icon-links'], navbar_persistent=['search-button'],
    icon_links=[dict(name='Repository', url=cfg['git_url'], icon='fa-brands fa-github')],
    show_toc_level=2, navigation_with_keys=False, footer_start=['copyright'], footer_end=[],
    pygments_light_style='a11y-high-contrast-light', pygments_dark_style='a11y-high-contrast-dark',
    secondary_sidebar_items={'**': ['page-toc'], 'index': [], 'gallery': [], 'start/demos': []}, show_prev_next=True)
html_context = dict(default_mode='auto')

# For search engines and for links that are shared: the address of each page, a description, a picture.
html_baseurl = f"{cfg['doc_host']}{cfg['doc_baseurl']}/"
sitemap_url_scheme, sitemap_excludes = '{link}', ['404.html', 'genindex.html', 'search.html']
ogp_site_url, static = html_baseurl, Path(__file__).parent/'_static'
# a picture for each page, of its title, its description and these two
ogp_social_cards = dict(image=str(static/'film-still.webp'), image_mini=str(static/'two-players.png'),
                        line_color='#7c4dd3')
ogp_description_length = 200
# a wrong address may have any depth, so the page for it is linked from the root of the host
notfound_urls_prefix = f"{cfg['doc_baseurl']}/"


def polish(app, pagename, templatename, context, doctree):
    "The sidebar in sections; pictures that come when they are near and have their room kept; signatures no lists."
    context['as_sidebar'] = sidebar # for _templates/rooms.html
    if not context.get('body'): return
    files = {Path(name).name: Path(app.srcdir)/src for src, name in app.builder.images.items()}
    def picture(m):
        with Image.open(files[m[1]]) as image:
            return f'<img loading="lazy" width="{image.width}" height="{image.height}" {m[0][5:]}'
    def lines(m): # a long signature is a `dl` of `dd` without any `dt`: no list, says HTML
        held = m[2].replace('<dd>', '<div>').replace('</dd>', '</div>')
        return f'{m[1]}<div class="sig-lines">{held}</div>'
    body = re.sub(r'<img (?![^>]* width=)[^>]*src="(?:\.\./)*_images/([^"]+)"', picture, context['body'])
    context['body'] = re.sub(r'(<span class="sig-paren">\(</span>)\s*<dl>(.*?)</dl>', lines, body, flags=re.DOTALL)


def setup(app): app.connect('html-page-context', polish)
