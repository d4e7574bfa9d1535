"""Grids of images with a caption, and their files: PNG, GIF, npy, npz and folders."""

import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from latentia.core.errors import Error, catch_write_errors
from latentia.core.folders import fill_folder, is_free
from latentia.core.tensors import to_bytes, to_display_channels
from latentia.latents.thumbnails import to_pillow
from latentia.training.checkpoint import atomic_path

# content of a file, by suffix; under FOLDER the content of each file of a folder, by name
Encoders = dict[str, Callable[[], Any]]
FOLDER = "/"
SINGLE_IMAGES = (".png", ".npy", ".npz", FOLDER)  # of outputs with one image each
RUN_FILES = ("run.json", "evaluation.json")  # which no command overwrites with its output

# pixels: least longer side of a tile, distance between tiles, height of text
MIN_TILE_SIDE, GAP, TEXT_SIZE = 56, 2, 12
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

    labels_below: lines for each image. row_labels: lines for each row, on its left. min_side:
    least pixels of a tile's longer side. An image of NaN is left blank. Of more than 3 channels
    the first three are shown, of 2 their mean.
    """
    _, _, h, w = images.shape
    tiles = to_bytes(to_display_channels(images).nan_to_num(1.0)).permute(0, 2, 3, 1).numpy()
    zoom = max(1, math.ceil(min_side / max(h, w)))
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    n, height, width, channels = tiles.shape
    font = load_font()
    below = [label.splitlines() for label in labels_below]
    text_width = max((font.getlength(line) for lines in below for line in lines), default=0)
    slot, line_height = max(width, math.ceil(text_width) + 4), TEXT_SIZE + 4
    text_height = max(map(len, below), default=0) * line_height
    dy, dx = height + GAP + text_height + 2 * bool(text_height), slot + GAP
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
    for label, (top, left) in zip(below, corners, strict=False):
        for k, line in enumerate(label):
            position = (left + slot / 2, top + height + 2 + k * line_height)
            drawing.text(position, line, TEXT_COLOR, font, anchor="ma")
    for row, text in enumerate(row_labels):
        position = (4, GAP + row * dy + height / 2)
        drawing.multiline_text(position, text, TEXT_COLOR, font, anchor="lm", spacing=3)
    return _add_caption(picture, caption) if caption else picture


@cache
def load_font() -> ImageFont.FreeTypeFont:
    """Return matplotlib's font; that of Pillow has no letter beyond ASCII."""
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), TEXT_SIZE)


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
    font = load_font()
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


def encode_npz(images: Float[Tensor, "n c h w"], labels: Sequence[str]) -> bytes:
    """Encode the images as x, and their labels as y, as data of a training have them."""
    file = io.BytesIO()
    arrays = {"x": images.float().cpu().numpy()} | ({"y": np.array(labels)} if labels else {})
    np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    return file.getvalue()


def encode_files(
    images: Float[Tensor, "n c h w"], caption: str, column: str, labels: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    """Yield 0000.png, ... in the images' own size, and metadata.csv if they have labels.

    Raises: Error if images have neither 1 nor 3 channels
    """
    if images.shape[1] not in (1, 3):
        raise Error(f"PNG holds no image of {images.shape[1]} channels; give --out a .npz file.")
    names = [f"{k:04}.png" for k in range(len(images))]
    for name, image in zip(names, images, strict=True):
        yield name, encode_png(to_pillow(image[None])[0], caption)
    if labels:
        table = pd.DataFrame({"file_name": names, column: labels})
        yield "metadata.csv", table.to_csv(index=False, lineterminator="\n").encode()


def encode_gif(frames: Sequence[Image.Image], there_and_back: bool = False) -> bytes:
    """Encode an endless animation of 4 seconds that pauses for a second at its end.

    there_and_back: play it backwards too, with a pause at both ends.
    """
    pauses = {0, len(frames) - 1} if there_and_back else {len(frames) - 1}
    frames = [*frames, *frames[-2:0:-1]] if there_and_back else frames
    duration = max(40, round(4000 / len(frames)))
    durations = [duration + 1000 * (k in pauses) for k in range(len(frames))]
    file = io.BytesIO()
    first, *rest = frames
    options = {"save_all": True, "append_images": rest, "loop": 0, "optimize": False}
    first.save(file, "gif", duration=durations, **options)
    return file.getvalue()


def check_output(path: Path | str, *suffixes: str, option: str = "--out") -> str:
    """Return the path's suffix, or FOLDER for a folder.

    Commands call it before they compute anything.

    Raises: Error if it is none of these, or the folder has files
    """
    is_folder = str(path).endswith(("/", os.sep)) or Path(path).expanduser().is_dir()
    suffix = FOLDER if is_folder else Path(path).suffix
    if suffix not in suffixes:
        ending = "is a folder" if is_folder else f"ends in {suffix or 'nothing'}"
        choices = " or a ".join(name for name in suffixes if name != FOLDER)
        folder = ", or a folder, such as samples/" if FOLDER in suffixes else ""
        raise Error(f"{option} {path} {ending}; give a {choices} file{folder}.")
    if Path(path).name in RUN_FILES:
        raise Error(f"{option} {path} is the name of a run's own file; give another name.")
    if is_folder and not is_free(Path(path).expanduser()):
        raise Error(f"{option} {path} has files, which are never overwritten; give a new folder.")
    return suffix


def save(path: Path | str, encoders: Encoders, option: str = "--out") -> Path:
    """Write the file with the encoder of its suffix, or the files of a folder.

    Raises: Error if the suffix has no encoder, the folder has files or the path cannot be written.
    """
    suffix, path = check_output(path, *encoders, option=option), Path(path).expanduser()
    content = encoders[suffix]()
    advice = f"give another {option}"
    if suffix == FOLDER:
        with fill_folder(path, advice) as folder:
            for name, data in content:
                (folder / name).write_bytes(data)
        return path
    with catch_write_errors(path, advice):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            part.write_bytes(content)
    return path
