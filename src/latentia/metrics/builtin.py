"""What can be measured of a run, by name; each figure with its n, split, features and error."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from latentia.core.contract import HasTrajectory
from latentia.core.errors import Error
from latentia.core.text import suggest_name
from latentia.metrics.coverage import prdc_per_image
from latentia.metrics.distribution import (
    DistanceEstimate,
    estimate_frechet_distance,
    estimate_kernel_distance,
)
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.memorization import memorization_statistics
from latentia.metrics.nll import nll
from latentia.metrics.result import MetricResult, finite_or_none, make_mean_result
from latentia.metrics.sharpness import high_frequency_energy
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import write_json
from latentia.training.launch import run_on_rank0_without_collectives

SSIM_WINDOW = 11  # pixels of the structural similarity's window: smaller images have none


def measure_metrics(evaluation: Evaluation, names: Sequence[str]) -> dict[str, Any]:
    """For JSON: what `elbo` returns, if it is asked for, and `metrics`: name -> its figures.

    Several processes share what is a mean over images; what compares sets has figures in the first
    process alone.

    Raises: Error if a name is unknown, or the model or the images can't be measured so.
    """
    for name in names:
        if name not in METRICS:
            suggestion = suggest_name(name, METRICS, " did you mean {}?")
            raise Error(
                f"There is no metric {name};{suggestion} --metrics takes {', '.join(METRICS)}."
            )

    results_by_metric = {}
    for name in names:
        results = (
            METRICS[name](evaluation)
            if name in DISTRIBUTED_METRICS
            else run_on_rank0_without_collectives(partial(METRICS[name], evaluation))
        )
        results_by_metric[name] = [result._asdict() for result in results or ()]
    return {**(evaluation.elbo if "elbo" in names else {}), "metrics": results_by_metric}


def save_metrics(run: RunFolder, result: dict[str, Any]) -> None:
    """In evaluation.json, beside the metrics that were measured before."""
    path = run.path / "evaluation.json"
    try:
        previous_metrics = dict(json.loads(path.read_text()))
        metrics = {**previous_metrics.get("metrics", {}), **result.get("metrics", {})}
    except (OSError, ValueError, TypeError):  # none yet, or spoilt
        previous_metrics, metrics = {}, result.get("metrics", {})
    write_json(path, {**previous_metrics, **result, **({"metrics": metrics} if metrics else {})})


def _measure_elbo(evaluation: Evaluation) -> list[MetricResult]:
    bounds, note = evaluation.elbo, _describe_bound(evaluation)
    names = ("nelbo_nats", "distortion_nats", "rate_nats", "mse", "active_units")
    units = {"mse": "per pixel", "active_units": f"of {len(bounds['rate_by_dimension'])}"}
    errors, n_and_split = bounds["standard_error"], (bounds["n"], bounds["split"])
    mse_note = "; ".join(filter(None, ("of a draw", note)))  # the image metrics have one of means
    return [
        MetricResult(
            k, bounds[k], errors.get(k), *n_and_split, unit=units.get(k, "nats"), note=result_note
        )
        for k, result_note in ((k, mse_note if k == "mse" else note) for k in names)
    ]


def _measure_nll(evaluation: Evaluation) -> list[MetricResult]:
    note = "; ".join(filter(None, (f"K = {evaluation.k:,}", _describe_bound(evaluation))))
    values = nll(
        evaluation.autoencoder,
        evaluation.split,
        k=evaluation.k,
        n=evaluation.n,
        seed=evaluation.seed,
    )
    return [make_mean_result("nll_nats", values, evaluation.split.name, unit="nats", note=note)]


def _measure_frechet_distance(evaluation: Evaluation) -> list[MetricResult]:
    return _compare_sets(
        evaluation,
        "fd",
        lambda real, samples: estimate_frechet_distance(real, samples, seed=evaluation.seed),
    )


def _measure_kernel_distance(evaluation: Evaluation) -> list[MetricResult]:
    return _compare_sets(evaluation, "kd", estimate_kernel_distance)


def _compare_sets(
    evaluation: Evaluation, name: str, distance: Callable[..., DistanceEstimate]
) -> list[MetricResult]:
    """Of samples, and where there is an encoder of reconstructions, to the split's images."""
    if len(evaluation.real_features) < 2:
        raise Error(
            f"{name} needs more than 1 image; {evaluation.split.name} has {len(evaluation.real_features)}."
        )
    feature_sets = {
        "samples": evaluation.sample_features,
        **(
            {"reconstructions": evaluation.reconstruction_features}
            if evaluation.has_encoder
            else {}
        ),
    }
    estimates = {
        set_name: distance(evaluation.real_features, features)
        for set_name, features in feature_sets.items()
    }
    shared_fields = {
        "split": evaluation.split.name,
        "features": evaluation.extractor.name,
        "note": evaluation.extractor.note,
    }
    return [
        MetricResult(
            f"{name}_{set_name}",
            finite_or_none(estimate.value),
            finite_or_none(estimate.error),
            estimate.n,
            **shared_fields,
        )
        for set_name, estimate in estimates.items()
    ]


