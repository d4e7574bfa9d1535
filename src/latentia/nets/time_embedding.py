"""A time in [0, 1] as a vector."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.errors import Error

TIME_SCALE = 1000.0  # times are spread over 0..1000, for which the frequencies are made


def sinusoidal_embedding(t: Float[Tensor, " b"], width: int) -> Float[Tensor, "b width"]:
    """Cosines, then sines, of geometric frequencies; Vaswani et al. 2017, section 3.5.

    Wavelengths run from 2 pi to 20,000 pi thousandths of the whole time.
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
            raise Error(
                f"A time embedding of width {width} has no pairs of waves; give an even width."
            )
        self.width = width
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Float[Tensor, " b"]) -> Float[Tensor, "b width"]:
        return self.layers(sinusoidal_embedding(t, self.width))  # (b, width)
