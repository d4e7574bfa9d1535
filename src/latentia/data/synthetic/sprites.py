"""Sprites: white shapes on black with five independent factors, drawn on the fly, anti-aliased.

The factors are those of dSprites (Matthey, Higgins, Hassabis & Lerchner 2017): 3 shapes, 6 scales,
40 orientations, 32 positions along x and y. Here the orientations are 40 different angles
(dSprites' last is its first), no sprite touches the border, and edges are grey.
"""

import numpy as np

from latentia.core.seeding import BLOCK
from latentia.data.synthetic.blocks import blocks
from latentia.data.synthetic.drawing import abscissae, check, ellipse, paint, polygon, to_bytes

SHAPES = ["square", "ellipse", "heart"]
VALUES = {
    "scale": np.linspace(0.5, 1, 6, dtype=np.float32),
    "orientation": (2 * np.pi * np.arange(40) / 40).astype(np.float32),  # radians, clockwise
    "x": np.linspace(0.22, 0.78, 32, dtype=np.float32),  # of the centre, in image widths
    "y": np.linspace(0.22, 0.78, 32, dtype=np.float32),  # downwards
}
REACH = 0.2  # from the centre to the farthest point, at scale 1


def sprites(
    n: int = 20_000, size: int = 64, seed: int = 0
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, list[str] | None]]:
    """Images (n, 1, size, size) uint8; the factors' values, each (n,); class names."""
    images = np.empty((n, 1, check(size), size), np.uint8)
    columns = {"shape": np.empty(n, np.int64), **{k: np.empty(n, np.float32) for k in VALUES}}
    for rows, draw in blocks(n, seed=seed, purpose="sprites"):
        shape = draw.integers(len(SHAPES), size=BLOCK)
        values = {name: draw.choice(levels, BLOCK) for name, levels in VALUES.items()}
        count = rows.stop - rows.start
        images[rows] = picture(shape, size=size, **values)[:count]
        for name, value in {"shape": shape, **values}.items():
            columns[name][rows] = value[:count]
    return images, columns, {"shape": SHAPES, **dict.fromkeys(VALUES)}


def picture(
    shape: np.ndarray,
    scale: np.ndarray,
    orientation: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    size: int,
) -> np.ndarray:
    """One sprite for each row: (n, 1, size, size) uint8."""
    at = abscissae(size)
    canvas = np.zeros((len(shape), size, size))
    for kind in range(len(SHAPES)):
        rows = np.flatnonzero(shape == kind)
        reach, turn = REACH * scale[rows].astype(np.float64), orientation[rows].astype(np.float64)
        centre = np.stack([x[rows], y[rows]], 1).astype(np.float64)
        white = canvas[rows]
        if kind == 1:
            paint(white, ellipse(at, centre, (reach, reach / 2), turn), 1.0)
        else:
            # The square's corners lie at its reach. A heart is a square on its corner, 1 / sqrt(2)
            # as large, with a disc on the middle of each upper side: these reach as far.
            half = reach if kind == 0 else reach / np.sqrt(2)
            tilt = turn + (np.pi / 4 if kind == 0 else 0)
            corners = [radial(centre, half, tilt + k * np.pi / 2) for k in range(4)]
            paint(white, polygon(at, np.stack(corners, 1)), 1.0)
            for side in (-3, -1) if kind == 2 else ():
                middle = radial(centre, reach / 2, turn + side * np.pi / 4)
                paint(white, ellipse(at, middle, (reach / 2, reach / 2)), 1.0)
        canvas[rows] = white
    return to_bytes(canvas)


def radial(centre: np.ndarray, distance: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The point (n, 2) at a distance (n,) from the centre."""
    return centre + distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
