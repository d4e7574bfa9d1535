"""Latent coordinates of a set of images, dimensions in a row, and which of them carry most."""

import math
from typing import NamedTuple

import numpy as np
import torch

from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.core.text import counted
from latentia.data import Split
from latentia.data.splits import evenly

AT_ONCE = 256  # images that are encoded, at most
SAMPLE = 5000  # images that stand for the aggregate posterior


class Codes(NamedTuple):
    """Posteriors, (n, d) float32: mean, standard deviation, and KL to N(0, I) in nats."""

    mean: np.ndarray
    sd: np.ndarray
    kl: np.ndarray

    @property
    def rates(self) -> np.ndarray:
        """Mean KL of each dimension, nats, (d,)."""
        return self.kl.mean(0, dtype=np.float64)

    @property
    def order(self) -> list[int]:
        """Dimensions by rate, largest first."""
        return np.argsort(-self.rates, kind="stable").tolist()

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of the aggregate posterior, the mean of all posteriors, (d,)."""
        return np.sqrt(self.mean.var(0, dtype=np.float64) + np.square(self.sd.astype("f8")).mean(0))


@torch.no_grad()
def codes(
    model: HasLatents, split: Split, most: int | None = None, size: int | None = None
) -> Codes:
    """The posteriors of a split's images, or of `most` of them, evenly spaced in its order.

    size: images a batch.
    """
    rows = evenly(len(split), most)
    # made beforehand: pieces kept between a network's temporaries fragment the heap, 3 kB a row
    found = Codes(*np.empty((3, len(rows), math.prod(model.latent_shape)), np.float32))
    size = size or split.at_once(AT_ONCE)
    for first in range(0, len(rows), size):
        here = slice(first, first + size)
        posterior = model.encode(split.batch(rows[here]).image)
        found.mean[here] = flat(posterior.mean)
        found.sd[here] = flat(posterior.sd)
        found.kl[here] = flat(posterior.kl_by_dimension())
    return found


def flat(x: torch.Tensor) -> np.ndarray:
    return x.flatten(1).float().cpu().numpy()


def names(shape: tuple[int, ...]) -> list[str]:
    """Of each dimension: "3" in a vector, "channel_row_column" in a map."""
    return ["_".join(map(str, at)) for at in np.ndindex(*shape)]


def chosen(words: str | None, order: list[int]) -> list[int]:
    """ "top:8": the first eight of the order; "0,3,5": these; None: the first eight, or all.

    Raises: Error if it is neither, or such a dimension does not exist.
    """
    if words is None:
        return order[:8]
    top, _, count = words.partition(":")
    numbers = [count] if top == "top" else words.split(",")
    d = len(order)
    try:
        given = [int(each) for each in numbers]
    except ValueError:
        given = []
    good = given and (given[0] > 0 if top == "top" else all(0 <= k < d for k in given))
    if good and top == "top" and given[0] > d:
        raise Error(
            f"--dims is {words}; there are {counted(d, 'dimension')}: give top:{d} for all."
        )
    if not good:
        raise Error(
            f"--dims is {words}; give top:8 for the eight of highest rate, or numbers from 0 to"
            f" {d - 1} such as 0,3."
        )
    return order[: given[0]] if top == "top" else given
