"""The data set's latents on a plane: principal axes, two dimensions, or UMAP."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA

from latentia.core.errors import Error


class Plane(NamedTuple):
    """Places (n, 2); and, where the plane lies in the latents, origin (d,) and axes (2, d)."""

    places: np.ndarray
    origin: np.ndarray | None
    axes: np.ndarray | None
    names: tuple[str, str]


def plane(kind: str, mean: np.ndarray, dims: Sequence[int], names: Sequence[str]) -> Plane:
    """Of posterior means (n, d). "dims": two of them, the others as the page has them.

    Raises: Error if UMAP is not installed.
    """
    n, d = mean.shape
    if kind == "umap":
        if find_spec("umap") is None:
            raise Error(
                "UMAP is not installed; pip install umap-learn, then start the explorer again."
            )
        from umap import UMAP  # pyright: ignore[reportMissingImports]

        return Plane(UMAP(random_state=0).fit_transform(mean), None, None, ("UMAP 1", "UMAP 2"))
    if kind == "dims":
        axes = np.eye(d)[list(dims)]
        return Plane(mean[:, dims], None, axes, (f"z {names[dims[0]]}", f"z {names[dims[1]]}"))
    found = PCA(min(2, n, d), svd_solver="full").fit(mean.astype(np.float64))
    axes, share = np.zeros((2, d)), np.zeros(2)
    k = min(2, n, d)
    axes[:k], share[:k] = found.components_, found.explained_variance_ratio_
    said = [f"principal axis {k + 1}, {share[k]:.0%} of the variance" for k in range(2)]
    return Plane((mean - found.mean_) @ axes.T, found.mean_, axes, (said[0], said[1]))


def rounded(values: Any, digits: int = 4) -> list:
    return np.round(np.asarray(values, np.float64), digits).tolist()
