"""Sizes of images of other proportions than the requested: stretched, cropped or padded."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


def resize_image(image: "Image", size: tuple[int, int], aspect: str) -> "Image":
    """Resize to a size (width, height): all of the image, or its central part ("crop").

    With "pad" the result keeps the proportions, and one side may be smaller than requested.
    """
    from PIL.Image import Resampling

    box, scales = None, (image.width / size[0], image.height / size[1])
    if aspect == "pad":
        width, height = (round(side / max(scales)) for side in image.size)
        size = max(1, width), max(1, height)
    elif aspect == "crop" and image.width * size[1] != image.height * size[0]:
        unused = (old - min(scales) * new for old, new in zip(image.size, size, strict=True))
        x, y = (max(0.0, side / 2) for side in unused)
        box = (x, y, image.width - x, image.height - y)
    return image.resize(size, Resampling.BICUBIC, box)


def resize_planes(planes: np.ndarray, size: tuple[int, int], aspect: str) -> np.ndarray:
    """Resize (c, h, w), uint8 or float32, plane by plane to a size (width, height).

    Where pixels are NaN, the others under a new pixel are averaged; it is NaN if these have less
    than half of its weight.
    """
    from PIL.Image import fromarray

    if planes.shape[1:] == size[::-1]:
        return planes

    def resize(stack: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(resize_image(fromarray(x), size, aspect)) for x in stack])

    if np.isnan(planes).any():
        observed = (~np.isnan(planes)).astype(np.float32)
        weight, total = resize(observed), resize(np.nan_to_num(planes))
        stack = np.where(weight < 0.5, np.float32(np.nan), total / np.maximum(weight, 0.5))
    else:
        stack = resize(planes)
    stack = stack if stack.dtype == np.uint8 else stack.clip(0, 1)  # bicubic overshoots
    return pad_planes(stack, size[1], size[0])


def pad_planes(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Lay planes (c, h, w) in the middle of NaN, which stands for missing pixels."""
    if planes.shape[1:] == (height, width):
        return planes
    if planes.dtype == np.uint8:
        planes = planes / np.float32(255)
    padded = np.full((len(planes), height, width), np.nan, np.float32)
    top, left = (
        (new - old) // 2 for new, old in zip((height, width), planes.shape[1:], strict=True)
    )
    padded[:, top : top + planes.shape[1], left : left + planes.shape[2]] = planes
    return padded
