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
from latentia.core.text import counted
from latentia.data.image_files import some
from latentia.data.splits import Split

NAMED = ("key", "file_name", "filename", "file", "path", "image", "name")
Column = tuple[Tensor, list[str] | None]  # codes and their class names, or numbers
Gaps = Literal["refused", "left out", "blank"]


class Joined(NamedTuple):
    """A column of a table in the order of the images; known: those that the table has a cell for,
    the others' values mean nothing.
    """

    values: Tensor
    classes: list[str] | None
    known: Tensor

    def blank(self) -> Column:
        """Elsewhere class -1 or, since integers have no such value, the number NaN."""
        if self.known.all():
            return self.values, self.classes
        gap = ~self.known
        if self.classes:
            return self.values.masked_fill(gap, -1), self.classes
        wide = self.values if self.values.is_floating_point() else self.values.double()
        return wide.masked_fill(gap, torch.nan), None


class Labels(NamedTuple):
    """A .csv or .parquet file, and the columns wanted of it or, without it, of the source.

    columns: None: all. Rows are named by the column called key, file_name, filename, file, path,
    image or name, else by the first: the image's key (its path in the folder) or, if no two
    images share it, its last part. Text becomes classes, sorted.
    gaps: what becomes of images without a row, or with an empty cell in one of the columns.
    """

    file: str | Path | None = None
    columns: Sequence[str] | None = None
    gaps: Gaps = "refused"

    def onto(self, part: Split, everything: Sequence[str]) -> Split:
        """The split with these columns; `everything`: the keys of all images of the source.

        Raises: Error if names are double or unknown, a column is missing, no image is left, or
        there are gaps that are refused.
        """
        found: dict[str, Column] = {
            name: (values, part.classes.get(name)) for name, values in part.columns.items()
        }
        known, lacks = torch.ones(len(part), dtype=torch.bool), {}
        if self.file is not None:
            strict = self.gaps == "refused"
            own = slice(None) if part.rows is None else part.rows
            for name, column in joined_by_name(
                Path(self.file), self.columns, everything, strict
            ).items():
                here = Joined(column.values[own], column.classes, column.known[own])
                known &= here.known
                lacks[name] = int((~here.known).sum())
                found[name] = here.blank() if self.gaps == "blank" else here[:2]
        if self.columns is not None:
            if strangers := [name for name in self.columns if name not in found]:
                raise Error(no_column(strangers, list(found), "The source"))
            found = {name: found[name] for name in self.columns}
        whole = replace(
            part,
            columns={name: values for name, (values, _) in found.items()},
            classes={name: classes for name, (_, classes) in found.items()},
        )
        if known.all():
            return whole
        few, of = int((~known).sum()), counted(len(part), "image")
        fuller = {name: n for name, n in lacks.items() if n} if len(set(lacks.values())) > 1 else {}
        by = "".join(f", {name} of {n:,}" for name, n in fuller.items())
        gap = f"{self.file} says nothing of {few:,} of {of} (split {part.name})"
        if fuller:
            gap = f"{self.file} lacks cells of {few:,} of {of} (split {part.name}{by})"
        if not known.any():
            raise Error(f"{gap}; give rows for some, or another --split.")
        if self.gaps == "blank":
            return replace(whole, note=f"{gap}: these have no value.")
        fewer = "; --label-cols takes the columns that are full" if fuller else ""
        only = whole.only(known.nonzero().flatten())
        return replace(only, note=f"{gap}: these images are left out{fewer}.")


UNLABELLED = Labels()  # the source's own columns, all of them


