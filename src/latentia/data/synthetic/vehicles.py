"""Vehicles: grayscale side views drawn from known factors, to test disentanglement.

An image is a function of its factors only. Lengths are fractions of the image's width, x runs to
the right and y down in [0, 1]. The vehicle faces left. u and v are those of `vehicle_shapes`.
"""

from functools import partial
from itertools import pairwise

import numpy as np
from numpy import ndarray

from latentia.core.seeding import BLOCK_ROWS
from latentia.data.reader import Columns
from latentia.data.synthetic import drawing
from latentia.data.synthetic.blocks import SyntheticImages, iterate_blocks
from latentia.data.synthetic.drawing import as_column, ellipse_span, intersect_spans, polygon_span
from latentia.data.synthetic.vehicle_shapes import STYLES, UNDERSIDE, stack_styles

GROUND_Y = 0.68
ROOF_FRAME = 0.011  # between glass and roof
IMAGES_PER_CHUNK = 8  # keeps the canvas in the processor's cache; divides BLOCK_ROWS
MIN_CANVAS_SIZE = 256  # smaller images are painted at a multiple of their size and averaged

BODY_NAMES = list(STYLES)
FACTOR_RANGES = {
    "length": (0.64, 0.84),  # bumper to bumper
    "roof": (0.85, 1.20),  # height of the cabin, relative to its style's
    "wheel": (0.042, 0.058),  # radius
    "shade": (0.25, 0.90),  # grey of the body
    "position": (-0.06, 0.06),  # of the middle, right of the image's
}


def make_vehicles(n: int = 10_000, size: int = 256, seed: int = 0) -> SyntheticImages:
    """Draw vehicles of random factors.

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
    >>> images, columns, classes = latentia.make_vehicles(3, size=32)
    >>> images.shape
    (3, 1, 32, 32)
    """
    columns = draw_factors(n, seed)  # of whole blocks
    images = np.empty((n, 1, size, size), np.uint8)
    for start in range(0, n, IMAGES_PER_CHUNK):
        rows = slice(start, start + IMAGES_PER_CHUNK)
        chunk = draw_vehicles({name: values[rows] for name, values in columns.items()}, size)
        images[rows] = chunk[: n - start]
    names = {"body": BODY_NAMES, "doors": ["2", "4"], **dict.fromkeys(FACTOR_RANGES)}
    return images, {name: values[:n] for name, values in columns.items()}, names


