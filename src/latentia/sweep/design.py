"""The settings that a sweep tries: axes of knobs, and the points on them."""

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latentia.core.errors import Error

SWEEP = "sweep.json"  # in the folder of a sweep, beside its runs


class Axis(NamedTuple):
    """A knob and its values: `low` to `high`, evenly in the logarithm if `log`; or `choices`."""

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def at(self, share: float) -> str:
        """The value at this share of the way, 0 to 1, as a word."""
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        if self.log:
            return f"{self.low * (self.high / self.low) ** share:.4g}"
        return f"{self.low + (self.high - self.low) * share:.4g}"


def axis(text: str) -> Axis:
    """ "beta=log:0.05:20", "lr=1e-4:1e-2" or "latent=8,16,32".

    Raises: Error if it is none of these.
    """
    name, _, values = text.partition("=")
    *kind, ends = values.split(":", 1) if values.startswith("log:") else [values]
    wrong = Error(
        f"--over is {text}; give a knob and its values, such as beta=log:0.05:20, lr=1e-4:1e-2 or "
        "latent=8,16,32."
    )
    if not name or not ends:
        raise wrong
    name = name.lstrip("-").replace("_", "-")
    if ":" not in ends:
        choices = tuple(each.strip() for each in ends.split(","))
        if kind or len(set(choices)) < len(choices):
            raise wrong
        return Axis(name, choices=choices)
    try:
        low, high = map(float, ends.split(":"))
    except ValueError:
        raise wrong from None
    if not (math.isfinite(low) and low < high < math.inf and (low > 0 or not kind)):
        raise wrong
    return Axis(name, low, high, bool(kind))


def design(axes: Sequence[Axis], trials: int) -> list[dict[str, str]]:
    """The settings of every trial: one range is walked evenly, ends included; choices alone give
    each combination once; of several ranges, points of a Sobol sequence.

    Known beforehand, so that no trial depends on which worker ends first.
    """
    free = [each for each in axes if not each.choices]
    fixed = [each for each in axes if each.choices]
    grid = [
        dict(zip([each.name for each in fixed], values, strict=True))
        for values in itertools.product(*(each.choices for each in fixed))
    ]
    if not free:
        return grid[:trials]
    each_of = -(-trials // len(grid))
    if len(free) == 1:
        places = np.linspace(0, 1, each_of)[:, None]
    else:
        from scipy.stats import qmc

        with warnings.catch_warnings():  # a number of points that is no power of two
            warnings.simplefilter("ignore")
            places = qmc.Sobol(len(free), rng=0).random(each_of)
    return [
        {a.name: a.at(p) for a, p in zip(free, place, strict=True)} | settings
        for place in places.tolist()
        for settings in grid
    ][:trials]
