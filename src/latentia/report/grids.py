"""Grids of images with a caption, and their files: PNG, GIF and npy."""

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

Encoders = dict[str, Callable[[], bytes]]  # content of a file, by suffix

# pixels: least longer side of a tile, distance between tiles, height of text
MIN_TILE_SIDE, GAP, TEXT_SIZE = 56, 2, 13
TEXT_COLOR = "#3c3c3c"


def make_grid(
    images: Float[Tensor, "n c h w"],
    columns: int,
    caption: str,
    *,
    labels_below: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    min_side: int = MIN_TILE_SIDE,
) -> Image.Image:
    """Arrange images row by row, enlarged by a whole factor so that no pixel is blurred.

    labels_below: a line for each image. row_labels: lines for each row, on its left. min_side:
    least pixels of a tile's longer side. An image of NaN is left blank. Of more than 3 channels
    the first three are shown, of 2 their mean.
    """
    _, _, h, w = images.shape
    tiles = to_bytes(to_display_channels(images).nan_to_num(1.0)).permute(0, 2, 3, 1).numpy()
    zoom = max(1, math.ceil(min_side / max(h, w)))
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    n, height, width, channels = tiles.shape
    font = ImageFont.load_default(TEXT_SIZE)
    slot = max(width, math.ceil(max(map(font.getlength, labels_below), default=0)) + 4)
    dy, dx = height + GAP + (TEXT_SIZE + 6 if labels_below else 0), slot + GAP
    lines = [line for text in row_labels for line in text.splitlines()]
    margin = max((math.ceil(font.getlength(line)) + 10 for line in lines), default=0)
    size = (math.ceil(n / columns) * dy + GAP, margin + columns * dx + GAP, channels)
    canvas = np.full(size, 255, np.uint8)
    corners = [(GAP + k // columns * dy, margin + GAP + k % columns * dx) for k in range(n)]
    for tile, (top, left) in zip(tiles, corners, strict=True):
        left += (slot - width) // 2
        canvas[top : top + height, left : left + width] = tile
    picture = Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)
    drawing = ImageDraw.Draw(picture)
    for text, (top, left) in zip(labels_below, corners, strict=False):
        position = (left + slot / 2, top + height + 2)
        drawing.text(position, text, fill=TEXT_COLOR, font=font, anchor="ma")
    for row, text in enumerate(row_labels):
        position = (4, GAP + row * dy + height / 2)
        drawing.multiline_text(position, text, TEXT_COLOR, font, anchor="lm", spacing=3)
    return _add_caption(picture, caption) if caption else picture


def choose_columns(n_images: int) -> int:
    """Return columns of a grid about 1.5 times as wide as high, with full rows if possible."""
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
        longer_line = f"{lines[-1]} {word}".strip()
        if font.getlength(longer_line) <= picture.width - 8 or not lines[-1]:
            lines[-1] = longer_line
        else:
            lines.append(word)
    height = picture.height + len(lines) * (TEXT_SIZE + 4) + 4
    canvas = Image.new(picture.mode, (picture.width, height), "white")
    canvas.paste(picture)
    position, text = (4, picture.height + 2), "\n".join(lines)
    ImageDraw.Draw(canvas).multiline_text(position, text, TEXT_COLOR, font, spacing=4)
    return canvas


def encode_png(picture: Image.Image, caption: str = "") -> bytes:
    """Encode a PNG with the caption as its description."""
    info = PngInfo()
    info.add_itxt("Description", caption)
    file = io.BytesIO()
    picture.save(file, "png", pnginfo=info, optimize=True)
    return file.getvalue()


def encode_npy(images: Float[Tensor, "*any"]) -> bytes:
    file = io.BytesIO()
    np.save(file, images.float().cpu().numpy())
    return file.getvalue()


def encode_gif(
    frames: Sequence[Image.Image], seconds: float = 4.0, there_and_back: bool = False
) -> bytes:
    """Encode an endless animation that pauses for a second at its end.

    there_and_back: play it backwards too, with a pause at both ends.
    """
    pauses = {0, len(frames) - 1} if there_and_back else {len(frames) - 1}
    frames = [*frames, *frames[-2:0:-1]] if there_and_back else frames
    duration = max(40, round(1000 * seconds / len(frames)))
    durations = [duration + 1000 * (k in pauses) for k in range(len(frames))]
    file = io.BytesIO()
    first, *rest = frames
    options = {"save_all": True, "append_images": rest, "loop": 0, "optimize": False}
    first.save(file, "gif", duration=durations, **options)
    return file.getvalue()


def check_suffix(path: Path | str, *suffixes: str, option: str = "--out") -> str:
    """Return the path's suffix. Raises: Error if it is none of these.

    Commands call it before they compute anything.
    """
    suffix = Path(path).suffix
    if suffix not in suffixes:
        choices = " or a ".join(suffixes)
        raise Error(f"{option} {path} ends in {suffix or 'nothing'}; give a {choices} file.")
    return suffix


def save(path: Path | str, encoders: Encoders, option: str = "--out") -> Path:
    """Write the file with the encoder of its suffix.

    Raises: Error if the suffix has no encoder or the path cannot be written.
    """
    path, suffix = Path(path).expanduser(), check_suffix(path, *encoders, option=option)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoders[suffix]())
    except OSError as error:
        reason = f"{path} cannot be written ({error.strerror})"
        raise Error(f"{reason}; give another {option}.") from None
    return path
