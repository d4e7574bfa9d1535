"""What one column of values tells of another: mutual information, from counts in quantile bins."""

from collections.abc import Sequence

import numpy as np

MANY = 20  # different integers without names: above, they are a quantity


def kind_of(values: np.ndarray, named: Sequence[str] | None) -> str:
    whole = values.dtype.kind in "iub"
    return "class" if named or (whole and len(np.unique(values)) <= MANY) else "number"


def quantile_bins(values: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each value; equal values share one, so there may be fewer bins."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def information(binned: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Mutual information of each column (n, d) with the label (n,), nats, from the counts.

    The plug-in estimate: biased upwards by about (a - 1)(b - 1) / 2n for a x b cells (Miller 1955),
    which the permuted labels show and share. Chosen over nearest-neighbour estimates because it is
    the same for every seed and 200 permutations of it take seconds.
    """
    n, d = binned.shape
    a, b = int(binned.max()) + 1, int(label.max()) + 1
    cells = (np.arange(d) * a + binned) * b + label[:, None]
    joint = np.bincount(cells.ravel(), minlength=d * a * b).reshape(d, a, b) / n
    apart = joint.sum(2, keepdims=True) * joint.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(joint > 0, joint * np.log(joint / apart), 0.0)
    return each.sum((1, 2))
