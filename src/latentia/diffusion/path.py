"""Paths z_t = alpha(t) z_0 + sigma(t) noise, from t = 0 (data) to t = 1 (noise)."""

from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

Target = Literal["noise", "velocity"]


class PathCoefficients(NamedTuple):
    """alpha, sigma and their time derivatives; the velocity is dalpha z_0 + dsigma noise."""

    alpha: Tensor
    sigma: Tensor
    dalpha: Tensor
    dsigma: Tensor


@runtime_checkable
class Path(Protocol):
    """A path from data to noise; `target` is what a denoiser predicts on it."""

    target: Target

    def coefficients(self, t: Tensor) -> PathCoefficients: ...


class LinearPath:
    """alpha = 1 - t, sigma = t; Lipman et al. 2023, arXiv 2210.02747, equation 22 (sigma_min 0).

    Their time has the other direction. The target is the velocity, noise - data.
    """

    target: Target = "velocity"

    def coefficients(self, t: Tensor) -> PathCoefficients:
        ones = torch.ones_like(t)
        return PathCoefficients(1 - t, t, -ones, ones)


class VariancePreservingPath:
    """alpha^2 + sigma^2 = 1; Song et al. 2021, arXiv 2011.13456, equation 33.

    It interpolates the discrete schedule of Ho et al. 2020 (1,000 steps, 1e-4 to 0.02): beta_min
    and beta_max are 1,000 times its first and last value. The target is the noise.
    """

    target: Target = "noise"

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0):
        self.beta_min, self.beta_max = beta_min, beta_max

    def coefficients(self, t: Tensor) -> PathCoefficients:
        log_alpha = -0.5 * t * (self.beta_min + 0.5 * t * (self.beta_max - self.beta_min))
        dlog_alpha = -0.5 * (self.beta_min + t * (self.beta_max - self.beta_min))
        alpha = log_alpha.exp()
        sigma = (-torch.expm1(2 * log_alpha)).clamp_min(0).sqrt()
        dsigma = -dlog_alpha * alpha.square() / sigma  # infinite at t = 0, which no sampler needs
        return PathCoefficients(alpha, sigma, dlog_alpha * alpha, dsigma)


PATHS = {"linear": LinearPath, "variance-preserving": VariancePreservingPath}


def broadcast_coefficients(coefficients: PathCoefficients, z: Tensor) -> PathCoefficients:
    """Reshape each (b,) to (b, 1, ...), as many dimensions as z."""
    return PathCoefficients(*(x.reshape(-1, *[1] * (z.dim() - 1)) for x in coefficients))
