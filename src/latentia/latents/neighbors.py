"""Nearest neighbors of an image among the latents of a data set."""

import numpy as np

from latentia.latents.encoding import LatentTable


def find_neighbors(
    mean: np.ndarray, table: LatentTable, n: int, excluded_row: int | None = None
) -> list[tuple[int, float]]:
    """Return the n rows nearest to a posterior mean (d,), nearest first, with their distances.

    Distances are Euclidean, in units of the prior's standard deviation.
    """
    distances = np.linalg.norm(table.mean - mean, axis=1)
    rows = [k for k in np.argsort(distances, kind="stable").tolist() if k != excluded_row]
    return [(k, float(distances[k])) for k in rows[:n]]
