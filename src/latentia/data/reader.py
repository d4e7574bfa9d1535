"""What every kind of source answers: who it is, what it holds, and its pixels."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.decode import Preprocessing

Size = tuple[int, int]  # height, width


class LoadOptions(NamedTuple):
    """What the user asked of the pixels; None: as the images are."""

    size: Size | None
    channels: int | None
    white: float | None
    background: float


class SourceInfo(NamedTuple):
    """What a source holds, before its pixels are read."""

    sizes: list[Size]
    channels: int
    high_bit_depth: bool  # float32 rather than uint8
    keys: list[str]  # one an image, in row order
    split_counts: dict[str, int]  # the source's own splits, in row order
    columns: dict[str, np.ndarray]
    classes: dict[str, list[str] | None]
    notes: list[str]  # what a user should hear


@runtime_checkable
class Reader(Protocol):
    source_name: str  # how an error calls the source

    def fingerprint(self) -> str | None:
        """What makes these images these; None: in memory, not to be cached."""
        ...

    def read_info(self, options: LoadOptions) -> SourceInfo: ...

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        """Writes every image into `out` (n, c, h, w); `survey` was called before."""
        ...


def parse_size(size: Any) -> Size | None:
    """64, "64", "64x48", (64, 48): height x width."""
    if size is None:
        return None
    sides = size.lower().split("x") if isinstance(size, str) else size
    sides = list(sides) if isinstance(sides, list | tuple) else [sides]
    try:
        integers = [int(side) for side in sides]
        is_exact = all(float(side) == number for side, number in zip(sides, integers, strict=True))
    except (TypeError, ValueError):
        integers, is_exact = [], False
    if not is_exact or len(integers) not in (1, 2) or min(integers) < 1:
        raise Error(
            f"size {size!r} is not a size; give a side such as 64, or height x width such as 64x48."
        )
    return integers[0], integers[-1]


def describe_stretching(
    sizes: list[Size], preprocessing: Preprocessing, source_name: str
) -> list[str]:
    """A note, where images lose their proportions by more than a twentieth."""
    aspect_ratio = preprocessing.width / preprocessing.height
    stretched_sizes = sorted({(h, w) for h, w in sizes if not 0.95 < w / h / aspect_ratio < 1.05})
    if not stretched_sizes:
        return []
    examples = ", ".join(f"{height}x{width}" for height, width in stretched_sizes[:3])
    remainder = (
        f" and {pluralize(len(stretched_sizes) - 3, 'size')} more"
        if len(stretched_sizes) > 3
        else ""
    )
    target = f"{preprocessing.height}x{preprocessing.width}"
    return [
        f"{source_name}: images of {examples}{remainder} are stretched to {target}; give --size HEIGHTxWIDTH of "
        "their proportions, or cut them beforehand."
    ]


def resolve_preprocessing(
    options: LoadOptions, info: SourceInfo, source_name: str
) -> Preprocessing:
    if options.size is None and len(info.sizes) > 1:
        sizes = sorted(info.sizes)
        examples = ", ".join(f"{height}x{width}" for height, width in sizes[:6])
        remainder = f", and {len(sizes) - 6} more" if len(sizes) > 6 else ""
        raise Error(
            f"{source_name} holds images of {len(sizes)} sizes ({examples}{remainder}); give one with"
            " --size 64 or --size 64x48."
        )
    height, width = options.size or info.sizes[0]
    channels = options.channels or info.channels
    return Preprocessing(height, width, channels, options.white, options.background)
