"Sphinx settings of the site; docs/build.py makes the pages and calls Sphinx. Facts about the project come from settings.ini."
from configparser import ConfigParser
from pathlib import Path

cfg = ConfigParser(delimiters=['='])
cfg.read(Path(__file__).parents[1]/'settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']

project, author, release, copyright = cfg['lib_name'], cfg['author'], cfg['version'], cfg['copyright']
extensions = ['sphinx.ext.githubpages', 'myst_nb', 'sphinx_design', 'sphinx_copybutton']
templates_path, html_static_path, html_css_files = ['_templates'], ['_static', '_build/vendor'], ['house.css']
html_js_files = [('house.js', {'defer': 'defer'})]
exclude_patterns = ['.ipynb_checkpoints']

# Pages arrive executed: stored outputs are shown, nothing runs here.
nb_execution_mode = 'off'
nb_merge_streams = True
nb_number_source_lines = False
nb_ipywidgets_js = {} # house.js fetches the manager when a reader asks for the sliders: 3.6 MB that most pages' readers do not want
myst_enable_extensions = ['dollarmath', 'amsmath', 'colon_fence', 'attrs_block', 'attrs_inline', 'html_image', 'deflist']
myst_heading_anchors = 4
suppress_warnings = ['myst.header', 'mystnb.unknown_mime_type']

# MathJax from the site itself, never from a CDN, and only on pages that hold maths; without it the TeX is shown, legibly.
mathjax_path = 'mathjax/tex-chtml.js' if (Path(__file__).parent/'_build'/'vendor'/'mathjax'/'tex-chtml.js').exists() else 'maths-as-text.js'
mathjax3_config = {'options': {'enableMenu': False}, 'chtml': {'displayAlign': 'center'}}

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
    logo=dict(text=project, image_light='_static/two-players.svg', image_dark='_static/two-players.svg', alt_text=''), navbar_center=[], navbar_end=['theme-switcher', 'navbar-icon-links'], navbar_persistent=['search-button'],
    icon_links=[dict(name='Repository', url=cfg['git_url'], icon='fa-brands fa-github')],
    show_toc_level=2, navigation_with_keys=False, footer_start=['copyright'], footer_end=[], pygments_light_style='tango',
    secondary_sidebar_items={'**': ['page-toc'], 'index': [], 'gallery': []}, show_prev_next=True)
html_context = dict(default_mode='auto')
