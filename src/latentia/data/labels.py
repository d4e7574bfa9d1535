"""Labels from a table beside the images, joined by file name."""

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentia.core.errors import Error, summarize_exception
from latentia.core.label_kinds import encode_column
from latentia.core.text import pluralize
from latentia.data.image_files import abbreviate_list
from latentia.data.label_tables import open_label_table
from latentia.data.name_matching import (
    describe_mismatch,
    merge_duplicates,
    name_rows,
    spread_rows,
    strip_pages,
)
from latentia.data.reading import DEFAULT_READING, Reading
from latentia.data.splits import Split, column_to_tensor

MissingPolicy = Literal["error", "drop", "nan"]


class Labels(NamedTuple):
    """Columns of a .csv, .tsv or .parquet file, or of the source itself if `file` is None.

    file: also an array or a pandas object, one row for each image in the order of the source.

    columns: names of the columns; None: all. Rows are named by the column whose cells match the
    most images, as `name_matching` says. Text becomes classes, sorted.
    missing: treatment of images without a row or with an empty cell: "error", "drop" the image, or
    fill by "nan" (numbers) and -1 (classes).
    """

    file: Any = None
    columns: Sequence[str] | None = None
    missing: MissingPolicy = "error"

    def join_to(
        self, split: Split, all_keys: Sequence[str], reading: Reading = DEFAULT_READING
    ) -> Split:
        """Return the split with these columns. `all_keys` are those of every image of the source.

        Raises: Error if names are duplicate or unknown, a column does not exist, no image is left,
        or values are missing and `missing` is "error".
        """
        columns, classes = dict(split.columns), dict(split.classes)
        gaps: dict[str, Tensor] = {}
        if self.file is not None:
            rows = slice(None) if split.rows is None else split.rows
            for name, cells in self.read_cells(all_keys).items():
                values, names = to_label_column(cells)
                if reading.rules >= 2:
                    kind = reading.label_kinds.get(name)
                    values, classes[name] = encode_column(name, values, names, kind)
                elif names:
                    classes[name] = names
                columns[name] = column_to_tensor(values)[rows]
                gaps[name] = torch.tensor(cells.isna().to_numpy())[rows]
        if self.columns is not None:
            check_columns(self.columns, list(columns), "The source")
            columns = {name: columns[name] for name in self.columns}
            classes = {name: names for name, names in classes.items() if name in columns}
        result = replace(split, columns=columns, classes=classes)
        return self.treat_gaps(result, gaps) if gaps else result

    def read_cells(self, keys: Sequence[str]) -> Any:
        """Read the columns as a data frame in the order of the keys."""
        if not isinstance(self.file, str | Path):
            return align_rows(self.file, keys)
        path = Path(self.file).expanduser()
        return join_by_name(path, self.columns, keys, self.missing)

    def treat_gaps(self, split: Split, gaps: dict[str, Tensor]) -> Split:
        """Leave out images without values, or note them. `gaps`: masks by column."""
        masks = torch.stack(list(gaps.values()))
        is_incomplete = masks.any(0)
        if not is_incomplete.any():
            return split
        counts = {name: int(mask.sum()) for name, mask in gaps.items()}
        is_uneven = len(set(counts.values())) > 1  # else whole rows are missing
        origin = self.file if isinstance(self.file, str | Path) else "The labels"
        details = "".join(f", {name} of {n:,}" for name, n in counts.items() if n and is_uneven)
        message = (
            f"{origin} {'lacks cells of' if is_uneven else 'has no values for'}"
            f" {int(is_incomplete.sum()):,} of {pluralize(len(split), 'image')}"
            f" (split {split.name}{details})"
        )
        if masks.all() or (self.missing != "nan" and is_incomplete.all()):
            raise Error(f"{message}; give rows for some, or another --split.")
        if self.missing == "nan":
            return replace(split, note=f"{message}: these have no value.")
        hint = "; --label-cols takes the columns that are full" if is_uneven else ""
        result = split.select((~is_incomplete).nonzero().flatten())
        return replace(result, note=f"{message}: these images are left out{hint}.")


SOURCE_LABELS = Labels()  # the source's own columns, all of them


