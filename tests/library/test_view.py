"Laws of the figures: pixels as they are, curves on the axis asked for."
import warnings
from string import ascii_letters

import numpy as np
import pandas as pd
import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given, strategies as st
from matplotlib import font_manager
from PIL import Image

from dlcv_gan.data.pictures import to_uint8
from dlcv_gan.view import (captioned_grid, drawn_in, interpolate, legible, lerp, plot_curves, reconstructions,
                           save_picture, show_grid, slerp, to_grid, tsne)
from dlcv_gan.widgets import beside, lettering, tiles


torch.set_num_threads(1)
noise = lambda *shape, seed=0: torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1

@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 3), st.sampled_from([1, 3]))
def test_every_picture_is_in_its_place(n, nrow, pad, c):
    x = noise(n, c, 4, 6)
    sheet, bytes_, nrow = to_grid(x, nrow, pad), np.asarray(to_uint8(x)), min(nrow, n)
    assert sheet.shape == (-(-n // nrow) * (4 + pad) + pad, nrow * (6 + pad) + pad, 3) and sheet.dtype == np.uint8
    for i in range(n):
        top, left = pad + i // nrow * (4 + pad), pad + i % nrow * (6 + pad)
        assert abs(sheet[top:top + 4, left:left + 6].astype(int) - bytes_[i]).max() <= 1
    if pad: assert (sheet[:pad] == 255).all()

def test_values_that_are_no_colours():
    x = torch.tensor([-9., 9., float('nan'), 0.]).view(4, 1, 1, 1).expand(-1, 3, 2, 2)
    sheet = to_grid(x, 4, 0)
    assert [sheet[0, i].tolist() for i in (0, 2, 4)] == [[0] * 3, [255] * 3, [255, 0, 255]]

def test_captions_stand_under_their_pictures():
    fig = captioned_grid(torch.rand(5, 3, 8, 8) * 2 - 1, [f'a\n{i}' for i in range(5)], nrow=3, title='five')
    words = [ax.get_xlabel() for ax in fig.axes]
    assert words == ['a\n0', 'a\n1', 'a\n2', 'a\n3', 'a\n4', ''] and len(fig.axes) == 6
    with pytest.raises(ValueError, match='5 pictures, 4 captions'): captioned_grid(torch.zeros(5, 3, 8, 8), ['a'] * 4)


def test_reconstructions_pair_rows():
    x, xhat = noise(4, 3, 4, 4), noise(4, 3, 4, 4, seed=1)
    assert (reconstructions(x, xhat, 2) == to_grid(torch.cat([x[:2], xhat[:2], x[2:], xhat[2:]]), 2)).all()
    with pytest.raises(ValueError, match='as many'): reconstructions(x, xhat[:2])

@pytest.mark.parametrize('suffix, kind', [('png', 'PNG'), ('jpg', 'JPEG')])
def test_pictures_are_saved_whole_or_not_at_all(tmp_path, suffix, kind):
    file = save_picture(noise(4, 3, 8, 8), tmp_path/'deep'/f'a b é.{suffix}')
    assert Image.open(file).format == kind and [p.name for p in file.parent.iterdir()] == [file.name]
    figure = plot_curves(history())
    assert Image.open(save_picture(figure, tmp_path/f'curves.{suffix}')).size[0] > 200
    with pytest.raises(ValueError, match='png or .jpg'): save_picture(noise(1, 3, 4, 4), tmp_path/'x.bmp')

@given(st.integers(0, 999), st.floats(0, 1))
def test_ways_between_latents(seed, t):
    a, b = (torch.randn(3, 16, generator=torch.Generator().manual_seed(s)) for s in (seed, seed + 1))
    for walk in (lerp, slerp):
        torch.testing.assert_close(walk(a, b, 0.), a, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(walk(a, b, 1.), b, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(walk(a, b, t), walk(b, a, 1 - t), rtol=1e-3, atol=1e-4)
    unit = lambda v: v / v.norm(dim=1, keepdim=True)
    # stays on the sphere
    torch.testing.assert_close(slerp(unit(a), unit(b), t).norm(dim=1), torch.ones(3), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(slerp(a, a, t), a, rtol=1e-3, atol=1e-4)

class Linear: # draws one grey level for each latent: what comes out is known
    def latent(self, n): return torch.randn(n, 2)
    def sample(self, n, y=None, z=None):
        z = self.latent(n) if z is None else z
        return (z[:, :1] * .3 + (0 if y is None else y.sum(1, keepdim=True) * .4))[:, :, None, None].expand(-1, 3, 4, 4)

def test_interpolation_walks_row_by_row():
    z0, z1 = torch.tensor([[0., 0.], [1., 0.]]), torch.tensor([[1., 0.], [0., 0.]])
    grey = interpolate(Linear(), z0, z1, steps=3)[:, 0, 0, 0]
    torch.testing.assert_close(grey, torch.tensor([0., .5, 1, 1, .5, 0]) * .3)
    with pytest.raises(ValueError, match='at least 2'): interpolate(Linear(), z0, z1, steps=1)

def history(n=60):
    rows = [{'round': i, 'player': p, 'images': i * 8, 'seconds': i / 9, 'steps_generator': i,
             f'{p}.adversarial': 1 / (i + 1), **({'discriminator.rank': .8} if p[0] == 'd' else {})}
            for i in range(n) for p in ('discriminator', 'generator')]
    h = pd.DataFrame(rows); h.attrs['terms'] = ['discriminator.adversarial', 'generator.adversarial']
    return h

def test_curves_show_every_value_on_the_axis_asked_for():
    h = history()
    for x, words in dict(round='rounds', images='images', seconds='seconds', steps_generator='generator steps').items():
        figure = plot_curves(h, x=x)
        assert len(figure.axes) == 2 and words in figure.axes[0].get_xlabel()
        assert [a.get_title() for a in figure.axes] == ['discriminator', 'generator']
        assert max(len(line.get_xdata()) for line in figure.axes[0].lines) == 60
    assert len(plot_curves(h, [['discriminator.rank']]).axes) == 1
    with pytest.raises(ValueError, match='no column "generator.kl"'): plot_curves(h, [['generator.kl']])
    with pytest.raises(ValueError, match='empty'): plot_curves(h[:0])

def test_one_spike_does_not_press_the_curves_flat():
    h = history(600)
    h.loc[h.index[:2], ['discriminator.adversarial', 'generator.adversarial']] = 1e4
    low, high = plot_curves(h).axes[0].get_ylim()
    assert low < 0 < high < 1 and plot_curves(h[:100]).axes[0].get_ylim()[1] > 1e4 # of a short one nothing is cut off
    assert plot_curves(h, log=True).axes[0].get_ylim()[1] > 1e4


def test_a_map_of_latents_names_its_colours():
    figure = tsne(noise(40, 5), torch.arange(40) % 2, 'Male', seed=0)
    assert {t.get_text() for t in figure.axes[0].get_legend().get_texts()} == {'Male: yes (20)', 'Male: no (20)'}
    with pytest.raises(ValueError, match='labels'): tsne(noise(40, 5), torch.zeros(3))

def test_show_grid_draws_on_given_axes():
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots()
    assert show_grid(noise(4, 3, 8, 8), title='four', ax=ax) is ax and ax.get_title() == 'four'
    plt.close('all')


# --- words in any script --------------------------------------------------------------------------------------------

@pytest.fixture
def rare_font(tmp_path):
    "An installed font that alone has a character, as a CJK font would: here of the private area, U+10FFFD."
    glyph = TTGlyphPen(None)
    for i, corner in enumerate([(0, 0), (0, 500), (500, 500), (500, 0)]): (glyph.lineTo if i else glyph.moveTo)(corner)
    glyph.closePath()
    names = ['.notdef', 'space', 'rare', *ascii_letters]
    font = FontBuilder(1000)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({32: 'space', 0x10FFFD: 'rare', **{ord(c): c for c in ascii_letters}})
    font.setupGlyf(dict.fromkeys(names, glyph.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable(dict(familyName='Rare Sans', styleName='Regular'))
    font.setupOS2()
    font.setupPost()
    font.save(tmp_path/'rare.ttf')
    before = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(tmp_path/'rare.ttf')
    yield 'Rare Sans'
    font_manager.fontManager.ttflist[:] = before


RARE = '\U0010FFFD smile' # no font has it


def test_words_that_no_font_has_are_codes_and_it_is_said():
    with pytest.warns(UserWarning, match='Noto Sans CJK'): (word, other), fonts = legible(RARE, 'Smiling')
    assert word == r'\U0010fffd smile' and other == 'Smiling'
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert legible('Smiling', 'Brünett', 'Улыбка', '')[0] == ['Smiling', 'Brünett', 'Улыбка', '']


def test_words_of_any_script_are_drawn_in_a_font_that_has_them(rare_font, tmp_path):
    "No box anywhere: matplotlib warns of each."
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert legible(RARE)[0] == [RARE] and rare_font in legible(RARE)[1]['font.family']
        z, kinds = torch.randn(12, 3), [RARE, 'plain'] * 6
        history = pd.DataFrame({'round': [0, 1], 'player': ['d', 'd'], 'd.loss': [1., 2.]})
        for figure in (tsne(z, kinds, RARE), tsne(z, [0, 1] * 6, RARE),
                       show_grid(torch.zeros(1, 3, 32, 32), title=RARE).figure,
                       plot_curves(history, ['d.loss'], titles=[RARE], ylabel=RARE)):
            save_picture(figure, tmp_path/'figure.png')
        drawn, size = lettering(RARE, 12)
        assert drawn == RARE and size.getname()[0] == rare_font
    sheet = np.zeros((32, 8, 3), np.uint8)
    for draw in (lambda word: tiles(torch.ones(1, 3, 32, 32), [word]), lambda word: beside(sheet, [word])):
        assert (draw(RARE) != draw('')).any()


def test_labels_may_be_a_tensor_on_any_device():
    z, labels = torch.randn(12, 3), torch.arange(12) % 2
    assert len(tsne(z, labels.float().requires_grad_(), 'Male').axes[0].collections) == 2

def test_a_figure_s_fonts_take_nothing_else_back():
    "A notebook's first figure switches on that figures are shown: this must outlive the figure."
    import matplotlib
    import matplotlib.pyplot as plt
    was, family = matplotlib.is_interactive(), plt.rcParams['font.family']
    try:
        plt.ioff()
        with drawn_in({'font.family': ['serif']}):
            assert plt.rcParams['font.family'] == ['serif']
            plt.ion()
        assert matplotlib.is_interactive() and plt.rcParams['font.family'] == family
    finally: matplotlib.interactive(was)
