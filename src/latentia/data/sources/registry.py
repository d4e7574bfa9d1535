"""Sources of images: the meaning of `--data`, and the reader of each kind of source."""

import math
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any

from latentia.core.errors import Error
from latentia.data.decode import IMAGE_SUFFIXES
from latentia.data.listing import list_files, looks_like_image, make_file_entry
from latentia.data.reader import Reader
from latentia.data.sources import arrays
from latentia.data.sources.folder import FolderReader
from latentia.data.sources.pairs import is_pair_folder, make_pair_reader
from latentia.data.sources.shards import ShardReader
from latentia.data.sources.synthetic import SYNTHETIC_MODULES, SyntheticReader
from latentia.data.sources.table import KNOWN_DATASETS, TableReader, parse_hub_name

SOURCE_NAMES = [*SYNTHETIC_MODULES, *KNOWN_DATASETS]
ACCEPTED_SOURCES = (
    f"{', '.join(SOURCE_NAMES)}, hub:OWNER/NAME, a folder of images, a folder of speckle/ and"
    " patterns/, a folder with parquet in the hub's layout, or a .parquet, .npy or .npz file"
)


class SourceKind(StrEnum):
    """Whether the images have an address for a later run, or were an array in memory."""

    ADDRESS = "address"
    MEMORY = "memory"


@dataclass(frozen=True)
class Source:
    """A source of images, with the options of reading that every recipe has."""

    data: Any  # a name, a path, or an array or tensor of images
    white: float | int | None = None  # value of a 16-bit or float image that means 1
    background: float | int = 1.0  # grey in [0, 1] behind transparent pixels
    seed: int = 0  # of the split
    validation: float | int = 1 / 12  # share of train: 5,000 of MNIST's 60,000
    stream: bool = False  # read shards while training, without a copy

    def __post_init__(self) -> None:
        for name in ("white", "background", "validation"):  # users may write 0 and 1 as integers
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
        """Name for `run.json`. Paths are absolute, since a run may be opened in another folder."""
        if self.kind is SourceKind.MEMORY:
            array = arrays.to_numpy(self.data)
            return f"array of {arrays.format_shape(array)} {array.dtype}"
        text = str(self.data)
        is_known = text.partition(":")[0] in SYNTHETIC_MODULES or text in KNOWN_DATASETS
        if is_known or text.startswith("hub:") or (self.stream and "://" in text):
            return text
        return str(Path(text).expanduser().resolve())

    def make_reader(self) -> Reader | ShardReader:
        """Create the reader of this kind. At most the entries of a folder are listed."""
        if isinstance(self.data, tuple | dict):
            raise Error(
                f"The data are a {type(self.data).__name__}; give only the images, as one array,"
                " or save images and labels as x and y of an .npz file."
            )
        if not isinstance(self.data, str | Path):
            images = arrays.to_nchw(self.data, "the array")
            return arrays.ArrayReader("the array", {"train": images})
        text = str(self.data)
        is_synthetic = text.partition(":")[0] in SYNTHETIC_MODULES
        if self.stream and is_synthetic:
            raise Error(f"{text} is generated, not read; leave out --stream.")
        if self.stream:
            return ShardReader(text, self.name)
        if is_synthetic:
            return SyntheticReader(text)
        if text in KNOWN_DATASETS:
            return TableReader(text, KNOWN_DATASETS[text])
        if text.startswith("hub:"):
            return TableReader(text, parse_hub_name(text))
        path = Path(text).expanduser()
        if path.is_dir():
            return make_folder_reader(path, f"{text.rstrip('/')}/")
        if not path.exists():
            matches = get_close_matches(text, SOURCE_NAMES, n=1)
            suggestion = f" did you mean {matches[0]}?" if matches else ""
            raise Error(f"{text} does not exist;{suggestion} give {ACCEPTED_SOURCES}.")
        return make_file_reader(path, text)


def make_folder_reader(path: Path, source_name: str) -> Reader:
    """Create a reader of the hub's layout (parquet without images), of pairs, or of images."""
    entries = list_files(path)
    has_tables = any(entry.path.suffix.lower() == ".parquet" for entry in entries)
    if has_tables and not any(looks_like_image(entry) for entry in entries):
        return TableReader(source_name, path)
    if is_pair_folder(entries):
        return make_pair_reader(source_name, entries)
    return FolderReader(source_name, entries)


def make_file_reader(path: Path, source_name: str) -> Reader:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return TableReader(source_name, path)
    if suffix in (".npy", ".npz"):
        return arrays.ArrayFileReader(source_name, path)
    if suffix in IMAGE_SUFFIXES:
        return FolderReader(source_name, [make_file_entry(path.name, path)])
    raise Error(f"{source_name} is a {suffix or 'nameless'} file; give {ACCEPTED_SOURCES}.")


def make_source(data: Any, *options: Any) -> Source:
    return data if isinstance(data, Source) else Source(data, *options)
