"""Choice of the beta for a purpose, by a metric of every candidate on held-out images."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from latentia.core.errors import Error
from latentia.core.label_kinds import read_numbers
from latentia.core.text import suggest_name
from latentia.data.labels import SOURCE_LABELS, Labels
from latentia.latents.encoding import encode_split
from latentia.latents.probes import MIN_IMAGES, find_labelled_rows, probe_labels
from latentia.metrics.beta_choice import BetaChoice, Candidate
from latentia.metrics.disentanglement import mig, select_factors
from latentia.metrics.distribution import frechet_distance
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.measure import measure_metrics
from latentia.metrics.rate_distortion import log_spaced_betas
from latentia.runs.folder import RunFolder
from latentia.runs.open import open_run
from latentia.sweep.design import SWEEP_FILE
from latentia.training.checkpoint import read_metadata

Score = tuple[float, float | None]  # value and standard error


@dataclass(frozen=True)
class ImageSelection:
    """Images to measure on: a split of the run's data (or of `data`), its labels, at most n."""

    data: Any = None
    split: str | None = "validation"
    labels: Labels = SOURCE_LABELS
    n: int | None = None


class Purpose(NamedTuple):
    """metric, rule: texts; measure: a function (evaluation, label) -> value, standard error."""

    metric: str
    rule: str
    measure: Callable[[Evaluation, str], Score]


def find_candidates(path: str | Path, n_betas: int) -> list[tuple[float, RunFolder]]:
    """Find betas and runs: of a run with a range of betas, or the complete runs of a sweep.

    Parameters
    ----------
    path : str or Path
        folder of a run that was trained with the modifier `multirate`, or of a sweep over beta
    n_betas : int
        number of betas of such a run, evenly spaced on a logarithmic scale

    Returns
    -------
    list of (float, RunFolder)
        betas with their runs, for `choose_beta`

    Raises
    ------
    Error
        if the folder is neither

    Examples
    --------
    >>> import latentia
    >>> latentia.find_candidates("runs/digits", 5)
    Traceback (most recent call last):
    latentia.core.errors.Error: runs/digits was trained for a single beta, so there is ...
    """
    path = Path(path).expanduser()
    if (path / SWEEP_FILE).exists():
        states = sorted(path.glob("*/state.safetensors"))
        runs = [open_run(s.parent) for s in states if read_metadata(s).get("complete")]
        arguments = [(run.metadata["arguments"], run) for run in runs]
        pairs = [(values["beta"], run) for values, run in arguments if "beta" in values]
        if not pairs:
            raise Error(f"{path} holds no complete run with a beta; sweep --over beta=log:0.05:20.")
        return sorted(pairs, key=lambda pair: pair[0])
    run = open_run(path)
    if run.beta_range is None:
        raise Error(
            f"{path} was trained for a single beta, so there is no choice; train with "
            "--multirate 0.05:20, or give the folder of a sweep over beta."
        )
    return [(beta, run.with_beta(beta)) for beta in log_spaced_betas(run.beta_range, n_betas)]


def choose_beta(
    candidates: Sequence[tuple[float, RunFolder]],
    purpose: str,
    selection: ImageSelection | None = None,
    *,
    features: str = "auto",
    tolerance: float = 0.02,
    seed: int = 0,
) -> BetaChoice:
    """Choose the beta for a purpose by a stated rule.

    Parameters
    ----------
    candidates : sequence of (float, RunFolder)
        betas with their runs, such as those of `find_candidates`
    purpose : str
        "reconstruction", "sampling", "disentangling", or "regression:LABEL" with a label column
    selection : ImageSelection, optional
        images to measure on; the default is the validation split
    features : str
        feature space of distances, as in `Run.evaluate`
    tolerance : float
        fraction by which an error of reconstruction may exceed the least one
    seed : int
        seed of the random numbers

    Returns
    -------
    BetaChoice
        the chosen beta, and the value at every candidate

    Raises
    ------
    Error
        if there is no such purpose or label, or the split holds no image

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> latentia.choose_beta([(1.0, run.folder)], "reconstruction").chosen.beta
    1.0
    """
    kind, _, label = purpose.partition(":")
    if kind not in PURPOSES or (kind == "regression") != bool(label):
        others = PURPOSES.keys() - {kind}
        suggestion = suggest_name(kind, sorted(others), " did you mean {}?")
        raise Error(
            f"--for is {purpose};{suggestion} it must be reconstruction, sampling, disentangling, "
            "or regression: with a label column, such as regression:Year."
        )
    selection, run = selection or ImageSelection(), candidates[0][1]
    split = run.split(selection.split, selection.data, labels=selection.labels)
    split = split if selection.n is None else split.subsample(selection.n)
    images, (metric, rule, measure) = run.images(selection.data), PURPOSES[kind]
    scored = []
    for beta, run in candidates:
        evaluation = Evaluation(run, images, split, features, selection.n, seed=seed)
        scored.append(Candidate(beta, *measure(evaluation, label)))
    if kind == "reconstruction":
        limit = (1 + tolerance) * min(each.value for each in scored)
        best, rule = [c for c in scored if c.value <= limit][-1], rule.format(f"{tolerance:.0%}")
    else:
        sign = -1 if kind == "sampling" else 1
        best = max(scored, key=lambda candidate: sign * candidate.value)
    name, n, note = split.name, len(split), split.note
    if kind == "sampling" and evaluation.other_features is not None:
        floor = frechet_distance(evaluation.real_features, evaluation.other_features)
        note += f" The distance of other real images is {floor:.3g}, as perfect samples score."
    return BetaChoice(purpose, metric.format(label), rule, name, n, best, scored, note.strip())


