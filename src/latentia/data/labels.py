"""Labels from a table beside the images, joined by file name."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.image_files import abbreviate_list
from latentia.data.splits import Split

KEY_COLUMNS = ("key", "file_name", "filename", "file", "path", "image", "name")
LabelColumn = tuple[Tensor, list[str] | None]  # codes and their class names, or numbers
MissingPolicy = Literal["error", "drop", "nan"]


class JoinedColumn(NamedTuple):
    """A column of a table in the order of the images. Values without `has_value` are arbitrary."""

    values: Tensor
    classes: list[str] | None
    has_value: Tensor

    def fill_missing(self) -> LabelColumn:
        """Fill missing values by class -1, or by NaN, for which integers become floats."""
        if self.has_value.all():
            return self.values, self.classes
        missing = ~self.has_value
        if self.classes:
            return self.values.masked_fill(missing, -1), self.classes
        floats = self.values if self.values.is_floating_point() else self.values.double()
        return floats.masked_fill(missing, torch.nan), None


class Labels(NamedTuple):
    """Columns of a .csv, .tsv or .parquet file, or of the source itself if `file` is None.

    columns: names of the columns; None: all. Rows are named by the column called key, file_name,
    filename, file, path, image or name, else by the first. A name is the image's key (its path in
    the folder), or the last part of the key if no two images share it. Text becomes classes,
    sorted.
    missing: treatment of images without a row or with an empty cell: "error", "drop" the image, or
    fill by "nan" (numbers) and -1 (classes).
    """

    file: str | Path | None = None
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
            table = join_by_name(Path(self.file), self.columns, all_keys, strict)
            for name, (values, classes, has_value) in table.items():
                column = JoinedColumn(values[rows], classes, has_value[rows])
                complete &= column.has_value
                gaps[name] = int((~column.has_value).sum())
                columns[name] = column.fill_missing() if self.missing == "nan" else column[:2]
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
        details = "".join(f", {name} of {n:,}" for name, n in gaps.items() if n and is_uneven)
        message = (
            f"{self.file} {'lacks cells of' if is_uneven else 'has no values for'}"
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
) -> dict[str, JoinedColumn]:
    """Read columns of the file in the order of the keys. strict: missing values are an Error."""
    table, key_column = open_label_table(path)
    available = [column for column in table.column_names if column != key_column]
    check_columns(columns or (), available, str(path))
    names = [unicodedata.normalize("NFC", str(name)) for name in table[key_column].to_pylist()]
    rows = torch.tensor(match_rows(names, keys, path, strict))
    result = {}
    for column in available if columns is None else columns:
        cells = table[column].combine_chunks()
        if cells.null_count and (strict or cells.null_count == len(cells)):
            is_null = cells.is_null().to_pylist()
            empty = [name for name, null in zip(names, is_null, strict=True) if null]
            raise Error(
                f"{path} has no {column} for {pluralize(len(empty), 'image')}:"
                f" {abbreviate_list(empty, 5)}; fill it in, or leave the column out."
            )
        is_valid = torch.from_numpy(cells.is_valid().to_numpy(zero_copy_only=False))
        values, classes = to_label_column(cells.drop_null())
        has_value = (rows >= 0) & is_valid[rows]
        result[column] = JoinedColumn(values[(is_valid.cumsum(0) - 1)[rows]], classes, has_value)
    return result


def match_rows(names: Sequence[str], keys: Sequence[str], path: Path, strict: bool) -> list[int]:
    """Return the row that names each key. Without one: -1, or an Error if strict."""
    full_keys, counts = set(keys), Counter(PurePosixPath(key).name for key in keys)
    by_base = {base: key for key in keys if counts[base := PurePosixPath(key).name] == 1}
    posix_names = (str(PurePosixPath(name)) for name in names)
    matches = [name if name in full_keys else by_base.get(name) for name in posix_names]
    unknown = [name for name, key in zip(names, matches, strict=True) if key is None]
    doubles = [key for key, n in Counter(key for key in matches if key).items() if n > 1]
    row_by_key = {key: row for row, key in enumerate(matches)}
    missing = [key for key in keys if key not in row_by_key]
    missing = missing if strict or len(missing) == len(keys) else []
    for items, problem in (
        (doubles, f"names {pluralize(len(doubles), 'image')} twice"),
        (missing, f"has no row for {len(missing):,} of {pluralize(len(keys), 'image')}"),
        (unknown, f"names {pluralize(len(unknown), 'file')} that the source has not, or has several"
                  " times by that name"),
    ):  # fmt: skip
        if items:
            raise Error(
                f"{path} {problem}: {abbreviate_list(items, 5)}; give one row an image, named by"
                " its path in the folder."
            )
    return [row_by_key.get(key, -1) for key in keys]


def open_label_table(path: Path):
    """Open the table. Return it and the name of the column that names the images."""
    from csv import reader as csv_reader

    import pyarrow as pa
    from pyarrow import csv, parquet

    if path.suffix.lower() not in (".csv", ".tsv", ".parquet"):
        raise Error(f"--labels {path} is no table; give a .csv, .tsv or .parquet file.")
    try:
        if path.suffix.lower() == ".parquet":
            table = parquet.read_table(path)
        else:
            with path.open(encoding="utf-8-sig") as file:
                header = file.readline()
            delimiter = max(",;\t", key=header.count)  # spreadsheets write ; where , is decimal
            names = next(csv_reader([header], delimiter=delimiter), []) or [""]
            text_columns = {find_key_column(names): pa.string()}  # names stay text: 0007 is not 7
            parsing = csv.ParseOptions(delimiter=delimiter)
            types = csv.ConvertOptions(strings_can_be_null=True, column_types=text_columns)
            table = csv.read_csv(path, parse_options=parsing, convert_options=types)
        return table, find_key_column(table.column_names)
    except FileNotFoundError:
        raise Error(f"--labels {path} does not exist; give a .csv or .parquet file.") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise Error(f"--labels {path} cannot be read ({reason}); save it as UTF-8 .csv.") from None


def find_key_column(names: Sequence[str]) -> str:
    by_lower = {name.lower(): name for name in reversed(names)}
    return next((by_lower[name] for name in KEY_COLUMNS if name in by_lower), names[0])


def to_label_column(values) -> LabelColumn:
    """Convert integers and floats to tensors, and anything else to sorted classes."""
    import pyarrow as pa

    if pa.types.is_integer(values.type):
        return torch.from_numpy(values.to_numpy().astype(np.int64)), None
    if pa.types.is_floating(values.type):
        return torch.from_numpy(values.to_numpy().astype(np.float32)), None
    classes, codes = np.unique([str(value) for value in values.to_pylist()], return_inverse=True)
    return torch.from_numpy(codes.astype(np.int64)), classes.tolist()


def check_columns(names: Sequence[str], available: Sequence[str], location: str) -> None:
    """Raises: Error if a name is not among the available columns."""
    if unknown := [name for name in names if name not in available]:
        listing = ", ".join(available) or "none"
        raise Error(f"{location} has no column {', '.join(unknown)}; its columns: {listing}.")
