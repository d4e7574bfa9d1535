"""Tensors at the boundary: what goes in is checked, what goes out is rounded."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from latentia.core.errors import Error


def to_float32(tensor: Tensor) -> Tensor:
    """At least float32: under autocast exp, softplus and sums would stay in bfloat16."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def max_batch_size(shape: Sequence[int], limit: int) -> int:
    """How many images of this shape a network takes at once: 2^22 values, 64 images of 256x256.

    An autoencoder of images holds some hundred values for each; 500 photographs were 30 GB.
    """
    return max(1, min(limit, 2**22 // math.prod(shape)))


def to_bytes(images: Float[Tensor, "*any"]) -> UInt8[Tensor, "*any"]:
    """[0, 1] to 0..255, rounded and clipped: truncation would darken by half a level (trap 16)."""
    return (images.float() * 255).round().clamp(0, 255).to(torch.uint8).cpu()


def to_display_channels(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n shown h w"]:
    """1 or 3 channels: of more than three the first three, of two their mean."""
    c = images.shape[1]
    return images if c in (1, 3) else images[:, :3] if c > 3 else images.mean(1, keepdim=True)


def check_tensor(tensor: Any, shape: Sequence[int], name: str) -> None:
    """Raises: Error unless `given` is a float tensor (n, *shape); images also in [0, 1]."""
    if torch.compiler.is_compiling():  # an exported graph knows no values to look at
        return
    expected = f"a float tensor (n, {', '.join(map(str, shape))})"
    advice = "model.preprocess makes it of files and arrays" if name == "images" else "see encode"
    if not isinstance(tensor, Tensor):
        raise Error(f"The {name} are a {type(tensor).__name__}; they must be {expected}: {advice}.")
    if tuple(tensor.shape[1:]) != tuple(shape) or not tensor.is_floating_point():
        actual = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
        raise Error(f"The {name} are {actual}; they must be {expected}: {advice}.")
    if name == "images" and len(tensor):
        low, high = tensor.aminmax()
        if not (low >= 0 and high <= 1):  # NaN is neither
            raise Error(
                f"The images lie in [{low:.3g}, {high:.3g}]; they must lie in [0, 1]: {advice}."
            )
