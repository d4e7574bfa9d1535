"""Shards of images, here or far away: .tar files as WebDataset writes them, parquet's row groups.

What is read beforehand is an index of names, labels and counts; for pixels see `streamed`.
"""

import json
import posixpath
import tarfile
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from latentia.core.errors import Error
from latentia.data import cache
from latentia.data.decode import SUFFIXES, Preprocessing
from latentia.data.encoded import SMALL, Files, processors
from latentia.data.hub import KNOWN, hub_name, image_column, quiet, split_of
from latentia.data.reader import Survey, Wanted
from latentia.data.split import NAMES
from latentia.data.streamed import Shard, Streamed, brought

ALLOWED = "hub:OWNER/NAME, or a folder, a file, a pattern or a URL of .tar or .parquet files"
Columns = dict[str, tuple[list[float], list[str] | None]]  # one number an image; class names


class Index(NamedTuple):
    """What the shards of one file hold, in order."""

    rows: list[int]  # images of each
    sizes: list[int]  # bytes of each
    keys: list[str]
    columns: Columns


@dataclass
class Shards:
    """Every .tar and .parquet file of `where`, over `fsspec`: a path, a URL or a hub's name."""

    label: str
    where: str
    shards: list[Shard] = field(default_factory=list)
    deep: bool = False
    large: bool = False

    def identity(self) -> None:
        """None: its pixels are not kept."""

    def survey(self, wanted: Wanted) -> Survey:
        files, paths = brought(self.label, partial(located, self.where))
        if not paths:
            raise Error(f"{self.label} has no .tar or .parquet file; --stream reads {ALLOWED}.")
        keys, indices = [], []
        parts: dict[str, int] = dict.fromkeys(NAMES, 0)
        for name in sorted(paths, key=lambda name: NAMES.index(split_of(PurePosixPath(name)))):
            path = paths[name]
            index = brought(name, partial(indexed, files, path))
            for at, (rows, size) in enumerate(zip(index.rows, index.sizes, strict=True)):
                called = f"{name}, row group {at}" if len(index.rows) > 1 else name
                self.shards.append(Shard(called, rows, size, partial(images, files, path, at)))
            keys += [f"{name}/{key}" for key in index.keys]
            parts[split_of(PurePosixPath(name))] += sum(index.rows)
            indices.append(index)
        if not parts["train"]:
            raise Error(
                f"{self.label} has no image to train on; give shards that hold images and are not"
                " all called val or test."
            )
        first = brought(self.shards[0].name, self.shards[0].fetch)
        sample = Files(self.label, keys[: len(first)], lambda a, b: first[a:b], paged=False)
        sample.survey(wanted.channels)
        sizes, channels, self.deep = sample.kind()
        self.large = any(height * width > SMALL for height, width in sizes)
        columns, classes = joined(indices)
        parts = {part: count for part, count in parts.items() if count}
        return Survey(sizes, channels, self.deep, keys, parts, columns, classes, sample.notes())

    def streamed(self, prep: Preprocessing) -> Streamed:
        """The pixels; `survey` was called before."""
        return Streamed(self.shards, prep, self.deep, processors() if self.large else 1)


def located(where: str) -> tuple[Any, dict[str, str]]:
    """A file system, and by its name each file that holds shards: its path there."""
    from fsspec.core import url_to_fs

    if where in KNOWN or where.startswith("hub:"):
        name, _, config = (KNOWN.get(where) or hub_name(where)).partition(":")
        where = f"hf://datasets/{name}" + (f"/{config}" if config else "")
    files, path = url_to_fs(where)
    found = files.glob(path) if set(path) & set("*?[") else files.find(path)
    paths = sorted(each for each in found if PurePosixPath(each).suffix in KINDS)
    folder = posixpath.commonpath([posixpath.dirname(each) for each in paths]) if paths else ""
    return files, {posixpath.relpath(each, folder): each for each in paths}


