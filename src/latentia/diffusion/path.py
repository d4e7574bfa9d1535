"""Paths: z_t = alpha(t) z_0 + sigma(t) noise, from t = 0 (data) to t = 1 (noise)."""

from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

Target = Literal["noise", "velocity"]


class PathCoefficients(NamedTuple):
    """Coefficients at a time and their derivatives: velocity = dalpha z_0 + dsigma noise."""

    alpha: Tensor
    sigma: Tensor
    dalpha: Tensor
    dsigma: Tensor


@runtime_checkable
class Path(Protocol):
    """target: what a denoiser predicts on it."""

    target: Target

    def coefficients(self, t: Tensor) -> PathCoefficients: ...


class LinearPath:
    """alpha = 1 - t, sigma = t; Lipman et al. 2023, arXiv 2210.02747, equation 22 (sigma_min 0).

    Their time runs the other way. Target: the velocity, noise - data.
    """

    target: Target = "velocity"

    def coefficients(self, t: Tensor) -> PathCoefficients:
        ones = torch.ones_like(t)
        return PathCoefficients(1 - t, t, -ones, ones)


class VariancePreservingPath:
    """alpha^2 + sigma^2 = 1; Song et al. 2021, arXiv 2011.13456, equation 33.

    The published discrete schedule (Ho et al. 2020: 1,000 steps, 1e-4 to 0.02) is this one between
    its steps: low = 1,000 times the first, high = 1,000 times the last. Target: the noise.
    """

    target: Target = "noise"

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0):
        self.beta_min, self.beta_max = beta_min, beta_max

    def coefficients(self, t: Tensor) -> PathCoefficients:
        log_alpha = -0.5 * t * (self.beta_min + 0.5 * t * (self.beta_max - self.beta_min))
        dlog_alpha = -0.5 * (self.beta_min + t * (self.beta_max - self.beta_min))  # of log alpha
        alpha = log_alpha.exp()
        sigma = (-torch.expm1(2 * log_alpha)).clamp_min(0).sqrt()
        # infinite at t = 0, where no sampler asks for it
        return PathCoefficients(
            alpha, sigma, dlog_alpha * alpha, -dlog_alpha * alpha.square() / sigma
        )


PATHS = {"linear": LinearPath, "variance-preserving": VariancePreservingPath}


def broadcast_to_latents(values: Tensor, z: Tensor) -> Tensor:
    """(b,) -> (b, 1, ...), to multiply latents of z's shape."""
    return values.reshape(-1, *[1] * (z.dim() - 1))


def broadcast_coefficients(coefficients: PathCoefficients, z: Tensor) -> PathCoefficients:
    return PathCoefficients(*(broadcast_to_latents(value, z) for value in coefficients))
