"""Pixels, columns and metadata of a source, as they are decoded or come from the cache."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentia.data.fingerprint import digest_columns
from latentia.data.groups import assign_groups, number_groups
from latentia.data.labels import Labels
from latentia.data.reader import Columns
from latentia.data.reading import RULES, Reading
from latentia.data.splits import Pixels, Split, SplitRows, assign_rows, column_to_tensor
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
        self, split_rows: SplitRows, excluded: np.ndarray | None = None, rules: int = RULES
    ) -> dict[str, Split]:
        """Return each split. Excluded rows are left out, and all others stay in their splits."""
        classes = self.metadata["classes"]
        if rules < 2:  # what is a class was decided by each command
            classes = {name: names for name, names in classes.items() if names}
        if excluded is not None and len(excluded):
            unwanted = torch.from_numpy(excluded)
            split_rows = {k: rows[~torch.isin(rows, unwanted)] for k, rows in split_rows.items()}
        return {
            name: Split(
                name,
                [self.metadata["keys"][row] for row in rows.tolist()],
                {column: values[rows] for column, values in self.columns.items()},
                classes,
                self.pixels,
                rows,
            )
            for name, rows in split_rows.items()
        }


def make_cached_images(
    pixels: np.ndarray | StreamedPixels, columns: Columns, metadata: Metadata, reading: Reading
) -> CachedImages:
    classes, notes = dict(metadata["classes"]), list(metadata["notes"])
    named_columns = (reading.group, *reading.label_kinds)
    free_text = [name for name in metadata.get("free_text", ()) if name not in named_columns]
    if free_text:
        notes.append(
            f"Not used as labels, since nearly every value is different: {', '.join(free_text)};"
            f" --label-kind {free_text[0]}=class uses {free_text[0]}."
        )
    tensors = {}
    for name, values in columns.items():
        if name in free_text:
            del classes[name]
            continue
        values, classes[name] = reading.encode_column(name, values, classes.get(name))
        tensors[name] = column_to_tensor(values)
    as_tensor = torch.from_numpy(pixels) if isinstance(pixels, np.ndarray) else pixels
    return CachedImages(as_tensor, tensors, {**metadata, "classes": classes, "notes": notes})


def join_labels(contents: CachedImages, labels: Labels, reading: Reading) -> CachedImages:
    """Add the columns of a table, or of values in the order of the images.

    Raises: Error if they do not fit the images.
    """
    pixels, columns, metadata = contents
    rows = {"all": torch.arange(len(metadata["keys"]))}
    everything = contents.make_splits(rows, rules=reading.rules)["all"]
    split = labels.join_to(everything, everything.keys, reading)
    values = {name: column.numpy() for name, column in split.columns.items()}
    classes = {**metadata["classes"], **{name: split.classes.get(name) for name in values}}
    notes = [*metadata["notes"], *filter(None, [split.note])]
    changes = {"classes": classes, "notes": notes, "joined": digest_columns(values, classes)}
    return CachedImages(pixels, {**columns, **split.columns}, {**metadata, **changes})
