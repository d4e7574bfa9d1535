"""Projection to a plane: latents by principal components, two dimensions or UMAP; own vectors."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA

from latentia.core.errors import Error
from latentia.core.text import abbreviate_list, pluralize
from latentia.data import Split
from latentia.data.labels import Labels

UMAP_OPTIONS = 15, 0.1  # umap-learn's own


class MapOptions(NamedTuple):
    """What a user gives for the map: labels, UMAP's neighbours and distance, and own points.

    coordinates: table of file names and numbers
    """

    labels: Labels
    umap: tuple[int, float] = UMAP_OPTIONS
    coordinates: str | None = None


class Projection(NamedTuple):
    """Points (n, 2) with the names of their two axes.

    The latents of a point are origin + point @ axes, with axes (2, d) and origin (d,); a UMAP has
    neither. A plane of two dimensions has no origin: its other latents are those on the sliders.
    """

    points: np.ndarray
    origin: np.ndarray | None
    axes: np.ndarray | None
    names: tuple[str, str]


def project_latents(
    kind: str,
    mean: np.ndarray,
    dims: Sequence[int],
    names: Sequence[str],
    umap: tuple[int, float] = UMAP_OPTIONS,
) -> Projection:
    """Project posterior means (n, d) to a plane; kind: "pca", "dims" (those in `dims`) or "umap".

    umap: number of neighbours, and least distance of points on the plane.

    Raises: Error if UMAP is not installed, or the images are fewer than 4
    """
    n, d = mean.shape
    if kind == "umap":
        if find_spec("umap") is None:
            raise Error(
                "UMAP is not installed; pip install umap-learn, then start the explorer again."
            )
        from umap import UMAP  # pyright: ignore[reportMissingImports]

        if n < 4:
            raise Error(f"UMAP needs at least 4 images; this map has {n}. Choose another plane.")
        neighbors, min_dist = min(umap[0], n - 1), umap[1]
        fitted = UMAP(neighbors, min_dist=min_dist, random_state=0, n_jobs=1)
        points = fitted.fit_transform(mean)
        return Projection(points, None, None, ("UMAP 1", "UMAP 2"))
    if kind == "dims":
        x, y = dims
        return Projection(
            mean[:, dims], None, np.eye(d)[[x, y]], (f"z {names[x]}", f"z {names[y]}")
        )
    return project_principal_axes(mean)


def project_principal_axes(vectors: np.ndarray) -> Projection:
    """Project vectors (n, d) to the plane of their two principal axes."""
    n, d = vectors.shape
    rank = min(2, n, d)
    pca = PCA(rank, svd_solver="full").fit(vectors.astype(np.float64))
    axes, ratios = np.zeros((2, d)), np.zeros(2)
    axes[:rank], ratios[:rank] = pca.components_, pca.explained_variance_ratio_
    first, second = (
        f"principal axis {k}, {ratio:.0%} of the variance" for k, ratio in enumerate(ratios)
    )
    return Projection((vectors - pca.mean_) @ axes.T, pca.mean_, axes, (first, second))


def read_coordinates(file: str, split: Split, all_keys: Sequence[str]) -> Projection:
    """Read a point for each image from a table of file names and numbers.

    Two columns of numbers are the point; of more, it is that on their two principal axes.

    Raises: Error if an image has no finite numbers, or a column holds texts
    """
    table = Labels(file, missing="nan").read_cells(all_keys)[0]
    texts = [name for name in table if table[name].dtype.kind not in "iuf"]
    if texts or len(table.columns) < 2:
        problem = f"texts in {abbreviate_list(texts)}" if texts else "one column of numbers"
        raise Error(
            f"{file} has {problem}; coordinates are file names and at least two columns of numbers."
        )
    vectors = table.to_numpy(np.float64)
    vectors = vectors if split.rows is None else vectors[split.rows]
    missing = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(missing):
        listing = abbreviate_list([split.keys[row] for row in missing[:5].tolist()])
        raise Error(
            f"{file} has no coordinates of {pluralize(len(missing), 'image')} of the map, such as"
            f" {listing}; give a row of finite numbers for each, or another --split."
        )
    if vectors.shape[1] > 2:
        return project_principal_axes(vectors)._replace(origin=None, axes=None)
    x, y = table.columns
    return Projection(vectors, None, None, (x, y))


def round_values(values: Any, digits: int = 4) -> list:
    return np.round(np.asarray(values, np.float64), digits).tolist()
