"""One image file to one array: every mode that Pillow opens, read as a person would see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

# Formats with a signature of their own: a table or a text never passes for one of these.
FORMATS = (
    *("PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF"),
    *("ICO", "PCX", "SGI", "QOI"),
)
SUFFIXES = frozenset(
    [
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".tif", ".tiff", ".bmp"),
        *(".dib", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k"),
        *(".jpx", ".avif", ".ico", ".pcx", ".sgi", ".qoi", ".tga"),
    ]
)
ORIENTATION = 0x0112  # the EXIF tag
DUST = 1e-6  # what float arithmetic may leave beyond [0, 1]


class Unreadable(Exception):
    """Why one image cannot be used; gathered into one Error that lists them all."""


@dataclass(frozen=True)
class Preprocessing:
    """From any image to (channels, height, width) in [0, 1].

    The resize is Pillow's bicubic to exactly this size: it stretches, it never crops.
    """

    height: int
    width: int
    channels: int
    white: float | None
    background: float

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width

    @property
    def size(self) -> tuple[int, int]:
        """As Pillow counts: width first."""
        return self.width, self.height


class Header(NamedTuple):
    """What one page says of itself before its pixels are read."""

    height: int
    width: int
    colour: bool
    deep: bool  # more than 8 bits: kept as float32
    note: str = ""


def headers(file: "Path | bytes", suffix: str = "") -> list[Header]:
    """One for each image that the file gives: a TIFF one a page, an animation its first frame."""
    with legible(), opened(file, suffix) as image:
        if image.format == "TIFF":
            return [header(image) for _ in pages(image)]
        moves = image.format in ("GIF", "PNG", "WEBP") and getattr(image, "n_frames", 1) > 1
        return [header(image, "is animated: its first frame is used" if moves else "")]


def read(
    file: "Path | bytes",
    prep: Preprocessing,
    suffix: str = "",
    expected: list[Header] | None = None,
) -> Iterator[np.ndarray]:
    """Each image of the file as (c, h, w); `expected` are its headers, if they were read before."""
    with legible(), opened(file, suffix) as image:
        for at, page in enumerate(islice(pages(image), len(expected) if expected else None)):
            yield pixels(page, prep, expected[at] if expected else None)


@contextmanager
def legible() -> Iterator[None]:
    """Whatever Pillow's plugins raise on a broken file (they raise anything) as `Unreadable`."""
    try:
        yield
    except (Unreadable, MemoryError):
        raise
    except Exception as why:
        if isinstance(why, OSError) and why.strerror:
            raise Unreadable(why.strerror) from why
        raise Unreadable(str(why).splitlines()[0] if str(why) else type(why).__name__) from why


@contextmanager
def opened(file: "Path | bytes", suffix: str) -> "Iterator[Image]":
    from PIL import Image, UnidentifiedImageError

    Image.init()  # the plugins, once
    formats = [name for name in FORMATS if name in Image.OPEN]  # AVIF and WebP may be left out
    if suffix == ".tga":  # which has no signature
        formats = ["TGA"]
    # A stream, not a path: Pillow 13 maps uncompressed TIFFs by path and scrambles turned ones.
    with BytesIO(file) if isinstance(file, bytes) else file.open("rb") as stream:
        try:
            image = Image.open(stream, formats=formats)
        except UnidentifiedImageError:
            if not stream.seek(0, 2):
                raise Unreadable("0 bytes") from None
            raise Unreadable("not an image that Pillow knows") from None
        yield image


def header(image: "Image", note: str = "") -> Header:
    width, height = image.size
    # A TIFF's size is turned already; a PNG's getexif() would decode the whole image.
    turns = "exif" in image.info if image.format == "PNG" else image.format != "TIFF"
    if turns and image.getexif().get(ORIENTATION, 1) >= 5:
        width, height = height, width
    if truncated_to_8_bits(image):
        note = "is 16-bit colour, of which Pillow reads the upper 8 bits"
    colour = image.mode not in ("1", "L", "LA", "La", "F") and not image.mode.startswith("I")
    return Header(height, width, colour, is_deep(image), note)


def pages(image: "Image") -> "Iterator[Image]":
    """The images of a file, in order: each page of a TIFF, else the first frame."""
    for page in range(getattr(image, "n_frames", 1) if image.format == "TIFF" else 1):
        if page:
            image.seek(page)
        yield image


def is_deep(image: "Image") -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def truncated_to_8_bits(image: "Image") -> bool:
    tiles: list[Any] = getattr(image, "tile", None) or []
    return not is_deep(image) and any(";16" in str(tile[3]) for tile in tiles)


def pixels(image: "Image", prep: Preprocessing, expected: Header | None = None) -> np.ndarray:
    """(c, h, w): uint8, or float32 in [0, 1] where the file holds more than 8 bits."""
    from PIL import ImageOps
    from PIL.Image import Resampling

    if truncated_to_8_bits(image) and prep.white is not None:
        raise Unreadable("16-bit colour, to which --white cannot be applied")
    if image.getexif().get(ORIENTATION, 1) != 1:  # else exif_transpose would copy the image
        image = ImageOps.exif_transpose(image)
    if expected and image.size != (expected.width, expected.height):
        raise Unreadable("its EXIF orientation stands after its pixels; save it anew")
    if is_deep(image):
        plane = resized(unit(np.asarray(image), prep.white)[None], prep)
        return np.repeat(plane, prep.channels, axis=0)
    image = flattened(image, prep.background)
    mode = "L" if prep.channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != prep.size:
        image = image.resize(prep.size, Resampling.BICUBIC)
    array = np.asarray(image)
    return array[None] if prep.channels == 1 else array.transpose(2, 0, 1)


def flattened(image: "Image", background: float) -> "Image":
    """The image as it looks on a sheet of this grey."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    grey = round(background * 255)
    sheet = Image.new("RGBA", image.size, (grey, grey, grey, 255))
    return Image.alpha_composite(sheet, image.convert("RGBA")).convert("RGB")


def unit(array: np.ndarray, white: float | None) -> np.ndarray:
    """Integers or floats to float32 in [0, 1]; `white` (else 65,535, for floats 1) becomes 1."""
    scale = white or (1.0 if array.dtype.kind == "f" else 65535.0)
    low, high = float(array.min()), float(array.max())
    if not (low >= -DUST * scale and high <= scale * (1 + DUST)):  # NaN fails every comparison
        raise Unreadable(f"values from {low:g} to {high:g}, wanted 0 to {scale:g}: see --white")
    return (array.astype(np.float64) / scale).clip(0, 1).astype(np.float32)


def resized(planes: np.ndarray, prep: Preprocessing) -> np.ndarray:
    """(c, h, w), uint8 or float32, plane by plane to the wanted height and width."""
    from PIL import Image

    if planes.shape[1:] == (prep.height, prep.width):
        return planes
    sized = [Image.fromarray(plane).resize(prep.size, Image.Resampling.BICUBIC) for plane in planes]
    stack = np.stack([np.asarray(plane) for plane in sized])
    return stack if stack.dtype == np.uint8 else stack.clip(0, 1)  # bicubic overshoots
