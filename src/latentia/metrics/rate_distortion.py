"""Rate and distortion: the curve of a model of many betas, the best of many points, its knee."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from latentia.data import Split
from latentia.metrics.elbo import elbo


@runtime_checkable
class Reached(Protocol):
    """Something that has reached a rate and a distortion, nats per image."""

    @property
    def rate(self) -> float: ...

    @property
    def distortion(self) -> float: ...


R = TypeVar("R", bound=Reached)
POINTS, MOST = 13, 1000  # betas; images that each is measured on


class Point(NamedTuple):
    """What a model reaches at a beta: nats per image, and active latent dimensions."""

    beta: float
    nelbo: float
    distortion: float
    rate: float
    active: int


def betas(learned: tuple[float, float], points: int = POINTS) -> list[float]:
    """From one end of the range to the other, evenly in the logarithm, in three digits."""
    low, high = learned
    inner = [float(f"{beta:.3g}") for beta in np.geomspace(low, high, points)[1:-1]]
    return [low, *inner, high]


def curve(model: Any, split: Split, at: list[float], seed: int = 0) -> list[Point]:
    """A point for each beta, on at most MOST images of the split."""
    before, some, found = model.dial.beta, split.some(MOST), []
    try:
        for model.dial.beta in at:
            told = elbo(model, some, seed=seed)
            nelbo, distortion, rate = (
                told[f"{name}_nats"] for name in ("nelbo", "distortion", "rate")
            )
            found.append(Point(model.dial.beta, nelbo, distortion, rate, told["active_units"]))
    finally:
        model.dial.beta = before
    return found


def pareto(points: Sequence[R]) -> list[R]:
    """Those that no other beats in both distortion and rate, by rate."""
    found, best = [], math.inf
    for point in sorted(points, key=lambda t: (t.rate, t.distortion)):
        if point.distortion < best:
            best = point.distortion
            found.append(point)
    return found


def knee(front: Sequence[R]) -> R | None:
    """Where the curve bends most: farthest below the line between its ends, each axis from 0 to 1.

    Satopää et al. 2011, "Finding a 'kneedle' in a haystack", section II. None: fewer than three.
    """
    if len(front) < 3:
        return None
    at = np.array([[t.rate, t.distortion] for t in front])
    at = (at - at.min(0)) / (at.max(0) - at.min(0))
    return front[int(np.argmin(at.sum(1)))]
