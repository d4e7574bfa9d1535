"""Options of reading and splitting images, as the user gives them and as run.json keeps them."""

import os
import re
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal, NamedTuple, get_args

import numpy as np
from annotated_types import Ge, Le, Lt

from latentia.core.errors import Error
from latentia.core.label_kinds import LabelKind, Names, encode_column
from latentia.core.missing import MASK_COLUMN
from latentia.core.parameters import validate_parameters

Splits = Literal["own", "seeded"]  # those of the source where it has some, or by seed
Pages = Literal["images", "channels", "first"]  # meaning of the pages of one file
# how an image of other proportions gets the requested size
Aspect = Literal["stretch", "crop", "pad"]
FILTERS = {
    "stretch": "bicubic, stretched",
    "crop": "bicubic, cropped",
    "pad": "bicubic, padded",
}
RULES = 3  # edition of the rules by which folders and labels are read; others are refused
PIXEL_FIELDS = ("white", "background")
MISSING_RULES = ("alpha", "nan")  # of --missing, which is a folder of masks otherwise
SPLIT_FIELDS = ("seed", "validation", "splits")


class Tiling(NamedTuple):
    """Square tiles of a size, each a stride from the next, in pixels."""

    size: int
    stride: int


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """Options of opening the pages of a file, of cutting them, and of pixels that are missing."""

    pages: Pages = "images"
    max_pixels: int | None = None
    tiles: int | str | None = None
    aspect: Aspect = "stretch"
    missing: str | None = None

    @property
    def marks_missing(self) -> bool:
        """Whether pixels may be missing: NaN until the images have a mask."""
        return self.aspect == "pad" or self.missing is not None

    @property
    def mask_folder(self) -> str | None:
        return None if self.missing in MISSING_RULES else self.missing

    @property
    def tiling(self) -> Tiling | None:
        """Tiles into which each image is cut. Raises: Error if `tiles` is none."""
        if self.tiles is None:
            return None
        match = re.fullmatch(r"(\d{1,5})(?::(\d{1,5}))?", str(self.tiles))
        size, stride = (int(side) for side in match.groups(match[1])) if match else (0, 0)
        if not 0 < stride <= size:
            raise Error(
                f"--tiles is {self.tiles}; give the side of a tile in pixels, such as 64, or"
                " SIZE:STRIDE with a stride of at most the size, such as 64:32 for tiles that"
                " overlap by half."
            )
        return Tiling(size, stride)


@dataclass(frozen=True, kw_only=True)
class Reading(PageOptions):
    """Options of reading and splitting images; `latentia.Options` says what each means.

    exclude: a table of keys, or the keys; rules: see `RULES`.
    """

    rules: Annotated[int, Ge(RULES), Le(RULES)] = RULES
    white: float | int | None = None
    black: float | int | None = None
    background: Annotated[float | int, Ge(0), Le(1)] = 1.0  # 0 is black, 1 is white
    skip_unreadable: bool = False
    label_folder: int | None = None
    label_regex: str | None = None
    label_kind: str | None = None
    stream: bool = False
    seed: int = 0
    # of the training images: 5,000 of MNIST's 60,000
    validation: Annotated[float | int, Ge(0), Lt(1)] = 1 / 12
    splits: Splits = "own"
    group: str | None = None
    group_regex: str | None = None
    exclude: Any = None

    def __post_init__(self) -> None:
        for name in ("white", "black", "background", "validation"):  # users may write integers
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))
        validate_parameters("Reading", Reading, vars(self))
        if self.mask_folder:  # a run may be opened from another folder
            folder = os.path.abspath(os.path.expanduser(self.mask_folder))
            object.__setattr__(self, "missing", folder)
        black = self.black or 0.0
        if self.white is not None and self.white <= black:
            raise Error(
                f"--white is {self.white:g}; it must be above --black ({black:g}), since it is the"
                " value that means 1: for instance 4095 for a 12-bit camera."
            )
        if self.black is not None and self.white is None:
            raise Error("--black needs --white, the value that means 1; give both or neither.")
        if self.group and self.group_regex:
            raise Error("--group and --group-regex are both given; leave one of them out.")
        if self.marks_missing and self.stream:
            reason = "no padding (--aspect pad)" if self.missing is None else "no --missing pixels"
            raise Error(f"--stream reads {reason}; leave one of them out.")
        _ = self.tiling, self.label_kinds  # which raise an Error

    @property
    def label_kinds(self) -> dict[str, LabelKind]:
        """Kinds that the user chose, by column. Raises: Error if one is none."""
        kinds, text = {}, self.label_kind
        for pair in re.split("(?<==class),|(?<==number),", text) if text else ():
            column, _, kind = (part.strip() for part in pair.rpartition("="))
            if kind not in get_args(LabelKind) or not column:
                raise Error(f"--label-kind is '{text}'; give COLUMN=class,COLUMN=number.")
            kinds[column] = kind
        return kinds

    def encode_column(
        self, name: str, values: np.ndarray, names: Names
    ) -> tuple[np.ndarray, list[str] | None]:
        """Encode a column by the kind that the user chose, or that its values have.

        Raises: Error if a column of labels has the name of the mask of missing pixels.
        """
        if name == MASK_COLUMN and values.ndim == 1:
            raise Error(f"The labels have a column {name}, the name of a mask; rename it.")
        return encode_column(name, values, names, self.label_kinds.get(name))

    @classmethod
    def from_options(cls, options: Any) -> "Reading":
        """Take those of the options of a training that concern its images."""
        return cls(**{name: getattr(options, name) for name in READING_OPTIONS})

    @classmethod
    def from_metadata(cls, images: dict[str, Any], *, stream: bool = False) -> "Reading":
        """Read from the entry "images" of run.json."""
        values = {**images["preprocessing"], **images["split"], **images.get("reading", {})}
        names = [field.name for field in fields(cls) if field.name in values]
        return cls(**{name: values[name] for name in names}, stream=stream)

    def list_pixel_options(self) -> list[Any]:
        """List what pixels, columns and notes depend on, as they are read; for the cache."""
        later = (*SPLIT_FIELDS, "group", "group_regex", "exclude", "stream", "label_kind")
        return [(f.name, getattr(self, f.name)) for f in fields(self) if f.name not in later]

    def to_metadata(self, size: tuple[int, int], channels: int) -> dict[str, dict[str, Any]]:
        """Return the entries that `from_metadata` reads; those that are unset are left out."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        values.pop("stream")
        if self.aspect == DEFAULT_READING.aspect:
            values.pop("aspect")
        split = {name: values.pop(name) for name in SPLIT_FIELDS}
        pixels = {name: values.pop(name, None) for name in PIXEL_FIELDS}
        size_entry = {"size": list(size), "channels": channels}
        pixels = {**size_entry, **pixels, "filter": FILTERS[self.aspect]}
        return {"preprocessing": pixels, "split": split, "reading": values}


DEFAULT_READING = Reading()
# the options of a training that concern its images
READING_OPTIONS = tuple(field.name for field in fields(Reading) if field.name != "rules")