def indexed(files: Any, path: str) -> Index:
    """The index of a file; kept in the cache, since a .tar has to be walked for it."""
    kept = cache.root() / "shards" / f"{cache.key(path, files.ukey(path))}.json"
    with suppress(OSError, ValueError, TypeError):
        return Index(*json.loads(kept.read_text()))
    index = KINDS[PurePosixPath(path).suffix][0](files, path)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(index))
    return index


def images(files: Any, path: str, at: int) -> list[bytes]:
    """The encoded images of a file's shard."""
    return KINDS[PurePosixPath(path).suffix][1](files, path, at)


def tar_index(files: Any, path: str) -> Index:
    """One shard of NAME.jpg, or another image; NAME.cls beside each is its class."""
    keys, told = [], {}
    for key, suffix, read in members(files, path):
        if suffix in SUFFIXES:
            keys.append(key)
        elif suffix == ".cls":
            told[key] = int(read())
    whole = bool(keys) and set(keys) <= told.keys()
    columns: Columns = {"label": ([told[key] for key in keys], [])} if whole else {}
    return Index([len(keys)], [files.size(path)], keys, columns)


def tar_images(files: Any, path: str, at: int) -> list[bytes]:
    return [read() for _, suffix, read in members(files, path) if suffix in SUFFIXES]


def members(files: Any, path: str) -> Any:
    """(key, suffix, read) of each file of a .tar; of several images of a key the first alone."""
    seen = set()
    with files.open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            folder, base = posixpath.split(member.name)
            stem, _, suffix = base.partition(".")
            key, suffix = posixpath.join(folder, stem), f".{suffix.lower()}"
            if not member.isfile() or not stem or (key, suffix in SUFFIXES) in seen:
                continue
            if suffix in SUFFIXES:
                seen.add((key, True))
            inside = tar.extractfile(member)
            assert inside is not None  # a file's is there
            yield key, suffix, inside.read


def parquet_index(files: Any, path: str) -> Index:
    """A shard each row group; numbers and classes stand beside the images."""
    import datasets
    import pyarrow.parquet

    with files.open(path, "rb") as stream, quiet():
        table = pyarrow.parquet.ParquetFile(stream)
        groups = [table.metadata.row_group(k) for k in range(table.num_row_groups)]
        features = datasets.Features.from_arrow_schema(table.schema_arrow)
        image_column(features, path)
        columns: Columns = {}
        for name, kind in features.items():
            if isinstance(kind, datasets.ClassLabel | datasets.Value) and numeric(kind.dtype):
                values = table.read(columns=[name])[name]
                if not values.null_count:
                    names = list(kind.names) if isinstance(kind, datasets.ClassLabel) else None
                    columns[name] = (values.to_pylist(), names)
        rows, sizes = [g.num_rows for g in groups], [g.total_byte_size for g in groups]
        return Index(rows, sizes, [str(k) for k in range(sum(rows))], columns)


def parquet_images(files: Any, path: str, at: int) -> list[bytes]:
    import datasets
    import pyarrow.parquet

    with files.open(path, "rb") as stream:
        table = pyarrow.parquet.ParquetFile(stream)
        column = image_column(datasets.Features.from_arrow_schema(table.schema_arrow), path)
        cells = table.read_row_group(at, columns=[column])[column].to_pylist()
    # a null is an image of 0 bytes: it will be named as unreadable
    return [(cell["bytes"] if isinstance(cell, dict) else cell) or b"" for cell in cells]


def numeric(dtype: str) -> bool:
    return dtype.startswith(("int", "uint", "float", "bool"))


KINDS = {".tar": (tar_index, tar_images), ".parquet": (parquet_index, parquet_images)}


def joined(indices: list[Index]) -> tuple[dict[str, np.ndarray], dict[str, list[str] | None]]:
    """The columns that every file has; a class without a name is called by its number."""
    columns, classes = {}, {}
    for name, (_, names) in indices[0].columns.items():
        if all(name in index.columns for index in indices):
            values = np.concatenate([np.asarray(index.columns[name][0]) for index in indices])
            columns[name] = values
            own = names == [] and values.min() >= 0
            classes[name] = [str(k) for k in range(values.max() + 1)] if own else names or None
    return columns, classes
