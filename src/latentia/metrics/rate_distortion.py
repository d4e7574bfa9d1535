"""Rate-distortion points: the curve of a model of many betas, the Pareto front, and its knee."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from latentia.data import Split
from latentia.metrics.elbo import elbo

CURVE_POINTS = 13  # betas of a curve
MAX_IMAGES = 1000  # images that each point is measured on


class RateDistortionPoint(NamedTuple):
    """Result of a model at one beta: nats per image, and active latent dimensions."""

    beta: float
    nelbo: float
    distortion: float
    rate: float
    active_units: int


def log_spaced_betas(beta_range: tuple[float, float], count: int = CURVE_POINTS) -> list[float]:
    """Return betas from low to high, evenly spaced in the logarithm, rounded to three digits."""
    low, high = beta_range
    inner = [float(f"{beta:.3g}") for beta in np.geomspace(low, high, count)[1:-1]]
    return [low, *inner, high]


def measure_curve(model: Any, split: Split, betas: list[float]) -> list[RateDistortionPoint]:
    """Measure the model at each beta on at most 1,000 images of the split."""
    dial, subset, points = model.dial, split.subsample(MAX_IMAGES), []
    initial = dial.beta
    try:
        for dial.beta in betas:
            result = elbo(model, subset)
            nats = {k: result[f"{k}_nats"] for k in ("nelbo", "distortion", "rate")}
            active = result["active_units"]
            points.append(RateDistortionPoint(beta=dial.beta, **nats, active_units=active))
    finally:
        dial.beta = initial
    return points


def pareto_front(points: Sequence[Any]) -> list[Any]:
    """Return the points that no other dominates in distortion and rate, by rate."""
    front, best = [], math.inf
    for point in sorted(points, key=lambda each: (each.rate, each.distortion)):
        if point.distortion < best:
            best = point.distortion
            front.append(point)
    return front


def find_knee(front: Sequence[Any]) -> Any:
    """Return the point farthest below the line between the front's ends, axes scaled to [0, 1].

    Satopää et al. 2011, "Finding a 'kneedle' in a haystack", section II. None if there are fewer
    than three points.
    """
    if len(front) < 3:
        return None
    x = np.array([[point.rate, point.distortion] for point in front])
    x = (x - x.min(0)) / (x.max(0) - x.min(0))
    return front[int(np.argmin(x.sum(1)))]
