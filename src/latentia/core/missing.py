"""Pixels that are missing, such as padding: the mask of a batch, and sums over the other pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor

from latentia.core.tensors import ImageTensor, PerImage

# column of a batch, images (b, 1, h, w): 1 where a pixel is observed, 0 where it is missing
MASK_COLUMN = "observed_pixels"
Mask = Float[Tensor, "m one h w"]


def expand_mask(mask: Mask, images: ImageTensor) -> Float[Tensor, "b c h w"]:
    """Return the mask of each image and channel; several rows of an image are consecutive."""
    if len(mask) not in (1, len(images)):
        mask = mask.repeat_interleave(len(images) // len(mask), 0)
    return mask.to(images).expand(images.shape)


def sum_pixels(values: Float[Tensor, "b c h w"], mask: Mask | None = None) -> PerImage:
    """Sum over the observed pixels and all channels of each image."""
    observed = values if mask is None else values * expand_mask(mask, values)
    return observed.flatten(1).sum(1)


def average_pixels(values: Float[Tensor, "b c h w"], mask: Mask | None = None) -> PerImage:
    """Average over the observed pixels and all channels of each image."""
    if mask is None:
        return values.flatten(1).mean(1)
    count = expand_mask(mask, values).flatten(1).sum(1)
    return sum_pixels(values, mask) / count.clamp_min(1)


def keep_missing(images: ImageTensor, originals: ImageTensor, mask: Mask | None) -> ImageTensor:
    """Return images with what the originals have, such as padding, in place of missing pixels."""
    if mask is None:
        return images
    return originals.to(images).where(expand_mask(mask, images) == 0, images)


def get_mask(model: Any) -> Mask | None:
    """Return the mask of the images in use; None if all pixels are observed."""
    return getattr(getattr(model, "likelihood", None), "mask", None)


@contextmanager
def use_mask(model: Any, mask: Mask | None) -> Iterator[None]:
    """Leave missing pixels out of a model's likelihood within the block; None changes nothing."""
    likelihood = getattr(model, "likelihood", None)
    if mask is None or likelihood is None:
        yield
        return
    previous, likelihood.mask = likelihood.mask, mask
    try:
        yield
    finally:
        likelihood.mask = previous
