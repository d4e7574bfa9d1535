"""Conditions as vectors: class labels, images, and a learned vector for no condition."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from latentia.core.errors import Error
from latentia.core.seeding import sample_normal_rows
from latentia.core.text import pluralize
from latentia.nets.conv import Conv, halving_sizes
from latentia.nets.residual import Residual, make_group_norm


class Condition(nn.Module):
    """Encoder of one condition per image; subclasses implement `encode`.

    Attributes
    ----------
    num_classes : number of classes; 0 if the condition is an image
    empty : learned vector in the place of a dropped condition; Ho & Salimans 2022, arXiv 2207.12598
    """

    num_classes = 0

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.empty = nn.Parameter(0.02 * torch.randn(width))

    def encode(self, cond: Tensor) -> Float[Tensor, "b width"]:
        """Map conditions to vectors."""
        raise NotImplementedError

    def forward(
        self, cond: Tensor, keep_mask: Bool[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b w"]:
        """Encode conditions; where `keep_mask` is False, the vector is `empty`."""
        vector = self.encode(cond)  # (b, width)
        return vector if keep_mask is None else self.mask_condition(vector, keep_mask)

    def mask_condition(
        self, vector: Float[Tensor, "b width"], keep_mask: Bool[Tensor, " b"]
    ) -> Float[Tensor, "b width"]:
        """Replace the vectors where the mask is False by `empty`."""
        # one image, one coin: dropping the condition of a whole batch would tie its gradients
        return torch.where(keep_mask[:, None], vector, self.empty.to(vector))  # (b, width)

    def empty_vectors(self, n: int) -> Float[Tensor, "n width"]:
        """Return n rows of `empty`."""
        return self.empty.expand(n, -1)


class LabelCondition(Condition):
    """Embedding of classes 0, 1, ..., num_classes - 1."""

    def __init__(self, num_classes: int, width: int):
        super().__init__(width)
        self.num_classes = num_classes
        self.table = nn.Embedding(num_classes, width)
        nn.init.normal_(self.table.weight, std=1.0)

    def encode(self, cond: Int64[Tensor, " b"]) -> Float[Tensor, "b width"]:
        return self.table(cond)  # (b, width)


class ImageCondition(Condition):
    """Encoder of images in [0, 1]: 3x3 convolutions of stride 2 with residual blocks, then an MLP.

    The last map is flattened, not averaged, since the position of bright pixels matters.
    """

    def __init__(self, shape: Sequence[int], width: int, channels: Sequence[int] = (32, 64, 128)):
        super().__init__(width)
        self.shape = tuple(shape)
        blocks: list[nn.Module] = []
        for c_in, c_out in zip([shape[0], *channels], channels, strict=False):
            conv = Conv(c_in, c_out, 3, stride=2, padding=1)
            blocks += [conv, Residual(c_out, nn.SiLU, make_group_norm), nn.SiLU()]
        h, w = halving_sizes((shape[1], shape[2]), len(channels))[-1]
        self.blocks = nn.Sequential(*blocks)
        first = nn.Linear(channels[-1] * h * w, width)
        self.layers = nn.Sequential(first, nn.SiLU(), nn.Linear(width, width))

    def encode(self, cond: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width"]:
        if tuple(cond.shape[1:]) != self.shape:
            actual, own = ("x".join(map(str, s)) for s in (cond.shape[1:], self.shape))
            raise Error(f"The condition is {actual}; this network takes {own}: resize it.")
        x = self.blocks(cond)  # (b, channels[-1], h / 2^n, w / 2^n), rounded up at each halving
        return self.layers(x.flatten(1))  # (b, width)


def draw_labels(n: int, seed: int, distribution: Tensor, is_class: bool) -> Tensor:
    """Draw classes with these shares, or these quantiles; label k is the same for every n."""
    normal = sample_normal_rows(n, (), seed=seed, purpose="label").to(distribution)
    level, last = torch.special.ndtr(normal), len(distribution) - 1
    if is_class:
        return torch.searchsorted(distribution.cumsum(0), level).clamp_max(last)
    return distribution[(level * len(distribution)).long().clamp_max(last)]


def expand_condition(cond: Tensor, n: int) -> Tensor:
    """Return the condition of each of n images, from one for each or for all.

    Raises: Error if there are others
    """
    if len(cond) not in (1, n):
        raise Error(
            f"There are {len(cond)} conditions for {pluralize(n, 'image')}; give one, or {n}."
        )
    return cond.expand(n, *cond.shape[1:])
