"""Source of images in a folder, or in one file of many pages."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import abbreviate_list, pluralize
from latentia.data import layout
from latentia.data.decode import DecodeError, Preprocessing
from latentia.data.foreign_formats import advise_on_files, find_advice
from latentia.data.image_files import ImageFiles
from latentia.data.label_columns import encode_table
from latentia.data.listing import FileEntry, looks_like_image
from latentia.data.pages import HEIC_SUFFIXES
from latentia.data.read_files import read_headers
from latentia.data.reader import LoadOptions, SourceInfo
from latentia.data.reading import DEFAULT_READING, Reading
from latentia.data.sources.label_files import is_label_file, read_label_files
from latentia.data.splits import SPLIT_NAMES


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
        uses_folders = self.reading.splits == "own" and self.reading.rules > 0
        keys = [file.key for file in images]
        return layout.find_split_folders(keys, self.reading.rules) if uses_folders else None

    def fingerprint(self) -> str:
        lines = [f"{file.key}\0{file.size}\0{file.mtime_ns}" for file in self.entries]
        if self.find_own_splits([file for file in self.entries if looks_like_image(file)]):
            lines.append("own splits")
        if self.reading.rules and any(map(is_label_file, self.entries)):
            lines.append("label files")
        return "\n".join(lines)

    def read_info(self, options: LoadOptions) -> SourceInfo:
        images, others = [], []
        for file in self.entries:
            (images if self.is_image(file) else others).append(file)
        is_label = is_label_file if self.reading.rules else lambda file: False
        label_files = [file for file in others if is_label(file)]
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
        labels, level_note = layout.find_folder_labels(keys, splits, self.reading.rules)
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
        mask_note = layout.describe_masks(keys)
        notes += filter(None, [split_note, *label_notes, level_note, mask_note])
        counts = {"train": len(keys)}
        if splits:
            counts = dict(Counter(map(splits.find_split, keys)))
        return self.image_files.make_info(columns, notes, counts)

    def is_image(self, file: FileEntry) -> bool:
        is_new = self.reading.rules > 1
        if looks_like_image(file):
            return is_new or file.path.suffix.lower() not in HEIC_SUFFIXES
        return not (is_new and find_advice(file.key)) and is_decodable(file, self.reading)

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        self.image_files.decode_into(out, preprocessing)


def is_decodable(file: FileEntry, reading: Reading) -> bool:
    """Whether a file without an image's suffix is an image nevertheless."""
    try:
        return file.size > 0 and bool(read_headers(file.path, "", reading))
    except DecodeError:
        return False
