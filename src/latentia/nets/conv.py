"""Strided convolutional encoder and decoder for images of any height, width and channel count."""

import itertools
import math
from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from latentia.nets.image_output import ToImage
from latentia.nets.mlp import make_perceptron

Norm = Callable[[int], nn.Module]  # channels to a normalisation, such as nn.BatchNorm2d


def halving_sizes(size: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """(h, w) before the first and after each convolution of kernel 3, stride 2, padding 1."""
    sizes = [size]
    for _ in range(count):
        h, w = sizes[-1]
        sizes.append(((h + 1) // 2, (w + 1) // 2))
    return sizes


def output_paddings(sizes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Output paddings of 3x3 transposed convolutions of stride 2 that invert these halvings."""
    # a side n grows to 2 n - 1 without output padding
    return [
        (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)
        for large, small in reversed(list(itertools.pairwise(sizes)))
    ]


def make_stage(conv: nn.Module, channels: int, slope: float, norm: Norm | None) -> list[nn.Module]:
    """Return a convolution, its normalisation if any, and LeakyReLU of this slope (0: ReLU)."""
    return [conv, *([norm(channels)] if norm else []), make_activation(slope)]


def make_activation(slope: float) -> nn.Module:
    """Return LeakyReLU of this slope (0: ReLU), in place, since a new map takes time.

    A hook that keeps the output of the layer before it keeps the activated values.
    """
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)


def conv3x3(c_in: int, c_out: int) -> nn.Conv2d:
    """Return a convolution of kernel 3 that keeps height and width."""
    return nn.Conv2d(c_in, c_out, 3, padding=1)


def make_strided_stack(
    image_channels: int,
    channels: Sequence[int],
    slope: float = 0.0,
    norm: Norm | None = None,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return 3x3 convolutions of stride 2; each halves height and width, rounding up."""
    blocks: list[nn.Module] = []
    for c_in, c_out in zip([image_channels, *channels], channels, strict=False):
        conv = Conv(c_in, c_out, 3, stride=2, padding=1)
        blocks += make_stage(conv, c_out, slope, norm)
        blocks += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*blocks)


def single_pixel_stride(pixels: Tensor, stride: tuple[int, ...]) -> tuple[int, ...]:
    """Return stride 1 for maps of a single pixel, where it equals stride 2."""
    # at stride 2 the weight's bfloat16 gradient is uninitialised memory (oneDNN, PyTorch 2.13)
    return (1, 1) if tuple(pixels.shape[2:]) == (1, 1) else stride


class Conv(nn.Conv2d):
    """nn.Conv2d of kernel 3 and padding 1, also correct on a single pixel."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d half_h half_w"]:  # pyright: ignore
        geometry = single_pixel_stride(x, self.stride), self.padding
        return nn.functional.conv2d(x, self.weight, self.bias, *geometry)  # pyright: ignore


class ConvTranspose(nn.ConvTranspose2d):
    """nn.ConvTranspose2d with the bias added separately.

    On a CPU PyTorch's own gradient of the bias takes longer than the rest of the layer.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d two_h two_w"]:  # pyright: ignore
        stride = self.stride if any(self.output_padding) else single_pixel_stride(x, self.stride)
        geometry = stride, self.padding, self.output_padding
        y = nn.functional.conv_transpose2d(x, self.weight, None, *geometry)  # pyright: ignore
        assert self.bias is not None
        return y.add_(self.bias.to(y.dtype)[:, None, None])


class ConvEncoder(nn.Module):
    """Encoder: 3x3 convolutions of stride 2, then an MLP to means and log-variances."""

    def __init__(
        self,
        shape: Sequence[int],
        latent: int,
        channels: Sequence[int] = (32, 64, 128),
        hidden: Sequence[int] = (),
        slope: float = 0.0,
        norm: Norm | None = None,
    ):
        super().__init__()
        self.image_shape, self.latent_shape = tuple(shape), (latent,)
        self.blocks = make_strided_stack(shape[0], channels, slope, norm)
        h, w = halving_sizes((shape[1], shape[2]), len(channels))[-1]
        self.heads = make_perceptron([channels[-1] * h * w, *hidden, 2 * latent])

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b two_latent"]:
        x = self.blocks(image)  # (b, channels[-1], h / 2^n, w / 2^n), rounded up at each halving
        return self.heads(x.flatten(1))  # (b, 2 * latent): means, then log-variances


class ConvDecoder(nn.Module):
    """Convolutional decoder: Linear, 3x3 transposed convolutions of stride 2, a 3x3 convolution.

    Parameters
    ----------
    channels : channels of the encoder, whose sizes the decoder inverts
    up_channels : channels after each transposed convolution (default: `channels` reversed)
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int],
        channels: Sequence[int] = (32, 64, 128),
        up_channels: Sequence[int] | None = None,
        slope: float = 0.0,
        norm: Norm | None = None,
    ):
        super().__init__()
        sizes = halving_sizes((shape[1], shape[2]), len(channels))
        self.bottom_shape = (channels[-1], *sizes[-1])
        linear = nn.Linear(latent, math.prod(self.bottom_shape))
        # the published decoder with norms has neither norm nor activation here
        self.expand = nn.Sequential(linear, *([] if norm else [make_activation(slope)]))
        blocks: list[nn.Module] = []
        c_in = channels[-1]
        ups = up_channels or channels[::-1]
        for c_out, padding in zip(ups, output_paddings(sizes), strict=True):
            conv = ConvTranspose(c_in, c_out, 3, 2, 1, output_padding=padding)
            blocks += make_stage(conv, c_out, slope, norm)
            c_in = c_out
        self.blocks = nn.Sequential(*blocks)
        # the published transposed convolution of stride 1 is a convolution with a flipped kernel
        self.image = ToImage(c_in, shape[0])

    def forward(self, z: Float[Tensor, "b latent"]) -> Float[Tensor, "b c h w"]:
        x = self.expand(z).unflatten(1, self.bottom_shape)  # (b, channels[-1], h / 2^n, w / 2^n)
        x = self.blocks(x)  # (b, up_channels[-1], h, w)
        return self.image(x)  # (b, c, h, w), raw: the likelihood applies the sigmoid