def _measure_prdc(evaluation: Evaluation, k: int = 5) -> list[MetricResult]:
    """Errors are over the images, or the samples, that are judged, the other set held fixed."""
    if len(evaluation.real_features) <= k:
        raise Error(
            f"prdc needs more than {k} images; {evaluation.split.name} has {len(evaluation.real_features)}."
        )
    values_by_metric = prdc_per_image(
        evaluation.real_features, evaluation.sample_features, k
    )._asdict()
    note = "; ".join(filter(None, (f"k = {k}", evaluation.extractor.note)))
    shared_fields = {"features": evaluation.extractor.name, "note": note}
    n = len(evaluation.real_features), len(evaluation.sample_features)
    results = [
        make_mean_result(name, values, evaluation.split.name, **shared_fields)
        for name, values in values_by_metric.items()
    ]
    return [result._replace(n=n) for result in results]


def _measure_reconstructions(evaluation: Evaluation) -> list[MetricResult]:
    """Of reconstructions, an image each, against the originals; sharpness is a ratio of means."""
    chunks_by_metric: dict[str, list] = {}
    for originals in evaluation.iterate_images():
        reconstructions = evaluation.autoencoder.reconstruct(originals)
        mse = (originals - reconstructions).double().square().flatten(1).mean(1)
        values = {"mse": mse, "psnr_db": -10 * mse.log10()}
        if min(originals.shape[2:]) >= SSIM_WINDOW:
            values["ssim"] = ssim(reconstructions, originals, data_range=1.0, reduction="none")
        values |= {
            "fine x": high_frequency_energy(originals),
            "fine y": high_frequency_energy(reconstructions),
        }
        for name, value in values.items():
            chunks_by_metric.setdefault(name, []).append(value.reshape(-1))
    values_by_metric = {name: torch.cat(values) for name, values in chunks_by_metric.items()}
    original_energy, reconstruction_energy = (
        values_by_metric.pop("fine x"),
        values_by_metric.pop("fine y"),
    )
    units = {"mse": "per pixel", "psnr_db": "dB"}
    results = [
        make_mean_result(
            k, v, evaluation.split.name, unit=units.get(k, ""), note="of decoded means"
        )
        for k, v in values_by_metric.items()
    ]
    ratio = (reconstruction_energy.mean() / original_energy.mean()).item()
    ratio_per_image = (
        reconstruction_energy - ratio * original_energy
    ) / original_energy.mean()  # the ratio's derivative, image by image
    note = "energy above 0.25 cycles a pixel, over the originals'"
    sharpness = make_mean_result("sharpness", ratio_per_image, evaluation.split.name, note=note)
    return [*results, sharpness._replace(value=finite_or_none(ratio))]


