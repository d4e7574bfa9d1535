"""Measured values with their standard errors, and what they were measured on."""

import math
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error


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

    Examples
    --------
    >>> import latentia
    >>> result = latentia.MetricResult("nelbo_nats", 105.3, 0.1, 1000, "test", "nats")
    >>> result
    nelbo_nats: 105.3 ± 0.1 nats (n = 1,000; test)
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

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval: the value plus and minus 1.96 standard errors; None without an error."""
        if self.value is None or self.error is None:
            return None
        return self.value - 1.96 * self.error, self.value + 1.96 * self.error

    @property
    def text(self) -> str:
        """The value with its standard error and unit."""
        number = "not finite" if self.value is None else f"{self.value:,.5g}"
        error = "" if self.error is None else f" ± {self.error:.2g}"
        return f"{number}{error} {self.unit}".rstrip()

    @property
    def basis(self) -> str:
        """The number of images, the features and the note."""
        counts = self.n if isinstance(self.n, tuple) else (self.n,)
        text = " and ".join(f"{count:,}" for count in counts)
        return "; ".join(filter(None, (text, self.features, self.note)))

    def __repr__(self) -> str:
        return f"{self.name}: {self.text} (n = {self.basis}; {self.split})"


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
    name: str, values: Float[Tensor, " n"], split: str, **fields: str
) -> MetricResult:
    """Return the mean over images with its standard error."""
    values, n = values.double(), len(values)
    error = (values.std() / n**0.5).item() if n > 1 else None
    mean = finite_or_none(values.mean().item())
    return MetricResult(name, mean, finite_or_none(error), n, split, **fields)


def make_ratio_result(
    name: str, over: Float[Tensor, " n"], under: Float[Tensor, " n"], split: str, **fields: str
) -> MetricResult:
    """Return a ratio of means, with the standard error of its derivative (delta method)."""
    ratio = (over.mean() / under.mean()).item()
    derivative = (over - ratio * under) / under.mean()
    result = make_mean_result(name, derivative, split, **fields)
    return result._replace(value=finite_or_none(ratio))


def finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
