"""Vehicles: grayscale side views drawn from known factors, for VAEs with something to disentangle.

A picture is a function of its factors alone. Lengths are fractions of the image's width, x runs to
the right and y down in [0, 1]; the vehicle faces left; u and v as in `bodies`.
"""

from itertools import pairwise

import numpy as np

from latentia.core.seeding import BLOCK
from latentia.data.synthetic.blocks import blocks
from latentia.data.synthetic.drawing import (
    Span,
    abscissae,
    between,
    both,
    check,
    column,
    ellipse,
    paint,
    polygon,
    rounded,
    segment,
    to_bytes,
)
from latentia.data.synthetic.vehicle_shapes import STYLES, UNDERSIDE, stacked

GROUND = 0.68
FRAME = 0.011  # between glass and roof
TOGETHER = 8  # images painted at a time, which keeps the canvas in cache; divides BLOCK
FINE = 256  # smaller pictures are painted at a multiple of their size, at least this, and averaged

BODIES = list(STYLES)
RANGES = {
    "length": (0.64, 0.84),  # bumper to bumper
    "roof": (0.85, 1.20),  # height of the cabin, relative to its style's
    "wheel": (0.042, 0.058),  # radius
    "shade": (0.25, 0.90),  # grey of the body
    "position": (-0.06, 0.06),  # of the middle, right of the image's
}
Columns = dict[str, np.ndarray]


def vehicles(
    n: int = 10_000, size: int = 256, seed: int = 0
) -> tuple[np.ndarray, Columns, dict[str, list[str] | None]]:
    """Images (n, 1, size, size) uint8, the factors of each, class names."""
    columns = factors(n, seed)  # of whole blocks
    images = np.empty((n, 1, size, size), np.uint8)
    for first in range(0, n, TOGETHER):
        rows = slice(first, first + TOGETHER)
        drawn = picture({name: values[rows] for name, values in columns.items()}, size)
        images[rows] = drawn[: n - first]
    names = {"body": BODIES, "doors": ["2", "4"], **dict.fromkeys(RANGES)}
    return images, {name: values[:n] for name, values in columns.items()}, names


def factors(n: int, seed: int) -> Columns:
    """Independent and uniform, each (n,), n rounded up to whole blocks."""
    drawn = [
        {
            "body": draw.integers(len(BODIES), size=BLOCK),
            "doors": draw.integers(2, size=BLOCK),
            **{k: draw.uniform(*ends, BLOCK).astype(np.float32) for k, ends in RANGES.items()},
        }
        for _, draw in blocks(n, seed=seed, purpose="vehicles")
    ]
    return {name: np.concatenate([block[name] for block in drawn]) for name in drawn[0]}


