"""New images, by the preprocessing of those that a run was trained on."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.text import counted
from latentia.data import decode
from latentia.data.decode import Preprocessing, Unreadable
from latentia.data.image_files import some
from latentia.data.sources.arrays import fitted, looks_coloured, numpy, planar, scaled


def incoming(images: Any, prep: Preprocessing) -> Float[Tensor, "n c h w"]:
    """Paths, Pillow images and arrays: one, a sequence in which each is one, an array of many."""
    if isinstance(images, str | Path) or is_picture(images) or is_array(images):
        images = several(images) if is_array(images) else [images]
    elif not isinstance(images, Iterable):
        raise Error(
            f"{images!r} is no image; give a path, a Pillow image, an array, or a list of them."
        )
    bad: list[str] = []
    found: list[np.ndarray] = []
    for image in images:
        try:
            found += [unit(each) for each in one(image, prep)]
        except Unreadable as why:
            bad.append(f"{image} ({why})")
    if bad:
        raise Error(
            f"{counted(len(bad), 'image')} cannot be read: {some(bad)}. Give others, or mend them."
        )
    if not found:
        raise Error("no images were given; give at least one path, Pillow image or array.")
    return torch.from_numpy(np.stack(found))


def one(image: Any, prep: Preprocessing) -> Iterator[np.ndarray]:
    if is_array(image):
        batch = planar(numpy(image)[None], "the array")
        yield from fitted(scaled(batch, prep.white, "the array"), prep, "the array")
    elif is_picture(image):
        with decode.legible():
            yield decode.pixels(image, prep)
    else:
        path = Path(image).expanduser()
        yield from decode.read(path, prep, path.suffix.lower())


def several(array: Any) -> list[Any]:
    """An array of many images as a list of each; one image, (h, w) or (h, w, 3), as it is."""
    array = numpy(array)
    return [array] if array.ndim == 2 or looks_coloured(array) else list(planar(array, "the array"))


def unit(array: np.ndarray) -> np.ndarray:
    return array / np.float32(255) if array.dtype == np.uint8 else array


def is_array(image: Any) -> bool:
    return isinstance(image, np.ndarray | Tensor)


def is_picture(image: Any) -> bool:
    """Told by its name: an array should not cost the import of Pillow."""
    return any(kind.__module__ == "PIL.Image" for kind in type(image).__mro__)
