"""Labels from a table beside the images, joined by file name."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentia.core.errors import Error, summarize_exception
from latentia.core.text import pluralize
from latentia.data.image_files import abbreviate_list
from latentia.data.splits import Split

KEY_COLUMNS = ("key", "file_name", "filename", "file", "path", "image", "name")
LabelColumn = tuple[Tensor, list[str] | None]  # codes and their class names, or numbers
MissingPolicy = Literal["error", "drop", "nan"]


class Labels(NamedTuple):
    """Columns of a .csv, .tsv or .parquet file, or of the source itself if `file` is None.

    file: also an array or a pandas object, one row for each image in the order of the source.

    columns: names of the columns; None: all. Rows are named by the column called key, file_name,
    filename, file, path, image or name, else by the first. A name is the image's key (its path in
    the folder), or the last part of the key if no two images share it. Text becomes classes,
    sorted.
    missing: treatment of images without a row or with an empty cell: "error", "drop" the image, or
    fill by "nan" (numbers) and -1 (classes).
    """

    file: Any = None
    columns: Sequence[str] | None = None
    missing: MissingPolicy = "error"

    def join_to(self, split: Split, all_keys: Sequence[str]) -> Split:
        """Return the split with these columns. `all_keys` are those of every image of the source.

        Raises: Error if names are duplicate or unknown, a column does not exist, no image is left,
        or values are missing and `missing` is "error".
        """
        columns: dict[str, LabelColumn] = {
            name: (values, split.classes.get(name)) for name, values in split.columns.items()
        }
        complete, gaps = torch.ones(len(split), dtype=torch.bool), {}
        if self.file is not None:
            rows = slice(None) if split.rows is None else split.rows
            strict = self.missing == "error"
            if isinstance(self.file, str | Path):
                table = join_by_name(Path(self.file).expanduser(), self.columns, all_keys, strict)
            else:
                table = align_rows(self.file, all_keys)
            for name, cells in table.items():
                values, classes = to_label_column(cells)
                has_value = torch.tensor(cells.notna().to_numpy())[rows]
                values, gaps[name] = values[rows], int((~has_value).sum())
                complete &= has_value
                if gaps[name] and self.missing == "nan" and cells.dtype.kind in "iu":
                    values = values.double().masked_fill(~has_value, torch.nan)
                columns[name] = values, classes
        if self.columns is not None:
            check_columns(self.columns, list(columns), "The source")
            columns = {name: columns[name] for name in self.columns}
        result = replace(
            split,
            columns={name: values for name, (values, _) in columns.items()},
            classes={name: classes for name, (_, classes) in columns.items()},
        )
        if complete.all():
            return result
        is_uneven = len(set(gaps.values())) > 1  # else whole rows are missing
        origin = self.file if isinstance(self.file, str | Path) else "The labels"
        details = "".join(f", {name} of {n:,}" for name, n in gaps.items() if n and is_uneven)
        message = (
            f"{origin} {'lacks cells of' if is_uneven else 'has no values for'}"
            f" {int((~complete).sum()):,} of {pluralize(len(split), 'image')}"
            f" (split {split.name}{details})"
        )
        if not complete.any():
            raise Error(f"{message}; give rows for some, or another --split.")
        if self.missing == "nan":
            return replace(result, note=f"{message}: these have no value.")
        hint = "; --label-cols takes the columns that are full" if is_uneven else ""
        result = result.select(complete.nonzero().flatten())
        return replace(result, note=f"{message}: these images are left out{hint}.")


SOURCE_LABELS = Labels()  # the source's own columns, all of them


def join_by_name(
    path: Path, columns: Sequence[str] | None, keys: Sequence[str], strict: bool
) -> Any:
    """Read columns of the file as a data frame in the order of the keys.

    strict: missing values are an Error.
    """
    table = open_label_table(path)
    selection = list(table if columns is None else columns)
    check_columns(selection, list(table), str(path))
    table = table[selection]
    matches = match_keys(table.index, keys, path, strict)
    for column, cells in table.items():
        empty = table.index[cells.isna()]
        if len(empty) and (strict or len(empty) == len(table)):
            raise Error(
                f"{path} has no {column} for {pluralize(len(empty), 'image')}:"
                f" {abbreviate_list(list(empty), 5)}; fill it in, or leave the column out."
            )
    return table.set_axis(matches).reindex(keys)


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


def match_keys(names: Any, keys: Sequence[str], path: Path, strict: bool) -> Any:
    """Return a series of the keys that the names mean.

    A name is the key itself, or its last part if no two images share it.

    Raises: Error if a name is unknown or a double, or if strict and a key has no name.
    """
    import pandas as pd

    images: Any = pd.Series(keys, index=[PurePosixPath(key).name for key in keys])
    by_base = images[~images.index.duplicated(keep=False)]
    paths: Any = pd.Series([str(PurePosixPath(name)) for name in names])
    matches = paths.where(paths.isin(keys), paths.map(by_base))
    missing = images[~images.isin(matches)]
    missing = missing if strict or len(missing) == len(keys) else missing[:0]
    doubles = matches[matches.duplicated()].dropna().unique()
    unknown = names[matches.isna()]
    for items, problem in (
        (doubles, f"names {pluralize(len(doubles), 'image')} twice"),
        (missing, f"has no row for {len(missing):,} of {pluralize(len(keys), 'image')}"),
        (unknown, f"names {pluralize(len(unknown), 'file')} that the source has not, or has several"
                  " times by that name"),
    ):  # fmt: skip
        if len(items):
            raise Error(
                f"{path} {problem}: {abbreviate_list(list(items), 5)}; give one row an image, named"
                " by its path in the folder."
            )
    return matches


def find_excluded_rows(exclude: Any, keys: Sequence[str]) -> np.ndarray:
    """Return the rows of the images that a table of keys, or a sequence of keys, names.

    Raises: Error if a name is none of the images', or they are all of the images.
    """
    if exclude is None:
        return np.empty(0, np.int64)
    if isinstance(exclude, str | Path):
        path = Path(exclude).expanduser()
        names = open_label_table(path).index.unique()
    else:
        import pandas as pd

        path, names = Path("exclude"), pd.Index(exclude)
    matches = match_keys(names, keys, path, strict=False)
    rows = np.flatnonzero(np.isin(keys, list(matches)))
    if len(rows) == len(keys):
        raise Error(f"{path} names all images; leave some of them for training.")
    return rows


def open_label_table(path: Path) -> Any:
    """Read the table as a data frame, whose index holds the names of the images, in NFC."""
    from csv import reader as csv_reader

    import pandas as pd
    import pyarrow as pa
    from pyarrow import csv, parquet

    if path.suffix.lower() not in (".csv", ".tsv", ".parquet"):
        raise Error(f"--labels {path} is no table; give a .csv, .tsv or .parquet file.")
    try:
        if path.suffix.lower() == ".parquet":
            table = parquet.read_table(path)
        else:  # pandas' own parser would fill short rows
            with path.open(encoding="utf-8-sig") as file:
                header, first_row = file.readline(), file.readline()
            delimiter = max(",;\t", key=header.count)
            names = next(csv_reader([header], delimiter=delimiter), []) or [""]
            text_columns = {find_key_column(names): pa.string()}  # names stay text: 0007 is not 7
            parsing = csv.ParseOptions(delimiter=delimiter)
            # spreadsheets write ; where , is decimal
            decimal = "," if delimiter == ";" and re.search(r"\d,\d", first_row) else "."
            types = csv.ConvertOptions(
                strings_can_be_null=True, column_types=text_columns, decimal_point=decimal
            )
            table = csv.read_csv(path, parse_options=parsing, convert_options=types)
    except FileNotFoundError:
        raise Error(f"--labels {path} does not exist; give a .csv or .parquet file.") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = summarize_exception(error)
        raise Error(f"--labels {path} cannot be read ({reason}); save it as UTF-8 .csv.") from None
    frame = table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
    names = frame.pop(find_key_column(table.column_names))
    return frame.set_axis([unicodedata.normalize("NFC", str(name)) for name in names])


def find_key_column(names: Sequence[str]) -> str:
    by_lower = {name.lower(): name for name in reversed(names)}
    return next((by_lower[name] for name in KEY_COLUMNS if name in by_lower), names[0])


def to_label_column(cells: Any) -> LabelColumn:
    """Convert a series of integers or floats to a tensor, and anything else to sorted classes.

    A missing value becomes 0, NaN or class -1.
    """
    import pandas as pd

    if cells.dtype.kind in "iu":
        return torch.tensor(cells.to_numpy(np.int64, na_value=0)), None
    if cells.dtype.kind == "f":
        return torch.tensor(cells.to_numpy(np.float32, na_value=np.nan)), None
    codes, classes = pd.factorize(cells.map(str, na_action="ignore"), sort=True)
    return torch.tensor(codes), list(classes)


def check_columns(names: Sequence[str], available: Sequence[str], location: str) -> None:
    """Raises: Error if a name is not among the available columns."""
    if unknown := [name for name in names if name not in available]:
        listing = ", ".join(available) or "none"
        raise Error(f"{location} has no column {', '.join(unknown)}; its columns: {listing}.")
