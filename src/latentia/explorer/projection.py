"""The data set's latents on a plane: principal axes, two dimensions, or UMAP."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA

from latentia.core.errors import Error


class Projection(NamedTuple):
    """Places (n, 2); and, where the plane lies in the latents, origin (d,) and axes (2, d)."""

    places: np.ndarray
    origin: np.ndarray | None
    axes: np.ndarray | None
    names: tuple[str, str]


def project_latents(
    kind: str, mean: np.ndarray, dims: Sequence[int], names: Sequence[str]
) -> Projection:
    """Of posterior means (n, d). "dims": two of them, the others as the page has them.

    Raises: Error if UMAP is not installed.
    """
    n_images, n_dims = mean.shape
    if kind == "umap":
        if find_spec("umap") is None:
            raise Error(
                "UMAP is not installed; pip install umap-learn, then start the explorer again."
            )
        from umap import UMAP  # pyright: ignore[reportMissingImports]

        return Projection(
            UMAP(random_state=0).fit_transform(mean), None, None, ("UMAP 1", "UMAP 2")
        )
    if kind == "dims":
        axes = np.eye(n_dims)[list(dims)]
        return Projection(mean[:, dims], None, axes, (f"z {names[dims[0]]}", f"z {names[dims[1]]}"))
    pca = PCA(min(2, n_images, n_dims), svd_solver="full").fit(mean.astype(np.float64))
    axes, explained_shares = np.zeros((2, n_dims)), np.zeros(2)
    n_axes = min(2, n_images, n_dims)
    axes[:n_axes], explained_shares[:n_axes] = pca.components_, pca.explained_variance_ratio_
    axis_names = [
        f"principal axis {n_axes + 1}, {explained_shares[n_axes]:.0%} of the variance"
        for n_axes in range(2)
    ]
    return Projection((mean - pca.mean_) @ axes.T, pca.mean_, axes, (axis_names[0], axis_names[1]))


def round_values(values: Any, digits: int = 4) -> list:
    return np.round(np.asarray(values, np.float64), digits).tolist()
