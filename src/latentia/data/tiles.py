"""Tiles of images that are too large to shrink. The key of one is FILE#Y,X."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from latentia.data.headers import Corner, ImageHeader
from latentia.data.pages import DecodeError
from latentia.data.reading import Tiling

TOO_SMALL = "less than a tile"  # the reason that an image is not cut


def list_corners(shape: Sequence[int], tiling: Tiling) -> list[Corner]:
    """List the tiles of an image (h, w); the last of each row and column end at its border.

    Raises: DecodeError if the image is smaller than a tile
    """
    (height, width), (size, stride) = shape, tiling
    if min(height, width) < size:
        raise DecodeError(f"{height}x{width} pixels, {TOO_SMALL} of {size}x{size}")
    ends = height - size, width - size
    rows, columns = (sorted({*range(0, end, stride), end}) for end in ends)
    return [(y, x) for y in rows for x in columns]


def check_single(height: int, width: int, tiling: Tiling | None) -> None:
    """Raises: DecodeError if an image is cut into several tiles."""
    if tiling and (count := len(list_corners((height, width), tiling))) > 1:
        raise DecodeError(f"{height}x{width} pixels, {count} tiles of {tiling.size}x{tiling.size}")


def cut_tiles(
    image: np.ndarray, tiling: Tiling, corners: Sequence[Corner | None] = ()
) -> Iterator[np.ndarray]:
    """Yield tiles of an image (c, h, w), by default all of them."""
    for y, x in filter(None, corners or list_corners(image.shape[1:], tiling)):
        yield np.ascontiguousarray(image[:, y : y + tiling.size, x : x + tiling.size])


def find_empty(image: np.ndarray, tiling: Tiling) -> list[bool]:
    """Whether all pixels of a tile are equal, or all NaN, for each tile of an image (c, h, w)."""
    return [
        np.array_equal(tile, np.broadcast_to(tile[:, :1, :1], tile.shape), equal_nan=True)
        for tile in cut_tiles(image, tiling)
    ]


def split_header(
    header: ImageHeader, tiling: Tiling, are_empty: Sequence[bool]
) -> Iterator[ImageHeader]:
    """Describe each tile of an image."""
    corners = list_corners((header.height, header.width), tiling)
    tile = header._replace(height=tiling.size, width=tiling.size)
    for corner, is_empty in zip(corners, are_empty, strict=True):
        yield tile._replace(corner=corner, is_empty=is_empty)


def format_tile_key(key: str, corner: Corner | None) -> str:
    return key if corner is None else f"{key}#{corner[0]},{corner[1]}"


def parse_tile_key(key: str) -> tuple[str, Corner | None]:
    """Return the image of a tile, and the tile's corner; no corner for the key of an image."""
    match = re.fullmatch(r"(.*)#(\d+),(\d+)", key, re.S)
    return (match[1], (int(match[2]), int(match[3]))) if match else (key, None)