def _make_metric_reader(metric: str, name: str) -> Callable[[Evaluation, str], Score]:
    def read_metric(evaluation: Evaluation, label: str) -> Score:
        rows = measure_metrics(evaluation, [metric])["metrics"][metric]
        row = next(row for row in rows if row["name"] == name)
        return float("nan") if row["value"] is None else row["value"], row["error"]

    return read_metric


@torch.no_grad()
def _score_regression(evaluation: Evaluation, label: str) -> Score:
    """Predict a label from the nearest posterior means, out of fold: R², or accuracy of names."""
    split = evaluation.split
    columns = {name: v.numpy() for name, v in split.columns.items() if v.ndim == 1}
    if label not in columns:
        raise Error(
            f"--for regression:{label} names no label; there are {', '.join(columns) or 'none'}: "
            "name one of them, or give a table with --labels FILE."
        )
    values, names = columns[label], split.classes.get(label)
    with suppress(Error):  # a regression reads numbers where it can
        values, names = read_numbers(label, values, names) if names else values, None
    try:
        rows, kind = find_labelled_rows(values, label, {label: names})
    except Error as problem:
        text = f"needs {MIN_IMAGES} images with finite values that differ; {split.name}: {problem}"
        raise Error(f"--for regression:{label} {text}") from None
    means = encode_split(evaluation.autoencoder, split).mean[rows]
    probe = probe_labels(means, values[rows], kind == "class", evaluation.seed, "neighbors")
    return probe.score, (probe.high - probe.low) / (2 * 1.96)


@torch.no_grad()
def _score_disentangling(evaluation: Evaluation, label: str) -> Score:
    """Mutual information gap; its error is the spread over random halves of the images.

    That spread equals the standard error of the mean over all images.
    """
    split, rng = evaluation.split, np.random.default_rng(evaluation.seed)
    factors = {name: v.numpy() for name, v in split.columns.items() if v.ndim == 1}
    if len(factors) < 2 or len(split) < 2 * MIN_IMAGES:
        raise Error(
            f"--for disentangling needs two factor columns and {2 * MIN_IMAGES} images; "
            f"{evaluation.images.source.name} has {len(factors)} and {len(split)}: give data with "
            "factors, such as sprites."
        )
    factors = select_factors(factors, split.classes, MIN_IMAGES)
    means = encode_split(evaluation.autoencoder, split).mean
    halves = [rng.permutation(len(means))[: len(means) // 2] for _ in range(10)]
    gaps = [mig(means[half], {k: v[half] for k, v in factors.items()}) for half in halves]
    return mig(means, factors), float(np.std(gaps, ddof=1))


PURPOSES = {
    "reconstruction": Purpose(
        "mean squared error of decoded posterior means",
        "the largest beta whose error is within {} of the least",
        _make_metric_reader("image", "mse"),
    ),
    "sampling": Purpose(
        "Fréchet distance of samples of the prior",
        "the least distance",
        _make_metric_reader("fd", "fd_samples"),
    ),
    "disentangling": Purpose("mutual information gap", "the largest gap", _score_disentangling),
    "regression": Purpose(
        "out-of-fold prediction of {} from nearest neighbours among posterior means",
        "the best prediction",
        _score_regression,
    ),
}
