"""Label files beside images: metadata.csv, metadata.jsonl, and StyleGAN's dataset.json."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentia.core.errors import Error, summarize_exception
from latentia.core.text import pluralize
from latentia.data.image_files import abbreviate_list
from latentia.data.label_tables import open_label_table
from latentia.data.labels import to_label_column
from latentia.data.listing import FileEntry
from latentia.data.name_matching import merge_duplicates, name_rows, spread_rows
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
    table: Any = pd.concat([read_label_file(file, keys) for file in files])
    names = abbreviate_list([file.key for file in files])
    if table.isna().all(axis=None):
        return {}, {}, [f"{names}: the names in it are none of the images; not used."]
    rows, missing = spread_rows(table[~table.index.duplicated()], keys)
    columns, classes, unused = {}, {}, []
    for name, cells in rows.items():
        values, classes[str(name)] = to_label_column(cells)
        if len(classes[str(name)] or ()) > max(cells.count() // 2, 1):  # free text, names
            unused.append(str(name))
            del classes[str(name)]
            continue
        columns[str(name)] = values
    rest = f", which lacks {pluralize(len(missing), 'image')}" if missing else ""
    rest += (
        f"; not used, since nearly every value is different: {', '.join(unused)}" if unused else ""
    )
    return columns, classes, [f"the labels {', '.join(columns)} are those of {names}{rest}."]


def read_label_file(file: FileEntry, keys: Sequence[str]) -> Any:
    """Read the rows of a label file as a data frame, whose index holds keys of images.

    It names the images in its own folder and below.
    """
    folder = file.key.rpartition("/")[0]
    prefix = f"{folder}/" if folder else ""
    inner_keys = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    if file.path.suffix == ".csv":
        content = open_label_table(file.path, inner_keys)
    else:
        try:
            content = name_rows(read_json_table(file.path), inner_keys)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Error(
                f"{file.path} cannot be read as labels ({summarize_exception(error)}); correct it,"
                " or move it out of the folder of images."
            ) from None
    rows = merge_duplicates(content.rows, file.path)
    return rows.set_axis([prefix + key for key in rows.index])


def read_json_table(path: Path) -> Any:
    """Read rows of JSON with a file_name each, or an object {"labels": [[name, label], ...]}."""
    import pandas as pd
    from pyarrow.json import read_json

    if path.suffix == ".jsonl":
        return read_json(path).to_pandas(types_mapper=pd.ArrowDtype)
    pairs = json.loads(path.read_text(encoding="utf-8"))["labels"] or []
    return pd.DataFrame(
        [(name, str(label)) for name, label in pairs], columns=["file_name", "label"]
    )
