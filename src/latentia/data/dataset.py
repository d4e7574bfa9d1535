"""A data set of images. Its shape is known first, its pixels are read when needed."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error
from latentia.data import cache
from latentia.data.cached_images import CachedImages, Metadata, join_labels, make_cached_images
from latentia.data.decode import Preprocessing
from latentia.data.fingerprint import compute_fingerprint
from latentia.data.grey_levels import GreyLevels, count_levels, measure_grey_levels
from latentia.data.key_labels import add_key_labels
from latentia.data.labels import check_columns, find_excluded_rows
from latentia.data.levels import Levels
from latentia.data.masks import MaskFolder, split_mask
from latentia.data.preprocess import read_batch
from latentia.data.reader import Classes, LoadOptions, Reader, Size, SourceInfo
from latentia.data.reading import Reading
from latentia.data.sources.registry import Source, describe_labels
from latentia.data.sources.shards import ShardReader
from latentia.data.splits import SPLIT_NAMES, Split, SplitRows

OPTIONAL_ENTRIES = ("joined", "unreadable", "empty_tiles")  # of run.json
COLOUR_NOTE = (
    "images in colour are read as grey; to keep it, give --channels 3 if the recipe has this"
    " option, else take one that keeps colour, such as conv_vae."
)


class Images:
    """A data set of images; `open_images` creates it.

    Parameters
    ----------
    source : Source
        where the images are
    options : LoadOptions
        size and channels, if they are to be changed
    metadata : dict, optional
        entry of run.json in place of the images

    Examples
    --------
    >>> import latentia
    >>> images = latentia.open_images("digits:200")
    >>> images.shape
    (1, 32, 32)
    >>> len(images.split("test"))
    20
    """

    def __init__(self, source: Source, options: LoadOptions, metadata: Metadata | None = None):
        self.source, self.options, self._metadata = source, options, metadata

    def __len__(self) -> int:
        return len(self.split("all"))

    def __repr__(self) -> str:
        size = "x".join(map(str, self.options.size)) if self.options.size else "its own size"
        return f"Images({self.source.name}, {size})"

    @classmethod
    def from_metadata(cls, metadata: Metadata) -> "Images":
        """Create from `run.json`: shape and preprocessing, without access to the images."""
        channels, *size = metadata["shape"]
        source = Source(metadata["source"], Reading.from_metadata(metadata))
        return cls(source, LoadOptions(tuple(size), channels, source.reading), metadata)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width). Reads the source only if size or channels are left open."""
        return self.preprocessing.shape

    @property
    def source_sizes(self) -> list[Size]:
        """(height, width) of the images before they are resized. Reads the source."""
        return self._info.sizes

    @property
    def is_recorded(self) -> bool:
        """Whether these are what run.json says of the images, without the images."""
        return self._metadata is not None

    @property
    def classes(self) -> Classes:
        """Class names of each column. None: the column holds numbers or images."""
        return self._metadata["labels"] if self._metadata else self._contents.metadata["classes"]

    def get_class_names(self, column: str) -> list[str]:
        """Return the class names of a column.

        Raises: Error if there is no such column, or it has no classes.
        """
        if (names := self.classes.get(column)) is None:
            with_classes = ", ".join(name for name, names in self.classes.items() if names)
            hint = f"those with classes are {with_classes}" if with_classes else "none has classes"
            if column in self.classes:
                hint += f"; --label-kind {column}=class makes classes (a prior reads images as its"
                hint += " autoencoder: train this with it)"
            raise Error(f"{self.source.name} has no column {column} with classes; {hint}.")
        return names

    def get_column_shape(self, column: str) -> tuple[int, ...]:
        """Return (c, h, w) of the images of a column.

        Raises: Error if there is no such column of images.
        """
        shapes = self.to_metadata()["columns"]
        if not shapes.get(column):
            raise Error(
                f"{self.source.name} has no {column} beside its images; give a source of pairs, "
                "such as pairs:INPUT:TARGET, speckle, or a folder of speckle/ and patterns/."
            )
        return tuple(shapes[column])

    @cached_property
    def levels(self) -> GreyLevels:
        """What the grey levels of the training images are. Reads the images."""
        if self._metadata:
            return GreyLevels(*self._metadata["levels"])
        depth = self._contents.metadata["depth"]
        rescales = depth or self.preprocessing.rescales_8_bits
        white = self.preprocessing.white if rescales else None
        count = count_levels(depth, white, self.preprocessing.black)
        return measure_grey_levels(self.split("train"), count)

    @cached_property
    def notes(self) -> list[str]:
        """Messages to the user about these images. Reads the images."""
        if self._metadata:
            return []
        notes = [*self._contents.metadata["notes"], *self._assignment[1]]
        notes += [COLOUR_NOTE] if self.loses_colour else []
        return [*notes, *filter(None, [self._excluded[1]])]

    @property
    def loses_colour(self) -> bool:
        """Whether images in colour are read as grey; `notes` then has `COLOUR_NOTE`."""
        return self._contents.metadata.get("loses_colour", False)

    def to_metadata(self) -> Metadata:
        """Return the entry for `run.json`. Reads the images for their fingerprint."""
        if self._metadata:
            return self._metadata
        preprocessing, (_, columns, metadata) = self.preprocessing, self._contents
        excluded = [metadata["keys"][row] for row in self._excluded[0]]
        reading = replace(self.source.reading, exclude=excluded or None)
        check_columns([*reading.label_kinds], [*columns], "--label-kind: the data")
        return {
            "source": self.source.name,
            "kind": self.source.kind,
            "shape": list(self.shape),
            "count": {name: len(self.split(name)) for name in SPLIT_NAMES},
            "labels": metadata["classes"],
            "levels": list(self.levels),
            "columns": {name: list(values.shape[1:]) for name, values in columns.items()},
            "fingerprint": metadata["fingerprint"],
            **{name: metadata[name] for name in OPTIONAL_ENTRIES if metadata.get(name)},
            **describe_labels(self.source.labels),
            **({"streamed": True} if self.source.reading.stream else {}),
            **reading.to_metadata(preprocessing.shape[1:], preprocessing.channels),
        }

    def split(self, name: str) -> Split:
        """Return "train", "validation" or "test" (disjoint), or "all" in the source's order."""
        if name not in (*SPLIT_NAMES, "all"):
            raise Error(f"{name!r} is not a split; give one of {', '.join(SPLIT_NAMES)}, all.")
        return self._splits[name]

    def find_split_names(self, split: Split) -> list[str]:
        """Return the split (train, validation or test) of each image of `split`."""
        names = np.empty(len(self._contents.metadata["keys"]), object)
        for name in SPLIT_NAMES:
            names[self.split(name).rows] = name
        return names[np.asarray(split.rows)].tolist()  # a tensor of one row is a number

    def preprocess(self, images: Any) -> Float[Tensor, "n c h w"]:
        """Read new images as these are read: a path, a Pillow image, an array, or a sequence.

        A path gives every page of its file. An array (h, w) or (h, w, 3) is one image. Arrays
        (n, h, w), (n, c, h, w) and (n, h, w, c) are n images. In a list each array is one image.
        """
        return read_batch(images, self.preprocessing).image

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The requested preprocessing, completed by the properties of the images."""
        size, channels, _ = self.options
        if size and channels:
            return self.options.make_preprocessing(size, channels)
        key = self._make_key(self.options)  # of the shape, so that headers are read once
        if shape := key and cache.load_shape(key):
            channels, height, width = shape
            return self.options.make_preprocessing((height, width), channels)
        result = self._info.resolve_preprocessing(self.options, self._reader.source_name)
        if key:
            cache.save_shape(key, result.shape)
        return result

    @cached_property
    def _reader(self) -> Reader | ShardReader:
        return self.source.make_reader()

    @cached_property
    def _fingerprint(self) -> str | None:
        files = self._reader.fingerprint()
        return files and files + MaskFolder(self.source.reading.mask_folder).fingerprint()

    def _make_key(self, options: LoadOptions) -> str | None:
        """Make the key of the cache; None if these images are not cached."""
        if self._fingerprint is None:
            return None
        size, channels, reading = options
        shape = (size, channels, *reading.list_pixel_options())
        return cache.make_key(self.source.name, self._fingerprint, *shape)

    @cached_property
    def _info(self) -> SourceInfo:
        return add_key_labels(self._reader.read_info(self.options), self.source.reading)

    @cached_property
    def _assignment(self) -> tuple[SplitRows, list[str]]:
        """The rows of each split, and notes on them."""
        return self._contents.assign_rows(self.source.reading)

    @cached_property
    def _splits(self) -> dict[str, Split]:
        """The splits without excluded rows. All other rows stay in their splits."""
        excluded = torch.from_numpy(self._excluded[0])
        rows = {k: rows[~torch.isin(rows, excluded)] for k, rows in self._assignment[0].items()}
        return self._contents.make_splits(rows)

    @cached_property
    def _excluded(self) -> tuple[np.ndarray, str]:
        """The rows that are left out, and a note on unknown names."""
        exclude, keys = self.source.reading.exclude, self._contents.metadata["keys"]
        return find_excluded_rows(exclude, keys)

    @cached_property
    def _contents(self) -> CachedImages:
        if self._metadata:
            source = self._metadata["source"]
            raise Error(f"the run's images ({source}) cannot be found here; give them with --data.")
        reading, (channels, *size) = self.source.reading, self.shape
        # the same key for a requested size and the images' own
        key = self._make_key(self.options._replace(size=tuple(size), channels=channels))
        entry = cache.load_entry(key) or self.decode_and_cache(key) if key else None
        contents = make_cached_images(*(entry or self.decode_all(None)), reading)
        return join_labels(contents, self.source.labels, reading)

    def decode_and_cache(self, key: str) -> cache.Entry | None:
        with cache.write_entry(key) as folder:
            entry = self.decode_all(folder)
            if folder and cache.is_complete(folder):
                entry = None  # Windows renames no folder with a mapped file
        return cache.load_entry(key, just_written=True) or entry

    def decode_all(self, folder: Path | None) -> cache.Entry:
        """Decode every image, into a folder of the cache if one is given."""
        info, levels = self._info, Levels()
        preprocessing = replace(self.preprocessing, levels=levels)
        shape, dtype = (len(info.keys), *preprocessing.shape), info.choose_dtype(preprocessing)
        if isinstance(self._reader, ShardReader):
            pixels = self._reader.open_pixels(self.preprocessing, dtype)
        else:
            pixels, folder = cache.allocate_pixels(folder, shape, dtype)
            self._reader.read_into(pixels, preprocessing)
            if preprocessing.marks_missing:
                info = info.with_mask(split_mask(pixels, preprocessing.background))
        notes = [*info.collect_notes(preprocessing), *levels.describe(preprocessing.white)]
        metadata = {
            "depth": info.depth,
            "keys": info.keys,
            "parts": info.split_counts,
            "classes": info.labels.classes,
            "free_text": [*info.labels.free_text],
            "notes": [f"{self._reader.source_name}: {note}" for note in notes],
            "loses_colour": info.channels == 3 and preprocessing.channels == 1,
            "unreadable": [{"key": key, "reason": reason} for key, reason in info.unreadable],
            "empty_tiles": info.empty_tiles,
            "fingerprint": compute_fingerprint(pixels, info),
        }
        if folder and isinstance(pixels, np.ndarray):
            cache.finish_entry(folder, pixels, info.labels.columns, metadata)
        return pixels, info.labels.columns, metadata
