"""Feature-wise linear modulation (FiLM); Perez et al. 2018, arXiv 1709.07871."""

from jaxtyping import Float
from torch import Tensor, nn


class FiLM(nn.Module):
    """x * (1 + scale) + shift for each channel, equation 2; initially the identity.

    Scale and shift are a Linear of SiLU(embedding). A single embedding serves all images.
    """

    def __init__(self, width: int, channels: int):
        super().__init__()
        self.linear = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.act = nn.SiLU()

    def forward(
        self, x: Float[Tensor, "b channels *space"], embedding: Float[Tensor, "one_or_b width"]
    ) -> Float[Tensor, "b channels *space"]:
        scale_and_shift = self.linear(self.act(embedding))  # (b, 2 * channels)
        scale, shift = scale_and_shift.unflatten(1, (-1,) + (1,) * (x.ndim - 2)).chunk(2, dim=1)
        return x * (1 + scale) + shift  # (b, channels, *space)
