"""Sinusoidal embedding of times in [0, 1]."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.errors import Error

TIME_SCALE = 1000.0  # the frequencies suit times in 0..1000


def sinusoidal_embedding(t: Float[Tensor, " b"], width: int) -> Float[Tensor, "b width"]:
    """Cosines, then sines, of geometric frequencies; Vaswani et al. 2017, section 3.5.

    Wavelengths range from 2 pi / 1000 to 20 pi.
    """
    half_width = width // 2
    exponents = torch.arange(half_width, device=t.device, dtype=t.dtype) / half_width
    angle = TIME_SCALE * t[:, None] * (-math.log(10_000) * exponents).exp()  # (b, half)
    return torch.cat([angle.cos(), angle.sin()], dim=1)  # (b, width)


class TimeEmbedding(nn.Module):
    """Sinusoids, Linear, SiLU, Linear; Ho et al. 2020, arXiv 2006.11239, appendix B."""

    def __init__(self, width: int):
        super().__init__()
        if width % 2:
            raise Error(f"The width of a time embedding is {width}; give an even width.")
        self.width = width
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Float[Tensor, " b"]) -> Float[Tensor, "b width"]:
        return self.layers(sinusoidal_embedding(t, self.width))  # (b, width)
