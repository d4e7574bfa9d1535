"""The metrics of `latentia evaluate`, one function each."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from latentia.core.contract import HasTrajectory
from latentia.core.errors import Error
from latentia.core.missing import average_pixels
from latentia.latents.encoding import encode_split
from latentia.metrics.coverage import prdc_per_image
from latentia.metrics.distribution import (
    DistanceEstimate,
    estimate_frechet_distance,
    estimate_kernel_distance,
)
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.label_probes import make_probe_result, probe_column
from latentia.metrics.memorization import memorization_statistics
from latentia.metrics.nll import measure_importance_bounds
from latentia.metrics.registry import metric
from latentia.metrics.result import (
    MetricResult,
    finite_or_none,
    join_notes,
    make_mean_result,
    make_ratio_result,
)
from latentia.metrics.sharpness import blur_to_sharpness, high_frequency_energy, measure_sharpness

BOUND_NAMES = ("nelbo_nats", "bits_per_dim", "distortion_nats", "excess_nats", "rate_nats")
MAX_FITTED = 5000  # training images of a probe
MAX_BLURRED = 500  # real images
MIN_BLIND_SHARE = 0.9  # of their precision, which blurred ones keep in features blind to blur
SSIM_WINDOW = 11  # pixels of the structural similarity's window; smaller images have no SSIM


@metric("elbo", distributed=True)
def measure_elbo(evaluation: Evaluation) -> list[MetricResult]:
    """Negative ELBO, distortion, rate (KL), mean squared error and active units."""
    bounds, note = evaluation.elbo, _describe_bound(evaluation)
    n_dims = math.prod(evaluation.autoencoder.latent_shape)
    units = {"mse_draws": "per pixel", "bits_per_dim": "bits", "active_units": f"of {n_dims}"}
    errors, n, split = bounds["standard_error"], bounds["n"], bounds["split"]
    notes = {"mse_draws": join_notes("of a draw", note)}
    return [
        MetricResult(
            name, bounds[name], errors.get(name), n, split,
            unit=units.get(name, "nats"), note=notes.get(name, note),
        )
        for name in (*BOUND_NAMES, "mse_draws", "active_units")
        if name in bounds
    ]  # fmt: skip


@metric("pca")
def measure_pca(evaluation: Evaluation) -> list[MetricResult]:
    """Mean squared error of decoded means, and of a PCA of the pixels of as many dimensions.

    Beside them that of a PCA of pretrained features, and of pixels and features together, with
    --features efficientnet, or for photographs with labels.
    """
    pca, split = evaluation.pca, evaluation.split.name
    model, linear, *others = evaluation.squared_errors.values()
    mean = partial(make_mean_result, split=split, unit="per pixel")
    rows = [mean("mse", model, note="of decoded means")]
    rows += [mean("pca_mse", linear, note=f"{pca.title}, of {pca.n_images:,} training images")]
    rows += [make_ratio_result("mse_over_pca", model, linear, split, note="below 1: better")]
    for title, errors in zip(evaluation.others, others, strict=True):
        rows.append(mean(f"{title.split()[0]}_pca_mse", errors, note=title))
    return rows


@metric("probe")
def measure_label_probes(evaluation: Evaluation) -> list[MetricResult]:
    """Each label read linearly from posterior means, beside a PCA's coordinates and chance.

    Ridge or logistic regression by nested cross-validation, as `relate` has them.
    """
    pairs, name = evaluation.label_probes, evaluation.split.name
    if not pairs:
        raise Error(
            f"probe needs a label column of two values or classes and 20 images; {name} has none: "
            "give data with labels."
        )
    return [pair.to_result(name) for pair in pairs]


@metric("nuisance")
def measure_nuisance(evaluation: Evaluation) -> list[MetricResult]:
    """The condition of --cond read linearly from posterior means of held-out images.

    The probe is fitted to training images. Beside it: chance, and the other labels.
    """
    column, split = evaluation.run.condition, evaluation.split
    if column is None:
        reason = f"nuisance needs a run of --cond, and {evaluation.run.path} is none"
        raise Error(f"{reason}; give --metrics probe, which reads every label.")
    train = evaluation.training_images.split("train").subsample(MAX_FITTED)
    model = evaluation.autoencoder
    fitted, held_out = ((each, encode_split(model, each).mean) for each in (train, split))
    probes = {name: probe_column(name, fitted, held_out, evaluation.seed) for name in train.columns}
    if (own := probes.pop(column, None)) is None:
        raise Error(f"{split.name} has too few images with {column}; give another --split.")
    others = {name: probe for name, probe in probes.items() if probe}
    note = "fitted to training images"
    return [make_probe_result(f"nuisance_{column}", own, split.name, note, others)]


@metric("nll", distributed=True)
def measure_nll(evaluation: Evaluation) -> list[MetricResult]:
    """Upper bound on the negative log-likelihood, by importance sampling."""
    e, split = evaluation, evaluation.split
    note = join_notes(f"K = {e.k:,}", _describe_bound(e))
    bounds, shares = measure_importance_bounds(e.autoencoder, split, k=e.k, n=e.n, seed=e.seed)
    beside = {"largest weight": (shares.mean().item(),)}
    return [make_mean_result("nll_nats", bounds, split.name, unit="nats", note=note, beside=beside)]


@metric("fd")
def measure_frechet_distance(evaluation: Evaluation) -> list[MetricResult]:
    """Fréchet distance of samples, reconstructions and other real images to the split's images."""
    estimate = partial(estimate_frechet_distance, seed=evaluation.seed)
    return _compare_sets(evaluation, "fd", estimate)


