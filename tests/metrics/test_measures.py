"""Figures against direct computations, and a metric that waits for its function."""

import math
import sys
import types

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio

import latentia
from latentia.core.errors import Error
from latentia.data import Split
from latentia.losses.likelihoods import Bernoulli
from latentia.metrics import builtin
from latentia.metrics.distribution import estimate_kernel_distance
from latentia.metrics.elbo import elbo
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.pca import PixelPCA
from latentia.metrics.registry import METRICS
from latentia.metrics.result import make_mean_result
from latentia.metrics.sharpness import high_frequency_energy
from latentia.models.vae import VAE
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.runs.folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    images = torch.rand(120, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    path = tmp_path_factory.mktemp("measured") / "run"
    latentia.train("mnist_mlp_vae", data=images, run=path, hidden=8, latent=3, epochs=1, batch=16)
    return RunFolder.open(path), images


def evaluation(run, **more):
    opened, data = run
    images = opened.images(data)
    return Evaluation(opened, images, images.split("test"), **more)


def test_a_mean_has_the_standard_error_of_a_mean():
    figure = make_mean_result("x", torch.tensor([1.0, 2.0, 6.0]), "test", unit="nats")
    assert (figure.value, figure.n, figure.unit) == (3.0, 3, "nats")
    assert figure.error == pytest.approx(np.std([1, 2, 6], ddof=1) / 3**0.5)
    assert make_mean_result("x", torch.tensor([1.0]), "test").error is None
    assert make_mean_result("x", torch.tensor([1.0, float("inf")]), "test").value is None


def test_image_figures_are_those_of_each_reconstruction(run):
    e = evaluation(run)
    figures = {figure.name: figure for figure in METRICS["image"].measure(e)}
    x = e.split.get_batch(slice(None)).image
    y = e.autoencoder.reconstruct(x)
    theirs = [peak_signal_noise_ratio(b, a, data_range=1.0) for a, b in zip(x, y, strict=True)]
    assert figures["psnr_db"].value == pytest.approx(torch.stack(theirs).mean().item(), rel=1e-5)
    assert figures["mse"].value == pytest.approx((x - y).square().mean().item(), rel=1e-5)
    ratio = high_frequency_energy(y).mean() / high_frequency_energy(x).mean()
    assert figures["sharpness"].value == pytest.approx(ratio.item(), rel=1e-6)
    assert 0 < figures["ssim"].value < 1
    assert {figure.n for figure in figures.values()} == {len(x)}


def test_a_figure_of_draws_and_one_of_means_are_told_apart(run):
    e = evaluation(run)
    figures = [*builtin.measure_elbo(e), *METRICS["image"].measure(e)]
    notes = {f.name: f.note for f in figures if f.name.startswith("mse")}
    assert notes == {"mse_draws": "of a draw", "mse": "of decoded means"}


def test_the_baseline_is_measured_on_the_same_images(run):
    e = evaluation(run)
    values = {result.name: result for result in METRICS["pca"].measure(e)}
    x = e.split.get_batch(slice(None)).image
    errors = (e.autoencoder.reconstruct(x) - x).square().flatten(1).mean(1)
    train = e.images.split("train")
    linear = PixelPCA(train, math.prod(e.autoencoder.latent_shape)).measure_mse(x)
    assert values["mse"].value == pytest.approx(errors.mean().item(), rel=1e-5)
    assert values["pca_mse"].value == pytest.approx(linear.mean().item(), rel=1e-5)
    ratio = errors.mean() / linear.mean()
    assert values["mse_over_pca"].value == pytest.approx(ratio.item(), rel=1e-5)
    rows = np.random.default_rng(0).integers(0, len(x), (2000, len(x)))
    spread = (errors.numpy()[rows].mean(1) / linear.numpy()[rows].mean(1)).std()
    assert values["mse_over_pca"].error == pytest.approx(spread, rel=0.25)


def test_the_error_of_sharpness_is_the_bootstraps(run):
    e = evaluation(run)
    figures = {figure.name: figure for figure in METRICS["image"].measure(e)}
    x = e.split.get_batch(slice(None)).image
    fine, drawn = high_frequency_energy(x), high_frequency_energy(e.autoencoder.reconstruct(x))
    draw = np.random.default_rng(0)
    rows = draw.integers(0, len(x), (2000, len(x)))
    ratios = (drawn[rows].mean(1) / fine[rows].mean(1)).numpy()
    assert figures["sharpness"].error == pytest.approx(ratios.std(), rel=0.25)


def test_distances_compare_equals_and_a_perfect_model_is_at_no_distance(run, monkeypatch):
    e = evaluation(run)
    x = e.split.get_batch(slice(None)).image
    monkeypatch.setattr(type(e.model), "sample", lambda self, n, *, seed=0: x[:n])
    found = {figure.name: figure for figure in METRICS["fd"].measure(e)}
    assert found["fd_samples"].n == (len(x), len(x))
    assert found["fd_samples"].value == pytest.approx(0, abs=1e-3)
    assert found["fd_reconstructions"].value > 0.1
    assert found["fd_reconstructions"].error > 0


def test_the_seed_also_chooses_the_blocks_of_the_kernel_distance(run):
    """The floor compares the same images by every seed, so that only their blocks differ."""
    floors = []
    for seed in (0, 0, 1):
        e = evaluation(run, n=20)
        e.seed = seed
        floors.append(METRICS["kd"].measure(e)[-1].value)
    assert floors[0] == floors[1] != floors[2]


@pytest.mark.parametrize("name", ["fd", "kd"])
def test_the_floor_is_the_distance_of_as_many_training_images(run, name):
    e = evaluation(run, n=10)
    (floor,) = [r for r in METRICS[name].measure(e) if r.name == f"{name}_real"]
    train = e.images.split("train").subsample(10)
    sets = [e.extractor.extract([split[:]]) for split in (e.split.subsample(10), train)]
    estimate = builtin.estimate_frechet_distance if name == "fd" else estimate_kernel_distance
    assert floor.value == pytest.approx(estimate(*sets).value, rel=1e-6)
    assert floor.n == (10, 10)
    assert "images of the train split: the floor" in floor.note
    e = evaluation(run, n=10)
    e.split = e.images.split("train")
    floor = METRICS[name].measure(e)[-1]
    assert floor.note.startswith("images of the test split")
    e = evaluation(run, n=10)
    e.split = e.images.split("all")  # no image is apart from it
    assert [r.name for r in METRICS[name].measure(e)][-1] == f"{name}_reconstructions"


def test_small_images_have_no_structural_similarity(tmp_path):
    images, path = torch.rand(30, 1, 10, 12), tmp_path / "r"
    latentia.train("conv_vae", data=images, run=path, latent=2, epochs=1, batch=8)
    figures = METRICS["image"].measure(evaluation((RunFolder.open(path), images)))
    assert {figure.name for figure in figures} == {"mse", "psnr_db", "sharpness"}


def test_disentanglement_has_the_error_of_halves(run, monkeypatch):
    """Its function comes from elsewhere; here one whose answer is a mean."""
    seen = []

    def measure_disentanglement(means, factors, classes):
        seen.append((means.shape, sorted(factors)))
        return {"mig": float(factors["a"].mean())}

    module = types.SimpleNamespace(measure_disentanglement=measure_disentanglement, MIN_IMAGES=200)
    monkeypatch.setitem(sys.modules, "latentia.metrics.disentanglement", module)
    monkeypatch.setattr(latentia.metrics, "disentanglement", module, raising=False)
    e = evaluation(run)
    with pytest.raises(Error, match=r"needs two factor columns; .* has 0: give data with factors"):
        builtin.measure_disentanglement(e)
    e.split = e.split.with_columns(
        {"a": torch.arange(len(e.split)), "b": torch.arange(len(e.split))}
    )
    with pytest.raises(Error, match=r"at least 400 images, for the error over halves; test has 12"):
        builtin.measure_disentanglement(e)
    module.MIN_IMAGES = 1
    n = len(e.split)
    values = torch.randn(n, generator=torch.Generator().manual_seed(0))
    e.split = e.split.with_columns({"a": values, "b": torch.arange(n)})
    (figure,) = builtin.measure_disentanglement(e, halves=400)
    assert figure.value == pytest.approx(values.mean().item())
    assert figure.error == pytest.approx(values.std().item() / n**0.5, rel=0.15)
    assert (figure.n, figure.note) == (n, "2 factors")
    assert seen[0] == ((n, 3), ["a", "b"])


def test_the_error_of_active_units_is_that_of_units_at_the_threshold():
    """Posterior means of variance 0.01 times 1, 100 and 0.0001: a coin, always and never active."""
    encoder, decoder = MLPEncoder((1, 1, 3), 3, hidden=()), MLPDecoder(3, (1, 1, 3), hidden=())
    model = VAE(encoder, decoder, Bernoulli()).eval().requires_grad_(False)
    images = torch.rand(500, 1, 1, 3, generator=torch.Generator().manual_seed(0))
    scale = 0.1 / images.flatten(1).std(0, correction=0) * torch.tensor([1.0, 10.0, 0.01])
    encoder.layers[-1].weight[:] = torch.cat([scale.diag(), torch.zeros(3, 3)])
    part = Split("test", [str(k) for k in range(500)], {}, {}, images, None)
    found = elbo(model, part)
    assert found["active_units"] in (1, 2)
    assert 0.3 < found["standard_error"]["active_units"] < 0.6  # of a fair coin: 1/2
    encoder.layers[-1].weight[0] *= 2
    found = elbo(model, part)
    assert (found["active_units"], found["standard_error"]["active_units"]) == (2, 0.0)
