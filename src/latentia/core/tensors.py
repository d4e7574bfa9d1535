"""Tensors at the boundary: what goes in is checked, what goes out is rounded."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from latentia.core.errors import Error


def wide(x: Tensor) -> Tensor:
    """At least float32: under autocast exp, softplus and sums would stay in bfloat16."""
    return x if x.dtype == torch.float64 else x.float()


def at_once(shape: Sequence[int], most: int) -> int:
    """How many images of this shape a network takes at once: 2^22 values, 64 images of 256x256.

    An autoencoder of images holds some hundred values for each; 500 photographs were 30 GB.
    """
    return max(1, min(most, 2**22 // math.prod(shape)))


def to_bytes(images: Float[Tensor, "*any"]) -> UInt8[Tensor, "*any"]:
    """[0, 1] to 0..255, rounded and clipped: truncation would darken by half a level (trap 16)."""
    return (images.float() * 255).round().clamp(0, 255).to(torch.uint8).cpu()


def displayable(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n shown h w"]:
    """1 or 3 channels: of more than three the first three, of two their mean."""
    c = images.shape[1]
    return images if c in (1, 3) else images[:, :3] if c > 3 else images.mean(1, keepdim=True)


def expect(given: Any, shape: Sequence[int], what: str) -> None:
    """Raises: Error unless `given` is a float tensor (n, *shape); images also in [0, 1]."""
    if torch.compiler.is_compiling():  # an exported graph knows no values to look at
        return
    wanted = f"a float tensor (n, {', '.join(map(str, shape))})"
    advice = "model.preprocess makes it of files and arrays" if what == "images" else "see encode"
    if not isinstance(given, Tensor):
        raise Error(f"The {what} are a {type(given).__name__}; they must be {wanted}: {advice}.")
    if tuple(given.shape[1:]) != tuple(shape) or not given.is_floating_point():
        found = f"{str(given.dtype).removeprefix('torch.')} {tuple(given.shape)}"
        raise Error(f"The {what} are {found}; they must be {wanted}: {advice}.")
    if what == "images" and len(given):
        low, high = given.aminmax()
        if not (low >= 0 and high <= 1):  # NaN is neither
            raise Error(
                f"The images lie in [{low:.3g}, {high:.3g}]; they must lie in [0, 1]: {advice}."
            )