@metric("kd")
def measure_kernel_distance(evaluation: Evaluation) -> list[MetricResult]:
    """Kernel distance of samples, reconstructions and other real images to the split's images."""
    estimate = partial(estimate_kernel_distance, seed=evaluation.seed)
    return _compare_sets(evaluation, "kd", estimate)


def _compare_sets(
    evaluation: Evaluation, name: str, estimate: Callable[..., DistanceEstimate]
) -> list[MetricResult]:
    real, split, extractor = evaluation.real_features, evaluation.split, evaluation.extractor
    if len(real) < 2:
        raise Error(f"{name} needs more than 1 image; {split.name} has {len(real)}.")
    feature_sets: dict[str, Any] = {"samples": (evaluation.sample_features, "")}
    if evaluation.has_encoder:
        feature_sets["reconstructions"] = evaluation.reconstruction_features, ""
    if (other := evaluation.other_images) is not None:
        note = f"images of the {other.name} split: the floor, as perfect samples score"
        is_learned = (other.name, extractor.name) == ("train", "classifier")
        note += ", or too high, since it taught the features" if is_learned else ""
        feature_sets["real"] = evaluation.other_features, note
    results = []
    for kind, (features, note) in feature_sets.items():
        value, error, n = estimate(real, features)
        fields: Any = {"features": extractor.name, "note": join_notes(note, extractor.note)}
        value, error = finite_or_none(value), finite_or_none(error)
        results.append(MetricResult(f"{name}_{kind}", value, error, n, split.name, **fields))
    return results


@metric("prdc")
def measure_prdc(evaluation: Evaluation, k: int = 5) -> list[MetricResult]:
    """Precision, recall, density, coverage and sharpness of samples.

    Errors are over the images, or the samples, that a value is the mean of, with the other set
    held fixed. sharpness_samples is the mean energy above 0.25 cycles a pixel over that of the
    split's images. Of blurred samples, precision says what it is for real images that are blurred
    as much: where that is no lower than for sharp ones, the features do not see blur.
    """
    real, samples, split = evaluation.real_features, evaluation.sample_features, evaluation.split
    if len(real) <= k:
        raise Error(f"prdc needs more than {k} images; {split.name} has {len(real)}.")
    extractor = evaluation.extractor
    sharpness = measure_sharpness(evaluation.samples, evaluation.iterate_images(), split.name)
    fields = {"features": extractor.name, "note": join_notes(f"k = {k}", extractor.note)}
    results = [
        make_mean_result(name, values, split.name, **fields)._replace(n=(len(real), len(samples)))
        for name, values in prdc_per_image(real, samples, k).items()
    ]
    if sharpness.interval is not None and sharpness.interval[1] < 1:
        note, beside = _measure_blindness(evaluation, sharpness.value or 0, k)
        note = join_notes(results[0].note, note)
        results[0] = results[0]._replace(note=note, beside=beside)
    return [*results, sharpness]


def _measure_blindness(evaluation: Evaluation, sharpness: float, k: int) -> tuple[str, dict]:
    """Return a note and the precision of real images, sharp and blurred to this sharpness."""
    other = evaluation.other_images
    if other is None or len(other) <= k:
        return "", {}
    images, size = other.subsample(MAX_BLURRED)[:], evaluation.split.max_batch_size()
    real, extract = evaluation.real_features, evaluation.extractor.extract
    sharp, blurred = (
        prdc_per_image(real, extract(x.split(size)), k)["precision"].mean().item()
        for x in (images, blur_to_sharpness(images, sharpness))
    )
    is_blind = blurred > MIN_BLIND_SHARE * sharp
    note = "these features do not see that the samples are blurred" if is_blind else ""
    return note, {"other real images": (sharp,), "the same, blurred as the samples": (blurred,)}


