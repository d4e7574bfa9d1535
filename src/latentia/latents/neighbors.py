"""Nearest neighbours of an image among the latents of a data set."""

import numpy as np

from latentia.latents.encoding import LatentTable


def find_neighbors(
    mean: np.ndarray, table: LatentTable, n: int, excluded_row: int | None = None
) -> tuple[list[int], np.ndarray]:
    """Return the n rows nearest to a posterior mean (d,), nearest first, and their distances.

    Distances are Euclidean, in units of the prior's standard deviation.
    """
    distances = np.linalg.norm(table.mean - mean, axis=1)
    rows = [k for k in np.argsort(distances, kind="stable").tolist() if k != excluded_row]
    return rows[:n], distances[rows[:n]]
