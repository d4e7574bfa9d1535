"""Energy of images at high spatial frequencies, a measure of sharpness, and Gaussian blur."""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.metrics.result import MetricResult, make_two_set_ratio

BATCH_SIZE = 256
SIGMAS = tuple(0.25 * 2 ** (k / 4) for k in range(24))  # of a blur, pixels: 0.25 to 13
NOTE = "energy above 0.25 cycles a pixel, over the split's images'"


def high_frequency_energy(images: Float[Tensor, "b c h w"], min_frequency: float = 0.25) -> Tensor:
    """Energy per pixel of each image (b,) at spatial frequencies above a minimum.

    min_frequency: cycles per pixel; 0.5 is the Nyquist frequency. By Parseval's theorem the
    energies of all frequencies sum to the mean square of the pixels.
    """
    h, w = images.shape[-2:]
    spectrum = torch.fft.fft2(images.double()).abs().square() / (h * w) ** 2
    is_high = _frequencies(images) > min_frequency
    return (spectrum * is_high).sum((-2, -1)).mean(1)


def measure_sharpness(
    samples: Float[Tensor, "m c h w"], batches: Iterable[Tensor], split: str
) -> MetricResult:
    """High-frequency energy of samples over that of real images: 1 is as sharp as they are."""
    real = torch.cat([high_frequency_energy(batch) for batch in batches])
    over = torch.cat([high_frequency_energy(batch) for batch in samples.split(BATCH_SIZE)])
    return make_two_set_ratio("sharpness_samples", over, real, split, note=NOTE)


def blur_to_sharpness(images: Float[Tensor, "b c h w"], sharpness: float) -> Tensor:
    """Blur images by the least of some sigmas that lowers their sharpness so far."""
    target, blurred = sharpness * high_frequency_energy(images).mean(), images
    for sigma in SIGMAS:
        blurred = blur_images(images, sigma)
        if high_frequency_energy(blurred).mean() <= target:
            break
    return blurred


def blur_images(images: Float[Tensor, "b c h w"], sigma: float) -> Float[Tensor, "b c h w"]:
    """Convolve with a Gaussian of standard deviation sigma pixels; the edges are periodic."""
    transfer = (-2 * (math.pi * sigma * _frequencies(images)).square()).exp()
    return torch.fft.ifft2(torch.fft.fft2(images.double()) * transfer).real.float()


def _frequencies(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "h w"]:
    """Spatial frequency of each entry of the images' transform, cycles per pixel."""
    fy, fx = (
        torch.fft.fftfreq(side, dtype=torch.float64, device=images.device)
        for side in images.shape[-2:]
    )
    return torch.hypot(fy[:, None], fx[None, :])
