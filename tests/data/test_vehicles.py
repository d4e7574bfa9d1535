"""The vehicles: pictures are a function of (seed, row), and each factor does what its name says."""

import numpy as np
import pytest

from latentia.core.errors import Error
from latentia.data.synthetic.vehicles import (
    BODY_NAMES,
    FACTOR_RANGES,
    draw_factors,
    draw_vehicles,
    make_vehicles,
)


def varied(name: str, values, size: int = 64, body: int = 1) -> np.ndarray:
    """Pictures in [0, 1] in which this factor alone varies, the others in mid-range."""
    n = len(values)
    columns = {k: np.full(n, (a + b) / 2) for k, (a, b) in FACTOR_RANGES.items()}
    columns |= {"body": np.full(n, body), "doors": np.ones(n, int), name: np.asarray(values)}
    return draw_vehicles(columns, size)[:, 0] / 255


def changed(images: np.ndarray) -> np.ndarray:
    """Where each picture differs from the first."""
    return abs(images - images[0]) > 0.02


@pytest.fixture(scope="module")
def drawn():
    return make_vehicles(150, size=32, seed=3)


def test_the_same_seed_is_the_same_picture_for_every_n(drawn):
    images, columns, _ = drawn
    few, of_few, _ = make_vehicles(70, size=32, seed=3)
    assert np.array_equal(few, images[:70])
    assert all(np.array_equal(of_few[k], columns[k][:70]) for k in columns)
    assert not np.array_equal(make_vehicles(70, size=32, seed=4)[0], few)


def test_the_interface(drawn):
    images, columns, names = drawn
    assert images.shape == (150, 1, 32, 32)
    assert images.dtype == np.uint8
    assert list(columns) == list(names) == ["body", "doors", *FACTOR_RANGES]
    assert names["body"] == BODY_NAMES
    assert names["doors"] == ["2", "4"]
    assert all(names[k] is None and columns[k].dtype == np.float32 for k in FACTOR_RANGES)
    assert all(c.shape == (150,) for c in columns.values())


def test_factors_are_independent_and_fill_their_ranges():
    columns = draw_factors(4096, seed=1)
    correlation = np.corrcoef(list(columns.values())) - np.eye(len(columns))
    assert abs(correlation).max() < 4 / np.sqrt(4096)
    for name, (a, b) in FACTOR_RANGES.items():
        quartiles = np.quantile(columns[name], [0.25, 0.5, 0.75])
        np.testing.assert_allclose((quartiles - a) / (b - a), [0.25, 0.5, 0.75], atol=0.03)
    assert np.bincount(columns["body"]).min() > 4096 / 6 * 0.85


def test_position_moves_the_vehicle_by_its_value():
    """Away from the wheels' turning, a shift by 8 pixels is a shift by 8 pixels."""
    left, right = varied("position", [-1 / 16, 1 / 16], size=64)
    np.testing.assert_allclose(left[:38, 4:-8], right[:38, 12:], atol=1.5 / 255)
    assert changed(np.stack([left, right]))[1].any()


@pytest.mark.parametrize("body", range(len(BODY_NAMES)))
def test_length_is_bumper_to_bumper(body):
    lengths = np.linspace(0.64, 0.84, 5)
    images = varied("length", lengths, size=128, body=body)
    side = images[:, int(128 * 0.58) : int(128 * 0.62)]
    wide = (abs(side - side[:, :, :1]) > 0.08).any(1).sum(1) / 128
    np.testing.assert_allclose(wide, lengths, atol=0.02)


@pytest.mark.parametrize("body", range(len(BODY_NAMES)))
def test_length_stretches_the_outline(body):
    """The ridge is as high at the same part of the way from nose to tail."""
    lengths = np.linspace(0.64, 0.84, 4)
    images = varied("length", lengths, size=256, body=body)
    top = (abs(images - images[:, :, :1]) > 0.08).argmax(1)  # row of the ridge, by column
    along = np.linspace(0.05, 0.95, 60)
    at = np.rint((0.5 + np.outer(lengths, along - 0.5)) * 256 - 0.5).astype(int)
    ridge = np.take_along_axis(top, at, 1)
    assert np.median(abs(ridge - ridge[0]), axis=1).max() <= 1
    assert (abs(ridge - ridge[0]) > 3).mean() < 0.04


