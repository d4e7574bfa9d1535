"""A set of images, known by its shape first and by its pixels when they are asked for."""

import copy
import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error
from latentia.data import cache
from latentia.data.decode import Preprocessing
from latentia.data.labels import Labels
from latentia.data.reader import (
    LoadOptions,
    Reader,
    SourceInfo,
    describe_stretching,
    parse_size,
    resolve_preprocessing,
)
from latentia.data.sources.registry import Source
from latentia.data.sources.shards import ShardReader
from latentia.data.splits import SPLIT_NAMES, Pixels, Split, assign_rows
from latentia.data.streaming import MIN_SHARDS_TO_SPLIT, StreamedPixels


def open_images(
    data: Any,
    size: int | str | tuple[int, int] | list[int] | None = None,
    channels: int | None = None,
) -> "Images":
    """The images that `data` means; lazy. None: the images' own size and channels.

    An `Images` is returned as it is, so that a recipe can be built without its data.
    """
    if isinstance(data, Images):
        return data
    source = data if isinstance(data, Source) else Source(data)
    if channels is not None and channels < 1:
        raise Error(f"channels is {channels}; it must be at least 1: 1 for grey, 3 for colour.")
    return Images(source, LoadOptions(parse_size(size), channels, source.white, source.background))


class CachedImages(NamedTuple):
    """Everything that was read, as it lies in the cache."""

    pixels: Pixels
    columns: dict[str, Tensor]
    metadata: dict[str, Any]


