"""Tables of images as the hub keeps them: by name, a local copy, or one parquet file."""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from latentia.core.errors import Error, first_line
from latentia.data import cache
from latentia.data.decode import Preprocessing
from latentia.data.image_files import Files, some
from latentia.data.listing import listing
from latentia.data.reader import Survey, Wanted

KNOWN = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
}
SPLITS = ("train", "validation", "test")
WORDS = {name: name for name in SPLITS} | {"val": "validation", "valid": "validation"}
SPLIT_WORD = re.compile(rf"(?:^|[^a-z])({'|'.join(WORDS)})(?:[^a-z]|$)")


@dataclass
class Table:
    """`where` is OWNER/NAME, OWNER/NAME:CONFIG, a folder in the hub's layout or a parquet file."""

    label: str
    where: str | Path
    files: Files | None = None

    def identity(self) -> str:
        if isinstance(self.where, str):
            return f"hub\0{self.where}"
        where = Path(self.where)
        stats = [(path.relative_to(where), path.stat()) for path in parquet(where)]
        return "\n".join(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}" for name, stat in stats)

    def survey(self, wanted: Wanted) -> Survey:
        tables, notes = self.load()
        column = image_column(tables["train"].features, self.label)
        names, parts, starts = [], {}, []
        for name, table in tables.items():
            starts.append(len(names))
            parts[name] = len(table)
            names += [f"{name}/{row}" for row in range(len(table))]
        pictures = [encoded(table, column) for table in tables.values()]

        def fetch(start: int, stop: int) -> list[Path | bytes]:
            found: list[Path | bytes] = []
            for first, rows in zip(starts, pictures, strict=True):
                found += rows(max(start - first, 0), max(stop - first, 0))
            return found

        self.files = Files(self.label, names, fetch, paged=False)
        self.files.survey(wanted.channels)
        columns, classes, dropped = scalars(list(tables.values()), column, self.label)
        notes += self.files.notes() + dropped
        return Survey(*self.files.kind(), names, parts, columns, classes, notes)

    def fill(self, out: np.ndarray, prep: Preprocessing) -> None:
        assert self.files is not None
        self.files.decode(out, prep)

    def load(self) -> tuple[dict[str, Any], list[str]]:
        """The splits by our names, in order, and a note of those that are not used."""
        with quiet(), scratch() as folder:
            found = dict(self.fetched(folder))
        if "train" not in found and len(found) == 1:  # a table of one split, whatever its name
            found = {"train": next(iter(found.values()))}
        if "train" not in found:
            raise Error(
                f"{self.label} has the splits {', '.join(found)}, and none is called train; give a"
                " data set with a train split, or one parquet file."
            )
        if not len(found["train"]):
            raise Error(f"{self.label} has no rows; give a data set with images.")
        unused = [name for name in found if name not in SPLITS]
        notes = [f"{self.label}: splits not used: {some(unused)}."] if unused else []
        return {name: found[name] for name in SPLITS if name in found}, notes

    def fetched(self, folder: str) -> Any:
        import datasets

        try:
            if isinstance(self.where, str):
                name, _, config = self.where.partition(":")
                with asked_once(name):
                    return datasets.load_dataset(name, config or None)
            files = by_split(self.where)
            return datasets.load_dataset("parquet", data_files=files, cache_dir=folder)
        except Exception as why:  # the network, the hub, pyarrow: each has errors of its own
            raise Error(self.reason(why)) from why

    def reason(self, why: Exception) -> str:
        said = first_line(why)
        if isinstance(self.where, str):
            return (
                f"{self.label} is not in the local cache and cannot be fetched from the hub"
                f" ({said}); connect to the network once, check the name, or give a folder that"
                " holds its parquet files."
            )
        return f"{self.label} cannot be read as parquet ({said}); copy or write the file anew."


def hub_name(text: str) -> str:
    name = text.removeprefix("hub:")
    if name.split(":")[0].count("/") != 1 or not all(name.split(":")[0].split("/")):
        raise Error(
            f"{text} is not a name on the hub; write hub:OWNER/NAME, or hub:OWNER/NAME:CONFIG."
        )
    return name


def parquet(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file.path for file in listing(path) if file.path.suffix.lower() == ".parquet"]


def by_split(path: Path) -> dict[str, list[str]]:
    """Every parquet file under the split that its name or else a folder says, or under train.

    Said here, not by `datasets`, which drops the files that it cannot place.
    """
    files: dict[str, list[str]] = {}
    for file in parquet(path):
        inner = Path(file.name) if path.is_file() else file.relative_to(path)
        files.setdefault(split_of(inner), []).append(str(file))
    return files


