"""Grids and strips of images, with a line that says where they come from."""

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.tensors import to_bytes, to_display_channels

MIN_TILE_SIDE, GAP, TEXT_SIZE = (
    56,
    2,
    13,
)  # pixels: the least side of a tile, between tiles, of the caption


def make_grid(
    images: Float[Tensor, "n c h w"],
    columns: int,
    caption: str,
    *,
    labels_below: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    min_side: int = MIN_TILE_SIDE,
) -> Image.Image:
    """Images row by row, enlarged by whole factors so that no pixel is blurred.

    under: a line for each image; beside: lines for each row; least: pixels of a tile's longer side.
    An image of NaN is an empty place. Of images with other than 1 or 3 channels the first three are
    shown, or the mean of two.
    """
    n_images, _, h, w = images.shape
    tiles = to_bytes(to_display_channels(images).nan_to_num(1.0)).permute(0, 2, 3, 1).numpy()
    zoom = max(1, math.ceil(min_side / max(h, w)))
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    font = ImageFont.load_default(TEXT_SIZE)
    label_width = max((font.getlength(text) for text in labels_below), default=0)
    slot_width = max(tiles.shape[2], math.ceil(label_width) + 4)
    row_height, column_width = (
        tiles.shape[1] + GAP + (TEXT_SIZE + 6 if labels_below else 0),
        slot_width + GAP,
    )
    lines = [line for text in row_labels for line in text.splitlines()]
    margin = max((math.ceil(font.getlength(line)) + 10 for line in lines), default=0)
    rows = math.ceil(n_images / columns)
    size = (rows * row_height + GAP, margin + columns * column_width + GAP, tiles.shape[3])
    canvas = np.full(size, 255, np.uint8)
    inset = (slot_width - tiles.shape[2]) // 2
    for index, tile in enumerate(tiles):
        top, left = (
            GAP + (index // columns) * row_height,
            margin + GAP + (index % columns) * column_width + inset,
        )
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    picture = Image.fromarray(canvas[:, :, 0] if canvas.shape[2] == 1 else canvas)
    drawing, text_color = ImageDraw.Draw(picture), _make_grey(picture)
    for index, text in enumerate(labels_below):
        label_centre = margin + GAP + (index % columns) * column_width + slot_width / 2
        label_top = GAP + (index // columns) * row_height + tiles.shape[1] + 2
        drawing.text((label_centre, label_top), text, fill=text_color, font=font, anchor="ma")
    for row, text in enumerate(row_labels):
        middle = GAP + row * row_height + tiles.shape[1] / 2
        drawing.multiline_text(
            (4, middle), text, fill=text_color, font=font, anchor="lm", spacing=3
        )
    return _add_caption(picture, caption) if caption else picture


def _make_grey(picture: Image.Image, level: int = 60) -> int | tuple[int, ...]:
    return level if picture.mode == "L" else (level,) * 3


def choose_columns(n_images: int) -> int:
    """Columns that fill every row, if any do, and make the sheet 1.5 times as wide."""
    target = 1.5 * n_images**0.5
    candidates = [
        columns
        for columns in range(1, n_images + 1)
        if n_images % columns == 0 and 0.6 * target < columns < 1.7 * target
    ]
    return min(candidates, key=lambda columns: abs(columns - target), default=max(1, round(target)))


def _add_caption(picture: Image.Image, caption: str) -> Image.Image:
    font = ImageFont.load_default(TEXT_SIZE)
    words, lines = caption.split(" "), [""]
    for word in words:
        extended_line = f"{lines[-1]} {word}".strip()
        if font.getlength(extended_line) <= picture.width - 8 or not lines[-1]:
            lines[-1] = extended_line
        else:
            lines.append(word)
    caption_height = len(lines) * (TEXT_SIZE + 4) + 4
    background = _make_grey(picture, 255)
    canvas = Image.new(picture.mode, (picture.width, picture.height + caption_height), background)
    canvas.paste(picture)
    ImageDraw.Draw(canvas).multiline_text(
        (4, picture.height + 2), "\n".join(lines), fill=_make_grey(picture), font=font, spacing=4
    )
    return canvas


def encode_png(picture: Image.Image, caption: str = "") -> bytes:
    """PNG with the caption as its description."""
    png_info = PngInfo()
    png_info.add_itxt("Description", caption)
    file = io.BytesIO()
    picture.save(file, "png", pnginfo=png_info, optimize=True)
    return file.getvalue()


def encode_npy(images: Float[Tensor, "*any"]) -> bytes:
    file = io.BytesIO()
    np.save(file, images.float().cpu().numpy())
    return file.getvalue()


def encode_gif(
    frames: Sequence[Image.Image], seconds: float = 4.0, there_and_back: bool = False
) -> bytes:
    """An endless animation, there and `back` if so; it rests for a second where it turns."""
    pauses = {0, len(frames) - 1} if there_and_back else {len(frames) - 1}
    frames = [*frames, *frames[-2:0:-1]] if there_and_back else frames
    frame_duration = max(40, round(1000 * seconds / len(frames)))
    durations = [frame_duration + 1000 * (k in pauses) for k in range(len(frames))]
    file = io.BytesIO()
    first_frame, *later_frames = frames
    first_frame.save(
        file,
        "gif",
        save_all=True,
        append_images=later_frames,
        duration=durations,
        loop=0,
        optimize=False,
    )
    return file.getvalue()


def check_suffix(path: Path | str, *suffixes: str) -> str:
    """What the path ends in; commands ask before they work.

    Raises: Error if it is none of these.
    """
    suffix = Path(path).suffix
    if suffix not in suffixes:
        choices = " or a ".join(suffixes)
        raise Error(f"--out {path} ends in {suffix or 'nothing'}; give a {choices} file.")
    return suffix


def save(path: Path | str, encoders: dict[str, Callable[[], bytes]]) -> Path:
    """Writes what the path's ending asks for.

    Raises: Error if it asks for something else or the path can't be written.
    """
    path, suffix = Path(path), check_suffix(path, *encoders)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoders[suffix]())
    except OSError as problem:
        raise Error(f"{path} cannot be written ({problem.strerror}); give another --out.") from None
    return path
