"""Distances between images in the features of some network."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.tensors import to_float32

Features = Sequence[Float[Tensor, "b ..."]]  # a tensor for each layer that is looked at


def mismatch(fake: Features, real: Features) -> Float[Tensor, " b"]:
    """Half the mean squared distance within a layer, summed over layers: nats per image.

    Of one layer, a Gaussian of unit variance around the real image's features (Larsen et al. 2016,
    arXiv 1512.09300, equation 7) shared by how many it has: a sum would be the first layer's alone.
    """
    gaps = [to_float32(a - b) for a, b in zip(fake, real, strict=True)]
    # no flattening: maps with channels last would be copied
    return 0.5 * torch.stack([(x * x).mean(tuple(range(1, x.ndim))) for x in gaps]).sum(0)
