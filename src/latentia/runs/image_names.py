"""Find an image of a run by file, key or row number, and caption it."""

from pathlib import Path
from typing import Any

from torch import Tensor

from latentia.core.errors import Error
from latentia.data import Images
from latentia.data.splits import find_row
from latentia.runs.folder import RunFolder


def resolve_image(
    run: RunFolder, name: str, split_name: str | None, data: Any
) -> tuple[str | None, Tensor]:
    """Return the key (None for a file) and the pixels (1, c, h, w) of an image.

    name: a file, a key as `encode` writes it, or a row number in the split (without one, in all).

    Raises: Error if there is no such image, or it cannot be read.
    """
    is_number = name.isdecimal()
    if not is_number and Path(name).expanduser().is_file():
        return None, Images.from_metadata(run.metadata["images"]).preprocess([name])[:1]
    try:
        images = run.split(split_name if split_name and is_number else "all", data)
    except Error as error:
        if is_number:
            raise
        raise Error(
            f"There is no file {name}, nor can images of such a key be read: {error}"
        ) from None
    row = find_row(name, images)
    return images.keys[row], images.get_batch(slice(row, row + 1)).image


def caption_image(name: str, split_name: str | None) -> str:
    """Caption an image; a row number names its split."""
    suffix = f" of {split_name}" if split_name not in (None, "all") and name.isdecimal() else ""
    return f"image {name}{suffix}"
