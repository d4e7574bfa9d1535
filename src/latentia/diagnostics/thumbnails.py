"""Thumbnails of images, and what they show: duplicates and inverted images."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from latentia.data import Split
from latentia.data.splits import evenly_spaced_rows

THUMBNAIL_SIDE = 16  # pixels
MAX_PIXELS = 2**28  # values of a split: 87,000 colour images of 32x32
DUPLICATE_DISTANCE = 0.03  # of the images' spread: a JPEG or a resize, but no second picture
MIN_DISTANCE = 1e-5  # rounding errors of equal thumbnails
CHUNK_ROWS = 256  # images that are compared with all others at a time
# a common ground: the share of the images that have it, black or white to this tolerance, and the
# pixels of the opposite extreme that nearly all of them have, as ink on paper
GROUND_SHARE, GROUND_TOLERANCE, INK_CONTRAST = 0.95, 0.05, 0.8
MAX_INVERTED = 1 / 3  # of the images: of more it is unknown which are the inverted ones
TYPICAL_SHARE = 0.99  # of the other images are as close to their mean


class Thumbnails(NamedTuple):
    """Rows of a split (n,), their thumbnails (n, 256) in [0, 1], and whether they are constant."""

    rows: Int64[Tensor, " n"]
    vectors: Float[Tensor, "n d"]
    constant: Bool[Tensor, " n"]


class Duplicates(NamedTuple):
    """Rows of images (n,), the row of the nearest image of each, and the distance in spreads."""

    rows: Int64[Tensor, " n"]
    nearest: Int64[Tensor, " n"]
    distances: Float[Tensor, " n"]


def make_thumbnails(split: Split) -> Thumbnails:
    """Shrink the images of a split, evenly spaced ones if they have more than 2^28 values."""
    max_images = MAX_PIXELS // split.pixels.shape[1:].numel()
    rows = evenly_spaced_rows(len(split), max(2, max_images))
    vectors = [torch.empty(0, THUMBNAIL_SIDE**2)]
    constant = [torch.empty(0, dtype=torch.bool)]
    for chunk in rows.split(1000) if len(rows) else ():
        images = split.get_batch(chunk).image
        grey = images.mean(1, keepdim=True)
        vectors.append(F.adaptive_avg_pool2d(grey, THUMBNAIL_SIDE).flatten(1))
        low, high = images.amin((2, 3)), images.amax((2, 3))
        constant.append((low == high).all(1))
    return Thumbnails(rows, torch.cat(vectors), torch.cat(constant))


def find_near_duplicates(
    queries: Thumbnails, candidates: Thumbnails, *, earlier: bool = False
) -> Duplicates:
    """Find the images of which there is a near duplicate among the candidates.

    Near: at most 3 % of the candidates' spread apart, and of the image's own distance from their
    mean, since faint images lie close to each other. Constant images have no duplicate. earlier:
    both are of one split, and the candidate stands before the image.
    """
    empty = torch.empty(0, dtype=torch.long)
    if not len(queries.rows) or not len(candidates.rows):
        return Duplicates(empty, empty, torch.empty(0))
    mean = candidates.vectors.mean(0)
    scale = measure_spread(candidates) * THUMBNAIL_SIDE
    x, y = (queries.vectors - mean) / scale, (candidates.vectors - mean) / scale
    limits = DUPLICATE_DISTANCE * x.norm(dim=1).clamp(max=1)
    limits = limits.clamp(min=MIN_DISTANCE * THUMBNAIL_SIDE / scale)
    # along the first principal axis a duplicate is no further than its limit: few are compared
    axis = torch.linalg.eigh(y.T @ y).eigenvectors[:, -1]
    order, positions = (y @ axis).argsort(), (y @ axis).sort().values.contiguous()
    parts = [(empty, empty, torch.empty(0))]
    for chunk in (x @ axis).argsort().split(CHUNK_ROWS):
        reach, place = limits[chunk].max(), x[chunk] @ axis
        ends = torch.stack([place.min() - reach, place.max() + reach])
        start, end = torch.searchsorted(positions, ends).tolist()
        others = order[max(0, start - 1) : end + 1]
        distances = torch.cdist(x[chunk], y[others])
        if earlier:
            distances[others >= chunk[:, None]] = torch.inf
        distance, position = distances.min(1)
        is_near = (distance <= limits[chunk]) & ~queries.constant[chunk]
        parts.append((chunk[is_near], others[position[is_near]], distance[is_near]))
    columns = [torch.cat(part) for part in zip(*parts, strict=True)]
    images, nearest, distances = (column[columns[0].argsort()] for column in columns)
    return Duplicates(queries.rows[images], candidates.rows[nearest], distances)


def measure_spread(thumbnails: Thumbnails) -> float:
    """Root mean square distance of a pixel from the mean image."""
    spread = (thumbnails.vectors - thumbnails.vectors.mean(0)).square().mean().sqrt()
    return float(spread.clamp(min=MIN_DISTANCE))


def find_inverted(thumbnails: Thumbnails) -> Bool[Tensor, " n"]:
    """Find images that look like the others only with black and white exchanged.

    The images need a common ground: nearly all borders are black, or nearly all are white, with
    pixels of the other extreme within, as of digits or drawings. Then an image is inverted if its
    border is of the other extreme, and only its negative is as close to the mean of the others as
    these are. Photographs have no such ground, so none is inverted.
    """
    vectors, none = thumbnails.vectors, torch.zeros(len(thumbnails.rows), dtype=torch.bool)
    square = vectors.unflatten(1, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    sides = square[:, 0], square[:, -1], square[:, 1:-1, 0], square[:, 1:-1, -1]
    border = torch.cat(sides, 1).median(1).values
    is_black, is_white = border <= GROUND_TOLERANCE, border >= 1 - GROUND_TOLERANCE
    ground = float(is_white.sum() > is_black.sum())
    usual, opposite = (is_white, is_black) if ground else (is_black, is_white)
    n = len(border)
    if not opposite.any() or opposite.sum() > MAX_INVERTED * n:
        return none
    ink = (vectors[usual] - ground).abs().amax(1) >= INK_CONTRAST
    if (usual | opposite).sum() < GROUND_SHARE * n or ink.sum() < GROUND_SHARE * len(ink):
        return none
    mean = vectors[usual].mean(0)
    distance, of_negative = (vectors - mean).norm(dim=1), (1 - vectors - mean).norm(dim=1)
    typical = distance[usual].sort().values[int(TYPICAL_SHARE * (int(usual.sum()) - 1))]
    is_inverted = opposite & (of_negative <= typical) & (distance > typical)
    return is_inverted & ~thumbnails.constant
