"""A folder of images, or one file of many pages."""

from dataclasses import dataclass

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.decode import DecodeError, Preprocessing, read_headers
from latentia.data.image_files import ImageFiles, abbreviate_list
from latentia.data.listing import FileEntry, looks_like_image
from latentia.data.reader import LoadOptions, SourceInfo


@dataclass
class FolderReader:
    """Every image among the listed files; whatever else is among them is named in the notes."""

    label: str
    listed: list[FileEntry]
    files: ImageFiles | None = None

    def identity(self) -> str:
        return "\n".join(f"{file.key}\0{file.size}\0{file.mtime_ns}" for file in self.listed)

    def survey(self, options: LoadOptions) -> SourceInfo:
        image_entries, other_entries = [], []
        for file in self.listed:
            (
                image_entries if looks_like_image(file) or is_decodable(file) else other_entries
            ).append(file)
        if not image_entries:
            has_tar_files = any(file.key.endswith(".tar") for file in other_entries)
            stream_hint = ", or --stream to read its .tar files" if has_tar_files else ""
            raise Error(
                f"{self.label} holds no images ({pluralize(len(other_entries), 'other file')}); give a"
                f" folder of PNG, JPEG, TIFF or other images, in sub-folders or not{stream_hint}."
            )
        self.files = ImageFiles(
            self.label,
            [file.key for file in image_entries],
            lambda start, stop: [file.path for file in image_entries[start:stop]],
        )
        self.files.survey(options.channels)
        notes = self.files.notes()
        if other_entries:
            notes.append(
                f"{self.label}: not images, not used: {abbreviate_list([f.key for f in other_entries])}."
            )
        keys = self.files.keys()
        top_folders = {key.split("/", 1)[0] for key in keys if "/" in key}
        if split_folders := sorted(top_folders & {"train", "val", "valid", "validation", "test"}):
            notes.append(
                f"{self.label}: {', '.join(split_folders)} are read as any other folder; train, validation"
                " and test are drawn by seed."
            )
        columns, classes = derive_labels(keys)
        split_counts = {"train": len(keys)}
        return SourceInfo(*self.files.kind(), keys, split_counts, columns, classes, notes)

    def fill(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        assert self.files is not None
        self.files.decode(out, preprocessing)


def is_decodable(file: FileEntry) -> bool:
    """Whether a file without an image's suffix is an image all the same."""
    try:
        return file.size > 0 and bool(read_headers(file.path))
    except DecodeError:
        return False


def derive_labels(keys: list[str]) -> tuple[dict[str, np.ndarray], dict[str, list[str] | None]]:
    """The first folder of each key as its label, if every image lies in a folder."""
    if not all("/" in key for key in keys):
        return {}, {}
    folders = [key.split("/", 1)[0] for key in keys]
    class_names, label = np.unique(folders, return_inverse=True)
    return {"label": label.astype(np.int64)}, {"label": class_names.tolist()}
