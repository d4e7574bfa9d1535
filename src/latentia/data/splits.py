"""Who is trained on, who selects, who judges: drawn by seed, the same on every machine."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.core.seeding import derive_seed
from latentia.core.tensors import max_batch_size
from latentia.data.streaming import StreamedPixels

Pixels = UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"] | StreamedPixels
SPLIT_NAMES = ("train", "validation", "test")
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

    def index_of(self, name: str) -> int | None:
        """Of the image of this number, from 0, or key, or of the one key that ends so.

        0007 is a key, 7 a number.
        """
        if name.isdecimal() and str(int(name)) == name:
            return int(name) if int(name) < len(self) else None
        suffix_matches = [
            index for index, key in enumerate(self.keys) if f"/{key}".endswith(f"/{name}")
        ]
        return (
            self.keys.index(name)
            if name in self.keys
            else suffix_matches[0]
            if len(suffix_matches) == 1
            else None
        )

    def display_name(self, row: int) -> str:
        """As `row` takes it: the key, unless that is a number among all images."""
        key = self.keys[row]
        return str(row) if key.isdecimal() or key.startswith("-") else key

    def get_batch(self, rows: Tensor | slice) -> Batch:
        """Images float32 in [0, 1] and the columns of these rows of the split."""
        columns = {
            name: column_to_unit_range(column[rows]) for name, column in self.columns.items()
        }
        return Batch(tensor_to_unit_range(self.pixels[self.pixel_rows(rows)]), columns)

    def pixel_rows(self, rows: Tensor | slice) -> Tensor | slice:
        """Which pixels are those of these rows."""
        if self.rows is None:
            return rows
        return self.rows[rows if isinstance(rows, slice) else rows.to(self.rows.device)]

    def draw_order(self, rng: torch.Generator) -> Int64[Tensor, " n"]:
        """Of an epoch: a permutation of the rows; of streamed pixels shards and within shards.

        It lies beside the pixels, of streamed ones in memory.
        """
        if isinstance(self.pixels, StreamedPixels):
            own_rows = torch.arange(len(self.pixels)) if self.rows is None else self.rows
            return self.pixels.draw_order(own_rows, rng)
        return torch.randperm(len(self), generator=rng).to(self.pixels.device)

    def max_batch_size(self, limit: int = 500) -> int:
        """So many images make a batch that any network can take."""
        return max_batch_size(self.pixels.shape[1:], limit)

    def iterate_batches(self, batch_size: int) -> Iterator[Batch]:
        """In order; the last one may be short."""
        for start in range(0, len(self), batch_size):
            yield self.get_batch(slice(start, start + batch_size))

    def iterate_with_context(
        self, batch_size: int, seed: int
    ) -> Iterator[tuple[Batch, StepContext]]:
        """`batches`, each with the address of its noise: the same whenever it is measured."""
        for number in range(math.ceil(len(self) / batch_size)):
            yield self.get_with_context(number, batch_size, seed)

    def get_with_context(
        self, number: int, batch_size: int, seed: int
    ) -> tuple[Batch, StepContext]:
        """One of `moments`."""
        batch = self.get_batch(slice(number * batch_size, (number + 1) * batch_size))
        return batch, StepContext(number, 1, seed, len(self), 0, len(batch.image))

    def with_columns(self, columns: dict[str, Tensor]) -> "Split":
        """The same images with more columns, one row for each."""
        return replace(self, columns={**self.columns, **columns})

    def subsample(self, limit: int) -> "Split":
        """So many of the images, evenly spaced in their order, or all."""
        return self if limit >= len(self) else self.select(evenly_spaced_rows(len(self), limit))

    def select(self, rows: Int64[Tensor, " m"]) -> "Split":
        """These of the images."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        keys = [self.keys[row] for row in rows.tolist()]
        return replace(self, keys=keys, columns=columns, rows=self.pixel_rows(rows))

    def to(self, device: torch.device | str) -> "Split":
        """Only this split's pixels move, in their own type."""
        if isinstance(
            self.pixels, StreamedPixels
        ):  # batches move, one by one, from windows of its own
            pixels, rows = self.pixels.to(device), self.rows
        elif self.pixels.device == torch.empty(0, device=device).device:
            return self
        else:
            split_pixels = self.pixels if self.rows is None else self.pixels[self.rows]
            pixels, rows = split_pixels.to(device), None
        columns = {name: column.to(device) for name, column in self.columns.items()}
        return replace(self, pixels=pixels, columns=columns, rows=rows)