@metric("image")
def measure_reconstructions(evaluation: Evaluation) -> list[MetricResult]:
    """Mean squared error, PSNR, SSIM and sharpness of reconstructions.

    Sharpness is a ratio of means, so its error comes from the ratio's derivative (delta method).
    SSIM and sharpness are left out where pixels are missing, whose neighbours they compare.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    chunks: dict[str, list] = {}
    for x, mask in zip(evaluation.iterate_images(), evaluation.iterate_masks(), strict=True):
        y = evaluation.autoencoder.reconstruct(x)
        mse = average_pixels((x - y).double().square(), *mask)
        values: dict[str, Any] = {"mse": mse, "psnr_db": -10 * mse.log10()}
        if not mask and min(x.shape[2:]) >= SSIM_WINDOW:
            values["ssim"] = ssim(y, x, data_range=1.0, reduction="none")
        values |= {"energy x": high_frequency_energy(x), "energy y": high_frequency_energy(y)}
        for name, value in values.items():
            chunks.setdefault(name, []).append(value.reshape(-1))
    values = {name: torch.cat(parts) for name, parts in chunks.items()}
    energy_x, energy_y = values.pop("energy x"), values.pop("energy y")
    units, split = {"mse": "per pixel", "psnr_db": "dB"}, evaluation.split.name
    results = [
        make_mean_result(name, value, split, unit=units.get(name, ""), note="of decoded means")
        for name, value in values.items()
    ]
    if evaluation.mask is not None:
        return results
    note = "energy above 0.25 cycles a pixel, over the originals'"
    return [*results, make_ratio_result("sharpness", energy_y, energy_x, split, note=note)]


@metric("memorisation")
def measure_memorization(evaluation: Evaluation) -> list[MetricResult]:
    """Tests of whether samples copy training images, against held-out images."""
    e = evaluation
    feature_sets = e.training_features, e.real_features, e.sample_features
    test = memorization_statistics(*(x.double().numpy() for x in feature_sets))
    share, n = test.near_copy_share, (len(e.real_features), len(e.sample_features))
    share_error = (share * (1 - share) / n[1]) ** 0.5
    expected_note = f"{test.expected_near_copy_share:.2g} without copies"
    rows = [
        ("nearer_than_held_out", test.nearer_share, test.nearer_share_error, "0.5 without copies"),
        ("nearer_p", test.nearer_p, None, "Mann-Whitney, one-sided"),
        ("near_copies", share, share_error, expected_note),
        ("near_copies_p", test.near_copy_p, None, "exact, one-sided"),
    ]
    return [
        MetricResult(name, value, error, n, e.split.name, features=e.extractor.name, note=note)
        for name, value, error, note in rows
    ]


@metric("disentanglement")
def measure_disentanglement(evaluation: Evaluation, halves: int = 10) -> list[MetricResult]:
    """MIG, SAP and DCI of posterior means against the split's factor columns.

    error: the standard deviation over random halves of the images, which equals the standard error
    for all images.
    """
    from latentia.metrics import disentanglement  # random forests take long to import

    split = evaluation.split
    factors = {name: v.numpy() for name, v in split.columns.items() if v.ndim == 1}
    if len(factors) < 2:
        source = evaluation.images.source.name
        raise Error(
            f"disentanglement needs two factor columns; {source} has {len(factors)}: "
            "give data with factors, such as sprites."
        )
    if len(split) < 2 * disentanglement.MIN_IMAGES:
        raise Error(
            f"disentanglement needs at least {2 * disentanglement.MIN_IMAGES} images, for the "
            f"error over halves; {split.name} has {len(split)}."
        )
    means = encode_split(evaluation.autoencoder, split).mean
    rng = np.random.default_rng(evaluation.seed)
    scores, half_scores = disentanglement.measure_disentanglement(means, factors, split.classes), []
    for _ in range(halves):
        rows = rng.permutation(len(means))[: len(means) // 2]
        half_factors = {k: v[rows] for k, v in factors.items()}
        half_scores.append(
            disentanglement.measure_disentanglement(means[rows], half_factors, split.classes)
        )
    note, results = f"{len(factors)} factors", []
    for name, value in scores.items():
        error = finite_or_none(float(np.std([half[name] for half in half_scores], ddof=1)))
        value = finite_or_none(value)
        results.append(MetricResult(name, value, error, len(means), split.name, note=note))
    return results


def _describe_bound(evaluation: Evaluation) -> str:
    """Return which likelihood a bound is for, where that could be mistaken."""
    binary = "binarised once" if "binarised" in evaluation.autoencoder.metadata() else ""
    is_prior = isinstance(evaluation.model, HasTrajectory)
    return join_notes(binary, "of its autoencoder" if is_prior else "")
