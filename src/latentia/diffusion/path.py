"""Paths: z_t = alpha(t) z_0 + sigma(t) noise, from t = 0 (data) to t = 1 (noise)."""

from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

Target = Literal["noise", "velocity"]


class Point(NamedTuple):
    """Coefficients at a time and their derivatives: velocity = dalpha z_0 + dsigma noise."""

    alpha: Tensor
    sigma: Tensor
    dalpha: Tensor
    dsigma: Tensor


@runtime_checkable
class Path(Protocol):
    """target: what a denoiser predicts on it."""

    target: Target

    def at(self, t: Tensor) -> Point: ...


class Linear:
    """alpha = 1 - t, sigma = t; Lipman et al. 2023, arXiv 2210.02747, equation 22 (sigma_min 0).

    Their time runs the other way. Target: the velocity, noise - data.
    """

    target: Target = "velocity"

    def at(self, t: Tensor) -> Point:
        one = torch.ones_like(t)
        return Point(1 - t, t, -one, one)


class VariancePreserving:
    """alpha^2 + sigma^2 = 1; Song et al. 2021, arXiv 2011.13456, equation 33.

    The published discrete schedule (Ho et al. 2020: 1,000 steps, 1e-4 to 0.02) is this one between
    its steps: low = 1,000 times the first, high = 1,000 times the last. Target: the noise.
    """

    target: Target = "noise"

    def __init__(self, low: float = 0.1, high: float = 20.0):
        self.low, self.high = low, high

    def at(self, t: Tensor) -> Point:
        log_alpha = -0.5 * t * (self.low + 0.5 * t * (self.high - self.low))
        slope = -0.5 * (self.low + t * (self.high - self.low))  # of log alpha
        alpha = log_alpha.exp()
        sigma = (-torch.expm1(2 * log_alpha)).clamp_min(0).sqrt()
        # infinite at t = 0, where no sampler asks for it
        return Point(alpha, sigma, slope * alpha, -slope * alpha.square() / sigma)


PATHS = {"linear": Linear, "variance-preserving": VariancePreserving}


def like(values: Tensor, z: Tensor) -> Tensor:
    """(b,) -> (b, 1, ...), to multiply latents of z's shape."""
    return values.reshape(-1, *[1] * (z.dim() - 1))


def along(point: Point, z: Tensor) -> Point:
    return Point(*(like(value, z) for value in point))
