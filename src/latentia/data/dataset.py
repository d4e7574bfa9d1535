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
from latentia.data.reader import Reader, Survey, Wanted, parsed_size, resolved, stretched
from latentia.data.sources.registry import Source
from latentia.data.sources.shards import Shards
from latentia.data.splits import NAMES, Pixels, Split, splits
from latentia.data.streaming import ENOUGH, Streamed


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
    return Images(source, Wanted(parsed_size(size), channels, source.white, source.background))


class Stored(NamedTuple):
    """Everything that was read, as it lies in the cache."""

    pixels: Pixels
    columns: dict[str, Tensor]
    about: dict[str, Any]


class Images:
    """Made by `open_images` or `Images.described`."""

    def __init__(self, source: Source, wanted: Wanted, spec: dict[str, Any] | None = None):
        self.source, self.wanted, self._spec = source, wanted, spec
        self._splits: dict[str, Split] = {}

    @classmethod
    def described(cls, spec: dict[str, Any]) -> "Images":
        """From `run.json`: shape and preprocessing of images that are not here."""
        how, split = spec["preprocessing"], spec["split"]
        source = Source(
            spec["source"], how["white"], how["background"], split["seed"], split["validation"]
        )
        size = (how["size"][0], how["size"][1])
        return cls(source, Wanted(size, how["channels"], source.white, source.background), spec)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width); touches the disk only if size or channels were left open."""
        return self.preprocessing.shape

    @property
    def classes(self) -> dict[str, list[str] | None]:
        """The columns that stand beside the images, with their class names; None: numbers."""
        return self._spec["labels"] if self._spec else self._stored.about["classes"]

    def classes_of(self, column: str) -> list[str]:
        """The class names of a column.

        Raises: Error if there is no such column, or it holds no classes.
        """
        names = self.classes.get(column)
        if names is None:
            usable = [name for name, each in self.classes.items() if each]
            known = f"those with classes are {', '.join(usable)}" if usable else "none has classes"
            raise Error(f"{self.source.name} has no column {column} with classes; {known}.")
        return names

    def shape_of(self, column: str) -> tuple[int, ...]:
        """(c, h, w) of the images of a column.

        Raises: Error if there is no such column of images.
        """
        shapes = self.spec()["columns"]
        if not shapes.get(column):
            raise Error(
                f"{self.source.name} has no {column} beside its images; give a source of pairs, "
                "such as speckle, or a folder of speckle/ and patterns/."
            )
        return tuple(shapes[column])

    @property
    def notes(self) -> list[str]:
        """What a user should hear about these images; reads them."""
        return [] if self._spec else self._stored.about["notes"]

    def spec(self) -> dict[str, Any]:
        """What `run.json` keeps; reads the images, for their fingerprint."""
        if self._spec:
            return self._spec
        prep, (_, columns, about) = self.preprocessing, self._stored
        counts = {name: len(self.split(name)) for name in NAMES}
        return {
            "source": self.source.name,
            "kind": self.source.kind,
            "shape": list(self.shape),
            "preprocessing": {
                "size": [prep.height, prep.width],
                "channels": prep.channels,
                "white": prep.white,
                "background": prep.background,
                "filter": "bicubic, stretched",
            },
            "count": counts,
            "labels": about["classes"],
            "columns": {name: list(values.shape[1:]) for name, values in columns.items()},
            "fingerprint": about["fingerprint"],
            **({"joined": about["joined"]} if "joined" in about else {}),
            **({"streamed": True} if self.source.stream else {}),
            "split": {
                "seed": self.source.seed,
                "validation": self.source.validation,
            },
        }

    def split(self, name: str) -> Split:
        """train, validation or test, disjoint; or all: every image, in the source's order."""
        if name not in (*NAMES, "all"):
            raise Error(f"{name!r} is not a split; give one of {', '.join(NAMES)}, all.")
        if not self._splits:
            self._splits = self.divided()
        return self._splits[name]

    def divided(self) -> dict[str, Split]:
        pixels, columns, about = self._stored
        keys, classes = about["keys"], about["classes"]
        everything = torch.arange(len(keys))
        shards = None
        if isinstance(pixels, Streamed) and len(pixels.shards) >= ENOUGH:
            shards = pixels.shard_of(everything)
        rows = splits(about["parts"], self.source.seed, self.source.validation, shards)
        rows["all"] = everything
        return {
            name: Split(
                name,
                [keys[row] for row in mine.tolist()],
                {column: values[mine] for column, values in columns.items()},
                classes,
                pixels,
                mine,
            )
            for name, mine in rows.items()
        }

    def labelled(self, labels: Labels) -> "Images":
        """These images with the table's columns beside them; those of a spec have them already.

        Raises: Error if the table does not fit them.
        """
        if self._spec:
            return self
        everything, (pixels, columns, about) = self.split("all"), self._stored
        joined = labels.onto(everything, everything.keys)
        made = copy.copy(self)
        made._splits = {}
        classes = {**about["classes"], **joined.classes}
        values = {name: joined.columns[name].numpy() for name in joined.classes}
        about = {**about, "classes": classes, "joined": digested(values, classes)}
        made._stored = Stored(pixels, {**columns, **joined.columns}, about)
        return made

    def membership(self, part: Split) -> list[str]:
        """train, validation or test: the split that each image of `part` belongs to."""
        names = np.empty(len(self.split("all")), object)
        for name in NAMES:
            names[self.split(name).rows] = name
        return names[part.rows].tolist()

    def preprocess(self, images: Any) -> Float[Tensor, "n c h w"]:
        """New images as these were read: a path, a Pillow image, an array, or a sequence of them.

        A path gives every page of its file. An array (h, w) or (h, w, 3) is one image, (n, h, w),
        (n, c, h, w) and (n, h, w, c) are n; in a list each is one.
        """
        from latentia.data.preprocess import incoming

        return incoming(images, self.preprocessing)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """What was wanted, completed by what the images are."""
        size, channels, white, background = self.wanted
        if size and channels:
            return Preprocessing(*size, channels, white, background)
        if shape := self._asked and cache.shape(self._asked):
            channels, height, width = shape
            return Preprocessing(height, width, channels, white, background)
        found = resolved(self.wanted, self._survey, self._reader.label)
        if self._asked:
            cache.note_shape(self._asked, found.shape)
        return found

    @cached_property
    def _reader(self) -> Reader | Shards:
        return self.source.reader()

    @cached_property
    def _identity(self) -> str | None:
        return self._reader.identity()

    @property
    def _asked(self) -> str | None:
        """The key of what was wanted: it knows the shape, so that headers are read once."""
        return self._identity and cache.key(self.source.name, self._identity, self.wanted)

    @cached_property
    def _key(self) -> str | None:
        """The key of the pixels: of a size, whether it was wanted or found."""
        prep = self.preprocessing
        full = self.wanted._replace(size=(prep.height, prep.width), channels=prep.channels)
        return self._identity and cache.key(self.source.name, self._identity, full)

    @cached_property
    def _survey(self) -> Survey:
        return self._reader.survey(self.wanted)

    @cached_property
    def _stored(self) -> Stored:
        if self._spec:
            raise Error(
                f"the run's images ({self._spec['source']}) cannot be found here; give them with"
                " --data."
            )
        if self._key is None:
            return self.read(None)
        return self.kept() or self.decoded()

    def kept(self, written: bool = False) -> Stored | None:
        assert self._key is not None
        about, found = cache.about(self._key), cache.load(self._key, written)
        if about is None or found is None:
            return None
        return stored(found[0], found[1], about)

    def decoded(self) -> Stored:
        assert self._key is not None
        with cache.writing(self._key) as folder:
            fresh = self.read(folder)
        return self.kept(written=True) or fresh

    def read(self, folder: Path | None) -> Stored:
        """Every image, decoded; into a folder of the cache, if one is given."""
        survey, prep = self._survey, self.preprocessing
        if isinstance(self._reader, Shards):
            out = self._reader.streamed(prep)
        else:
            shape = (len(survey.keys), *prep.shape)
            out, folder = cache.room(folder, shape, np.dtype("f4" if survey.deep else "u1"))
            self._reader.fill(out, prep)
        about = {
            "shape": list(prep.shape),
            "keys": survey.keys,
            "parts": survey.parts,
            "classes": survey.classes,
            "notes": [*survey.notes, *stretched(survey.sizes, prep, self._reader.label)],
            "fingerprint": fingerprint(out, survey),
        }
        if folder and not isinstance(out, Streamed):
            cache.finish(folder, out, survey.columns, about)
        return stored(out, survey.columns, about)


