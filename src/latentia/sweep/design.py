"""The settings that a sweep tries: axes of knobs, and the points on them."""

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latentia.core.errors import Error

SWEEP_FILE = "sweep.json"  # in the folder of a sweep, beside its runs


class Axis(NamedTuple):
    """A knob and its values: `low` to `high`, evenly in the logarithm if `log`; or `choices`."""

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def format_value(self, fraction: float) -> str:
        """The value at this share of the way, 0 to 1, as a word."""
        if self.choices:
            return self.choices[min(int(fraction * len(self.choices)), len(self.choices) - 1)]
        if self.log:
            return f"{self.low * (self.high / self.low) ** fraction:.4g}"
        return f"{self.low + (self.high - self.low) * fraction:.4g}"


def parse_axis(text: str) -> Axis:
    """ "beta=log:0.05:20", "lr=1e-4:1e-2" or "latent=8,16,32".

    Raises: Error if it is none of these.
    """
    name, _, values = text.partition("=")
    *scale, range_text = values.split(":", 1) if values.startswith("log:") else [values]
    error = Error(
        f"--over is {text}; give a knob and its values, such as beta=log:0.05:20, lr=1e-4:1e-2 or "
        "latent=8,16,32."
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
    """The settings of every trial: one range is walked evenly, ends included; choices alone give
    each combination once; of several ranges, points of a Sobol sequence.

    Known beforehand, so that no trial depends on which worker ends first.
    """
    range_axes = [axis for axis in axes if not axis.choices]
    choice_axes = [axis for axis in axes if axis.choices]
    grid = [
        dict(zip([axis.name for axis in choice_axes], values, strict=True))
        for values in itertools.product(*(axis.choices for axis in choice_axes))
    ]
    if not range_axes:
        return grid[:trials]
    points_per_setting = -(-trials // len(grid))
    if len(range_axes) == 1:
        points = np.linspace(0, 1, points_per_setting)[:, None]
    else:
        from scipy.stats import qmc

        with warnings.catch_warnings():  # a number of points that is no power of two
            warnings.simplefilter("ignore")
            points = qmc.Sobol(len(range_axes), rng=0).random(points_per_setting)
    return [
        {a.name: a.format_value(p) for a, p in zip(range_axes, point, strict=True)} | settings
        for point in points.tolist()
        for settings in grid
    ][:trials]