class Images:
    """Made by `open_images` or `Images.described`."""

    def __init__(
        self, source: Source, options: LoadOptions, metadata: dict[str, Any] | None = None
    ):
        self.source, self.options, self._metadata = source, options, metadata
        self._splits: dict[str, Split] = {}

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any]) -> "Images":
        """From `run.json`: shape and preprocessing of images that are not here."""
        preprocessing, split = metadata["preprocessing"], metadata["split"]
        source = Source(
            metadata["source"],
            preprocessing["white"],
            preprocessing["background"],
            split["seed"],
            split["validation"],
        )
        size = (preprocessing["size"][0], preprocessing["size"][1])
        return cls(
            source,
            LoadOptions(size, preprocessing["channels"], source.white, source.background),
            metadata,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width); touches the disk only if size or channels were left open."""
        return self.preprocessing.shape

    @property
    def classes(self) -> dict[str, list[str] | None]:
        """The columns that stand beside the images, with their class names; None: numbers."""
        return (
            self._metadata["labels"] if self._metadata else self._cached_images.metadata["classes"]
        )

    def get_class_names(self, column: str) -> list[str]:
        """The class names of a column.

        Raises: Error if there is no such column, or it holds no classes.
        """
        names = self.classes.get(column)
        if names is None:
            columns_with_classes = [
                name for name, column_classes in self.classes.items() if column_classes
            ]
            hint = (
                f"those with classes are {', '.join(columns_with_classes)}"
                if columns_with_classes
                else "none has classes"
            )
            raise Error(f"{self.source.name} has no column {column} with classes; {hint}.")
        return names

    def get_column_shape(self, column: str) -> tuple[int, ...]:
        """(c, h, w) of the images of a column.

        Raises: Error if there is no such column of images.
        """
        shapes = self.to_metadata()["columns"]
        if not shapes.get(column):
            raise Error(
                f"{self.source.name} has no {column} beside its images; give a source of pairs, "
                "such as speckle, or a folder of speckle/ and patterns/."
            )
        return tuple(shapes[column])

    @property
    def notes(self) -> list[str]:
        """What a user should hear about these images; reads them."""
        return [] if self._metadata else self._cached_images.metadata["notes"]

    def to_metadata(self) -> dict[str, Any]:
        """What `run.json` keeps; reads the images, for their fingerprint."""
        if self._metadata:
            return self._metadata
        preprocessing, (_, columns, cache_metadata) = self.preprocessing, self._cached_images
        counts = {name: len(self.split(name)) for name in SPLIT_NAMES}
        return {
            "source": self.source.name,
            "kind": self.source.kind,
            "shape": list(self.shape),
            "preprocessing": {
                "size": [preprocessing.height, preprocessing.width],
                "channels": preprocessing.channels,
                "white": preprocessing.white,
                "background": preprocessing.background,
                "filter": "bicubic, stretched",
            },
            "count": counts,
            "labels": cache_metadata["classes"],
            "columns": {name: list(values.shape[1:]) for name, values in columns.items()},
            "fingerprint": cache_metadata["fingerprint"],
            **({"joined": cache_metadata["joined"]} if "joined" in cache_metadata else {}),
            **({"streamed": True} if self.source.stream else {}),
            "split": {"seed": self.source.seed, "validation": self.source.validation},
        }

    def split(self, name: str) -> Split:
        """train, validation or test, disjoint; or all: every image, in the source's order."""
        if name not in (*SPLIT_NAMES, "all"):
            raise Error(f"{name!r} is not a split; give one of {', '.join(SPLIT_NAMES)}, all.")
        if not self._splits:
            self._splits = self.make_splits()
        return self._splits[name]

    def make_splits(self) -> dict[str, Split]:
        pixels, columns, cache_metadata = self._cached_images
        keys, classes = cache_metadata["keys"], cache_metadata["classes"]
        all_rows = torch.arange(len(keys))
        shards = None
        if isinstance(pixels, StreamedPixels) and len(pixels.shards) >= MIN_SHARDS_TO_SPLIT:
            shards = pixels.find_shard_numbers(all_rows)
        rows_by_split = assign_rows(
            cache_metadata["parts"], self.source.seed, self.source.validation, shards
        )
        rows_by_split["all"] = all_rows
        return {
            name: Split(
                name,
                [keys[row] for row in split_rows.tolist()],
                {column: values[split_rows] for column, values in columns.items()},
                classes,
                pixels,
                split_rows,
            )
            for name, split_rows in rows_by_split.items()
        }

    def with_labels(self, labels: Labels) -> "Images":
        """These images with the table's columns beside them; those of a spec have them already.

        Raises: Error if the table does not fit them.
        """
        if self._metadata:
            return self
        all_images, (pixels, columns, cache_metadata) = self.split("all"), self._cached_images
        labeled_split = labels.join_to(all_images, all_images.keys)
        result = copy.copy(self)
        result._splits = {}
        classes = {**cache_metadata["classes"], **labeled_split.classes}
        values = {name: labeled_split.columns[name].numpy() for name in labeled_split.classes}
        cache_metadata = {
            **cache_metadata,
            "classes": classes,
            "joined": digest_columns(values, classes),
        }
        result._cached_images = CachedImages(
            pixels, {**columns, **labeled_split.columns}, cache_metadata
        )
        return result

    def find_split_names(self, split: Split) -> list[str]:
        """train, validation or test: the split that each image of `part` belongs to."""
        split_names = np.empty(len(self.split("all")), object)
        for name in SPLIT_NAMES:
            split_names[self.split(name).rows] = name
        return split_names[split.rows].tolist()

    def preprocess(self, images: Any) -> Float[Tensor, "n c h w"]:
        """New images as these were read: a path, a Pillow image, an array, or a sequence of them.

        A path gives every page of its file. An array (h, w) or (h, w, 3) is one image, (n, h, w),
        (n, c, h, w) and (n, h, w, c) are n; in a list each is one.
        """
        from latentia.data.preprocess import preprocess_images

        return preprocess_images(images, self.preprocessing)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """What was wanted, completed by what the images are."""
        size, channels, white, background = self.options
        if size and channels:
            return Preprocessing(*size, channels, white, background)
        if shape := self._request_key and cache.load_shape(self._request_key):
            channels, height, width = shape
            return Preprocessing(height, width, channels, white, background)
        result = resolve_preprocessing(self.options, self._info, self._reader.source_name)
        if self._request_key:
            cache.save_shape(self._request_key, result.shape)
        return result

    @cached_property
    def _reader(self) -> Reader | ShardReader:
        return self.source.make_reader()

    @cached_property
    def _fingerprint(self) -> str | None:
        return self._reader.fingerprint()

    @property
    def _request_key(self) -> str | None:
        """The key of what was wanted: it knows the shape, so that headers are read once."""
        return self._fingerprint and cache.make_key(
            self.source.name, self._fingerprint, self.options
        )

    @cached_property
    def _pixels_key(self) -> str | None:
        """The key of the pixels: of a size, whether it was wanted or found."""
        preprocessing = self.preprocessing
        resolved_options = self.options._replace(
            size=(preprocessing.height, preprocessing.width), channels=preprocessing.channels
        )
        return self._fingerprint and cache.make_key(
            self.source.name, self._fingerprint, resolved_options
        )

    @cached_property
    def _info(self) -> SourceInfo:
        return self._reader.read_info(self.options)

    @cached_property
    def _cached_images(self) -> CachedImages:
        if self._metadata:
            raise Error(
                f"the run's images ({self._metadata['source']}) cannot be found here; give them with"
                " --data."
            )
        if self._pixels_key is None:
            return self.decode_all(None)
        return self.load_cached() or self.decode_and_cache()

    def load_cached(self, just_written: bool = False) -> CachedImages | None:
        assert self._pixels_key is not None
        cache_metadata, arrays = (
            cache.load_metadata(self._pixels_key),
            cache.load_arrays(self._pixels_key, just_written),
        )
        if cache_metadata is None or arrays is None:
            return None
        return make_cached_images(arrays[0], arrays[1], cache_metadata)

    def decode_and_cache(self) -> CachedImages:
        assert self._pixels_key is not None
        with cache.write_entry(self._pixels_key) as folder:
            decoded_images = self.decode_all(folder)
        return self.load_cached(just_written=True) or decoded_images

    def decode_all(self, folder: Path | None) -> CachedImages:
        """Every image, decoded; into a folder of the cache, if one is given."""
        info, preprocessing = self._info, self.preprocessing
        if isinstance(self._reader, ShardReader):
            pixels = self._reader.open_pixels(preprocessing)
        else:
            shape = (len(info.keys), *preprocessing.shape)
            pixels, folder = cache.allocate_pixels(
                folder, shape, np.dtype("f4" if info.high_bit_depth else "u1")
            )
            self._reader.read_into(pixels, preprocessing)
        cache_metadata = {
            "shape": list(preprocessing.shape),
            "keys": info.keys,
            "parts": info.split_counts,
            "classes": info.classes,
            "notes": [
                *info.notes,
                *describe_stretching(info.sizes, preprocessing, self._reader.source_name),
            ],
            "fingerprint": compute_fingerprint(pixels, info),
        }
        if folder and not isinstance(pixels, StreamedPixels):
            cache.finish_entry(folder, pixels, info.columns, cache_metadata)
        return make_cached_images(pixels, info.columns, cache_metadata)


