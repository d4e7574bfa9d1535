"""Encoder and decoder whose latents are maps; Rombach et al. 2022, arXiv 2112.10752.

Layers and their names are those of `AutoencoderKL` in the library diffusers, so that weights can be
copied between the two. Images of diffusers lie in [-1, 1], so the encoder rescales its input.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.errors import Error
from latentia.core.tensors import to_float32
from latentia.nets.conv import conv3x3
from latentia.nets.image_output import ToImage

LOGVAR_RANGE = (-30.0, 20.0)  # diffusers clips log-variances to it


class Architecture(NamedTuple):
    """The configuration of an `AutoencoderKL`.

    Parameters
    ----------
    widths : channels of each stage; a stage has half the height and width of the one before
    use_quant_conv, use_post_quant_conv : whether a 1x1 convolution follows the encoder or
        precedes the decoder
    shift, scale : latents are (z - shift) * scale of the encoder's output z
    """

    widths: tuple[int, ...]
    latent_channels: int = 4
    layers_per_block: int = 2
    norm_groups: int = 32
    attention: bool = True
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    shift: float = 0.0
    scale: float = 1.0

    @property
    def factor(self) -> int:
        """Ratio of an image's height to that of its latents."""
        return 2 ** (len(self.widths) - 1)

    def latent_shape(self, image_shape: Sequence[int]) -> tuple[int, int, int]:
        """Shape of the latents. Raises: Error if `factor` does not divide height and width."""
        _, h, w = image_shape
        if h % self.factor or w % self.factor:
            sides = (max(1, round(side / self.factor)) * self.factor for side in (h, w))
            raise Error(
                f"Images of {h}x{w} have no latents {self.factor} times smaller: {self.factor} "
                f"must divide height and width; give --size {'x'.join(map(str, sides))}."
            )
        return self.latent_channels, h // self.factor, w // self.factor

    def make_norm(self, channels: int) -> nn.GroupNorm:
        return nn.GroupNorm(self.norm_groups, channels, eps=1e-6)


class Encoder(nn.Module):
    """Images in [0, 1] to (b, 2 latent, h / factor, w / factor): means, then log-variances."""

    def __init__(self, image_shape: Sequence[int], arch: Architecture):
        super().__init__()
        self.image_shape, self.latent_shape = tuple(image_shape), arch.latent_shape(image_shape)
        self.architecture, widths, channels = arch, arch.widths, 2 * arch.latent_channels
        self.conv_in = conv3x3(image_shape[0], widths[0])
        self.down_blocks = nn.ModuleList()
        for c_in, c_out in zip([widths[0], *widths], widths, strict=False):
            is_last = len(self.down_blocks) == len(widths) - 1
            down = None if is_last else Downsample(c_out)
            stage = Stage(c_in, c_out, arch.layers_per_block, arch, downsamplers=down)
            self.down_blocks.append(stage)
        self.mid_block = MidBlock(widths[-1], arch)
        self.conv_norm_out, self.act = arch.make_norm(widths[-1]), nn.SiLU()
        self.conv_out = conv3x3(widths[-1], channels)
        self.quant_conv = nn.Conv2d(channels, channels, 1) if arch.use_quant_conv else None

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b two_latent lh lw"]:
        x = self.conv_in(2 * image - 1)  # (b, widths[0], h, w)
        for stage in self.down_blocks:
            x = stage(x)  # (b, widths[k], h / 2^(k + 1), w / 2^(k + 1)), the last not halved
        x = self.conv_out(self.act(self.conv_norm_out(self.mid_block(x))))  # (b, 2 latent, lh, lw)
        x = x if self.quant_conv is None else self.quant_conv(x)  # (b, 2 latent, lh, lw)
        mean, logvar = to_float32(x).chunk(2, dim=1)  # (b, latent, lh, lw) each
        shift, scale = self.architecture.shift, self.architecture.scale
        logvar = logvar.clamp(*LOGVAR_RANGE) + 2 * math.log(scale)
        return torch.cat([(mean - shift) * scale, logvar], dim=1)


