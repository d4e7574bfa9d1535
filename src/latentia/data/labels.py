"""Labels from a table beside the images, joined by file name."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentia.core.errors import Error
from latentia.data.encoded import some
from latentia.data.split import Split

NAMED = ("key", "file_name", "filename", "file", "path", "image", "name")
Column = tuple[Tensor, list[str] | None]  # codes and their class names, or numbers


class Labels(NamedTuple):
    """A .csv or .parquet file, and the columns wanted of it or, without it, of the source.

    columns: None: all. Rows are named by the column called key, file_name, filename, file, path,
    image or name, else by the first: the image's key (its path in the folder) or, if no two
    images share it, its last part. Text becomes classes, sorted.
    """

    file: str | Path | None = None
    columns: Sequence[str] | None = None

    def onto(self, part: Split, everything: Sequence[str]) -> Split:
        """The split with these columns; `everything`: the keys of all images of the source.

        Raises: Error if names are missing, double or unknown, a column is, or a cell is empty.
        """
        found: dict[str, Column] = {
            name: (values, part.classes.get(name)) for name, values in part.columns.items()
        }
        if self.file is not None:
            joined = joined_by_name(Path(self.file), self.columns, everything)
            own = slice(None) if part.rows is None else part.rows
            found |= {name: (values[own], classes) for name, (values, classes) in joined.items()}
        if self.columns is not None:
            if strangers := [name for name in self.columns if name not in found]:
                raise Error(no_column(strangers, list(found), "The source"))
            found = {name: found[name] for name in self.columns}
        return replace(
            part,
            columns={name: values for name, (values, _) in found.items()},
            classes={name: classes for name, (_, classes) in found.items()},
        )


UNLABELLED = Labels()  # the source's own columns, all of them


def joined_by_name(
    path: Path, wanted: Sequence[str] | None, keys: Sequence[str]
) -> dict[str, Column]:
    """The columns of the file, in the order of the keys."""
    table, name = opened(path)
    offered = [column for column in table.column_names if column != name]
    if strangers := [column for column in wanted or () if column not in offered]:
        raise Error(no_column(strangers, offered, str(path)))
    given = [unicodedata.normalize("NFC", str(each)) for each in table[name].to_pylist()]
    order = torch.tensor(matched(given, keys, path))
    found = {}
    for column in wanted if wanted is not None else offered:
        if table[column].null_count:
            empty = [row for row, cell in zip(given, table[column].to_pylist(), strict=True)
                     if cell is None]  # fmt: skip
            raise Error(
                f"{path} has no {column} for {len(empty)} images: {some(empty, 5)}; fill it in, or"
                " leave the column out."
            )
        values, classes = typed(table[column].combine_chunks())
        found[column] = values[order], classes
    return found


def matched(given: Sequence[str], keys: Sequence[str], path: Path) -> list[int]:
    """The row of `given` that names each key."""
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
    for names, what in (
        (double, "names {n} images twice"),
        (missing, "has no row for {n} of the images"),
        (unknown, "names {n} files that are no image of the source, or several by that name"),
    ):
        if names:
            raise Error(
                f"{path} {what.format(n=len(names))}: {some(names, 5)}; give one row an image,"
                " named by its path in the folder."
            )
    rows = {key: row for row, key in enumerate(meant)}
    return [rows[key] for key in keys]


def opened(path: Path):
    """The table, and the column that names the images."""
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
            options = csv.ConvertOptions(strings_can_be_null=True)
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
