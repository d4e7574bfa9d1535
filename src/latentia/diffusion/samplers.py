"""Samplers: from noise at t = 1 to data at t = 0 on a path, over a decreasing grid of times."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from latentia.diffusion.path import Path, PathCoefficients, broadcast_coefficients
from latentia.diffusion.registry import sampler
from latentia.diffusion.target import DenoisedEstimate

Denoise = Callable[[Tensor, float], DenoisedEstimate]  # (z_t, t) -> estimates of data and noise
StepNoise = Callable[[int], Tensor]  # standard normal noise of step k, with the shape of z


def time_grid(steps: int) -> list[float]:
    """Return steps + 1 equidistant times from 1 to 0."""
    return [1 - k / steps for k in range(steps)] + [0.0]


@sampler
def ddpm(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], step_noise: StepNoise
) -> Iterator[Tensor]:
    """Ancestral sampling of q(z_s | z_t, data); Kingma et al. 2021, arXiv 2107.00630, appendix A.

    At adjacent times this is Ho et al. 2020, arXiv 2006.11239, algorithm 2, with the smaller of its
    two variances.
    """
    for k, (t, s) in enumerate(pairwise(times)):
        c_t, c_s = _coefficients(path, t, z), _coefficients(path, s, z)
        data, ratio = denoise(z, t).data, c_t.alpha / c_s.alpha
        variance = c_t.sigma**2 - (ratio * c_s.sigma) ** 2  # of z_t given z_s
        mean = ratio * (c_s.sigma / c_t.sigma) ** 2 * z
        mean = mean + c_s.alpha * variance / c_t.sigma**2 * data
        sd = variance.clamp_min(0).sqrt() * c_s.sigma / c_t.sigma
        z = mean + sd * step_noise(k)
        yield z


@sampler
def ddim(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], step_noise: StepNoise
) -> Iterator[Tensor]:
    """Mix the estimated data and noise for the next time: deterministic DDIM.

    Song et al. 2021, arXiv 2010.02502, equation 12 with sigma 0. On the linear path this is Euler's
    method.
    """
    for t, s in pairwise(times):
        c_s, estimate = _coefficients(path, s, z), denoise(z, t)
        z = c_s.alpha * estimate.data + c_s.sigma * estimate.noise
        yield z


@sampler
def euler(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], step_noise: StepNoise
) -> Iterator[Tensor]:
    """Euler's method for dz/dt = velocity, of first order."""
    for t, s in pairwise(times):
        z = z + (s - t) * denoise(z, t).velocity(_coefficients(path, t, z))
        yield z


@sampler
def heun(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], step_noise: StepNoise
) -> Iterator[Tensor]:
    """Heun's method for dz/dt = velocity, of second order; the last step is Euler's.

    Karras et al. 2022, arXiv 2206.00364, algorithm 1.
    """
    for t, s in pairwise(times):
        velocity = denoise(z, t).velocity(_coefficients(path, t, z))
        z_next = z + (s - t) * velocity
        if s > 0:
            velocity = (velocity + denoise(z_next, s).velocity(_coefficients(path, s, z))) / 2
            z_next = z + (s - t) * velocity
        z = z_next
        yield z


def _coefficients(path: Path, t: float, z: Tensor) -> PathCoefficients:
    # in float64, since near t = 0 the variances are differences of similar numbers; on the CPU,
    # since a Mac's GPU has no float64
    values = path.coefficients(torch.tensor([t], dtype=torch.float64))
    return broadcast_coefficients(PathCoefficients(*(x.to(z) for x in values)), z)
