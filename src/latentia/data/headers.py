"""Properties of images that are known before their pixels are decoded."""

from typing import TYPE_CHECKING, Any, NamedTuple

from latentia.data import pages
from latentia.data.levels import Depth
from latentia.data.pages import ORIENTATION_TAG, DecodeError, find_16_bit_colour

if TYPE_CHECKING:
    from PIL.Image import Image

    from latentia.data.pages import Page


Corner = tuple[int, int]  # y, x of the upper left pixel of a tile


class ImageHeader(NamedTuple):
    """Properties of one image that are known before its pixels are decoded."""

    height: int
    width: int
    channels: int  # 1: grey, 3: colour, others: as many
    depth: int  # a `Depth`
    note: str = ""
    pages: int = 1  # those that are its channels
    page: int = 0  # its number in the file
    corner: Corner | None = None  # of a tile
    is_empty: bool = False  # whether all pixels of a tile are equal


def join_headers(headers: list[ImageHeader]) -> ImageHeader:
    """Describe the image whose channels are those of every page."""
    sizes = sorted({f"{page.height}x{page.width}" for page in headers})
    if len(sizes) > 1:
        raise DecodeError(f"pages of {' and '.join(sizes)}, which cannot be channels of one image")
    depth = max(page.depth for page in headers)
    first, n = headers[0], sum(page.channels for page in headers)
    return first._replace(channels=n, depth=depth, pages=len(headers))


def read_header(page: "Page") -> ImageHeader:
    width, height = pages.get_size(page)
    if not pages.is_pillow_image(page):
        if page.tags.valueof(ORIENTATION_TAG, 1) >= 5:
            width, height = height, width
        dtype: Any = page.dtype
        has_opacity, depth = bool(pages.find_opacity(page)), Depth.from_dtype(dtype)
        depth = max(depth, Depth.INTEGER) if has_opacity else depth
        return ImageHeader(height, width, page.samplesperpixel - has_opacity, depth)
    # Pillow rotates the size of a TIFF itself. getexif() of a PNG would decode the whole image.
    may_be_rotated = "exif" in page.info if page.format == "PNG" else page.format != "TIFF"
    if may_be_rotated and page.getexif().get(ORIENTATION_TAG, 1) >= 5:
        width, height = height, width
    note, depth = "", Depth.from_mode(page.mode)
    if find_16_bit_colour(page):
        depth = Depth.INTEGER
    elif is_truncated_to_8_bits(page):
        note = "is 16-bit colour, of which Pillow reads the upper 8 bits"
    elif page.format in ("GIF", "PNG", "WEBP", "AVIF") and getattr(page, "n_frames", 1) > 1:
        note = "is animated: its first frame is used"
    is_grey = page.mode in ("1", "L", "LA", "La", "F") or page.mode.startswith("I")
    return ImageHeader(height, width, 1 if is_grey else 3, depth, note)


def is_truncated_to_8_bits(image: "Image") -> bool:
    layout = next((tile[3] for tile in getattr(image, "tile", None) or ()), "")
    is_deep_ppm = image.format == "PPM" and isinstance(layout, tuple) and layout[1] > 255
    return not Depth.from_mode(image.mode) and (is_deep_ppm or ";16" in str(layout))
