"""Which images of a data set have latents near a given one."""

import numpy as np

from latentia.latents.encoding import Codes


def nearest(
    mean: np.ndarray, over: Codes, n: int, but: int | None = None
) -> list[tuple[int, float]]:
    """The n rows of least Euclidean distance between posterior means, nearest first, each with the
    distance, in units of the prior's standard deviation. but: a row to leave out.
    """
    distance = np.linalg.norm(over.mean - mean, axis=1)
    order = [k for k in np.argsort(distance, kind="stable").tolist() if k != but]
    return [(k, float(distance[k])) for k in order[:n]]
