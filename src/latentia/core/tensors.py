"""From [0, 1] to bytes."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def to_bytes(images: Float[Tensor, "*any"]) -> UInt8[Tensor, "*any"]:
    """[0, 1] to 0..255, rounded and clipped: truncation would darken by half a level (trap 16)."""
    return (images.float() * 255).round().clamp(0, 255).to(torch.uint8).cpu()
