"""Images of one file: their headers, then their pixels, page by page or tile by tile."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latentia.data.aspect import resize_planes
from latentia.data.decode import (
    NOT_FINITE,
    Preprocessing,
    ValueRangeError,
    array_to_unit_range,
    convert_channels,
    decode_pixels,
    find_allowed,
    read_planes,
)
from latentia.data.headers import ImageHeader, join_headers, read_header
from latentia.data.pages import DecodeError, catch_decode_errors, count_declared_pages, open_pages
from latentia.data.reading import DEFAULT_READING, PageOptions
from latentia.data.tiles import cut_tiles, find_empty, split_header

if TYPE_CHECKING:
    from latentia.data.pages import Page


def read_headers(
    file: Path | bytes,
    options: PageOptions = DEFAULT_READING,
    suffix: str = "",
    check_pixels: bool = False,
) -> list[ImageHeader]:
    """Read the header of each image or tile of a file.

    All pixels are decoded if they are to be checked, or if tiles without content are to be found.
    """
    headers, are_empty, tiling, n_declared = [], [], options.tiling, 0
    with catch_decode_errors(), open_pages(file, options, suffix) as pages:
        for number, page in enumerate(pages):
            n_declared = n_declared or count_declared_pages(page)
            headers.append(read_header(page)._replace(page=number))
            if check_pixels or tiling:
                planes = read_planes(page, headers[-1])
                if headers[-1].depth and not find_allowed(planes, options).all():
                    raise DecodeError(NOT_FINITE)
                are_empty.append(find_empty(planes, tiling) if tiling else [])
    if len(headers) < n_declared and options.pages != "first":
        note = f"declares {n_declared} pages and lists {len(headers)}: save it anew to read all"
        headers[0] = headers[0]._replace(note=note)
    if options.pages == "channels":
        headers = [join_headers(headers)]
        are_empty = [np.all(are_empty, axis=0).tolist() if tiling else []]
    if not tiling:
        return headers
    parts = (split_header(h, tiling, e) for h, e in zip(headers, are_empty, strict=True))
    return [*chain(*parts)]


def read_images(
    file: Path | bytes,
    preprocessing: Preprocessing,
    suffix: str = "",
    headers: list[ImageHeader] | None = None,
) -> Iterator[np.ndarray]:
    """Decode each image or tile of a file to (c, h, w), as headers read before describe it."""
    if preprocessing.pages == "channels" and headers is None:
        headers = read_headers(file, preprocessing, suffix)
    with catch_decode_errors(), open_pages(file, preprocessing, suffix) as pages:
        if headers and headers[0].pages > 1:
            images = [
                decode_whole(page, replace(preprocessing, channels=read_header(page).channels))
                for page in pages
            ]
            if headers[0].depth or preprocessing.marks_missing:
                images = [array_to_unit_range(image) for image in images]
            image = convert_channels(np.concatenate(images), preprocessing.channels)
            yield from fit_tiles(image, preprocessing, headers)
            return
        problems = []  # of the whole file, since its other pages have their part in the range
        parts = {n: [*each] for n, each in groupby(headers or (), attrgetter("page"))}
        for number, page in enumerate(islice(pages, max(parts) + 1 if parts else None)):
            tiles = parts.get(number, [])
            if headers and not tiles:  # a page of empty tiles
                continue
            try:
                yield from decode_tiles(page, preprocessing, tiles)
            except ValueRangeError as error:
                problems.append(error)
        if problems:
            low, high = zip(*(problem.values for problem in problems), strict=True)
            raise ValueRangeError(min(low), max(high), problems[0].black, problems[0].white)


def decode_tiles(
    page: "Page", preprocessing: Preprocessing, headers: Sequence[ImageHeader] = ()
) -> Iterator[np.ndarray]:
    """Decode a page to (c, h, w), or each of its tiles."""
    image = decode_whole(page, preprocessing, *headers[:1])
    yield from fit_tiles(image, preprocessing, headers)


def decode_whole(
    page: "Page", preprocessing: Preprocessing, header: ImageHeader | None = None
) -> np.ndarray:
    """Decode a page to (c, h, w): in its own size if tiles are to be cut from it."""
    if preprocessing.tiles:
        header = read_header(page)
        own_size = {"height": header.height, "width": header.width}
        preprocessing = replace(preprocessing, **own_size, tiles=None)
    return decode_pixels(page, preprocessing, header)


def fit_tiles(
    image: np.ndarray, preprocessing: Preprocessing, headers: Sequence[ImageHeader] = ()
) -> Iterator[np.ndarray]:
    """Yield an image (c, h, w), or the tiles of these headers (by default all), resized."""
    if tiling := preprocessing.tiling:
        for tile in cut_tiles(image, tiling, [header.corner for header in headers]):
            yield resize_planes(tile, preprocessing.size, preprocessing.aspect)
    else:
        yield image
