"""Labels of the user: a table joined by file name, or values in the order of the images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentia.core.errors import Error, summarize_exception
from latentia.core.text import abbreviate_list, pluralize, split_list
from latentia.data import name_matching
from latentia.data.label_columns import collapse_one_hot, encode_cells
from latentia.data.label_tables import UNNAMED, open_label_table
from latentia.data.reading import DEFAULT_READING, Reading
from latentia.data.splits import Split, column_to_tensor

MissingPolicy = Literal["error", "drop", "nan"]


class Labels(NamedTuple):
    """Columns of a .csv, .tsv or .parquet file, or of the source itself if `file` is None.

    file: also an array or a pandas object, one row for each image in the order of the source.

    columns: names of the columns, or a text of them with commas; None: all. Rows are named by the
    column whose cells match the most images, as `name_matching` says. Text becomes classes, sorted.
    missing: treatment of images without a row or with an empty cell: "error", "drop" the image, or
    fill by "nan" (numbers) and -1 (classes). Rows of other images are noted, or an "error" too.
    """

    file: Any = None
    columns: Sequence[str] | str | None = None
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
            table, note = self.read_cells(all_keys)
            split = replace(split, note=note)
            for name, cells in table.items():
                values, classes[name] = reading.encode_column(name, *encode_label(name, cells))
                columns[name] = column_to_tensor(values)[rows]
                gaps[name] = torch.tensor(cells.isna().to_numpy())[rows]
        if self.columns is not None:
            names = select_columns(self.columns, list(columns), "The source")
            columns = {name: columns[name] for name in names}
            classes = {name: names for name, names in classes.items() if name in columns}
        result = replace(split, columns=columns, classes=classes)
        return self.treat_gaps(result, gaps) if gaps else result

    def read_cells(self, keys: Sequence[str]) -> tuple[Any, str]:
        """Read the columns as a data frame in the order of the keys, and a note."""
        is_mapping = isinstance(self.file, Mapping)  # {key: label}, or columns by name
        if isinstance(self.file, str | Path):
            path = Path(self.file).expanduser()
            return join_by_name(open_label_table(path, keys), path, self, keys)
        if is_mapping and all(np.ndim(value) == 0 for value in self.file.values()):
            pairs = zip(*self.file.items(), strict=True)
            return join_by_name(name_values(keys, *pairs), "labels", self, keys)
        table = make_frame(self.file)
        if (names := find_names(table, keys)) is not None:
            content = name_matching.name_rows(names, keys)
            return join_by_name(content, "labels", self, keys)
        return align_rows(table, keys), ""

    def treat_gaps(self, split: Split, gaps: dict[str, Tensor]) -> Split:
        """Leave out images without values, or note them. `gaps`: masks by column.

        Raises: Error if none has values, or `missing` is "error".
        """
        masks = torch.stack(list(gaps.values()))
        is_incomplete = masks.any(0)
        if not is_incomplete.any():
            return split
        origin = self.file if isinstance(self.file, str | Path) else "The table of labels"
        details = [f"{name} of {mask.sum():,}" for name, mask in gaps.items() if mask.any()]
        message = (
            f"{origin} has no values for {is_incomplete.sum():,} of"
            f" {pluralize(len(split), 'image')} (split {split.name}: {', '.join(details)})"
        )
        if masks.all() or (self.missing != "nan" and is_incomplete.all()):
            raise Error(f"{message}; give rows for some, or another --split.")
        rows = is_incomplete.nonzero().flatten().tolist()
        keys = abbreviate_list([split.keys[row] for row in rows], 5)
        if self.missing == "error":
            raise Error(f"{message}: {keys}; fill them in, or leave the column out.")
        text = f"{message}: these have no value."
        if self.missing == "drop":
            split = split.select((~is_incomplete).nonzero().flatten())
            text = f"{message}: these images are left out; --label-cols takes other columns."
        return replace(split, note=" ".join(filter(None, [split.note, text])))


SOURCE_LABELS = Labels()  # the source's own columns, all of them


def join_by_name(
    content: name_matching.NamedRows, path: Any, labels: Labels, keys: Sequence[str]
) -> tuple[Any, str]:
    """Return columns of a table as a data frame in the order of the keys, and a note.

    Raises: Error if hardly a name is an image's, or one is none and gaps are an error.
    """
    selection = select_columns(labels.columns, list(content.rows), str(path))
    rows = name_matching.merge_duplicates(content.rows[selection], path)
    table, missing = name_matching.spread_rows(rows, keys)
    are_most_missing = len(missing) > len(keys) / 2
    are_most_unknown = len(content.unknown) > len(rows)
    is_strict = labels.missing == "error"
    if not len(rows) or (are_most_missing and (is_strict or are_most_unknown)):
        raise Error(f"{path} {name_matching.describe_mismatch(content, len(missing), keys)}")
    if not selection:
        raise Error(f"{path} has no column beside '{content.column}'; add one of labels.")
    if not content.unknown:
        return table, ""
    note = (
        f"{path} names {pluralize(len(content.unknown), 'file')} that the source has not, or has"
        f" several times by that name: {abbreviate_list(content.unknown, 5)}"
    )
    if is_strict:
        raise Error(f"{note}; give one row an image, named by its path in the folder.")
    return table, f"{note}."


def make_frame(labels: Any) -> Any:
    """Return labels of an array or a pandas object as a data frame with text as columns.

    Raises: Error if they are none, or two columns have one name.
    """
    import pandas as pd

    try:
        if not isinstance(labels, pd.DataFrame | Mapping) and np.ndim(labels) == 2:
            labels = collapse_one_hot(np.asarray(labels))
        table = pd.DataFrame(labels)
    except (ValueError, TypeError) as error:
        reason = summarize_exception(error)
        raise Error(
            f"The labels are no values with one row an image ({reason}); give a list, an array"
            " (n,) or (n, k), or a Series or DataFrame of pandas."
        ) from None
    names = [name_column(name) or UNNAMED.format(k) for k, name in enumerate(table, 1)]
    if doubles := {name for name in names if names.count(name) > 1}:
        raise Error(f"The labels have two columns called {min(doubles)!r}; rename one of them.")
    return table.set_axis(names, axis=1)


def find_names(table: Any, keys: Sequence[str]) -> Any:
    """Return the table if a column of text, or else its index, names most of the images.

    The index becomes a column. None: the rows are in the order of the images, as those of an array,
    whose keys are numbers, always are.
    """
    indexed = table.reset_index(drop=True)
    indexed.insert(0, "", table.index)
    matcher = name_matching.NameMatcher([] if keys[0].isdecimal() else keys)
    for frame in table, indexed:
        cells = [[str(k) for k in each if isinstance(k, str | Path)] for _, each in frame.items()]
        if any(len({*matcher.match(each).values()}) > len(keys) / 2 for each in cells):
            return frame
    return None


def align_rows(table: Any, keys: Sequence[str]) -> Any:
    """Return a table of one row an image with the keys as its index.

    Raises: Error if the rows are not as many as the keys.
    """
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
        path, content = "exclude", name_values(keys, exclude)
    if not content.names:
        return np.empty(0, np.int64), f"{path} has no rows, so that no image is left out."
    if not len(content.rows):
        raise Error(f"{path} {name_matching.describe_mismatch(content, len(keys), keys)}")
    targets = set(content.rows.index)
    pairs = zip(keys, name_matching.strip_pages(keys), strict=True)
    is_excluded = [key in targets or file in targets for key, file in pairs]
    if all(is_excluded):
        raise Error(f"{path} names all images; leave some of them for training.")
    count, listing = pluralize(len(content.unknown), "file"), abbreviate_list(content.unknown, 5)
    note = f"{path} names {count} that the source has not: {listing}." if content.unknown else ""
    return np.flatnonzero(is_excluded), note


def encode_label(name: str, cells: Any) -> tuple[np.ndarray, list[str] | None]:
    """Encode a column that the user chose. Raises: Error if it holds lists or other objects."""
    if (encoded := encode_cells(cells)) is None:
        kind = type(cells.dropna().iloc[0]).__name__
        raise Error(
            f"{name} of the labels holds {kind}; give one number or text an image, or omit it."
        )
    return encoded


def name_values(
    keys: Sequence[str], names: Sequence[str], labels: Sequence = ()
) -> name_matching.NamedRows:
    """Find the images that names are of, with a label each if there are labels."""
    import pandas as pd

    table = {"key": list(names), **({"label": list(labels)} if labels else {})}
    return name_matching.name_rows(pd.DataFrame(table), keys)


def select_columns(
    columns: Sequence[str] | str | None, available: Sequence[str], location: str
) -> list[str]:
    """Return the names of columns; None: all. Raises: Error if there is no such column."""
    names = split_list(columns, available) if isinstance(columns, str) else columns
    names = list(available if names is None else names)
    check_columns(names, available, location)
    return names


def check_columns(names: Sequence[str], available: Sequence[str], location: str) -> None:
    """Raises: Error if a name is not among the available columns."""
    if unknown := [name for name in names if name not in available]:
        advice = f"; name one of its columns: {', '.join(available)}."
        advice = advice if available else ", and no other; give a table with --labels."
        raise Error(f"{location} has no column {', '.join(unknown)}{advice}")
