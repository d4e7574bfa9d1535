"""Measurement of metrics by name, and evaluation.json, where a run keeps them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NotRequired, TypedDict

from latentia.core import distributed
from latentia.core.contract import HasGenerator
from latentia.core.parameters import require_at_least
from latentia.data import Images
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.features import check_features
from latentia.metrics.registry import METRICS
from latentia.metrics.result import MetricResult, MetricTable
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_json, update_json
from latentia.training.launch import rank0_first, run_on_rank0_without_collectives

EVALUATION_FILE = "evaluation.json"  # in a run folder


class EvaluationContent(TypedDict):
    """Content of evaluation.json; the values of the ELBO stand beside these entries."""

    metrics: NotRequired[dict[str, list[MetricResult]]]
    rate_by_dimension: NotRequired[list[float]]


def measure_metrics(
    evaluation: Evaluation, names: Sequence[str], result: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Measure metrics by name; return them for JSON, or add each to `result` when it is measured.

    The entry `metrics` maps each name to a list of results; `elbo`, if it is among the names, also
    adds the entries of `latentia.metrics.elbo.elbo`. A metric that is not distributed has results
    on rank 0 only.

    Raises: Error if a name is unknown, or the model or the images do not allow the metric.
    """
    result, registered = {} if result is None else result, {name: METRICS[name] for name in names}
    metrics = result.setdefault("metrics", {})
    for name, metric in registered.items():
        measure = partial(metric.measure, evaluation)
        results = measure() if metric.distributed else run_on_rank0_without_collectives(measure)
        metrics[name] = [each._asdict() for each in results or ()]
        result.update(evaluation.elbo if name == "elbo" else {})
    return result


def measure_run(
    run: RunFolder,
    images: Images,
    split_name: str | None,
    names: Sequence[str],
    settings: Mapping[str, Any],
    result: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure metrics on a split of the images; `keep_result` saves them.

    names: by default elbo, pca and (with labels) probe, or fd for a model without an encoder.
    settings: fields of `Evaluation`.

    Raises: Error as `measure_metrics`, or if a setting is out of its range.
    """
    require_at_least("-n", settings["n"], 2)
    require_at_least("--k", settings["k"], 1)
    require_at_least("--seed", settings["seed"], 0)
    check_features(settings["features"])
    split = rank0_first(lambda: run.split(split_name, images))
    evaluation = Evaluation(run, images, split, **settings)
    return measure_metrics(evaluation, names or _choose_metrics(evaluation), result)


def keep_result(run: RunFolder, images: Images, result: dict[str, Any]) -> None:
    """Save a result on the run's own images; the file holds those at the recipe's own beta."""
    if run.is_training_data(images) and run.beta is None and not distributed.rank():
        save_metrics(run, result)


def _choose_metrics(evaluation: Evaluation) -> list[str]:
    if isinstance(evaluation.model, HasGenerator):
        return ["fd"]
    return ["elbo", "pca", *(["probe"] if evaluation.label_probes else [])]


def save_metrics(run: RunFolder, result: dict[str, Any]) -> None:
    """Write metrics to the run's evaluation.json; metrics measured before stay in it."""

    def add_result() -> dict[str, Any]:
        previous = read_evaluation(run)
        metrics = {**previous.get("metrics", {}), **result.get("metrics", {})}
        return {**previous, **result, **({"metrics": metrics} if metrics else {})}

    update_json(run.path / EVALUATION_FILE, add_result)


def read_evaluation(run: RunFolder) -> dict[str, Any]:
    """Read evaluation.json; {} if nothing was measured. Raises: Error if it is damaged."""
    return read_json(run.path / EVALUATION_FILE, EvaluationContent)


def load_metrics(run: RunFolder) -> MetricTable:
    """Return the metrics that the run keeps; those measured last replace earlier ones."""
    return make_table(read_evaluation(run).get("metrics", {}))


def make_table(metrics: Mapping[str, Sequence[Mapping[str, Any]]]) -> MetricTable:
    """Return the results of the entry `metrics`."""
    rows = [row for results in metrics.values() for row in results]
    return MetricTable(
        MetricResult(**{**row, "n": tuple(n) if isinstance(n := row["n"], list) else n})
        for row in rows
    )
