"""Decoding of one image file to one array, for every mode that Pillow opens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from latentia.core.errors import summarize_exception
from latentia.data.levels import Levels, find_full_scale, format_value
from latentia.data.reading import Pages

if TYPE_CHECKING:
    from PIL.Image import Image

# Formats with a signature of their own: Pillow never takes a table or a text for one of these.
PILLOW_FORMATS = (
    *("PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF"),
    *("ICO", "PCX", "SGI", "QOI"),
)
IMAGE_SUFFIXES = frozenset(
    [
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".tif", ".tiff", ".bmp"),
        *(".dib", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k"),
        *(".jpx", ".avif", ".ico", ".pcx", ".sgi", ".qoi", ".tga"),
    ]
)
ORIENTATION_TAG = 0x0112  # the EXIF tag
ROUNDING_TOLERANCE = 1e-6  # float rounding allowed beyond [0, 1]


class DecodeError(Exception):
    """The reason why one image cannot be decoded. Callers list all reasons in one Error."""


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
class Preprocessing:
    """Map from any image to (channels, height, width) in [0, 1].

    The resize is Pillow's bicubic to exactly this size: it stretches the image and never crops.
    """

    height: int
    width: int
    channels: int
    white: float | None
    background: float
    black: float | None = None
    pages: Pages = "images"
    max_pixels: int | None = None
    levels: Levels | None = field(default=None, compare=False)  # collects the greatest values

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


class ImageHeader(NamedTuple):
    """Properties of one page that are known before its pixels are decoded."""

    height: int
    width: int
    is_color: bool
    high_bit_depth: bool  # more than 8 bits: kept as float32
    note: str = ""


def read_headers(file: "Path | bytes", suffix: str = "") -> list[ImageHeader]:
    """Read the header of each page of a TIFF, or of the first frame of any other file."""
    with catch_decode_errors(), open_image(file, suffix) as image:
        if image.format == "TIFF":
            return [read_header(image) for _ in iterate_pages(image)]
        is_animated = image.format in ("GIF", "PNG", "WEBP") and getattr(image, "n_frames", 1) > 1
        return [read_header(image, "is animated: its first frame is used" if is_animated else "")]


def read_images(
    file: "Path | bytes",
    preprocessing: Preprocessing,
    suffix: str = "",
    headers: list[ImageHeader] | None = None,
) -> Iterator[np.ndarray]:
    """Decode each image of a file to (c, h, w), and check it against headers read before."""
    with catch_decode_errors(), open_image(file, suffix) as image:
        pages = islice(iterate_pages(image), len(headers) if headers else None)
        for number, page in enumerate(pages):
            yield decode_pixels(page, preprocessing, headers[number] if headers else None)


@contextmanager
def catch_decode_errors() -> Iterator[None]:
    """Convert every exception of Pillow's plugins on a broken file to `DecodeError`."""
    try:
        yield
    except (DecodeError, MemoryError):
        raise
    except Exception as error:
        raise DecodeError(getattr(error, "strerror", None) or summarize_exception(error)) from error


@contextmanager
def open_image(file: "Path | bytes", suffix: str) -> "Iterator[Image]":
    from PIL import Image, UnidentifiedImageError

    Image.init()  # the plugins, once
    # This build of Pillow may lack AVIF and WebP. TGA has no signature.
    available = [name for name in PILLOW_FORMATS if name in Image.OPEN]
    formats = ["TGA"] if suffix == ".tga" else available
    # A stream, not a path: Pillow 13 maps uncompressed TIFFs by path and scrambles rotated ones.
    with BytesIO(file) if isinstance(file, bytes) else file.open("rb") as stream:
        try:
            image = Image.open(stream, formats=formats)
        except UnidentifiedImageError:
            if not stream.seek(0, 2):
                raise DecodeError("0 bytes") from None
            raise DecodeError("not an image that Pillow knows") from None
        yield image


