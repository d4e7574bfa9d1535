"""Train, validation and test splits, assigned by seed, the same on every machine."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.core.seeding import derive_seed
from latentia.core.tensors import max_batch_size
from latentia.core.text import pluralize
from latentia.data.name_matching import clean_path
from latentia.data.reader import Classes
from latentia.data.streaming import PixelTensor, StreamedPixels

Pixels = PixelTensor | StreamedPixels
SplitRows = dict[str, Int64[Tensor, " _"]]  # rows of each split, ascending
BatchWithContext = tuple[Batch, StepContext]
SPLIT_NAMES = ("train", "validation", "test")
SPLIT_ALIASES = {name: name for name in SPLIT_NAMES} | {"val": "validation", "valid": "validation"}
TEST_SHARE = 0.1  # of a source that names no test split


@dataclass(frozen=True)
class Split:
    """Images of one split, with their keys and label columns.

    Parameters
    ----------
    name : str
        train, validation, test or all
    keys : list of str
        name of each image
    columns : dict of str to Tensor
        labels (n,) or images (n, c, h, w), by name
    classes : dict
        class names of each column; None: it holds numbers or images
    pixels : Tensor
        pixels of the whole data set, uint8 or float32
    rows : Tensor, optional
        rows of `pixels` in this split; None: all, in order
    note : str
        a message to the user

    Examples
    --------
    >>> import latentia
    >>> test = latentia.open_images("digits:200").split("test")
    >>> test.get_batch(slice(0, 4)).image.shape
    torch.Size([4, 1, 32, 32])
    """

    name: str
    keys: list[str]
    columns: dict[str, Tensor]
    classes: Classes
    pixels: Pixels
    rows: Tensor | None  # rows of `pixels` in this split; None: all, in order
    note: str = ""

    def __repr__(self) -> str:
        shape, columns = "x".join(map(str, self.pixels.shape[1:])), ", ".join(self.columns)
        suffix = f"; {columns}" if columns else ""
        return f"Split({self.name}: {pluralize(len(self), 'image')} {shape}{suffix})"

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: slice) -> Float[Tensor, "n c h w"]:
        """Return the images of these rows, in [0, 1]."""
        return self.get_batch(rows).image

    def index_of(self, name: str) -> int | None:
        """Return the row of an image by number from 0, by key, or by a unique end of its key.

        "7" is a number, "0007" is a key. Backslashes and other cases of letters fit too.
        """
        if name.isdecimal() and str(int(name)) == name:
            return int(name) if int(name) < len(self) else None
        if name in self.keys:
            return self.keys.index(name)
        for fold in (str, str.casefold):
            end = fold(f"/{clean_path(name)}")
            matches = [k for k, key in enumerate(self.keys) if fold(f"/{key}").endswith(end)]
            if len(matches) == 1:
                return matches[0]
        return None

    def display_name(self, row: int) -> str:
        """Return the key, or the number where the key would be read as a number or an option."""
        key = self.keys[row]
        return str(row) if key.isdecimal() or key.startswith("-") else key

    def get_batch(self, rows: Tensor | slice) -> Batch:
        """Return the images, float32 in [0, 1], and the columns of these rows of the split."""
        columns = {k: column_to_unit_range(column[rows]) for k, column in self.columns.items()}
        return Batch(tensor_to_unit_range(self.pixels[self.pixel_rows(rows)]), columns)

    def pixel_rows(self, rows: Tensor | slice) -> Tensor | slice:
        """Map rows of the split to rows of `pixels`."""
        if self.rows is None:
            return rows
        return self.rows[rows if isinstance(rows, slice) else rows.to(self.rows.device)]

    def draw_order(self, rng: torch.Generator, balance: str | None = None) -> Int64[Tensor, " n"]:
        """Draw an epoch's permutation of the rows. Streamed pixels: shards, then rows of shards.

        balance: draw rows with replacement instead, each class of this column equally often. The
        result is on the device of the pixels, for streamed pixels on the CPU.
        """
        if balance is None and not isinstance(self.pixels, StreamedPixels):
            return torch.randperm(len(self), generator=rng).to(self.pixels.device)
        rows = torch.arange(len(self))
        if balance is not None:
            rows = draw_balanced_rows(self.columns[balance].cpu(), rng)
        if isinstance(self.pixels, StreamedPixels):
            return rows[self.pixels.draw_order(torch.as_tensor(self.pixel_rows(rows)), rng)]
        return rows.to(self.pixels.device)

    def max_batch_size(self, limit: int = 500) -> int:
        """Return the largest batch size that any network can take, at most `limit`."""
        return max_batch_size(self.pixels.shape[1:], limit)

    def iterate_batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield batches in order. The last one may be short."""
        for start in range(0, len(self), batch_size):
            yield self.get_batch(slice(start, start + batch_size))

    def iterate_with_context(self, batch_size: int, seed: int) -> Iterator[BatchWithContext]:
        """Yield batches with the address of their noise, the same at each evaluation."""
        for number in range(math.ceil(len(self) / batch_size)):
            yield self.get_with_context(number, batch_size, seed)

    def get_with_context(self, number: int, batch_size: int, seed: int) -> BatchWithContext:
        """Return one batch of `iterate_with_context`."""
        batch = self.get_batch(slice(number * batch_size, (number + 1) * batch_size))
        return batch, StepContext(number, 1, seed, len(self), 0, len(batch.image))

    def with_columns(self, columns: dict[str, Tensor]) -> "Split":
        """Return the same images with more columns, one row for each image."""
        return replace(self, columns={**self.columns, **columns})

    def subsample(self, limit: int) -> "Split":
        """Return at most `limit` images, evenly spaced in their order."""
        return self if limit >= len(self) else self.select(evenly_spaced_rows(len(self), limit))

    def select(self, rows: Int64[Tensor, " m"]) -> "Split":
        """Return these images only."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        keys = [self.keys[row] for row in rows.tolist()]
        return replace(self, keys=keys, columns=columns, rows=self.pixel_rows(rows))

    def to(self, device: torch.device | str) -> "Split":
        """Copy this split's pixels and columns to a device, in their own type."""
        if isinstance(self.pixels, StreamedPixels):  # each batch moves when it is decoded
            pixels, rows = self.pixels.to(device), self.rows
        elif self.pixels.device == torch.empty(0, device=device).device:
            return self
        else:
            own_pixels = self.pixels if self.rows is None else self.pixels[self.rows]
            pixels, rows = own_pixels.to(device), None
        columns = {name: column.to(device) for name, column in self.columns.items()}
        return replace(self, pixels=pixels, columns=columns, rows=rows)


