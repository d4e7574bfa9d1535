"""Yardsticks: a run's coordinates beside PCAs of as many dimensions, by error and by labels."""

from typing import Any

from latentia.latents.probes import Probe
from latentia.metrics.evaluation import OWN_COORDINATES, Evaluation
from latentia.metrics.result import make_mean_result

ERROR_COLUMN = "squared error per pixel"


def tabulate_yardsticks(evaluation: Evaluation, name: str = OWN_COORDINATES) -> Any:
    """Return a pandas DataFrame with a row for each coordinates, and last the labels' chance.

    name: that of the run's own row. Errors have their standard error, labels their 95 % interval.
    """
    from pandas import DataFrame  # takes longer to import than the first steps to train

    table: dict[str, dict[str, str]] = {ERROR_COLUMN: {}}
    for title, errors in evaluation.squared_errors.items():
        mean = make_mean_result("mse", errors, evaluation.split.name)
        error = f" ± {mean.error:.1g}" if mean.error else ""
        table[ERROR_COLUMN][title] = f"{mean.value:.3g}{error}"
    for pair in evaluation.label_probes:
        probes: dict[str, Probe] = {OWN_COORDINATES: pair.run, evaluation.pca.title: pair.pca}
        texts = {title: probe.text for title, probe in {**probes, **pair.others}.items()}
        column = f"{pair.column}, {pair.run.measure} of {pair.run.n:,} images"
        table[column] = {**texts, "chance": f"{pair.run.chance:z.2f}"}
    return DataFrame(table).rename(index={OWN_COORDINATES: name}).fillna("")
