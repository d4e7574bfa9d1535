"""Groups of images that stay in one split: pages of a file, or images of equal --group."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.key_labels import find_in_keys
from latentia.data.labels import check_columns
from latentia.data.name_matching import strip_pages
from latentia.data.reader import Classes
from latentia.data.reading import Reading
from latentia.data.splits import SPLIT_NAMES, SplitRows, assign_rows


def assign_groups(
    groups: np.ndarray, parts: dict[str, int], reading: Reading, ungrouped: SplitRows
) -> tuple[SplitRows, str]:
    """Assign rows to splits by whole groups. Return them, and a note on the groups.

    Splits of the source stay as they are. Pages of too few files are drawn as single images.
    ungrouped: assignment of single images.

    Raises: Error if --group or --group-regex makes too few groups.
    """
    option = f"--group {reading.group}" if reading.group else ""
    option = f"--group-regex {reading.group_regex}" if reading.group_regex else option
    rows = assign_rows(parts, reading.seed, reading.validation, groups, can_be_empty=False)
    counts = {name: len(np.unique(groups[rows[name].numpy()])) for name in SPLIT_NAMES}
    total = len(np.unique(groups))
    parts_of_file = "Tiles" if reading.tiles else "Pages"
    if any(len(ungrouped[name]) and not counts[name] for name in SPLIT_NAMES):
        if option:
            raise Error(
                f"{option} makes {pluralize(total, 'group')}, too few for whole ones in each split;"
                " give one that makes more, or --validation 0."
            )
        count = pluralize(total, "file")
        note = f"{parts_of_file} of one file are in several splits, as the data hold only {count}."
        if reading.tiling and reading.tiling.stride < reading.tiling.size:
            note += " As tiles overlap, other splits hold pixels of the training."
        return ungrouped, note
    listing = ", ".join(f"{count:,} in {name}" for name, count in counts.items())
    share = len(rows["test"]) / len(groups)
    what = f"Images of one group ({option})" if option else f"{parts_of_file} of one file"
    note = f"{what} stay in one split: {listing} of {total:,} (test: {share:.1%} of the images)."
    if divided := sum(counts.values()) - total:
        note += f" But {divided:,} are in two splits of the source; see --splits seeded."
    return rows, note


def number_groups(
    reading: Reading, keys: Sequence[str], columns: dict[str, Tensor], classes: Classes
) -> np.ndarray | None:
    """Number the groups of images that stay in one split, from 0 in order of their first images.

    Groups are pages of one file, or images of equal --group or --group-regex. An image without a
    value has its own. None: each image is a group.

    Raises: Error if there is no such column, or the expression finds nothing.
    """
    files = strip_pages(keys)
    values: Sequence[object] = [""] * len(keys)
    if reading.group_regex:
        option = f"--group-regex {reading.group_regex}"
        values = next(iter(find_in_keys(reading.group_regex, files, option).values()))
    elif reading.group:
        labels = [name for name in columns if columns[name].ndim == 1]
        check_columns([reading.group], labels, "The source")
        column = columns[reading.group]
        is_missing = column < 0 if classes[reading.group] else column.isnan()
        pairs = zip(column.tolist(), is_missing.tolist(), strict=True)
        values = ["" if missing else value for value, missing in pairs]
    # a value never equals the name of a file
    names = [file if v == "" else (v,) for v, file in zip(values, files, strict=True)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names]) if len(numbers) < len(keys) else None
