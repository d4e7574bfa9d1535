"""Grey levels of images: how many there are, and the share that is nearly black or white."""

from typing import NamedTuple

import torch

from latentia.core.errors import Error
from latentia.data.splits import Split

MARGIN = 0.05  # of the range from black to white
MAX_IMAGES, MAX_STREAMED = 1000, 100


class GreyLevels(NamedTuple):
    """Grey levels of images. count: None if the pixels are floats or deeper than 8 bits."""

    count: int | None
    extreme_share: float  # of the pixels within 5 % of black or of white

    def require_count(self) -> int:
        """Return the number of levels.

        Raises: Error if the pixels are no whole numbers of levels.
        """
        if self.count is None:
            raise Error(
                "The images are floats or deeper than 8 bits, so that they have no grey levels to "
                "count; give --likelihood gaussian, or images of 8 bits."
            )
        return self.count


def measure_grey_levels(split: Split) -> GreyLevels:
    """Measure at most 1,000 images, evenly spaced, or the first 100 of a stream."""
    if isinstance(split.pixels, torch.Tensor):
        part = split.subsample(MAX_IMAGES)
    else:
        part = split.select(torch.arange(min(len(split), MAX_STREAMED)))
    near = total = 0
    for batch in part.iterate_batches(part.max_batch_size()):
        near += int(((batch.image - 0.5).abs() >= 0.5 - MARGIN).sum())
        total += batch.image.numel()
    count = 256 if split.pixels.dtype == torch.uint8 else None
    return GreyLevels(count, near / total if total else 0.0)
