"""Label files beside images: metadata.csv, metadata.jsonl, and StyleGAN's dataset.json."""

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentia.core.errors import Error, summarize_exception
from latentia.core.text import pluralize
from latentia.data.image_files import abbreviate_list
from latentia.data.labels import open_label_table, to_label_column
from latentia.data.listing import FileEntry
from latentia.data.reader import Classes, Columns

LABEL_FILES = ("metadata.csv", "metadata.jsonl", "dataset.json")


def is_label_file(file: FileEntry) -> bool:
    return file.path.name in LABEL_FILES


def read_label_files(
    files: Sequence[FileEntry], keys: Sequence[str]
) -> tuple[Columns, Classes, list[str]]:
    """Read the label columns of the images, in the order of their keys, and notes.

    A file names the images in its own folder and below. An image that no file names has no label:
    class -1, or NaN. The columns are empty if no image is named.

    Raises: Error if a file cannot be read.
    """
    import pandas as pd

    if not files:
        return {}, {}, []
    table: Any = pd.concat([read_label_file(file) for file in files])
    table = table[~table.index.duplicated()].reindex([key.partition("#")[0] for key in keys])
    names = abbreviate_list([file.key for file in files])
    if table.isna().all(axis=None):
        return {}, {}, [f"{names}: the names in it are none of the images; not used."]
    columns, classes = {}, {}
    for name, cells in table.items():
        if cells.dtype.kind in "iu" and cells.isna().any():
            cells = cells.astype("Float64")
        values, classes[str(name)] = to_label_column(cells)
        columns[str(name)] = values.numpy()
    missing = int(table.isna().all(axis=1).sum())
    rest = f", which lacks {pluralize(missing, 'image')}" if missing else ""
    return columns, classes, [f"the labels {', '.join(columns)} are those of {names}{rest}."]


def read_label_file(file: FileEntry) -> Any:
    """Read a label file as a data frame, whose index holds keys of images."""
    import pandas as pd

    if file.path.suffix == ".csv":
        table = open_label_table(file.path)
    else:
        try:
            table = read_json(file.path).set_index("file_name")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Error(
                f"{file.path} cannot be read as labels ({summarize_exception(error)}); correct it,"
                " or move it out of the folder of images."
            ) from None
    folder = file.key.rpartition("/")[0]
    prefix = f"{folder}/" if folder else ""
    keys = [prefix + unicodedata.normalize("NFC", str(name)) for name in table.index]
    return pd.DataFrame(table).set_axis(keys)


def read_json(path: Path) -> Any:
    """Read rows of JSON with a file_name each, or an object {"labels": [[name, label], ...]}."""
    import pandas as pd

    if path.suffix == ".jsonl":
        return pd.read_json(path, lines=True, dtype=False)  # pyright: ignore[reportArgumentType]
    pairs = json.loads(path.read_text(encoding="utf-8"))["labels"] or []
    return pd.DataFrame(
        [(name, str(label)) for name, label in pairs], columns=["file_name", "label"]
    )
