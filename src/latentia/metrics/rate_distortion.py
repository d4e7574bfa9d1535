"""Rate and distortion: the curve of a model of many betas, the best of many points, its knee."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from latentia.data import Split
from latentia.metrics.elbo import elbo


@runtime_checkable
class HasRateDistortion(Protocol):
    """Something that has reached a rate and a distortion, nats per image."""

    @property
    def rate(self) -> float: ...

    @property
    def distortion(self) -> float: ...


PointT = TypeVar("PointT", bound=HasRateDistortion)
CURVE_POINTS, MAX_IMAGES = 13, 1000  # betas; images that each is measured on


class RateDistortionPoint(NamedTuple):
    """What a model reaches at a beta: nats per image, and active latent dimensions."""

    beta: float
    nelbo: float
    distortion: float
    rate: float
    active_units: int


def log_spaced_betas(beta_range: tuple[float, float], count: int = CURVE_POINTS) -> list[float]:
    """From one end of the range to the other, evenly in the logarithm, in three digits."""
    low, high = beta_range
    inner = [float(f"{beta:.3g}") for beta in np.geomspace(low, high, count)[1:-1]]
    return [low, *inner, high]


def measure_curve(
    model: Any, split: Split, beta_values: list[float], seed: int = 0
) -> list[RateDistortionPoint]:
    """A point for each beta, on at most MAX_IMAGES images of the split."""
    previous_beta, subset, points = model.dial.beta, split.subsample(MAX_IMAGES), []
    try:
        for model.dial.beta in beta_values:
            result = elbo(model, subset, seed=seed)
            nelbo, distortion, rate = (
                result[f"{name}_nats"] for name in ("nelbo", "distortion", "rate")
            )
            points.append(
                RateDistortionPoint(
                    model.dial.beta, nelbo, distortion, rate, result["active_units"]
                )
            )
    finally:
        model.dial.beta = previous_beta
    return points


def pareto_front(points: Sequence[PointT]) -> list[PointT]:
    """Those that no other beats in both distortion and rate, by rate."""
    front, best = [], math.inf
    for point in sorted(points, key=lambda candidate: (candidate.rate, candidate.distortion)):
        if point.distortion < best:
            best = point.distortion
            front.append(point)
    return front


def find_knee(front: Sequence[PointT]) -> PointT | None:
    """Where the curve bends most: farthest below the line between its ends, each axis from 0 to 1.

    Satopää et al. 2011, "Finding a 'kneedle' in a haystack", section II. None: fewer than three.
    """
    if len(front) < 3:
        return None
    coordinates = np.array([[point.rate, point.distortion] for point in front])
    coordinates = (coordinates - coordinates.min(0)) / (coordinates.max(0) - coordinates.min(0))
    return front[int(np.argmin(coordinates.sum(1)))]
