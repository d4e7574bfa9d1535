"""Images that the explorer reads, and those that it renders."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentia.core.contract import Batch
from latentia.core.errors import Error
from latentia.core.text import join_command
from latentia.data import Images
from latentia.data.decode import DecodeError, array_to_unit_range
from latentia.data.preprocess import make_batch
from latentia.data.read_files import read_headers, read_images
from latentia.data.tiles import check_single
from latentia.report.rendered_images import RenderedImages

MAX_MEGAPIXELS = 40


class InputImage(NamedTuple):
    """An image (1, c, h, w), its name in a command, and its key if it is one of the run's images.

    flags: options with which a command finds the image by that name; columns: its labels
    """

    name: str
    image: Tensor
    flags: list[str]
    key: str | None = None
    columns: Mapping[str, Tensor] = {}


class Rendering(NamedTuple):
    """Rendered images, the words of the command that writes them, and more values for the page."""

    images: RenderedImages
    command: list[str]
    extra: dict[str, Any]

    def format_command(self, suffix: str) -> str:
        return join_command([*self.command, "--out", f"{self.command[1]}{suffix}"])


def sanitize_file_name(name: str) -> str:
    """Return a file's name as a word of a command: no folder, no option, no index."""
    base = PurePosixPath(name.replace("\\", "/")).name or "image.png"
    return f"./{base}" if base.startswith("-") or base.isdecimal() else base


def decode_upload(content: bytes, name: str, images: Images) -> Batch:
    """Decode an uploaded file as an image (1, c, h, w) in the format of `images`.

    Raises: Error if it is no image, or has more than MAX_MEGAPIXELS
    """
    suffix = PurePosixPath(name).suffix.lower()
    try:
        preprocessing = replace(images.preprocessing, max_pixels=sys.maxsize)
        tiling, preprocessing = preprocessing.tiling, replace(preprocessing, tiles=None)
        header = read_headers(content, preprocessing, suffix)[0]  # a bomb must not unfold
        if header.width * header.height > MAX_MEGAPIXELS * 1e6:
            size = f"{header.width}x{header.height}"
            raise DecodeError(f"{size} pixels; at most {MAX_MEGAPIXELS} million are read")
        check_single(header.height, header.width, tiling)
        array = next(read_images(content, preprocessing, suffix))
    except DecodeError as problem:
        text = f"{name or 'The file'} cannot be read ({problem}); give another image."
        raise Error(text) from None
    pixels = torch.from_numpy(array_to_unit_range(array.copy()))[None]
    return make_batch(pixels, preprocessing)
