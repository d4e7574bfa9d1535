"""Walks between the latents of two images."""

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasLatents


@torch.no_grad()
def interpolate(
    model: HasLatents, ends: Float[Tensor, "2 c h w"], steps: int
) -> Float[Tensor, "steps c h w"]:
    """Decoded points of the straight line between the two posterior means, ends included."""
    first, last = model.encode(ends).mean
    shares = torch.linspace(0, 1, steps).to(first).view(-1, *[1] * first.ndim)
    return model.decode(torch.lerp(first, last, shares))
