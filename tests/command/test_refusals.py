"One table of lines that are refused, a kind each, and what the message has to name; `conftest` tries the advice."
import contextlib, io

import numpy as np
import pytest
from PIL import Image

from advice import wrong_advice

from dlcv_gan.cli.command import main

SMALL = ['--size', 32, '--width', 4, '--bs', 2, '--rounds', 1]
TRAIN = ['--data', 'DATA', *SMALL, '--out', 'NEW']

REFUSALS = [
    ('train', ['gna', *TRAIN], "'gan'"), ('train', [*TRAIN], 'name a system'),
    ('train', ['vae', '--out', 'NEW'], '--data'),
    ('train', ['vae', '--data', 'NOWHERE', '--out', 'NEW'], '--data NOWHERE'), ('train', ['vae'], '--out'),
    ('train', ['vae', *TRAIN, '--size', 33], '33'), ('train', ['vae', *TRAIN, '--bs', 100], '--bs 100'),
    ('train', ['vae', *TRAIN, '--d', 2], '--d'), ('train', ['vae', *TRAIN, '--set', 'beta=2'], '--set beta'),
    ('train', ['vae', *TRAIN, '--set', 'kl_weight=red'], 'red'),
    ('train', ['vae', *TRAIN, '--set', 'beta'], 'NAME=VALUE'),
    ('train', ['gan', *TRAIN, '--objective', 'hing'], 'hinge'), ('train', ['gan', *TRAIN, '--penalty', 'r2'], 'r1'),
    ('train', ['gan', *TRAIN, '--adaptive', '--d', 2], '--d'),
    ('train', ['gan', *TRAIN, '--precision', 'fp8'], 'fp16'),
    ('train', ['gan', *TRAIN, '--attributes', 'Male'], '--attributes'), ('train', ['acgan', *TRAIN], 'none'),
    ('train', ['gan', *TRAIN, '--evaluator', 'NOWHERE'], '--best-every'),
    ('train', ['acgan', *TRAIN, '--evaluator', 'NOWHERE', '--best-every', 1], 'label'),
    ('train', ['cyclegan', *TRAIN, '--best-every', 1], '--best-every'), ('train', ['cyclegan', *TRAIN], 'trainA'),
    ('train', ['vae', '--data', 'BAD', *SMALL, '--out', 'NEW'], '--on-bad skip'),
    ('train', ['vae', '--data', 'EMPTY', *SMALL, '--out', 'NEW'], 'EMPTY'),
    ('train', ['vae', '--data', 'DATA', *SMALL, '--out', 'RUN'], '--resume'),
    ('train', ['vae', '--data', 'DATA', *SMALL, '--out', 'DATA'], 'is read'),
    ('train', ['--out', 'NOWHERE', '--resume'], 'NOWHERE'),
    ('train', ['--out', 'RUN', '--resume', '--bs', 3], '--bs 3'),
    ('train', ['gan', '--out', 'RUN', '--resume'], 'SYSTEM gan'),
    ('train', ['--out', 'RUN', '--resume', '--set', 'kl_weight=3'], '--set kl_weight=3'),
    ('train', ['--out', 'RUN', '--resume', '--no-graphs'], '--no-graphs'),
    ('train', ['--out', 'RUN', '--resume', '--data', 'NOWHERE'], '--data NOWHERE'),
    ('train', ['--out', 'RUN', '--resume', '--data', 'OTHER', '--rounds', 3], 'other pictures'),
    ('train', ['--out', 'DAMAGED', '--resume'], 'settings.json'),
    ('sample', ['NOWHERE'], 'NOWHERE'), ('sample', ['RUN', '--on', 'Male'], '--on'),
    ('sample', ['RUN', '--n', 0], '--n 0'),
    ('sample', ['RUN', '--out', 'NEW.tiff'], '--out'), ('sample', ['DAMAGED'], 'settings.json'),
    ('score', ['NOWHERE'], 'NOWHERE'), ('score', ['RUN', '--n', 2], '--n'),
    ('score', ['RUN', '--data', 'NOWHERE'], 'NOWHERE'),
    ('score', ['RUN', '--evaluator', 'NOWHERE'], '--evaluator'),
    ('score', ['RUN', '--data', 'BAD'], '--on-bad skip'),
    ('translate', ['RUN'], 'does not translate'), ('translate', ['NOWHERE'], 'NOWHERE'),
    ('evaluator', ['DATA', 'NEW.safetensors'], 'no labels'), ('evaluator', ['DATA', 'NEW.pth'], '.safetensors'),
    ('evaluator', ['NOWHERE', 'NEW.safetensors'], 'NOWHERE'),
    ('evaluator', ['BAD', 'NEW.safetensors'], '--on-bad skip'),
    ('evaluator', ['DATA', 'NEW.safetensors', '--epochs', 0], '--epochs 0'),
    ('evaluator', ['DATA', 'NEW.safetensors', '--attributes', 'Male'], 'Male'),
    ('draw', ['faces', 'DATA'], 'DATA'), ('draw', ['anime', 'NEW', '--test', 4], '--test'),
    ('draw', ['moon', 'NEW'], 'faces'),
    ('draw', ['faces', 'NEW', '--size', 2], '--size 2'), ('draw', ['scenes', 'NEW', '--n', 0], '--n 0'),
    ('export', ['NOWHERE', 'NEW'], 'NOWHERE'), ('export', ['RUN', 'NEW', '--name', '../x'], '--name'),
    ('report', ['RUN'], 'hw4'), ('report', ['NOWHERE'], 'settings.json'), ('describe', ['gna'], "'gan'"),
    ('hw4', ['NEW', '--data', 'NOWHERE'], 'NOWHERE'), ('hw4', ['DATA'], 'DATA'),
    ('hw4', ['NEW', '--scale', 'huge'], 'smoke'),
    ('hw4', ['NEW', '--weights', 'NOWHERE'], '--weights'), ('hw3', ['NEW', '--tags', 'NOWHERE'], 'NOWHERE'),
    ('lab7', ['NEW', '--evaluator', 'NOWHERE'], 'NOWHERE'), ('anime', ['NOWHERE', 'NEW'], 'NOWHERE'),
    ('study', ['nowhere'], 'nowhere'), ('bench', ['--nets', 'R9'], 'R9')]