class Decoder(nn.Module):
    """Latents to images (b, c, h, w) on the scale [-1, 1], without a last activation."""

    def __init__(self, image_shape: Sequence[int], arch: Architecture):
        super().__init__()
        self.shift, self.scale = arch.shift, arch.scale
        widths, channels = arch.widths[::-1], arch.latent_channels
        use_conv = arch.use_post_quant_conv
        self.post_quant_conv = nn.Conv2d(channels, channels, 1) if use_conv else None
        self.conv_in = conv3x3(channels, widths[0])
        self.mid_block = MidBlock(widths[0], arch)
        self.up_blocks = nn.ModuleList()
        for c_in, c_out in zip([widths[0], *widths], widths, strict=False):
            is_last = len(self.up_blocks) == len(widths) - 1
            up = None if is_last else Upsample(c_out)
            stage = Stage(c_in, c_out, arch.layers_per_block + 1, arch, upsamplers=up)
            self.up_blocks.append(stage)
        self.conv_norm_out, self.act = arch.make_norm(widths[-1]), nn.SiLU()
        self.conv_out = ToImage(widths[-1], image_shape[0])

    def forward(self, z: Float[Tensor, "b latent lh lw"]) -> Float[Tensor, "b c h w"]:
        z = z / self.scale + self.shift
        x = z if self.post_quant_conv is None else self.post_quant_conv(z)  # (b, latent, lh, lw)
        x = self.mid_block(self.conv_in(x))  # (b, widths[-1], lh, lw)
        for stage in self.up_blocks:
            x = stage(x)  # (b, widths[-1 - k], 2^(k + 1) lh, 2^(k + 1) lw), the last not doubled
        return self.conv_out(self.act(self.conv_norm_out(x)))  # (b, c, h, w)


class Stage(nn.Module):
    """Residual blocks at one size, then a change of size, by its keyword's name in diffusers."""

    def __init__(
        self, c_in: int, c_out: int, layers: int, arch: Architecture, **resize: nn.Module | None
    ):
        super().__init__()
        widths = [c_in] + [c_out] * (layers - 1)
        self.resnets = nn.ModuleList(ResnetBlock(width, c_out, arch) for width in widths)
        for name, module in resize.items():
            self.add_module(name, nn.ModuleList([module] if module else []))

    def forward(self, x: Float[Tensor, "b before h w"]) -> Float[Tensor, "b after h2 w2"]:
        for modules in self.children():
            for layer in modules.children():
                x = layer(x)  # (b, after, h, w), then (b, after, h2, w2)
        return x


class MidBlock(nn.Module):
    """Residual block, self-attention, residual block."""

    def __init__(self, channels: int, arch: Architecture):
        super().__init__()
        self.resnets = nn.ModuleList(ResnetBlock(channels, channels, arch) for _ in "12")
        attentions = [Attention(channels, arch)] if arch.attention else []
        self.attentions = nn.ModuleList(attentions)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        first, second = self.resnets
        x = first(x)  # (b, c, h, w)
        for attention in self.attentions:
            x = attention(x)  # (b, c, h, w)
        return second(x)  # (b, c, h, w)


class ResnetBlock(nn.Module):
    """x + two 3x3 convolutions of SiLU(norm(x)); a 1x1 convolution adapts x if widths differ."""

    def __init__(self, c_in: int, c_out: int, arch: Architecture):
        super().__init__()
        self.norm1, self.conv1 = arch.make_norm(c_in), conv3x3(c_in, c_out)
        self.norm2, self.conv2 = arch.make_norm(c_out), conv3x3(c_out, c_out)
        self.act = nn.SiLU()
        self.conv_shortcut = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else None

    def forward(self, x: Float[Tensor, "b before h w"]) -> Float[Tensor, "b after h w"]:
        y = self.conv1(self.act(self.norm1(x)))  # (b, after, h, w)
        y = self.conv2(self.act(self.norm2(y)))  # (b, after, h, w)
        return y + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Attention(nn.Module):
    """x + single-head self-attention over positions; Vaswani et al. 2017, equation 1."""

    def __init__(self, channels: int, arch: Architecture):
        super().__init__()
        self.group_norm = arch.make_norm(channels)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in "qkv")
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        positions = self.group_norm(x).flatten(2).transpose(1, 2)  # (b, h w, c)
        qkv = (projection(positions)[:, None] for projection in (self.to_q, self.to_k, self.to_v))
        attention = F.scaled_dot_product_attention(*qkv)[:, 0]  # (b, h w, c)
        return x + self.to_out(attention).transpose(1, 2).unflatten(2, x.shape[2:])  # (b, c, h, w)


class Downsample(nn.Module):
    """3x3 convolution of stride 2, padded at the bottom and on the right only."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        return self.conv(F.pad(x, (0, 1, 0, 1)))  # (b, c, h / 2, w / 2)


class Upsample(nn.Module):
    """Nearest-neighbour doubling, then a convolution k3, which leaves no checkerboard pattern."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = conv3x3(channels, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        return self.conv(F.interpolate(x, scale_factor=2.0))  # (b, c, 2 h, 2 w)
