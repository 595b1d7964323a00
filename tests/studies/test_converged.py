"The study of converged games: what is built is what is named, time is equal, ranges come back, contrasts are paired."
import pytest
import torch
from torch import nn

from dlcv_gan.models.acgan import ACGAN
from dlcv_gan.models.vae import VAE
from dlcv_gan.nets import PlaneDiscriminator, SpectralNorm
from dlcv_gan.studies.converged import (ACGANS, BASE, CGANS, CLIP, CLIPPED, LENGTHS, ORIGINAL, PENALISED, PLAIN,
                                        SPECTRAL, VAES, WORST, _against, build, converged, converged_rates, cost,
                                        play_converged, samples_of, train)


@pytest.fixture(autouse=True)
def smoke(monkeypatch): monkeypatch.setenv('DLCV_GAN_SCALE', 'smoke')


def built(**changes):
    s = {**BASE, **changes}
    return build(**{k: s[k] for k in ('model', 'loss', 'regularizer', 'norm', 'noise', 'weight', 'width')})


def has(net, kind): return any(isinstance(m, kind) for m in net.modules())


def test_each_word_builds_what_it_names():
    game = built(**ORIGINAL)
    assert has(game.generator, nn.BatchNorm2d) and has(game.discriminator, nn.BatchNorm2d)
    assert not any(has(net, nn.BatchNorm2d) for net in (built(norm='none').generator, built(norm='none').discriminator))
    plain = built(**PLAIN)
    assert has(plain.generator, nn.BatchNorm2d) and not has(plain.discriminator, nn.BatchNorm2d)
    assert has(built(**SPECTRAL).discriminator, SpectralNorm) and not has(built(**SPECTRAL).generator, SpectralNorm)
    assert built(**CLIPPED).clip == CLIP and built(**CLIPPED).penalty is None
    assert built(**PENALISED).penalty and built(**PENALISED).clip is None
    assert type(built(**ACGANS)) is ACGAN and isinstance(built(**CGANS).discriminator, PlaneDiscriminator)
    assert type(built(**VAES)) is VAE and built(**VAES).kl_weight == .25
    for noise, low, high in (('0..1', 0, 1), ('-1..1', -1, 1)):
        codes = built(noise=noise).latent(500)
        assert low <= codes.min() < low + .05 and high - .05 < codes.max() <= high


@pytest.mark.parametrize('wrong', [dict(model='ddpm'), dict(loss='hinge'), dict(regularizer='r1'), dict(norm='D'),
                                   dict(noise='white')])
def test_another_word_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong.values()))): built(**wrong)


def test_a_price_adds_up():
    assert cost('gan', 'none', '1:1', 16, 16) == 1
    d_and_g, d_and_fifth = cost('gan', 'gp', '1:1', 16, 16), cost('gan', 'gp', '5:1', 16, 16)
    g = (d_and_g - d_and_fifth) / .8 # a step of G, in iterations of the base
    for ratio, steps in (('1:3', 3), ('1:5', 5)):
        assert cost('gan', 'gp', ratio, 16, 16) == pytest.approx(d_and_g + (steps - 1) * g)
    acgan, cgan = (cost(model, 'none', '1:1', 16, 16) for model in ('acgan', 'cgan'))
    assert cost('vae', 'none', '1:1', 16, 16) > 1 < acgan < cgan


def test_all_games_have_the_same_time(monkeypatch):
    "Iterations times their price, for every game of one length in the grid, within one cycle of eight looks."
    import dlcv_gan.studies.converged as study
    def charged(p):
        with monkeypatch.context() as patch:
            kept = {}
            patch.setattr(study.GameLearner, 'fit_rounds', lambda learn, n, **how: kept.update(n=n))
            train(0, **p)
        return kept['n'] * cost(p['model'], p['regularizer'], p['ratio'], p['bs'], p['width']), kept['n']
    monkeypatch.setattr(study, 'at_scale', lambda smoke, laptop, full: laptop if laptop == 4500 else smoke)
    for p in converged.points():
        time, n = charged(p)
        d = int(p['ratio'].split(':')[0])
        given = 4500 * LENGTHS[p['length']]
        assert n % (8 * d) == 0 and abs(time - given) <= 4 * d * time / n + 1e-6, p


def test_pixels_from_0_to_1_come_back_to_the_range_in_which_they_are_looked_at():
    learn, _ = train(0, **{**BASE, 'images': '0..1'})
    x = learn.dls.train.one_batch()[0]
    assert 0 <= x.min() and x.max() <= 1 and (x.max() - x.min()) > .5 # what the networks see
    class Half(nn.Module):
        "Draws the middle of 0 to 1."
        def sample(self, n, y=None, z=None): return torch.full((n, 3, 32, 32), .5)
        device = torch.device('cpu')
    assert samples_of(Half(), 4, '0..1', 0).abs().max() == 0 and samples_of(Half(), 4, '-1..1', 0).mean() == .5


def test_the_pilot_has_other_seeds_and_half_of_the_time():
    usual, pilot = (train(0, **{**BASE, 'length': length})[0] for length in ('usual', 'pilot'))
    assert not torch.equal(*(next(learn.game.parameters()).detach() for learn in (usual, pilot)))
    assert not {tuple(sorted(p.items())) for p in converged.points()} & {
        tuple(sorted(p.items())) for p in converged_rates.points()}


def test_a_contrast_differs_in_what_is_named_and_leaves_each_side_its_rate():
    c = _against('fid', dict(norm='none'), ORIGINAL, .15)
    assert c.a == dict(norm='none') and c.b == dict(norm='both')
    assert 'lr' not in c.within and len(c.within) == len(BASE) - 2
    named = _against('fid', dict(lr=2e-4, betas='0.5 0.99'), dict(lr=1e-3), .15)
    assert named.a['lr'] == 2e-4 and named.b['lr'] == 1e-3 and named.b['betas'] == BASE['betas']


@pytest.mark.parametrize('changes', [ORIGINAL, ACGANS, VAES, dict(PENALISED, ratio='5:1')], ids=str)
def test_a_run_has_the_numbers_that_are_compared(changes):
    found = play_converged(0, **{**BASE, **changes})
    assert ('accuracy' in found) == (changes.get('model') in ('acgan', 'cgan'))
    assert ('auc' in found) == (changes.get('model') != 'vae')
    assert 0 <= found['bad'] <= 1 and 0 <= found['covered'] and found['fid'] > 0
    metrics = {c.metric for claim in converged.claims for c in claim.contrasts}
    assert metrics <= {*found, 'accuracy', 'auc', 'd_loss', 'g_loss'}
    assert set(WORST) - {'accuracy'} <= set(found)