def evenly_spaced_rows(n: int, limit: int | None = None) -> Int64[Tensor, " m"]:
    """All of n rows, or `most` of them, evenly spaced in their order."""
    if limit is None or limit >= n:
        return torch.arange(n)
    return torch.linspace(0, n - 1, limit, dtype=torch.float64).round().long()


def tensor_to_unit_range(
    pixels: UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"],
) -> Float[Tensor, "n c h w"]:
    """float32 in [0, 1]."""
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels


def column_to_unit_range(column: Tensor) -> Tensor:
    """A column of images as images are shown; numbers as they are."""
    return tensor_to_unit_range(column) if column.ndim == 4 else column


def assign_rows(
    split_counts: dict[str, int], seed: int, validation: float, shards: np.ndarray | None = None
) -> dict[str, Int64[Tensor, " n"]]:
    """Rows of each split, ascending; `parts` are the source's own, in row order.

    A part that the source names stands as it is; what it does not name is drawn from its train:
    by image, or where `shards` says which shard each row lies in, by shard.
    """
    first_row, rows_by_split = 0, {}
    for name, count in split_counts.items():
        rows_by_split[name] = np.arange(first_row, first_row + count)
        first_row += count
    rows_by_split.setdefault("train", np.arange(0))  # shards may hold a test alone
    for name, share in (("test", TEST_SHARE), ("validation", validation)):
        if name not in rows_by_split:
            choose_rows = draw_rows if shards is None else partial(draw_shards, shards)
            rows_by_split[name], rows_by_split["train"] = choose_rows(
                rows_by_split["train"], share, seed, name
            )
    return {name: torch.from_numpy(rows_by_split[name]) for name in SPLIT_NAMES}


def draw_rows(
    rows: np.ndarray, share: float, seed: int, purpose: str
) -> tuple[np.ndarray, np.ndarray]:
    """round(share * n) of the rows by seed, and the others."""
    permutation = np.argsort(
        splitmix64(len(rows), derive_seed(seed, f"split/{purpose}")), kind="stable"
    )
    count = round(share * len(rows))
    return np.sort(rows[permutation[:count]]), np.sort(rows[permutation[count:]])


def draw_shards(
    shards: np.ndarray, rows: np.ndarray, share: float, seed: int, purpose: str
) -> tuple[np.ndarray, np.ndarray]:
    """Whole shards by seed, as many as fit into the share; none fits: the smallest, to a quarter.

    shards: the shard of each row of all.
    """
    shard_numbers, shard_positions, counts = np.unique(
        shards[rows], return_inverse=True, return_counts=True
    )
    remaining_rows, selected_shards = round(share * len(rows)), []
    permutation = np.argsort(
        splitmix64(len(shard_numbers), derive_seed(seed, f"split/{purpose}")), kind="stable"
    )
    for shard in permutation.tolist():
        if counts[shard] <= remaining_rows:
            selected_shards.append(shard)
            remaining_rows -= counts[shard]
    if share and len(rows) and not selected_shards and counts.min() <= len(rows) / 4:
        selected_shards = [permutation[counts[permutation].argmin()]]
    is_selected = np.isin(shard_positions, selected_shards)
    return rows[is_selected], rows[~is_selected]


def splitmix64(n: int, seed: int) -> np.ndarray:
    """n 64-bit numbers by splitmix64; Steele, Lea & Flood 2014, figure 17.

    Not numpy's or torch's permutation: neither promises the same one in its next version.
    """
    z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def load_image(name: str, split: Split) -> Tensor:
    """(1, c, h, w) in [0, 1]: the image of this number or key."""
    row = find_row(name, split)
    return split.get_batch(slice(row, row + 1)).image


def find_row(name: str, split: Split) -> int:
    """Raises: Error if there is no image of this number or key."""
    if (row := split.index_of(name)) is None:
        first_key = (
            "" if split.display_name(0).isdecimal() else f", the first of them {split.keys[0]}"
        )
        raise Error(
            f"There is no image {name} in {split.name}; it has {len(split)}, from 0{first_key}."
        )
    return row
