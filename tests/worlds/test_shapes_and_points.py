"Laws of the brushes: distances are distances, coverage is area, and toy worlds know their modes."
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from dlcv_gan.worlds.points import grid, mode_centres, modes_covered, ring
from dlcv_gan.worlds.shapes import (blank, box, capsule, circle, coverage, curve, ellipse, glow, outline, paint,
                                    pixel_grid, polygon, pose, shade, smoothstep, soft_intersection, soft_union,
                                    to_uint8)

numbers = st.floats(-2, 2, width=32)
star = [(np.sin(a) * r, np.cos(a) * r) for a, r in zip(np.arange(10) * np.pi / 5, [1, .4] * 5)]
exact = dict(circle=lambda x, y: circle(x, y, .1, -.2, .7), capsule=lambda x, y: capsule(x, y, -.5, -.4, .6, .3, .2),
             box=lambda x, y: box(x, y, 0, .1, .6, .3, .1),
             polygon=lambda x, y: polygon(x, y, star), curve=lambda x, y: curve(x, y, [(-.5, 0), (0, .5), (.5, 0)], .1))

@pytest.mark.parametrize('name', exact)
@given(arrays(np.float32, (2, 2), elements=numbers))
def test_a_distance_changes_no_faster_than_the_way_gone(name, points):
    (x0, y0), (x1, y1) = points.astype(np.float64)
    d = exact[name](np.array([[[x0, x1]]]), np.array([[[y0, y1]]])).ravel()
    assert abs(d[0] - d[1]) <= np.hypot(x0 - x1, y0 - y1) + 1e-5

@pytest.mark.parametrize('name', exact)
def test_a_distance_is_that_of_the_nearest_point_of_the_edge(name):
    fine = np.linspace(-1.6, 1.6, 801)
    x, y = np.meshgrid(fine, fine); inside = exact[name](x[None], y[None])[0] < 0
    edge = inside[:-1, :-1] != inside[1:, 1:]
    ex, ey = x[:-1, :-1][edge], y[:-1, :-1][edge]
    rng = np.random.default_rng(0)
    for px, py in rng.uniform(-1.4, 1.4, (20, 2)):
        assert abs(abs(exact[name](np.array([[[px]]]),
                                   np.array([[[py]]])).item()) - np.hypot(ex - px, ey - py).min()) < .008

@given(st.floats(.2, .9), st.floats(.2, .9), numbers, numbers)
def test_an_ellipse_has_the_right_sign_everywhere(rx, ry, x, y):
    inside = (x / rx) ** 2 + (y / ry) ** 2 - 1
    d = ellipse(np.array([[[x]]]), np.array([[[y]]]), 0., 0., rx, ry).item()
    assert abs(inside) < 1e-3 or np.sign(d) == np.sign(inside) or abs(d) < 1e-4

@pytest.mark.parametrize('size', [32, 64, 128])
@given(r=st.floats(.3, .8), cx=st.floats(-.1, .1))
def test_the_covered_area_is_the_area(size, r, cx):
    x, y = pixel_grid(size)
    area = coverage(circle(x, y, cx, 0., r), 2 / size).sum() * (2 / size) ** 2
    assert area == pytest.approx(np.pi * r * r, rel=.01)

@given(arrays(np.float32, 9, elements=numbers), arrays(np.float32, 9, elements=numbers), st.floats(.01, 1))
def test_soft_operations_stay_near_the_hard_ones(a, b, k):
    union, intersection = soft_union(a, b, k), soft_intersection(a, b, k)
    assert (union <= np.minimum(a, b) + 1e-5).all() and (union >= np.minimum(a, b) - k / 4 - 1e-5).all()
    assert (intersection >= np.maximum(a, b) - 1e-5).all() and (intersection <= np.maximum(a, b) + k / 4 + 1e-5).all()
    np.testing.assert_allclose(union, soft_union(b, a, k), atol=1e-6)

@given(arrays(np.float32, 20, elements=st.floats(-3, 3, width=32)))
def test_ramps_rise_and_stay_in_range(t):
    t = np.sort(t)
    for f in (smoothstep(t), 1 - coverage(t, .1)):
        assert f.min() >= 0 and f.max() <= 1 and (np.diff(f) >= -1e-6).all()

@given(st.floats(-3, 3), st.floats(.3, 3), numbers, numbers)
def test_a_pose_turns_scales_and_moves(angle, scale, dx, dy):
    x, y = pose(np.array([[[dx + scale * np.cos(angle)]]]), np.array([[[dy + scale * np.sin(angle)]]]), angle, scale,
                dx, dy)
    assert x.item() == pytest.approx(1, abs=1e-3) and y.item() == pytest.approx(0, abs=1e-3) # the thing's own (1, 0)

def test_one_call_draws_many_pictures_as_each_alone():
    x, y = pixel_grid(16); r = np.array([.3, .6, .9])
    together = circle(x, y, 0., 0., r)
    for one, radius in zip(together, r): np.testing.assert_array_equal(one, circle(x, y, 0., 0., radius)[0])

def test_paint_shade_and_bytes():
    canvas, full, none = blank(2, 4, colour=(1., 0., 0.)), np.ones((2, 4, 4),
                                                                   np.float32), np.zeros((2, 4, 4), np.float32)
    assert (paint(canvas.copy(), none, (0., 1., 0.)) == canvas).all()
    assert np.allclose(paint(canvas.copy(), full, (0., 1., 0.))[0, :, 0, 0], [0, 1, 0])
    assert np.allclose(shade(canvas.copy(), full, .5)[0, 0], .5)
    out = to_uint8(np.array([-1., 0, .5, 1, 2], np.float32).reshape(1, 1, 1, 5).repeat(3, 1))
    assert out.dtype == np.uint8 and out[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert (outline(np.array([-.1, 0., .1]), .1) <= 0).tolist() == [False, True, False]
    assert glow(*pixel_grid(9))[0, 4, 4] == 1 and glow(np.array([[[1.]]]), np.array([[[0.]]])) == 0
    with pytest.raises(ValueError, match='no pixel'): pixel_grid(0)

@pytest.mark.parametrize('world, kw, k', [(ring, dict(modes=8), 8), (ring, dict(modes=5, radius=1.), 5),
                                          (grid, dict(side=5), 25), (grid, dict(side=3, spacing=1.), 9)])
def test_toy_worlds_know_their_modes(world, kw, k):
    centres = mode_centres(world, **kw)
    points, mode = world(3000, std=.03, seed=1, **kw)
    assert centres.shape == (k, 2) and points.dtype == np.float32 and set(mode) == set(range(k))
    assert modes_covered(centres, centres, .03) == (k, 1.)
    covered, share = modes_covered(points, centres, .03)
    assert covered == k and share > .998
    assert abs((points - centres[mode]).std() - .03) < .002
    kept = points[mode < 2]
    assert modes_covered(kept, centres, .03)[0] == 2
    assert modes_covered(np.full((5, 2), np.nan), centres, .03) == (0, 0.)
    assert modes_covered(np.empty((0, 2)), centres, .03) == (0, 0.)
    with pytest.raises(ValueError, match='shape'): modes_covered(np.zeros((3, 3)), centres, .03)
    with pytest.raises(ValueError): world(-1)
