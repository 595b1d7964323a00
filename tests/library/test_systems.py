"The catalogue: systems are found where their notebooks define them, and are what the reports print."
import pytest
import torch

import dlcv_gan.models
from dlcv_gan.data.loaders import Unpaired
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.systems import describe, find_system, systems

# Parameter counts as the report prints them, layer by layer (BatchNorm as Keras counts it).
PRINTED = {
    ('R1.VAE', 'encoder'): [896, 128, 18_496, 256, 73_856, 512, 295_168, 1024, 1_180_160, 2048, 2_359_808, 2048,
                            8_389_632, 8_389_632],
    ('R1.VAE', 'decoder'): [8_396_800, 2_359_808, 2048, 2_359_808, 2048, 1_179_904, 1024, 295_040, 512, 73_792, 256,
                            18_464, 128, 867],
    ('R1.GAN', 'generator'): [1_048_832, 1024, 524_416, 512, 131_136, 256, 32_800, 128, 1539],
    ('R1.GAN', 'discriminator'): [2432, 51_264, 204_928, 819_456, 3_277_312, 8193],
    # the embedding's 2 x 256 first
    ('R1.ACGAN', 'generator'): [512, 786_688, 1024, 524_416, 512, 131_136, 256, 32_800, 128, 1539],
    ('R1.ACGAN', 'discriminator'): [2432, 51_264, 204_928, 819_456, 3_277_312, 8193, 8193],
}


@pytest.mark.parametrize('name, net', PRINTED)
def test_layers_are_the_printed_ones(name, net):
    about = describe(name)['nets'][net]
    assert [layer['keras_params'] for layer in about['layers'] if layer['keras_params']] == PRINTED[name, net]
    assert about['keras_params'] == sum(PRINTED[name, net])


def test_found_by_both_names_in_any_case():
    for name, system in systems().items():
        assert name == system.name
        for known in (name, name.lower(), system.short, system.short.upper()): assert find_system(known) is system


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'r1.vae'"): find_system('R1.VEA')
    with pytest.raises(ValueError, match='known are .*R1.GAN'): find_system('qqqqqqqq')


def test_a_new_module_needs_no_entry(tmp_path, monkeypatch):
    "A file that defines a System is in the catalogue by being in the package."
    (tmp_path/'brand_new.py').write_text('from dlcv_gan.models.vae import r1_vae\nfrom dataclasses import replace\n'
                                         'new = replace(r1_vae, name="R9.NEW", short="new", title="a new one")\n')
    monkeypatch.setattr(dlcv_gan.models, '__path__', [*dlcv_gan.models.__path__, str(tmp_path)])
    assert find_system('new').name == 'R9.NEW' and 'R9.NEW' in systems()


def test_two_systems_of_one_name_are_refused(tmp_path, monkeypatch):
    (tmp_path/'twin.py').write_text('from dlcv_gan.models.vae import r1_vae\nfrom dataclasses import replace\n'
                                    'twin = replace(r1_vae, name="R9.TWIN", title="a twin")\n')
    monkeypatch.setattr(dlcv_gan.models, '__path__', [*dlcv_gan.models.__path__, str(tmp_path)])
    with pytest.raises(ValueError, match="two systems are called 'vae'"): systems()


def test_every_system_describes_itself_in_plain_values():
    import json
    for name in systems():
        about = json.loads(json.dumps(describe(name)))
        assert about['params'] == sum(net['params'] for net in about['nets'].values())
        assert {'schedule', 'lr', 'bs', 'rounds'} <= set(about['recipe'])


@pytest.mark.parametrize('name', list(systems()))
def test_every_system_plays_a_round_with_its_own_schedule(name):
    from fastai.data.core import DataLoaders
    from dlcv_gan.data.loaders import Batches
    system = find_system(name)
    game = system.build(size=32, width=4)
    labels = torch.eye(system.labels)[torch.arange(8) % system.labels] if system.labels else None
    def domain(): return Batches(torch.rand(8, 3, 32, 32) * 2 - 1, labels, bs=4, device='cpu')
    dls = DataLoaders(Unpaired(domain(), domain()) if system.sides else domain(), device='cpu')
    learn = GameLearner(dls, game, system.schedule, lr=system.lr, precision='fp32')
    with learn.no_bar(), learn.no_logging(): learn.fit_rounds(2)
    assert learn.rounds == 2 and learn.sample(3, y=None if labels is None else labels[:3]).shape == (3, 3, 32, 32)


def test_only_cyclegans_rates_fall_and_from_half_of_the_run_as_in_its_paper():
    from dataclasses import replace
    assert {s.short: s.decay_from for s in systems().values() if s.decay_from != 1} == {'cyclegan': .5}
    assert describe('cyclegan')['recipe']['decay_from'] == .5 and describe('vae')['recipe']['decay_from'] == 1
    for wrong in (-.1, 1.1, float('nan')):
        with pytest.raises(ValueError, match='decay_from'): replace(find_system('vae'), decay_from=wrong)
