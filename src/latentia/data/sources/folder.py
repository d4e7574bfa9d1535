"""Source of images in a folder, or in one file of many pages."""

from dataclasses import dataclass

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.decode import DecodeError, Preprocessing, read_headers
from latentia.data.image_files import ImageFiles, abbreviate_list
from latentia.data.listing import FileEntry, looks_like_image
from latentia.data.reader import Classes, Columns, LoadOptions, SourceInfo


@dataclass
class FolderReader:
    """Reader of every image among the files. Notes list the other files."""

    source_name: str
    entries: list[FileEntry]
    image_files: ImageFiles | None = None

    def fingerprint(self) -> str:
        return "\n".join(f"{file.key}\0{file.size}\0{file.mtime_ns}" for file in self.entries)

    def read_info(self, options: LoadOptions) -> SourceInfo:
        images, others = [], []
        for file in self.entries:
            (images if looks_like_image(file) or is_decodable(file) else others).append(file)
        other_keys = [file.key for file in others]
        if not images:
            has_tar = any(key.endswith(".tar") for key in other_keys)
            hint = ", or --stream to read its .tar files" if has_tar else ""
            raise Error(
                f"{self.source_name} holds no images ({pluralize(len(others), 'other file')}); give"
                f" a folder of PNG, JPEG, TIFF or other images, in sub-folders or not{hint}."
            )
        self.image_files = ImageFiles(
            self.source_name,
            [file.key for file in images],
            lambda start, stop: [file.path for file in images[start:stop]],
        )
        self.image_files.scan_headers(options.channels)
        notes = self.image_files.collect_notes()
        if others:
            listing = abbreviate_list(other_keys)
            notes.append(f"{self.source_name}: not images, not used: {listing}.")
        keys = self.image_files.list_keys()
        folders = {key.split("/", 1)[0] for key in keys if "/" in key}
        if splits := sorted(folders & {"train", "val", "valid", "validation", "test"}):
            notes.append(
                f"{self.source_name}: {', '.join(splits)} are read as any other folder; train,"
                " validation and test are drawn by seed."
            )
        counts = {"train": len(keys)}
        return SourceInfo(
            *self.image_files.summarize_headers(), keys, counts, *derive_labels(keys), notes
        )

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        assert self.image_files is not None
        self.image_files.decode_into(out, preprocessing)


def is_decodable(file: FileEntry) -> bool:
    """Whether a file without an image's suffix is an image nevertheless."""
    try:
        return file.size > 0 and bool(read_headers(file.path))
    except DecodeError:
        return False


def derive_labels(keys: list[str]) -> tuple[Columns, Classes]:
    """Label each image by the first folder of its key, if every image lies in a folder."""
    if not all("/" in key for key in keys):
        return {}, {}
    names, labels = np.unique([key.split("/", 1)[0] for key in keys], return_inverse=True)
    return {"label": labels.astype(np.int64)}, {"label": names.tolist()}
