"""Samplers: from noise at t = 1 along a path to data at t = 0, over a falling grid of times."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from latentia.diffusion.path import Path, Point, along
from latentia.diffusion.target import Estimate

Denoise = Callable[[Tensor, float], Estimate]  # (z_t, t) -> what it is made of
Fresh = Callable[[int], Tensor]  # standard normal noise of step k, shaped as z
Sampler = Callable[[Denoise, Path, Tensor, Sequence[float], Fresh], Iterator[Tensor]]


def grid(steps: int) -> list[float]:
    """steps + 1 equidistant times from 1 to 0."""
    return [1 - k / steps for k in range(steps)] + [0.0]


def ddpm(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], fresh: Fresh
) -> Iterator[Tensor]:
    """Ancestral: draws from q(z_s | z_t, data); Kingma et al. 2021, arXiv 2107.00630, appendix A.

    At neighbouring times this is Ho et al. 2020, arXiv 2006.11239, algorithm 2, with the smaller
    of its two variances.
    """
    for k, (t, s) in enumerate(pairwise(times)):
        now, then = _at(path, t, z), _at(path, s, z)
        data = denoise(z, t).data
        ratio = now.alpha / then.alpha
        step = now.sigma**2 - (ratio * then.sigma) ** 2  # variance of z_t given z_s
        mean = ratio * (then.sigma / now.sigma) ** 2 * z + then.alpha * step / now.sigma**2 * data
        z = mean + (step.clamp_min(0).sqrt() * then.sigma / now.sigma) * fresh(k)
        yield z


def ddim(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], fresh: Fresh
) -> Iterator[Tensor]:
    """The same data and noise, mixed as at the next time; Song et al. 2021, arXiv 2010.02502,
    equation 12 without its noise. On the linear path this is Euler's method.
    """
    for t, s in pairwise(times):
        then, found = _at(path, s, z), denoise(z, t)
        z = then.alpha * found.data + then.sigma * found.noise
        yield z


def euler(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], fresh: Fresh
) -> Iterator[Tensor]:
    """First order on dz/dt = velocity."""
    for t, s in pairwise(times):
        z = z + (s - t) * denoise(z, t).velocity(_at(path, t, z))
        yield z


def heun(
    denoise: Denoise, path: Path, z: Tensor, times: Sequence[float], fresh: Fresh
) -> Iterator[Tensor]:
    """Second order, two evaluations a step; the last, to t = 0, is Euler's.

    Karras et al. 2022, arXiv 2206.00364, algorithm 1 without its noise.
    """
    for t, s in pairwise(times):
        slope = denoise(z, t).velocity(_at(path, t, z))
        there = z + (s - t) * slope
        if s > 0:
            slope = (slope + denoise(there, s).velocity(_at(path, s, z))) / 2
            there = z + (s - t) * slope
        z = there
        yield z


SAMPLERS: dict[str, Sampler] = {"ddpm": ddpm, "ddim": ddim, "euler": euler, "heun": heun}


def _at(path: Path, t: float, z: Tensor) -> Point:
    """In float64, then in z's type: near t = 0 the variances are small differences."""
    point = path.at(torch.tensor([t], dtype=torch.float64, device=z.device))
    return along(Point(*(value.to(z.dtype) for value in point)), z)
