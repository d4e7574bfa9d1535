"""Map of a column of the table of latents over an image that was cut into tiles."""

from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from latentia.core.text import pluralize
from latentia.data.reading import Tiling
from latentia.data.tiles import list_corners
from latentia.report.figures import make_encoders, make_panels
from latentia.report.latent_figures import CAPTION_STYLE
from latentia.report.rendered_images import RenderedImages

SHOWN_SIDE = 1200  # pixels of the longer side of a picture, at most
MAX_NAMED = 400  # tiles that show the name of their class


def render_map(
    caption: str,
    image: np.ndarray,
    column: tuple[np.ndarray, list[str] | None],
    corners: np.ndarray,
    tiling: Tiling,
) -> RenderedImages:
    """Show an image (c, h, w), and a column of its tiles over it; corners: (n, 2).

    column: numbers (n,), or codes and the names of classes; NaN where there is no value. The
    `images` of the result are the map (1, h, w), of every k-th pixel if the image is large.
    """
    values, classes = column
    step = -(-max(image.shape[1:]) // SHOWN_SIDE)
    pixels = spread_values(values, corners, image.shape[1:], tiling, step)
    n_empty = len(list_corners(image.shape[1:], tiling)) - len(corners)
    count, side = pluralize(len(corners), "tile"), tiling.size
    caption += f" of {count} of {side}x{side} pixels"
    caption += f"; blank: {pluralize(n_empty, 'empty tile')}" if n_empty else ""
    figure = draw_map(caption, image[:, ::step, ::step].transpose(1, 2, 0), pixels, classes)
    if classes and len(corners) <= MAX_NAMED:  # the colour is not the only difference
        style: Any = {"size": 5, "ha": "center", "va": "center"}
        for (y, x), value in zip((corners + side / 2) / step, values, strict=True):
            figure.axes[1].text(x, y, "" if np.isnan(value) else classes[int(value)][:8], **style)
    return RenderedImages(torch.from_numpy(pixels)[None], make_encoders(figure), caption)


def spread_values(
    values: np.ndarray, corners: np.ndarray, shape: Any, tiling: Tiling, step: int = 1
) -> np.ndarray:
    """Give each pixel of an image (h, w) the value of the tile whose centre is nearest.

    A pixel whose tile has no value is NaN. step: only every step-th pixel is returned.
    """
    starts = [np.unique(side) for side in zip(*list_corners(shape, tiling), strict=True)]
    grid = np.full([len(side) for side in starts], np.nan)
    grid[tuple(map(np.searchsorted, starts, corners.T))] = values
    nearest = [
        abs(np.arange(0, n, step)[:, None] + 0.5 - tiling.size / 2 - side).argmin(1)
        for n, side in zip(shape, starts, strict=True)
    ]
    return grid[np.ix_(*nearest)]


def draw_map(
    caption: str, image: np.ndarray, pixels: np.ndarray, classes: list[str] | None
) -> Figure:
    """Draw an image (h, w, c), and beside it a map (h, w) over it, with a scale of colours."""
    height = 4.6 * min(1.5, image.shape[0] / image.shape[1]) + 0.6
    palette, options = colormaps["viridis"], {}
    if classes:
        palette = ListedColormap([colormaps["tab10"](k % 10) for k in range(len(classes))])
        options: Any = {"vmin": -0.5, "vmax": len(classes) - 0.5}
    with make_panels(2, 4.6, height) as (figure, axes):
        grey = image.mean(2)
        for axis, base in zip(axes, (image if image.shape[2] == 3 else grey, grey), strict=True):
            axis.imshow(base, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.axis("off")
        options |= {"alpha": 0.5, "interpolation": "nearest"}
        mappable = axes[1].imshow(pixels, cmap=palette, **options)
        bar = figure.colorbar(mappable, ax=axes[1], shrink=0.9, aspect=30, pad=0.01)
        bar.solids.set(alpha=1)  # pyright: ignore[reportOptionalMemberAccess]
        if classes:
            bar.set_ticks(range(len(classes)), labels=classes)
        figure.suptitle(caption, **CAPTION_STYLE)
        return figure
