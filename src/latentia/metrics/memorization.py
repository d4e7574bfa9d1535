"""Are samples nearer to the training images than images are that were held out?"""

from typing import NamedTuple

import numpy as np
from scipy.stats import betabinom, mannwhitneyu, rankdata
from sklearn.metrics import pairwise_distances_argmin_min

NEAR_SHARE = 0.01  # share of held-out images that are called near copies


class MemorizationStatistics(NamedTuple):
    """Two one-sided tests; both hold their level if samples are fresh draws of the data's law.

    nearer: the chance that a sample's nearest training image is nearer than a held-out image's
    (1/2 if honest), with DeLong's standard error; nearer_p by Mann and Whitney, as in Meehan et
    al. 2020, arXiv 2004.05675, section 3, over the whole space instead of cell by cell.

    copies: share of samples nearer than the nearest NEAR of held-out images; copies_p: exact. It
    sees copies, if more than NEAR of them, among samples that are otherwise far from the data,
    where `nearer` is blind.
    """

    nearer_share: float
    nearer_share_error: float
    nearer_p: float
    near_copy_share: float
    near_copy_p: float
    expected_near_copy_share: float


def memorization_statistics(
    training_features: np.ndarray, held_out_features: np.ndarray, sample_features: np.ndarray
) -> MemorizationStatistics:
    """Of features (n, d); the nearest neighbour is the Euclidean one.

    A small p says nearer, which may also mean smoother: look at the pairs before saying copied.
    """
    held_out_distances, sample_distances = (
        pairwise_distances_argmin_min(x, training_features)[1]
        for x in (held_out_features, sample_features)
    )
    p = mannwhitneyu(
        sample_distances, held_out_distances, alternative="less", method="asymptotic"
    ).pvalue
    # for each sample the share of held-out images that are farther, and the other way round
    ranks = rankdata(np.concatenate([sample_distances, held_out_distances]))
    sample_shares = 1 - (ranks[: len(sample_distances)] - rankdata(sample_distances)) / len(
        held_out_distances
    )
    held_out_shares = (ranks[len(sample_distances) :] - rankdata(held_out_distances)) / len(
        sample_distances
    )
    error = np.sqrt(
        sample_shares.var(ddof=1) / len(sample_distances)
        + held_out_shares.var(ddof=1) / len(held_out_distances)
    )
    # below the r-th of m exchangeable distances: beta-binomial, whatever their law
    r, m = max(1, round(NEAR_SHARE * len(held_out_distances))), len(held_out_distances)
    copy_count = int((sample_distances < np.sort(held_out_distances)[r - 1]).sum())
    exact_p = betabinom.sf(copy_count - 1, len(sample_distances), r, m + 1 - r)
    return MemorizationStatistics(
        float(sample_shares.mean()),
        float(error),
        float(p),
        copy_count / len(sample_distances),
        float(exact_p),
        r / (m + 1),
    )
