"""Distances between images in the features of some network."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.tensors import to_float32

Features = Sequence[Float[Tensor, "b ..."]]  # one tensor for each layer


def feature_matching_loss(fake: Features, real: Features) -> Float[Tensor, " b"]:
    """Feature matching: half the mean squared distance within a layer, summed over layers.

    In nats per image, for each layer the negative log-likelihood of a Gaussian of unit variance
    around the real image's features (Larsen et al. 2016, arXiv 1512.09300, equation 7), divided by
    the number of features. Without the division the first layer, the largest, would dominate.
    """
    gaps = [wide(a - b.detach()) for a, b in zip(fake, real, strict=True)]
    # no flattening: maps with channels last would be copied
    return 0.5 * torch.stack([(x * x).mean(tuple(range(1, x.ndim))) for x in gaps]).sum(0)
