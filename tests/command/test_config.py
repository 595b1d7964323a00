"Flags from a file, completion for the shell, results as JSON."
import json, subprocess

import pytest
from terminal import call, done, refused

from dlcv_gan.cli.flags import make_parser, with_config
from dlcv_gan.runs.settings import RunSettings

LINE = ['train', 'gan', '--data', 'faces', '--d', '5', '--lr', '4e-4', '1e-4', '--spectral', '--width', '8', '--ema',
        '0.9', '--set', 'nz=16', '--no-graphs', '--one-cycle', '--out', 'runs/gan']


def given(argv): return {k: v for k, v in vars(make_parser().parse_args(argv)).items() if v is not None}


def test_the_settings_of_a_run_give_its_flags_back(tmp_path):
    flags = {k: v for k, v in given(LINE).items() if k not in ('subcommand', 'out', 'resume', 'any_ranks')}
    RunSettings.from_flags(flags).with_data(48, 6).write(tmp_path)
    again = given(with_config(['train', '--config', str(tmp_path/'settings.json'), '--out', 'other']))
    assert again == {**given(LINE), 'out': 'other'}


def test_toml_and_what_is_typed_wins(tmp_path):
    file = tmp_path/'gan.toml'
    file.write_text('system = "gan"\ndata = "faces"\nlr = [4e-4, 1e-4]\none-cycle = true\nflip = false\n'
                    'best_every = 5\nset.nz = 16\n')
    found = given(with_config(['train', f'--config={file}', '--lr', '1e-3', '--out', 'x']))
    assert found == dict(subcommand='train', system='gan', data='faces', lr=[1e-3], one_cycle=True, best_every=5,
                         set=['nz=16'], out='x', resume=False, any_ranks=False)
    assert given(with_config(['train', 'vae', '--config', str(file), '--out', 'x']))['system'] == 'vae'


def test_other_commands_are_left_alone():
    for line in (['score', 'run', '--config', 'x'], [], ['train', 'gan', '--out', 'x']):
        assert with_config(line) == line


@pytest.mark.parametrize('name, text, words', [
    ('a.toml', 'lr = ', 'a.toml'), ('a.json', '{', 'a.json'), ('a.json', '[1]', 'names and values'),
    ('a.toml', 'colour = "red"', '--colour'), ('a.toml', 'system = ["gan"]', 'system'), ('a.toml', 'set = 5', 'set 5'),
    ('a.toml', 'lr = "fast"', 'fast is not a finite number')])
def test_a_wrong_file_is_named(tmp_path, name, text, words):
    (tmp_path/name).write_text(text)
    code, _, err = call('train', 'gan', '--config', tmp_path/name, '--data', tmp_path, '--out', tmp_path/'run')
    assert code == 2 and words in err and 'Traceback' not in err
    assert 'no such file' in refused('train', 'gan', '--config', tmp_path/'none.toml', '--out', tmp_path/'run')
    assert 'write it in full' in refused('train', 'gan', '--conf', tmp_path/name, '--out', tmp_path/'run')
    assert not (tmp_path/'run').exists()


def test_bash_can_read_the_completion(tmp_path):
    pytest.importorskip('shtab')
    script = done('--print-completion', 'bash')
    assert 'lab7' in script and '--penalty-weight' in script
    (tmp_path/'complete.sh').write_text(script)
    words = subprocess.run(['bash', '-c', f'source {tmp_path}/complete.sh; COMP_WORDS=(dlcv_gan tra); COMP_CWORD=1; '
                            '_shtab_dlcv_gan dlcv_gan tra dlcv_gan; echo "${COMPREPLY[@]}"'],
                           capture_output=True, text=True)
    assert words.stdout.split()[:1] == ['train'] or words.stdout.strip() == 'train', (words.stdout, words.stderr)


def test_systems_and_studies_as_json(tmp_path):
    found = json.loads(done('systems', '--json'))
    assert {'R1.GAN', 'R4.CGAN'} <= {s['name'] for s in found['systems']} and 'gan-faces' in found['pretrained']
    code, out, err = call('study', 'translation', '--json', '--scale', 'smoke', '--seeds', 1, '--workers', 1, '--out',
                          tmp_path, '--device', 'cpu')
    assert code == 0, err
    claim, = json.loads(out)['claims']
    assert claim['number'] == 10 and claim['verdict'] == 'open' and claim['contrasts'][0]['metric']
