"""What every kind of source answers: who it is, what it holds, and its pixels."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import counted
from latentia.data.decode import Preprocessing

Size = tuple[int, int]  # height, width


class Wanted(NamedTuple):
    """What the user asked of the pixels; None: as the images are."""

    size: Size | None
    channels: int | None
    white: float | None
    background: float


class Survey(NamedTuple):
    """What a source holds, before its pixels are read."""

    sizes: list[Size]
    channels: int
    deep: bool  # float32 rather than uint8
    keys: list[str]  # one an image, in row order
    parts: dict[str, int]  # the source's own splits, in row order
    columns: dict[str, np.ndarray]
    classes: dict[str, list[str] | None]
    notes: list[str]  # what a user should hear


@runtime_checkable
class Reader(Protocol):
    label: str  # how an error calls the source

    def identity(self) -> str | None:
        """What makes these images these; None: in memory, not to be cached."""
        ...

    def survey(self, wanted: Wanted) -> Survey: ...

    def fill(self, out: np.ndarray, prep: Preprocessing) -> None:
        """Writes every image into `out` (n, c, h, w); `survey` was called before."""
        ...


def parsed_size(size: Any) -> Size | None:
    """64, "64", "64x48", (64, 48): height x width."""
    if size is None:
        return None
    sides = size.lower().split("x") if isinstance(size, str) else size
    sides = list(sides) if isinstance(sides, list | tuple) else [sides]
    try:
        whole = [int(side) for side in sides]
        exact = all(float(side) == number for side, number in zip(sides, whole, strict=True))
    except (TypeError, ValueError):
        whole, exact = [], False
    if not exact or len(whole) not in (1, 2) or min(whole) < 1:
        raise Error(
            f"size {size!r} is not a size; give a side such as 64, or height x width such as 64x48."
        )
    return whole[0], whole[-1]


def stretched(sizes: list[Size], prep: Preprocessing, label: str) -> list[str]:
    """A note, where images lose their proportions by more than a twentieth."""
    shape = prep.width / prep.height
    bent = sorted({(h, w) for h, w in sizes if not 0.95 < w / h / shape < 1.05})
    if not bent:
        return []
    shown = ", ".join(f"{height}x{width}" for height, width in bent[:3])
    more = f" and {counted(len(bent) - 3, 'size')} more" if len(bent) > 3 else ""
    target = f"{prep.height}x{prep.width}"
    return [
        f"{label}: images of {shown}{more} are stretched to {target}; give --size HEIGHTxWIDTH of "
        "their proportions, or cut them beforehand."
    ]


def resolved(wanted: Wanted, survey: Survey, label: str) -> Preprocessing:
    if wanted.size is None and len(survey.sizes) > 1:
        sizes = sorted(survey.sizes)
        shown = ", ".join(f"{height}x{width}" for height, width in sizes[:6])
        more = f", and {len(sizes) - 6} more" if len(sizes) > 6 else ""
        raise Error(
            f"{label} holds images of {len(sizes)} sizes ({shown}{more}); give one with"
            " --size 64 or --size 64x48."
        )
    height, width = wanted.size or survey.sizes[0]
    channels = wanted.channels or survey.channels
    return Preprocessing(height, width, channels, wanted.white, wanted.background)
