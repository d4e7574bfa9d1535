"""Pages of one image file, as Pillow, tifffile or pillow-heif opens them."""

import math
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Union, cast

import numpy as np
from typing_extensions import TypeIs

from latentia.core.errors import summarize_exception
from latentia.core.files import require_file
from latentia.data.reading import PageOptions

if TYPE_CHECKING:
    from PIL.Image import Image
    from tifffile import TiffFile, TiffPage

    Page = Union[Image, TiffPage]  # noqa: UP007, since the classes are not imported at run time

Stream = BytesIO | BufferedReader
# Formats with a signature of their own: Pillow never takes a table or a text for one of these.
PILLOW_FORMATS = (
    *("PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF"),
    *("ICO", "PCX", "SGI", "QOI"),
)
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
FOREIGN_MARKS = {  # first bytes of what is stored in the place of an image
    b"version https://": "a pointer of Git LFS; `git lfs pull` fetches the image",
    **dict.fromkeys((b"<html", b"<!doctype"), "a page of HTML; load the image anew"),
}
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
IMAGE_SUFFIXES = frozenset(
    [
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".tif", ".tiff", ".bmp"),
        *(".dib", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k"),
        *(".jpx", ".avif", ".ico", ".pcx", ".sgi", ".qoi", ".tga", *HEIC_SUFFIXES),
    ]
)
# tags of TIFF
SUBFILE_TAG, BITS_TAG, PHOTOMETRIC_TAG, DESCRIPTION_TAG = 254, 258, 262, 270
SAMPLES_TAG, PLANAR_TAG, KIND_TAG = 277, 284, 339
ORIENTATION_TAG = 0x0112  # of TIFF and EXIF
UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # values of the tag of the samples' kind
WHITE_IS_ZERO, RGB = 0, 2  # values of the photometric tag
REDUCED, MASK = 1, 4  # bits of the tag of the kind of page
ASSOCIATED, UNASSOCIATED = 1, 2  # values of the tag of extra samples: opacity
# what Pillow reads in full of one sample, beside unsigned ones of at most 8 bits
GREY_KINDS = {(UNSIGNED, 12), (UNSIGNED, 16), (SIGNED, 16), (SIGNED, 32), (FLOAT, 32), (FLOAT, 64)}
LIMIT_LOCK = Lock()


class DecodeError(Exception):
    """The reason why one image cannot be decoded. Callers list all reasons in one Error."""


@contextmanager
def catch_decode_errors() -> Iterator[None]:
    """Convert every exception of the plugins of Pillow on a broken file to `DecodeError`."""
    try:
        yield
    except (DecodeError, MemoryError):
        raise
    except Exception as error:
        raise DecodeError(summarize_exception(error)) from error


@contextmanager
def open_pages(
    file: Path | bytes, options: PageOptions, suffix: str = ""
) -> "Iterator[Iterator[Page]]":
    """Open the pages of a TIFF, or the first frame of any other file.

    suffix: that of the name which bytes had, if they had one
    """
    suffix = suffix if isinstance(file, bytes) else file.suffix.lower()
    # A stream, not a path: Pillow 13 maps uncompressed TIFFs by path and scrambles rotated ones.
    with open_stream(file) as stream:
        yield iterate_pages(stream, suffix, options)


def open_stream(file: Path | bytes) -> Stream:
    if isinstance(file, bytes):
        return BytesIO(file)
    require_file(file)
    return file.open("rb")


def iterate_pages(stream: Stream, suffix: str, options: PageOptions) -> "Iterator[Page]":
    start = stream.read(16)
    if not start:
        raise DecodeError("0 bytes")
    for mark, reason in FOREIGN_MARKS.items():
        if start.lower().startswith(mark):
            raise DecodeError(reason)
    is_heic = start[4:8] == b"ftyp" and start[8:12] in HEIC_BRANDS
    image = open_with_heif(stream) if is_heic else open_with_pillow(stream, start, suffix)
    if image is None and not start.startswith(TIFF_SIGNATURES):
        raise DecodeError("not an image that Pillow knows")
    is_tiff = image is None or image.format == "TIFF"
    pages: Any = iterate_tiff(stream, image, options) if is_tiff else (image,)
    for page in pages:
        check_pixel_count(*get_size(page), options)
        yield page


def open_with_pillow(stream: Stream, start: bytes, suffix: str) -> "Image | None":
    """Open as `PIL.Image.open` does, without its limit of pixels, which is one for a process."""
    from PIL import Image

    Image.init()  # the plugins, once
    for name in ("TGA",) if suffix == ".tga" else PILLOW_FORMATS:  # TGA has no signature
        factory, accepts = Image.OPEN.get(name, (None, None))  # this build may lack AVIF and WebP
        with suppress(SyntaxError, IndexError, TypeError, struct.error):
            if factory and (accepts is None or accepts(start) is True):
                stream.seek(0)
                return factory(stream, "")
    return None


def open_with_heif(stream: Stream) -> "Image":
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise DecodeError('HEIC, which needs `pip install "latentia[heic]"`') from None
    stream.seek(0)
    return HeifImageFile(stream)


def iterate_tiff(stream: Stream, image: "Image | None", options: PageOptions) -> "Iterator[Page]":
    """Yield each page, by tifffile where Pillow would lose samples or bits of it.

    Masks and smaller copies of other pages, as in a pyramid, are left out.
    """
    tiff = None if image and counts_pages(image) else open_with_tifffile(stream)
    count = len(tiff.pages) if tiff else getattr(image, "n_frames", 1)
    for number in range(1 if options.pages == "first" else count):
        page: Any = None
        if image:
            with suppress(SyntaxError):  # samples that Pillow does not know
                image.seek(number)
                page = image if reads_in_full(image) else None
        if page is None:
            tiff = tiff or open_with_tifffile(stream)
            page = tiff.pages[number]
        tags = getattr(page, "tag_v2", None) or {SUBFILE_TAG: page.subfiletype}
        if number == 0 or not tags.get(SUBFILE_TAG, 0) & (REDUCED | MASK):
            yield page


