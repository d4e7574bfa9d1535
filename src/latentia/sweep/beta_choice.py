"""Which beta serves a purpose: measured, for each candidate, on images that were not trained on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentia.core.errors import Error
from latentia.core.mutual_information import infer_column_type
from latentia.core.text import suggest_name
from latentia.data import Split
from latentia.data.labels import SOURCE_LABELS, Labels
from latentia.latents.association import MIN_IMAGES, score_prediction
from latentia.latents.encoding import encode_split
from latentia.metrics.beta_choice import BetaChoice, Candidate
from latentia.metrics.disentanglement import mig
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.measure import measure_metrics
from latentia.metrics.rate_distortion import log_spaced_betas
from latentia.runs.folder import RunFolder
from latentia.runs.open import open_run
from latentia.sweep.design import SWEEP_FILE
from latentia.training.checkpoint import read_metadata


def find_candidates(path: str | Path, n_betas: int) -> list[tuple[float, RunFolder]]:
    """The betas of a run that has learned a range, or the complete runs of a sweep over beta.

    Raises: Error if the folder is neither.
    """
    path = Path(path)
    if (path / SWEEP_FILE).exists():
        states = sorted(path.glob("*/state.safetensors"))
        runs = [
            RunFolder.open(each.parent) for each in states if read_metadata(each).get("complete")
        ]
        if runs_by_beta := sorted(
            (
                (run.metadata["arguments"]["beta"], run)
                for run in runs
                if "beta" in run.metadata["arguments"]
            ),
            key=lambda each: each[0],
        ):
            return runs_by_beta
        raise Error(
            f"{path} holds no complete run with a beta; sweep over it: --over beta=log:0.05:20."
        )
    run = open_run(path)
    if run.beta_range is None:
        raise Error(
            f"{path} has learned one beta alone, so there is none to choose; train with "
            "--multirate 0.05:20, or give the folder of a sweep over beta."
        )
    return [(beta, run.with_beta(beta)) for beta in log_spaced_betas(run.beta_range, n_betas)]


def choose_beta(
    candidates: Sequence[tuple[float, RunFolder]],
    purpose: str,
    *,
    data: Any = None,
    split: str = "validation",
    labels: Labels = SOURCE_LABELS,
    features: str = "auto",
    n_images: int | None = None,
    tolerance: float = 0.02,
    seed: int = 0,
) -> BetaChoice:
    """The beta of a purpose: `reconstruction`, `sampling`, `disentangling` or `regression:LABEL`.

    Raises: Error if there is no such purpose or label, or the split holds no image.
    """
    kind, _, label = purpose.partition(":")
    if kind not in PURPOSES or (kind == "regression") != bool(label):
        suggestion = suggest_name(kind, PURPOSES, " did you mean {}?")
        raise Error(
            f"--for is {purpose};{suggestion} it must be reconstruction, sampling, disentangling, or "
            "regression: with a label column, such as regression:Year."
        )
    first_run = candidates[0][1]
    data_split, images = first_run.split(split, data, labels=labels), first_run.images(data)
    data_split = data_split if n_images is None else data_split.subsample(n_images)
    metric_name, rule, measure_purpose = PURPOSES[kind]
    results = []
    for beta, run in candidates:
        value, error = measure_purpose(
            Evaluation(run, images, data_split, features, n_images, seed=seed), label
        )
        results.append(Candidate(beta, value, error))
    if kind == "reconstruction":
        smallest_error = min(each.value for each in results)
        acceptable = [each for each in results if each.value <= (1 + tolerance) * smallest_error]
        best, rule = acceptable[-1], rule.format(f"{tolerance:.0%}")
    else:
        sign = -1 if kind == "sampling" else 1
        best = max(results, key=lambda each: sign * each.value)
    metric_name = metric_name.format(label)
    return BetaChoice(
        purpose, metric_name, rule, data_split.name, len(data_split), best, results, data_split.note
    )


def _make_metric_reader(
    metric: str, name: str
) -> Callable[[Evaluation, str], tuple[float, float | None]]:
    def read_metric(evaluation: Evaluation, label: str) -> tuple[float, float | None]:
        rows = measure_metrics(evaluation, [metric])["metrics"][metric]
        row = next(row for row in rows if row["name"] == name)
        return float("nan") if row["value"] is None else row["value"], row["error"]

    return read_metric


@torch.no_grad()
def _score_regression(evaluation: Evaluation, label: str) -> tuple[float, float | None]:
    """How well nearest neighbours among posterior means tell a label, out of fold."""
    data_split: Split = evaluation.split
    columns = {name: v.numpy() for name, v in data_split.columns.items() if v.ndim == 1}
    if label not in columns:
        raise Error(
            f"--for regression:{label} names no label; there are {', '.join(columns) or 'none'}: "
            "name one of them, or give a table with --labels FILE."
        )
    values = columns[label]
    kind = infer_column_type(values, data_split.classes.get(label))
    if len(values) < MIN_IMAGES:
        requirement = f"needs {MIN_IMAGES} images; {data_split.name} has {len(values)}."
        raise Error(f"--for regression:{label} {requirement}")
    if not np.isfinite(values).all() or len(np.unique(values)) < 2:
        raise Error(f"--for regression:{label}: it holds NaN, infinity or a single value.")
    prediction = score_prediction(
        encode_split(evaluation.autoencoder, data_split).mean.astype(np.float64),
        values,
        kind,
        evaluation.seed,
    )
    return prediction.value, (prediction.high - prediction.low) / (2 * 1.96)


@torch.no_grad()
def _score_disentangling(evaluation: Evaluation, label: str) -> tuple[float, float | None]:
    """error: the spread over random halves of the images, which is that of the mean of all."""
    factors = {name: v.numpy() for name, v in evaluation.split.columns.items() if v.ndim == 1}
    if len(factors) < 2 or len(evaluation.split) < 2 * MIN_IMAGES:
        raise Error(
            f"--for disentangling needs two factor columns and {2 * MIN_IMAGES} images; "
            f"{evaluation.images.source.name} has {len(factors)} and {len(evaluation.split)}: give data with factors, "
            "such as sprites."
        )
    means, rng = (
        encode_split(evaluation.autoencoder, evaluation.split).mean,
        np.random.default_rng(evaluation.seed),
    )
    halves = [rng.permutation(len(means))[: len(means) // 2] for _ in range(10)]
    half_gaps = [mig(means[half], {k: v[half] for k, v in factors.items()}) for half in halves]
    return mig(means, factors), float(np.std(half_gaps, ddof=1))


PURPOSES: dict[str, tuple[str, str, Callable[[Evaluation, str], tuple[float, float | None]]]] = {
    "reconstruction": (
        "mean squared error of decoded means",
        "the largest beta whose error is within {} of the least",
        _make_metric_reader("image", "mse"),
    ),
    "sampling": (
        "Fréchet distance of samples of the prior",
        "the least distance",
        _make_metric_reader("fd", "fd_samples"),
    ),
    "disentangling": ("mutual information gap", "the largest gap", _score_disentangling),
    "regression": (
        "{} told by nearest neighbours among posterior means, out of fold",
        "the best prediction",
        _score_regression,
    ),
}
