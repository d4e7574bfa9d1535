"""Convolutional networks of a hierarchical VAE: a vector on top, maps of latents below it."""

import math
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentia.nets.conv import Conv, ConvTranspose, conv3x3, halving_sizes, output_paddings
from latentia.nets.image_output import ToImage
from latentia.nets.ladder import (
    Features,
    FinerState,
    LadderDecoder,
    Level,
    ResidualLayers,
    State,
    init_ladder,
)

LARGEST, SMALLEST = 16, 4  # greatest sides of the finest and of the coarsest maps of latents

conv1x1 = partial(nn.Conv2d, kernel_size=1)


class LadderArchitecture(NamedTuple):
    """Sizes of encoder and decoder.

    Parameters
    ----------
    shape : image shape (c, h, w)
    latent : number of latents of the top level, a vector
    maps : number of maps of latents of each level below it
    levels : number of levels, the top included
    width : number of channels
    """

    shape: tuple[int, ...]
    latent: int
    maps: int
    levels: int
    width: int

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(h, w) of the image and after each halving, down to `SMALLEST`."""
        return halving_sizes(self.shape[1:], self.count_halvings(SMALLEST))  # pyright: ignore

    @property
    def grids(self) -> list[tuple[int, int]]:
        """(h, w) of the maps at each resolution that has latents, the coarsest first."""
        return self.sizes[: self.count_halvings(LARGEST) - 1 : -1]

    @property
    def resolutions(self) -> list[int]:
        """The resolution of each level below the top, an index of `grids`, from the coarsest."""
        below, count = self.levels - 1, len(self.grids)
        return [k * count // below for k in range(below)]

    @property
    def level_shapes(self) -> list[tuple[int, ...]]:
        """The shape of the latents of each level."""
        return [(self.latent,), *((self.maps, *self.grids[k]) for k in self.resolutions)]

    def count_halvings(self, side: int) -> int:
        """Return the number of halvings, at least 1, after which no side is longer."""
        return max(1, math.ceil(math.log2(max(self.shape[1:]) / side)))


class ImageLadderEncoder(nn.Module):
    """Bottom-up path: images to a vector and to maps at each resolution that has latents."""

    def __init__(self, sizes: LadderArchitecture):
        super().__init__()
        self.image_shape, width = sizes.shape, sizes.width
        self.latent_shape = (sum(map(math.prod, sizes.level_shapes)),)
        self.n_grids = len(sizes.grids)
        channels = [sizes.shape[0]] + [width] * sizes.count_halvings(SMALLEST)
        convs = [Conv(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels)]
        self.convs = nn.ModuleList(convs)
        self.blocks = nn.ModuleList(ResidualLayers(width, conv3x3) for _ in convs)
        self.top = nn.Linear(width * math.prod(sizes.grids[0]), width)
        init_ladder(self)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Features:
        h, maps = 2 * image - 1, []
        for conv, block in zip(self.convs, self.blocks, strict=True):
            h = block(conv(h))
            maps.append(h.flatten(1))
        return torch.cat([self.top(F.silu(maps[-1])), *maps[: -self.n_grids - 1 : -1]], 1)


class ImageLadderDecoder(LadderDecoder):
    """Top-down path: a vector of latents, then maps, coarse to fine, to the likelihood's output."""

    def __init__(self, sizes: LadderArchitecture, output_channels: int):
        nn.Module.__init__(self)
        width, (top, *below) = sizes.width, sizes.level_shapes
        self.grids, self.resolutions = sizes.grids, sizes.resolutions
        self.start = nn.Parameter(torch.zeros(width))
        levels = [Level(top, width), *(Level(each, width, conv3x3, conv1x1) for each in below)]
        self.levels = nn.ModuleList(levels)
        self.expand = nn.Linear(width, width * math.prod(self.grids[0]))
        positions = [nn.Parameter(torch.zeros(width, *grid)) for grid in self.grids[1:]]
        self.positions = nn.ParameterList(positions)
        layers: list[nn.Module] = []
        for padding in output_paddings(sizes.sizes[: sizes.count_halvings(LARGEST) + 1]):
            layers += [nn.SiLU(), ConvTranspose(width, width, 3, 2, 1, output_padding=padding)]
        self.output = nn.Sequential(*layers, nn.SiLU(), ToImage(width, output_channels))
        init_ladder(self)

    def upsample_state(self, h: State, level: int) -> FinerState:
        return h if level == 0 else self.refine(h, self.resolutions[level - 1])

    def refine(self, h: State, resolution: int) -> FinerState:
        """Return the state at a resolution, from a vector or from that at a coarser one."""
        if h.ndim == 2:
            h = self.expand(F.silu(h)).unflatten(1, (-1, *self.grids[0]))
        for k in range(self.grids.index((h.shape[2], h.shape[3])), resolution):
            h = F.interpolate(h, size=self.grids[k + 1]) + self.positions[k]
        return h

    def split_features(self, features: Features) -> list[State]:
        shapes = [(len(self.start), *grid) for grid in [(), *self.grids]]
        parts = features.split([math.prod(shape) for shape in shapes], 1)
        vector, *maps = (x.unflatten(1, shape) for x, shape in zip(parts, shapes, strict=True))
        return [vector, *(maps[k] for k in self.resolutions)]

    def decode_state(self, h: State) -> Float[Tensor, "b c h w"]:
        return self.output(self.refine(h, len(self.grids) - 1))