def stored(
    pixels: np.ndarray | Streamed, columns: dict[str, np.ndarray], about: dict[str, Any]
) -> Stored:
    kept = pixels if isinstance(pixels, Streamed) else torch.from_numpy(pixels)
    return Stored(kept, {k: column(v) for k, v in columns.items()}, about)


def column(values: np.ndarray) -> Tensor:
    """Integers as int64, floats as float32, images as they are."""
    if values.ndim > 1:
        return torch.from_numpy(values)
    return torch.from_numpy(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))


def fingerprint(pixels: np.ndarray | Streamed, survey: Survey) -> str:
    """The same for the same pixels, names, splits and columns, wherever they lie.

    Of streamed pixels the shards' names, counts and sizes stand for the pixels.
    """
    digest = hashlib.blake2b(digest_size=16)
    streamed = isinstance(pixels, Streamed)
    kind = [shard[:3] for shard in pixels.shards] if streamed else pixels.dtype.str
    digest.update(repr((tuple(pixels.shape), kind, survey.keys, survey.parts)).encode())
    if isinstance(pixels, np.ndarray):
        for start in range(0, len(pixels), 1024):
            digest.update(np.ascontiguousarray(pixels[start : start + 1024]).data)
    return digested(survey.columns, survey.classes, digest)


def digested(
    columns: Mapping[str, np.ndarray],
    classes: Mapping[str, list[str] | None],
    digest: Any = None,
) -> str:
    """The same for the same names, classes and values; added to a digest that was begun."""
    digest = digest or hashlib.blake2b(digest_size=16)
    for name, values in sorted(columns.items()):
        digest.update(repr((name, classes[name])).encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
