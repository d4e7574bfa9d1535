"""Vehicles: grayscale side views drawn from known factors, for VAEs with something to disentangle.

A picture is a function of its factors alone. Lengths are fractions of the image's width, x runs to
the right and y down in [0, 1]; the vehicle faces left; u and v as in `bodies`.
"""

from itertools import pairwise

import numpy as np

from latentia.core.seeding import BLOCK_ROWS
from latentia.data.synthetic.blocks import iterate_blocks
from latentia.data.synthetic.drawing import (
    Span,
    abscissae,
    as_column,
    check_size,
    ellipse_span,
    intersect_spans,
    paint_span,
    polygon_span,
    restrict_span,
    round_corners,
    segment_span,
    to_uint8_images,
)
from latentia.data.synthetic.vehicle_shapes import STYLES, UNDERSIDE, stack_styles

GROUND_Y = 0.68
ROOF_FRAME = 0.011  # between glass and roof
IMAGES_PER_CHUNK = 8  # images painted at a time, which keeps the canvas in cache; divides BLOCK
MIN_CANVAS_SIZE = (
    256  # smaller pictures are painted at a multiple of their size, at least this, and averaged
)

BODY_NAMES = list(STYLES)
FACTOR_RANGES = {
    "length": (0.64, 0.84),  # bumper to bumper
    "roof": (0.85, 1.20),  # height of the cabin, relative to its style's
    "wheel": (0.042, 0.058),  # radius
    "shade": (0.25, 0.90),  # grey of the body
    "position": (-0.06, 0.06),  # of the middle, right of the image's
}
FactorColumns = dict[str, np.ndarray]


def vehicles(
    n: int = 10_000, size: int = 256, seed: int = 0
) -> tuple[np.ndarray, FactorColumns, dict[str, list[str] | None]]:
    """Images (n, 1, size, size) uint8, the factors of each, class names."""
    columns = draw_factors(n, seed)  # of whole blocks
    images = np.empty((n, 1, size, size), np.uint8)
    for start in range(0, n, IMAGES_PER_CHUNK):
        rows = slice(start, start + IMAGES_PER_CHUNK)
        chunk_images = draw_vehicles({name: values[rows] for name, values in columns.items()}, size)
        images[rows] = chunk_images[: n - start]
    class_names = {"body": BODY_NAMES, "doors": ["2", "4"], **dict.fromkeys(FACTOR_RANGES)}
    return images, {name: values[:n] for name, values in columns.items()}, class_names


def draw_factors(n: int, seed: int) -> FactorColumns:
    """Independent and uniform, each (n,), n rounded up to whole blocks."""
    factor_blocks = [
        {
            "body": rng.integers(len(BODY_NAMES), size=BLOCK_ROWS),
            "doors": rng.integers(2, size=BLOCK_ROWS),
            **{
                k: rng.uniform(*ends, BLOCK_ROWS).astype(np.float32)
                for k, ends in FACTOR_RANGES.items()
            },
        }
        for _, rng in iterate_blocks(n, seed=seed, purpose="vehicles")
    ]
    return {
        name: np.concatenate([block[name] for block in factor_blocks]) for name in factor_blocks[0]
    }