@pytest.mark.parametrize("body", range(len(BODY_NAMES)))
def test_roof_raises_the_roof_and_nothing_below_the_belt(body):
    images = varied("roof", np.linspace(0.85, 1.2, 5), size=128, body=body)
    top = (abs(images - images[:, :, :1]) > 0.08).any(2).argmax(1)
    assert (np.diff(top) <= 0).all()
    assert top[-1] < top[0] - 2
    assert not changed(images)[:, int(128 * 0.58) :].any()


def test_wheel_is_monotone_in_the_dark_area_of_the_wheels():
    images = varied("wheel", np.linspace(*FACTOR_RANGES["wheel"], 6), size=128)
    dark = (images[:, int(128 * 0.645) : int(128 * 0.675)] < 0.25).sum((1, 2))  # under the body
    assert (np.diff(dark) > 0).all()
    assert not changed(images)[:, : int(128 * 0.53)].any()


def test_shade_is_the_grey_of_the_body_and_of_nothing_else():
    shades = np.linspace(*FACTOR_RANGES["shade"], 5)
    images = varied("shade", shades, size=128)
    patch = images[:, 76, 60]  # the middle of a door
    assert np.corrcoef(patch, shades)[0, 1] > 0.999
    assert not changed(images)[:, :, :10].any()
    assert not changed(images)[:, :40].any()


def test_doors_change_lines_within_the_body_not_its_silhouette():
    images = varied("doors", [0, 1], size=128)
    where = np.argwhere(changed(images)[1])
    assert len(where) > 20
    assert where[:, 0].min() > 128 * 0.43
    assert where[:, 0].max() < 128 * 0.65
    assert where[:, 1].min() > 30
    assert where[:, 1].max() < 100


def test_silhouettes_of_any_two_bodies_differ_by_a_twentieth_of_the_vehicle():
    images = varied("body", np.arange(len(BODY_NAMES)), size=128)
    mask = abs(images - images[:, :, :1])[:, : int(128 * 0.64)] > 0.08
    for a in range(len(BODY_NAMES)):
        for b in range(a):
            assert (mask[a] ^ mask[b]).sum() > 0.05 * (mask[a] | mask[b]).sum(), (
                BODY_NAMES[a],
                BODY_NAMES[b],
            )


def test_a_small_picture_is_the_box_average_of_a_large_one():
    columns = draw_factors(1, seed=0)
    small = draw_vehicles(columns, 64)[:, 0] / 255
    large = draw_vehicles(columns, 256)[:, 0].reshape(-1, 64, 4, 64, 4).mean((2, 4)) / 255
    np.testing.assert_allclose(small, large, atol=1.01 / 255)  # two roundings


def test_a_coarse_painting_is_near_the_fine_one():
    """Painting at 256 and averaging is no other picture than painting at 512."""
    columns = {name: values[:16] for name, values in draw_factors(16, seed=0).items()}
    coarse, fine = draw_vehicles(columns, 256) / 255, draw_vehicles(columns, 512) / 255
    fine = fine.reshape(16, 1, 256, 2, 256, 2).mean((3, 5))
    assert np.sqrt(((coarse - fine) ** 2).mean()) < 0.004


def test_edges_are_anti_aliased():
    """A dark body on a light ground: its ridge shows the levels between, in nearly every column."""
    (image,) = varied("shade", [0.3], size=64)
    roof = image[:, 18:46]
    jump = abs(np.diff(roof[:28], axis=0)).max(0)
    total = roof[5] - 0.45 * 0.3
    assert (jump < 0.9 * total).mean() > 0.5


@pytest.mark.parametrize("size", [8, 50, 96])
def test_any_size(size):
    images, _, _ = make_vehicles(3, size=size)
    assert images.shape == (3, 1, size, size)
    assert images.std() > 20


def test_errors_say_what_to_give():
    with pytest.raises(Error, match=r"7x7 pixels shows nothing; give a size of at least 8\."):
        make_vehicles(1, size=7)
    with pytest.raises(
        Error, match=r"^0 images of vehicles were requested; give n of at least 1\."
    ):
        make_vehicles(0)
