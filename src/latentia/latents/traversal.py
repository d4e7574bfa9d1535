"""Latent traversal: one image as one latent dimension moves over the range of the data set."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtr
from torch import Tensor

from latentia.core.contract import HasDecoder, HasLatents
from latentia.core.memory import check_picture_memory
from latentia.core.parameters import require_at_least
from latentia.latents.encoding import LatentTable

MAX_DEVIATION = 2.0  # standard deviations: 2.3 % to 97.7 % of the aggregate posterior
BATCH_SIZE = 64


class Traversal(NamedTuple):
    """Traversal of k dimensions over s values each.

    Parameters
    ----------
    dims : list of int
        the dimensions
    kl_per_dim : ndarray
        (k,) nats, mean over the data set; None if the posterior defines none
    image_values : ndarray
        (k,) posterior mean of the image itself
    levels : ndarray
        (s,) quantile level of each value in the aggregate posterior
    values : ndarray
        (k, s) values of each dimension
    images : Tensor
        (k, s, c, h, w) in [0, 1]
    reconstruction : Tensor
        (1, c, h, w), the decoded posterior mean

    Examples
    --------
    >>> import latentia
    >>> latentia.load("runs/digits").traverse(0, dims=[3, 0], steps=5)
    Traversal(dimensions 3, 0; 5 values each)
    """

    dims: list[int]
    kl_per_dim: np.ndarray | None
    image_values: np.ndarray
    levels: np.ndarray
    values: np.ndarray
    images: Tensor
    reconstruction: Tensor

    def __repr__(self) -> str:
        dims = ", ".join(map(str, self.dims))
        return f"Traversal(dimensions {dims}; {len(self.levels)} values each)"


@torch.no_grad()
def traverse_dims(
    model: HasDecoder,
    image: Float[Tensor, "1 c h w"],
    table: LatentTable,
    dims: Sequence[int],
    steps: int = 9,
    mean: Tensor | None = None,
) -> Traversal:
    """Move each dimension through quantiles of the table's aggregate posterior.

    All other dimensions stay at the image's posterior mean.

    Parameters
    ----------
    model : Model
        a trained model with latents; of a GAN, give mean
    image : Tensor
        one image (1, c, h, w)
    table : LatentTable
        latents of the data set, which give the range
    dims : sequence of int
        dimensions to move
    steps : int
        values of each dimension, at least 2
    mean : Tensor, optional
        latents of the image (1, *latent), if they are known; the image is then not encoded

    Returns
    -------
    Traversal
        images (k, steps, c, h, w) with the values of each dimension

    Raises
    ------
    Error
        if steps is less than 2

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> train = run.split("train")
    >>> table, image = latentia.encode_split(run.model, train), train.get_batch(slice(0, 1)).image
    >>> latentia.traverse_dims(run.model, image, table, table.dims_by_kl[:2], steps=3).images.shape
    torch.Size([2, 3, 1, 28, 28])
    """
    require_at_least("--steps", steps, 2)
    dims = list(dims)
    n_values = max(image.numel(), 2 * len(table.mean))  # of an image, or of its bisection
    check_picture_memory(len(dims) * steps, (n_values,), "--steps")
    mean = cast(HasLatents, model).encode(image).mean if mean is None else mean
    levels = make_levels(steps)
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


def make_levels(steps: int) -> np.ndarray:
    """Return the quantile levels (s,) of a traversal, evenly spaced in deviations of a Gaussian."""
    return ndtr(np.linspace(-MAX_DEVIATION, MAX_DEVIATION, steps))


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
