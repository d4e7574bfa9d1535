"""Pixels, columns and metadata of a source, as they are decoded or come from the cache."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentia.core.label_kinds import MAX_CLASSES
from latentia.core.text import abbreviate_list, pluralize
from latentia.data.fingerprint import digest_columns
from latentia.data.groups import assign_groups, number_groups
from latentia.data.label_tables import TABLE_HINT
from latentia.data.labels import Labels
from latentia.data.layout import PREFIX, name_split
from latentia.data.reader import Columns
from latentia.data.reading import Reading
from latentia.data.splits import (
    SPLIT_NAMES,
    Pixels,
    Split,
    SplitRows,
    assign_rows,
    column_to_tensor,
)
from latentia.data.streaming import MIN_SHARDS_TO_SPLIT, StreamedPixels

Metadata = dict[str, Any]  # as JSON holds it
# a single letter after a space, or 2D and the 1990s were numbers
NUMBER_WITH_UNIT = re.compile(
    r"[-+−]?\d[\d.,]*(?: (?=\w)| ?(?=[^\W\d_]{2}|[°%‰]))([^\W\d_]{1,4}[23²³]?|°\w?|[%‰])"
)


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
        order = np.arange(len(keys))  # of the rows by split
        if own := self.metadata.get("own_splits"):
            order = np.argsort([SPLIT_NAMES.index(name) for name in own], kind="stable")
        if isinstance(pixels, StreamedPixels) and len(pixels.shards) >= MIN_SHARDS_TO_SPLIT:
            shards = pixels.find_shard_numbers(torch.from_numpy(order))
        rows, notes = assign_rows(parts, reading.seed, reading.validation, shards), []
        groups = number_groups(reading, keys, self.columns, self.metadata["classes"])
        if groups is not None:
            rows, note = assign_groups(groups[order], parts, reading, rows)
            notes = [note]
        rows = {name: torch.from_numpy(np.sort(order[each.numpy()])) for name, each in rows.items()}
        return {**rows, "all": torch.arange(len(keys))}, notes

    def make_splits(self, split_rows: SplitRows) -> dict[str, Split]:
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
    pixels: np.ndarray | StreamedPixels, columns: Columns, metadata: Metadata, reading: Reading
) -> CachedImages:
    classes, notes = dict(metadata["classes"]), list(metadata["notes"])
    if reading.group_regex:
        notes = [note for note in notes if PREFIX not in note]
    named_columns = (reading.group, *reading.label_kinds)
    free_text = [name for name in metadata.get("free_text", ()) if name not in named_columns]
    if free_text:
        notes.append(
            f"Not used as labels, since nearly every value is different: {', '.join(free_text)};"
            f" --label-kind {free_text[0]}=class uses {free_text[0]}."
        )
    tensors = {}
    for name, values in columns.items():
        if name not in reading.label_kinds and (unit := find_unit(classes.get(name) or ())):
            notes.append(
                f"{name} is not read as numbers, since its values end in {unit!r}; give the numbers"
                " without it to have them read as numbers."
            )
        if name in free_text:
            del classes[name]
            continue
        values, classes[name] = reading.encode_column(name, values, classes.get(name))
        if similar := find_similar(classes[name] or ()):
            listing = abbreviate_list(similar, 5)
            notes.append(
                f"{name} has classes that differ only in capitals or spaces: {listing}; they are"
                " read as several."
            )
        tensors[name] = column_to_tensor(values)
        if not classes[name] and name not in reading.label_kinds and counts_classes(values):
            notes.append(
                f"{name} counts from {values.min()} to {values.max()}, and is read as a number, as"
                f" it has more than {MAX_CLASSES} values; --label-kind {name}=class makes classes."
            )
    as_tensor = torch.from_numpy(pixels) if isinstance(pixels, np.ndarray) else pixels
    return CachedImages(as_tensor, tensors, {**metadata, "classes": classes, "notes": notes})


def find_unit(names: Sequence[str]) -> str:
    """Return the unit that all names have behind a number, as in 5 mm and 10 mm, or ""."""
    matches = [NUMBER_WITH_UNIT.fullmatch(name) for name in names]
    units = {match[1] if match else "" for match in matches}
    return units.pop() if len(units) == 1 and len(names) > 1 else ""


def find_similar(names: Sequence[str]) -> list[str]:
    """Return the names, quoted, that differ from others only in capitals or spaces."""
    plain = ["".join(name.casefold().split()) for name in names]
    counts, pairs = Counter(plain), zip(names, plain, strict=True)
    return [repr(name) for name, letters in pairs if counts[letters] > 1]


def counts_classes(values: np.ndarray) -> bool:
    """Whether labels have every integer from 0 or 1 to their greatest, each twice on average."""
    if values.ndim > 1 or values.dtype.kind not in "iu" or not len(values):
        return False
    n, least = len(np.unique(values)), int(values.min())
    return least in (0, 1) and int(values.max()) - least == n - 1 and 2 * n <= len(values)


def join_labels(contents: CachedImages, labels: Any, reading: Reading) -> CachedImages:
    """Add the columns of a table, or of values in the order of the images, if there are some.

    Raises: Error if they do not fit the images.
    """
    if labels is None:
        return take_splits(contents, reading)
    pixels, columns, metadata = contents
    rows = {"all": torch.arange(len(metadata["keys"]))}
    everything = contents.make_splits(rows)["all"]
    split = Labels(labels, missing="nan").join_to(everything, everything.keys, reading)
    values = {name: column.numpy() for name, column in split.columns.items()}
    classes = {**metadata["classes"], **{name: split.classes.get(name) for name in values}}
    notes = [note for note in metadata["notes"] if TABLE_HINT not in note]
    notes += filter(None, [split.note])
    changes = {"classes": classes, "notes": notes, "joined": digest_columns(values, classes)}
    joined = CachedImages(pixels, {**columns, **split.columns}, {**metadata, **changes})
    return take_splits(joined, reading)


def take_splits(contents: CachedImages, reading: Reading) -> CachedImages:
    """Take the splits from a column of their names, which then is no label."""
    pixels, columns, metadata = contents
    if reading.splits == "seeded" or len(metadata["parts"]) > 1:
        return contents
    for name, classes in metadata["classes"].items():
        splits = [name_split(each) for each in classes or ()]
        if name in reading.label_kinds or "" in splits or not {"train"} < {*splits}:
            continue
        if missing := int((columns[name] < 0).sum()):
            note = f"{name} names no split of {pluralize(missing, 'image')}: it is read as a label."
            return contents._replace(metadata={**metadata, "notes": [*metadata["notes"], note]})
        own = [splits[code] for code in columns[name].tolist()]
        note = f"the splits are those of {name}; --splits seeded draws them by seed."
        metadata = {**metadata, "notes": [*metadata["notes"], note], "own_splits": own}
        metadata["classes"] = {k: v for k, v in metadata["classes"].items() if k != name}
        metadata["parts"] = {k: own.count(k) for k in SPLIT_NAMES if k in own}
        return CachedImages(pixels, {k: v for k, v in columns.items() if k != name}, metadata)
    return contents
