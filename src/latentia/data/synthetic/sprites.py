"""Sprites: white shapes on black with five independent factors, anti-aliased.

The factors are those of dSprites (Matthey, Higgins, Hassabis & Lerchner 2017): 3 shapes, 6 scales,
40 orientations, 32 positions along x and y. Here the orientations are 40 different angles
(dSprites' last is its first), no sprite touches the border, and edges are grey.
"""

import numpy as np

from latentia.core.seeding import BLOCK_ROWS
from latentia.data.reader import Columns
from latentia.data.synthetic import drawing
from latentia.data.synthetic.blocks import SyntheticImages, iterate_blocks
from latentia.data.synthetic.drawing import ellipse_span, paint_span, polygon_span

SHAPES = ["square", "ellipse", "heart"]
FACTOR_VALUES = {
    "scale": np.linspace(0.5, 1, 6, dtype=np.float32),
    "orientation": (2 * np.pi * np.arange(40) / 40).astype(np.float32),  # radians, clockwise
    "x": np.linspace(0.22, 0.78, 32, dtype=np.float32),  # of the centre, in image widths
    "y": np.linspace(0.22, 0.78, 32, dtype=np.float32),  # downwards
}
MAX_RADIUS = 0.2  # from the centre to the farthest point, at scale 1


def make_sprites(n: int = 20_000, size: int = 64, seed: int = 0) -> SyntheticImages:
    """Draw sprites of random factors.

    Parameters
    ----------
    n : int
        number of images
    size : int
        pixels of a side
    seed : int
        seed of the factors

    Returns
    -------
    tuple
        images (n, 1, size, size) uint8, columns of factors by name, and class names by column

    Raises
    ------
    Error
        if size is too small

    Examples
    --------
    >>> import latentia
    >>> images, columns, classes = latentia.make_sprites(3, size=32)
    >>> images.shape
    (3, 1, 32, 32)
    """
    images = np.empty((n, 1, drawing.check_size(size), size), np.uint8)
    columns = {name: np.empty(n, np.float32) for name in FACTOR_VALUES}
    columns = {"shape": np.empty(n, np.int64), **columns}
    for rows, rng in iterate_blocks(n, seed=seed, purpose="sprites"):
        shape = rng.integers(len(SHAPES), size=BLOCK_ROWS)
        values = {name: rng.choice(levels, BLOCK_ROWS) for name, levels in FACTOR_VALUES.items()}
        block, count = {"shape": shape, **values}, rows.stop - rows.start
        images[rows] = draw_sprites(block, size)[:count]
        for name, value in block.items():
            columns[name][rows] = value[:count]
    return images, columns, {"shape": SHAPES, **dict.fromkeys(FACTOR_VALUES)}


def draw_sprites(columns: Columns, size: int) -> np.ndarray:
    """Draw one sprite for each row of the factors: (n, 1, size, size) uint8."""
    shape, scale, orientation, x, y = (columns[k] for k in ("shape", *FACTOR_VALUES))
    grid = drawing.abscissae(size)
    canvas = np.zeros((len(shape), size, size))
    for number, name in enumerate(SHAPES):
        rows = np.flatnonzero(shape == number)
        radius = MAX_RADIUS * scale[rows].astype(np.float64)
        angle = orientation[rows].astype(np.float64)
        center = np.stack([x[rows], y[rows]], 1).astype(np.float64)
        sprites = canvas[rows]
        if name == "ellipse":
            paint_span(sprites, ellipse_span(grid, center, (radius, radius / 2), angle), 1.0)
        else:
            # The square's corners lie at the radius. A heart is a square on its corner, 1 / sqrt(2)
            # as large, with a disc on the middle of each upper side, which reaches as far.
            half = radius if name == "square" else radius / np.sqrt(2)
            tilt = angle + (np.pi / 4 if name == "square" else 0)
            corners = [polar_point(center, half, tilt + k * np.pi / 2) for k in range(4)]
            paint_span(sprites, polygon_span(grid, np.stack(corners, 1)), 1.0)
            for side in (-3, -1) if name == "heart" else ():
                middle = polar_point(center, radius / 2, angle + side * np.pi / 4)
                paint_span(sprites, ellipse_span(grid, middle, (radius / 2, radius / 2)), 1.0)
        canvas[rows] = sprites
    return drawing.to_uint8_images(canvas)


def polar_point(center: np.ndarray, distance: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Point (n, 2) at a distance (n,) and an angle (n,) from the centre."""
    return center + distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
