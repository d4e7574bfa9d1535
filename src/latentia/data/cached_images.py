"""Pixels, columns and metadata of a source, as they are decoded or come from the cache."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.fingerprint import digest_columns
from latentia.data.groups import assign_groups, number_groups
from latentia.data.labels import Labels
from latentia.data.reader import Columns
from latentia.data.reading import Reading
from latentia.data.splits import Pixels, Split, SplitRows, assign_rows
from latentia.data.streaming import MIN_SHARDS_TO_SPLIT, StreamedPixels

Metadata = dict[str, Any]  # as JSON holds it


class CachedImages(NamedTuple):
    """Everything that is read from a source, as the cache stores it."""

    pixels: Pixels
    columns: dict[str, Tensor]
    metadata: Metadata

    def assign_rows(self, reading: Reading) -> tuple[SplitRows, list[str]]:
        """Assign the rows that the source did not assign by seed. Return them, and notes.

        Groups stay in one split, else whole shards if there are many.

        Raises: Error if there are too few groups.
        """
        keys, pixels, shards = self.metadata["keys"], self.pixels, None
        parts = {"train": len(keys)} if reading.splits == "seeded" else self.metadata["parts"]
        if isinstance(pixels, StreamedPixels) and len(pixels.shards) >= MIN_SHARDS_TO_SPLIT:
            shards = pixels.find_shard_numbers(torch.arange(len(keys)))
        rows, notes = assign_rows(parts, reading.seed, reading.validation, shards), []
        groups = number_groups(reading, keys, self.columns, self.metadata["classes"])
        if groups is not None:
            rows, note = assign_groups(groups, parts, reading, rows)
            notes = [note]
        return {**rows, "all": torch.arange(len(keys))}, notes

    def make_splits(
        self, split_rows: SplitRows, excluded: np.ndarray | None = None
    ) -> dict[str, Split]:
        """Return each split. Excluded rows are left out, and all others stay in their splits."""
        if excluded is not None and len(excluded):
            unwanted = torch.from_numpy(excluded)
            split_rows = {k: rows[~torch.isin(rows, unwanted)] for k, rows in split_rows.items()}
        return {
            name: Split(
                name,
                [self.metadata["keys"][row] for row in rows.tolist()],
                {column: values[rows] for column, values in self.columns.items()},
                self.metadata["classes"],
                self.pixels,
                rows,
            )
            for name, rows in split_rows.items()
        }


def make_cached_images(
    pixels: np.ndarray | StreamedPixels, columns: Columns, metadata: Metadata
) -> CachedImages:
    tensors = {name: column_to_tensor(values) for name, values in columns.items()}
    as_tensor = torch.from_numpy(pixels) if isinstance(pixels, np.ndarray) else pixels
    return CachedImages(as_tensor, tensors, metadata)


def column_to_tensor(values: np.ndarray) -> Tensor:
    """Convert integers to int64, floats to float32, and keep the type of images."""
    if values.ndim > 1:
        return torch.from_numpy(values)
    return torch.from_numpy(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))


def join_labels(contents: CachedImages, labels: Labels) -> CachedImages:
    """Add the columns of a table, or of values in the order of the images.

    Raises: Error if they do not fit the images, or an image has no value.
    """
    pixels, columns, metadata = contents
    everything = contents.make_splits({"all": torch.arange(len(metadata["keys"]))})["all"]
    split = labels.join_to(everything, everything.keys)
    if len(split) < len(everything):
        raise Error(
            f"The labels lack a value for {len(everything) - len(split):,} of "
            f"{pluralize(len(everything), 'image')}; fill it in, or leave the images out."
        )
    classes = {**metadata["classes"], **split.classes}
    values = {name: split.columns[name].numpy() for name in split.classes}
    metadata = {**metadata, "classes": classes, "joined": digest_columns(values, classes)}
    return CachedImages(pixels, {**columns, **split.columns}, metadata)