def count_declared_pages(page: "Page") -> int:
    """Count the pages that the description of ImageJ declares; 0 without one."""
    is_pillow = is_pillow_image(page)
    text = getattr(page, "tag_v2", {}).get(DESCRIPTION_TAG, "") if is_pillow else page.description
    match = re.match(r"ImageJ=.*^images=(\d+)", str(text), re.DOTALL | re.MULTILINE)
    return int(match[1]) if match else 0


def counts_pages(image: "Image") -> bool:
    """Whether Pillow knows the samples of every page, without which it does not count them."""
    with suppress(SyntaxError):
        return image.n_frames > 0  # pyright: ignore[reportAttributeAccessIssue]
    return False


def open_with_tifffile(stream: Stream) -> "TiffFile":
    from tifffile import TiffFile

    stream.seek(0)
    return TiffFile(stream)


def reads_in_full(image: "Image") -> bool:
    """Whether every sample of a page can be read by Pillow with all its bits."""
    tags: dict[int, Any] = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    samples, photometric = tags.get(SAMPLES_TAG, 1), tags.get(PHOTOMETRIC_TAG)
    kind, bits = tags.get(KIND_TAG, (UNSIGNED,))[0], max(tags.get(BITS_TAG, (1,)))
    if samples > 4:
        return False
    if kind != SIGNED and bits <= 8:
        return True
    if samples == 1:
        return (kind, bits) in GREY_KINDS and photometric != WHITE_IS_ZERO
    # 16 bits of each colour are read byte by byte
    return photometric != RGB or tags.get(PLANAR_TAG, 1) == 1


def get_size(page: "Page") -> tuple[int, int]:
    """Return (width, height) of a page, before any rotation of its own."""
    return page.size if is_pillow_image(page) else (page.imagewidth, page.imagelength)


def check_pixel_count(width: int, height: int, options: PageOptions) -> None:
    """Raises: DecodeError if an image is so large that it may be made to fill the memory."""
    from PIL import Image

    limit = options.max_pixels or Image.MAX_IMAGE_PIXELS or math.inf
    if width * height > limit:
        raise DecodeError(
            f"{height}x{width} are {height * width:,} pixels, more than {limit:,}; if the file is"
            f" to be trusted, give --max-pixels {height * width}"
        )


def load_pixels(image: "Image") -> None:
    """Decode, without the limit of Pillow, in whose place `check_pixel_count` stands."""
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or image.width * image.height <= limit:
        image.load()
        return
    with LIMIT_LOCK:  # the limit is one for the process
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image.load()
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def read_samples(page: "TiffPage") -> np.ndarray:
    """Decode a page to all its samples (c, h, w), rotated as its tag says."""
    photometric: Any = page.photometric
    if photometric > RGB or page.imagedepth > 1:
        raise DecodeError(f"a TIFF of {photometric.name} samples; save it as grey or RGB")
    separate, _, height, width, contiguous = page.shaped
    array = page.asarray().reshape(separate, height, width, contiguous)
    planes = array.transpose(0, 3, 1, 2).reshape(-1, height, width)
    if photometric == WHITE_IS_ZERO and planes.dtype.kind == "u":
        planes = 2**page.bitspersample - 1 - planes
    rotation = page.tags.valueof(ORIENTATION_TAG, 1)
    planes = planes.transpose(0, 2, 1) if rotation >= 5 else planes
    planes = planes[:, ::-1] if rotation in (3, 4, 7, 8) else planes
    return planes[:, :, ::-1] if rotation in (2, 3, 6, 7) else planes


def find_opacity(page: "Page") -> int:
    """Return ASSOCIATED or UNASSOCIATED if the last of all samples is the opacity, else 0."""
    if is_pillow_image(page):
        layout = find_16_bit_colour(page)
        return {"RGBA": UNASSOCIATED, "RGBa": ASSOCIATED}.get(layout[1], 0) if layout else 0
    colours = 3 if page.photometric == RGB else 1
    kind = page.extrasamples[-1] if page.samplesperpixel == colours + 1 else 0
    return int(kind) if kind in (ASSOCIATED, UNASSOCIATED) else 0


def find_16_bit_colour(image: "Image") -> re.Match[str] | None:
    """Match the samples and the order of bytes of 16-bit colour that Pillow can read by bytes."""
    tiles = getattr(image, "tile", None)
    if not tiles or "transparency" in image.info:
        return None
    return re.search(r"\b(RGB[AaX]?);16([BLN])\b", str(tiles[0][3]))


def open_bytes_of_colour(image: "Image") -> "Iterator[Image]":
    """Open the upper bytes of 16-bit colour, then the lower ones: the upper of the other order."""
    layout, file = find_16_bit_colour(image), cast(Any, image).fp
    assert layout
    samples = layout[1].replace("a", "A")  # as they are stored
    for order in layout[2], "L" if layout[2] == "B" else "B":  # N, of the machine, is L
        file.seek(0)
        part = cast(Any, type(image))(file)
        part.seek(image.tell())
        for number, tile in enumerate(part.tile):
            rest = () if isinstance(tile.args, str) else tile.args[1:]
            part.tile[number] = tile._replace(args=(f"{samples};16{order}", *rest))
        yield part


def is_pillow_image(image: Any) -> "TypeIs[Image]":
    """Test the class by its module's name, since an array should not cost the import of Pillow."""
    return any(cls.__module__ == "PIL.Image" for cls in type(image).__mro__)
