"""Directions of labels: the probe's coefficients, its score, and what moves along."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from latentia.core.errors import Error
from latentia.core.gaussian import DiagonalGaussian
from latentia.latents.directions import correlate_columns, find_direction, traverse_direction
from latentia.latents.encoding import LatentTable

A = np.array([3.0, -1.0, 0.5, 0.0])
SCALE = np.array([5.0, 1.0, 0.2, 1e-3])


def draw(n=600, seed=0):
    """Coordinates (n, 4) of mean 0 and standard deviation 1."""
    x = np.random.default_rng(seed).normal(size=(n, 4))
    return (x - x.mean(0)) / x.std(0)


def make_table(mean):
    return LatentTable(mean.astype("f4"), None, None)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


class Identity:
    """Images (b, 1, 1, 4) are the means."""

    latent_shape = (4,)

    def encode(self, images):
        return DiagonalGaussian(images[:, 0, 0], torch.zeros(len(images), 4))

    def decode(self, z):
        return z[:, None, None]

    def distortion(self, z, images):
        return (self.decode(z) - images).square().flatten(1).sum(1)

    def score_latents(self, z, images):
        return {"distortion": self.distortion(z, images)}


def test_the_direction_of_a_linear_label_is_its_coefficients():
    x = draw()
    direction = find_direction(make_table(x), {"y": x @ A}, {"y": None}, "y")
    assert cosine(direction.axis, A) > 1 - 1e-8
    assert direction.probe.score > 0.9999
    rising = direction.project(x + 0.3 * direction.axis) - direction.project(x)
    np.testing.assert_allclose(rising, 0.3, rtol=1e-6)


def test_a_step_is_counted_in_standard_deviations_of_each_dimension():
    """No scale of a dimension changes which images lie ahead, so a dead one is not followed."""
    x = draw()
    label = {"y": x @ A + draw(seed=1)[:, 0]}
    one, other = (find_direction(make_table(z), label, {"y": None}, "y") for z in (x, x * SCALE))
    np.testing.assert_allclose(other.axis, SCALE * one.axis, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(other.project(x * SCALE), one.project(x), atol=1e-4)


def test_the_direction_of_a_class_is_where_its_images_are():
    x = draw(2000)
    codes = np.digitize(x @ A, [-1.0, 3.5])  # the last one is rare
    direction = find_direction(make_table(x), {"k": codes}, {"k": ["a", "b", "c"]}, "k=c")
    assert cosine(direction.axis, A) > 0.98
    assert direction.probe.score > 0.9
    opposite = find_direction(make_table(x), {"k": -codes + 2}, {"k": ["c", "b", "a"]}, "k=c")
    np.testing.assert_allclose(opposite.axis, direction.axis)  # names count, and not their order
    n_class = (codes == 2).sum()
    assert direction.probe.n == 2 * n_class
    assert direction.probe.chance == pytest.approx(0.5, abs=0.1)
    others = direction.moving.set_index("column")["correlation"]
    assert {*others.index} == {"k=a", "k=b"}  # its rivals, and not itself
    assert others["k=a"] < -0.3


@pytest.mark.parametrize("is_class", [False, True])
def test_shuffled_labels_score_at_chance_and_the_text_says_so(is_class):
    x = draw(2000)
    y = np.random.default_rng(4).permutation(x @ A)
    y = (y > 3).astype(int) if is_class else y  # a class of one in six
    direction = find_direction(make_table(x), {"y": y}, {"y": ["no", "yes"] * is_class}, "y")
    assert direction.probe.low <= direction.probe.chance
    assert direction.probe.score == pytest.approx(direction.probe.chance, abs=0.06)
    assert "do not tell y better than chance" in direction.text


def test_what_moves_along_is_named_with_its_correlation():
    x = draw(1000)
    noise = draw(1000, 7)
    columns = {
        "y": x[:, 0] + 0.1 * noise[:, 0],
        "wet": x[:, 0] + noise[:, 1],
        "kind": (x[:, 0] > 0).astype(int),
        "other": noise[:, 2],
        "gaps": np.where(np.arange(1000) < 990, np.nan, 1.0),
    }
    classes = {"y": None, "wet": None, "kind": ["low", "high"], "other": None, "gaps": None}
    direction = find_direction(make_table(x), columns, classes, "y")
    coordinate, moving = direction.project(x.astype("f4")), direction.moving.set_index("column")
    assert {*moving.index} == {"wet", "kind=low", "kind=high"}
    expected = pearsonr(coordinate, columns["wet"])
    interval = expected.confidence_interval()
    row = moving.loc["wet"]
    np.testing.assert_allclose(row["correlation"], expected.statistic, rtol=1e-9)
    np.testing.assert_allclose([row["low"], row["high"]], [*interval], rtol=1e-4)
    own = pearsonr(columns["y"], columns["wet"]).statistic
    assert row["label's own correlation"] == pytest.approx(own, rel=1e-9)
    assert moving.loc["kind=low", "correlation"] == pytest.approx(
        -moving.loc["kind=high", "correlation"]
    )
    assert "wet (+0." in direction.text
    assert "together, and do not say what y does by itself" in direction.text
    none = correlate_columns(coordinate, columns["y"], {"other": columns["other"]}, {})
    assert none.empty


def test_a_walk_moves_the_coordinate_alone_over_its_quantiles():
    x = draw(4000) * SCALE
    table = make_table(x)
    direction = find_direction(table, {"y": x @ (A / SCALE)}, {"y": None}, "y")
    mean = torch.tensor([[1.0, 2.0, -0.1, 0.0]])
    walk = traverse_direction(Identity(), mean, table, direction, 5)
    z = walk.images[0, :, 0, 0].numpy()
    np.testing.assert_allclose(direction.project(z), walk.values[0], atol=1e-4)
    moved = (z - mean.numpy()) / direction.axis
    np.testing.assert_allclose(moved[:, :3], moved[:, :1].repeat(3, 1), rtol=1e-3)
    expected = np.quantile(direction.project(table.mean), walk.levels)
    np.testing.assert_allclose(walk.values[0], expected, rtol=1e-6)
    assert torch.equal(walk.reconstruction, mean[:, None, None])
    assert walk.image_values == pytest.approx(direction.project(mean.numpy()))
    blurred = table._replace(sd=np.full_like(table.mean, 0.5) * SCALE.astype("f4"))
    wider = traverse_direction(Identity(), mean, blurred, direction, 5)
    assert np.ptp(wider.values) == pytest.approx(np.ptp(walk.values) * 1.25**0.5, rel=0.02)


@pytest.mark.parametrize("toward", ["a=b", "c=d=e", "c=d=f=g", "a=b=x"])
def test_columns_and_classes_may_hold_equals_signs(toward):
    x = draw(60)
    columns = {"a=b": np.arange(60) % 2, "c=d": np.arange(60) % 2}
    classes = {"a=b": ["w", "x"], "c=d": ["e", "f=g"]}
    assert find_direction(make_table(x), columns, classes, toward).toward == toward


@pytest.mark.parametrize(
    ("toward", "message"),
    [
        ("z", "--toward is z; the images have no column z, but y, kind, few"),
        ("z=1", "--toward is z=1; the images have no column z, but y, kind, few"),
        ("y=3", "--toward is y=3; y holds numbers: give --toward y"),
        ("kind", r"kind holds 3 classes \(a, b, c\): give one, such as --toward kind=a"),
        ("kind=d", r"kind holds 3 classes \(a, b, c\): give one, such as --toward kind=a"),
        ("few", "--toward is few; few cannot be used: only 3 images with a value"),
        ("rare=yes", "cannot be predicted out of fold; give at least two values of 5 images each"),
    ],
)
def test_labels_that_give_no_direction(toward, message):
    x = draw(60)
    columns = {
        "y": x[:, 0],
        "kind": np.arange(60) % 3,
        "few": np.where(np.arange(60) < 3, x[:, 1], np.nan),
        "picture": np.zeros((60, 1, 2, 2)),
        "rare": (np.arange(60) < 3).astype(int),
    }
    classes = {"y": None, "kind": ["a", "b", "c"], "few": None, "rare": ["no", "yes"]}
    with pytest.raises(Error, match=message):
        find_direction(make_table(x), columns, classes, toward)
