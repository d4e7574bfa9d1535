"""Strided convolutional encoder and decoder for images of any height, width and channel count."""

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from latentia.nets.mlp import perceptron


def halvings(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """(h, w) before the first and after each convolution of kernel 3, stride 2, padding 1."""
    sizes = [size]
    for _ in range(times):
        h, w = sizes[-1]
        sizes.append(((h + 1) // 2, (w + 1) // 2))
    return sizes


class ConvEncoder(nn.Module):
    """Convolutions k3 s2 p1 with ReLU, hidden Linears if any, then both heads in one Linear."""

    def __init__(
        self,
        shape: Sequence[int],
        latent: int,
        channels: Sequence[int] = (32, 64, 128),
        hidden: Sequence[int] = (),
    ):
        super().__init__()
        self.latent_shape = (latent,)
        planes = [shape[0], *channels]
        blocks: list[nn.Module] = []
        for before, after in zip(planes, channels, strict=False):
            blocks += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        self.blocks = nn.Sequential(*blocks)
        h, w = halvings((shape[1], shape[2]), len(channels))[-1]
        self.heads = perceptron([channels[-1] * h * w, *hidden, 2 * latent])

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b two_latent"]:
        x = self.blocks(image)  # (b, channels[-1], h / 2^n, w / 2^n), rounded up at each halving
        return self.heads(x.flatten(1))  # (b, 2 * latent): means, then log-variances


class ConvDecoder(nn.Module):
    """Linear, transposed convolutions k3 s2 p1 back through the encoder's sizes, then k3 s1."""

    def __init__(self, latent: int, shape: Sequence[int], channels: Sequence[int] = (32, 64, 128)):
        super().__init__()
        sizes = halvings((shape[1], shape[2]), len(channels))
        self.bottom = (channels[-1], *sizes[-1])
        self.expand = nn.Sequential(nn.Linear(latent, math.prod(self.bottom)), nn.ReLU())
        blocks: list[nn.Module] = []
        before = channels[-1]
        for after, small, large in zip(
            reversed(channels), reversed(sizes[1:]), reversed(sizes[:-1]), strict=True
        ):
            # 2 n - 1 without padding: what is missing to the encoder's size at this stage
            padding = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)
            blocks.append(nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=padding))
            blocks.append(nn.ReLU())
            before = after
        self.blocks = nn.Sequential(*blocks)
        # the published source transposes here; at stride 1 that is this convolution, flipped
        self.image = nn.Conv2d(before, shape[0], 3, padding=1)

    def forward(self, z: Float[Tensor, "b latent"]) -> Float[Tensor, "b c h w"]:
        x = self.expand(z).unflatten(1, self.bottom)  # (b, channels[-1], h / 2^n, w / 2^n)
        x = self.blocks(x)  # (b, channels[0], h, w)
        return self.image(x)  # (b, c, h, w), no sigmoid: see likelihood
