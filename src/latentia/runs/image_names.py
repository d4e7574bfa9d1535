"""Find an image of a run by file, key or number."""

from pathlib import Path
from typing import Any

from torch import Tensor

from latentia.core.errors import Error
from latentia.data import Images
from latentia.data.splits import find_row
from latentia.runs.folder import RunFolder


def resolve_image(
    run: RunFolder, name: str, split: str | None, data: Any
) -> tuple[str | None, Tensor]:
    """The key, if it has one, and the image (1, c, h, w) that a user means: a file; a number, which
    counts in the split or, where none is named, among all; or a key, as `encode` writes it.

    Raises: Error if it is not there, or cannot be read.
    """
    numbered = name.isdecimal()
    if not numbered and Path(name).expanduser().is_file():
        return None, Images.described(run.metadata["images"]).preprocess([name])[:1]
    try:
        part = run.split(split if split and numbered else "all", data)
    except Error as why:
        if numbered:
            raise
        raise Error(
            f"There is no file {name}, nor can images of such a key be read: {why}"
        ) from None
    row = find_row(name, part)
    return part.keys[row], part.batch(slice(row, row + 1)).image


def caption_image(name: str, split: str | None) -> str:
    """In captions: a number says what it counts in, if that is not all images."""
    within = f" of {split}" if split not in (None, "all") and name.isdecimal() else ""
    return f"image {name}{within}"
