"""Encoder and decoder with latents that are maps; Rombach et al. 2022, arXiv 2112.10752.

Layer by layer, and name by name, those of `AutoencoderKL` in the library diffusers, so that weights
go either way as they are. That library's images lie in [-1, 1]: the encoder stretches ours.
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

LOGVAR_RANGE = (-30.0, 20.0)  # where diffusers cuts log-variances


class Architecture(NamedTuple):
    """What an `AutoencoderKL` leaves open; widths: channels of each stage, each half as large.

    quant, post_quant: convolutions k1 after the encoder and before the decoder. Latents are
    (z - shift) * scale of what the encoder says.
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
        """Height and width of an image over those of its latents."""
        return 2 ** (len(self.widths) - 1)

    def latent_shape(self, image_shape: Sequence[int]) -> tuple[int, int, int]:
        """Raises: Error if the factor does not divide height and width."""
        _, h, w = image_shape
        if h % self.factor or w % self.factor:
            nearest_size = "x".join(
                str(max(1, round(side / self.factor)) * self.factor) for side in (h, w)
            )
            raise Error(
                f"Images of {h}x{w} have no latents {self.factor} times smaller: {self.factor} "
                f"must divide height and width; give --size {nearest_size}."
            )
        return self.latent_channels, h // self.factor, w // self.factor

    def make_norm(self, channels: int) -> nn.GroupNorm:
        return nn.GroupNorm(self.norm_groups, channels, eps=1e-6)


class Encoder(nn.Module):
    """Images in [0, 1] to (b, 2 latent, h / factor, w / factor): means, then log-variances."""

    def __init__(self, image_shape: Sequence[int], architecture: Architecture):
        super().__init__()
        self.image_shape, self.latent_shape = (
            tuple(image_shape),
            architecture.latent_shape(image_shape),
        )
        self.architecture = architecture
        first_width, last_width = architecture.widths[0], architecture.widths[-1]
        self.conv_in = conv3x3(image_shape[0], first_width)
        self.down_blocks = nn.ModuleList()
        for in_channels, out_channels in zip(
            [first_width, *architecture.widths], architecture.widths, strict=False
        ):
            is_last = len(self.down_blocks) == len(architecture.widths) - 1
            self.down_blocks.append(
                Stage(
                    in_channels,
                    out_channels,
                    architecture.layers_per_block,
                    architecture,
                    downsamplers=None if is_last else Downsample(out_channels),
                )
            )
        self.mid_block = MidBlock(last_width, architecture)
        self.conv_norm_out, self.act = architecture.make_norm(last_width), nn.SiLU()
        self.conv_out = conv3x3(last_width, 2 * architecture.latent_channels)
        self.quant_conv = (
            nn.Conv2d(2 * architecture.latent_channels, 2 * architecture.latent_channels, 1)
            if architecture.use_quant_conv
            else None
        )

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b two_latent lh lw"]:
        x = self.conv_in(2 * image - 1)  # (b, widths[0], h, w)
        for stage in self.down_blocks:
            x = stage(x)  # (b, widths[k], h / 2^(k + 1), w / 2^(k + 1)), the last not halved
        x = self.conv_out(self.act(self.conv_norm_out(self.mid_block(x))))  # (b, 2 latent, lh, lw)
        x = x if self.quant_conv is None else self.quant_conv(x)  # (b, 2 latent, lh, lw)
        mean, logvar = to_float32(x).chunk(2, dim=1)  # (b, latent, lh, lw) each
        mean = (mean - self.architecture.shift) * self.architecture.scale
        return torch.cat(
            [mean, logvar.clamp(*LOGVAR_RANGE) + 2 * math.log(self.architecture.scale)], dim=1
        )


