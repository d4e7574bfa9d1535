"""Read images for a run: new ones, or its own by file, key or row number."""

from collections.abc import Iterable
from itertools import chain
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentia.core.contract import Batch
from latentia.core.errors import Error
from latentia.data.pages import is_pillow_image
from latentia.data.preprocess import is_array, read_batch, read_first_page
from latentia.data.splits import find_row, load_image
from latentia.runs.folder import RunFolder


class NamedImages(NamedTuple):
    """Images (n, c, h, w) in [0, 1] as the user names them; key: None for a new image.

    columns: their labels, if all have them.
    """

    names: list[str]
    keys: list[str | None]
    pixels: Tensor
    columns: dict[str, Tensor]


def read_images(
    run: RunFolder, images: Any, split_name: str | None = None, data: Any = None
) -> NamedImages:
    """Read one image or several as those of the training were read.

    images: a file, a key as `encode` writes it, a row number in the split, an array, a tensor or a
    Pillow image, or a list of these. data: the run's images, if they are open or have moved.

    Raises: Error if there is no such image, or it cannot be read.
    """
    is_single = isinstance(images, str | Path) or is_array(images) or is_pillow_image(images)
    images = () if images is None else images
    parts, count = [], 0
    for image in images if isinstance(images, Iterable) and not is_single else [images]:
        if isinstance(image, str | Path | Integral):
            key, (pixels, labels) = resolve_image(run, str(image), split_name, data)
            parts.append(NamedImages([str(image)], [key], pixels, labels))
        else:
            pixels, labels = read_batch(image, run.stored_images.preprocessing)
            names = [str(count + k) for k in range(len(pixels))]
            parts.append(NamedImages(names, [None] * len(names), pixels, labels))
        count += len(pixels)
    if not parts:
        raise Error("No image was given; give at least one file, key, row number or array.")
    return join_images(parts)


def join_images(parts: Iterable[NamedImages]) -> NamedImages:
    """Return all images in one, with the labels that all have."""
    names, keys, pixels, columns = zip(*parts, strict=True)
    common = set.intersection(*map(set, columns))
    labels = {name: torch.cat([each[name] for each in columns]) for name in common}
    return NamedImages([*chain(*names)], [*chain(*keys)], torch.cat(pixels), labels)


def require_single(pixels: Tensor) -> None:
    """Raises: Error if these are several images."""
    if len(pixels) > 1:
        raise Error(f"{len(pixels)} images were given; give one, such as images[:1].")


def resolve_image(
    run: RunFolder, name: str, split_name: str | None, data: Any
) -> tuple[str | None, Batch]:
    """Return the key (None for a file), and the pixels (1, c, h, w) and labels of an image.

    name: a file, a key as `encode` writes it, or a row number in the split (without one, in all).

    Raises: Error if there is no such image, or it cannot be read.
    """
    is_number = name.isdecimal()
    if not is_number and (file := Path(name).expanduser()).is_file():
        return None, read_first_page(str(file), run.stored_images.preprocessing)
    try:
        images = run.split(split_name if split_name and is_number else "all", data)
    except Error as error:
        if is_number:
            raise
        raise Error(f"There is no file {name}, nor an image of this key: {error}") from None
    return images.keys[find_row(name, images)], load_image(name, images)


def caption_image(name: str, split_name: str | None) -> str:
    """Caption an image; a row number names its split."""
    suffix = f" of {split_name}" if split_name not in (None, "all") and name.isdecimal() else ""
    return f"image {name}{suffix}"
