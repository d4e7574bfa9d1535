"""Generators: latents to images before the sigmoid, which the model applies."""

import itertools
import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.errors import Error
from latentia.nets.conv import ConvTranspose, make_activation
from latentia.nets.image_output import ToImage
from latentia.nets.residual import LEAKY_SLOPE, Residual, init_residual_network


class DCGenerator(nn.Module):
    """DCGAN generator: Linear, 4x4 transposed convolutions of stride 2, a 7x7 convolution.

    The published MNIST variant of Radford et al. 2016, arXiv 1511.06434.
    """

    def __init__(self, latent: int, shape: Sequence[int], channels: int = 128, doublings: int = 2):
        super().__init__()
        self.latent_shape = (latent,)
        self.bottom_shape = _halve_shape(shape, channels, doublings)
        linear = nn.Linear(latent, math.prod(self.bottom_shape))
        self.expand = nn.Sequential(linear, make_activation(0.2))
        blocks: list[nn.Module] = []
        for _ in range(doublings):
            blocks += [ConvTranspose(channels, channels, 4, 2, 1), make_activation(0.2)]
        self.blocks = nn.Sequential(*blocks)
        self.image = ToImage(channels, shape[0], 7)

    def forward(self, z: Float[Tensor, "b latent"]) -> Float[Tensor, "b c h w"]:
        x = self.expand(z).unflatten(1, self.bottom_shape)  # (b, channels, h / 2^n, w / 2^n)
        x = self.blocks(x)  # (b, channels, h, w)
        return self.image(x)  # (b, c, h, w)


class ResidualGenerator(nn.Module):
    """Norm-free generator: Linear, then residual blocks and a doubling at each of `channels`.

    No residual blocks follow the last doubling: at full size they would cost most of a step.
    """

    def __init__(
        self, latent: int, shape: Sequence[int], channels: Sequence[int] = (128, 64), depth: int = 1
    ):
        super().__init__()
        self.latent_shape = (latent,)
        self.bottom_shape = _halve_shape(shape, channels[0], len(channels))
        self.expand = nn.Linear(latent, math.prod(self.bottom_shape))
        blocks: list[nn.Module] = []
        for c_in, c_out in itertools.pairwise([*channels, channels[-1] // 2]):
            blocks += [Residual(c_in) for _ in range(depth)]
            blocks += [nn.LeakyReLU(LEAKY_SLOPE), ConvTranspose(c_in, c_out, 4, 2, 1)]
        self.blocks = nn.Sequential(*blocks, nn.LeakyReLU(LEAKY_SLOPE))
        self.image = ToImage(channels[-1] // 2, shape[0])
        init_residual_network(self)

    def forward(self, z: Float[Tensor, "b latent"]) -> Float[Tensor, "b c h w"]:
        x = self.expand(z).unflatten(1, self.bottom_shape)  # (b, channels[0], h / 2^n, w / 2^n)
        x = self.blocks(x)  # (b, channels[-1] / 2, h, w)
        return self.image(x)  # (b, c, h, w)


def _halve_shape(shape: Sequence[int], channels: int, doublings: int) -> tuple[int, ...]:
    """Return the shape (c, h, w) whose doublings end at the image's height and width.

    Raises: Error if height or width is not divisible by 2^doublings.
    """
    h, w = shape[1:]
    factor = 2**doublings
    if h % factor or w % factor:
        raise Error(
            f"Images of {h}x{w} cannot be generated: {doublings} exact doublings need a height and "
            f"width divisible by {factor}; give another --size."
        )
    return channels, h // factor, w // factor
