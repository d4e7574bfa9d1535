"""Who is trained on, who selects, who judges: drawn by seed, the same on every machine."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from latentia.core.contract import Batch, Moment
from latentia.core.errors import Error
from latentia.core.seeding import address
from latentia.core.tensors import at_once
from latentia.data.streaming import Streamed

Pixels = UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"] | Streamed
NAMES = ("train", "validation", "test")
TEST_SHARE = 0.1  # of a source that names no test split


@dataclass(frozen=True)
class Split:
    """Rows of one split, over the pixels of the whole set: uint8, or float32 if they are deep.

    note: what a user should hear of it.
    """

    name: str
    keys: list[str]
    columns: dict[str, Tensor]
    classes: dict[str, list[str] | None]
    pixels: Pixels
    rows: Tensor | None  # which pixels are this split's; None: all, in order
    note: str = ""

    def __len__(self) -> int:
        return len(self.keys)

    def row(self, name: str) -> int | None:
        """Of the image of this number, from 0, or key, or of the one key that ends so.

        0007 is a key, 7 a number.
        """
        if name.isdecimal() and str(int(name)) == name:
            return int(name) if int(name) < len(self) else None
        ends = [at for at, key in enumerate(self.keys) if f"/{key}".endswith(f"/{name}")]
        return self.keys.index(name) if name in self.keys else ends[0] if len(ends) == 1 else None

    def called(self, row: int) -> str:
        """As `row` takes it: the key, unless that is a number among all images."""
        key = self.keys[row]
        return str(row) if key.isdecimal() or key.startswith("-") else key

    def batch(self, rows: Tensor | slice) -> Batch:
        """Images float32 in [0, 1] and the columns of these rows of the split."""
        columns = {name: shown(column[rows]) for name, column in self.columns.items()}
        return Batch(unit(self.pixels[self.at(rows)]), columns)

    def at(self, rows: Tensor | slice) -> Tensor | slice:
        """Which pixels are those of these rows."""
        if self.rows is None:
            return rows
        return self.rows[rows if isinstance(rows, slice) else rows.to(self.rows.device)]

    def order(self, draw: torch.Generator) -> Int64[Tensor, " n"]:
        """Of an epoch: a permutation of the rows; of streamed pixels shards and within shards.

        It lies beside the pixels, of streamed ones in memory.
        """
        if isinstance(self.pixels, Streamed):
            mine = torch.arange(len(self.pixels)) if self.rows is None else self.rows
            return self.pixels.order(mine, draw)
        return torch.randperm(len(self), generator=draw).to(self.pixels.device)

    def at_once(self, most: int = 500) -> int:
        """So many images make a batch that any network can take."""
        return at_once(self.pixels.shape[1:], most)

    def batches(self, size: int) -> Iterator[Batch]:
        """In order; the last one may be short."""
        for first in range(0, len(self), size):
            yield self.batch(slice(first, first + size))

    def moments(self, size: int, seed: int) -> Iterator[tuple[Batch, Moment]]:
        """`batches`, each with the address of its noise: the same whenever it is measured."""
        for number in range(math.ceil(len(self) / size)):
            yield self.moment(number, size, seed)

    def moment(self, number: int, size: int, seed: int) -> tuple[Batch, Moment]:
        """One of `moments`."""
        batch = self.batch(slice(number * size, (number + 1) * size))
        return batch, Moment(number, 1, seed, len(self), 0, len(batch.image))

    def beside(self, columns: dict[str, Tensor]) -> "Split":
        """The same images with more columns, one row for each."""
        return replace(self, columns={**self.columns, **columns})

    def some(self, most: int) -> "Split":
        """So many of the images, evenly spaced in their order, or all."""
        return self if most >= len(self) else self.only(evenly(len(self), most))

    def only(self, rows: Int64[Tensor, " m"]) -> "Split":
        """These of the images."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        keys = [self.keys[row] for row in rows.tolist()]
        return replace(self, keys=keys, columns=columns, rows=self.at(rows))

    def to(self, device: torch.device | str) -> "Split":
        """Only this split's pixels move, in their own type."""
        if isinstance(self.pixels, Streamed):  # batches move, one by one, from windows of its own
            pixels, rows = self.pixels.to(device), self.rows
        elif self.pixels.device == torch.empty(0, device=device).device:
            return self
        else:
            own = self.pixels if self.rows is None else self.pixels[self.rows]
            pixels, rows = own.to(device), None
        columns = {name: column.to(device) for name, column in self.columns.items()}
        return replace(self, pixels=pixels, columns=columns, rows=rows)


