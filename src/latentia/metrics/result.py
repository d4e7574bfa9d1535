"""One measured value with its standard error, and what it was measured on."""

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class MetricResult(NamedTuple):
    """One value of a metric, for a table.

    error: standard error; n: number of images, or (images, samples) where two sets are compared;
    features: name of the feature extractor, if any.
    """

    name: str
    value: float | None  # None: not finite
    error: float | None
    n: int | tuple[int, int]
    split: str
    unit: str = ""
    features: str | None = None
    note: str = ""


def make_mean_result(
    name: str, values: Float[Tensor, " n"], split: str, **fields: str
) -> MetricResult:
    """Return the mean over images with its standard error."""
    values, n = values.double(), len(values)
    error = (values.std() / n**0.5).item() if n > 1 else None
    mean = finite_or_none(values.mean().item())
    return MetricResult(name, mean, finite_or_none(error), n, split, **fields)


def finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
