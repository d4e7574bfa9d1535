"""Outliers: images that a model reconstructs badly, or whose latents are unusual."""

from collections.abc import Callable

import numpy as np

from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.data import Split
from latentia.latents.encoding import LatentTable
from latentia.latents.table import collect_table
from latentia.latents.writers import stack_dims

# column of the table for each --by
SCORES = {"error": "mse", "distance": "distance", "excess": "excess"}
MIN_VARIANCE = 1e-12  # of the largest; a direction with less is numerically constant


def score_outliers(
    model: HasLatents, split: Split, by: str, encode_reference: Callable[[], LatentTable]
) -> dict[str, np.ndarray]:
    """Return columns of scores (n,), large for an unusual image; the last one is that of `by`.

    Raises: Error if there is no such score
    """
    if by not in SCORES:
        raise Error(f"--by is {by}; it is one of {', '.join(SCORES)}.")
    table = collect_table(model, split)
    scores = {"mse": table["mse"].to_numpy()}
    if by == "excess":
        if "excess" not in table.column_names:
            raise Error("The likelihood of the run has no known minimum; give --by error.")
        scores["excess"] = table["excess"].to_numpy()
    if by == "distance":
        mean = stack_dims(table, "mu", model.latent_shape)
        scores["distance"] = measure_mahalanobis(mean, encode_reference())
    return scores


def measure_mahalanobis(mean: np.ndarray, reference: LatentTable) -> np.ndarray:
    """Mahalanobis distance of posterior means (n, d) from the aggregate posterior of a table.

    sqrt((mu - m)^T S^-1 (mu - m)); m is the mean of the table's posterior means, S their
    covariance plus the mean of their variances sd^2. Constant directions do not count.
    """
    points, centre = reference.mean.astype("f8"), reference.mean.mean(0, dtype="f8")
    covariance = (points - centre).T @ (points - centre) / len(points)
    if reference.sd is not None:
        covariance += np.diag(np.square(reference.sd.astype("f8")).mean(0))
    variances, axes = np.linalg.eigh(covariance)
    varies = variances > MIN_VARIANCE * variances.max()
    return np.linalg.norm((mean - centre) @ axes[:, varies] / np.sqrt(variances[varies]), axis=1)
