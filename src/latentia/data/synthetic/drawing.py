"""Anti-aliased filling of shapes in the unit square, a batch at a time.

A shape is a *span*: for each abscissa, the interval (low, high) of y that it covers, y downwards;
empty where high <= low. Coverage is exact along y and averaged over `abscissae` along x. Those are
the same for every size that divides SAMPLES: coverage at 64 is the box average of that at 256.
"""

import numpy as np

from latentia.core.errors import Error

SAMPLES = 1024
Span = tuple[np.ndarray, np.ndarray]  # low, high: (n, abscissae)


def abscissae(size: int) -> np.ndarray:
    """Centres of the sub-columns, a whole number of them to a pixel: at least SAMPLES in [0, 1]."""
    count = -(-SAMPLES // size) * size
    return (np.arange(count) + 0.5) / count


def check(size: int) -> int:
    """The size, if a drawing of so many pixels shows anything."""
    if size < 8:
        raise Error(f"a drawing of {size}x{size} pixels shows nothing; give a size of at least 8.")
    return size


def column(values: np.ndarray | float) -> np.ndarray:
    """(n,) -> (n, 1): one value an image, to stand beside abscissae."""
    return np.atleast_1d(values)[:, None]


def coverage(span: Span, size: int) -> tuple[np.ndarray, tuple[slice, slice, slice]]:
    """The covered fraction of each pixel, and the part of (n, size, size) outside which it is 0."""
    low, high = np.clip(span[0], 0, 1), np.clip(span[1], 0, 1)
    n, count = low.shape
    image, at = np.nonzero(high > low)
    if not len(image):
        return np.zeros((0, 0, 0)), (slice(0), slice(0), slice(0))
    per = count // size
    low, high, x = low[image, at] * size, high[image, at] * size, at // per
    top, bottom = int(low.min()), int(np.ceil(high.max()))
    left, right = int(x.min()), int(x.max()) + 1
    h, w = bottom - top, right - left
    cell = image * (h + 2) * w + (x - left)  # the abscissa's pixel in row `top`; 2 rows of margin
    where, what = [], []
    for edge, sign in ((low - top, 1 / per), (high - top, -1 / per)):
        row = edge.astype(np.int64)
        after = (edge - row) * sign  # an edge covers the rest of its row and all rows after
        where += [cell + row * w, cell + (row + 1) * w]
        what += [sign - after, after]
    steps = np.bincount(np.concatenate(where), np.concatenate(what), minlength=n * (h + 2) * w)
    fraction = steps.reshape(n, h + 2, w).cumsum(1)[:, :h]
    return fraction, (slice(None), slice(top, bottom), slice(left, right))


def paint(canvas: np.ndarray, span: Span, shade: np.ndarray | float, opacity: float = 1.0) -> None:
    """Lay a shape over the canvas (n, h, w), in place; shade and opacity broadcast to it."""
    fraction, window = coverage(span, canvas.shape[-1])
    if fraction.size:
        shade = np.broadcast_to(shade, canvas.shape)[window]
        canvas[window] += fraction * opacity * (shade - canvas[window])


def both(a: Span, b: Span) -> Span:
    """Where both spans cover."""
    return np.maximum(a[0], b[0]), np.minimum(a[1], b[1])


def between(span: Span, x: np.ndarray, left: np.ndarray, right: np.ndarray) -> Span:
    """The part of a span with left < x < right."""
    inside = (x > column(left)) & (x < column(right))
    return span[0], np.where(inside, span[1], span[0])


def polygon(x: np.ndarray, corners: np.ndarray) -> Span:
    """A convex polygon, corners (n, k, 2) in order: the least and largest y over its edges."""
    low, high = np.full((2, len(corners), len(x)), np.inf)
    high = -high
    for p, q in zip(
        np.moveaxis(corners, 1, 0), np.moveaxis(np.roll(corners, -1, 1), 1, 0), strict=True
    ):
        run = q[:, :1] - p[:, :1]
        along = (x - p[:, :1]) / np.where(run == 0, 1, run)  # 0 at p, 1 at q
        y = p[:, 1:] + along * (q[:, 1:] - p[:, 1:])
        crosses = (along >= 0) & (along <= 1) & (run != 0)
        low = np.where(crosses, np.minimum(low, y), low)
        high = np.where(crosses, np.maximum(high, y), high)
    return np.where(high > low, low, 0), np.where(high > low, high, 0)


def segment(x: np.ndarray, p: np.ndarray, q: np.ndarray, width: float) -> Span:
    """A straight stroke from p to q, each (n, 2), with square ends."""
    along = (q - p) / np.linalg.norm(q - p, axis=1, keepdims=True)
    side = along[:, ::-1] * (-width / 2, width / 2)
    return polygon(x, np.stack([p + side, q + side, q - side, p - side], 1))


def ellipse(
    x: np.ndarray,
    centre: np.ndarray,
    radii: tuple[np.ndarray | float, np.ndarray | float],
    turn: np.ndarray | float = 0.0,
) -> Span:
    """An ellipse: centre (n, 2), two radii (n,), turned by `turn` radians (n,).

    Its points solve a y^2 + 2 b y + c = 0, y from the centre, at each abscissa.
    """
    cos, sin = column(np.cos(turn)), column(np.sin(turn))
    across, up = (1 / column(radius) ** 2 for radius in radii)
    dx = x - centre[:, :1]
    a = across * sin**2 + up * cos**2
    b = (across - up) * sin * cos * dx
    c = (across * cos**2 + up * sin**2) * dx**2 - 1
    half = np.sqrt(np.maximum(b**2 - a * c, 0)) / a
    middle = centre[:, 1:] - b / a
    return middle - half, middle + half


def rounded(points: np.ndarray, radius: float = 0.13) -> np.ndarray:
    """A polyline (..., k, 2), ends kept, corners cut at this fraction of their sides and smoothed.

    A pass replaces a corner by two points on its sides; at the quarters it is Chaikin's (1974).
    """
    for cut in (radius, 0.25, 0.25, 0.25):
        p, q = points[..., :-1, :], points[..., 1:, :]
        pair = np.stack([p + cut * (q - p), q - cut * (q - p)], -2)
        pair = pair.reshape(*points.shape[:-2], -1, 2)
        points = np.concatenate([points[..., :1, :], pair, points[..., -1:, :]], -2)
    return points


def to_bytes(canvas: np.ndarray) -> np.ndarray:
    """(n, h, w) in [0, 1] -> (n, 1, h, w) uint8, rounded (trap 16)."""
    return np.rint(canvas.clip(0, 1) * 255).astype(np.uint8)[:, None]
