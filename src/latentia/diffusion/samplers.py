"""Samplers: from noise at t = 1 along a path to data at t = 0, over a falling grid of times."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from latentia.diffusion.path import Path, PathCoefficients, broadcast_coefficients
from latentia.diffusion.target import DenoisedEstimate

Denoise = Callable[[Tensor, float], DenoisedEstimate]  # (z_t, t) -> what it is made of
StepNoise = Callable[[int], Tensor]  # standard normal noise of step k, shaped as z
Sampler = Callable[[Denoise, Path, Tensor, Sequence[float], StepNoise], Iterator[Tensor]]


def time_grid(steps: int) -> list[float]:
    """steps + 1 equidistant times from 1 to 0."""
    return [1 - k / steps for k in range(steps)] + [0.0]


def ddpm(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], step_noise: StepNoise
) -> Iterator[Tensor]:
    """Ancestral: draws from q(z_s | z_t, data); Kingma et al. 2021, arXiv 2107.00630, appendix A.

    At neighbouring times this is Ho et al. 2020, arXiv 2006.11239, algorithm 2, with the smaller
    of its two variances.
    """
    for k, (t, s) in enumerate(pairwise(times)):
        coefficients_t, coefficients_s = (
            _path_coefficients(path, t, z),
            _path_coefficients(path, s, z),
        )
        data = denoise(z, t).data
        ratio = coefficients_t.alpha / coefficients_s.alpha
        step_variance = (
            coefficients_t.sigma**2 - (ratio * coefficients_s.sigma) ** 2
        )  # variance of z_t given z_s
        mean = (
            ratio * (coefficients_s.sigma / coefficients_t.sigma) ** 2 * z
            + coefficients_s.alpha * step_variance / coefficients_t.sigma**2 * data
        )
        z = mean + (
            step_variance.clamp_min(0).sqrt() * coefficients_s.sigma / coefficients_t.sigma
        ) * step_noise(k)
        yield z


def ddim(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], step_noise: StepNoise
) -> Iterator[Tensor]:
    """The same data and noise, mixed as at the next time; Song et al. 2021, arXiv 2010.02502,
    equation 12 without its noise. On the linear path this is Euler's method.
    """
    for t, s in pairwise(times):
        coefficients_s, estimate = _path_coefficients(path, s, z), denoise(z, t)
        z = coefficients_s.alpha * estimate.data + coefficients_s.sigma * estimate.noise
        yield z


def euler(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], step_noise: StepNoise
) -> Iterator[Tensor]:
    """First order on dz/dt = velocity."""
    for t, s in pairwise(times):
        z = z + (s - t) * denoise(z, t).velocity(_path_coefficients(path, t, z))
        yield z


def heun(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], step_noise: StepNoise
) -> Iterator[Tensor]:
    """Second order, two evaluations a step; the last, to t = 0, is Euler's.

    Karras et al. 2022, arXiv 2206.00364, algorithm 1 without its noise.
    """
    for t, s in pairwise(times):
        velocity = denoise(z, t).velocity(_path_coefficients(path, t, z))
        z_next = z + (s - t) * velocity
        if s > 0:
            velocity = (velocity + denoise(z_next, s).velocity(_path_coefficients(path, s, z))) / 2
            z_next = z + (s - t) * velocity
        z = z_next
        yield z


SAMPLERS: dict[str, Sampler] = {"ddpm": ddpm, "ddim": ddim, "euler": euler, "heun": heun}


def _path_coefficients(path: Path, t: float, z: Tensor) -> PathCoefficients:
    """In float64, then in z's type: near t = 0 the variances are small differences."""
    coefficients = path.coefficients(torch.tensor([t], dtype=torch.float64, device=z.device))
    return broadcast_coefficients(
        PathCoefficients(*(value.to(z.dtype) for value in coefficients)), z
    )
