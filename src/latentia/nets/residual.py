"""Residual blocks."""

import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from latentia.nets.initialization import init_fixup, init_he

LEAKY_SLOPE = 0.2


def make_leaky_relu() -> nn.Module:
    return nn.LeakyReLU(LEAKY_SLOPE)


def make_group_norm(channels: int) -> nn.GroupNorm:
    """Return a GroupNorm of gcd(8, channels) groups."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


class Residual(nn.Module):
    """x + two convolutions k3, each of act(norm(x)); He et al. 2016, arXiv 1603.05027, figure 4e.

    Only the first convolution has a bias: biases of the second would accumulate over blocks.
    """

    def __init__(
        self,
        channels: int,
        act: Callable[[], nn.Module] = make_leaky_relu,
        norm: Callable[[int], nn.Module] | None = None,
    ):
        super().__init__()
        first_conv = nn.Conv2d(channels, channels, 3, padding=1)
        second_conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        preactivations = [[norm(channels), act()] if norm else [act()] for _ in "12"]
        self.branch = nn.Sequential(*preactivations[0], first_conv, *preactivations[1], second_conv)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.branch(x)


def init_residual_network(net: nn.Module) -> None:
    """Initialise a norm-free residual network: He's initialisation, branches of zero output."""
    init_he(net, LEAKY_SLOPE)
    init_fixup([block.branch for block in net.modules() if isinstance(block, Residual)])
