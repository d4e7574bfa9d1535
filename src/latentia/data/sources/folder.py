"""A folder of images, or one file of many pages."""

from dataclasses import dataclass

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import counted
from latentia.data.decode import Preprocessing, Unreadable, headers
from latentia.data.image_files import Files, some
from latentia.data.listing import File, looks_like_image
from latentia.data.reader import Survey, Wanted


@dataclass
class Folder:
    """Every image among the listed files; whatever else is among them is named in the notes."""

    label: str
    listed: list[File]
    files: Files | None = None

    def identity(self) -> str:
        return "\n".join(f"{file.key}\0{file.size}\0{file.mtime_ns}" for file in self.listed)

    def survey(self, wanted: Wanted) -> Survey:
        images, others = [], []
        for file in self.listed:
            (images if looks_like_image(file) or opens(file) else others).append(file)
        if not images:
            tars = any(file.key.endswith(".tar") for file in others)
            shards = ", or --stream to read its .tar files" if tars else ""
            raise Error(
                f"{self.label} holds no images ({counted(len(others), 'other file')}); give a"
                f" folder of PNG, JPEG, TIFF or other images, in sub-folders or not{shards}."
            )
        self.files = Files(
            self.label,
            [file.key for file in images],
            lambda start, stop: [file.path for file in images[start:stop]],
        )
        self.files.survey(wanted.channels)
        notes = self.files.notes()
        if others:
            notes.append(f"{self.label}: not images, not used: {some([f.key for f in others])}.")
        keys = self.files.keys()
        tops = {key.split("/", 1)[0] for key in keys if "/" in key}
        if splits := sorted(tops & {"train", "val", "valid", "validation", "test"}):
            notes.append(
                f"{self.label}: {', '.join(splits)} are read as any other folder; train, validation"
                " and test are drawn by seed."
            )
        columns, classes = labels(keys)
        parts = {"train": len(keys)}
        return Survey(*self.files.kind(), keys, parts, columns, classes, notes)

    def fill(self, out: np.ndarray, prep: Preprocessing) -> None:
        assert self.files is not None
        self.files.decode(out, prep)


def opens(file: File) -> bool:
    """Whether a file without an image's suffix is an image all the same."""
    try:
        return file.size > 0 and bool(headers(file.path))
    except Unreadable:
        return False


def labels(keys: list[str]) -> tuple[dict[str, np.ndarray], dict[str, list[str] | None]]:
    """The first folder of each key as its label, if every image lies in a folder."""
    if not all("/" in key for key in keys):
        return {}, {}
    folders = [key.split("/", 1)[0] for key in keys]
    names, label = np.unique(folders, return_inverse=True)
    return {"label": label.astype(np.int64)}, {"label": names.tolist()}
