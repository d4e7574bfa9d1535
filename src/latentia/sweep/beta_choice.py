"""Which beta serves a purpose: measured, for each candidate, on images that were not trained on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentia.core.errors import Error
from latentia.core.mutual_information import kind_of
from latentia.data import Split
from latentia.data.labels import UNLABELLED, Labels
from latentia.latents.association import FEWEST, score
from latentia.latents.encoding import codes
from latentia.metrics.beta_choice import Candidate, Choice
from latentia.metrics.builtin import measure
from latentia.metrics.disentanglement import mig
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.rate_distortion import betas
from latentia.runs.folder import RunFolder
from latentia.runs.open import open_run
from latentia.sweep.design import SWEEP
from latentia.training.checkpoint import read_about
from latentia.training.parameter_types import nearest


def candidates(path: str | Path, points: int) -> list[tuple[float, RunFolder]]:
    """The betas of a run that has learned a range, or the complete runs of a sweep over beta.

    Raises: Error if the folder is neither.
    """
    path = Path(path)
    if (path / SWEEP).exists():
        states = sorted(path.glob("*/state.safetensors"))
        runs = [RunFolder.open(each.parent) for each in states if read_about(each).get("complete")]
        if found := sorted(
            (
                (run.metadata["arguments"]["beta"], run)
                for run in runs
                if "beta" in run.metadata["arguments"]
            ),
            key=lambda each: each[0],
        ):
            return found
        raise Error(
            f"{path} holds no complete run with a beta; sweep over it: --over beta=log:0.05:20."
        )
    run = open_run(path)
    if run.beta_range is None:
        raise Error(
            f"{path} has learned one beta alone, so there is none to choose; train with "
            "--multirate 0.05:20, or give the folder of a sweep over beta."
        )
    return [(beta, run.with_beta(beta)) for beta in betas(run.beta_range, points)]


def choose(
    among: Sequence[tuple[float, RunFolder]],
    purpose: str,
    *,
    data: Any = None,
    split: str = "validation",
    labels: Labels = UNLABELLED,
    features: str = "auto",
    n: int | None = None,
    tolerance: float = 0.02,
    seed: int = 0,
) -> Choice:
    """The beta of a purpose: `reconstruction`, `sampling`, `disentangling` or `regression:LABEL`.

    Raises: Error if there is no such purpose or label, or the split holds no image.
    """
    kind, _, label = purpose.partition(":")
    if kind not in PURPOSES or (kind == "regression") != bool(label):
        near = nearest(kind, PURPOSES, " did you mean {}?")
        raise Error(
            f"--for is {purpose};{near} it must be reconstruction, sampling, disentangling, or "
            "regression: with a label column, such as regression:Year."
        )
    first = among[0][1]
    part, images = first.split(split, data, labels=labels), first.images(data)
    part = part if n is None else part.some(n)
    figure, rule, measured = PURPOSES[kind]
    found = []
    for beta, run in among:
        value, error = measured(Evaluation(run, images, part, features, n, seed=seed), label)
        found.append(Candidate(beta, value, error))
    if kind == "reconstruction":
        least = min(each.value for each in found)
        within = [each for each in found if each.value <= (1 + tolerance) * least]
        chosen, rule = within[-1], rule.format(f"{tolerance:.0%}")
    else:
        sign = -1 if kind == "sampling" else 1
        chosen = max(found, key=lambda each: sign * each.value)
    figure = figure.format(label)
    return Choice(purpose, figure, rule, part.name, len(part), chosen, found, part.note)


def _figure(metric: str, name: str) -> Callable[[Evaluation, str], tuple[float, float | None]]:
    def of(e: Evaluation, label: str) -> tuple[float, float | None]:
        rows = measure(e, [metric])["metrics"][metric]
        row = next(row for row in rows if row["name"] == name)
        return float("nan") if row["value"] is None else row["value"], row["error"]

    return of


@torch.no_grad()
def _predicted(e: Evaluation, label: str) -> tuple[float, float | None]:
    """How well nearest neighbours among posterior means tell a label, out of fold."""
    part: Split = e.part
    columns = {name: v.numpy() for name, v in part.columns.items() if v.ndim == 1}
    if label not in columns:
        raise Error(
            f"--for regression:{label} names no label; there are {', '.join(columns) or 'none'}: "
            "name one of them, or give a table with --labels FILE."
        )
    values = columns[label]
    kind = kind_of(values, part.classes.get(label))
    if len(values) < FEWEST:
        few = f"needs {FEWEST} images; {part.name} has {len(values)}."
        raise Error(f"--for regression:{label} {few}")
    if not np.isfinite(values).all() or len(np.unique(values)) < 2:
        raise Error(f"--for regression:{label}: it holds NaN, infinity or a single value.")
    found = score(codes(e.coder, part).mean.astype(np.float64), values, kind, e.seed)
    return found.value, (found.high - found.low) / (2 * 1.96)


@torch.no_grad()
def _gap(e: Evaluation, label: str) -> tuple[float, float | None]:
    """error: the spread over random halves of the images, which is that of the mean of all."""
    factors = {name: v.numpy() for name, v in e.part.columns.items() if v.ndim == 1}
    if len(factors) < 2 or len(e.part) < 2 * FEWEST:
        raise Error(
            f"--for disentangling needs two factor columns and {2 * FEWEST} images; "
            f"{e.images.source.name} has {len(factors)} and {len(e.part)}: give data with factors, "
            "such as sprites."
        )
    means, draw = codes(e.coder, e.part).mean, np.random.default_rng(e.seed)
    halves = [draw.permutation(len(means))[: len(means) // 2] for _ in range(10)]
    apart = [mig(means[half], {k: v[half] for k, v in factors.items()}) for half in halves]
    return mig(means, factors), float(np.std(apart, ddof=1))


PURPOSES: dict[str, tuple[str, str, Callable[[Evaluation, str], tuple[float, float | None]]]] = {
    "reconstruction": (
        "mean squared error of decoded means",
        "the largest beta whose error is within {} of the least",
        _figure("image", "mse"),
    ),
    "sampling": (
        "Fréchet distance of samples of the prior",
        "the least distance",
        _figure("fd", "fd_samples"),
    ),
    "disentangling": (
        "mutual information gap",
        "the largest gap",
        _gap,
    ),
    "regression": (
        "{} told by nearest neighbours among posterior means, out of fold",
        "the best prediction",
        _predicted,
    ),
}
