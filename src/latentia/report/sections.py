"""Sections of the report page: a title, a sentence, and pictures."""

import base64
import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from latentia.report.grids import encode_png, make_grid


class Picture(NamedTuple):
    html: str
    caption: str = ""


class Section(NamedTuple):
    title: str
    text: str
    pictures: list[Picture]


def make_grid_section(
    title: str,
    images: torch.Tensor,
    columns: int,
    caption: str,
    labels: Sequence[str] = (),
    **options: Any,
) -> Section:
    """Return a section of one grid of images; options: those of `make_grid`."""
    grid = make_grid(images, columns, "", labels_below=labels, **options)
    image = embed_image(encode_png(grid, caption), title.lower())
    return Section(title, "", [Picture(image, caption)])


def embed_image(content: bytes, alt: str, image_format: str = "png") -> str:
    """Return an HTML image that holds its file."""
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/{image_format};base64,{data}">'
