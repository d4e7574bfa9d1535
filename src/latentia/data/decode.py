"""Decoding of pages of image files to arrays."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from latentia.core.text import pluralize
from latentia.data.aspect import pad_planes, resize_image, resize_planes
from latentia.data.headers import ImageHeader, is_truncated_to_8_bits
from latentia.data.levels import Depth, Levels, find_full_scale, format_value
from latentia.data.pages import (
    ORIENTATION_TAG,
    UNASSOCIATED,
    DecodeError,
    find_16_bit_colour,
    find_opacity,
    is_pillow_image,
    load_pixels,
    open_bytes_of_colour,
    read_samples,
)
from latentia.data.reading import PageOptions

if TYPE_CHECKING:
    from PIL.Image import Image

    from latentia.data.pages import Page
ROUNDING_TOLERANCE = 1e-6  # float rounding allowed beyond [0, 1]
NOT_FINITE = "NaN or infinity among its values"
LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's


class ValueRangeError(DecodeError):
    """Values outside the range from black to white."""

    def __init__(self, low: Any, high: Any, black: float, white: float):
        self.values, self.black, self.white = [low, high], black, white
        self.allowed = f"{format_value(black)} to {format_value(white)}"
        values = " to ".join(map(format_value, self.values))
        super().__init__(f"values from {values}, allowed {self.allowed}")

    def concerns(self, image: np.ndarray) -> bool:
        return bool(image.min() < self.black or image.max() > self.white)


@dataclass(frozen=True)
class Preprocessing(PageOptions):
    """Map from any image to (channels, height, width) in [0, 1].

    The resize is Pillow's bicubic to exactly this size. It stretches the image or, with the aspect
    "crop", takes its central part of the requested proportions; with "pad" it fits the image into
    this size, and the pixels around it are NaN.
    """

    height: int
    width: int
    channels: int
    white: float | None
    background: float
    black: float | None = None
    levels: Levels | None = field(default=None, compare=False)  # collects the greatest values
    observed: np.ndarray | None = field(default=None, compare=False)  # mask (h, w) of the image

    @property
    def rescales_8_bits(self) -> bool:
        """Whether the stated range holds for 8 bits too. A white above 255 is for more bits."""
        return self.white is not None and (bool(self.black) or self.white < 255)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), the order of Pillow."""
        return self.width, self.height


def load_image(image: "Image", header: ImageHeader | None = None) -> "Image":
    """Decode, and rotate as EXIF says."""
    from PIL import ImageOps

    load_pixels(image)
    if image.getexif().get(ORIENTATION_TAG, 1) != 1:  # else exif_transpose would copy the image
        image = ImageOps.exif_transpose(image)
    if header and image.size != (header.width, header.height):
        raise DecodeError("its EXIF orientation stands after its pixels; save it anew")
    return image


def image_to_planes(image: "Image") -> np.ndarray:
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def read_planes(page: "Page", header: ImageHeader | None = None) -> np.ndarray:
    """Decode all samples (c, h, w) as they are stored."""
    if not is_pillow_image(page):
        return read_samples(page)
    if not find_16_bit_colour(page):
        return image_to_planes(load_image(page, header))
    parts = (image_to_planes(load_image(part, header)) for part in open_bytes_of_colour(page))
    upper, lower = (part.astype(np.uint16) for part in parts)
    return upper << 8 | lower


def decode_pixels(
    page: "Page", preprocessing: Preprocessing, header: ImageHeader | None = None
) -> np.ndarray:
    """Decode to (c, h, w): uint8, or float32 in [0, 1] if the file has more than 8 bits."""
    channels = preprocessing.channels
    if is_pillow_image(page) and channels not in (1, 3):
        raise DecodeError(f"an image in grey or colour, but {channels} channels were requested")
    if not is_pillow_image(page) or find_16_bit_colour(page):
        return convert_planes(read_planes(page, header), preprocessing, find_opacity(page))
    if is_truncated_to_8_bits(page) and preprocessing.white is not None:
        raise DecodeError("16-bit colour, to which --white cannot be applied")
    image = load_image(page, header)
    if image.mode == "1":  # black and white, whatever range is stated for the others
        preprocessing = replace(preprocessing, white=None, black=None, levels=None)
    is_deep, rescales = Depth.from_mode(image.mode), preprocessing.rescales_8_bits
    if not is_deep and preprocessing.missing == "alpha" and image.has_transparency_data:
        return convert_planes(image_to_planes(image.convert("RGBA")), preprocessing, UNASSOCIATED)
    if not is_deep:
        image = flatten_alpha(image, preprocessing.background)
        mode = "RGB" if channels > 1 else "F" if rescales else "L"  # F: the luma is not rounded
        image = image if image.mode == mode else image.convert(mode)
    if is_deep or rescales or preprocessing.observed is not None:
        return convert_planes(image_to_planes(image), preprocessing)
    if preprocessing.levels:
        preprocessing.levels.add(255, image)
    if image.size != preprocessing.size:  # all channels at once take half the time
        image = resize_image(image, preprocessing.size, preprocessing.aspect)
    return pad_planes(image_to_planes(image), preprocessing.height, preprocessing.width)


