"""Anti-aliased filling of shapes in the unit square, a batch at a time.

A shape is a *span*: for each abscissa, the interval (low, high) of y that it covers, y downwards;
empty where high <= low. Coverage is exact along y and averaged over `abscissae` along x. The
abscissae are the same for every size that divides MIN_ABSCISSAE, so coverage at 64 is the box
average of coverage at 256.
"""

import numpy as np

from latentia.core.errors import Error

MIN_ABSCISSAE = 1024
Span = tuple[np.ndarray, np.ndarray]  # low, high: (n, abscissae)
Values = np.ndarray | float  # (n,), or one for all


def abscissae(size: int) -> np.ndarray:
    """Return centres of sub-columns in [0, 1], at least MIN_ABSCISSAE, as many in each pixel."""
    count = -(-MIN_ABSCISSAE // size) * size
    return (np.arange(count) + 0.5) / count


def check_size(size: int) -> int:
    """Return the size. Raises: Error if a drawing of so few pixels shows nothing."""
    if size < 8:
        raise Error(f"a drawing of {size}x{size} pixels shows nothing; give a size of at least 8.")
    return size


def as_column(values: Values) -> np.ndarray:
    """Reshape (n,) to (n, 1), so that one value an image broadcasts over abscissae."""
    return np.atleast_1d(values)[:, None]


def pixel_coverage(span: Span, size: int) -> tuple[np.ndarray, tuple[slice, slice, slice]]:
    """Return the covered fraction of pixels in a window of (n, size, size), 0 outside of it."""
    low, high = np.clip(span[0], 0, 1), np.clip(span[1], 0, 1)
    n, count = low.shape
    image, index = np.nonzero(high > low)
    if not len(image):
        return np.zeros((0, 0, 0)), (slice(0), slice(0), slice(0))
    per_pixel = count // size
    low, high, x = low[image, index] * size, high[image, index] * size, index // per_pixel
    top, bottom = int(low.min()), int(np.ceil(high.max()))
    left, right = int(x.min()), int(x.max()) + 1
    h, w = bottom - top, right - left
    cell = image * (h + 2) * w + (x - left)  # the abscissa's pixel in row `top`; 2 rows of margin
    cells, steps = [], []
    for edge, sign in ((low - top, 1 / per_pixel), (high - top, -1 / per_pixel)):
        row = edge.astype(np.int64)
        rest = (edge - row) * sign  # an edge covers the rest of its row and all rows after
        cells += [cell + row * w, cell + (row + 1) * w]
        steps += [sign - rest, rest]
    sums = np.bincount(np.concatenate(cells), np.concatenate(steps), minlength=n * (h + 2) * w)
    fraction = sums.reshape(n, h + 2, w).cumsum(1)[:, :h]
    return fraction, (slice(None), slice(top, bottom), slice(left, right))


def paint_span(canvas: np.ndarray, span: Span, shade: Values, opacity: float = 1.0) -> None:
    """Paint a shape over the canvas (n, h, w), in place. `shade` broadcasts to the canvas."""
    fraction, window = pixel_coverage(span, canvas.shape[-1])
    if fraction.size:
        shade = np.broadcast_to(shade, canvas.shape)[window]
        canvas[window] += fraction * opacity * (shade - canvas[window])


def intersect_spans(a: Span, b: Span) -> Span:
    return np.maximum(a[0], b[0]), np.minimum(a[1], b[1])


def clip_span(span: Span, x: np.ndarray, left: np.ndarray, right: np.ndarray) -> Span:
    """Return the part of a span with left < x < right."""
    inside = (x > as_column(left)) & (x < as_column(right))
    return span[0], np.where(inside, span[1], span[0])


def polygon_span(x: np.ndarray, corners: np.ndarray) -> Span:
    """Span of a convex polygon, corners (n, k, 2) in order: least and largest y of its edges."""
    low, high = np.full((2, len(corners), len(x)), np.inf)
    high = -high
    following = np.roll(corners, -1, 1)
    for p, q in zip(np.moveaxis(corners, 1, 0), np.moveaxis(following, 1, 0), strict=True):
        dx = q[:, :1] - p[:, :1]
        fraction = (x - p[:, :1]) / np.where(dx == 0, 1, dx)  # 0 at p, 1 at q
        y = p[:, 1:] + fraction * (q[:, 1:] - p[:, 1:])
        crosses = (fraction >= 0) & (fraction <= 1) & (dx != 0)
        low = np.where(crosses, np.minimum(low, y), low)
        high = np.where(crosses, np.maximum(high, y), high)
    return np.where(high > low, low, 0), np.where(high > low, high, 0)


def segment_span(x: np.ndarray, p: np.ndarray, q: np.ndarray, width: float) -> Span:
    """Span of a straight stroke from p to q, each (n, 2), with square ends."""
    direction = (q - p) / np.linalg.norm(q - p, axis=1, keepdims=True)
    side = direction[:, ::-1] * (-width / 2, width / 2)
    return polygon_span(x, np.stack([p + side, q + side, q - side, p - side], 1))


def ellipse_span(
    x: np.ndarray, center: np.ndarray, radii: tuple[Values, Values], rotation: Values = 0.0
) -> Span:
    """Span of an ellipse: centre (n, 2), two radii (n,), rotation in radians (n,).

    Its points solve a y^2 + 2 b y + c = 0, y from the centre, at each abscissa.
    """
    cos, sin = as_column(np.cos(rotation)), as_column(np.sin(rotation))
    p, q = (1 / as_column(radius) ** 2 for radius in radii)
    dx = x - center[:, :1]
    a = p * sin**2 + q * cos**2
    b = (p - q) * sin * cos * dx
    c = (p * cos**2 + q * sin**2) * dx**2 - 1
    half_height = np.sqrt(np.maximum(b**2 - a * c, 0)) / a
    middle = center[:, 1:] - b / a
    return middle - half_height, middle + half_height


def round_corners(points: np.ndarray, cut: float = 0.13) -> np.ndarray:
    """Cut the corners of a polyline (..., k, 2) at a fraction of their sides, and smooth them.

    A pass replaces a corner by two points on its sides; at the quarters it is Chaikin's (1974).
    """
    for fraction in (cut, 0.25, 0.25, 0.25):
        p, q = points[..., :-1, :], points[..., 1:, :]
        pairs = np.stack([p + fraction * (q - p), q - fraction * (q - p)], -2)
        pairs = pairs.reshape(*points.shape[:-2], -1, 2)
        points = np.concatenate([points[..., :1, :], pairs, points[..., -1:, :]], -2)
    return points


def to_uint8_images(canvas: np.ndarray) -> np.ndarray:
    """Convert (n, h, w) in [0, 1] to (n, 1, h, w) uint8, rounded to the nearest level."""
    return np.rint(canvas.clip(0, 1) * 255).astype(np.uint8)[:, None]
