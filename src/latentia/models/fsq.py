"""Finite scalar quantisation of latents: Mentzer et al. 2023, arXiv 2309.15505."""

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from latentia.core.tensors import Latents, PerImage, to_float32

# of the latent channels, for about 2^8 to 2^16 codes: table 1
LEVELS = {3: (8, 6, 5), 4: (8, 5, 5, 5), 5: (7, 5, 5, 5, 5), 6: (8, 8, 8, 5, 5, 5)}
MARGIN = 1e-3  # of the bound beyond the outermost levels, so that tanh reaches them


class Codes(nn.Module):
    """The grid of values: channel k of a latent map has levels[k] of them in [-1, 1].

    Called, it rounds latents to the grid; the gradient passes straight through.
    """

    levels: Tensor

    def __init__(self, levels: Sequence[int]):
        super().__init__()
        self.count = math.prod(levels)
        shaped = torch.tensor(levels, dtype=torch.float32).view(-1, 1, 1)
        self.register_buffer("levels", shaped, persistent=False)

    @property
    def half(self) -> Tensor:
        return (self.levels / 2).floor()

    def forward(self, z: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        half, digits = self.half, self.digits(z)
        return z + ((digits - half) / half - z).detach()

    def bound(self, z: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Map numbers into the range of the levels by tanh, 0 to 0."""
        scale, offset = (self.levels - 1) * (1 + MARGIN) / 2, (self.levels + 1) % 2 / 2
        return ((z + (offset / scale).atanh()).tanh() * scale - offset) / self.half

    def digits(self, z: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Number of each value's nearest level in its channel, from 0."""
        return torch.minimum((z * self.half).round() + self.half, self.levels - 1).clamp_min(0)

    def tokens(self, z: Float[Tensor, "b c h w"]) -> Int64[Tensor, "b h w"]:
        """Number of the code at each position, from 0; the first channel counts first."""
        basis = self.levels.cumprod(0) / self.levels
        return (self.digits(z) * basis).sum(1).round().long()

    def from_tokens(self, tokens: Int64[Tensor, "b h w"]) -> Float[Tensor, "b c h w"]:
        """Return the latents of tokens, the inverse of `tokens`."""
        levels, half = self.levels.long(), self.half
        basis = levels.cumprod(0) // levels
        return (tokens[:, None] // basis % levels - half) / half


class _PosteriorTensors(NamedTuple):
    mean: Latents


class CodePosterior(_PosteriorTensors):
    """All mass on one code at each position; the rate is that of the uniform prior of codes."""

    prior: ClassVar["FSQ"]

    def sample(self, noise: Latents) -> Latents:
        return self.mean.expand_as(noise)

    def kl(self) -> PerImage:
        """Logarithm of the number of codes, summed over positions, nats per image."""
        return -self.prior.log_prob(self.mean)

    def log_ratio(self, z: Latents) -> PerImage:
        """Log ratio of the probabilities at the code itself, nats."""
        return self.kl().expand(len(z))

    @property
    def tokens(self) -> Int64[Tensor, "b h w"]:
        return self.prior.codes.tokens(self.mean)


class FSQ(nn.Module):
    """The factory of posteriors, and their uniform prior over codes; it takes no log-variances."""

    caption = "uniform codes"

    def __init__(self, codes: Codes):
        super().__init__()
        self.codes = codes

    def forward(self, heads: Float[Tensor, "b two_c h w"]) -> CodePosterior:
        kind = type("CodePosterior", (CodePosterior,), {"prior": self})
        return kind(self.codes(self.codes.bound(to_float32(heads).chunk(2, 1)[0])))

    def log_prob(self, z: Latents) -> PerImage:
        """Log probability of any codes, nats per image."""
        h, w = z.shape[2:]
        return z.new_full(z.shape[:1], -h * w * math.log(self.codes.count))

    def transform(self, eps: Latents, level: PerImage) -> Latents:
        """Map standard normal noise to uniform codes."""
        levels, half = self.codes.levels, self.codes.half
        digits = torch.minimum((torch.special.ndtr(eps) * levels).floor(), levels - 1)
        return (digits - half) / half


def quantize(decoder: nn.Module, channels: int) -> tuple[FSQ, nn.Module]:
    """Return the posterior of a VAE with FSQ, and its decoder, which rounds any latents first."""
    codes = Codes(LEVELS.get(channels, (5,) * channels))
    return FSQ(codes), nn.Sequential(codes, decoder)
