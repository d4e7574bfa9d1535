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

    source_name: str
    entries: list[FileEntry]
    image_files: ImageFiles | None = None

    def fingerprint(self) -> str:
        return "\n".join(f"{file.key}\0{file.size}\0{file.mtime_ns}" for file in self.entries)

    def read_info(self, options: LoadOptions) -> SourceInfo:
        image_entries, other_entries = [], []
        for file in self.entries:
            (
                image_entries if looks_like_image(file) or is_decodable(file) else other_entries
            ).append(file)
        if not image_entries:
            has_tar_files = any(file.key.endswith(".tar") for file in other_entries)
            stream_hint = ", or --stream to read its .tar files" if has_tar_files else ""
            raise Error(
                f"{self.source_name} holds no images ({pluralize(len(other_entries), 'other file')}); give a"
                f" folder of PNG, JPEG, TIFF or other images, in sub-folders or not{stream_hint}."
            )
        self.image_files = ImageFiles(
            self.source_name,
            [file.key for file in image_entries],
            lambda start, stop: [file.path for file in image_entries[start:stop]],
        )
        self.image_files.scan_headers(options.channels)
        notes = self.image_files.collect_notes()
        if other_entries:
            notes.append(
                f"{self.source_name}: not images, not used: {abbreviate_list([f.key for f in other_entries])}."
            )
        keys = self.image_files.list_keys()
        top_folders = {key.split("/", 1)[0] for key in keys if "/" in key}
        if split_folders := sorted(top_folders & {"train", "val", "valid", "validation", "test"}):
            notes.append(
                f"{self.source_name}: {', '.join(split_folders)} are read as any other folder; train, validation"
                " and test are drawn by seed."
            )
        columns, classes = derive_labels(keys)
        split_counts = {"train": len(keys)}
        return SourceInfo(
            *self.image_files.summarize_headers(), keys, split_counts, columns, classes, notes
        )

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        assert self.image_files is not None
        self.image_files.decode_into(out, preprocessing)


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
