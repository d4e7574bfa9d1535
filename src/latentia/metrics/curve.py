"""The rate-distortion curve of a model that answers for many betas."""

from typing import Any, NamedTuple

import numpy as np

from latentia.data import Split
from latentia.metrics.elbo import elbo

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
