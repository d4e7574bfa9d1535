"""A figure: a number, how sure it is, and what it was measured on."""

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Figure(NamedTuple):
    """error: standard error; n: images, or (images, samples) where two sets are compared."""

    name: str
    value: float | None  # None: not finite
    error: float | None
    n: int | tuple[int, int]
    split: str
    unit: str = ""
    features: str | None = None
    note: str = ""


def mean(name: str, values: Float[Tensor, " n"], split: str, **about: str) -> Figure:
    """The mean over images and its standard error."""
    values = values.double()
    n = len(values)
    error = (values.std() / n**0.5).item() if n > 1 else None
    return Figure(name, finite(values.mean().item()), finite(error), n, split, **about)


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