def draw_factors(n: int, seed: int) -> Columns:
    """Draw independent uniform factors, each (n,), n rounded up to whole blocks."""
    ranges = FACTOR_RANGES.items()
    blocks = [
        {
            "body": rng.integers(len(BODY_NAMES), size=BLOCK_ROWS),
            "doors": rng.integers(2, size=BLOCK_ROWS),
            **{k: rng.uniform(*ends, BLOCK_ROWS).astype(np.float32) for k, ends in ranges},
        }
        for _, rng in iterate_blocks(n, seed=seed, purpose="vehicles")
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def draw_vehicles(columns: Columns, size: int) -> ndarray:
    """Draw one vehicle for each row: (n, 1, size, size) uint8."""
    factor = -(-MIN_CANVAS_SIZE // drawing.check_size(size))
    canvas = paint_vehicles(columns, size * factor)
    return drawing.to_uint8_images(canvas.reshape(-1, size, factor, size, factor).mean((2, 4)))


def paint_vehicles(columns: Columns, size: int) -> ndarray:
    """Paint from back to front: (n, size, size) in [0, 1]."""
    length, roof, wheel, shade, position = (columns[k].astype(np.float64) for k in FACTOR_RANGES)
    styles = stack_styles(columns["body"], columns["doors"])
    profile, belt, glass, screen, pillars, doors, axles, slant = styles
    x = drawing.abscissae(size)
    nose = 0.5 + position - length / 2
    gray = shade[:, None, None]
    canvas = make_backdrop(size, nose, length)
    paint = partial(drawing.paint_span, canvas)

    def point(u, v) -> ndarray:
        """Image coordinates (n, 2) of a point (u, v) of each vehicle."""
        return np.stack([nose + u * length, np.broadcast_to(GROUND_Y - v, nose.shape)], 1)

    def paint_line(points: list[ndarray], width: float, tone, opacity: float = 1.0) -> None:
        for start, end in pairwise(points):
            paint(drawing.segment_span(x, start, end, width), tone, opacity)

    # Body: an outline in a darker tone, then the panels inside it. The roof is above the belt.
    u, v = profile[..., 0], profile[..., 1]
    v = np.where(v > as_column(belt), as_column(belt) + (v - as_column(belt)) * as_column(roof), v)
    ridge = np.stack([as_column(nose) + u * as_column(length), GROUND_Y - v], -1)
    top = outline_y(x, drawing.round_corners(ridge))
    bottom = outline_y(x, drawing.round_corners(np.stack([point(u, v) for u, v in UNDERSIDE], 1)))
    slope = np.gradient(top, x, axis=1)
    steep = np.minimum(np.hypot(1, slope), 4)  # height of an edge of unit thickness
    tail = nose + length
    paint(drawing.clip_span((top, bottom), x, nose, tail), 0.45 * gray)
    inside = (top + 0.0035 * steep, bottom - 0.003)
    panels = drawing.clip_span(inside, x, nose + 0.0035, tail - 0.0035)
    heights = GROUND_Y - (np.arange(size) + 0.5) / size  # v of each row of pixels
    paint(panels, np.minimum(gray * side_reflectance(heights)[:, None], 0.99))
    width = np.where(abs(slope) < 1.5, 0.005, 0)
    sheen = (top + 0.007 * steep, top + (0.007 + width) * steep)
    paint(intersect_spans(sheen, panels), 1.0, 0.28)
    paint_line([point(0.03, 0.118), point(0.97, 0.124)], 0.0035, 0.5 * gray, 0.55)  # side crease
    paint_line([point(0.03, 0.114), point(0.97, 0.120)], 0.0030, 1.0, 0.22)
    plinth = (np.full_like(top, GROUND_Y - 0.062), bottom)
    paint(intersect_spans(plinth, panels), 0.14)

    # Glass between belt and roof, with a sheen, then the pillars on it.
    waist = np.broadcast_to(as_column(GROUND_Y - belt - 0.004), top.shape)
    pane = intersect_spans((top + ROOF_FRAME * steep, waist), panels)
    pane = drawing.clip_span(pane, x, nose + glass[:, 0] * length, nose + glass[:, 1] * length)
    paint(pane, 0.16)
    foot, head = screen.T
    slab = [point(head + du, v) for du, v in ((0.06, 0.4), (0.13, 0.4), (0.03, 0.1), (-0.04, 0.1))]
    paint(intersect_spans(polygon_span(x, np.stack(slab, 1)), pane), 0.60, 0.45)
    crown = v.max(1)
    posts = [(foot, head, 0.009), *((pillar, pillar + slant, 0.012) for pillar in pillars.T)]
    for low, high, width in posts:
        post = drawing.segment_span(x, point(low, belt), point(high, crown), width)
        paint(intersect_spans(post, (top + 0.004 * steep, bottom)), 0.85 * gray)

    # Doors, handles, mirror, lamps.
    last = np.where(doors < 1, doors, 0).max(1)
    for k, edge in enumerate(doors.T):
        bow = np.where(edge == last, 0.012, -0.004)
        seam = [point(edge, belt), point(edge + bow, 0.105), point(edge, 0.064)]
        paint_line(seam, 0.0036, 0.35 * gray, 0.8)
        if k:
            grip = belt - 0.017
            handle = [point(edge - 0.052, grip), point(edge - 0.014, grip)]
            paint_line(handle, 0.0075, 0.30 * gray)
            grip = grip + 0.002
            paint_line([point(edge - 0.050, grip), point(edge - 0.016, grip)], 0.0028, 0.95, 0.7)
    paint_line([point(doors[:, 0], 0.064), point(last, 0.064)], 0.0030, 0.35 * gray, 0.8)
    mirror = point(foot + 0.028, belt + 0.010)
    paint(ellipse_span(x, mirror, (0.0125, 0.0095)), 0.5 * gray)
    lamps = ((0.030, 0.016, (0.020, 0.0085), 0.97), (0.976, 0.024, (0.014, 0.0120), 0.30))
    for end, drop, radii, tone in lamps:
        height = [np.interp(end, *row.T) for row in profile]
        lamp = ellipse_span(x, point(end, np.minimum(height, belt) - drop), radii)
        paint(intersect_spans(lamp, panels), tone)

    # Wheels roll without slipping: their angle follows from the position.
    for axle in axles.T:
        paint_wheel(canvas, x, point(axle, wheel), wheel, -position / wheel, bottom)
    return canvas


def outline_y(x: ndarray, points: ndarray) -> ndarray:
    """y of each polyline (n, k, 2) at the abscissae: (n, abscissae)."""
    return np.stack([np.interp(x, *line.T) for line in points])


def side_reflectance(v: ndarray) -> ndarray:
    """Reflection of sky, horizon and road on the side of a body, by height."""
    return np.interp(
        v, (0.04, 0.075, 0.112, 0.116, 0.15, 0.20, 0.32), (0.62, 0.80, 0.86, 1.0, 1.06, 1.10, 1.16)
    )


def make_backdrop(size: int, nose: ndarray, length: ndarray) -> ndarray:
    """Draw sky, ground and the soft shadow under each vehicle: (n, size, size)."""
    centers = (np.arange(size) + 0.5) / size
    sky = np.interp(centers, (0, 0.60, 0.66, 1), (0.97, 0.90, 0.80, 0.86))
    dx = (centers - (nose + length / 2)[:, None]) / (0.53 * length[:, None])
    dy = (centers - GROUND_Y - 0.002) / 0.020
    shadow = np.exp(-(dx**6))[:, None] * np.exp(-(dy**2))[:, None]
    return sky[:, None] * (1 - 0.72 * shadow)


def paint_wheel(
    canvas: ndarray, x: ndarray, hub: ndarray, radius: ndarray, angle: ndarray, bottom: ndarray
) -> None:
    """Paint a wheel in its arch, hub (n, 2): tyre, rim with five spokes, cap."""

    def paint_disc(fraction: float, tone: float) -> None:
        drawing.paint_span(
            canvas, ellipse_span(x, hub, (radius * fraction, radius * fraction)), tone
        )

    top, low = ellipse_span(x, hub, (radius * 1.15, radius * 1.15))
    drawing.paint_span(canvas, (top, np.minimum(low, bottom)), 0.05)
    for fraction, tone in ((1.0, 0.10), (0.90, 0.17), (0.70, 0.84), (0.60, 0.22)):
        paint_disc(fraction, tone)
    scale = radius[:, None]
    for spoke in range(5):
        turn = angle + 2 * np.pi * spoke / 5
        along = np.stack([np.cos(turn), np.sin(turn)], 1)
        across = along[:, ::-1] * (-1, 1)
        foot, tip = hub + 0.08 * scale * along, hub + 0.64 * scale * along
        thick, thin = 0.13 * scale * across, 0.08 * scale * across
        corners = [foot + thick, tip + thin, tip - thin, foot - thick]
        drawing.paint_span(canvas, polygon_span(x, np.stack(corners, 1)), 0.80)
    paint_disc(0.20, 0.88)
    paint_disc(0.09, 0.30)
