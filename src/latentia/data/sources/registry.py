"""Sources of images: the meaning of `--data`, and the reader of each kind of source."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from latentia.core.errors import Error
from latentia.core.files import describe_special_file
from latentia.core.plugins import describe_failures
from latentia.core.registry import ADVICE, Registry
from latentia.core.text import suggest_name
from latentia.data.foreign_formats import find_advice
from latentia.data.listing import drop_litter, list_files, looks_like_image, make_file_entry
from latentia.data.pages import IMAGE_SUFFIXES
from latentia.data.reader import Reader
from latentia.data.reading import DEFAULT_READING, Reading
from latentia.data.sources import arrays
from latentia.data.sources.array_files import ArrayFileReader
from latentia.data.sources.folder import FolderReader
from latentia.data.sources.pairs import (
    PAIRS,
    is_pair_folder,
    make_pair_absolute,
    open_pairs,
    open_speckle_pairs,
)
from latentia.data.sources.sequence import ALLOWED_ITEMS, SequenceReader, is_sequence
from latentia.data.sources.shards import STREAM_SOURCES, ShardReader
from latentia.data.sources.synthetic import SYNTHETIC_MODULES, SyntheticReader
from latentia.data.sources.table import KNOWN_DATASETS, TableReader, is_table, parse_hub_name

ACCEPTED_PATHS = (
    "a folder of images, two of pairs:INPUT:TARGET, a folder of speckle/ and patterns/, a folder"
    " with parquet in the hub's layout or from save_to_disk, or a .parquet, .npy or .npz file"
)


class DataSource(NamedTuple):
    """A function from the text of `--data` to images, and the texts that it takes.

    takes_argument: NAME:ARGUMENT beside NAME; suffix: instead, of the files that it reads;
    can_stream: whether --stream reads it too; usage: how a user writes it, if not by its name
    """

    open_images: Callable[[str], Any]
    takes_argument: bool = True
    suffix: str = ""
    can_stream: bool = False
    usage: str = ""

    def accepts(self, name: str, text: str) -> bool:
        if self.suffix:
            return text.lower().endswith(self.suffix)
        is_name = text == name and not self.usage
        return is_name or (self.takes_argument and text.startswith(f"{name}:"))


DATA_SOURCES: Registry[DataSource] = Registry("data source")
for _name in SYNTHETIC_MODULES:
    DATA_SOURCES.register(_name)(DataSource(SyntheticReader))
for _name, _location in KNOWN_DATASETS.items():
    _open = partial(TableReader, location=_location)
    DATA_SOURCES.register(_name)(DataSource(_open, takes_argument=False, can_stream=True))
_hub = DataSource(
    lambda text: TableReader(text, parse_hub_name(text)), can_stream=True, usage="hub:OWNER/NAME"
)
DATA_SOURCES.register("hub")(_hub)


def data_source(name: Any = None, *, suffix: str = "") -> Any:
    """Register a function as a source of images: `--data` and `data=` then take its name.

    The function takes the whole text that the user gives, `NAME` or `NAME:ARGUMENT`. It returns
    images as `latentia.train` takes them as `data`, or a reader with the methods of
    `latentia.data.reader.Reader`.

    Parameters
    ----------
    name : str, optional
        name of the source; the default is the function's
    suffix : str
        end of the names of files that the function reads, such as ".h5", instead of its name

    Returns
    -------
    callable
        the same function

    Raises
    ------
    Error
        if there is a source of this name

    Examples
    --------
    >>> import numpy as np
    >>> import latentia
    >>> @latentia.data_source
    ... def stripes(text: str) -> np.ndarray:
    ...     n = int(text.partition(":")[2] or 100)
    ...     return np.tile(np.random.default_rng(0).random((n, 1, 1, 16)), (1, 1, 16, 1))
    >>> run = latentia.train("conv_vae", "stripes:60", epochs=1, run="runs/stripes")
    >>> run.metadata["images"]["source"]
    'stripes:60'
    """
    usage = f"a {suffix} file" if suffix else ""
    return DATA_SOURCES.register(
        name, lambda function: DataSource(function, suffix=suffix.lower(), usage=usage)
    )


def find_source(text: str) -> DataSource | None:
    """Return the registered source that reads what `--data` names, if there is one."""
    return next((DATA_SOURCES[n] for n in DATA_SOURCES if DATA_SOURCES[n].accepts(n, text)), None)


class SourceKind(StrEnum):
    """Whether the images have an address for a later run, or were an array in memory."""

    ADDRESS = "address"
    MEMORY = "memory"


@dataclass(frozen=True)
class LabelledData:
    """Images, and labels that the user gave beside them; `Source` has both."""

    data: Any
    labels: Any


@dataclass(frozen=True)
class Source:
    """A source of images, with the options of reading that every recipe has."""

    data: Any  # a name, a path, or an array or tensor of images
    reading: Reading = DEFAULT_READING
    labels: Any = None  # a table's path, or values in the order of the images

    @property
    def kind(self) -> SourceKind:
        return SourceKind.ADDRESS if isinstance(self.data, str | Path) else SourceKind.MEMORY

    @property
    def name(self) -> str:
        """Name for `run.json`. Paths are absolute, since a run may be opened in another folder.

        A symbolic link keeps its own name, which the user knows.
        """
        if self.kind is SourceKind.MEMORY and is_sequence(self.data):
            return f"unnamed {type(self.data).__name__} of {len(self.data):,} images"
        if self.kind is SourceKind.MEMORY:
            array = arrays.to_numpy(self.data)
            return f"array of {arrays.format_shape(array)} {array.dtype}"
        text = str(self.data)
        if text.startswith(PAIRS):
            return make_pair_absolute(text)
        source = find_source(text)
        if (source and not source.suffix) or (self.reading.stream and "://" in text):
            return text
        return os.path.abspath(Path(text).expanduser())

    def make_reader(self) -> Reader | ShardReader:
        """Create the reader of this kind of source. The files of a folder are listed, not read.

        Raises: Error if there is no such source, or it has no files that --tiles could cut
        """
        reader = self._choose_reader()
        if self.reading.tiles and not isinstance(reader, FolderReader):
            advice = "leave out --stream, and " if self.reading.stream else ""
            raise Error(
                f"{reader.source_name} is cut into no tiles (--tiles {self.reading.tiles});"
                f" {advice}give a folder of image files, or one such file."
            )
        return reader

    def _choose_reader(self) -> Reader | ShardReader:
        if self.kind is SourceKind.MEMORY:
            label = "the object" if is_sequence(self.data) else "the array"
            return make_object_reader(self.data, label)
        text = str(self.data)
        source = find_source(text)
        if self.reading.stream and source and not source.can_stream:
            raise Error(f"{text} is generated, not read; leave out --stream.")
        if self.reading.stream:
            return ShardReader(text, self.name)
        if source:
            return make_object_reader(source.open_images(text), text)
        if text.startswith(PAIRS):
            return open_pairs(text, self.reading)
        if re.match(r"\w{2,}://", text):  # not C://data
            raise Error(
                f"{text} is an address, of which --stream reads {STREAM_SOURCES}; add --stream, or"
                " give a folder or file of this machine."
            )
        path = Path(text).expanduser()
        if text and path.is_dir():  # no text, of a variable that is not set, is no folder
            return make_folder_reader(path, f"{text.rstrip('/')}/", self.reading)
        if not (text and path.exists()):
            suggestion = suggest_name(text.partition(":")[0], DATA_SOURCES, " did you mean {}?")
            raise Error(f"{text or repr(text)} does not exist;{suggestion} {describe_accepted()}")
        return make_file_reader(path, text, self.reading)


def describe_accepted() -> str:
    names = DATA_SOURCES.describe_names()
    return f"give {names}, {ACCEPTED_PATHS}; {ADVICE}.{describe_failures()}"


def make_object_reader(data: Any, source_name: str) -> Reader:
    """Create the reader of an object in memory; a reader is returned unchanged."""
    if isinstance(data, Reader):
        return data
    if isinstance(data, tuple | dict):
        images = "such as data['train']" if isinstance(data, dict) else "as one array"
        raise Error(f"The data are a {type(data).__name__}; give images {images}, and labels=.")
    if is_sequence(data):
        return SequenceReader(source_name, data)
    if not (hasattr(data, "__array__") or isinstance(data, list)):
        raise Error(
            f"The data are a {type(data).__name__}; give the text of --data, an array or tensor"
            f" (n, c, h, w), or an object with a length whose items are each {ALLOWED_ITEMS}."
        )
    return arrays.ArrayReader(source_name, {"train": arrays.to_nchw(data, source_name)})


def make_folder_reader(path: Path, source_name: str, reading: Reading) -> Reader:
    """Create a reader of tables (where no file is an image), of pairs, or of images."""
    entries, notes = drop_litter(list_files(path))
    if {"run.json", "log.jsonl"} <= {file.key for file in entries}:
        raise Error(f"{source_name} is a run of latentia; give the folder of its images.")
    if any(map(is_table, entries)) and not any(map(looks_like_image, entries)):
        return TableReader(source_name, path)
    if is_pair_folder(entries):
        return open_speckle_pairs(source_name, entries, reading, notes)
    return FolderReader(source_name, entries, reading, notes)


def make_file_reader(path: Path, source_name: str, reading: Reading) -> Reader:
    if kind := describe_special_file(path.stat().st_mode):
        raise Error(f"{source_name} is a {kind}; {describe_accepted()}")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return TableReader(source_name, path)
    if suffix in (".npy", ".npz"):
        return ArrayFileReader(source_name, path)
    if suffix in IMAGE_SUFFIXES:
        return FolderReader(source_name, [make_file_entry(path.name, path)], reading)
    if advice := find_advice(path.name):
        hint = ", or add --stream" if suffix == ".tar" else ""
        raise Error(
            f"{source_name} is of a format that is not read; {advice.format('it')}, and give the"
            f" folder or file{hint}."
        )
    raise Error(f"{source_name} is a {suffix or 'nameless'} file; {describe_accepted()}")


def make_source(data: Any, reading: Reading) -> Source:
    if isinstance(data, LabelledData):
        return replace(make_source(data.data, reading), labels=data.labels)
    return data if isinstance(data, Source) else Source(data, reading)


def describe_labels(labels: Any) -> dict[str, str]:
    """Return where labels that the user gave are, for run.json; nothing if there are none."""
    if labels is None:
        return {}
    is_path = isinstance(labels, str | Path)
    path = str(Path(labels).expanduser().resolve()) if is_path else SourceKind.MEMORY
    return {"label_source": path}
