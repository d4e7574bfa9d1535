"""Measured values with their standard errors, and what they were measured on."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.text import format_interval, format_with_error


class MetricResult(NamedTuple):
    """One value of a metric.

    Parameters
    ----------
    name : str
        name of the value, such as nelbo_nats
    value : float or None
        the value; None: not finite
    error : float or None
        standard error
    n : int or (int, int)
        number of images, or of images and samples where two sets are compared
    split : str
        split of the images
    unit : str
        unit of value and error
    features : str, optional
        name of the feature extractor
    note : str
        what else decides the value
    limits : (float, float), optional
        95 % interval, where it is not that of the standard error
    beside : dict of str to sequence of float
        values to compare with, such as a baseline's, each with its 95 % interval if it has one

    Examples
    --------
    >>> import latentia
    >>> result = latentia.MetricResult("nelbo_nats", 105.3, 0.1, 1000, "test", "nats")
    >>> result
    nelbo_nats: 105.30 ± 0.10 nats (± standard error; n = 1,000; test)
    >>> low, high = result.interval
    """

    name: str
    value: float | None  # None: not finite
    error: float | None
    n: int | tuple[int, int]
    split: str
    unit: str = ""
    features: str | None = None
    note: str = ""
    limits: Sequence[float] | None = None
    beside: Mapping[str, Sequence[float]] = {}

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval: `limits`, or 1.96 standard errors around the value; None without them."""
        if self.limits is not None:
            return self.limits[0], self.limits[1]
        if self.value is None or self.error is None:
            return None
        return self.value - 1.96 * self.error, self.value + 1.96 * self.error

    @property
    def text(self) -> str:
        """The value with its standard error, or its 95 % interval in brackets, and its unit."""
        if self.limits is not None and self.value is not None:
            return f"{format_values([self.value, *self.limits])} {self.unit}".rstrip()
        if self.value is None:
            return f"not finite {self.unit}".rstrip()
        return f"{format_with_error(self.value, self.error)} {self.unit}".rstrip()

    @property
    def counts(self) -> str:
        """The number of images, and of samples."""
        counts = self.n if isinstance(self.n, tuple) else (self.n,)
        return " and ".join(f"{count:,}" for count in counts)

    @property
    def details(self) -> str:
        """The features, the note, and what stands beside the value."""
        beside = [f"{name} {format_values(values)}" for name, values in self.beside.items()]
        return "; ".join(filter(None, (self.features, self.note, *beside)))

    @property
    def basis(self) -> str:
        """The number of images, and the details."""
        return "; ".join(filter(None, (self.counts, self.details)))

    def __repr__(self) -> str:
        legend = "± standard error; " if self.error else ""
        legend = legend if self.limits is None else "[95 % interval]; "
        return f"{self.name}: {self.text} ({legend}n = {self.basis}; {self.split})"


class MetricTable(list[MetricResult]):
    """Results of several metrics, by position or by name; notebooks show them as a table.

    Parameters
    ----------
    results : iterable of MetricResult
        the results

    Examples
    --------
    >>> import latentia
    >>> result = latentia.MetricResult("nelbo_nats", 105.3, 0.1, 1000, "test", "nats")
    >>> latentia.MetricTable([result])["nelbo_nats"].value
    105.3
    """

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        matches = [result for result in self if result.name == key]
        if len(matches) != 1:
            names = ", ".join(result.name for result in self)
            raise Error(f"{len(matches)} results are named {key}; the results are {names}.")
        return matches[0]

    def to_frame(self) -> Any:
        """Return a pandas.DataFrame with a row for each result."""
        from pandas import DataFrame  # takes longer to import than the first steps to train

        return DataFrame([result._asdict() for result in self])

    def __repr__(self) -> str:
        return "\n".join(map(repr, self))

    def _repr_html_(self) -> str:
        return self.to_frame().to_html(index=False, na_rep="")


def make_mean_result(
    name: str, values: Float[Tensor, " n"], split: str, **fields: Any
) -> MetricResult:
    """Return the mean over images with its standard error."""
    values, n = values.double(), len(values)
    error = (values.std() / n**0.5).item() if n > 1 else None
    mean = finite_or_none(values.mean().item())
    return MetricResult(name, mean, finite_or_none(error), n, split, **fields)


def make_ratio_result(
    name: str, over: Float[Tensor, " n"], under: Float[Tensor, " n"], split: str, **fields: Any
) -> MetricResult:
    """Return a ratio of means over the same images, with its standard error (delta method)."""
    ratio = (over.mean() / under.mean()).item()
    derivative = (over - ratio * under) / under.mean()
    result = make_mean_result(name, derivative, split, **fields)
    return result._replace(value=finite_or_none(ratio))


def make_two_set_ratio(
    name: str, over: Float[Tensor, " n"], under: Float[Tensor, " m"], split: str, **fields: Any
) -> MetricResult:
    """Return a ratio of the means of two independent sets, with its error (delta method)."""
    top, bottom = (make_mean_result(name, x, split, **fields) for x in (over, under))
    ratio, n = over.double().mean() / under.double().mean(), (len(under), len(over))
    error = math.hypot(top.error or 0, ratio * (bottom.error or 0)) / under.double().mean()
    return top._replace(value=finite_or_none(ratio.item()), error=finite_or_none(float(error)), n=n)


def format_values(values: Sequence[float]) -> str:
    """Write a value, with its interval in brackets if it has one."""
    value, *limits = values
    return format_interval(value, *limits) if limits else f"{value:z.3g}"


def finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def join_notes(*notes: str) -> str:
    return "; ".join(filter(None, notes))
