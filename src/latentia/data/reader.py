"""The protocol of a source's reader, and the records that it takes and returns."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN
from latentia.core.text import abbreviate_list, pluralize
from latentia.data.decode import Preprocessing
from latentia.data.reading import PageOptions, Reading

Size = tuple[int, int]  # height, width
MAX_SIDE = 2**15  # pixels
NONE_MISSING = {
    "alpha": "no pixel is more than half transparent",
    "nan": "no value is NaN",
}
Columns = dict[str, np.ndarray]  # one row an image
Classes = dict[str, list[str] | None]  # class names by column; None: numbers or images


class LoadOptions(NamedTuple):
    """The user's choice of size and channels (None: as the images are), and of reading."""

    size: Size | None
    channels: int | None
    reading: Reading

    def make_preprocessing(self, size: Size, channels: int) -> Preprocessing:
        """Complete the options by a size and a number of channels."""
        chosen = self.reading
        levels = chosen.white, chosen.background, chosen.black
        pages = {field.name: getattr(chosen, field.name) for field in fields(PageOptions)}
        return Preprocessing(*size, channels, *levels, **pages)


class LabelColumns(NamedTuple):
    """Columns that a source has beside its images, one row an image."""

    columns: Columns
    classes: Classes
    free_text: Sequence[str] = ()  # columns of which nearly every value is different
    unused: Sequence[str] = ()  # lists and other objects, or without any value


class SourceInfo(NamedTuple):
    """Contents of a source that are known before its pixels are read."""

    sizes: list[Size]
    channels: int
    depth: int  # a `Depth`, the greatest of all images
    keys: list[str]  # one an image, in row order
    split_counts: dict[str, int]  # the source's own splits, in row order
    labels: LabelColumns
    notes: list[str]  # messages to the user, without the source's name
    unreadable: Sequence[tuple[str, str]] = ()  # key and reason of each image that is left out
    empty_tiles: int = 0  # that are left out
    odd_sizes: str = ""  # the images that have another size than nearly all

    def resolve_preprocessing(self, options: LoadOptions, source_name: str) -> Preprocessing:
        """Complete the options by the size and channels of the images themselves."""
        if options.size is None and len(self.sizes) > 1:
            listing = abbreviate_list([f"{h}x{w}" for h, w in sorted(self.sizes)], 6)
            raise Error(
                f"{source_name} holds images of {len(self.sizes)} sizes ({listing})"
                f"{self.odd_sizes}; give one with --size 64 or --size 64x48."
            )
        size, channels = options.size or self.sizes[0], options.channels or self.channels
        return options.make_preprocessing(size, channels)

    def with_mask(self, mask: np.ndarray) -> "SourceInfo":
        """Add the column that marks observed pixels, (n, 1, h, w).

        Raises: Error if there is another column of this name
        """
        if MASK_COLUMN in self.labels.columns:
            raise Error(f"The labels have a column {MASK_COLUMN}, the name of a mask; rename it.")
        labels = self.labels._replace(
            columns={**self.labels.columns, MASK_COLUMN: mask},
            classes={**self.labels.classes, MASK_COLUMN: None},
        )
        return self._replace(labels=labels)

    def choose_dtype(self, preprocessing: Preprocessing) -> np.dtype:
        p = preprocessing
        return np.dtype("f4" if self.depth or p.rescales_8_bits or p.marks_missing else "u1")

    def collect_notes(self, preprocessing: Preprocessing) -> list[str]:
        """Add what is not used, and images whose aspect ratio changes by more than 5 %."""
        notes = [*self.notes]
        if self.labels.unused:
            notes.append(f"not used as labels: {abbreviate_list(self.labels.unused)}.")
        if preprocessing.missing:
            mask = self.labels.columns[MASK_COLUMN]
            n_empty = int((mask == 0).all((1, 2, 3)).sum())
            empty = f", and all of {pluralize(n_empty, 'image')}" if n_empty else ""
            text = f"{np.mean(mask == 0):.2%} of the pixels are missing{empty}"
            if mask.all():
                reason = NONE_MISSING.get(preprocessing.missing, "all masks are white")
                text = f"no pixel is missing, since {reason}"
            notes.append(f"{text} (--missing).")
        if sizes := find_stretched_sizes(self.sizes, preprocessing):
            height, width = preprocessing.height, preprocessing.width
            listing = abbreviate_list([f"{h}x{w}" for h, w in sizes], 3) + " sizes" * (
                len(sizes) > 3
            )
            notes.append(
                f"images of {listing} are stretched to {height}x{width}; --aspect crop reads the"
                " central part of each in these proportions, --aspect pad all of it."
            )
        return notes


def find_stretched_sizes(sizes: Iterable[Size], preprocessing: Preprocessing) -> list[Size]:
    """Return the sizes whose proportions change by more than 5 %."""
    if preprocessing.aspect != "stretch":
        return []
    ratio = preprocessing.height / preprocessing.width
    return sorted({(h, w) for h, w in sizes if not 0.95 < ratio * w / h < 1.05})


@runtime_checkable
class Reader(Protocol):
    """Read one kind of source."""

    source_name: str  # the name in messages

    def fingerprint(self) -> str | None:
        """Return a text that changes when the images do. None: in memory, not cached."""
        ...

    def read_info(self, options: LoadOptions) -> SourceInfo: ...

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        """Write every image into `out` (n, c, h, w), after `read_info`."""
        ...


def parse_size(size: Any) -> Size | None:
    """Return (height, width) for 64, "64", "64x48" or (64, 48)."""
    if size is None:
        return None
    text = "x".join(map(str, size)) if isinstance(size, list | tuple) else str(size).lower()
    match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", text)
    sides = [int(side) for side in match.groups(default=match[1])] if match else [0]
    if not 1 <= min(sides) <= max(sides) <= MAX_SIDE:
        raise Error(
            f"size {size!r} is not a size; give a side such as 64, or height x width such as 64x48,"
            f" at most {MAX_SIDE:,}."
        )
    return sides[0], sides[1]
