"""Shards of images, local or remote: .tar files of WebDataset and row groups of parquet.

Only an index of names, labels and counts is read beforehand. `data.streaming` reads the pixels.
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
from latentia.data import cache, image_files
from latentia.data.decode import Preprocessing
from latentia.data.headers import ImageHeader
from latentia.data.reader import LabelColumns, LoadOptions, SourceInfo
from latentia.data.reading import Reading
from latentia.data.sources.shard_formats import ShardIndex, find_shard_format
from latentia.data.sources.table import KNOWN_DATASETS, infer_split, parse_hub_name
from latentia.data.splits import SPLIT_NAMES
from latentia.data.streaming import Shard, StreamedPixels, catch_read_errors

STREAM_SOURCES = "hub:OWNER/NAME, or a folder, a file, a pattern or a URL of .tar or .parquet files"


@dataclass
class ShardReader:
    """Reader of every .tar and .parquet file of a path, a URL or a name on the hub, by `fsspec`."""

    source_name: str
    location: str
    shards: list[Shard] = field(default_factory=list)
    has_large_images: bool = False

    def fingerprint(self) -> None:
        """Return None: streamed pixels are not cached."""

    def read_info(self, options: LoadOptions) -> SourceInfo:
        if options.reading.skip_unreadable:
            raise Error("--skip-unreadable reads images first, --stream later: leave one out.")
        fs, paths = find_shards(self.location, self.source_name)
        keys, self.shards, indices, notes = [], [], [], []
        splits = {name: infer_split(PurePosixPath(name)) for name in paths}
        counts: dict[str, int] = dict.fromkeys(SPLIT_NAMES, 0)
        for name in sorted(paths, key=lambda name: SPLIT_NAMES.index(splits[name])):
            with catch_read_errors(name):
                index = load_index(fs, paths[name], name, options.reading)
            notes += [f"{name}: {note}" for note in index.notes]
            if not index.keys:
                continue
            _, read_images = find_shard_format(name)
            groups = zip(index.row_counts, index.byte_sizes, strict=True)
            for number, (rows, size) in enumerate(groups):
                title = f"{name}, row group {number}" if len(index.row_counts) > 1 else name
                fetch_images = partial(read_images, fs, paths[name], number)
                self.shards += [Shard(title, rows, size, fetch_images)] if rows else []
            keys += [f"{name}/{key}" for key in index.keys]
            counts[splits[name]] += len(index.keys)
            indices.append(index)
        if not keys:
            raise Error(
                f"{self.source_name} holds no images; give shards with images: NAME.jpg, .png or"
                " the like in a .tar, a column image in parquet."
            )
        headers = [ImageHeader(*index.first_header) for index in indices]
        pairs = zip(headers, indices, strict=True)
        examples = {header.channels: index.keys[0] for header, index in pairs}
        image_files.check_file_channels(options.channels, self.source_name, examples)
        sizes = sorted({(header.height, header.width) for header in headers})
        self.has_large_images = any(h * w > image_files.SMALL_IMAGE_PIXELS for h, w in sizes)
        counts = {split: count for split, count in counts.items() if count}
        channels = max(header.channels for header in headers)
        depth, labels = max(header.depth for header in headers), join_columns(indices)
        return SourceInfo(sizes, channels, depth, keys, counts, labels, notes)

    def open_pixels(self, preprocessing: Preprocessing, dtype: np.dtype) -> StreamedPixels:
        """Return the pixels as a stream, after `read_info`."""
        workers = image_files.count_processors() if self.has_large_images else 1
        return StreamedPixels(self.shards, preprocessing, dtype, workers)


def is_shard_source(data: Any) -> bool:
    """Whether `data` is the address of shards that can be listed."""
    with suppress(Error):
        return isinstance(data, str | Path) and bool(find_shards(str(data), str(data)))
    return False


def find_shards(location: str, source_name: str) -> tuple[Any, dict[str, str]]:
    """Return a file system, and the path of each file of shards by its name.

    Raises: Error if there is none, or the location cannot be reached.
    """
    from fsspec.core import url_to_fs

    if location in KNOWN_DATASETS or location.startswith("hub:"):
        name, _, config = (KNOWN_DATASETS.get(location) or parse_hub_name(location)).partition(":")
        location = f"hf://datasets/{name}" + (f"/{config}" if config else "")
    try:
        fs, path = url_to_fs(location)
        exists, is_pattern = fs.exists(path), set(path) & set("*?[")
        find = fs.find if exists else fs.glob
        infos = find(path, detail=True) if exists or is_pattern else {}
        files = [name for name, info in infos.items() if info["type"] != "other"]  # no FIFO
    except Exception as error:  # each network and protocol raises its own
        raise Error(
            f"{source_name} cannot be reached ({summarize_exception(error)}); check the address and"
            " the connection, and that the package by which fsspec reads such addresses is"
            " installed."
        ) from error
    paths = sorted(p for p in files if find_shard_format(p) and posixpath.basename(p)[0] != ".")
    if not paths:
        problem = "has no .tar or .parquet file" if exists or files else "does not exist"
        raise Error(f"{source_name} {problem}; --stream reads {STREAM_SOURCES}.")
    folder = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    return fs, {posixpath.relpath(path, folder): path for path in paths}


def load_index(fs: Any, path: str, name: str, reading: Reading) -> ShardIndex:
    """Load the index of a file. It is cached, since indexing reads through the whole .tar."""
    options = reading.pages, reading.max_pixels, *ImageHeader._fields
    key = cache.make_key(path, fs.ukey(path), fs.size(path), *options)
    cache_path = cache.cache_root() / "shards" / f"{key}.json"
    with suppress(OSError, ValueError, TypeError):
        return ShardIndex(*json.loads(cache_path.read_text("utf-8")))
    build_index, _ = find_shard_format(path)
    index = build_index(fs, path, name, reading)
    with suppress(OSError):
        cache_path.parent.mkdir(parents=True, exist_ok=True)
        cache_path.write_text(json.dumps(index), "utf-8")
    return index


def join_columns(indices: list[ShardIndex]) -> LabelColumns:
    """Join the columns that every file has. A class without a name is named by its number."""
    columns, classes = {}, {}
    for name, (_, names) in indices[0].columns.items():
        if all(name in index.columns for index in indices):
            columns[name] = np.concatenate([np.asarray(i.columns[name][0]) for i in indices])
            has_numbers = names == [] and columns[name].min() >= 0
            numbers = [str(k) for k in range(columns[name].max() + 1)] if has_numbers else None
            classes[name] = numbers or names or None
    all_names = {name for index in indices for name in index.columns}
    return LabelColumns(columns, classes, unused=sorted(all_names - columns.keys()))
