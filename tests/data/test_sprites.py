"""The sprites: area, centre and turn are what the factors say."""

import numpy as np
import pytest

from latentia.core.errors import Error
from latentia.data.synthetic.sprites import (
    FACTOR_VALUES,
    MAX_RADIUS,
    SHAPES,
    draw_sprites,
    make_sprites,
)


def drawn(size: int = 64, **given) -> np.ndarray:
    """Sprites in [0, 1], (n, size, size); by default central, upright, of full size."""
    n = max(np.size(v) for v in given.values())
    values = {"shape": 0, "scale": 1.0, "orientation": 0.0, "x": 0.5, "y": 0.5} | given
    full = {k: np.broadcast_to(v, n) for k, v in values.items()}
    return draw_sprites(full, size)[:, 0] / 255


@pytest.fixture(scope="module")
def data():
    return make_sprites(640, size=64, seed=1)


def test_the_same_seed_is_the_same_picture_for_every_n(data):
    images, columns, _ = data
    few, of_few, _ = make_sprites(70, seed=1)
    assert np.array_equal(few, images[:70])
    assert all(np.array_equal(of_few[k], columns[k][:70]) for k in columns)
    assert not np.array_equal(make_sprites(70, seed=2)[0], few)


def test_the_interface(data):
    images, columns, names = data
    assert images.shape == (640, 1, 64, 64)
    assert images.dtype == np.uint8
    assert list(columns) == list(names) == ["shape", "scale", "orientation", "x", "y"]
    assert names["shape"] == SHAPES
    assert [len(FACTOR_VALUES[k]) for k in ("scale", "orientation", "x", "y")] == [6, 40, 32, 32]
    assert all(np.isin(columns[k], FACTOR_VALUES[k]).all() for k in FACTOR_VALUES)


def test_factors_are_uniform_and_independent():
    columns = make_sprites(6400, size=8, seed=0)[1]
    for name, levels in {"shape": range(3), **FACTOR_VALUES}.items():
        count = np.array([(columns[name] == level).sum() for level in levels])
        expected = 6400 / len(count)
        chi = ((count - expected) ** 2 / expected).sum()
        assert abs(chi - (len(count) - 1)) < 4 * np.sqrt(2 * (len(count) - 1))
    correlation = np.corrcoef(list(columns.values())) - np.eye(5)
    assert abs(correlation).max() < 4 / np.sqrt(6400)


@pytest.mark.parametrize(
    ("shape", "area"), [(0, 2.0), (1, np.pi / 2), (2, 1 + np.pi / 4)], ids=SHAPES
)
def test_area_is_the_shapes_at_every_scale_and_turn(shape, area):
    """In units of reach^2: a square of diagonal 2, an ellipse 1 x 1/2, a square and a disc."""
    scale, turn = np.meshgrid(FACTOR_VALUES["scale"], FACTOR_VALUES["orientation"][:13])
    seen = drawn(shape=shape, scale=scale.ravel(), orientation=turn.ravel()).mean((1, 2))
    np.testing.assert_allclose(seen, area * (MAX_RADIUS * scale.ravel()) ** 2, rtol=0.01)


def test_the_centre_of_mass_is_the_position(data):
    images, columns, _ = data
    rows = columns["shape"] < 2  # a heart's lies elsewhere, off its centre
    weight = images[rows, 0] / images[rows].sum((1, 2, 3))[:, None, None]
    at = (np.arange(64) + 0.5) / 64
    np.testing.assert_allclose((weight.sum(1) * at).sum(1), columns["x"][rows], atol=5e-4)
    np.testing.assert_allclose((weight.sum(2) * at).sum(1), columns["y"][rows], atol=5e-4)


@pytest.mark.parametrize("shape", range(3), ids=SHAPES)
def test_a_quarter_turn_is_a_rotated_picture(shape):
    turns = np.pi / 2 * np.arange(4) + 0.3
    images = drawn(shape=shape, orientation=turns)
    for k in range(4):  # clockwise, as y points down
        np.testing.assert_allclose(images[k], np.rot90(images[0], -k), atol=0.08)


def test_an_ellipse_points_where_it_is_turned_to():
    """The principal axis of its second moments is the orientation, up to half a turn."""
    turns = FACTOR_VALUES["orientation"]
    at = (np.arange(64) + 0.5) / 64 - 0.5
    images = drawn(shape=1, orientation=turns)
    xx, yy = (images.sum(1) * at**2).sum(1), (images.sum(2) * at**2).sum(1)
    xy = (images * at * at[:, None]).sum((1, 2))
    axis = np.exp(1j * np.arctan2(2 * xy, xx - yy))  # of twice the angle
    np.testing.assert_allclose(axis, np.exp(2j * turns), atol=0.02)


def test_an_upright_square_stands_on_its_side():
    (square,) = drawn(size=128, shape=np.array([0]))
    side = np.sqrt(2) * MAX_RADIUS * 128
    width = square.sum(1)[square.any(1)][1:-1]
    np.testing.assert_allclose(width, side, atol=0.5)


@pytest.mark.parametrize(("shape", "distinct"), [(0, 10), (1, 20), (2, 40)], ids=SHAPES)
def test_orientations_differ_up_to_the_shapes_symmetry(shape, distinct):
    images = drawn(shape=shape, orientation=FACTOR_VALUES["orientation"])
    gap = abs(images[:, None] - images[None]).max((2, 3))
    assert ((gap < 0.1).sum(1) == 40 // distinct).all()


def test_an_upright_heart_has_its_point_below_and_is_symmetric():
    (heart,) = drawn(shape=np.array([2]))
    np.testing.assert_allclose(heart, heart[:, ::-1], atol=1 / 255)
    width = (heart > 0.5).sum(1)
    rows = np.flatnonzero(width)
    assert width[rows[0] + 2] > 8
    assert width[rows[-1] - 2] < 8
    assert heart[rows[0], 32] == 0  # the notch


def test_edges_are_grey_and_nothing_touches_the_border(data):
    images, _, _ = data
    inner = (images > 0) & (images < 255)
    assert 0.01 < inner.mean() < 0.05
    assert len(np.unique(images)) > 200
    assert not images[:, 0, [0, -1]].any()
    assert not images[:, 0, :, [0, -1]].any()


def test_a_small_picture_is_the_box_average_of_a_large_one():
    given = {"shape": np.arange(3), "orientation": 0.7, "x": 0.43}
    large = drawn(size=256, **given).reshape(3, 64, 4, 64, 4).mean((2, 4))
    small = drawn(**given)
    np.testing.assert_allclose(small[:2], large[:2], atol=1.1 / 255)
    # where a heart's parts meet within a pixel, their coverages are laid over each other
    assert (abs(small - large)[2] > 0.02).sum() <= 6
    assert abs(small - large).max() < 0.2


def test_errors_say_what_to_give():
    with pytest.raises(Error, match=r"4x4 pixels shows nothing; give a size of at least 8\."):
        make_sprites(1, size=4)
