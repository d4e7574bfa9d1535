"""PCAs of pretrained features beside that of the pixels, with the real network."""

import shutil

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import latentia
from latentia.core.errors import Error
from latentia.data import open_images
from latentia.latents.probes import probe_labels
from latentia.metrics import evaluation as evaluations
from latentia.metrics.evaluation import OWN_COORDINATES, Evaluation
from latentia.metrics.pca import (
    VALUES_PER_WEIGHT,
    fit_feature_pcas,
    fit_joint_axes,
    fit_pixel_pca,
)
from latentia.metrics.registry import METRICS
from latentia.metrics.yardsticks import tabulate_yardsticks
from latentia.models.joint_pca import find_axes
from latentia.models.pretrained_features import PretrainedEncoder, extract_features
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_json, write_json

OPTIONS = {"latent": 3, "epochs": 1, "batch": 32, "progress": False}
TITLES = ["PCA of 3 dimensions", "feature PCA of 3 dimensions", "joint PCA of 3 dimensions"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Images of 32x32 in colour, whose class is the brighter half, beside a strong nuisance."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("photos") / "a.npz"
    y = rng.integers(0, 2, 150)
    x = rng.uniform(0, 120, (150, 1, 1, 3)) + rng.uniform(0, 40, (150, 32, 32, 3))
    x[:, :, :16] += 90 * y[:, None, None, None]
    np.savez(path, x=x.astype(np.uint8), y=np.array(["left", "right"])[y])
    return str(path)


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    path = tmp_path_factory.mktemp("feature_runs") / "run"
    return latentia.train("conv_vae", photos, run=path, **OPTIONS)


def test_joint_axes_are_the_principal_axes_of_pixels_and_features_in_their_units():
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randn(300, 40, generator=rng) * torch.linspace(3, 0.1, 40)
    features = torch.randn(300, 12, generator=rng) + pixels[:, :12]
    pixels, features = pixels - pixels.mean(0), features - features.mean(0)
    feature_axes, pixel_axes = fit_joint_axes(pixels, features, 5, None)
    x = pixels.double().numpy()
    pca = PCA(5, svd_solver="full").fit(x)
    residual = np.square(x - pca.inverse_transform(pca.transform(x))).sum(1).mean()
    sigma = (residual / (len(x.T) - 5)) ** 0.5  # Tipping & Bishop 1999
    components = PCA(12, svd_solver="full").fit_transform(features.double().numpy())
    scale = (len(x.T) / VALUES_PER_WEIGHT / np.square(components).mean()) ** 0.5
    y = np.concatenate([x / sigma, scale * components], 1)
    expected = PCA(5, svd_solver="full").fit_transform(y)
    z = (pixels @ pixel_axes + features @ feature_axes).numpy()
    z = z / z.std(0) * expected.std(0)  # those of the closed form have another scale
    np.testing.assert_allclose(np.abs(z), np.abs(expected), atol=5e-3 * expected.std())
    # least squares of the pixels on these coordinates are the PCA's own decoder
    decoder = np.linalg.lstsq(z, x, rcond=None)[0]
    own = PCA(5, svd_solver="full").fit(y).components_[:, : len(x.T)] * sigma
    np.testing.assert_allclose(np.abs(decoder), np.abs(own), atol=2e-3)


def test_baselines_are_fitted_once_to_training_images(photos):
    images = open_images(photos)
    feature, joint = fit_feature_pcas(images, 3)
    assert fit_feature_pcas(images, 3)[1] is joint
    x = images.split("test")[:]
    centred = extract_features(images.split("train")[:])
    axes = find_axes(centred - centred.mean(0), 3).axes
    expected = (extract_features(x) - centred.mean(0)) @ axes
    torch.testing.assert_close(feature.encode(x), expected, rtol=1e-2, atol=1e-2)
    pixel = fit_pixel_pca(images, 3).measure_mse(x).mean()
    assert pixel < joint.measure_mse(x).mean() < feature.measure_mse(x).mean() * 1.05


def test_a_learned_prior_has_the_yardsticks_of_its_autoencoder(run, monkeypatch, tmp_path):
    for path in (tmp_path / "prior", tmp_path / "prior" / "autoencoder"):
        shutil.copytree(run.path, path)
    metadata = read_json(path / "run.json")
    write_json(path / "run.json", {**metadata, "closed_form": {"feature_weight": 7.0}})
    weights = []
    monkeypatch.setattr(
        "latentia.metrics.evaluation.fit_feature_pcas",
        lambda *given: weights.append(given[2]) or [],
    )
    images = run.folder.images()
    prior = Evaluation(RunFolder.open(path.parent), images, images.split("train"))
    assert not prior.others
    assert weights == [7.0]


def test_photographs_with_labels_have_all_yardsticks_where_the_network_is_installed(
    run, monkeypatch
):
    images = run.folder.images()
    e = Evaluation(run.folder, images, images.split("train"))
    assert list(e.squared_errors) == [OWN_COORDINATES, *TITLES]
    (result,) = METRICS["probe"].measure(e)
    assert list(result.beside) == [*TITLES, "chance"]
    labels = e.split.columns["label"].numpy()
    theirs = probe_labels(
        fit_feature_pcas(images, 3)[1].encode(e.split[:]).numpy(), labels, True, max_permutations=0
    )
    assert result.beside[TITLES[2]] == (theirs.score, theirs.low, theirs.high)
    names = [row.name for row in METRICS["pca"].measure(e)]
    assert names == ["mse", "pca_mse", "mse_over_pca", "feature_pca_mse", "joint_pca_mse"]
    table = tabulate_yardsticks(e, "mine")
    assert [*table.index] == ["mine", *TITLES, "chance"]
    for options, count in (({"features": "pixels"}, 0), ({"features": "efficientnet"}, 2)):
        assert len(Evaluation(run.folder, images, e.split, **options).others) == count
    monkeypatch.setattr(evaluations, "is_installed", lambda: False)
    assert Evaluation(run.folder, images, e.split).others == {}


def test_images_in_grey_are_no_photographs(run):
    images = open_images("digits", size=32, channels=1)
    assert not Evaluation(run.folder, images, images.split("test")).sees_features
    assert Evaluation(run.folder, images, images.split("test"), "efficientnet").sees_features


def test_two_runs_stand_beside_the_same_yardsticks(run, photos, tmp_path):
    other = latentia.train("conv_vae", photos, run=tmp_path / "other", seed=1, **OPTIONS)
    agreement = run.compare(other, split="all")
    assert {"run", "other", *TITLES} < {*agreement.yardsticks.index}
    assert "joint PCA of 3 dimensions" in repr(agreement)
    assert agreement.to_json()["yardsticks"].keys() == {*agreement.yardsticks.index}
    without = run.compare(other, split="all", features="none")
    assert without.yardsticks is None
    assert "yardsticks" not in without.to_json() or without.to_json()["yardsticks"] is None
    with pytest.raises(Error, match="--features is dinov2; give efficientnet, or leave it out"):
        run.compare(other, split="all", features="dinov2")


def test_relate_has_the_prediction_from_the_features_pca(run):
    assert run.relate(split="all", permutations=19).associations[0].features is None
    result = run.relate(split="all", permutations=19, features="efficientnet")
    probe = result.associations[0].features
    split = run.split("all")
    z = fit_feature_pcas(run.folder.images(), 3)[0].encode(split[:]).numpy()
    expected = probe_labels(z, split.columns["label"].numpy(), True)
    assert (probe.method, probe.dims) == ("logistic regression", 3)
    assert probe.score == pytest.approx(expected.score, abs=0.02)


def test_nearest_by_features_are_those_of_least_distance(run):
    table = run.nearest(0, n=4, split="all", features="efficientnet")
    features = PretrainedEncoder().encode(run.split("all")[:]).mean
    distances = (features - features[0]).norm(dim=1)
    assert table["row"].tolist() == distances.argsort()[1:5].tolist()
    np.testing.assert_allclose(table["distance"], distances.sort()[0][1:5], rtol=1e-3)
    with pytest.raises(Error, match="--features is pixels; give efficientnet"):
        run.nearest(0, features="pixels")
