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

from latentia.core.errors import Error, summarize_exception
from latentia.data import cache
from latentia.data.decode import ImageHeader, Preprocessing
from latentia.data.image_files import (
    SMALL_IMAGE_PIXELS,
    abbreviate_list,
    check_file_channels,
    count_processors,
)
from latentia.data.reader import LoadOptions, SourceInfo
from latentia.data.sources.shard_formats import ShardIndex, find_shard_format
from latentia.data.sources.table import KNOWN_DATASETS, infer_split, parse_hub_name
from latentia.data.splits import SPLIT_NAMES
from latentia.data.streaming import Shard, StreamedPixels, fetch

STREAMABLE_SOURCES = (
    "hub:OWNER/NAME, or a folder, a file, a pattern or a URL of .tar or .parquet files"
)


@dataclass
class ShardReader:
    """Every .tar and .parquet file of `where`, over `fsspec`: a path, a URL or a hub's name."""

    source_name: str
    location: str
    shards: list[Shard] = field(default_factory=list)
    high_bit_depth: bool = False
    has_large_images: bool = False

    def fingerprint(self) -> None:
        """None: its pixels are not kept."""

    def read_info(self, options: LoadOptions) -> SourceInfo:
        check_file_channels(options.channels, self.source_name)
        filesystem, paths = find_shards(self.location, self.source_name)
        keys, shards, indices, notes = [], [], [], []
        split_counts: dict[str, int] = dict.fromkeys(SPLIT_NAMES, 0)
        for name in sorted(
            paths, key=lambda name: SPLIT_NAMES.index(infer_split(PurePosixPath(name)))
        ):
            path = paths[name]
            index = fetch(name, partial(load_index, filesystem, path, name))
            notes += [f"{name}: {note}" for note in index.notes]
            if not index.keys:
                continue
            for number, (rows, size) in enumerate(
                zip(index.row_counts, index.byte_sizes, strict=True)
            ):
                shard_name = f"{name}, row group {number}" if len(index.row_counts) > 1 else name
                fetch_images = partial(find_shard_format(path).images, filesystem, path, number)
                shards += [Shard(shard_name, rows, size, fetch_images)] if rows else []
            keys += [f"{name}/{key}" for key in index.keys]
            split_counts[infer_split(PurePosixPath(name))] += len(index.keys)
            indices.append(index)
        if not keys:
            raise Error(
                f"{self.source_name} holds no images; give shards with images, of a .tar NAME.jpg or the"
                " like, of parquet a column image."
            )
        headers = [ImageHeader(*index.first) for index in indices]
        sizes = sorted({(header.height, header.width) for header in headers})
        self.shards, self.high_bit_depth = shards, any(header.high_bit_depth for header in headers)
        self.has_large_images = any(height * width > SMALL_IMAGE_PIXELS for height, width in sizes)
        columns, classes, dropped_columns = join_columns(indices)
        notes += (
            [f"{self.source_name}: columns not used: {abbreviate_list(dropped_columns)}."]
            if dropped_columns
            else []
        )
        split_counts = {split: count for split, count in split_counts.items() if count}
        channels = 3 if any(header.is_color for header in headers) else 1
        return SourceInfo(
            sizes, channels, self.high_bit_depth, keys, split_counts, columns, classes, notes
        )

    def open_pixels(self, preprocessing: Preprocessing) -> StreamedPixels:
        """The pixels; `survey` was called before."""
        return StreamedPixels(
            self.shards,
            preprocessing,
            self.high_bit_depth,
            count_processors() if self.has_large_images else 1,
        )


def is_shard_source(data: Any) -> bool:
    """Whether these are shards that can be read."""
    with suppress(Error):
        return isinstance(data, str | Path) and bool(find_shards(str(data), str(data)))
    return False


def find_shards(location: str, source_name: str) -> tuple[Any, dict[str, str]]:
    """A file system, and by its name each file that holds shards: its path there.

    Raises: Error if there is none, or the place cannot be reached.
    """
    from fsspec.core import url_to_fs

    if location in KNOWN_DATASETS or location.startswith("hub:"):
        name, _, config = (KNOWN_DATASETS.get(location) or parse_hub_name(location)).partition(":")
        location = f"hf://datasets/{name}" + (f"/{config}" if config else "")
    try:
        filesystem, path = url_to_fs(location)
        path_exists = filesystem.exists(path)
        candidates = (
            filesystem.find(path)
            if path_exists
            else filesystem.glob(path)
            if set(path) & set("*?[")
            else []
        )
    except Exception as error:  # of a network or a protocol: each has its own
        message = summarize_exception(error)
        raise Error(
            f"{source_name} cannot be reached ({message}); check the address and the connection, and that"
            " the package by which fsspec reads such addresses is installed."
        ) from error
    paths = sorted(
        candidate
        for candidate in candidates
        if find_shard_format(candidate) and posixpath.basename(candidate)[0] != "."
    )
    if not paths:
        problem = "has no .tar or .parquet file" if path_exists or candidates else "does not exist"
        raise Error(f"{source_name} {problem}; --stream reads {STREAMABLE_SOURCES}.")
    folder = posixpath.commonpath([posixpath.dirname(candidate) for candidate in paths])
    return filesystem, {posixpath.relpath(candidate, folder): candidate for candidate in paths}


def load_index(filesystem: Any, path: str, name: str) -> ShardIndex:
    """The index of a file; kept in the cache, since a .tar has to be walked for it."""
    cache_file = (
        cache.cache_root()
        / "shards"
        / f"{cache.make_key(path, filesystem.ukey(path), filesystem.size(path))}.json"
    )
    with suppress(OSError, ValueError, TypeError):
        return ShardIndex(*json.loads(cache_file.read_text()))
    index = find_shard_format(path).index(filesystem, path, name)
    with suppress(OSError):
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        cache_file.write_text(json.dumps(index))
    return index


def join_columns(
    indices: list[ShardIndex],
) -> tuple[dict[str, np.ndarray], dict[str, list[str] | None], list[str]]:
    """The columns that every file has; a class without a name is called by its number."""
    columns, classes = {}, {}
    for name, (_, class_names) in indices[0].columns.items():
        if all(name in index.columns for index in indices):
            values = np.concatenate([np.asarray(index.columns[name][0]) for index in indices])
            columns[name] = values
            has_unnamed_classes = class_names == [] and values.min() >= 0
            classes[name] = (
                [str(k) for k in range(values.max() + 1)]
                if has_unnamed_classes
                else class_names or None
            )
    all_columns = {name for index in indices for name in index.columns}
    return columns, classes, sorted(all_columns - columns.keys())
