"""Latent traversal: one image as one latent dimension moves over the range of the data set."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtr
from torch import Tensor

from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.latents.encoding import LatentTable

MAX_DEVIATION = 2.0  # standard deviations: 2.3 % to 97.7 % of the aggregate posterior
BATCH_SIZE = 64


class Traversal(NamedTuple):
    """Traversal of k dimensions over s values each; images (k, s, c, h, w) in [0, 1]."""

    dims: list[int]
    kl_per_dim: np.ndarray | None  # (k,) nats, mean over the data set
    image_values: np.ndarray  # (k,) posterior mean of the image itself
    levels: np.ndarray  # (s,) quantile level of each value in the aggregate posterior
    values: np.ndarray  # (k, s)
    images: Tensor
    reconstruction: Tensor  # (1, c, h, w)


@torch.no_grad()
def traverse_dims(
    model: HasLatents,
    image: Float[Tensor, "1 c h w"],
    table: LatentTable,
    dims: Sequence[int],
    steps: int = 9,
) -> Traversal:
    """Move each dimension through quantiles of the table's aggregate posterior.

    All other dimensions stay at the image's posterior mean.

    Raises: Error if steps is less than 2.
    """
    if steps < 2:
        raise Error(f"--steps is {steps}; it must be at least 2, so that something moves.")
    dims = list(dims)
    mean = model.encode(image).mean
    levels = ndtr(np.linspace(-MAX_DEVIATION, MAX_DEVIATION, steps))
    table = table.select_dims(dims)
    values = mixture_quantiles(table.mean, table.sd, levels)
    z = mean.flatten(1).repeat(len(dims) * steps, 1)
    columns = torch.tensor(dims).repeat_interleave(steps)
    z[torch.arange(len(z)), columns] = torch.from_numpy(values).flatten().to(z)
    chunks = [model.decode(chunk.view(-1, *mean.shape[1:])) for chunk in z.split(BATCH_SIZE)]
    return Traversal(
        dims,
        table.kl_per_dim,
        mean.flatten()[dims].cpu().numpy(),
        levels,
        values,
        torch.cat(chunks).unflatten(0, (len(dims), steps)),
        model.decode(mean),
    )


def mixture_quantiles(mean: np.ndarray, sd: np.ndarray | None, levels: np.ndarray) -> np.ndarray:
    """Quantiles (k, s) of the equal mixture of the n Gaussians in each column, by bisection.

    Without standard deviations they are those of the means.
    """
    if sd is None:
        return np.quantile(mean.astype(np.float64), levels, axis=0).T
    mean, sd = (x.astype(np.float64)[:, :, None] for x in (mean, sd))  # (n, k, 1)
    low = np.repeat((mean - 9 * sd).min(0), len(levels), 1)
    high = np.repeat((mean + 9 * sd).max(0), len(levels), 1)
    for _ in range(40):  # to the 12th digit of the range
        middle = (low + high) / 2
        below = ndtr((middle - mean) / sd).mean(0) < levels
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def interval_probabilities(
    mean: np.ndarray, sd: np.ndarray | None, edges: np.ndarray
) -> np.ndarray:
    """Probability between the edges, for the equal mixture of n Gaussians, (n,) each."""
    if sd is None:
        return np.histogram(mean, edges)[0] / len(mean)
    return np.diff(ndtr((edges - mean[:, None]) / sd[:, None]).mean(0))
