"""What `--data` means."""

import math
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any

from latentia.core.errors import Error
from latentia.data.decode import SUFFIXES
from latentia.data.listing import as_file, listing, looks_like_image
from latentia.data.reader import Reader
from latentia.data.sources.arrays import ArrayFile, Arrays, numpy, planar, shown
from latentia.data.sources.folder import Folder
from latentia.data.sources.pairs import is_pairs, pairs
from latentia.data.sources.shards import Shards
from latentia.data.sources.synthetic import MADE, Made
from latentia.data.sources.table import KNOWN, Table, hub_name

ALLOWED = (
    f"{', '.join([*MADE, *KNOWN])}, hub:OWNER/NAME, a folder of images, a folder of speckle/"
    " and patterns/, a folder with parquet in the hub's layout, or a .parquet, .npy or .npz file"
)


class SourceKind(StrEnum):
    """Whether the images can be found again: by an address, or not, where they were an array."""

    ADDRESS = "address"
    MEMORY = "memory"


@dataclass(frozen=True)
class Source:
    """What `--data` means, and how it is read: options that hold for every recipe."""

    data: Any  # a name, a path, or an array or tensor of images
    white: float | int | None = None  # the value of a 16-bit or float image that means 1
    background: float | int = 1.0  # the grey in [0, 1] that transparent pixels are laid on
    seed: int = 0  # of the split
    validation: float | int = (
        1 / 12
    )  # the share of train kept to select by: 5,000 of MNIST's 60,000
    stream: bool = False  # shards are read as they are needed

    def __post_init__(self) -> None:
        for name in ("white", "background", "validation"):  # 0 and 1 are written as integers
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))
        if self.white is not None and not (self.white > 0 and math.isfinite(self.white)):
            raise Error(
                f"--white is {self.white:g}; it must be a positive number, the value that means 1:"
                " for instance 4095 for a 12-bit camera."
            )
        if not 0 <= self.background <= 1:
            raise Error(
                f"--background is {self.background:g}; it must lie in [0, 1]: 0 is black, 1 white."
            )
        if not 0 <= self.validation < 1:
            raise Error(
                f"--validation is {self.validation:g}; it must be a share of train, from 0 to less"
                " than 1: for instance 0.1."
            )

    @property
    def kind(self) -> SourceKind:
        return SourceKind.ADDRESS if isinstance(self.data, str | Path) else SourceKind.MEMORY

    @property
    def name(self) -> str:
        """For `run.json`: paths in full, since a run may be opened from another folder."""
        if self.kind is SourceKind.MEMORY:
            array = numpy(self.data)
            return f"array of {shown(array)} {array.dtype}"
        text = str(self.data)
        if text.partition(":")[0] in MADE or text in KNOWN or text.startswith("hub:"):
            return text
        if self.stream and "://" in text:
            return text
        return str(Path(text).expanduser().resolve())

    def reader(self) -> Reader | Shards:
        """The one that reads this kind; touches no more than the folder's entries."""
        if isinstance(self.data, tuple | dict):
            raise Error(
                f"The data are a {type(self.data).__name__}; give the images alone, as one array,"
                " or save images and labels as x and y of an .npz file."
            )
        if not isinstance(self.data, str | Path):
            label = "the array"
            return Arrays(label, {"train": planar(self.data, label)})
        text = str(self.data)
        if self.stream:
            if text.partition(":")[0] in MADE:
                raise Error(f"{text} is made here, not read; leave out --stream.")
            return Shards(text, self.name)
        if text.partition(":")[0] in MADE:
            return Made(text)
        if text in KNOWN:
            return Table(text, KNOWN[text])
        if text.startswith("hub:"):
            return Table(text, hub_name(text))
        path = Path(text).expanduser()
        if path.is_dir():
            return folder(path, f"{text.rstrip('/')}/")
        if not path.exists():
            near = get_close_matches(text, [*MADE, *KNOWN], n=1)
            meant = f" did you mean {near[0]}?" if near else ""
            raise Error(f"{text} does not exist;{meant} give {ALLOWED}.")
        return file(path, text)


def folder(path: Path, label: str) -> Reader:
    """Parquet and no images: the hub's layout; speckle/ and patterns/: pairs; else images."""
    listed = listing(path)
    tables = any(each.path.suffix.lower() == ".parquet" for each in listed)
    if tables and not any(looks_like_image(each) for each in listed):
        return Table(label, path)
    if is_pairs(listed):
        return pairs(path, label, listed)
    return Folder(label, listed)


def file(path: Path, text: str) -> Reader:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return Table(text, path)
    if suffix in (".npy", ".npz"):
        return ArrayFile(text, path)
    if suffix in SUFFIXES:
        return Folder(text, [as_file(path.name, path)])
    raise Error(f"{text} is a {suffix or 'nameless'} file; give {ALLOWED}.")


def make_source(data: Any, *how: Any) -> Source:
    return data if isinstance(data, Source) else Source(data, *how)
