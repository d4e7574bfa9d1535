"""Which images of a data set have latents near a given one."""

import numpy as np

from latentia.latents.encoding import LatentTable


def find_neighbors(
    mean: np.ndarray, table: LatentTable, n: int, excluded_row: int | None = None
) -> list[tuple[int, float]]:
    """The n rows of least Euclidean distance between posterior means, nearest first, each with the
    distance, in units of the prior's standard deviation. but: a row to leave out.
    """
    distances = np.linalg.norm(table.mean - mean, axis=1)
    rows = [k for k in np.argsort(distances, kind="stable").tolist() if k != excluded_row]
    return [(k, float(distances[k])) for k in rows[:n]]
