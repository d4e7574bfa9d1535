"""Posteriors of a set of images as a table, and the order and names of latent dimensions."""

import hashlib
import math
from collections.abc import Sequence
from contextlib import suppress
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch

from latentia.core.contract import HasEncoder
from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data import Split
from latentia.data.splits import evenly_spaced_rows
from latentia.nets.column_condition import use_columns

MAX_BATCH_SIZE = 256  # images encoded at once
SAMPLE = 5000  # images that the aggregate posterior is estimated from


def identify_encoder(model: Any) -> str:
    """Hash a model's weights to a name, by which a table of latents names its encoder."""
    digest = hashlib.blake2b(digest_size=4)
    for tensor in getattr(model, "state_dict", dict)().values():
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return f"z{digest.hexdigest()}"  # no spreadsheet takes it for a number


class LatentTable(NamedTuple):
    """Posterior means, standard deviations and KL to the prior of n images.

    Parameters
    ----------
    mean, sd, kl : ndarray
        each (n, d) float32; kl in nats. sd and kl are None if the posterior defines no `sd`, or no
        `kl_per_dim`

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> table = latentia.encode_split(run.model, run.split("test"))
    >>> table
    LatentTable(20 images, 20 dimensions)
    >>> table.kl_per_dim.shape
    (20,)
    """

    mean: np.ndarray
    sd: np.ndarray | None
    kl: np.ndarray | None

    def __repr__(self) -> str:
        n, d = self.mean.shape
        return f"LatentTable({pluralize(n, 'image')}, {pluralize(d, 'dimension')})"

    @property
    def kl_per_dim(self) -> np.ndarray | None:
        """Mean KL of each dimension, nats, (d,)."""
        return None if self.kl is None else self.kl.mean(0, dtype=np.float64)

    @property
    def dims_by_kl(self) -> list[int]:
        """Dimensions by rate (KL), or else by the variance of their means; largest first."""
        rates = self.kl_per_dim
        scores = self.mean.var(0, dtype=np.float64) if rates is None else rates
        return np.argsort(-scores, kind="stable").tolist()

    @property
    def aggregate_sd(self) -> np.ndarray:
        """Standard deviation of the aggregate posterior (d,), or of the means if it is unknown."""
        within = 0.0 if self.sd is None else np.square(self.sd.astype("f8")).mean(0)
        return np.sqrt(self.mean.var(0, dtype=np.float64) + within)

    def select_dims(self, dims: Sequence[int]) -> "LatentTable":
        return LatentTable(*(None if x is None else x[:, dims] for x in self))  # pyright: ignore


@torch.no_grad()
def encode_split(
    model: HasEncoder, split: Split, limit: int | None = None, batch_size: int | None = None
) -> LatentTable:
    """Encode every image of a split, or some, evenly spaced in its order.

    Parameters
    ----------
    model : Model
        a trained model with latents, in evaluation mode
    split : Split
        n images (n, c, h, w) in [0, 1], in the order of their keys
    limit : int, optional
        largest number of images; None: all
    batch_size : int, optional
        images encoded at once

    Returns
    -------
    LatentTable
        posterior means, standard deviations and KL (n, d)

    Raises
    ------
    Error
        if the split's images have another shape than the model's

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> latentia.encode_split(run.model, run.split("test"), limit=5).mean.shape
    (5, 20)
    """
    rows = evenly_spaced_rows(len(split), limit)
    # allocated in one piece: chunks kept between a network's temporaries fragment the heap, by
    # 3 kB a row
    mean, sd, kl = np.empty((3, len(rows), math.prod(model.latent_shape)), np.float32)
    size, has_sd, has_kl = batch_size or split.max_batch_size(MAX_BATCH_SIZE), False, False
    for first in range(0, len(rows), size):
        batch = slice(first, first + size)
        images, columns = split.get_batch(rows[batch])
        with use_columns(model, columns):
            posterior: Any = model.encode(images)
        mean[batch] = to_flat_array(posterior.mean)
        if has_sd := hasattr(posterior, "sd"):
            sd[batch] = to_flat_array(posterior.sd)
        if has_kl := hasattr(posterior, "kl_per_dim"):
            kl[batch] = to_flat_array(posterior.kl_per_dim())
    return LatentTable(mean, sd if has_sd else None, kl if has_kl else None)


def to_flat_array(x: torch.Tensor) -> np.ndarray:
    return x.flatten(1).float().cpu().numpy()


def format_rate(rates: np.ndarray | None, dim: int) -> str:
    """Format the rate (KL) of a dimension for a caption; empty if it is unknown."""
    return "" if rates is None else f"{rates[dim]:.2f} nats"


def name_dims(shape: tuple[int, ...]) -> list[str]:
    """Name each latent dimension: "3" in a vector, "channel_row_column" in a map."""
    return ["_".join(map(str, index)) for index in np.ndindex(*shape)]


def choose_dims(dims: Any, dims_by_kl: list[int]) -> list[int]:
    """Return dimensions by their numbers, or as many as requested of those of highest rate.

    dims: [0, 3] or "0,3" are these dimensions, 8 or "top:8" the first eight of `dims_by_kl`, which
    holds all of them by rate, and None is top:8 or all.

    Raises: Error if it is none of these, or such a dimension does not exist.
    """
    if dims is None:
        return dims_by_kl[:8]
    n = len(dims_by_kl)
    with suppress(TypeError, ValueError):
        if isinstance(dims, Integral) or str(dims).startswith("top:"):
            if 0 < (count := int(str(dims).removeprefix("top:"))) <= n:
                return dims_by_kl[:count]
        else:
            words = dims.split(",") if isinstance(dims, str) else map(str, dims)
            if (numbers := [int(word) for word in words]) and all(0 <= k < n for k in numbers):
                return numbers
    most = min(8, n)
    raise Error(
        f"--dims is {dims}; the model has {pluralize(n, 'latent dimension')}: give top:{most} (in "
        f"Python {most}) for so many of highest rate, or numbers from 0 to {n - 1}, such as 0,1."
    )
