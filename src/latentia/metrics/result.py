"""A figure: a number, how sure it is, and what it was measured on."""

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class MetricResult(NamedTuple):
    """error: standard error; n: images, or (images, samples) where two sets are compared."""

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
    """The mean over images and its standard error."""
    values = values.double()
    n = len(values)
    error = (values.std() / n**0.5).item() if n > 1 else None
    return MetricResult(
        name, finite_or_none(values.mean().item()), finite_or_none(error), n, split, **fields
    )


def finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
