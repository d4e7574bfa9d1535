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
from latentia.core.tensors import displayable, to_bytes

TILE, GAP, TEXT = 56, 2, 13  # pixels: the least side of a tile, between tiles, of the caption


def lay(
    images: Float[Tensor, "n c h w"],
    columns: int,
    caption: str,
    *,
    under: Sequence[str] = (),
    beside: Sequence[str] = (),
    least: int = TILE,
) -> Image.Image:
    """Images row by row, enlarged by whole factors so that no pixel is blurred.

    under: a line for each image; beside: lines for each row; least: pixels of a tile's longer side.
    An image of NaN is an empty place. Of images with other than 1 or 3 channels the first three are
    shown, or the mean of two.
    """
    n, _, h, w = images.shape
    tiles = to_bytes(displayable(images).nan_to_num(1.0)).permute(0, 2, 3, 1).numpy()
    zoom = max(1, math.ceil(least / max(h, w)))
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    font = ImageFont.load_default(TEXT)
    widest = max((font.getlength(text) for text in under), default=0)
    slot = max(tiles.shape[2], math.ceil(widest) + 4)
    high, wide = tiles.shape[1] + GAP + (TEXT + 6 if under else 0), slot + GAP
    lines = [line for text in beside for line in text.splitlines()]
    margin = max((math.ceil(font.getlength(line)) + 10 for line in lines), default=0)
    rows = math.ceil(n / columns)
    size = (rows * high + GAP, margin + columns * wide + GAP, tiles.shape[3])
    sheet = np.full(size, 255, np.uint8)
    inset = (slot - tiles.shape[2]) // 2
    for k, tile in enumerate(tiles):
        top, left = GAP + (k // columns) * high, margin + GAP + (k % columns) * wide + inset
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    picture = Image.fromarray(sheet[:, :, 0] if sheet.shape[2] == 1 else sheet)
    draw, ink = ImageDraw.Draw(picture), _grey(picture)
    for k, text in enumerate(under):
        at = margin + GAP + (k % columns) * wide + slot / 2
        foot = GAP + (k // columns) * high + tiles.shape[1] + 2
        draw.text((at, foot), text, fill=ink, font=font, anchor="ma")
    for row, text in enumerate(beside):
        middle = GAP + row * high + tiles.shape[1] / 2
        draw.multiline_text((4, middle), text, fill=ink, font=font, anchor="lm", spacing=3)
    return _with_caption(picture, caption) if caption else picture


def _grey(picture: Image.Image, level: int = 60) -> int | tuple[int, ...]:
    return level if picture.mode == "L" else (level,) * 3


def columns_for(n: int) -> int:
    """Columns that fill every row, if any do, and make the sheet 1.5 times as wide."""
    wanted = 1.5 * n**0.5
    whole = [c for c in range(1, n + 1) if n % c == 0 and 0.6 * wanted < c < 1.7 * wanted]
    return min(whole, key=lambda c: abs(c - wanted), default=max(1, round(wanted)))


def _with_caption(picture: Image.Image, caption: str) -> Image.Image:
    font = ImageFont.load_default(TEXT)
    words, lines = caption.split(" "), [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= picture.width - 8 or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    band = len(lines) * (TEXT + 4) + 4
    white = _grey(picture, 255)
    sheet = Image.new(picture.mode, (picture.width, picture.height + band), white)
    sheet.paste(picture)
    ImageDraw.Draw(sheet).multiline_text(
        (4, picture.height + 2),
        "\n".join(lines),
        fill=_grey(picture),
        font=font,
        spacing=4,
    )
    return sheet


def png(picture: Image.Image, caption: str = "") -> bytes:
    """PNG with the caption as its description."""
    about = PngInfo()
    about.add_itxt("Description", caption)
    file = io.BytesIO()
    picture.save(file, "png", pnginfo=about, optimize=True)
    return file.getvalue()


def npy(images: Float[Tensor, "*any"]) -> bytes:
    file = io.BytesIO()
    np.save(file, images.float().cpu().numpy())
    return file.getvalue()


def gif(frames: Sequence[Image.Image], seconds: float = 4.0, back: bool = False) -> bytes:
    """An endless animation, there and `back` if so; it rests for a second where it turns."""
    turns = {0, len(frames) - 1} if back else {len(frames) - 1}
    frames = [*frames, *frames[-2:0:-1]] if back else frames
    each = max(40, round(1000 * seconds / len(frames)))
    times = [each + 1000 * (k in turns) for k in range(len(frames))]
    file = io.BytesIO()
    first, *rest = frames
    first.save(
        file, "gif", save_all=True, append_images=rest, duration=times, loop=0, optimize=False
    )
    return file.getvalue()


def ending(path: Path | str, *kinds: str) -> str:
    """What the path ends in; commands ask before they work.

    Raises: Error if it is none of these.
    """
    found = Path(path).suffix
    if found not in kinds:
        allowed = " or a ".join(kinds)
        raise Error(f"--out {path} ends in {found or 'nothing'}; give a {allowed} file.")
    return found


def put(path: Path | str, kinds: dict[str, Callable[[], bytes]]) -> Path:
    """Writes what the path's ending asks for.

    Raises: Error if it asks for something else or the path can't be written.
    """
    path, kind = Path(path), ending(path, *kinds)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kinds[kind]())
    except OSError as problem:
        raise Error(f"{path} cannot be written ({problem.strerror}); give another --out.") from None
    return path