def draw_balanced_rows(codes: Int64[Tensor, " n"], rng: torch.Generator) -> Int64[Tensor, " n"]:
    """Draw n of n rows with replacement: first a class at random, then one of its rows.

    codes: the class of each row. Rows without a class (-1) count as one more class.
    """
    _, codes, counts = codes.unique(return_inverse=True, return_counts=True)
    chosen = torch.randint(len(counts), codes.shape, generator=rng)
    # float64: float32 has too few values to reach every row of a large class
    positions = torch.rand(len(codes), generator=rng, dtype=torch.float64) * counts[chosen]
    starts = counts.cumsum(0) - counts
    return codes.argsort(stable=True)[starts[chosen] + positions.long()]


def evenly_spaced_rows(n: int, limit: int | None = None) -> Int64[Tensor, " m"]:
    """Return all of n rows, or `limit` of them, evenly spaced in their order."""
    if limit is None or limit >= n:
        return torch.arange(n)
    return torch.linspace(0, n - 1, limit, dtype=torch.float64).round().long()


def tensor_to_unit_range(pixels: PixelTensor) -> Float[Tensor, "n c h w"]:
    """Convert to float32 in [0, 1]."""
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels


def column_to_unit_range(column: Tensor) -> Tensor:
    """Convert a column of images to [0, 1]. Return numbers unchanged."""
    return tensor_to_unit_range(column) if column.ndim == 4 else column


