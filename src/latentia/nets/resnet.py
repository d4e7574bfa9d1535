"""Residual blocks."""

from jaxtyping import Float
from torch import Tensor, nn

from latentia.nets.init import fixup, he

SLOPE = 0.2


class Residual(nn.Module):
    """x + two convolutions k3 of LeakyReLU(x), without normalisation; He et al. 2016, 1603.05027.

    The first convolution alone has a bias: the second's would only add up along the network.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.branch = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.branch(x)


def start(net: nn.Module) -> None:
    """He's initialisation, and every residual branch at zero."""
    he(net, SLOPE)
    fixup([block.branch for block in net.modules() if isinstance(block, Residual)])
