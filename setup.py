"Everything said about the package stands in settings.ini and README.md; this file only hands it to setuptools."
import re
import shlex
import sys
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

sys.path.insert(0, str(Path(__file__).parent)) # an isolated build does not look here
from dlcv_gan.cli.notebooks import carried, stripped

cfg = ConfigParser(delimiters=['='])
cfg.read('settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']
extras = {k.removesuffix('_requirements'): shlex.split(cfg[k]) for k in cfg if k.endswith('_requirements')}
site, files = cfg['doc_host'] + cfg['doc_baseurl'], f"{cfg['git_url']}/raw/{cfg['branch']}"


def for_an_index(readme):
    "The README where nothing lies beside it: no script, notebooks as their pages, pictures from the repository."
    readme = re.sub(r'<script.*?</script>\n?', '', readme, flags=re.S)
    readme = re.sub(r'\]\(nbs/([^)]+)\.ipynb\)', rf']({site}/\1.html)', readme)
    return re.sub(r'(\]\(|src="|srcset=")(?=docs/)', rf'\1{files}/', readme)


class BuildWithNotebooks(build_py):
    "Puts the notebooks, without outputs, and the studies' tables beside the code."
    def run(self):
        super().run()
        if self.editable_mode: return # a checkout has them in nbs/
        if not (files := carried(Path('nbs'))): raise SystemExit('nbs/ is missing: the wheel would have no notebooks')
        for file, text in files.items():
            there = Path(self.build_lib, cfg['lib_path'], 'notebooks', file)
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_text(text, encoding='utf-8')


class StrippedSource(sdist):
    "The notebooks without their outputs, which are most of the repository."
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for file in Path(base_dir, 'nbs').rglob('*.ipynb'):
            text = stripped(file.read_text(encoding='utf-8'))
            file.unlink() # it may be a link to the file that was copied
            file.write_text(text, encoding='utf-8')


setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'],
    long_description=for_an_index(Path('README.md').read_text(encoding='utf-8')),
    long_description_content_type='text/markdown',
    license='Apache-2.0', author=cfg['author'], author_email=cfg['author_email'], url=site,
    project_urls={'Documentation': site, 'Source': cfg['git_url'], 'Issues': f"{cfg['git_url']}/issues",
                  'Changelog': f"{cfg['git_url']}/blob/{cfg['branch']}/CHANGELOG.md"},
    classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Education',
                 'Intended Audience :: Science/Research', 'Framework :: Jupyter', 'Operating System :: OS Independent',
                 'Programming Language :: Python :: 3', 'Programming Language :: Python :: 3 :: Only',
                 'Topic :: Education', 'Topic :: Scientific/Engineering :: Artificial Intelligence',
                 'Topic :: Scientific/Engineering :: Image Processing', 'Typing :: Typed'],
    packages=find_packages(include=[cfg['lib_path'], cfg['lib_path'] + '.*']), include_package_data=True,
    package_data={cfg['lib_path']: ['py.typed', 'weights/*', 'weights/*/*']},
    cmdclass=dict(build_py=BuildWithNotebooks, sdist=StrippedSource),
    install_requires=shlex.split(cfg['requirements']), extras_require=extras,
    python_requires='>=' + cfg['min_python'], zip_safe=False,
    entry_points={'console_scripts': shlex.split(cfg['console_scripts']),
                  'nbdev': [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"]},
)
