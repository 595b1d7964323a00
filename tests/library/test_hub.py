"Runs on the Hugging Face Hub: pushed to and fetched from a server that speaks its protocol, in processes of their own."
import importlib.util, json, os, shlex, shutil, subprocess, sys
from dataclasses import asdict

import pytest
from hub import Hub, hub

if importlib.util.find_spec('huggingface_hub') is None: pytest.skip('no huggingface_hub here', allow_module_level=True)

from dlcv_gan.runs.folder import SHARED
from dlcv_gan.runs.hub import typed_again
from dlcv_gan.runs.pretrained import pretrained_run
from dlcv_gan.runs.settings import RunSettings


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    "A folder with drawn faces and a run, and a server."
    from dlcv_gan.cli.command import main
    root = tmp_path_factory.mktemp('hub')
    assert main(['draw', 'faces', str(root/'faces'), '--n', '24', '--test', '10', '--size', '32']) == 0
    assert main(['train', 'vae', '--data', str(root/'faces'), '--size', '32', '--width', '4', '--nz', '8', '--bs', '8',
                 '--rounds', '20', '--set', 'kl_weight=.5', '--out', str(root/'run')]) == 0
    with hub() as address: yield root, address


def typed(place, *line, token=Hub.token):
    "The command in a process of its own: the Hub's library reads its address when it is imported."
    root, address = place
    env = {**os.environ, 'HF_ENDPOINT': address, 'HF_TOKEN': token, 'HF_HOME': str(root/'cache'),
           'OMP_NUM_THREADS': '1', 'HF_HUB_DISABLE_XET': '1', 'HF_HUB_DISABLE_TELEMETRY': '1'}
    return subprocess.run([sys.executable, '-W', 'ignore', '-m', 'dlcv_gan', *map(str, line)], capture_output=True,
                          text=True, env=env, cwd=root, timeout=300)


def test_a_run_goes_there_and_comes_back(place):
    root, _ = place
    said = typed(place, 'push', root/'run', 'me/vae', '--private', '--n', 8)
    assert said.returncode == 0 and 'dlcv_gan sample hf://me/vae' in said.stdout, said.stderr
    files = Hub.repos['me/vae']
    assert {*SHARED, 'samples.png', 'README.md'} - {'conditions.csv'} <= set(files) and 'me/vae' in Hub.private
    assert not any(str(root).encode() in data for name, data in files.items()) # nothing of this machine
    card = files['README.md'].decode()
    assert 'library_name: dlcv_gan' in card and '--set kl_weight=.5' in card and 'precision' in card
    got = typed(place, 'sample', 'hf://me/vae', '--n', 4)
    assert got.returncode == 0 and (root/'vae-seed0.png').is_file(), got.stderr
    own = typed(place, 'sample', root/'run', '--n', 4, '--out', 'own.png')
    assert own.returncode == 0
    scored = typed(place, 'score', 'hf://me/vae', '--data', root/'faces', '--n', 8, '--json')
    assert json.loads(scored.stdout)['n'] == 8, scored.stderr


def test_what_goes_wrong_is_a_line(place):
    root, _ = place
    (unfinished := root/'unfinished').mkdir()
    shutil.copy(root/'run'/'settings.json', unfinished)
    for line, words, token in (
            (('sample', 'hf://me/nothing'), 'hf://me/nothing: the Hub says', Hub.token),
            (('push', root/'run', 'me/vae'), 'hf auth login', 'wrong'), (('push', root/'run', 'vae'), 'user/name', ''),
            (('push', root/'faces', 'me/vae'), 'holds no run', Hub.token),
            (('push', unfinished, 'me/vae'), 'is not finished', Hub.token)):
        said = typed(place, *line, token=token)
        assert said.returncode == 2 and words in said.stderr and 'Traceback' not in said.stderr, said.stderr


def test_the_command_on_the_card_says_the_settings_again():
    from dlcv_gan.cli.flags import make_parser
    for name in ('gan-faces', 'flow-faces', 'ddpm-faces', 'vae-faces'):
        settings = RunSettings.read(pretrained_run(name))
        argv = shlex.split(typed_again(settings))[1:]
        given = {k: v for k, v in vars(make_parser().parse_args(argv)).items() if v is not None}
        again = RunSettings.from_flags({k: v for k, v in given.items()
                                        if k not in ('subcommand', 'out', 'resume', 'any_ranks')})
        assert given['rounds'] == settings.rounds
        for field in ('system', 'size', 'build', 'schedule', 'bs', 'lr', 'betas', 'one_cycle', 'ema', 'flip', 'seed'):
            assert getattr(again, field) == getattr(settings, field), (name, field)


def test_no_path_of_this_machine_is_told():
    settings = RunSettings.from_flags(dict(system='acgan', data='/srv/me/faces', best_every=5,
                                           evaluator='/srv/me/judge.safetensors', attributes=['Male']))
    shown = json.dumps(asdict(settings.without_paths())) + typed_again(settings.without_paths())
    assert '/srv' not in shown and 'judge.safetensors' in shown


def test_a_hub_that_cannot_be_reached_is_told(place):
    root, _ = place
    said = typed((root, 'http://127.0.0.1:9'), 'push', root/'run', 'me/vae', '--n', 8)
    assert said.returncode == 2 and 'cannot be reached' in said.stderr and 'Traceback' not in said.stderr, said.stderr