def make_cached_images(
    pixels: np.ndarray | StreamedPixels, columns: dict[str, np.ndarray], metadata: dict[str, Any]
) -> CachedImages:
    pixel_data = pixels if isinstance(pixels, StreamedPixels) else torch.from_numpy(pixels)
    return CachedImages(pixel_data, {k: column_to_tensor(v) for k, v in columns.items()}, metadata)


def column_to_tensor(values: np.ndarray) -> Tensor:
    """Integers as int64, floats as float32, images as they are."""
    if values.ndim > 1:
        return torch.from_numpy(values)
    return torch.from_numpy(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))


def compute_fingerprint(pixels: np.ndarray | StreamedPixels, info: SourceInfo) -> str:
    """The same for the same pixels, names, splits and columns, wherever they lie.

    Of streamed pixels the shards' names, counts and sizes stand for the pixels.
    """
    digest = hashlib.blake2b(digest_size=16)
    is_streamed = isinstance(pixels, StreamedPixels)
    pixel_format = [shard[:3] for shard in pixels.shards] if is_streamed else pixels.dtype.str
    digest.update(repr((tuple(pixels.shape), pixel_format, info.keys, info.split_counts)).encode())
    if isinstance(pixels, np.ndarray):
        for start in range(0, len(pixels), 1024):
            digest.update(np.ascontiguousarray(pixels[start : start + 1024]).data)
    return digest_columns(info.columns, info.classes, digest)


def digest_columns(
    columns: Mapping[str, np.ndarray], classes: Mapping[str, list[str] | None], digest: Any = None
) -> str:
    """The same for the same names, classes and values; added to a digest that was begun."""
    digest = digest or hashlib.blake2b(digest_size=16)
    for name, values in sorted(columns.items()):
        digest.update(repr((name, classes[name])).encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
