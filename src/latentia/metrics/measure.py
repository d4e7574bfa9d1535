"""Measurement of metrics by name, and evaluation.json, where a run keeps them."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from latentia.core import distributed
from latentia.core.contract import HasGenerator
from latentia.core.parameters import require_at_least, require_whole_number
from latentia.data import Images
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.registry import METRICS
from latentia.metrics.result import MetricResult, MetricTable
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import write_json
from latentia.training.launch import rank0_first, run_on_rank0_without_collectives

EVALUATION_FILE = "evaluation.json"  # in a run folder


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


def measure_run(
    run: RunFolder,
    images: Images,
    split_name: str | None,
    names: Sequence[str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Measure metrics on a split of the images; results on the run's own images are saved.

    names: by default elbo, pca and (with labels) probe, or fd for a model without an encoder.
    settings: fields of `Evaluation`.

    Raises: Error as `measure_metrics`, or if a setting is out of its range.
    """
    require_at_least("-n", settings["n"], 2)
    require_at_least("--k", settings["k"], 1)
    require_whole_number("--seed", settings["seed"])
    split = rank0_first(lambda: run.split(split_name, images))
    evaluation = Evaluation(run, images, split, **settings)
    result = measure_metrics(evaluation, names or _choose_metrics(evaluation))
    # the file holds results at the recipe's own beta
    if run.is_training_data(images) and run.beta is None and not distributed.rank():
        save_metrics(run, result)
    return result


def _choose_metrics(evaluation: Evaluation) -> list[str]:
    if isinstance(evaluation.model, HasGenerator):
        return ["fd"]
    return ["elbo", "pca", *(["probe"] if evaluation.label_probes else [])]


def save_metrics(run: RunFolder, result: dict[str, Any]) -> None:
    """Write metrics to the run's evaluation.json; metrics measured before stay in it."""
    previous = _read_evaluation(run)
    metrics = {**previous.get("metrics", {}), **result.get("metrics", {})}
    content = {**previous, **result, **({"metrics": metrics} if metrics else {})}
    write_json(run.path / EVALUATION_FILE, content)


def load_metrics(run: RunFolder) -> MetricTable:
    """Return the metrics that the run keeps; those measured last replace earlier ones."""
    metrics = _read_evaluation(run).get("metrics", {})
    return make_table(metrics)


def make_table(metrics: Mapping[str, Sequence[Mapping[str, Any]]]) -> MetricTable:
    """Return the results of the entry `metrics`."""
    rows = [row for results in metrics.values() for row in results]
    return MetricTable(
        MetricResult(**{**row, "n": tuple(n) if isinstance(n := row["n"], list) else n})
        for row in rows
    )


def _read_evaluation(run: RunFolder) -> dict[str, Any]:
    try:
        return dict(json.loads((run.path / EVALUATION_FILE).read_text()))
    except (OSError, ValueError, TypeError):  # no file yet, or a damaged one
        return {}
