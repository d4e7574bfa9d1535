"""Energy of images at high spatial frequencies, a measure of sharpness."""

import torch
from jaxtyping import Float
from torch import Tensor


def high_frequency_energy(images: Float[Tensor, "b c h w"], min_frequency: float = 0.25) -> Tensor:
    """Energy per pixel of each image (b,) at spatial frequencies above a minimum.

    min_frequency: cycles per pixel; 0.5 is the Nyquist frequency. By Parseval's theorem the
    energies of all frequencies sum to the mean square of the pixels.
    """
    h, w = images.shape[-2:]
    spectrum = torch.fft.fft2(images.double()).abs().square() / (h * w) ** 2
    fy = torch.fft.fftfreq(h, dtype=torch.float64, device=images.device)[:, None]
    fx = torch.fft.fftfreq(w, dtype=torch.float64, device=images.device)[None, :]
    is_high = (fy.square() + fx.square()).sqrt() > min_frequency
    return (spectrum * is_high).sum((-2, -1)).mean(1)
