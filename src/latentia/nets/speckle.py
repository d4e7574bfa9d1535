"""Encoder and decoder of the published speckle VAE, for images of any size."""

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
    """3x3 convolutions of stride 2, residual blocks between them, SiLU, both heads in one Linear.

    The publication does not mention normalisation. We use GroupNorm in the residual branches:
    without it gradients explode at learning rates at which this network learns within 200 steps.
    Brightness still passes outside the branches. 21,975,744 parameters at 1x96x96, latent 512.
    """

    def __init__(self, shape: Sequence[int], latent: int, channels: Sequence[int] = CHANNELS):
        super().__init__()
        self.image_shape, self.latent_shape = tuple(shape), (latent,)
        stages = [nn.Sequential(Conv(shape[0], channels[0], 3, stride=2, padding=1))]
        for c_in, c_out in itertools.pairwise(channels):
            conv = Conv(c_in, c_out, 3, stride=2, padding=1)
            block = Residual(c_in, nn.SiLU, make_group_norm)
            stages.append(nn.Sequential(block, nn.SiLU(), conv))
        self.stages = nn.Sequential(*stages, nn.SiLU())
        h, w = halving_sizes((shape[1], shape[2]), len(channels))[-1]
        self.heads = nn.Linear(channels[-1] * h * w, 2 * latent)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b two_latent"]:
        x = self.stages(image)  # (b, channels[-1], h / 2^n, w / 2^n), rounded up at each halving
        return self.heads(x.flatten(1))  # (b, 2 * latent): means, then log-variances


class SpeckleDecoder(nn.Module):
    """Linear, then residual blocks, each followed by a 3x3 transposed convolution of stride 2.

    `channels` are those of the encoder. 17,313,537 parameters at 1x96x96, latent 512.
    """

    def __init__(self, latent: int, shape: Sequence[int], channels: Sequence[int] = CHANNELS):
        super().__init__()
        sizes = halving_sizes((shape[1], shape[2]), len(channels))
        self.bottom_shape = (channels[-1], *sizes[-1])
        self.expand = nn.Linear(latent, math.prod(self.bottom_shape))
        stages: list[nn.Module] = []
        widths = [*channels[::-1], channels[0]]
        pairs = zip(itertools.pairwise(widths), output_paddings(sizes), strict=True)
        for (c_in, c_out), padding in pairs:
            conv = ConvTranspose(c_in, c_out, 3, 2, 1, output_padding=padding)
            block = Residual(c_in, nn.SiLU, make_group_norm)
            stages.append(nn.Sequential(block, nn.SiLU(), conv))
        self.stages = nn.Sequential(*stages, nn.SiLU())
        self.image = ToImage(channels[0], shape[0])

    def forward(self, z: Float[Tensor, "b latent"]) -> Float[Tensor, "b c h w"]:
        x = self.expand(z).unflatten(1, self.bottom_shape)  # (b, channels[-1], h / 2^n, w / 2^n)
        x = self.stages(x)  # (b, channels[0], h, w)
        return self.image(x)  # (b, c, h, w), no sigmoid
