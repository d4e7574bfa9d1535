"""Design of a sweep: axes of parameters, and the settings of every trial."""

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latentia.core.errors import Error

SWEEP_FILE = "sweep.json"  # stands in the folder of a sweep, beside its runs


class Axis(NamedTuple):
    """A parameter and its range, evenly spaced in the logarithm if `log`, or its `choices`."""

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def format_value(self, fraction: float) -> str:
        """Return the value at a fraction of the range, 0 to 1, as a command-line argument."""
        if self.choices:
            return self.choices[min(int(fraction * len(self.choices)), len(self.choices) - 1)]
        if self.log:
            return f"{self.low * (self.high / self.low) ** fraction:.4g}"
        return f"{self.low + (self.high - self.low) * fraction:.4g}"


def parse_axis(text: str) -> Axis:
    """Parse "beta=log:0.05:20", "lr=1e-4:1e-2" or "latent=8,16,32".

    Raises: Error if it is none of these.
    """
    name, _, values = text.partition("=")
    *scale, range_text = values.split(":", 1) if values.startswith("log:") else [values]
    error = Error(
        f"--over is {text}; give a parameter and its values, such as beta=log:0.05:20, "
        "lr=1e-4:1e-2 or latent=8,16,32."
    )
    if not name or not range_text:
        raise error
    name = name.lstrip("-").replace("_", "-")
    if ":" not in range_text:
        choices = tuple(choice.strip() for choice in range_text.split(","))
        if scale or len(set(choices)) < len(choices):
            raise error
        return Axis(name, choices=choices)
    try:
        low, high = map(float, range_text.split(":"))
    except ValueError:
        raise error from None
    if not (math.isfinite(low) and low < high < math.inf and (low > 0 or not scale)):
        raise error
    return Axis(name, low, high, bool(scale))


def design_trials(axes: Sequence[Axis], trials: int) -> list[dict[str, str]]:
    """Return the settings of every trial, before any trial runs.

    One range is evenly spaced, ends included. Several ranges are covered by a Sobol sequence.
    Choices alone give each combination once. No trial depends on which worker ends first.
    """
    ranges, choices = [a for a in axes if not a.choices], [a for a in axes if a.choices]
    grid = [
        dict(zip([axis.name for axis in choices], values, strict=True))
        for values in itertools.product(*(axis.choices for axis in choices))
    ]
    if not ranges:
        return grid[:trials]
    n = -(-trials // len(grid))
    if len(ranges) == 1:
        points = np.linspace(0, 1, n)[:, None]
    else:
        from scipy.stats import qmc

        with warnings.catch_warnings():  # scipy prefers a power of two
            warnings.simplefilter("ignore")
            points = qmc.Sobol(len(ranges), rng=0).random(n)
    return [
        {a.name: a.format_value(p) for a, p in zip(ranges, point, strict=True)} | settings
        for point in points.tolist()
        for settings in grid
    ][:trials]