def evenly(n: int, most: int | None = None) -> Int64[Tensor, " m"]:
    """All of n rows, or `most` of them, evenly spaced in their order."""
    if most is None or most >= n:
        return torch.arange(n)
    return torch.linspace(0, n - 1, most, dtype=torch.float64).round().long()


def unit(pixels: UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """float32 in [0, 1]."""
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels


def shown(column: Tensor) -> Tensor:
    """A column of images as images are shown; numbers as they are."""
    return unit(column) if column.ndim == 4 else column


def splits(
    parts: dict[str, int], seed: int, validation: float, shards: np.ndarray | None = None
) -> dict[str, Int64[Tensor, " n"]]:
    """Rows of each split, ascending; `parts` are the source's own, in row order.

    A part that the source names stands as it is; what it does not name is drawn from its train:
    by image, or where `shards` says which shard each row lies in, by shard.
    """
    first, rows = 0, {}
    for name, count in parts.items():
        rows[name] = np.arange(first, first + count)
        first += count
    rows.setdefault("train", np.arange(0))  # shards may hold a test alone
    for name, share in (("test", TEST_SHARE), ("validation", validation)):
        if name not in rows:
            choose = drawn if shards is None else partial(whole, shards)
            rows[name], rows["train"] = choose(rows["train"], share, seed, name)
    return {name: torch.from_numpy(rows[name]) for name in NAMES}


def drawn(rows: np.ndarray, share: float, seed: int, purpose: str) -> tuple[np.ndarray, np.ndarray]:
    """round(share * n) of the rows by seed, and the others."""
    order = np.argsort(mixed(len(rows), address(seed, f"split/{purpose}")), kind="stable")
    count = round(share * len(rows))
    return np.sort(rows[order[:count]]), np.sort(rows[order[count:]])


def whole(
    shards: np.ndarray, rows: np.ndarray, share: float, seed: int, purpose: str
) -> tuple[np.ndarray, np.ndarray]:
    """Whole shards by seed, as many as fit into the share; none fits: the smallest, to a quarter.

    shards: the shard of each row of all.
    """
    names, member, counts = np.unique(shards[rows], return_inverse=True, return_counts=True)
    left, taken = round(share * len(rows)), []
    order = np.argsort(mixed(len(names), address(seed, f"split/{purpose}")), kind="stable")
    for shard in order.tolist():
        if counts[shard] <= left:
            taken.append(shard)
            left -= counts[shard]
    if share and len(rows) and not taken and counts.min() <= len(rows) / 4:
        taken = [order[counts[order].argmin()]]
    held = np.isin(member, taken)
    return rows[held], rows[~held]


def mixed(n: int, seed: int) -> np.ndarray:
    """n 64-bit numbers by splitmix64; Steele, Lea & Flood 2014, figure 17.

    Not numpy's or torch's permutation: neither promises the same one in its next version.
    """
    z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def load_image(name: str, part: Split) -> Tensor:
    """(1, c, h, w) in [0, 1]: the image of this number or key."""
    row = find_row(name, part)
    return part.batch(slice(row, row + 1)).image


def find_row(name: str, part: Split) -> int:
    """Raises: Error if there is no image of this number or key."""
    if (row := part.row(name)) is None:
        named = "" if part.called(0).isdecimal() else f", the first of them {part.keys[0]}"
        raise Error(f"There is no image {name} in {part.name}; it has {len(part)}, from 0{named}.")
    return row