def _measure_memorization(evaluation: Evaluation) -> list[MetricResult]:
    statistics = memorization_statistics(
        *(
            x.double().numpy()
            for x in (
                evaluation.training_features,
                evaluation.real_features,
                evaluation.sample_features,
            )
        )
    )
    copy_share = statistics.near_copy_share
    n, shared_fields = (
        (len(evaluation.real_features), len(evaluation.sample_features)),
        {"split": evaluation.split.name, "features": evaluation.extractor.name},
    )
    copy_share_error = (copy_share * (1 - copy_share) / len(evaluation.sample_features)) ** 0.5
    expected_note = f"{statistics.expected_near_copy_share:.2g} if honest"
    rows = [
        (
            "nearer_than_held_out",
            statistics.nearer_share,
            statistics.nearer_share_error,
            "0.5 if honest",
        ),
        ("nearer_p", statistics.nearer_p, None, "Mann-Whitney, one-sided"),
        ("near_copies", copy_share, copy_share_error, expected_note),
        ("near_copies_p", statistics.near_copy_p, None, "exact, one-sided"),
    ]
    return [
        MetricResult(name, v, error, n, **shared_fields, note=note) for name, v, error, note in rows
    ]


def _measure_disentanglement(evaluation: Evaluation, halves: int = 10) -> list[MetricResult]:
    """error: the spread over random halves of the images, which is that of the mean of all."""
    from latentia.metrics.disentanglement import (  # forests: slow to import
        MIN_IMAGES,
        measure_disentanglement,
    )

    split = evaluation.split
    factors = {name: v.numpy() for name, v in split.columns.items() if v.ndim == 1}
    if len(factors) < 2:
        raise Error(
            f"disentanglement needs two factor columns; {evaluation.images.source.name} has {len(factors)}: "
            "give data with factors, such as sprites."
        )
    if len(split) < 2 * MIN_IMAGES:
        raise Error(
            f"disentanglement needs at least {2 * MIN_IMAGES} images, for its error of halves; "
            f"{split.name} has {len(split)}."
        )
    with torch.no_grad():
        mean_batches = [
            evaluation.autoencoder.encode(batch.image).mean.flatten(1)
            for batch in split.iterate_batches(split.max_batch_size())
        ]
    means, rng = torch.cat(mean_batches).numpy(), np.random.default_rng(evaluation.seed)
    scores, scores_of_halves = measure_disentanglement(means, factors), []
    for _ in range(halves):
        half_rows = rng.permutation(len(means))[: len(means) // 2]
        scores_of_halves.append(
            measure_disentanglement(means[half_rows], {k: v[half_rows] for k, v in factors.items()})
        )
    return [
        MetricResult(
            name,
            finite_or_none(value),
            finite_or_none(
                float(np.std([half_scores[name] for half_scores in scores_of_halves], ddof=1))
            ),
            len(means),
            split.name,
            note=f"{len(factors)} factors",
        )
        for name, value in scores.items()
    ]


def _describe_bound(evaluation: Evaluation) -> str:
    """What a bound is a bound of, where that could be mistaken."""
    binary_note = "binarised once" if "binarised" in evaluation.autoencoder.metadata() else ""
    autoencoder_note = "of its autoencoder" if isinstance(evaluation.model, HasTrajectory) else ""
    return "; ".join(filter(None, (binary_note, autoencoder_note)))


METRICS: dict[str, Callable[[Evaluation], list[MetricResult]]] = {
    "elbo": _measure_elbo,
    "nll": _measure_nll,
    "fd": _measure_frechet_distance,
    "kd": _measure_kernel_distance,
    "prdc": _measure_prdc,
    "image": _measure_reconstructions,
    "memorisation": _measure_memorization,
    "disentanglement": _measure_disentanglement,
}
DISTRIBUTED_METRICS = ("elbo", "nll")  # a mean over images, that each process can do a part of