@pytest.fixture(scope='module')
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp('places')
    for name, seed in (('DATA', 0), ('OTHER', 1), ('BAD', 2)):
        for split in ('train', 'test'):
            (root/name/split).mkdir(parents=True)
            for i in range(8):
                pixels = np.random.default_rng([seed, i]).integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root/name/split/f'{i}.png')
            if name == 'BAD': (root/name/split/'3.png').write_bytes(b'no picture')
    (root/'EMPTY').mkdir()
    (root/'DAMAGED').mkdir(); (root/'DAMAGED'/'settings.json').write_text('{"format"')
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        assert main([str(w) for w in ('train', 'vae', '--data', root/'DATA', *SMALL, '--out', root/'RUN')]) == 0
    return root


def files(root): return {p: p.read_bytes() for p in root.rglob('*') if p.is_file() and '_cache' not in str(p)}


@pytest.mark.parametrize('name, words, says', REFUSALS,
                         ids=lambda v: v if isinstance(v, str) else ' '.join(map(str, v)))
def test_a_refusal_is_one_line_and_leaves_nothing(places, advice, monkeypatch, name, words, says):
    monkeypatch.chdir(places)
    before, out, err = files(places), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try: code = main([name, *map(str, words)])
        except SystemExit as e: code = e.code
    lines = err.getvalue().splitlines()
    assert code == 2 and len(lines) == 1 and lines[0].startswith('error: ') and not out.getvalue(), (code, lines)
    assert says in lines[0] and files(places) == before and not (places/'NEW').exists()
    assert len(advice) == 1 and advice[0] == (name, lines[0].removeprefix('error: ')) # it has been looked at


@pytest.mark.parametrize('said, wrong', [
    ('give --bs 4', []), ('give --batch-size 4', ['--batch-size']), ("pass on_bad='skip'", ['on_bad=']),
    ('see `dlcv_gan score RUN --n 9`', []), ('see `dlcv_gan score RUN --bs 9`', ['--bs']),
    ('`dlcv_gan scores RUN`', [
        'dlcv_gan scores RUN']), ('call nothing_of_the_kind()', ['nothing_of_the_kind']), ('call load_run()', [])])
def test_the_reader_of_advice_sees_what_is_wrong(said, wrong): assert wrong_advice('train', said) == wrong
