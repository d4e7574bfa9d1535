"""Parts of the report page: sections, and their pictures."""

import base64
import html
from collections.abc import Sequence
from typing import NamedTuple

import torch

from latentia.report.grids import MIN_TILE_SIDE, encode_png, make_grid


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
    row_labels: Sequence[str] = (),
    min_side: int = MIN_TILE_SIDE,
) -> Section:
    options = {"labels_below": labels, "row_labels": row_labels, "min_side": min_side}
    content = encode_png(make_grid(images, columns, "", **options), caption)
    return Section(title, "", [Picture(embed_image(content, title.lower()), caption)])


def embed_image(content: bytes, alt: str, image_format: str = "png") -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/{image_format};base64,{data}">'
