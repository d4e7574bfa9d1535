"""Registry of metrics, and the decorator that adds to it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from latentia.core.registry import Registry

if TYPE_CHECKING:
    from latentia.metrics.evaluation import Evaluation
    from latentia.metrics.result import MetricResult


class Metric(NamedTuple):
    """A registered metric; distributed: all processes measure it together."""

    measure: "Callable[[Evaluation], list[MetricResult]]"
    distributed: bool


METRICS: Registry[Metric] = Registry("metric", [Path(__file__).with_name("builtin.py")])


def metric(name: Any = None, *, distributed: bool = False) -> Any:
    """Register a function as a metric: `latentia evaluate --metrics` then takes its name.

    The function takes a `latentia.metrics.evaluation.Evaluation`, which holds the run, its model,
    the split and what several metrics share, and returns a list of
    `latentia.metrics.result.MetricResult`.

    Parameters
    ----------
    name : str, optional
        name of the metric; the default is the function's
    distributed : bool
        whether the processes of `torchrun` measure it together; by default the first does it alone

    Returns
    -------
    callable
        the same function

    Raises
    ------
    Error
        if there is a metric of this name

    Examples
    --------
    >>> import latentia
    >>> from latentia.metrics.result import make_mean_result
    >>> @latentia.metric
    ... def sample_brightness(evaluation):
    ...     values = evaluation.model.sample(8, seed=evaluation.seed).flatten(1).mean(1)
    ...     return [make_mean_result("sample_brightness", values, evaluation.split.name)]
    >>> from latentia.metrics.registry import METRICS
    >>> "sample_brightness" in METRICS
    True
    """
    return METRICS.register(name, lambda function: Metric(function, distributed))
