"""Latent coordinates of a set of images, dimensions in a row, and which of them carry most."""

import math
from typing import NamedTuple

import numpy as np
import torch

from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data import Split
from latentia.data.splits import evenly_spaced_rows

MAX_BATCH_SIZE = 256  # images that are encoded, at most
SAMPLE = 5000  # images that stand for the aggregate posterior


class LatentTable(NamedTuple):
    """Posteriors, (n, d) float32: mean, standard deviation, and KL to N(0, I) in nats."""

    mean: np.ndarray
    sd: np.ndarray
    kl: np.ndarray

    @property
    def kl_per_dim(self) -> np.ndarray:
        """Mean KL of each dimension, nats, (d,)."""
        return self.kl.mean(0, dtype=np.float64)

    @property
    def dims_by_kl(self) -> list[int]:
        """Dimensions by rate, largest first."""
        return np.argsort(-self.kl_per_dim, kind="stable").tolist()

    @property
    def aggregate_sd(self) -> np.ndarray:
        """Standard deviation of the aggregate posterior, the mean of all posteriors, (d,)."""
        return np.sqrt(self.mean.var(0, dtype=np.float64) + np.square(self.sd.astype("f8")).mean(0))


@torch.no_grad()
def encode_split(
    model: HasLatents, split: Split, limit: int | None = None, batch_size: int | None = None
) -> LatentTable:
    """The posteriors of a split's images, or of `most` of them, evenly spaced in its order.

    size: images a batch.
    """
    rows = evenly_spaced_rows(len(split), limit)
    # made beforehand: pieces kept between a network's temporaries fragment the heap, 3 kB a row
    table = LatentTable(*np.empty((3, len(rows), math.prod(model.latent_shape)), np.float32))
    batch_size = batch_size or split.max_batch_size(MAX_BATCH_SIZE)
    for first in range(0, len(rows), batch_size):
        batch_rows = slice(first, first + batch_size)
        posterior = model.encode(split.get_batch(rows[batch_rows]).image)
        table.mean[batch_rows] = to_flat_array(posterior.mean)
        table.sd[batch_rows] = to_flat_array(posterior.sd)
        table.kl[batch_rows] = to_flat_array(posterior.kl_per_dim())
    return table


def to_flat_array(x: torch.Tensor) -> np.ndarray:
    return x.flatten(1).float().cpu().numpy()


def name_dims(shape: tuple[int, ...]) -> list[str]:
    """Of each dimension: "3" in a vector, "channel_row_column" in a map."""
    return ["_".join(map(str, index)) for index in np.ndindex(*shape)]


def parse_dims(text: str | None, dims_by_kl: list[int]) -> list[int]:
    """ "top:8": the first eight of the order; "0,3,5": these; None: the first eight, or all.

    Raises: Error if it is neither, or such a dimension does not exist.
    """
    if text is None:
        return dims_by_kl[:8]
    prefix, _, count = text.partition(":")
    number_texts = [count] if prefix == "top" else text.split(",")
    dim_count = len(dims_by_kl)
    try:
        dims = [int(number) for number in number_texts]
    except ValueError:
        dims = []
    is_valid = dims and (dims[0] > 0 if prefix == "top" else all(0 <= k < dim_count for k in dims))
    if is_valid and prefix == "top" and dims[0] > dim_count:
        raise Error(
            f"--dims is {text}; there are {pluralize(dim_count, 'dimension')}: give top:{dim_count} for all."
        )
    if not is_valid:
        raise Error(
            f"--dims is {text}; give top:8 for the eight of highest rate, or numbers from 0 to"
            f" {dim_count - 1} such as 0,3."
        )
    return dims_by_kl[: dims[0]] if prefix == "top" else dims
