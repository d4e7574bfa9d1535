"""Source of images in a folder, with its files of labels, or in one file of many pages."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import abbreviate_list, join_command, pluralize
from latentia.data import layout
from latentia.data.decode import DecodeError, Preprocessing
from latentia.data.foreign_formats import advise_on_files, find_advice
from latentia.data.image_files import ImageFiles
from latentia.data.label_columns import encode_table
from latentia.data.label_tables import TABLE_HINT, TEXT_SUFFIXES, decode_text, open_label_table
from latentia.data.listing import FileEntry, looks_like_image
from latentia.data.name_matching import merge_duplicates, spread_rows
from latentia.data.read_files import read_headers
from latentia.data.reader import LabelColumns, LoadOptions, SourceInfo
from latentia.data.reading import DEFAULT_READING, Reading
from latentia.data.splits import SPLIT_NAMES

MAX_TABLES = 5  # of other names that are looked into
LABEL_FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "dataset.json")


@dataclass
class FolderReader:
    """Reader of every image among the files. Notes list the other files."""

    source_name: str
    entries: list[FileEntry]
    reading: Reading = DEFAULT_READING
    notes: list[str] = field(default_factory=list)  # of the listing
    image_files: ImageFiles = field(init=False)

    def find_own_splits(self, images: list[FileEntry]) -> layout.SplitFolders | None:
        """Return the folders that are splits, unless these are to be drawn by seed."""
        keys = [file.key for file in images]
        return layout.find_split_folders(keys) if self.reading.splits == "own" else None

    def fingerprint(self) -> str:
        lines = [file.fingerprint for file in self.entries]
        if self.find_own_splits([file for file in self.entries if looks_like_image(file)]):
            lines.append("own splits")
        if any(map(is_label_file, self.entries)):
            lines.append("label files")
        return "\n".join(lines)

    def read_info(self, options: LoadOptions) -> SourceInfo:
        images, others = [], []
        for file in self.entries:
            (images if self.is_image(file) else others).append(file)
        label_files = [file for file in others if is_label_file(file)]
        others = [file for file in others if file not in label_files]
        other_keys = [f"{f.key} ({f.problem})" if f.problem else f.key for f in others]
        if not images:
            has_tar = any(key.endswith(".tar") for key in other_keys)
            hint = ", or --stream to read its .tar files" if has_tar else ""
            if advice := advise_on_files(other_keys):
                hint += f"; other formats are not read: {advice}"
            raise Error(
                f"{self.source_name} holds no images ({pluralize(len(others), 'other file')}); give"
                f" a folder of PNG, JPEG, TIFF or other images, in sub-folders or not{hint}."
            )
        splits = self.find_own_splits(images)
        if splits:  # rows are ordered by split
            images.sort(key=lambda file: SPLIT_NAMES.index(splits.find_split(file.key)))
        names, paths = [file.key for file in images], [file.path for file in images]
        self.image_files = ImageFiles(self.source_name, names, lambda a, b: paths[a:b])
        self.image_files.scan_headers(options)
        notes = self.notes + self.image_files.collect_notes()
        if others:
            listing = abbreviate_list(other_keys)
            notes.append(f"not images, not used: {listing}.")
        keys = self.image_files.list_keys()
        columns, label_notes = read_label_files(label_files, keys)
        if not label_files:
            notes += describe_tables(others, keys)
        labels, level_note = layout.find_folder_labels(keys, splits)
        if labels and not columns.columns:
            columns = encode_table({"label": labels})._replace(free_text=())
        is_explicit = self.reading.label_folder or self.reading.label_regex
        if label_notes or is_explicit:
            level_note = ""
        if labels and label_notes and not is_explicit and "label" not in columns.columns:
            number = 1 + keys[0].split("/").index(str(labels[0]))
            names = layout.list_names(filter(None, labels))
            level_note = f"the folders ({names}) are no labels beside these; --label-folder"
            level_note += f" {number} adds them."
        split_note = layout.describe_splits(keys, splits, self.reading)
        has_labels = labels or columns.columns or is_explicit
        prefix_note = "" if has_labels else layout.describe_prefixes(keys)
        mask_note = layout.describe_masks(keys)
        notes += filter(None, [split_note, *label_notes, level_note, prefix_note, mask_note])
        counts = {"train": len(keys)}
        if splits:
            counts = dict(Counter(map(splits.find_split, keys)))
        return self.image_files.make_info(columns, notes, counts)

    def is_image(self, file: FileEntry) -> bool:
        if looks_like_image(file):
            return True
        return not find_advice(file.key) and is_decodable(file, self.reading)

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        self.image_files.decode_into(out, preprocessing)


def is_decodable(file: FileEntry, reading: Reading) -> bool:
    """Whether a file without an image's suffix is an image nevertheless."""
    try:
        return file.size > 0 and bool(read_headers(file.path, reading))
    except DecodeError:
        return False


def is_label_file(file: FileEntry) -> bool:
    name = file.path.name.lower()
    return (
        not file.problem
        and name in LABEL_FILES
        and (name != "dataset.json" or is_of_stylegan(file))
    )


def is_split_list(file: FileEntry) -> bool:
    return file.path.suffix.lower() == ".txt" and bool(layout.name_split(file.path.stem))


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
        return labels, [f"{names}: the names in it are those of no image, or of several; not used."]
    rest = f", which lacks {pluralize(len(missing), 'image')}" if missing else ""
    listing = ", ".join(labels.columns)
    return labels, [f"the labels {listing} are those of {names}{rest}."]


def describe_tables(files: Sequence[FileEntry], keys: Sequence[str]) -> list[str]:
    """Say which tables of any other name hold labels, by their names of the images."""
    notes, suffixes = [], (*TEXT_SUFFIXES, ".jsonl", ".parquet")
    tables = [file for file in files if file.path.suffix.lower() in suffixes]
    lists = {file.key for file in tables if is_split_list(file)}
    for file in tables[:MAX_TABLES]:
        with suppress(Error):
            rows = open_label_table(file.path, keys).rows
            count, names = len({*rows.index}), abbreviate_list([*map(str, rows)], 5)
            if names and count > 1 and count >= len(keys) / 4:
                path = join_command([file.path.absolute()])
                notes.append(
                    f"{file.key} names {count:,} of {pluralize(len(keys), 'image')}; {TABLE_HINT}"
                    f" {path} takes its columns ({names}) as labels."
                )
                lists.discard(file.key)
    if lists:
        notes.append(
            f"{abbreviate_list(sorted(lists))}: these lists do not define the splits; sort the "
            "images into folders train and test, or give a column split in a table of "
            f"{TABLE_HINT}."
        )
    return notes


def read_label_file(file: FileEntry, keys: Sequence[str]) -> Any:
    """Read the rows of a label file as a data frame, whose index holds keys of images.

    It names the images in its own folder and below.
    """
    folder = file.key.rpartition("/")[0]
    prefix = f"{folder}/" if folder else ""
    inner_keys = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    rows = open_label_table(file.path, inner_keys).rows
    return rows.set_axis([prefix + key for key in rows.index])
