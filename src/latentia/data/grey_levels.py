"""Grey levels of images: how many there are, and the share that is nearly black or white."""

from typing import NamedTuple

import torch

from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN, sum_pixels
from latentia.data.levels import MAX_HOT_SHARE, Depth
from latentia.data.splits import Split

MARGIN = 0.05  # of the range from black to white
MAX_LEVELS = 10**6  # float32 still tells neighbours apart
MAX_IMAGES, MAX_STREAMED = 1000, 100


class GreyLevels(NamedTuple):
    """Grey levels of images. count: None if the pixels are floats."""

    count: int | None
    extreme_share: float  # of the pixels within 5 % of black or of white; 0 if none is bright

    def require_count(self) -> int:
        """Return the number of levels.

        Raises: Error if the pixels are no whole numbers of levels.
        """
        if self.count is None:
            raise Error(
                "The images have no grey levels to count: their pixels are floats, or integers "
                "without a whole range of less than a million from --black to --white; give "
                "--likelihood gaussian, or images of integers."
            )
        return self.count


def count_levels(depth: int, white: float | None, black: float | None) -> int | None:
    """Count the grey levels from black to white; white is None if it is that of the data type."""
    span = (255 if depth == Depth.BYTE else 65535) if white is None else white - (black or 0)
    is_countable = depth != Depth.FLOAT and span == round(span) < MAX_LEVELS
    return int(span) + 1 if is_countable else None


def measure_grey_levels(split: Split, count: int | None) -> GreyLevels:
    """Measure at most 1,000 images, evenly spaced, or the first 100 of a stream."""
    if isinstance(split.pixels, torch.Tensor):
        part = split.subsample(MAX_IMAGES)
    else:
        part = split.select(torch.arange(min(len(split), MAX_STREAMED)))
    near = bright = total = 0
    for batch in part.iterate_batches(part.max_batch_size()):
        mask = batch.columns.get(MASK_COLUMN)
        is_near = ((batch.image - 0.5).abs() >= 0.5 - MARGIN).double()
        near += int(sum_pixels(is_near, mask).sum())
        total += int(sum_pixels(torch.ones_like(is_near), mask).sum())
        bright += int(sum_pixels((batch.image > 0.5).double(), mask).sum())
    is_dark = bright <= MAX_HOT_SHARE * total  # but for pixels of a camera that are always bright
    return GreyLevels(count, 0.0 if is_dark else near / total)
