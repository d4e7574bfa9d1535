"""Sprites: white shapes on black with five independent factors, drawn on the fly, anti-aliased.

The factors are those of dSprites (Matthey, Higgins, Hassabis & Lerchner 2017): 3 shapes, 6 scales,
40 orientations, 32 positions along x and y. Here the orientations are 40 different angles
(dSprites' last is its first), no sprite touches the border, and edges are grey.
"""

import numpy as np

from latentia.core.seeding import BLOCK_ROWS
from latentia.data.synthetic.blocks import iterate_blocks
from latentia.data.synthetic.drawing import (
    abscissae,
    check_size,
    ellipse_span,
    paint_span,
    polygon_span,
    to_uint8_images,
)

SHAPES = ["square", "ellipse", "heart"]
FACTOR_VALUES = {
    "scale": np.linspace(0.5, 1, 6, dtype=np.float32),
    "orientation": (2 * np.pi * np.arange(40) / 40).astype(np.float32),  # radians, clockwise
    "x": np.linspace(0.22, 0.78, 32, dtype=np.float32),  # of the centre, in image widths
    "y": np.linspace(0.22, 0.78, 32, dtype=np.float32),  # downwards
}
MAX_RADIUS = 0.2  # from the centre to the farthest point, at scale 1


def sprites(
    n: int = 20_000, size: int = 64, seed: int = 0
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, list[str] | None]]:
    """Images (n, 1, size, size) uint8; the factors' values, each (n,); class names."""
    images = np.empty((n, 1, check_size(size), size), np.uint8)
    columns = {
        "shape": np.empty(n, np.int64),
        **{k: np.empty(n, np.float32) for k in FACTOR_VALUES},
    }
    for rows, rng in iterate_blocks(n, seed=seed, purpose="sprites"):
        shape = rng.integers(len(SHAPES), size=BLOCK_ROWS)
        values = {name: rng.choice(levels, BLOCK_ROWS) for name, levels in FACTOR_VALUES.items()}
        count = rows.stop - rows.start
        images[rows] = draw_sprites(shape, size=size, **values)[:count]
        for name, value in {"shape": shape, **values}.items():
            columns[name][rows] = value[:count]
    return images, columns, {"shape": SHAPES, **dict.fromkeys(FACTOR_VALUES)}


def draw_sprites(
    shape: np.ndarray,
    scale: np.ndarray,
    orientation: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    size: int,
) -> np.ndarray:
    """One sprite for each row: (n, 1, size, size) uint8."""
    sub_columns = abscissae(size)
    canvas = np.zeros((len(shape), size, size))
    for shape_number in range(len(SHAPES)):
        rows = np.flatnonzero(shape == shape_number)
        radius, angle = (
            MAX_RADIUS * scale[rows].astype(np.float64),
            orientation[rows].astype(np.float64),
        )
        center = np.stack([x[rows], y[rows]], 1).astype(np.float64)
        sprite_canvas = canvas[rows]
        if shape_number == 1:
            paint_span(
                sprite_canvas, ellipse_span(sub_columns, center, (radius, radius / 2), angle), 1.0
            )
        else:
            # The square's corners lie at its reach. A heart is a square on its corner, 1 / sqrt(2)
            # as large, with a disc on the middle of each upper side: these reach as far.
            half_diagonal = radius if shape_number == 0 else radius / np.sqrt(2)
            corner_angle = angle + (np.pi / 4 if shape_number == 0 else 0)
            corners = [
                polar_point(center, half_diagonal, corner_angle + k * np.pi / 2) for k in range(4)
            ]
            paint_span(sprite_canvas, polygon_span(sub_columns, np.stack(corners, 1)), 1.0)
            for side in (-3, -1) if shape_number == 2 else ():
                disc_center = polar_point(center, radius / 2, angle + side * np.pi / 4)
                paint_span(
                    sprite_canvas,
                    ellipse_span(sub_columns, disc_center, (radius / 2, radius / 2)),
                    1.0,
                )
        canvas[rows] = sprite_canvas
    return to_uint8_images(canvas)


def polar_point(center: np.ndarray, distance: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The point (n, 2) at a distance (n,) from the centre."""
    return center + distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
