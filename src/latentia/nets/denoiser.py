"""Denoisers: (noisy latents, time, condition) to a prediction of the latents' shape.

FiLM modulates every block by one vector, the sum of embedded time and condition. Rows do not affect
each other, and an untrained denoiser predicts 0.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.errors import Error
from latentia.nets.conv import conv3x3
from latentia.nets.film import FiLM
from latentia.nets.residual import make_group_norm

TIME_SCALE = 1000.0  # the frequencies suit times in 0..1000


def sinusoidal_embedding(t: Float[Tensor, " b"], width: int) -> Float[Tensor, "b width"]:
    """Cosines, then sines, of geometric frequencies; Vaswani et al. 2017, section 3.5.

    Wavelengths range from 2 pi / 1000 to 20 pi.
    """
    half_width = width // 2
    exponents = torch.arange(half_width, device=t.device, dtype=t.dtype) / half_width
    angle = TIME_SCALE * t[:, None] * (-math.log(10_000) * exponents).exp()  # (b, half)
    return torch.cat([angle.cos(), angle.sin()], dim=1)  # (b, width)


class TimeEmbedding(nn.Module):
    """Sinusoids, Linear, SiLU, Linear; Ho et al. 2020, arXiv 2006.11239, appendix B."""

    def __init__(self, width: int):
        super().__init__()
        if width % 2:
            raise Error(f"The width of a time embedding is {width}; give an even width.")
        self.width = width
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Float[Tensor, " b"]) -> Float[Tensor, "b width"]:
        return self.layers(sinusoidal_embedding(t, self.width))  # (b, width)


L = TypeVar("L", nn.Linear, nn.Conv1d, nn.Conv2d)
Vector = Float[Tensor, "b width"]


class Denoiser(nn.Module):
    """Base class of denoisers; `width` is the size of the embedded time and of conditions."""

    def __init__(self, latent_shape: Sequence[int], width: int):
        super().__init__()
        self.latent_shape, self.width = tuple(latent_shape), width
        self.time = TimeEmbedding(width)

    def embed_time_and_condition(self, t: Float[Tensor, " b"], condition: Vector | None) -> Vector:
        """Return the vector that modulates every block; t = 0 is data, t = 1 noise."""
        time_embedding = self.time(t)  # (b, width)
        return time_embedding if condition is None else time_embedding + condition


class FiLMResidualBlock(nn.Module):
    """x + second(SiLU(first(SiLU(FiLM(norm(x)))))); the second layer is initially zero."""

    def __init__(
        self,
        norm: Callable[[int], nn.Module],
        layer: Callable[[int, int], L],
        channels: int,
        width: int,
    ):
        super().__init__()
        self.norm, self.film, self.act = norm(channels), FiLM(width, channels), nn.SiLU()
        self.first, self.second = layer(channels, channels), zero_init(layer(channels, channels))

    def forward(
        self, x: Float[Tensor, "b c *space"], embedding: Vector
    ) -> Float[Tensor, "b c *space"]:
        h = self.first(self.act(self.film(self.norm(x), embedding)))  # (b, c, *space)
        return x + self.second(self.act(h))  # (b, c, *space)


class ResidualDenoiser(Denoiser):
    """A layer, residual blocks, and a layer back to the latents' shape."""

    enter: nn.Module
    leave: nn.Module
    blocks: nn.ModuleList

    def forward(
        self, z: Float[Tensor, "b *latent"], t: Float[Tensor, " b"], condition: Vector | None = None
    ) -> Float[Tensor, "b *latent"]:
        embedding = self.embed_time_and_condition(t, condition)  # (b, width)
        x = self.enter(z)  # (b, channels, *space)
        for block in self.blocks:
            x = block(x, embedding)  # (b, channels, *space)
        return self.leave(x)  # (b, *latent)


class MLPDenoiser(ResidualDenoiser):
    """Denoiser of vectors: Linear, `depth` residual blocks of this width, LayerNorm, Linear."""

    def __init__(self, latent_shape: Sequence[int], width: int = 512, depth: int = 4):
        super().__init__(latent_shape, width)
        d = get_vector_length(latent_shape)
        self.enter = nn.Linear(d, width)
        self.blocks = nn.ModuleList(
            FiLMResidualBlock(nn.LayerNorm, nn.Linear, width, width) for _ in range(depth)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), zero_init(nn.Linear(width, d)))


class ConvDenoiser(ResidualDenoiser):
    """Denoiser of maps: convolution k3, `depth` residual blocks, GroupNorm, convolution k3.

    Each block adds two positions to the receptive field on every side; with six it has 14.
    """

    def __init__(
        self, latent_shape: Sequence[int], width: int = 256, channels: int = 128, depth: int = 6
    ):
        super().__init__(latent_shape, width)
        c = latent_shape[0]
        self.enter = conv3x3(c, channels)
        self.blocks = nn.ModuleList(
            FiLMResidualBlock(make_group_norm, conv3x3, channels, width) for _ in range(depth)
        )
        last = zero_init(conv3x3(channels, c))
        self.leave = nn.Sequential(make_group_norm(channels), nn.SiLU(), last)


def get_vector_length(latent_shape: Sequence[int]) -> int:
    """Return the length of latent vectors. Raises: Error if the latents are maps."""
    if len(latent_shape) != 1:
        shape = "x".join(map(str, latent_shape))
        raise Error(
            f"This denoiser takes latents that are vectors, and these are maps of {shape}; use the "
            "recipe latent_prior, or give a run whose latents are vectors."
        )
    return latent_shape[0]


def zero_init(layer: L) -> L:
    """Set weight and bias of a layer to zero; return the layer."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