def column_to_tensor(values: np.ndarray) -> Tensor:
    """Convert integers to int64, floats to float32, and keep the type of images."""
    if values.ndim > 1:
        return torch.from_numpy(values)
    return torch.from_numpy(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))


def assign_rows(
    split_counts: dict[str, int],
    seed: int,
    validation: float,
    groups: np.ndarray | None = None,
    can_be_empty: bool = True,
) -> SplitRows:
    """Assign rows to splits, ascending. `split_counts` are the source's own, in row order.

    A split that the source names stays as it is. The others are drawn from its train split: by
    image, or by whole groups if `groups` gives the group of each row.
    """
    start, split_rows = 0, {}
    for name, count in split_counts.items():
        split_rows[name] = np.arange(start, start + count)
        start += count
    split_rows.setdefault("train", np.arange(0))  # shards may hold a test split only
    for name, share in (("test", TEST_SHARE), ("validation", validation)):
        if name not in split_rows:
            rows = split_rows["train"]
            if groups is None:
                mask = draw_rows(len(rows), share, seed, name)
            else:
                needs_more = name == "test" and validation > 0 and "validation" not in split_rows
                keep = 0 if can_be_empty else 2 if needs_more else 1
                mask = draw_groups(groups[rows], share, seed, name, keep)
            split_rows[name], split_rows["train"] = rows[mask], rows[~mask]
    return {name: torch.from_numpy(split_rows[name]) for name in SPLIT_NAMES}


def draw_rows(n: int, share: float, seed: int, purpose: str) -> np.ndarray:
    """Draw round(share * n) of n rows by seed. Return a mask."""
    mask = np.zeros(n, bool)
    mask[draw_permutation(n, seed, purpose)[: round(share * n)]] = True
    return mask


def draw_groups(
    groups: np.ndarray, share: float, seed: int, purpose: str, keep: int = 0
) -> np.ndarray:
    """Draw whole groups by seed, as many as fit into the share. Return a mask of the rows.

    keep: number of groups that must be left. The smallest other group is added if that comes closer
    to the share, or none fits. If keep is 0 it is added only if none fits, provided that it holds
    at most a quarter of the rows.
    groups: the group of each row.
    """
    numbers, positions, counts = np.unique(groups, return_inverse=True, return_counts=True)
    remaining, selection, rest = round(share * len(groups)), [], []
    for group in draw_permutation(len(numbers), seed, purpose).tolist():
        if counts[group] <= remaining and len(selection) < len(numbers) - keep:
            selection.append(group)
            remaining -= counts[group]
        else:
            rest.append(group)
    if share and len(rest) > keep:
        smallest = min(rest, key=counts.__getitem__)
        if keep:
            is_better = remaining and (not selection or counts[smallest] < 2 * remaining)
        else:
            is_better = not selection and counts[smallest] <= len(groups) / 4
        selection += [smallest] if is_better else []
    return np.isin(positions, selection)


def draw_permutation(n: int, seed: int, purpose: str) -> np.ndarray:
    return np.argsort(splitmix64(n, derive_seed(seed, f"split/{purpose}")), kind="stable")


def splitmix64(n: int, seed: int) -> np.ndarray:
    """Generate n 64-bit numbers by splitmix64; Steele, Lea & Flood 2014, figure 17.

    numpy and torch do not promise the same permutation in their next version.
    """
    z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def load_image(name: str, split: Split) -> Batch:
    """Load one image by number or key, (1, c, h, w) in [0, 1], and its labels."""
    row = find_row(name, split)
    return split.get_batch(slice(row, row + 1))


def find_row(name: str, split: Split) -> int:
    """Find the row of an image by number or key. Raises: Error if there is no such image."""
    if (row := split.index_of(name)) is None:
        hint = "" if split.display_name(0).isdecimal() else f", the first of them {split.keys[0]}"
        listing = f"it has images 0 to {len(split) - 1:,}{hint}"
        raise Error(f"There is no image {name} in split {split.name}; {listing}.")
    return row