def split_of(file: PurePath) -> str:
    """The split that a file's name says, or else a folder above it; or train."""
    said = (SPLIT_WORD.search(part) for part in (file.stem, *file.parts[-2::-1]))
    return WORDS[next((found[1] for found in said if found), "train")]


def image_column(features: Any, label: str) -> str:
    """`image`, `img`, else the first that is declared an image."""
    import datasets

    declared = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    plain = [name for name in ("image", "img") if name in features and is_bytes(features[name])]
    named = [name for name in ("image", "img") if name in declared]
    for names in (named, plain, declared):
        if names:
            return names[0]
    listed = ", ".join(f"{name} ({kind_of(kind)})" for name, kind in features.items())
    raise Error(
        f"{label} has no image column: it has {listed}; wanted is a column image or img that holds"
        " the bytes of image files."
    )


def is_bytes(kind: Any) -> bool:
    """Bytes, or the hub's pair of bytes and path, in a table that does not call them an image."""
    if isinstance(kind, dict):
        return "bytes" in kind
    return getattr(kind, "dtype", "") in ("binary", "large_binary")


def kind_of(kind: Any) -> str:
    return str(getattr(kind, "dtype", None) or type(kind).__name__)


def encoded(table: Any, column: str) -> Any:
    """rows(start, stop) -> the undecoded images of these rows."""
    import datasets

    plain = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    plain = plain.with_format("arrow")

    def rows(start: int, stop: int) -> list[Path | bytes]:
        stop = min(stop, len(plain))
        if start >= stop:
            return []
        found = plain[start:stop][column].to_pylist()
        return [file_of(each) for each in found]

    return rows


def file_of(cell: dict[str, Any] | None) -> Path | bytes:
    """A null is an image of 0 bytes: it will be named with the unreadable ones."""
    if cell is None:
        return b""
    return cell["bytes"] if cell["bytes"] is not None else Path(cell["path"] or os.devnull)


def scalars(
    tables: list[Any], image: str, label: str
) -> tuple[dict[str, np.ndarray], dict[str, list[str] | None], list[str]]:
    """Columns of one number an image; strings of few values become classes; the rest is named."""
    import datasets

    columns, classes, dropped = {}, {}, []
    for name, kind in tables[0].features.items():
        if name == image:
            continue
        if not all(name in table.features for table in tables) or not isinstance(
            kind, datasets.Value | datasets.ClassLabel
        ):
            dropped.append(name)
            continue
        whole = [table.with_format("arrow")[:][name] for table in tables]
        values = [value for part in whole for value in part.to_pylist()]
        array = np.asarray(values)
        if array.dtype.kind == "U" and len(set(values)) <= len(values) // 2:
            classes[name], array = np.unique(array, return_inverse=True)
            classes[name] = classes[name].tolist()
        elif array.dtype.kind in "biuf":
            classes[name] = list(kind.names) if isinstance(kind, datasets.ClassLabel) else None
        else:  # free text, missing values, times
            dropped.append(name)
            continue
        columns[name] = array
    notes = [f"{label}: columns not used: {', '.join(dropped)}."] if dropped else []
    return columns, classes, notes


@contextmanager
def asked_once(name: str) -> Iterator[None]:
    """Where the hub does not answer, its library's offline mode: else that asks for 25 seconds.

    Raises: what kept the hub from being reached, if `name` is not in the local cache.
    """
    from datasets import config
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    was, missed = config.HF_HUB_OFFLINE, None
    try:
        HfApi().dataset_info(name, timeout=10)
    except (HfHubHTTPError, OfflineModeIsEnabled):  # an answer; or nobody is asked
        pass
    except Exception as why:  # the network's errors change with the version of the library
        config.HF_HUB_OFFLINE, missed = True, why
    try:
        yield
    except Exception as why:
        raise missed or why from None
    finally:
        config.HF_HUB_OFFLINE = was


@contextmanager
def quiet() -> Iterator[None]:
    """No bars of `datasets` where nobody watches, and no word of each retry: what fails is said."""
    import datasets

    bars = datasets.is_progress_bar_enabled() and not sys.stderr.isatty()
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    if bars:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


@contextmanager
def scratch() -> Iterator[str]:
    """Where `datasets` lays its copy of local parquet: beside our cache, gone once it is mapped."""
    parent = cache.root()
    try:
        parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(dir=parent, prefix="parquet-")
    except OSError:
        made = tempfile.TemporaryDirectory(prefix="latentia-")
    with made as folder:
        yield folder
