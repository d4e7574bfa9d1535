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

MAX_MAGNITUDE = 1e6  # standard deviations of the prior: beyond, float32 leaves nothing of an image


def parse_latents(text: str, shape: Sequence[int]) -> Float[Tensor, "n *latent"]:
    """ "0.5,-1.2": one row; else a .json file, a list of rows or an object whose `latents` it is.

    Raises: Error if it is neither, or a row has not one finite number for each dimension.
    """
    if not text.endswith(".json"):
        return rows_to_latents([text.split(",")], shape, "--latents")
    try:
        content = json.loads(Path(text).read_text())
    except (OSError, ValueError) as error:
        raise Error(
            f"{text} cannot be read ({error}); give a .json file with rows of numbers."
        ) from None
    return rows_to_latents(
        content.get("latents") if isinstance(content, dict) else content, shape, text
    )


def rows_to_latents(rows: Any, shape: Sequence[int], source: str) -> Float[Tensor, "n *latent"]:
    """Rows of numbers, dimensions in the order of `codes.names`, as latents of this shape."""
    dim_count = math.prod(shape)
    try:
        z = (
            np.array(rows, np.float64).reshape(-1, dim_count)
            if len(rows)
            else np.empty((0, dim_count))
        )
    except (TypeError, ValueError):
        z = np.empty((0, dim_count))
    if not len(z) or np.shape(rows) != z.shape or not (np.abs(z) <= MAX_MAGNITUDE).all():
        raise Error(
            f"{source} is not rows of {dim_count} finite numbers each, one a latent dimension; give such "
            "rows, as the explorer saves them."
        )
    return torch.from_numpy(z.astype(np.float32)).view(-1, *shape)


def format_latents(z: Tensor) -> list[float]:
    """A row of numbers that reads back as the same float32, with as few digits as that takes."""
    return [float(str(value)) for value in z.flatten().float().cpu().numpy()]