class Decoder(nn.Module):
    """Latents to (b, c, h, w), in [-1, 1] where it is sure of itself: see the likelihood."""

    def __init__(self, image_shape: Sequence[int], architecture: Architecture):
        super().__init__()
        self.shift, self.scale = architecture.shift, architecture.scale
        widths = architecture.widths[::-1]
        self.post_quant_conv = (
            nn.Conv2d(architecture.latent_channels, architecture.latent_channels, 1)
            if architecture.use_post_quant_conv
            else None
        )
        self.conv_in = conv3x3(architecture.latent_channels, widths[0])
        self.mid_block = MidBlock(widths[0], architecture)
        self.up_blocks = nn.ModuleList()
        for in_channels, out_channels in zip([widths[0], *widths], widths, strict=False):
            is_last = len(self.up_blocks) == len(widths) - 1
            upsample = None if is_last else Upsample(out_channels)
            self.up_blocks.append(
                Stage(
                    in_channels,
                    out_channels,
                    architecture.layers_per_block + 1,
                    architecture,
                    upsamplers=upsample,
                )
            )
        self.conv_norm_out, self.act = architecture.make_norm(widths[-1]), nn.SiLU()
        self.conv_out = ToImage(widths[-1], image_shape[0])

    def forward(self, z: Float[Tensor, "b latent lh lw"]) -> Float[Tensor, "b c h w"]:
        z = z / self.scale + self.shift
        x = z if self.post_quant_conv is None else self.post_quant_conv(z)  # (b, latent, lh, lw)
        x = self.mid_block(self.conv_in(x))  # (b, widths[-1], lh, lw)
        for stage in self.up_blocks:
            x = stage(x)  # (b, widths[-1 - k], 2^(k + 1) lh, 2^(k + 1) lw), the last not doubled
        return self.conv_out(self.act(self.conv_norm_out(x)))  # (b, c, h, w)


class Stage(nn.Module):
    """Residual blocks at one size, then a change of size, under the name it has in diffusers."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        layers: int,
        architecture: Architecture,
        **resize: nn.Module | None,
    ):
        super().__init__()
        block_inputs = [in_channels] + [out_channels] * (layers - 1)
        self.resnets = nn.ModuleList(
            ResnetBlock(block_input, out_channels, architecture) for block_input in block_inputs
        )
        for name, module in resize.items():
            self.add_module(name, nn.ModuleList([module] if module else []))

    def forward(self, x: Float[Tensor, "b before h w"]) -> Float[Tensor, "b after h2 w2"]:
        for modules in self.children():
            for layer in modules.children():
                x = layer(x)  # (b, after, h, w), then (b, after, h2, w2)
        return x


class MidBlock(nn.Module):
    """A residual block, attention of every place to every place, a residual block."""

    def __init__(self, channels: int, architecture: Architecture):
        super().__init__()
        self.resnets = nn.ModuleList(ResnetBlock(channels, channels, architecture) for _ in "12")
        attentions = [Attention(channels, architecture)] if architecture.attention else []
        self.attentions = nn.ModuleList(attentions)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        first, second = self.resnets
        x = first(x)  # (b, c, h, w)
        for attention in self.attentions:
            x = attention(x)  # (b, c, h, w)
        return second(x)  # (b, c, h, w)


class ResnetBlock(nn.Module):
    """x + two convolutions k3, each of SiLU(norm(x)); a convolution k1 changes the width."""

    def __init__(self, in_channels: int, out_channels: int, architecture: Architecture):
        super().__init__()
        self.norm1, self.conv1 = (
            architecture.make_norm(in_channels),
            conv3x3(in_channels, out_channels),
        )
        self.norm2, self.conv2 = (
            architecture.make_norm(out_channels),
            conv3x3(out_channels, out_channels),
        )
        self.act = nn.SiLU()
        self.conv_shortcut = (
            nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None
        )

    def forward(self, x: Float[Tensor, "b before h w"]) -> Float[Tensor, "b after h w"]:
        y = self.conv1(self.act(self.norm1(x)))  # (b, after, h, w)
        y = self.conv2(self.act(self.norm2(y)))  # (b, after, h, w)
        return y + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Attention(nn.Module):
    """x + attention of every place to every place in one head; Vaswani et al. 2017, equation 1."""

    def __init__(self, channels: int, architecture: Architecture):
        super().__init__()
        self.group_norm = architecture.make_norm(channels)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in "qkv")
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        positions = self.group_norm(x).flatten(2).transpose(1, 2)  # (b, h w, c)
        qkv = (projection(positions)[:, None] for projection in (self.to_q, self.to_k, self.to_v))
        attention = F.scaled_dot_product_attention(*qkv)[:, 0]  # (b, h w, c)
        return x + self.to_out(attention).transpose(1, 2).unflatten(2, x.shape[2:])  # (b, c, h, w)


class Downsample(nn.Module):
    """Convolution k3 s2, padded below and on the right alone."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        return self.conv(F.pad(x, (0, 1, 0, 1)))  # (b, c, h / 2, w / 2)


class Upsample(nn.Module):
    """Each place twice, then convolution k3: no checkerboard."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = conv3x3(channels, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        return self.conv(F.interpolate(x, scale_factor=2.0))  # (b, c, 2 h, 2 w)
