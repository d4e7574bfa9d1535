"""Source of images as one array, in memory or returned by a function."""

import math
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.aspect import resize_planes
from latentia.data.decode import (
    DecodeError,
    Preprocessing,
    ValueRangeError,
    array_to_unit_range,
    convert_channels,
    find_allowed,
    scale_pixels,
)
from latentia.data.levels import Depth, format_value, make_range_error
from latentia.data.masks import MaskFolder
from latentia.data.reader import LabelColumns, LoadOptions, SourceInfo

CHANNEL_COUNTS = (1, 3, 4)  # sizes of a last dimension that are taken for channels
CHUNK_SIZE = 4096  # images at a time: float64 copies of all would be eight times the array
CHUNK_VALUES = 2**26  # or fewer images, if they are large
NO_LABELS = LabelColumns({}, {})


@dataclass
class ArrayReader:
    """Reader of arrays in memory: images (n, c, h, w) by split, and columns in row order."""

    source_name: str
    images_by_split: dict[str, np.ndarray] = field(default_factory=dict)
    labels: LabelColumns = NO_LABELS
    notes: list[str] = field(default_factory=list)

    def fingerprint(self) -> str | None:
        return None

    def read_info(self, options: LoadOptions) -> SourceInfo:
        arrays = self.images_by_split
        counts = {name: len(images) for name, images in arrays.items()}
        shapes = {images.shape[1:] for images in arrays.values()}
        channels = sorted({shape[0] for shape in shapes})
        if len(channels) > 1:
            counts = " and ".join(map(str, channels))
            raise Error(f"{self.source_name} holds images of {counts} channels; give one kind.")
        rows = [(name, row) for name, count in counts.items() for row in range(count)]
        return SourceInfo(
            sorted({shape[1:] for shape in shapes}),
            channels[0],
            max(Depth.from_dtype(images.dtype) for images in arrays.values()),
            [f"{name}/{row}" if len(counts) > 1 else str(row) for name, row in rows],
            counts,
            self.labels,
            self.notes,
        )

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        MaskFolder(preprocessing.mask_folder).refuse_masks(self.source_name)
        row, everything = 0, self.images_by_split.values()
        size = min(CHUNK_SIZE, CHUNK_VALUES // math.prod(out.shape[1:]) + 1)
        for images in everything:
            for start in range(0, len(images), size):
                chunk = images[start : start + size]
                chunk = scale_images(chunk, preprocessing, self.source_name, everything)
                chunk = fit_images(chunk, preprocessing, self.source_name)
                stop = row + len(chunk)
                out[row:stop] = chunk if out.dtype == np.uint8 else array_to_unit_range(chunk)
                row = stop


def looks_like_color(array: np.ndarray) -> bool:
    """Whether (h, w, 3) or (h, w, 4) is one colour image, not h grey ones, 3 or 4 pixels wide."""
    return array.ndim == 3 and array.shape[-1] in (3, 4) and min(array.shape[:2]) >= 8


def looks_last(array: np.ndarray) -> bool:
    """Whether (h, h, n) or (h, h, c, n) has the images last, as MATLAB writes them.

    Else the first would be h grey images of h x n, of extreme proportions.
    """
    height, width, *channels, n = array.shape
    if channels:
        return height == width >= 8 and channels[0] in CHANNEL_COUNTS and n > 4
    return height == width >= 8 and not 1 / 3 < n / height < 3


def to_nchw(array: Any, source_name: str) -> np.ndarray:
    """Convert an array or tensor of images to (n, c, h, w).

    (n, h, w) is grey. In four dimensions the channels are second, except where the last dimension
    is 1, 3 or 4, or the smallest, and the second is not 1, 3 or 4: then they are last.
    """
    array = to_numpy(array)
    shape = format_shape(array)
    if array.dtype.kind not in "buif":
        raise Error(
            f"{source_name} has dtype {array.dtype}; allowed are bool, integers and floats: give"
            " one number for each pixel and channel."
        )
    if array.ndim not in (3, 4):
        raise Error(f"{source_name} is {shape}; give (n, h, w), (n, c, h, w) or (n, h, w, c).")
    if array.size == 0:
        raise Error(f"{source_name} has shape {shape}, which is empty; give at least one image.")
    if looks_like_color(array):
        raise Error(
            f"{source_name} has shape {shape}: one colour image, or grey images of width"
            f" {array.shape[-1]}; write array[None] for the first, array[:, None] for the second."
        )
    if looks_last(array):
        other = ", or array[:, None] if the first one does" if array.ndim == 3 else ""
        raise Error(
            f"{source_name} has shape {shape}, whose last dimension seems to count the images; give"
            f" np.moveaxis(array, -1, 0){other}."
        )
    if array.ndim == 3:
        return array[:, None]
    is_last = array.shape[3] in CHANNEL_COUNTS or array.shape[3] < min(array.shape[1:3])
    if is_last and array.shape[1] not in CHANNEL_COUNTS:
        return array.transpose(0, 3, 1, 2)
    return array


def to_numpy(array: Any) -> np.ndarray:
    import torch

    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().to_dense()
        return (array.float() if array.dtype == torch.bfloat16 else array).numpy()
    if np.ma.is_masked(array):
        raise Error("The array has masked values; give numbers, for instance array.filled(0).")
    return np.asarray(array)


def format_shape(array: np.ndarray) -> str:
    return "x".join(map(str, array.shape)) or "()"


def scale_images(
    images: np.ndarray, preprocessing: Preprocessing, source_name: str, others: Any = ()
) -> np.ndarray:
    """Scale as `decode.scale_pixels`. others: images whose values an error has to state too."""
    dtype, white = images.dtype.newbyteorder("="), preprocessing.white
    if dtype.kind == "f" and not (allowed := find_allowed(images, preprocessing)).all():
        raise Error(
            f"{source_name} holds NaN or infinity in {pluralize(int((~allowed).sum()), 'value')};"
            " allowed are finite numbers in [0, 1]: correct them, leave those images out, or give"
            " --missing nan if NaN stands for missing pixels."
        )
    reason = f"{dtype} has no white of its own"
    try:
        if white is not None or dtype.kind in "bf" or dtype in (np.uint8, np.uint16):
            return scale_pixels(images, preprocessing)
    except ValueRangeError as error:
        rows = [row for row, image in enumerate(chain(*others)) if error.concerns(image)]
        first = f", and image {rows[0]} is the first outside" if rows else ""
        reason = f"allowed are {error.allowed}{first}"
    # fmin and fmax pass over NaN, and copy nothing
    low = min(np.fmin.reduce(array, axis=None) for array in (images, *others))
    high = max(np.fmax.reduce(array, axis=None) for array in (images, *others))
    text = f"{source_name} holds {dtype} from {format_value(low)} to {format_value(high)}; {reason}"
    raise make_range_error(text, [low, high], white, preprocessing.black)


def fit_images(images: np.ndarray, preprocessing: Preprocessing, source_name: str) -> np.ndarray:
    """Resize (n, c, h, w) and convert its channels: grey is repeated, colour becomes its luma."""
    try:
        images = convert_channels(images, preprocessing.channels)
    except DecodeError as error:
        raise Error(
            f"{source_name} has images of {error}; only 1 channel (to any number) and 3 channels"
            " (to 1) can be converted: leave the channels as they are, or convert the images."
        ) from None
    if images.shape[2:] == (preprocessing.height, preprocessing.width):
        return images
    size, aspect = preprocessing.size, preprocessing.aspect
    return np.stack([resize_planes(np.ascontiguousarray(x), size, aspect) for x in images])
