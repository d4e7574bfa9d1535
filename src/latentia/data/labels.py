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
MissingPolicy = Literal["refused", "left out", "blank"]


class JoinedColumn(NamedTuple):
    """A column of a table in the order of the images; known: those that the table has a cell for,
    the others' values mean nothing.
    """

    values: Tensor
    classes: list[str] | None
    has_value: Tensor

    def fill_missing(self) -> LabelColumn:
        """Elsewhere class -1 or, since integers have no such value, the number NaN."""
        if self.has_value.all():
            return self.values, self.classes
        is_missing = ~self.has_value
        if self.classes:
            return self.values.masked_fill(is_missing, -1), self.classes
        floats = self.values if self.values.is_floating_point() else self.values.double()
        return floats.masked_fill(is_missing, torch.nan), None


class Labels(NamedTuple):
    """A .csv or .parquet file, and the columns wanted of it or, without it, of the source.

    columns: None: all. Rows are named by the column called key, file_name, filename, file, path,
    image or name, else by the first: the image's key (its path in the folder) or, if no two
    images share it, its last part. Text becomes classes, sorted.
    gaps: what becomes of images without a row, or with an empty cell in one of the columns.
    """

    file: str | Path | None = None
    columns: Sequence[str] | None = None
    missing: MissingPolicy = "refused"

    def join_to(self, split: Split, all_keys: Sequence[str]) -> Split:
        """The split with these columns; `everything`: the keys of all images of the source.

        Raises: Error if names are double or unknown, a column is missing, no image is left, or
        there are gaps that are refused.
        """
        joined_columns: dict[str, LabelColumn] = {
            name: (values, split.classes.get(name)) for name, values in split.columns.items()
        }
        is_complete, missing_counts = torch.ones(len(split), dtype=torch.bool), {}
        if self.file is not None:
            strict = self.missing == "refused"
            split_rows = slice(None) if split.rows is None else split.rows
            for name, column in join_by_name(
                Path(self.file), self.columns, all_keys, strict
            ).items():
                split_column = JoinedColumn(
                    column.values[split_rows], column.classes, column.has_value[split_rows]
                )
                is_complete &= split_column.has_value
                missing_counts[name] = int((~split_column.has_value).sum())
                joined_columns[name] = (
                    split_column.fill_missing() if self.missing == "blank" else split_column[:2]
                )
        if self.columns is not None:
            if unknown_columns := [name for name in self.columns if name not in joined_columns]:
                raise Error(
                    format_unknown_columns(unknown_columns, list(joined_columns), "The source")
                )
            joined_columns = {name: joined_columns[name] for name in self.columns}
        joined_split = replace(
            split,
            columns={name: values for name, (values, _) in joined_columns.items()},
            classes={name: classes for name, (_, classes) in joined_columns.items()},
        )
        if is_complete.all():
            return joined_split
        missing_count, total_text = int((~is_complete).sum()), pluralize(len(split), "image")
        missing_by_column = (
            {name: n for name, n in missing_counts.items() if n}
            if len(set(missing_counts.values())) > 1
            else {}
        )
        details = "".join(f", {name} of {n:,}" for name, n in missing_by_column.items())
        message = (
            f"{self.file} says nothing of {missing_count:,} of {total_text} (split {split.name})"
        )
        if missing_by_column:
            message = f"{self.file} lacks cells of {missing_count:,} of {total_text} (split {split.name}{details})"
        if not is_complete.any():
            raise Error(f"{message}; give rows for some, or another --split.")
        if self.missing == "blank":
            return replace(joined_split, note=f"{message}: these have no value.")
        hint = "; --label-cols takes the columns that are full" if missing_by_column else ""
        complete_split = joined_split.select(is_complete.nonzero().flatten())
        return replace(complete_split, note=f"{message}: these images are left out{hint}.")


SOURCE_LABELS = Labels()  # the source's own columns, all of them


