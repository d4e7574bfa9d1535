"""Thumbnails of images, and what they show: duplicates and inverted images."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from latentia.data import Split
from latentia.data.splits import evenly_spaced_rows

THUMBNAIL_SIDE = 16  # pixels
MAX_PIXELS = 2**26  # of a split: 85,000 images of 28x28
DUPLICATE_DISTANCE = 0.03  # of the images' spread: a JPEG or a resize, but no second picture
BLANK_CONTRAST = 1 / 255  # standard deviation of a constant image's pixels
INVERTED_CORRELATION = -0.5  # with the median image; only inverted images have less


class Thumbnails(NamedTuple):
    """Rows of a split (n,), their thumbnails (n, 256) in [0, 1], and each image's contrast."""

    rows: Tensor
    vectors: Float[Tensor, "n d"]
    contrast: Float[Tensor, " n"]


def make_thumbnails(split: Split, max_images: int | None = None) -> Thumbnails:
    """Shrink at most so many images of a split, evenly spaced; without a number as many as fit."""
    n = len(split)
    if not n:
        return Thumbnails(torch.arange(0), torch.empty(0, THUMBNAIL_SIDE**2), torch.empty(0))
    max_images = min(max_images or n, MAX_PIXELS // split.pixels.shape[1:].numel())
    rows = evenly_spaced_rows(n, max(2, max_images))
    vectors, contrast = [], []
    for chunk in rows.split(1000):
        images = split.get_batch(chunk).image.mean(1, keepdim=True)
        vectors.append(F.adaptive_avg_pool2d(images, THUMBNAIL_SIDE).flatten(1))
        contrast.append(images.flatten(1).std(1, correction=0))
    return Thumbnails(rows, torch.cat(vectors), torch.cat(contrast))


def find_near_duplicates(
    queries: Thumbnails, candidates: Thumbnails, spread: float, *, earlier: bool = False
) -> Tensor:
    """Find pairs of rows (query, candidate) of one picture, without constant images.

    earlier: both are of one split, and the candidate stands before the query.
    """
    chunks = [torch.empty(0, 2, dtype=torch.long)]
    for start in range(0, len(queries.vectors), 500):
        vectors, contrast = (x[start : start + 500] for x in (queries.vectors, queries.contrast))
        distances = torch.cdist(vectors, candidates.vectors) / THUMBNAIL_SIDE  # root mean square
        is_near = distances < DUPLICATE_DISTANCE * spread
        is_near &= (contrast > BLANK_CONTRAST)[:, None]
        if earlier:
            is_near = is_near.tril(start - 1)
        chunks.append(is_near.nonzero() + torch.tensor([start, 0]))
    pairs = torch.cat(chunks)
    return torch.stack([queries.rows[pairs[:, 0]], candidates.rows[pairs[:, 1]]], 1)


def measure_spread(thumbnails: Thumbnails) -> float:
    """Root mean square distance of a pixel from the mean image."""
    return float((thumbnails.vectors - thumbnails.vectors.mean(0)).square().mean().sqrt())


def find_inverted(thumbnails: Thumbnails) -> Bool[Tensor, " n"]:
    """Find images that resemble the median image only when black and white are exchanged.

    If images have no common look (median correlation with the median image below 0.3), none is
    inverted.
    """
    vectors = thumbnails.vectors
    if not len(vectors):
        return torch.zeros(0, dtype=torch.bool)
    median = vectors.median(0).values
    x, y = vectors - vectors.mean(1, keepdim=True), median - median.mean()
    correlation = (x @ y) / (x.norm(dim=1) * y.norm()).clamp_min(1e-12)
    is_closer = (1 - vectors - median).norm(dim=1) < 0.7 * (vectors - median).norm(dim=1)
    has_common_look = correlation.median() >= 0.3
    return (correlation < INVERTED_CORRELATION) & is_closer & has_common_look
