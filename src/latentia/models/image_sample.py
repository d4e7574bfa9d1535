"""Evenly spaced sample of the training images, to which a closed form is fitted."""

import torch
from torch import Tensor

from latentia.core.contract import Batch
from latentia.core.missing import MASK_COLUMN, keep_missing
from latentia.core.tensors import ImageTensor


def mark_missing(batch: Batch) -> ImageTensor:
    """Return the images of a batch, with NaN in place of missing pixels."""
    missing = torch.full_like(batch.image, torch.nan)
    return keep_missing(batch.image, missing, batch.columns.get(MASK_COLUMN))


class ImageSample:
    """Evenly spaced images of a sequence of unknown length, of at most so many values."""

    def __init__(self, max_values: int):
        self.max_values, self.stride, self.count = max_values, 1, 0
        self.parts: list[Tensor] = []

    def add(self, images: ImageTensor) -> None:
        """Add the next images."""
        self.parts.append(images[-self.count % self.stride :: self.stride])
        self.count += len(images)
        while sum(part.numel() for part in self.parts) > self.max_values:
            self.parts, self.stride = [self.images[::2]], 2 * self.stride

    @property
    def images(self) -> ImageTensor:
        return torch.cat(self.parts)