def join_by_name(
    path: Path, columns: Sequence[str] | None, keys: Sequence[str], policy: MissingPolicy
) -> Any:
    """Read columns of the file as a data frame in the order of the keys.

    Raises: Error if names are unknown, or values are missing and `policy` is "error".
    """
    content = open_label_table(path, keys)
    selection = list(content.rows if columns is None else columns)
    check_columns(selection, list(content.rows), str(path))
    if not len(content.rows):
        raise Error(f"{path} {describe_mismatch(content, len(keys), keys)}")
    rows = merge_duplicates(content.rows[selection], path)
    table, missing = spread_rows(rows, keys)
    if policy == "error" and len(missing) > len(keys) / 2:
        raise Error(f"{path} {describe_mismatch(content, len(missing), keys)}")
    problem, names = "", missing
    if policy == "error" and missing:
        problem = f"has no row for {len(missing):,} of {pluralize(len(keys), 'image')}"
    elif content.unknown:
        names, count = content.unknown, pluralize(len(content.unknown), "file")
        problem = f"names {count} that the source has not, or has several times by that name"
    if problem:
        raise Error(
            f"{path} {problem}: {abbreviate_list(names, 5)}; give one row an image, named by its"
            " path in the folder."
        )
    for column, cells in rows.items():
        gaps = list(rows.index[cells.isna()])
        is_empty = len(gaps) == len(rows) and (columns or policy == "drop")
        if gaps and (policy == "error" or is_empty):
            raise Error(
                f"{path} has no {column} for {pluralize(len(gaps), 'image')}:"
                f" {abbreviate_list(gaps, 5)}; fill it in, or leave the column out."
            )
    return table


def align_rows(labels: Any, keys: Sequence[str]) -> Any:
    """Return labels of an array or a pandas object, in the order of the keys, as a data frame.

    Raises: Error if they are not as many as the keys.
    """
    import pandas as pd

    try:
        table = pd.DataFrame(labels).rename(columns=name_column)
    except ValueError as error:
        reason = summarize_exception(error)
        raise Error(
            f"The labels are no values with one row an image ({reason}); give a list, an array"
            " (n,) or (n, k), or a Series or DataFrame of pandas."
        ) from None
    if len(table) != len(keys):
        raise Error(
            f"The labels are {len(table):,} for {pluralize(len(keys), 'image')}; give one for each,"
            " in the order of the images, or a table (.csv or .parquet) with file names."
        )
    return table.set_axis(list(keys))


def name_column(name: Any) -> str:
    """Return a column's name; where it is a number from 0: label, label_2, ..."""
    if isinstance(name, Integral):
        return f"label_{name + 1}" if name else "label"
    return str(name)


def find_excluded_rows(exclude: Any, keys: Sequence[str]) -> tuple[np.ndarray, str]:
    """Return the rows of the images that a table of keys, or a sequence of keys, names, and a note.

    Raises: Error if the names are none of the images', or they are all of the images.
    """
    if exclude is None or (isinstance(exclude, Sequence) and not exclude):
        return np.empty(0, np.int64), ""
    if isinstance(exclude, str | Path):
        path = Path(exclude).expanduser()
        content = open_label_table(path, keys)
    else:
        import pandas as pd

        path, content = "exclude", name_rows(pd.DataFrame({"key": list(exclude)}), keys)
    if not content.names:
        return np.empty(0, np.int64), f"{path} has no rows, so that no image is left out."
    if not len(content.rows):
        raise Error(f"{path} {describe_mismatch(content, len(keys), keys)}")
    targets = set(content.rows.index)
    pairs = zip(keys, strip_pages(keys), strict=True)
    is_excluded = [key in targets or file in targets for key, file in pairs]
    if all(is_excluded):
        raise Error(f"{path} names all images; leave some of them for training.")
    count, listing = pluralize(len(content.unknown), "file"), abbreviate_list(content.unknown, 5)
    note = f"{path} names {count} that the source has not: {listing}." if content.unknown else ""
    return np.flatnonzero(is_excluded), note


def to_label_column(cells: Any) -> tuple[np.ndarray, list[str] | None]:
    """Convert a series of integers or floats to an array, and anything else to sorted classes.

    A missing value becomes NaN or class -1.
    """
    import pandas as pd

    if cells.dtype.kind == "f" or cells.isna().all():
        return cells.to_numpy(np.float64, na_value=np.nan), None
    if cells.dtype.kind in "iu":
        has_gaps = cells.isna().any()
        return cells.to_numpy(np.float64 if has_gaps else np.int64, na_value=np.nan), None
    codes, classes = pd.factorize(cells.map(str, na_action="ignore"), sort=True)
    return codes, list(classes)


def check_columns(names: Sequence[str], available: Sequence[str], location: str) -> None:
    """Raises: Error if a name is not among the available columns."""
    if unknown := [name for name in names if name not in available]:
        listing = ", ".join(available) or "none"
        raise Error(f"{location} has no column {', '.join(unknown)}; its columns: {listing}.")
