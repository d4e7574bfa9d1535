"""New images, by the preprocessing of those that a run was trained on."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data import decode
from latentia.data.decode import DecodeError, Preprocessing
from latentia.data.image_files import abbreviate_list
from latentia.data.sources.arrays import (
    fit_images,
    looks_like_color,
    scale_images,
    to_nchw,
    to_numpy,
)


def preprocess_images(images: Any, preprocessing: Preprocessing) -> Float[Tensor, "n c h w"]:
    """Paths, Pillow images and arrays: one, a sequence in which each is one, an array of many."""
    if isinstance(images, str | Path) or is_pillow_image(images) or is_array(images):
        images = to_image_list(images) if is_array(images) else [images]
    elif not isinstance(images, Iterable):
        raise Error(
            f"{images!r} is no image; give a path, a Pillow image, an array, or a list of them."
        )
    failures: list[str] = []
    arrays: list[np.ndarray] = []
    for image in images:
        try:
            arrays += [array_to_unit_range(array) for array in preprocess_one(image, preprocessing)]
        except DecodeError as error:
            failures.append(f"{image} ({error})")
    if failures:
        raise Error(
            f"{pluralize(len(failures), 'image')} cannot be read: {abbreviate_list(failures)}. Give others, or mend them."
        )
    if not arrays:
        raise Error("no images were given; give at least one path, Pillow image or array.")
    return torch.from_numpy(np.stack(arrays))


def preprocess_one(image: Any, preprocessing: Preprocessing) -> Iterator[np.ndarray]:
    if is_array(image):
        batch = to_nchw(to_numpy(image)[None], "the array")
        yield from fit_images(
            scale_images(batch, preprocessing.white, "the array"), preprocessing, "the array"
        )
    elif is_pillow_image(image):
        with decode.catch_decode_errors():
            yield decode.decode_pixels(image, preprocessing)
    else:
        path = Path(image).expanduser()
        yield from decode.read_images(path, preprocessing, path.suffix.lower())


def to_image_list(array: Any) -> list[Any]:
    """An array of many images as a list of each; one image, (h, w) or (h, w, 3), as it is."""
    array = to_numpy(array)
    return (
        [array] if array.ndim == 2 or looks_like_color(array) else list(to_nchw(array, "the array"))
    )


def array_to_unit_range(array: np.ndarray) -> np.ndarray:
    return array / np.float32(255) if array.dtype == np.uint8 else array


def is_array(image: Any) -> bool:
    return isinstance(image, np.ndarray | Tensor)


def is_pillow_image(image: Any) -> bool:
    """Told by its name: an array should not cost the import of Pillow."""
    return any(base_class.__module__ == "PIL.Image" for base_class in type(image).__mro__)
