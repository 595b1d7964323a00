"What is exported is what was trained: any family, any batch, any runtime."
import json

import numpy as np
import pytest
import torch

from dlcv_gan.models.acgan import build_acgan, build_attribute_gan
from dlcv_gan.models.cyclegan import build_cyclegan
from dlcv_gan.models.diffusion import build_ddpm
from dlcv_gan.models.flow import build_cnf
from dlcv_gan.models.gan import build_gan
from dlcv_gan.models.iclevr_diffusion import build_object_ddpm
from dlcv_gan.models.tags import build_t2i
from dlcv_gan.models.vae import build_vae

onnxruntime = pytest.importorskip('onnxruntime', reason="pip install 'dlcv_gan[export]'")
pytest.importorskip('onnxscript')
from dlcv_gan.cli.export import export_game, export_run, parity, parts, round_weights, to_onnx

GAMES = dict(gan=(lambda: build_gan(32, 4, 8), 0), acgan=(lambda: build_acgan(32, 4, 16, 8), 1),
             attributes=(lambda: build_attribute_gan(32, 8, 16, 3), 3),
             tags=(lambda: build_t2i(32, 8, 1, 1, 16, 23), 23), vae=(lambda: build_vae(32, 8, 16), 0),
             flow=(lambda: build_cnf(32, 32, 3, levels=3, steps=2), 3),
             ddpm=(lambda: build_ddpm(32, 8, 3, depth=1, sampling_steps=3, timesteps=50), 3),
             scenes=(lambda: build_object_ddpm(32, 8, depth=1, sampling_steps=3, timesteps=50), 24),
             free_ddpm=(lambda: build_ddpm(32, 8, 0, depth=1, sampling_steps=2), 0),
             free_flow=(lambda: build_cnf(32, 16, 0, levels=2, steps=1), 0),
             cyclegan=(lambda: build_cyclegan(32, 8, 2), 0), copying=(lambda: build_cyclegan(32, 8, 2, copy=True), 0))


def lively(name):
    "A game of that kind whose weights and statistics are no starting values."
    torch.manual_seed(0)
    make, labels = GAMES[name]
    game = make()
    with torch.no_grad():
        for p in game.parameters(): p.add_(.05 * torch.randn_like(p))
        for m in game.modules():
            if isinstance(m, torch.nn.BatchNorm2d): m.running_mean.normal_(0, .3); m.running_var.uniform_(.5, 2)
    return game.eval(), labels


@pytest.mark.parametrize('name', GAMES)
def test_files_give_what_pytorch_gives(name):
    game, labels = lively(name)
    for what, part in parts(round_weights(game), 32, labels).items():
        file = to_onnx(part)
        # two runtimes never agree to the last bit; 0 would mean that nothing was compared
        assert 0 < parity(part, file) < 1e-4, what
        assert not any(word in file for word in (b'.py', b'/home', b'site-packages')), 'the file says where it was made'


def test_parity_sees_another_game():
    ours, _ = lively('vae')
    torch.manual_seed(1)
    other = build_vae(32, 8, 16).eval()
    assert parity(parts(other, 32)['decode'], to_onnx(parts(ours, 32)['decode'])) > 1e-3


def test_parity_does_not_overlook_what_is_no_number():
    game, _ = lively('vae')
    broken = build_vae(32, 8, 16).eval()
    with torch.no_grad(): next(broken.decoder.parameters()).fill_(torch.nan)
    assert parity(parts(broken, 32)['decode'], to_onnx(parts(game, 32)['decode'])) == float('inf')


def test_bytes_lose_nothing_that_was_rounded():
    game, labels = lively('attributes')
    rounded, part = round_weights(game), parts(game, 32, labels)['generate']
    small, large = to_onnx(parts(rounded, 32, labels)['generate']), to_onnx(part)
    assert len(small) < .4 * len(large) # whole steps are bytes, others are not touched
    assert parity(part, large) < 1e-4 < parity(part, small) < .1


def test_rounding_stays_within_half_a_step_and_leaves_the_game_alone():
    game, _ = lively('cyclegan')
    before = {k: v.clone() for k, v in game.state_dict().items()}
    rounded = round_weights(game)
    assert all(torch.equal(v, before[k]) for k, v in game.state_dict().items())
    changed = 0
    for a, b in zip(game.modules(), rounded.modules()):
        if not isinstance(a, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)) or a.weight.numel() < 1024: continue
        dims = tuple(k for k in range(4) if k != isinstance(a, torch.nn.ConvTranspose2d))
        step = a.weight.abs().amax(dims, keepdim=True) / 127
        assert ((a.weight - b.weight).abs() <= step * .5001).all()
        changed += not torch.equal(a.weight, b.weight)
    assert changed


def test_a_rounded_flow_is_still_invertible_through_its_files():
    game, _ = lively('flow')
    run = {k: onnxruntime.InferenceSession(to_onnx(p)).run for k, p in parts(round_weights(game), 32, 3).items()}
    x = np.random.default_rng(0).uniform(-1, 1, (3, 3, 32, 32)).astype('f4')
    conditional, unconditional = np.eye(3, dtype='f4'), np.full((3, 3), np.nan, 'f4')
    for y in (conditional, unconditional):
        z, = run['encode'](None, dict(x=x, y=y))
        assert np.abs(run['decode'](None, dict(z=z, y=y))[0] - x).max() < 1e-3
    assert not np.allclose(run['encode'](None, dict(x=x, y=conditional))[0], z)


def test_the_json_says_what_goes_in_and_comes_out(tmp_path):
    game, _ = lively('vae')
    said = export_game(game, tmp_path/'new', 'v', 32, bits=32, note='hello')
    assert said == json.loads((tmp_path/'new'/'v.json').read_text()) and said['note'] == 'hello'
    assert said['parts']['encode']['outputs'] == dict(mean=[16], logvar=[16])
    assert said['parts']['decode']['inputs'] == dict(z=[16])
    assert said['bytes'] == sum((tmp_path/'new'/p['file']).stat().st_size for p in said['parts'].values())


def test_a_run_is_exported_by_the_command(tmp_path, capsys):
    from dlcv_gan.cli.command import main
    assert main(['draw', 'faces', f'{tmp_path}/data', '--n', '16', '--test', '8', '--size', '32']) == 0
    assert main(['train', 'acgan-mended', '--data', f'{tmp_path}/data', '--out', f'{tmp_path}/run', '--size', '32',
                 '--width', '4', '--nz', '8', '--attributes', 'Male',
                 '--set', 'weight=.5', '--rounds', '2', '--bs', '8']) == 0
    assert main(['export', f'{tmp_path}/run', f'{tmp_path}/web']) == 0
    assert 'run.generate.onnx' in capsys.readouterr().out
    assert json.loads((tmp_path/'web'/'run.json').read_text())['labels'] == ['Male']


@pytest.mark.parametrize('call, says', [(lambda p: export_game(lively('gan')[0], p, 'x', 32, bits=4), 'bits is 4'),
                                        (lambda p: export_game(lively('gan')[0], p, 'x', 32, only=['encode']),
                                         'no part is called'), (lambda p: export_run(p, p), 'settings.json')])
def test_mistakes_are_named(tmp_path, call, says):
    with pytest.raises((ValueError, FileNotFoundError), match=says): call(tmp_path)
    assert not any(tmp_path.iterdir())
