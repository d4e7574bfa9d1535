"""Registry of metrics: a name, and the function that measures it."""

from collections.abc import Callable
from typing import NamedTuple

from latentia.metrics.evaluation import Evaluation
from latentia.metrics.result import MetricResult

Measure = Callable[[Evaluation], list[MetricResult]]


class Metric(NamedTuple):
    """A registered metric; distributed: all processes measure it together."""

    measure: Measure
    distributed: bool


METRICS: dict[str, Metric] = {}


def metric(name: str, *, distributed: bool = False) -> Callable[[Measure], Measure]:
    """Register a function as the metric of this name.

    distributed: the function is a mean over images that processes share; every other metric is
    measured on rank 0.
    """

    def register(function: Measure) -> Measure:
        METRICS[name] = Metric(function, distributed)
        return function

    return register
