"""Label files beside images: metadata.csv, metadata.jsonl, and StyleGAN's dataset.json."""

import json
from collections.abc import Sequence
from typing import Any

from latentia.core.text import abbreviate_list, pluralize
from latentia.data.label_columns import encode_table
from latentia.data.label_tables import decode_text, open_label_table
from latentia.data.listing import FileEntry
from latentia.data.name_matching import merge_duplicates, spread_rows
from latentia.data.reader import LabelColumns

LABEL_FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "dataset.json")


def is_label_file(file: FileEntry) -> bool:
    name = file.path.name.lower()
    return (
        not file.problem
        and name in LABEL_FILES
        and (name != "dataset.json" or is_of_stylegan(file))
    )


def is_of_stylegan(file: FileEntry) -> bool:
    """Whether a dataset.json has StyleGAN's pairs of name and label, or is broken.

    Other programs, such as nnU-Net, write other files of this name.
    """
    try:
        content = json.loads(decode_text(file.path.read_bytes()))
    except (OSError, ValueError):
        return True
    pairs = content.get("labels", ()) if isinstance(content, dict) else ()
    if not isinstance(pairs, list):
        return pairs is None
    return all(isinstance(each, list) and len(each) == 2 for each in pairs)


def read_label_files(
    files: Sequence[FileEntry], keys: Sequence[str]
) -> tuple[LabelColumns, list[str]]:
    """Read the label columns of the images, in the order of their keys, and notes.

    A file names the images in its own folder and below. An image that no file names has no label:
    class -1, or NaN. The columns are empty if no image is named.

    Raises: Error if a file cannot be read, or two rows of an image differ.
    """
    import pandas as pd

    if not files:
        return LabelColumns({}, {}), []
    names = abbreviate_list([file.key for file in files])
    table: Any = pd.concat([read_label_file(file, keys) for file in files])
    rows, missing = spread_rows(merge_duplicates(table, names), keys)
    labels = encode_table({str(name): cells for name, cells in rows.items()})
    if not labels.columns:
        return labels, [f"{names}: the names in it are none of the images; not used."]
    rest = f", which lacks {pluralize(len(missing), 'image')}" if missing else ""
    listing = ", ".join(labels.columns)
    return labels, [f"the labels {listing} are those of {names}{rest}."]


def read_label_file(file: FileEntry, keys: Sequence[str]) -> Any:
    """Read the rows of a label file as a data frame, whose index holds keys of images.

    It names the images in its own folder and below.
    """
    folder = file.key.rpartition("/")[0]
    prefix = f"{folder}/" if folder else ""
    inner_keys = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    rows = open_label_table(file.path, inner_keys).rows
    return rows.set_axis([prefix + key for key in rows.index])
