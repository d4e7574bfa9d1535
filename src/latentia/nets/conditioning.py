"""What an image is drawn for, as a vector; and one vector for no condition at all."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from latentia.core.errors import Error
from latentia.nets.conv import Conv, halving_sizes
from latentia.nets.residual import Residual, make_group_norm


class Condition(nn.Module):
    """A condition an image to a vector an image; subclasses say how in `encode`.

    empty: the learned vector of a condition that was dropped; Ho & Salimans 2022, arXiv 2207.12598.
    classes: that it knows; 0: it is an image.
    """

    num_classes = 0

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.empty = nn.Parameter(0.02 * torch.randn(width))

    def encode(self, cond: Tensor) -> Float[Tensor, "b width"]:
        raise NotImplementedError

    def forward(
        self, cond: Tensor, keep_mask: Bool[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b w"]:
        """kept: False in the rows whose condition is dropped; None: all are kept."""
        vector = self.encode(cond)  # (b, width)
        return vector if keep_mask is None else self.mask_condition(vector, keep_mask)

    def mask_condition(
        self, vector: Float[Tensor, "b width"], keep_mask: Bool[Tensor, " b"]
    ) -> Float[Tensor, "b width"]:
        # one image, one coin: a whole batch without condition would tie its gradients (trap 20)
        return torch.where(keep_mask[:, None], vector, self.empty.to(vector))  # (b, width)

    def empty_vectors(self, n: int) -> Float[Tensor, "n width"]:
        """`empty` in n rows."""
        return self.empty.expand(n, -1)


class LabelCondition(Condition):
    """Classes 0, 1, ...: a learned vector each."""

    def __init__(self, num_classes: int, width: int):
        super().__init__(width)
        self.num_classes = num_classes
        self.table = nn.Embedding(num_classes, width)
        nn.init.normal_(self.table.weight, std=1.0)

    def encode(self, cond: Int64[Tensor, " b"]) -> Float[Tensor, "b width"]:
        return self.table(cond)  # (b, width)


class PatternCondition(Condition):
    """Images in [0, 1]: convolutions k3 s2 p1, a residual block after each, Linear, SiLU, Linear.

    The map is flattened, not averaged: where a pattern is bright matters as much as how bright.
    """

    def __init__(self, shape: Sequence[int], width: int, channels: Sequence[int] = (32, 64, 128)):
        super().__init__(width)
        self.shape = tuple(shape)
        blocks: list[nn.Module] = []
        for in_channels, out_channels in zip([shape[0], *channels], channels, strict=False):
            conv = Conv(in_channels, out_channels, 3, stride=2, padding=1)
            blocks += [conv, Residual(out_channels, nn.SiLU, make_group_norm), nn.SiLU()]
        h, w = halving_sizes((shape[1], shape[2]), len(channels))[-1]
        self.blocks = nn.Sequential(*blocks)
        self.layers = nn.Sequential(
            nn.Linear(channels[-1] * h * w, width), nn.SiLU(), nn.Linear(width, width)
        )

    def encode(self, cond: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width"]:
        if tuple(cond.shape[1:]) != self.shape:
            actual, expected = ("x".join(map(str, s)) for s in (cond.shape[1:], self.shape))
            raise Error(
                f"The patterns are {actual}; this network was made for {expected}: resize them."
            )
        x = self.blocks(cond)  # (b, channels[-1], h / 2^n, w / 2^n), rounded up at each halving
        return self.layers(x.flatten(1))  # (b, width)