def join_by_name(
    path: Path, requested_columns: Sequence[str] | None, keys: Sequence[str], strict: bool
) -> dict[str, JoinedColumn]:
    """The columns of the file, in the order of the keys; strict: without gaps."""
    table, key_column = open_label_table(path)
    available_columns = [column for column in table.column_names if column != key_column]
    if unknown_columns := [
        column for column in requested_columns or () if column not in available_columns
    ]:
        raise Error(format_unknown_columns(unknown_columns, available_columns, str(path)))
    row_names = [
        unicodedata.normalize("NFC", str(value)) for value in table[key_column].to_pylist()
    ]
    row_order = torch.tensor(match_rows(row_names, keys, path, strict))
    joined_columns = {}
    for column in requested_columns if requested_columns is not None else available_columns:
        cells = table[column].combine_chunks()
        if cells.null_count and (strict or cells.null_count == len(cells)):
            empty_rows = [row for row, cell in zip(row_names, table[column].to_pylist(), strict=True)
                     if cell is None]  # fmt: skip
            raise Error(
                f"{path} has no {column} for {pluralize(len(empty_rows), 'image')}: {abbreviate_list(empty_rows, 5)}; "
                "fill it in, or leave the column out."
            )
        is_filled = torch.from_numpy(cells.is_valid().to_numpy(zero_copy_only=False))
        values, classes = to_label_column(cells.drop_null())
        has_value = (row_order >= 0) & is_filled[row_order]
        joined_columns[column] = JoinedColumn(
            values[(is_filled.cumsum(0) - 1)[row_order]], classes, has_value
        )
    return joined_columns


def match_rows(
    row_names: Sequence[str], keys: Sequence[str], path: Path, strict: bool
) -> list[int]:
    """The row of `given` that names each key; -1 where none does, unless that is refused."""
    all_keys = set(keys)
    base_name_counts = Counter(PurePosixPath(key).name for key in keys)
    key_by_base_name = {
        base_name: key
        for key in keys
        if base_name_counts[base_name := PurePosixPath(key).name] == 1
    }
    matched_keys = [
        row if row in all_keys else key_by_base_name.get(row)
        for row in (str(PurePosixPath(row_name)) for row_name in row_names)
    ]
    unknown_names = [row for row, key in zip(row_names, matched_keys, strict=True) if key is None]
    duplicate_keys = [
        key for key, n in Counter(key for key in matched_keys if key).items() if n > 1
    ]
    present_keys = set(matched_keys)
    missing_keys = [key for key in keys if key not in present_keys]
    reported_keys = missing_keys if strict or len(missing_keys) == len(keys) else []
    for names, problem in (
        (duplicate_keys, f"names {pluralize(len(duplicate_keys), 'image')} twice"),
        (reported_keys, f"has no row for {len(reported_keys):,} of {pluralize(len(keys), 'image')}"),
        (unknown_names, f"names {pluralize(len(unknown_names), 'file')} that the source has not, or has several "
                  "times by that name"),
    ):  # fmt: skip
        if names:
            raise Error(
                f"{path} {problem}: {abbreviate_list(names, 5)}; give one row an image, named by its path in the"
                " folder."
            )
    row_by_key = {key: row for row, key in enumerate(matched_keys)}
    return [row_by_key.get(key, -1) for key in keys]


def open_label_table(path: Path):
    """The table, and the column that names the images."""
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
                header_line = file.readline()
            delimiter = max(
                ",;\t", key=header_line.count
            )  # spreadsheets write ; where , is decimal
            parse_options = csv.ParseOptions(delimiter=delimiter)
            # names stay text: 0007 is not 7
            key_column = find_key_column(
                next(csv_reader([header_line], delimiter=delimiter), []) or [""]
            )
            column_types = {key_column: pa.string()}
            convert_options = csv.ConvertOptions(
                strings_can_be_null=True, column_types=column_types
            )
            table = csv.read_csv(path, parse_options=parse_options, convert_options=convert_options)
        return table, find_key_column(table.column_names)
    except FileNotFoundError:
        raise Error(f"--labels {path} does not exist; give a .csv or .parquet file.") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise Error(f"--labels {path} cannot be read ({reason}); save it as UTF-8 .csv.") from None


def find_key_column(names: Sequence[str]) -> str:
    name_by_lowercase = {name.lower(): name for name in reversed(names)}
    return next(
        (
            name_by_lowercase[candidate]
            for candidate in KEY_COLUMNS
            if candidate in name_by_lowercase
        ),
        names[0],
    )


def to_label_column(values) -> LabelColumn:
    """Integers and floats as they are; anything else as text, sorted into classes."""
    import pyarrow as pa

    if pa.types.is_integer(values.type):
        return torch.from_numpy(values.to_numpy().astype(np.int64)), None
    if pa.types.is_floating(values.type):
        return torch.from_numpy(values.to_numpy().astype(np.float32)), None
    classes, codes = np.unique([str(value) for value in values.to_pylist()], return_inverse=True)
    return torch.from_numpy(codes.astype(np.int64)), classes.tolist()


def format_unknown_columns(
    unknown_columns: Sequence[str], available_columns: Sequence[str], location: str
) -> str:
    column_list = ", ".join(available_columns) or "none"
    return f"{location} has no column {', '.join(unknown_columns)}; its columns: {column_list}."
