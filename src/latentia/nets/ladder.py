"""Networks of a hierarchical VAE: features bottom up, latents top down, level by level."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.gaussian import DiagonalGaussian
from latentia.core.tensors import Latents, to_float32
from latentia.nets.initialization import init_fixup, init_glorot

Features = Float[Tensor, "b n"]  # of an image, those of the top level first
State = Float[Tensor, "b width *space"]
FinerState = Float[Tensor, "b width *finer"]
Layer = Callable[[int, int], nn.Module]  # numbers of channels, before and after


class ResidualLayers(nn.Module):
    """x + two layers, each of SiLU(x); no normalisation."""

    def __init__(self, width: int, layer: Layer = nn.Linear):
        super().__init__()
        layers = nn.SiLU(), layer(width, width), nn.SiLU(), layer(width, width)
        self.branch = nn.Sequential(*layers)

    def forward(self, x: State) -> State:
        return x + self.branch(x)


class LadderEncoder(nn.Module):
    """Bottom-up path: images to one vector of features for each level, the top level first."""

    def __init__(self, shape: Sequence[int], level_sizes: Sequence[int], width: int):
        super().__init__()
        self.image_shape, self.latent_shape = tuple(shape), (sum(level_sizes),)
        self.stem = nn.Linear(math.prod(shape), width)
        self.blocks = nn.ModuleList(ResidualLayers(width) for _ in level_sizes)
        init_ladder(self)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Features:
        h, features = self.stem(image.flatten(1)), []
        for block in self.blocks:
            h = block(h)
            features.append(h)
        return torch.cat(features[::-1], 1)


class Level(nn.Module):
    """A level of the top-down path: prior, posterior and the effect of its latents on the state.

    The latents are those of the prior in its own units: z = shift(h) + scale(h) * eps with eps
    from N(0, I). The posterior of eps is therefore the residual of that of z around the prior
    (Vahdat & Kautz 2020, arXiv 2007.03898, section 3.2).

    Parameters
    ----------
    shape : shape of the latents of an image, (n,) or (c, h, w)
    width : number of channels of the state
    layer, pointwise : layers of the state; the second one sees single positions
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        layer: Layer = nn.Linear,
        pointwise: Layer = nn.Linear,
    ):
        super().__init__()
        self.shape = tuple(shape)
        self.prior = pointwise(width, 2 * shape[0])
        self.embed = pointwise(shape[0], width)
        self.block = ResidualLayers(width, layer)
        hidden, heads = layer(2 * width, width), pointwise(width, 2 * shape[0])
        self.posterior = nn.Sequential(nn.SiLU(), hidden, nn.SiLU(), heads)

    def forward(self, h: State, eps: Latents) -> State:
        """Return the state after the latents."""
        shift, log_scale = to_float32(self.prior(h)).chunk(2, 1)
        z = shift + log_scale.exp() * eps.unflatten(1, self.shape)
        return self.block(h + self.embed(z))

    def condition(self, h: State, features: State) -> DiagonalGaussian:
        """Return the posterior of the latents, given the state and the level's features."""
        heads = self.posterior(torch.cat([h, features], 1))
        mean, logvar = DiagonalGaussian.from_heads(heads)
        return DiagonalGaussian(mean.flatten(1), logvar.flatten(1))


class LadderDecoder(nn.Module):
    """Top-down path: latents of all levels, the top level first, to the likelihood's raw output."""

    def __init__(self, shape: Sequence[int], level_sizes: Sequence[int], width: int):
        super().__init__()
        self.shape = tuple(shape)
        self.start = nn.Parameter(torch.zeros(width))
        self.levels = nn.ModuleList(Level((size,), width) for size in level_sizes)
        self.output = nn.Sequential(nn.SiLU(), nn.Linear(width, math.prod(shape)))
        init_ladder(self)

    @property
    def level_sizes(self) -> tuple[int, ...]:
        return tuple(math.prod(level.shape) for level in self.levels)  # pyright: ignore

    def upsample_state(self, h: State, level: int) -> FinerState:
        """Return the state before a level."""
        return h

    def split_features(self, features: Features) -> list[State]:
        """Return the features of each level."""
        return list(features.chunk(len(self.levels), 1))

    def decode_state(self, h: State) -> Float[Tensor, "b c h w"]:
        """Return the output of the state after the last level, without sigmoid."""
        return self.output(h).unflatten(1, self.shape)

    def forward(self, z: Latents) -> Float[Tensor, "b c h w"]:
        h = self.start.expand(z.shape[0], -1)
        for k, eps in enumerate(z.split(self.level_sizes, 1)):
            h = self.levels[k](self.upsample_state(h, k), eps)
        return self.decode_state(h)

    def infer(
        self, features: Features, values: Latents, *, is_noise: bool = True
    ) -> tuple[DiagonalGaussian, Latents, Float[Tensor, "b c h w"]]:
        """Return the posterior of each level given the levels above, the latents, and the output.

        values: the latents, or with is_noise standard normal noise, from which the latents are
        computed; zeros give the mean of each level.
        """
        h, posteriors, latents = self.start.expand(values.shape[0], -1), [], []
        parts = zip(values.split(self.level_sizes, 1), self.split_features(features), strict=True)
        for k, (level_values, level_features) in enumerate(parts):
            h = self.upsample_state(h, k)
            posterior = self.levels[k].condition(h, level_features)  # pyright: ignore
            eps = posterior.sample(level_values) if is_noise else level_values
            h = self.levels[k](h, eps)
            posteriors.append(posterior)
            latents.append(eps)
        mean, logvar = (torch.cat(each, 1) for each in zip(*posteriors, strict=True))
        return DiagonalGaussian(mean, logvar), torch.cat(latents, 1), self.decode_state(h)


def init_ladder(net: nn.Module) -> None:
    """Initialise so that residual branches begin at 0 and priors at N(0, I), at any depth.

    Posteriors do not begin equal to the prior: the rate would rise much later.
    """
    init_glorot(net)
    blocks = [each for each in net.modules() if isinstance(each, ResidualLayers)]
    init_fixup([block.branch for block in blocks])
    for level in net.modules():
        if isinstance(level, Level):
            nn.init.zeros_(level.prior.weight)  # pyright: ignore
