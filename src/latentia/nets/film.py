"""Feature-wise linear modulation: what a vector says to every channel."""

from jaxtyping import Float
from torch import Tensor, nn


class FiLM(nn.Module):
    """x * (1 + scale) + shift, both by one Linear of SiLU(vector); starts as the identity.

    One vector stands for all images.

    Perez et al. 2018, arXiv 1709.07871, equation 2.
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
