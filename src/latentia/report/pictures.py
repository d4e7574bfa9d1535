"""Grids and strips of images, with a line that says where they come from."""

import io
import math
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.tensors import to_bytes

TILE, GAP, TEXT = 56, 2, 13  # pixels: the least side of a tile, between tiles, of the caption


def lay(images: Float[Tensor, "n c h w"], columns: int, caption: str) -> Image.Image:
    """Images row by row, enlarged by whole factors so that no pixel is blurred.

    Of images with other than 1 or 3 channels the first three are shown, or the mean of two.
    """
    n, c, h, w = images.shape
    shown = images if c in (1, 3) else images[:, :3] if c > 3 else images.mean(1, keepdim=True)
    tiles = to_bytes(shown).permute(0, 2, 3, 1).numpy()
    zoom = max(1, math.ceil(TILE / max(h, w)))
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    high, wide = tiles.shape[1] + GAP, tiles.shape[2] + GAP
    rows = math.ceil(n / columns)
    sheet = np.full((rows * high + GAP, columns * wide + GAP, tiles.shape[3]), 255, np.uint8)
    for k, tile in enumerate(tiles):
        top, left = GAP + (k // columns) * high, GAP + (k % columns) * wide
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    picture = Image.fromarray(sheet[:, :, 0] if sheet.shape[2] == 1 else sheet)
    return _with_caption(picture, caption) if caption else picture


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
    white = 255 if picture.mode == "L" else (255, 255, 255)
    sheet = Image.new(picture.mode, (picture.width, picture.height + band), white)
    sheet.paste(picture)
    ImageDraw.Draw(sheet).multiline_text(
        (4, picture.height + 2),
        "\n".join(lines),
        fill=60 if picture.mode == "L" else (60,) * 3,
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


def write(path: Path | str, images: Float[Tensor, "n c h w"], columns: int, caption: str) -> Path:
    """A picture at the path, or, where it ends in .npy, the images themselves.

    Raises: Error if the path can't be written or its ending is another.
    """
    path = Path(path)
    if path.suffix not in (".png", ".npy"):
        raise Error(f"--out {path} ends in {path.suffix or 'nothing'}; give a .png or a .npy file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy":
            np.save(path, images.float().cpu().numpy())
        else:
            path.write_bytes(png(lay(images, columns, caption), caption))
    except OSError as problem:
        raise Error(f"{path} cannot be written ({problem.strerror}); give another --out.") from None
    return path