def read_header(image: "Image", note: str = "") -> ImageHeader:
    width, height = image.size
    # Pillow rotates the size of a TIFF itself. getexif() of a PNG would decode the whole image.
    may_be_rotated = "exif" in image.info if image.format == "PNG" else image.format != "TIFF"
    if may_be_rotated and image.getexif().get(ORIENTATION_TAG, 1) >= 5:
        width, height = height, width
    if is_truncated_to_8_bits(image):
        note = "is 16-bit colour, of which Pillow reads the upper 8 bits"
    is_color = image.mode not in ("1", "L", "LA", "La", "F") and not image.mode.startswith("I")
    return ImageHeader(height, width, is_color, has_high_bit_depth(image), note)


def iterate_pages(image: "Image") -> "Iterator[Image]":
    """Yield each page of a TIFF in order, or the first frame of any other file."""
    for page in range(getattr(image, "n_frames", 1) if image.format == "TIFF" else 1):
        if page:
            image.seek(page)
        yield image


def has_high_bit_depth(image: "Image") -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def is_truncated_to_8_bits(image: "Image") -> bool:
    tiles: list[Any] = getattr(image, "tile", None) or []
    return not has_high_bit_depth(image) and any(";16" in str(tile[3]) for tile in tiles)


def decode_pixels(
    image: "Image", preprocessing: Preprocessing, header: ImageHeader | None = None
) -> np.ndarray:
    """Decode to (c, h, w): uint8, or float32 in [0, 1] if the file has more than 8 bits."""
    from PIL import ImageOps
    from PIL.Image import Resampling

    channels = preprocessing.channels
    if is_truncated_to_8_bits(image) and preprocessing.white is not None:
        raise DecodeError("16-bit colour, to which --white cannot be applied")
    if image.getexif().get(ORIENTATION_TAG, 1) != 1:  # else exif_transpose would copy the image
        image = ImageOps.exif_transpose(image)
    if header and image.size != (header.width, header.height):
        raise DecodeError("its EXIF orientation stands after its pixels; save it anew")
    if has_high_bit_depth(image):
        plane = scale_pixels(np.asarray(image), preprocessing)
        return np.repeat(resize_planes(plane[None], preprocessing), channels, axis=0)
    if image.mode == "1":  # black and white, whatever range is stated for the others
        preprocessing = replace(preprocessing, white=None, black=None, levels=None)
    rescales = preprocessing.rescales_8_bits
    image = flatten_alpha(image, preprocessing.background)
    mode = "RGB" if channels > 1 else "F" if rescales else "L"  # F: the luma is not rounded
    if image.mode != mode:
        image = image.convert(mode)
    if rescales:
        planes = scale_pixels(np.atleast_3d(np.asarray(image)), preprocessing)
        return resize_planes(planes.transpose(2, 0, 1), preprocessing)
    if preprocessing.levels:
        preprocessing.levels.add(255, image)
    if image.size != preprocessing.size:
        image = image.resize(preprocessing.size, Resampling.BICUBIC)
    array = np.asarray(image)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


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
        problem = ValueRangeError(low, high, bottom, top)
        raise problem if np.isfinite([low, high]).all() else DecodeError(str(problem))
    return ((array.astype(np.float64) - bottom) / (top - bottom)).clip(0, 1).astype(np.float32)


def array_to_unit_range(array: np.ndarray) -> np.ndarray:
    """Convert uint8 to float32 in [0, 1]. Return floats unchanged."""
    return array / np.float32(255) if array.dtype == np.uint8 else array


def resize_planes(planes: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Resize (c, h, w), uint8 or float32, plane by plane to the height and width requested."""
    from PIL.Image import Resampling, fromarray

    if planes.shape[1:] == (preprocessing.height, preprocessing.width):
        return planes
    images = [fromarray(plane).resize(preprocessing.size, Resampling.BICUBIC) for plane in planes]
    stack = np.stack([np.asarray(image) for image in images])
    return stack if stack.dtype == np.uint8 else stack.clip(0, 1)  # bicubic overshoots
