"""Long trainings by the recipes of docs/runs.toml, whose weights the package carries: draw the worlds, train, keep.

    python tools/runs.py train [NAME ...]     worlds and runs, in runs/; what is finished stays, what stopped goes on
    python tools/runs.py keep [NAME ...]      the finished runs, scored -> dlcv_gan/weights

Each training uses one thread, so on two cores two calls with one name each run beside each other.
"""
import argparse, os, shlex, subprocess, sys, tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Recipes:
    "Models that are trained by a file of recipes into a folder."
    def __init__(self, file: Path, folder: Path, threads: int | None = None):
        self.file, self.folder, self.threads = file, folder, threads
        self.read = tomllib.loads(file.read_text(encoding='utf-8'))
        self.models = self.read['models']
        self.world = cache(self.world) # it starts a process, even where all is drawn

    def command(self, *words):
        env = os.environ | ({'OMP_NUM_THREADS': str(self.threads)} if self.threads else {})
        subprocess.run([sys.executable, '-m', 'dlcv_gan', *map(str, words)], check=True, cwd=ROOT, env=env)

    def world(self, data: str) -> Path:
        "A folder of drawn pictures; what is drawn already stays."
        kind, *flags = shlex.split(self.read['data'][data])
        self.command('draw', kind, self.folder/'data'/data, *flags)
        return self.folder/'data'/data

    def train(self, name: str):
        "Train a model, or go on where it was stopped."
        recipe, run = self.models[name], self.folder/name
        if 'pretrained' in recipe: return print(f'{name}: comes with the package')
        if (run/'weights.safetensors').exists(): return print(f'{name}: trained')
        system, *flags = shlex.split(recipe['train'])
        self.command('train', *(['--out', run, '--resume'] if (run/'settings.json').exists()
                                else [system, '--data', self.world(recipe['data']), '--out', run, *flags]))

    def trained(self, name: str) -> Path:
        "The finished run of a model, or the one that the package carries."
        if 'pretrained' in self.models[name]:
            from dlcv_gan.runs.pretrained import pretrained_run
            return pretrained_run(self.models[name]['pretrained'])
        if not (self.folder/name/'weights.safetensors').exists():
            raise SystemExit(f'{name} is not trained; first run: python tools/{Path(sys.argv[0]).name} train {name}')
        return self.folder/name

    def main(self, doc: str, then: str, act):
        "The command line: train, or the second word with what it does to a name."
        p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        p.add_argument('what', choices=['train', then])
        p.add_argument('names', nargs='*', metavar='NAME', help=f'models of docs/{self.file.name} (default: all)')
        args = p.parse_args()
        if unknown := [n for n in args.names if n not in self.models]:
            p.error(f'docs/{self.file.name} has no model {unknown[0]}; there are {", ".join(self.models)}')
        for name in args.names or self.models: (self.train if args.what == 'train' else act)(name)
        return args


def keep(name: str):
    "A finished run, scored, as the package carries it."
    from dlcv_gan.metrics import WEIGHTS
    from dlcv_gan.runs.pretrained import keep_run
    out = keep_run(RECIPES.trained(name), WEIGHTS/name)
    print(f"{out}: {(out/'weights.safetensors').stat().st_size/1e6:.2f} MB")


RECIPES = Recipes(ROOT/'docs'/'runs.toml', ROOT/'runs', threads=1)

if __name__ == '__main__': RECIPES.main(__doc__, 'keep', keep)
