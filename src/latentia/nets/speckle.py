"""The published speckle VAE's encoder and decoder, for images of any size."""

import itertools
import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from latentia.nets.conv import Conv, ConvTranspose, halving_sizes, output_paddings
from latentia.nets.image_output import ToImage
from latentia.nets.residual import Residual, make_group_norm

CHANNELS = (64, 128, 256, 512)  # four halvings: 96x96 to 6x6


class SpeckleEncoder(nn.Module):
    """Convolutions k3 s2 p1, residual blocks between them, both heads in one Linear; SiLU.

    The source is silent on normalisation. GroupNorm in the blocks' branches: without, gradients
    explode at learning rates where this has learned within 200 steps, and brightness still passes
    beside the branches. At 1x96x96 and latent 512: 21,975,744 parameters.
    """

    def __init__(self, shape: Sequence[int], latent: int, channels: Sequence[int] = CHANNELS):
        super().__init__()
        self.image_shape, self.latent_shape = tuple(shape), (latent,)
        stages = [nn.Sequential(Conv(shape[0], channels[0], 3, stride=2, padding=1))]
        for in_channels, out_channels in itertools.pairwise(channels):
            conv = Conv(in_channels, out_channels, 3, stride=2, padding=1)
            stages.append(
                nn.Sequential(Residual(in_channels, nn.SiLU, make_group_norm), nn.SiLU(), conv)
            )
        self.stages = nn.Sequential(*stages, nn.SiLU())
        h, w = halving_sizes((shape[1], shape[2]), len(channels))[-1]
        self.heads = nn.Linear(channels[-1] * h * w, 2 * latent)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b two_latent"]:
        x = self.stages(image)  # (b, channels[-1], h / 2^n, w / 2^n), rounded up at each halving
        return self.heads(x.flatten(1))  # (b, 2 * latent): means, then log-variances


class SpeckleDecoder(nn.Module):
    """Linear, then residual blocks, each with a transposed convolution k3 s2 p1 to twice the size.

    channels: the encoder's; the last doubling keeps the first of them. At 1x96x96 and latent 512:
    17,313,537 parameters.
    """

    def __init__(self, latent: int, shape: Sequence[int], channels: Sequence[int] = CHANNELS):
        super().__init__()
        sizes = halving_sizes((shape[1], shape[2]), len(channels))
        self.bottom_shape = (channels[-1], *sizes[-1])
        self.expand = nn.Linear(latent, math.prod(self.bottom_shape))
        stages: list[nn.Module] = []
        widths = [*channels[::-1], channels[0]]
        for (in_channels, out_channels), padding in zip(
            itertools.pairwise(widths), output_paddings(sizes), strict=True
        ):
            conv = ConvTranspose(in_channels, out_channels, 3, 2, 1, output_padding=padding)
            stages.append(
                nn.Sequential(Residual(in_channels, nn.SiLU, make_group_norm), nn.SiLU(), conv)
            )
        self.stages = nn.Sequential(*stages, nn.SiLU())
        self.image = ToImage(channels[0], shape[0])

    def forward(self, z: Float[Tensor, "b latent"]) -> Float[Tensor, "b c h w"]:
        x = self.expand(z).unflatten(1, self.bottom_shape)  # (b, channels[-1], h / 2^n, w / 2^n)
        x = self.stages(x)  # (b, channels[0], h, w)
        return self.image(x)  # (b, c, h, w), no sigmoid: see likelihood