def picture(columns: Columns, size: int) -> np.ndarray:
    """One vehicle for each row: (n, 1, size, size) uint8."""
    fold = -(-FINE // check(size))
    canvas = painted(columns, size * fold)
    return to_bytes(canvas.reshape(len(canvas), size, fold, size, fold).mean((2, 4)))


def painted(columns: Columns, size: int) -> np.ndarray:
    """From back to front: (n, size, size) in [0, 1]."""
    length, roof, wheel, shade, position = (columns[k].astype(np.float64) for k in RANGES)
    profile, belt, glass, screen, pillars, doors, axles, slant = stacked(
        columns["body"], columns["doors"]
    )
    x = abscissae(size)
    nose = 0.5 + position - length / 2
    grey = shade[:, None, None]

    def at(u, v) -> np.ndarray:
        """(n, 2): the image's point for a point of each vehicle."""
        return np.stack([nose + u * length, np.broadcast_to(GROUND - v, nose.shape)], 1)

    def stroke(points: list[np.ndarray], width: float, tone, opacity: float = 1.0) -> None:
        for a, b in pairwise(points):
            paint(canvas, segment(x, a, b, width), tone, opacity)

    canvas = backdrop(size, nose, length)

    # Body: an outline in a darker tone, then the panels inside it; the roof is above the belt.
    u, v = profile[..., 0], profile[..., 1]
    v = np.where(v > column(belt), column(belt) + (v - column(belt)) * column(roof), v)
    ridge = np.stack([column(nose) + u * column(length), GROUND - v], -1)
    top = outline(x, rounded(ridge))
    bottom = outline(x, rounded(np.stack([at(u, v) for u, v in UNDERSIDE], 1)))
    slope = np.gradient(top, x, axis=1)
    steep = np.minimum(np.hypot(1, slope), 4)  # height of an edge of unit thickness
    tail = nose + length
    paint(canvas, between((top, bottom), x, nose, tail), 0.45 * grey)
    panels = between((top + 0.0035 * steep, bottom - 0.003), x, nose + 0.0035, tail - 0.0035)
    rows = GROUND - (np.arange(size) + 0.5) / size  # v of each row of pixels
    paint(canvas, panels, np.minimum(grey * light(rows)[:, None], 0.99))
    width = np.where(abs(slope) < 1.5, 0.005, 0)
    paint(canvas, both((top + 0.007 * steep, top + (0.007 + width) * steep), panels), 1.0, 0.28)
    stroke([at(0.03, 0.118), at(0.97, 0.124)], 0.0035, 0.5 * grey, 0.55)  # the crease of the side
    stroke([at(0.03, 0.114), at(0.97, 0.120)], 0.0030, 1.0, 0.22)
    paint(canvas, both((np.full_like(top, GROUND - 0.062), bottom), panels), 0.14)  # plinth

    # Glass: what lies between belt and roof, with a sheen; the pillars stand on it.
    waist = np.broadcast_to(column(GROUND - belt - 0.004), top.shape)
    pane = both((top + FRAME * steep, waist), panels)
    pane = between(pane, x, nose + glass[:, 0] * length, nose + glass[:, 1] * length)
    paint(canvas, pane, 0.16)
    foot, head = screen.T
    slab = [at(head + du, v) for du, v in ((0.06, 0.4), (0.13, 0.4), (0.03, 0.1), (-0.04, 0.1))]
    paint(canvas, both(polygon(x, np.stack(slab, 1)), pane), 0.60, 0.45)
    crown = v.max(1)
    for a, b, width in (
        (foot, head, 0.009),
        *((pillar, pillar + slant, 0.012) for pillar in pillars.T),
    ):
        post = segment(x, at(a, belt), at(b, crown), width)
        paint(canvas, both(post, (top + 0.004 * steep, bottom)), 0.85 * grey)

    # Doors, handles, mirror, lamps.
    last = np.where(doors < 1, doors, 0).max(1)
    for k, edge in enumerate(doors.T):
        bow = np.where(edge == last, 0.012, -0.004)
        seam = [at(edge, belt), at(edge + bow, 0.105), at(edge, 0.064)]
        stroke(seam, 0.0036, 0.35 * grey, 0.8)
        if k:
            grip = belt - 0.017
            stroke([at(edge - 0.052, grip), at(edge - 0.014, grip)], 0.0075, 0.30 * grey)
            grip = grip + 0.002
            stroke([at(edge - 0.050, grip), at(edge - 0.016, grip)], 0.0028, 0.95, 0.7)
    stroke([at(doors[:, 0], 0.064), at(last, 0.064)], 0.0030, 0.35 * grey, 0.8)
    paint(canvas, ellipse(x, at(foot + 0.028, belt + 0.010), (0.0125, 0.0095)), 0.5 * grey)
    for end, drop, radii, tone in (
        (0.030, 0.016, (0.020, 0.0085), 0.97),
        (0.976, 0.024, (0.014, 0.0120), 0.30),
    ):
        height = [np.interp(end, *row.T) for row in profile]
        lamp = ellipse(x, at(end, np.minimum(height, belt) - drop), radii)
        paint(canvas, both(lamp, panels), tone)

    # Wheels roll without slipping: their angle follows from the position.
    for axle in axles.T:
        wheels(canvas, x, at(axle, wheel), wheel, -position / wheel, bottom)
    return canvas


def outline(x: np.ndarray, points: np.ndarray) -> np.ndarray:
    """y of each polyline (n, k, 2) at the abscissae: (n, abscissae)."""
    return np.stack([np.interp(x, *line.T) for line in points])


def light(v: np.ndarray) -> np.ndarray:
    """How the side of a body reflects sky, horizon and road, by height."""
    return np.interp(
        v, (0.04, 0.075, 0.112, 0.116, 0.15, 0.20, 0.32), (0.62, 0.80, 0.86, 1.0, 1.06, 1.10, 1.16)
    )


def backdrop(size: int, nose: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Sky, ground and the soft shadow under each vehicle: (n, size, size)."""
    at = (np.arange(size) + 0.5) / size
    sky = np.interp(at, (0, 0.60, 0.66, 1), (0.97, 0.90, 0.80, 0.86))
    along = (at - (nose + length / 2)[:, None]) / (0.53 * length[:, None])
    down = (at - GROUND - 0.002) / 0.020
    shadow = np.exp(-(along**6))[:, None] * np.exp(-(down**2))[:, None]
    return sky[:, None] * (1 - 0.72 * shadow)


def wheels(
    canvas: np.ndarray,
    x: np.ndarray,
    hub: np.ndarray,
    radius: np.ndarray,
    angle: np.ndarray,
    bottom: np.ndarray,
) -> None:
    """One wheel in its arch, hub (n, 2): tyre, rim with five spokes, cap."""

    def disc(fraction: float) -> Span:
        return ellipse(x, hub, (radius * fraction, radius * fraction))

    arch = disc(1.15)
    paint(canvas, (arch[0], np.minimum(arch[1], bottom)), 0.05)
    for fraction, tone in ((1.0, 0.10), (0.90, 0.17), (0.70, 0.84), (0.60, 0.22)):
        paint(canvas, disc(fraction), tone)
    for spoke in range(5):
        turn = angle + 2 * np.pi * spoke / 5
        out = np.stack([np.cos(turn), np.sin(turn)], 1)
        across = out[:, ::-1] * (-1, 1)
        thick, thin, far = 0.13 * radius[:, None], 0.08 * radius[:, None], 0.64 * radius[:, None]
        foot, tip = hub + 0.08 * radius[:, None] * out, hub + far * out
        corners = [
            foot + thick * across,
            tip + thin * across,
            tip - thin * across,
            foot - thick * across,
        ]
        paint(canvas, polygon(x, np.stack(corners, 1)), 0.80)
    paint(canvas, disc(0.20), 0.88)
    paint(canvas, disc(0.09), 0.30)
