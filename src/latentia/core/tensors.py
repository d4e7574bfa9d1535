"""Conversions and checks of tensors at the package's boundary."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from latentia.core.errors import Error

ImageTensor = Float[Tensor, "b c h w"]
Latents = Float[Tensor, "b *latent"]  # vectors, or maps
PerImage = Float[Tensor, " b"]
CHUNK_ROWS = 1024  # rows of one call of a function in chunks


def to_float32(tensor: Tensor) -> Tensor:
    """Convert to float32, except float64: bfloat16 is too coarse for exp, softplus and sums."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def has_float64(device: torch.device | str) -> bool:
    """Whether a device computes in float64; a Mac's GPU does not."""
    return torch.device(device).type != "mps"


def to_float64(tensor: Tensor) -> Tensor:
    """Convert to float64, where the device has it."""
    return tensor.double() if has_float64(tensor.device) else tensor.float()


def max_batch_size(shape: Sequence[int], limit: int) -> int:
    """Return the number of images of a shape for one forward pass: 2^22 values, at most `limit`.

    An autoencoder holds some hundred values for each pixel: 500 photographs would take 30 GB.
    """
    return max(1, min(limit, 2**22 // math.prod(shape)))


def to_bytes(images: Float[Tensor, "*any"]) -> UInt8[Tensor, "*any"]:
    """Round [0, 1] to 0..255; truncation would darken images by half a level."""
    return (images.float() * 255).round().clamp(0, 255).to(torch.uint8).cpu()


def to_display_channels(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n shown h w"]:
    """Convert to 1 or 3 channels: average two, or keep the first three of four or more."""
    c = images.shape[1]
    return images if c in (1, 3) else images[:, :3] if c > 3 else images.mean(1, keepdim=True)


def check_tensor(tensor: Any, shape: Sequence[int], name: str) -> None:
    """Check that a tensor is float and (n, *shape), and that images lie in [0, 1].

    Raises: Error if it is not
    """
    if torch.compiler.is_compiling():  # the values are unknown in an exported graph
        return
    rule = f"a float tensor (n, {', '.join(map(str, shape))})"
    advice = f"see {'run.preprocess' if name == 'images' else 'model.encode'}"
    if not isinstance(tensor, Tensor):
        raise Error(f"The {name} are a {type(tensor).__name__}; they must be {rule}: {advice}.")
    if tuple(tensor.shape[1:]) != tuple(shape) or not tensor.is_floating_point():
        actual = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
        raise Error(f"The {name} are {actual}; they must be {rule}: {advice}.")
    if name == "images" and len(tensor):
        low, high = tensor.aminmax()
        if not (low >= 0 and high <= 1):  # NaN is neither
            raise Error(f"The images lie in [{low:.3g}, {high:.3g}], not in [0, 1]: {advice}.")


def map_chunks(function: Callable[..., Tensor], *tensors: Tensor, rows: int = CHUNK_ROWS) -> Tensor:
    """Apply a function to chunks of at most `rows` rows, and concatenate the results."""
    if torch.compiler.is_compiling():  # the number of rows is unknown in an exported graph
        return function(*tensors)
    chunks = zip(*(x.split(rows) for x in tensors), strict=True)
    return torch.cat([function(*chunk) for chunk in chunks])
