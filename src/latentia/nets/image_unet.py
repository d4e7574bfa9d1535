"""U-Net of images: denoiser of pixels; Ronneberger et al. 2015, Ho et al. 2020."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentia.nets.conv import Conv, conv3x3
from latentia.nets.denoiser import Denoiser, FiLMResidualBlock, Vector, zero_init
from latentia.nets.residual import make_group_norm
from latentia.nets.unet import SelfAttention


class ImageUNet(Denoiser):
    """U-Net of residual blocks whose skips are added, with self-attention at the smallest maps.

    Its maps have at most half the image's height and width, since blocks at full size would take
    most of the time. The first convolution has stride 2, and the last one predicts four pixels at
    each position.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        channels: Sequence[int] = (64, 128),
        depth: int = 2,
        width: int = 256,
    ):
        super().__init__(image_shape, width)

        def make_blocks(c: int) -> nn.ModuleList:
            parts = make_group_norm, conv3x3, c, width
            return nn.ModuleList(FiLMResidualBlock(*parts) for _ in range(depth))

        pairs = zip([image_shape[0], *channels], channels, strict=False)
        self.down = nn.ModuleList(Conv(a, b, 3, stride=2, padding=1) for a, b in pairs)
        self.down_blocks = nn.ModuleList(map(make_blocks, channels))
        self.attention = SelfAttention(channels[-1])
        ends = zip(channels[:0:-1], channels[-2::-1], strict=True)
        self.up = nn.ModuleList(conv3x3(a, b) for a, b in ends)
        self.up_blocks = nn.ModuleList(map(make_blocks, channels[-2::-1]))
        last = zero_init(conv3x3(channels[0], 4 * image_shape[0]))
        self.leave = nn.Sequential(make_group_norm(channels[0]), nn.SiLU(), last)

    def forward(
        self,
        z: Float[Tensor, "b c h w"],
        t: Float[Tensor, " b"],
        condition: Vector | None = None,
    ) -> Float[Tensor, "b c h w"]:
        embedding = self.embed_time_and_condition(t, condition)  # (b, width)
        x, skips = z, []
        for down, blocks in zip(self.down, self.down_blocks, strict=True):
            x = _apply_blocks(blocks, down(x), embedding)  # (b, channels[k], h / 2^(k + 1), ...)
            skips.append(x)
        x = self.attention(x.flatten(2)).unflatten(2, x.shape[2:])
        for up, blocks, skip in zip(self.up, self.up_blocks, skips[-2::-1], strict=True):
            x = up(F.interpolate(x, size=skip.shape[2:])) + skip  # (b, channels[k], ...)
            x = _apply_blocks(blocks, x, embedding)
        pixels = F.pixel_shuffle(self.leave(x), 2)  # (b, c, h, w), or a pixel more
        return pixels[:, :, : z.shape[2], : z.shape[3]]


def _apply_blocks(blocks: Any, x: Tensor, embedding: Vector) -> Tensor:
    for block in blocks:
        x = block(x, embedding)
    return x