def convert_planes(
    planes: np.ndarray, preprocessing: Preprocessing, opacity: int = 0
) -> np.ndarray:
    """Scale and resize samples (c, h, w), and convert their channels.

    opacity: UNASSOCIATED if the last plane is that of the others, ASSOCIATED if they were
    multiplied by it.
    """
    alpha = scale_to_unit_range(planes[-1:], None) if opacity else None
    planes = scale_pixels(planes[:-1] if opacity else planes, preprocessing)
    if alpha is not None:
        planes = array_to_unit_range(planes) * (alpha if opacity == UNASSOCIATED else 1)
        planes = (planes + np.float32(preprocessing.background) * (1 - alpha)).clip(0, 1)
    observed = preprocessing.observed
    if alpha is not None and preprocessing.missing == "alpha":
        observed = alpha[0] >= 0.5
    if observed is not None and not observed.all():
        planes = np.where(observed, array_to_unit_range(planes), np.float32(np.nan))
    planes = np.ascontiguousarray(planes)
    planes = resize_planes(planes, preprocessing.size, preprocessing.aspect)
    return convert_channels(planes, preprocessing.channels)


def convert_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Convert (..., c, h, w): grey is repeated, colour becomes its luma.

    Raises: DecodeError for other numbers of channels.
    """
    count = images.shape[-3]
    if count == 3 and channels == 1:
        weights = np.array(LUMA_WEIGHTS, np.float32)
        luma = np.tensordot(images, weights, (-3, 0))[..., None, :, :]
        return np.rint(luma).astype(np.uint8) if images.dtype == np.uint8 else luma
    if count == 1:
        return np.repeat(images, channels, axis=-3)
    if count != channels:
        raise DecodeError(f"{pluralize(count, 'channel')}, but {channels} were requested")
    return images


def flatten_alpha(image: "Image", background: float) -> "Image":
    """Composite the image over a grey background in [0, 1]."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    gray = round(background * 255)
    backdrop = Image.new("RGBA", image.size, (gray, gray, gray, 255))
    return Image.alpha_composite(backdrop, image.convert("RGBA")).convert("RGB")


def scale_pixels(array: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Scale to float32 in [0, 1], except for 8 bits whose range is that of uint8."""
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    is_8_bit = array.dtype == np.uint8
    if preprocessing.missing == "nan" and (is_nan := np.isnan(array)).any():
        filler = np.nan_to_num(np.fmin.reduce(array, axis=None))
        others = np.where(is_nan, filler, array)
        return np.where(is_nan, np.float32(np.nan), scale_pixels(others, preprocessing))
    has_range = preprocessing.rescales_8_bits if is_8_bit else preprocessing.white is not None
    if preprocessing.levels and not has_range:
        preprocessing.levels.add(find_full_scale(array.dtype), array)
    if is_8_bit and not has_range:
        return array
    return scale_to_unit_range(array, preprocessing.white, preprocessing.black)


def scale_to_unit_range(
    array: np.ndarray, white: float | None, black: float | None = None
) -> np.ndarray:
    """Compute (x - black) / (white - black) as float32 in [0, 1].

    white: 255 for uint8, 65,535 for other integers and 1 for floats, unless it is given.
    """
    top, bottom = find_full_scale(array.dtype) if white is None else white, black or 0.0
    low, high, tolerance = array.min(), array.max(), ROUNDING_TOLERANCE * (top - bottom)
    # `not (...)`, since NaN fails every comparison
    if not (float(low) >= bottom - tolerance and float(high) <= top + tolerance):
        is_finite = np.isfinite([low, high]).all()
        raise ValueRangeError(low, high, bottom, top) if is_finite else DecodeError(NOT_FINITE)
    return ((array.astype(np.float64) - bottom) / (top - bottom)).clip(0, 1).astype(np.float32)


def array_to_unit_range(array: np.ndarray) -> np.ndarray:
    """Convert uint8 to float32 in [0, 1]. Return floats unchanged."""
    return array / np.float32(255) if array.dtype == np.uint8 else array


def find_allowed(array: np.ndarray, options: PageOptions) -> np.ndarray:
    """Find finite numbers, and NaN if it stands for missing pixels."""
    return ~np.isinf(array) if options.missing == "nan" else np.isfinite(array)
