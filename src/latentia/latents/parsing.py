"""Latents as a user writes them: numbers separated by commas, or a JSON file of rows."""

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

MAX_MAGNITUDE = 1e6  # standard deviations of the prior: float32 decodes no image from more


def parse_latents(text: str, shape: Sequence[int]) -> Float[Tensor, "n *latent"]:
    """Parse the option --latents: one row such as "0.5,-1.2", or the path of a .json file.

    The file holds a list of rows, or an object with such a list as `latents`.

    Raises: Error if it is neither, or a row has not one finite number for each dimension.
    """
    if not text.endswith(".json"):
        return rows_to_latents([text.split(",")], shape, "--latents")
    try:
        rows = json.loads(Path(text).expanduser().read_text())
    except (OSError, ValueError) as error:
        raise Error(
            f"{text} cannot be read ({error}); give a .json file with rows of numbers."
        ) from None
    return rows_to_latents(rows.get("latents") if isinstance(rows, dict) else rows, shape, text)


def rows_to_latents(rows: Any, shape: Sequence[int], source: str) -> Float[Tensor, "n *latent"]:
    """Convert rows of numbers, one a latent dimension in the order of `name_dims`, to latents.

    Raises: Error if a row has not one finite number for each dimension.
    """
    d = math.prod(shape)
    try:
        z = np.array(rows, np.float64).reshape(-1, d) if len(rows) else np.empty((0, d))
    except (TypeError, ValueError):
        z = np.empty((0, d))
    if not len(z) or np.shape(rows) != z.shape or not (np.abs(z) <= MAX_MAGNITUDE).all():
        raise Error(
            f"{source} is not rows of {d} finite numbers each, one a latent dimension; give such "
            "rows, as the explorer saves them."
        )
    return torch.from_numpy(z.astype(np.float32)).view(-1, *shape)


def format_latents(z: Tensor) -> list[float]:
    """Return a row of numbers, with as few digits as give the same float32 when parsed."""
    return [float(str(value)) for value in z.flatten().float().cpu().numpy()]
