"Every system of the five reports: built and set as printed, shown in an executed notebook, trained by the command."
import contextlib, inspect, io, json, re
from pathlib import Path

import pytest

from dlcv_gan.cli.command import main
from dlcv_gan.systems import describe, find_system, systems

ROOT = Path(__file__).resolve().parents[2]

# What the reports print, R1's tables and both tag nets apart (`test_systems.py`, `test_nets.py`, `test_tags.py`),
# written as layers are: inputs, outputs, side.
def conv(i, o, k, side, bias=True): return f'{side},{side},{o}', i*o*k*k + bias*o
def dense(i, o): return str(o), i*o + o
def norm(c, side): return f'{side},{side},{c}', 2*c


def generator(labels=0): # 4x4x512, doubled four times; BatchNorm takes the place of a bias
    rows = [dense(100 + labels, 4*4*512), norm(512, 4)]
    for i, o, side in ((512, 256, 8), (256, 128, 16), (128, 64, 32)):
        rows += [conv(i, o, 4, side, False), norm(o, side)]
    return [*rows, conv(64, 3, 4, 64)]


def discriminator(batchnorm=False, planes=3): # no BatchNorm in the first layer, nor under a penalty or clipped weights
    rows = [conv(planes, 64, 4, 32)]
    for i, o, side in ((64, 128, 16), (128, 256, 8), (256, 512, 4)):
        rows += [conv(i, o, 4, side, not batchnorm), *([norm(o, side)] if batchnorm else [])]
    return [*rows, dense(8192, 1)]


def resnet(): # c7s1-64, d128, d256, 9 x R256, u128, u64, c7s1-3 of the CycleGAN paper; instance norm has no numbers
    return [conv(3, 64, 7, 256), conv(64, 128, 3, 128), conv(128, 256, 3, 64), *[conv(256, 256, 3, 64)]*18,
            conv(256, 128, 3, 128), conv(128, 64, 3, 256), conv(64, 3, 7, 256)]


def patches(): # C64-C128-C256-C512, the last at stride 1, and a score for each of 30x30 patches
    return [conv(3, 64, 4, 128), conv(64, 128, 4, 64), conv(128, 256, 4, 32), conv(256, 512, 4, 31),
            conv(512, 1, 4, 30)]


conditional = dict(generator=generator(23), discriminator=[dense(23, 64*64), *discriminator(planes=4)])
PRINTED = {'R0.DCGAN': dict(generator=generator(), discriminator=discriminator(True)),
           'R0.WGANGP': dict(generator=generator(), discriminator=discriminator()),
           'R3.CWGAN': conditional, 'R3.CWGANGP': conditional,
           'R0.CycleGAN': dict(ab=resnet(), ba=resnet(), d_a=patches(), d_b=patches())}


@pytest.mark.parametrize('name', PRINTED)
def test_the_layers_are_the_printed_ones(name):
    nets = describe(name)['nets']
    assert {net: [(r['output'], r['params']) for r in has['layers'] if r['params']]
            for net, has in nets.items()} == PRINTED[name]


# A round takes one real batch. R3's 10,000 rounds have five critic steps each; R4's 200 epochs are of 18,009 pictures.
RECIPES = {'R0.DCGAN': dict(bs=64, rounds=50_000, size=64), 'R0.WGANGP': dict(bs=64, rounds=50_000, size=64),
           'R0.CycleGAN': dict(size=256),
           'R0.T2I': dict(bs=64, rounds=50_000, size=64, lr=2e-4, d=1, g=3, labels=23),
           'R2.ACGAN96': dict(bs=64, size=96, labels=23),
           'R1.VAE': dict(size=64), 'R1.GAN': dict(size=64), 'R1.ACGAN': dict(size=64, labels=1),
           'R3.CWGAN': dict(d=5, g=1, rounds=5*10_000, size=64, labels=23),
           'R3.CWGANGP': dict(d=5, g=1, rounds=5*10_000, size=64, labels=23),
           'R4.CGAN': dict(bs=128, rounds=200*18_009/128, size=64, lr=2e-4, d=1, g=4, labels=24),
           'R4.CNF': dict(labels=24), 'R4.CNF-faces': dict(labels=13)}


@pytest.mark.parametrize('name', RECIPES)
def test_the_recipe_is_the_printed_one(name):
    system, printed = find_system(name), RECIPES[name]
    for key, value in printed.items():
        assert getattr(system, key, getattr(system.schedule, key, None)) == pytest.approx(value, rel=.01), key
    assert inspect.signature(system.build).parameters['size'].default == system.size


def test_no_row_of_the_reports_is_missing(): assert RECIPES.keys() <= systems().keys()


@pytest.mark.parametrize('name', list(systems()))
def test_the_notebook_of_a_system_is_executed_and_shows_pictures(name):
    if not (ROOT/'nbs').is_dir(): pytest.skip('the notebooks lie in the repository')
    homes = []
    for path in sorted((ROOT/'nbs'/'assignments').glob('*.ipynb')):
        cells = json.loads(path.read_text(encoding='utf-8'))['cells']
        # a new one, or another with changes
        defined = rf"(?m)^\w+ = (System\(|replace\(\w+, name=)'{re.escape(name)}'"
        if any(re.search(defined, ''.join(c['source'])) for c in cells):
            homes.append(cells)
    assert len(homes) == 1, f'{name} is defined in {len(homes)} notebooks'
    shown = [kind for c in homes[0] for out in c.get('outputs', ())
             for kind in out.get('data', ()) if kind.startswith('image/')]
    assert len(shown) >= 3, 'a lesson shows what it trains'


WORLDS = dict(faces=['--n', 24, '--test', 8, '--size', 32], anime=['--n', 60, '--size', 32],
              scenes=['--n', 8, '--size', 32], horse2zebra=['--n', 8, '--test', 4, '--size', 32])


def done(*words):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err := io.StringIO()):
        code = main([str(w) for w in words])
    assert code == 0, err.getvalue()


@pytest.fixture(scope='module')
def worlds(tmp_path_factory):
    root = tmp_path_factory.mktemp('worlds')
    for world, flags in WORLDS.items(): done('draw', world, root/world, *flags)
    return root


@pytest.mark.slow
@pytest.mark.parametrize('name', list(systems()))
def test_the_command_trains_and_samples_it(name, worlds, tmp_path):
    system = find_system(name)
    world = 'horse2zebra' if system.sides else {23: 'anime', 24: 'scenes'}.get(system.labels, 'faces')
    one = ['--attributes', 'Male'] if system.labels == 1 else []
    narrow = [w for k, v in dict(embedded=4, blocks=1, steps=1).items()
              if k in inspect.signature(system.build).parameters for w in ('--set', f'{k}={v}')]
    done('train', name, '--data', worlds/world, *one, '--size', 32, '--width', 4, *narrow, '--bs', 4, '--rounds', 1,
         '--out', tmp_path/'run')
    done('sample', tmp_path/'run', '--n', 2, '--out', tmp_path/'grid.png')
    assert (tmp_path/'grid.png').stat().st_size > 300 and (tmp_path/'run'/'weights.safetensors').exists()
