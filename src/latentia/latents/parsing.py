"""Latents as a user writes them: numbers in a row, or rows in a JSON file."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error

REACH = 1e6  # standard deviations of the prior: beyond, float32 leaves nothing of an image


def read_latents(text: str, shape: Sequence[int]) -> Float[Tensor, "n *latent"]:
    """ "0.5,-1.2": one row; else a .json file, a list of rows or an object whose `latents` it is.

    Raises: Error if it is neither, or a row has not one finite number for each dimension.
    """
    if not text.endswith(".json"):
        return rows_of([text.split(",")], shape, "--latents")
    try:
        found = json.loads(Path(text).read_text())
    except (OSError, ValueError) as problem:
        raise Error(
            f"{text} cannot be read ({problem}); give a .json file with rows of numbers."
        ) from None
    return rows_of(found.get("latents") if isinstance(found, dict) else found, shape, text)


def rows_of(rows: Any, shape: Sequence[int], what: str) -> Float[Tensor, "n *latent"]:
    """Rows of numbers, dimensions in the order of `codes.names`, as latents of this shape."""
    d = math.prod(shape)
    try:
        z = np.array(rows, np.float64).reshape(-1, d) if len(rows) else np.empty((0, d))
    except (TypeError, ValueError):
        z = np.empty((0, d))
    if not len(z) or np.shape(rows) != z.shape or not (np.abs(z) <= REACH).all():
        raise Error(
            f"{what} is not rows of {d} finite numbers each, one a latent dimension; give such "
            "rows, as the explorer saves them."
        )
    return torch.from_numpy(z.astype(np.float32)).view(-1, *shape)


def told(z: Tensor) -> list[float]:
    """A row of numbers that reads back as the same float32, with as few digits as that takes."""
    return [float(str(value)) for value in z.flatten().float().cpu().numpy()]