def draw_vehicles(columns: FactorColumns, size: int) -> np.ndarray:
    """One vehicle for each row: (n, 1, size, size) uint8."""
    oversampling = -(-MIN_CANVAS_SIZE // check_size(size))
    canvas = paint_vehicles(columns, size * oversampling)
    return to_uint8_images(
        canvas.reshape(len(canvas), size, oversampling, size, oversampling).mean((2, 4))
    )


def paint_vehicles(columns: FactorColumns, size: int) -> np.ndarray:
    """From back to front: (n, size, size) in [0, 1]."""
    length, roof, wheel, shade, position = (columns[k].astype(np.float64) for k in FACTOR_RANGES)
    profile, belt, glass, screen, pillars, doors, axles, slant = stack_styles(
        columns["body"], columns["doors"]
    )
    x = abscissae(size)
    nose = 0.5 + position - length / 2
    gray = shade[:, None, None]

    def image_point(u, v) -> np.ndarray:
        """(n, 2): the image's point for a point of each vehicle."""
        return np.stack([nose + u * length, np.broadcast_to(GROUND_Y - v, nose.shape)], 1)

    def paint_stroke(points: list[np.ndarray], width: float, tone, opacity: float = 1.0) -> None:
        for start, lamp_u in pairwise(points):
            paint_span(canvas, segment_span(x, start, lamp_u, width), tone, opacity)

    canvas = make_backdrop(size, nose, length)

    # Body: an outline in a darker tone, then the panels inside it; the roof is above the belt.
    u, v = profile[..., 0], profile[..., 1]
    v = np.where(v > as_column(belt), as_column(belt) + (v - as_column(belt)) * as_column(roof), v)
    ridge = np.stack([as_column(nose) + u * as_column(length), GROUND_Y - v], -1)
    top = outline_y(x, round_corners(ridge))
    bottom = outline_y(x, round_corners(np.stack([image_point(u, v) for u, v in UNDERSIDE], 1)))
    slope = np.gradient(top, x, axis=1)
    edge_height = np.minimum(np.hypot(1, slope), 4)  # height of an edge of unit thickness
    tail = nose + length
    paint_span(canvas, restrict_span((top, bottom), x, nose, tail), 0.45 * gray)
    panels = restrict_span(
        (top + 0.0035 * edge_height, bottom - 0.003), x, nose + 0.0035, tail - 0.0035
    )
    row_heights = GROUND_Y - (np.arange(size) + 0.5) / size  # v of each row of pixels
    paint_span(canvas, panels, np.minimum(gray * side_reflectance(row_heights)[:, None], 0.99))
    width = np.where(abs(slope) < 1.5, 0.005, 0)
    paint_span(
        canvas,
        intersect_spans((top + 0.007 * edge_height, top + (0.007 + width) * edge_height), panels),
        1.0,
        0.28,
    )
    paint_stroke(
        [image_point(0.03, 0.118), image_point(0.97, 0.124)], 0.0035, 0.5 * gray, 0.55
    )  # the crease of the side
    paint_stroke([image_point(0.03, 0.114), image_point(0.97, 0.120)], 0.0030, 1.0, 0.22)
    paint_span(
        canvas, intersect_spans((np.full_like(top, GROUND_Y - 0.062), bottom), panels), 0.14
    )  # plinth

    # Glass: what lies between belt and roof, with a sheen; the pillars stand on it.
    waist = np.broadcast_to(as_column(GROUND_Y - belt - 0.004), top.shape)
    pane = intersect_spans((top + ROOF_FRAME * edge_height, waist), panels)
    pane = restrict_span(pane, x, nose + glass[:, 0] * length, nose + glass[:, 1] * length)
    paint_span(canvas, pane, 0.16)
    foot, head = screen.T
    slab = [
        image_point(head + du, v) for du, v in ((0.06, 0.4), (0.13, 0.4), (0.03, 0.1), (-0.04, 0.1))
    ]
    paint_span(canvas, intersect_spans(polygon_span(x, np.stack(slab, 1)), pane), 0.60, 0.45)
    crown = v.max(1)
    for lower_end, upper_end, width in (
        (foot, head, 0.009),
        *((pillar, pillar + slant, 0.012) for pillar in pillars.T),
    ):
        post = segment_span(x, image_point(lower_end, belt), image_point(upper_end, crown), width)
        paint_span(canvas, intersect_spans(post, (top + 0.004 * edge_height, bottom)), 0.85 * gray)

    # Doors, handles, mirror, lamps.
    last_edge = np.where(doors < 1, doors, 0).max(1)
    for k, edge in enumerate(doors.T):
        bow = np.where(edge == last_edge, 0.012, -0.004)
        seam = [image_point(edge, belt), image_point(edge + bow, 0.105), image_point(edge, 0.064)]
        paint_stroke(seam, 0.0036, 0.35 * gray, 0.8)
        if k:
            grip = belt - 0.017
            paint_stroke(
                [image_point(edge - 0.052, grip), image_point(edge - 0.014, grip)],
                0.0075,
                0.30 * gray,
            )
            grip = grip + 0.002
            paint_stroke(
                [image_point(edge - 0.050, grip), image_point(edge - 0.016, grip)],
                0.0028,
                0.95,
                0.7,
            )
    paint_stroke(
        [image_point(doors[:, 0], 0.064), image_point(last_edge, 0.064)], 0.0030, 0.35 * gray, 0.8
    )
    paint_span(
        canvas,
        ellipse_span(x, image_point(foot + 0.028, belt + 0.010), (0.0125, 0.0095)),
        0.5 * gray,
    )
    for lamp_u, drop, radii, tone in (
        (0.030, 0.016, (0.020, 0.0085), 0.97),
        (0.976, 0.024, (0.014, 0.0120), 0.30),
    ):
        height = [np.interp(lamp_u, *row.T) for row in profile]
        lamp = ellipse_span(x, image_point(lamp_u, np.minimum(height, belt) - drop), radii)
        paint_span(canvas, intersect_spans(lamp, panels), tone)

    # Wheels roll without slipping: their angle follows from the position.
    for axle in axles.T:
        paint_wheel(canvas, x, image_point(axle, wheel), wheel, -position / wheel, bottom)
    return canvas


def outline_y(x: np.ndarray, points: np.ndarray) -> np.ndarray:
    """y of each polyline (n, k, 2) at the abscissae: (n, abscissae)."""
    return np.stack([np.interp(x, *line.T) for line in points])


def side_reflectance(v: np.ndarray) -> np.ndarray:
    """How the side of a body reflects sky, horizon and road, by height."""
    return np.interp(
        v, (0.04, 0.075, 0.112, 0.116, 0.15, 0.20, 0.32), (0.62, 0.80, 0.86, 1.0, 1.06, 1.10, 1.16)
    )


def make_backdrop(size: int, nose: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Sky, ground and the soft shadow under each vehicle: (n, size, size)."""
    pixel_centers = (np.arange(size) + 0.5) / size
    sky = np.interp(pixel_centers, (0, 0.60, 0.66, 1), (0.97, 0.90, 0.80, 0.86))
    shadow_x = (pixel_centers - (nose + length / 2)[:, None]) / (0.53 * length[:, None])
    shadow_y = (pixel_centers - GROUND_Y - 0.002) / 0.020
    shadow = np.exp(-(shadow_x**6))[:, None] * np.exp(-(shadow_y**2))[:, None]
    return sky[:, None] * (1 - 0.72 * shadow)


def paint_wheel(
    canvas: np.ndarray,
    x: np.ndarray,
    hub: np.ndarray,
    radius: np.ndarray,
    angle: np.ndarray,
    bottom: np.ndarray,
) -> None:
    """One wheel in its arch, hub (n, 2): tyre, rim with five spokes, cap."""

    def disc_span(fraction: float) -> Span:
        return ellipse_span(x, hub, (radius * fraction, radius * fraction))

    arch = disc_span(1.15)
    paint_span(canvas, (arch[0], np.minimum(arch[1], bottom)), 0.05)
    for fraction, tone in ((1.0, 0.10), (0.90, 0.17), (0.70, 0.84), (0.60, 0.22)):
        paint_span(canvas, disc_span(fraction), tone)
    for spoke in range(5):
        spoke_angle = angle + 2 * np.pi * spoke / 5
        direction = np.stack([np.cos(spoke_angle), np.sin(spoke_angle)], 1)
        normal = direction[:, ::-1] * (-1, 1)
        foot_half_width, tip_half_width, spoke_length = (
            0.13 * radius[:, None],
            0.08 * radius[:, None],
            0.64 * radius[:, None],
        )
        foot, tip = hub + 0.08 * radius[:, None] * direction, hub + spoke_length * direction
        corners = [
            foot + foot_half_width * normal,
            tip + tip_half_width * normal,
            tip - tip_half_width * normal,
            foot - foot_half_width * normal,
        ]
        paint_span(canvas, polygon_span(x, np.stack(corners, 1)), 0.80)
    paint_span(canvas, disc_span(0.20), 0.88)
    paint_span(canvas, disc_span(0.09), 0.30)
