"""Outliers: planted ones come first, and the distance is that of Mahalanobis."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.datasets import load_digits

import latentia
from latentia.latents.encoding import LatentTable
from latentia.latents.outliers import measure_mahalanobis

rng = np.random.default_rng(0)
DIGITS = np.kron(load_digits().images[:300] / 16, np.ones((3, 3)))  # 24x24
PLANTED = (17, 180, 299)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Digits, three of which are black and white noise."""
    images = DIGITS.copy()
    images[[*PLANTED]] = rng.integers(0, 2, (len(PLANTED), 24, 24))
    folder = tmp_path_factory.mktemp("outliers")
    np.save(folder / "digits.npy", images)
    parameters = {"latent": 4, "hidden": 64, "batch": 32, "epochs": 10, "progress": False}
    parameters |= {"options": latentia.Options(threads=1), "run": folder / "digits"}
    return latentia.train("mnist_mlp_vae", data=folder / "digits.npy", **parameters)


@pytest.mark.parametrize("has_sd", [True, False])
def test_the_distance_is_that_of_mahalanobis_in_float64(has_sd):
    mixing = rng.normal(size=(5, 5))
    mean = (rng.normal(size=(40, 5)) @ mixing + 3).astype(np.float32)
    sd = rng.uniform(0.1, 2, (40, 5)).astype(np.float32)
    points = rng.normal(size=(7, 5)).astype(np.float32)
    wide = mean.astype(np.float64)
    covariance = np.cov(wide.T, bias=True)
    if has_sd:
        covariance += np.diag((sd.astype(np.float64) ** 2).mean(0))
    inverse = np.linalg.inv(covariance)
    expected = [mahalanobis(x.astype(np.float64), wide.mean(0), inverse) for x in points]
    table = LatentTable(mean, sd if has_sd else None, None)
    np.testing.assert_allclose(measure_mahalanobis(points, table), expected, rtol=1e-10)


def test_a_constant_direction_does_not_count():
    mean = rng.normal(size=(40, 3)).astype(np.float32)
    padded = np.concatenate([mean, mean[:, :1], np.ones((40, 1), np.float32)], 1)
    np.testing.assert_allclose(
        measure_mahalanobis(padded, LatentTable(padded, None, None)),
        measure_mahalanobis(mean, LatentTable(mean, None, None)),
        rtol=1e-6,
    )


def test_planted_noise_comes_first_by_error(run):
    table = run.find_outliers(3)
    assert set(table["key"]) == set(map(str, PLANTED))
    assert table["mse"].is_monotonic_decreasing
    encoded = run.encode().set_index("key")
    np.testing.assert_allclose(table["mse"], encoded.loc[table["key"], "mse"], rtol=1e-5)
    assert list(table["split"]) == list(encoded.loc[table["key"], "split"])


def test_planted_images_come_first_by_distance_from_the_training_images(run):
    """Also among new images, whose own latents are not the reference."""
    new = np.concatenate([DIGITS[:20], 1 - DIGITS[20:23]])
    table = run.with_data(new).find_outliers(3, by="distance")
    assert set(table["key"]) == {"20", "21", "22"}
    assert set(table["split"]) == {"new"}
    assert list(table) == ["key", "split", "row", "mse", "distance"]
    train = run.split("train")
    reference = latentia.encode_split(run.model, train)
    mean = run.encode(new).filter(like="mu_").to_numpy()[table["row"]]
    np.testing.assert_allclose(table["distance"], measure_mahalanobis(mean, reference), rtol=1e-4)


def test_a_split_of_one_image_has_no_neighbors_but_an_outlier(run):
    one = run.with_data(DIGITS[:1])
    assert len(one.nearest(0)) == 0
    assert list(one.nearest(0)) == ["key", "split", "row", "distance"]
    assert list(one.find_outliers()["key"]) == ["0"]


def test_mistakes(run):
    for options, message in (
        ({"by": "nats"}, "--by is nats; it is one of error, distance."),
        ({"n": 0}, "-n is 0; it must be at least 1"),
    ):
        with pytest.raises(latentia.Error, match=message):
            run.find_outliers(**options)
    data = run.path.with_name("digits.npy")
    data.rename(run.path.with_name("moved.npy"))
    new = latentia.load(run.path).with_data(DIGITS[:5])
    assert len(new.find_outliers()) == 5
    message = "This needs the images of the training: .*digits.npy.* cannot be found here"
    with pytest.raises(latentia.Error, match=message):
        new.find_outliers(by="distance")
