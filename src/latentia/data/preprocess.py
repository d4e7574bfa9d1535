"""Preprocessing of new images, the same as that of the images a run was trained on."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import Batch
from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN
from latentia.core.text import abbreviate_list, pluralize
from latentia.data import decode
from latentia.data.decode import DecodeError, Preprocessing
from latentia.data.masks import MaskFolder, find_observed, split_mask
from latentia.data.pages import catch_decode_errors, is_pillow_image
from latentia.data.read_files import decode_tiles, read_headers, read_images
from latentia.data.sources import arrays
from latentia.data.tiles import cut_tiles


def preprocess_images(images: Any, preprocessing: Preprocessing) -> Float[Tensor, "n c h w"]:
    """Read paths, Pillow images and arrays: a single one, a sequence, or an array of many.

    Missing pixels are NaN.
    """
    if isinstance(images, str | Path) or is_pillow_image(images) or is_array(images):
        images = split_array(images) if is_array(images) else [images]
    elif not isinstance(images, Iterable):
        raise Error(f"{images!r} is no image; give a path, a Pillow image, an array, or a list.")
    failures: list[str] = []
    pixels: list[np.ndarray] = []
    masks = MaskFolder(preprocessing.mask_folder)
    for image in images:
        try:
            parts = preprocess_image(image, preprocessing, masks=masks)
            pixels += map(decode.array_to_unit_range, parts)
        except DecodeError as error:
            failures.append(f"{'the array' if is_array(image) else image} ({error})")
    if failures:
        count = pluralize(len(failures), "image")
        them = "it" if len(failures) == 1 else "them"
        raise Error(f"{count} cannot be read: {abbreviate_list(failures)}; repair or omit {them}.")
    if not pixels:
        raise Error("no images were given; give at least one path, Pillow image or array.")
    return torch.from_numpy(np.stack(pixels))


def read_batch(images: Any, preprocessing: Preprocessing) -> Batch:
    """Read images as `preprocess_images`, with the mask of their pixels if some may be missing."""
    return make_batch(preprocess_images(images, preprocessing), preprocessing)


def make_batch(pixels: Float[Tensor, "n c h w"], preprocessing: Preprocessing) -> Batch:
    """Replace NaN, which stands for missing pixels, in place; the mask becomes a column."""
    columns = {}
    if preprocessing.marks_missing:
        mask = split_mask(pixels.numpy(), preprocessing.background)
        columns[MASK_COLUMN] = torch.from_numpy(mask) / 255
    return Batch(pixels, columns)


def read_mask(mask: Any, preprocessing: Preprocessing) -> Float[Tensor, "1 1 h w"]:
    """Read a mask at the size of the images: 1 where pixels are observed, else 0.

    Raises: Error if it cannot be read, or is several
    """
    options = replace(preprocessing, channels=1, white=None, black=None, background=0.0)
    values = preprocess_images(mask, replace(options, missing=None, tiles=None))
    if len(values) > 1:
        raise Error(f"The mask is {len(values)} images; give one, which is that of all images.")
    return find_observed(values.nan_to_num()).float()


def read_first_page(file: str, preprocessing: Preprocessing) -> Batch:
    """Read the first image of a file, (1, c, h, w). Raises: Error if it is several tiles."""
    image, columns = read_batch([file], preprocessing)
    if preprocessing.tiles and len(image) > 1:
        raise Error(
            f"{file} is {len(image)} tiles (--tiles {preprocessing.tiles}); give it as --data, and"
            f" one of them by its key, such as {Path(file).name}#0,0."
        )
    return Batch(image[:1], {name: each[:1] for name, each in columns.items()})


def read_whole(file: Path, preprocessing: Preprocessing) -> np.ndarray:
    """Read the first image of a file in its own size, (c, h, w) in [0, 1], though it has tiles.

    Missing pixels have the value of the background.
    """
    whole = replace(preprocessing, tiles=None, aspect="stretch")
    try:
        header = read_headers(file, whole)[0]
        whole = replace(whole, height=header.height, width=header.width)
        masks = MaskFolder(whole.mask_folder)
        image = decode.array_to_unit_range(next(preprocess_image(file, whole, masks=masks)))
    except DecodeError as error:
        raise Error(f"{file} cannot be read ({error}); give another image.") from None
    return np.nan_to_num(image, nan=preprocessing.background)


def preprocess_image(
    image: Any,
    preprocessing: Preprocessing,
    label: str = "the array",
    masks: MaskFolder | None = None,
) -> Iterator[np.ndarray]:
    if is_array(image):
        batch = arrays.to_nchw(arrays.to_numpy(image)[None], label)
        batch = arrays.scale_images(batch, preprocessing, label)
        if preprocessing.tiling:
            batch = np.stack([*cut_tiles(batch[0], preprocessing.tiling)])
        yield from arrays.fit_images(batch, preprocessing, label)
    elif is_pillow_image(image):
        with catch_decode_errors():
            yield from decode_tiles(image, preprocessing)
    else:
        path = Path(image).expanduser()
        options = masks.add_to(preprocessing, str(path), path) if masks else preprocessing
        yield from read_images(path, options)


def split_array(array: Any) -> list[Any]:
    """List the images of an array. (h, w) and (h, w, 3) are one image."""
    array = arrays.to_numpy(array)
    is_single = array.ndim == 2 or arrays.looks_like_color(array)
    return [array] if is_single else list(arrays.to_nchw(array, "the array"))


def is_array(image: Any) -> bool:
    return isinstance(image, np.ndarray | Tensor)
