"""Measurement of metrics by name, and evaluation.json, where a run keeps them."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from latentia.metrics.evaluation import Evaluation
from latentia.metrics.registry import METRICS
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import write_json
from latentia.training.launch import run_on_rank0_without_collectives


def measure_metrics(evaluation: Evaluation, names: Sequence[str]) -> dict[str, Any]:
    """Measure metrics by name; return them for JSON.

    The entry `metrics` maps each name to a list of results; `elbo`, if it is among the names, also
    adds the entries of `latentia.metrics.elbo.elbo`. A metric that is not distributed has results
    on rank 0 only.

    Raises: Error if a name is unknown, or the model or the images do not allow the metric.
    """
    metrics, registered = {}, {name: METRICS[name] for name in names}
    for name, metric in registered.items():
        measure = partial(metric.measure, evaluation)
        results = measure() if metric.distributed else run_on_rank0_without_collectives(measure)
        metrics[name] = [result._asdict() for result in results or ()]
    return {**(evaluation.elbo if "elbo" in names else {}), "metrics": metrics}


def save_metrics(run: RunFolder, result: dict[str, Any]) -> None:
    """Write metrics to the run's evaluation.json; metrics measured before stay in it."""
    path = run.path / "evaluation.json"
    try:
        previous = dict(json.loads(path.read_text()))
        metrics = {**previous.get("metrics", {}), **result.get("metrics", {})}
    except (OSError, ValueError, TypeError):  # no file yet, or a damaged one
        previous, metrics = {}, result.get("metrics", {})
    write_json(path, {**previous, **result, **({"metrics": metrics} if metrics else {})})
