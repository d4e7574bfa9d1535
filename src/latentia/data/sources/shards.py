"""Shards of images, here or far away: .tar files as WebDataset writes them, parquet's row groups.

What is read beforehand is an index of names, labels and counts; for pixels see `streamed`.
"""

import json
import posixpath
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from latentia.core.errors import Error, first_line
from latentia.data import cache
from latentia.data.decode import Header, Preprocessing
from latentia.data.image_files import SMALL, of_files, processors, some
from latentia.data.reader import Survey, Wanted
from latentia.data.sources.shard_formats import Index, kind
from latentia.data.sources.table import KNOWN, hub_name, split_of
from latentia.data.splits import NAMES
from latentia.data.streaming import Shard, Streamed, brought

ALLOWED = "hub:OWNER/NAME, or a folder, a file, a pattern or a URL of .tar or .parquet files"


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
        of_files(wanted.channels, self.label)
        files, paths = located(self.where, self.label)
        keys, shards, indices, notes = [], [], [], []
        parts: dict[str, int] = dict.fromkeys(NAMES, 0)
        for name in sorted(paths, key=lambda name: NAMES.index(split_of(PurePosixPath(name)))):
            path = paths[name]
            index = brought(name, partial(indexed, files, path, name))
            notes += [f"{name}: {note}" for note in index.notes]
            if not index.keys:
                continue
            for at, (rows, size) in enumerate(zip(index.rows, index.sizes, strict=True)):
                called = f"{name}, row group {at}" if len(index.rows) > 1 else name
                fetch = partial(kind(path).images, files, path, at)
                shards += [Shard(called, rows, size, fetch)] if rows else []
            keys += [f"{name}/{key}" for key in index.keys]
            parts[split_of(PurePosixPath(name))] += len(index.keys)
            indices.append(index)
        if not keys:
            raise Error(
                f"{self.label} holds no images; give shards with images, of a .tar NAME.jpg or the"
                " like, of parquet a column image."
            )
        heads = [Header(*index.first) for index in indices]
        sizes = sorted({(head.height, head.width) for head in heads})
        self.shards, self.deep = shards, any(head.deep for head in heads)
        self.large = any(height * width > SMALL for height, width in sizes)
        columns, classes, dropped = joined(indices)
        notes += [f"{self.label}: columns not used: {some(dropped)}."] if dropped else []
        parts = {part: count for part, count in parts.items() if count}
        channels = 3 if any(head.colour for head in heads) else 1
        return Survey(sizes, channels, self.deep, keys, parts, columns, classes, notes)

    def streamed(self, prep: Preprocessing) -> Streamed:
        """The pixels; `survey` was called before."""
        return Streamed(self.shards, prep, self.deep, processors() if self.large else 1)


def sharded(data: Any) -> bool:
    """Whether these are shards that can be read."""
    with suppress(Error):
        return isinstance(data, str | Path) and bool(located(str(data), str(data)))
    return False


def located(where: str, label: str) -> tuple[Any, dict[str, str]]:
    """A file system, and by its name each file that holds shards: its path there.

    Raises: Error if there is none, or the place cannot be reached.
    """
    from fsspec.core import url_to_fs

    if where in KNOWN or where.startswith("hub:"):
        name, _, config = (KNOWN.get(where) or hub_name(where)).partition(":")
        where = f"hf://datasets/{name}" + (f"/{config}" if config else "")
    try:
        files, path = url_to_fs(where)
        there = files.exists(path)
        found = files.find(path) if there else files.glob(path) if set(path) & set("*?[") else []
    except Exception as why:  # of a network or a protocol: each has its own
        said = first_line(why)
        raise Error(
            f"{label} cannot be reached ({said}); check the address and the connection, and that"
            " the package by which fsspec reads such addresses is installed."
        ) from why
    paths = sorted(each for each in found if kind(each) and posixpath.basename(each)[0] != ".")
    if not paths:
        lacks = "has no .tar or .parquet file" if there or found else "does not exist"
        raise Error(f"{label} {lacks}; --stream reads {ALLOWED}.")
    folder = posixpath.commonpath([posixpath.dirname(each) for each in paths])
    return files, {posixpath.relpath(each, folder): each for each in paths}


def indexed(files: Any, path: str, name: str) -> Index:
    """The index of a file; kept in the cache, since a .tar has to be walked for it."""
    kept = cache.root() / "shards" / f"{cache.key(path, files.ukey(path), files.size(path))}.json"
    with suppress(OSError, ValueError, TypeError):
        return Index(*json.loads(kept.read_text()))
    index = kind(path).index(files, path, name)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(index))
    return index


def joined(
    indices: list[Index],
) -> tuple[dict[str, np.ndarray], dict[str, list[str] | None], list[str]]:
    """The columns that every file has; a class without a name is called by its number."""
    columns, classes = {}, {}
    for name, (_, names) in indices[0].columns.items():
        if all(name in index.columns for index in indices):
            values = np.concatenate([np.asarray(index.columns[name][0]) for index in indices])
            columns[name] = values
            own = names == [] and values.min() >= 0
            classes[name] = [str(k) for k in range(values.max() + 1)] if own else names or None
    known = {name for index in indices for name in index.columns}
    return columns, classes, sorted(known - columns.keys())
