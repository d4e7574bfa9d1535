"""Images to show of a split: drawn by seed, in turn from each class."""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from latentia.data.splits import Split, draw_permutation


def draw_example_rows(split: Split, n: int, seed: int = 0) -> Int64[Tensor, " m"]:
    """Draw at most n rows; of the first column of classes, each class comes in turn."""
    import pandas as pd

    order = draw_permutation(len(split), seed, "examples")
    codes = next((split.columns[name] for name, names in split.classes.items() if names), None)
    if codes is not None:
        shuffled = codes.cpu().numpy()[order]
        turns = pd.Series(shuffled).groupby(shuffled).cumcount()  # rows of its class before each
        order = order[np.argsort(turns, kind="stable")]
    return torch.from_numpy(order[:n])