def joined_by_name(
    path: Path, wanted: Sequence[str] | None, keys: Sequence[str], strict: bool
) -> dict[str, Joined]:
    """The columns of the file, in the order of the keys; strict: without gaps."""
    table, name = opened(path)
    offered = [column for column in table.column_names if column != name]
    if strangers := [column for column in wanted or () if column not in offered]:
        raise Error(no_column(strangers, offered, str(path)))
    given = [unicodedata.normalize("NFC", str(each)) for each in table[name].to_pylist()]
    order = torch.tensor(matched(given, keys, path, strict))
    found = {}
    for column in wanted if wanted is not None else offered:
        cells = table[column].combine_chunks()
        if cells.null_count and (strict or cells.null_count == len(cells)):
            empty = [row for row, cell in zip(given, table[column].to_pylist(), strict=True)
                     if cell is None]  # fmt: skip
            raise Error(
                f"{path} has no {column} for {counted(len(empty), 'image')}: {some(empty, 5)}; "
                "fill it in, or leave the column out."
            )
        full = torch.from_numpy(cells.is_valid().to_numpy(zero_copy_only=False))
        values, classes = typed(cells.drop_null())
        known = (order >= 0) & full[order]
        found[column] = Joined(values[(full.cumsum(0) - 1)[order]], classes, known)
    return found


def matched(given: Sequence[str], keys: Sequence[str], path: Path, strict: bool) -> list[int]:
    """The row of `given` that names each key; -1 where none does, unless that is refused."""
    full = set(keys)
    bases = Counter(PurePosixPath(key).name for key in keys)
    alone = {base: key for key in keys if bases[base := PurePosixPath(key).name] == 1}
    meant = [
        row if row in full else alone.get(row)
        for row in (str(PurePosixPath(each)) for each in given)
    ]
    unknown = [row for row, key in zip(given, meant, strict=True) if key is None]
    double = [key for key, n in Counter(key for key in meant if key).items() if n > 1]
    present = set(meant)
    missing = [key for key in keys if key not in present]
    gaps = missing if strict or len(missing) == len(keys) else []
    for names, what in (
        (double, f"names {counted(len(double), 'image')} twice"),
        (gaps, f"has no row for {len(gaps):,} of {counted(len(keys), 'image')}"),
        (unknown, f"names {counted(len(unknown), 'file')} that the source has not, or has several "
                  "times by that name"),
    ):  # fmt: skip
        if names:
            raise Error(
                f"{path} {what}: {some(names, 5)}; give one row an image, named by its path in the"
                " folder."
            )
    rows = {key: row for row, key in enumerate(meant)}
    return [rows.get(key, -1) for key in keys]


def opened(path: Path):
    """The table, and the column that names the images."""
    from csv import reader as rows_of

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
            parsing = csv.ParseOptions(delimiter=delimiter)
            # names stay text: 0007 is not 7
            name = naming(next(rows_of([header], delimiter=delimiter), []) or [""])
            kinds = {name: pa.string()}
            options = csv.ConvertOptions(strings_can_be_null=True, column_types=kinds)
            table = csv.read_csv(path, parse_options=parsing, convert_options=options)
        return table, naming(table.column_names)
    except FileNotFoundError:
        raise Error(f"--labels {path} does not exist; give a .csv or .parquet file.") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError) as why:
        reason = str(why).splitlines()[0]
        raise Error(f"--labels {path} cannot be read ({reason}); save it as UTF-8 .csv.") from None


def naming(names: Sequence[str]) -> str:
    lower = {name.lower(): name for name in reversed(names)}
    return next((lower[each] for each in NAMED if each in lower), names[0])


def typed(values) -> Column:
    """Integers and floats as they are; anything else as text, sorted into classes."""
    import pyarrow as pa

    if pa.types.is_integer(values.type):
        return torch.from_numpy(values.to_numpy().astype(np.int64)), None
    if pa.types.is_floating(values.type):
        return torch.from_numpy(values.to_numpy().astype(np.float32)), None
    classes, codes = np.unique([str(each) for each in values.to_pylist()], return_inverse=True)
    return torch.from_numpy(codes.astype(np.int64)), classes.tolist()


def no_column(strangers: Sequence[str], offered: Sequence[str], where: str) -> str:
    known = ", ".join(offered) or "none"
    return f"{where} has no column {', '.join(strangers)}; its columns: {known}."
