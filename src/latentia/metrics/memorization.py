"""Tests for memorization: are samples nearer to training images than held-out images are?"""

from typing import NamedTuple

import numpy as np

NEAR_SHARE = 0.01  # a near copy is nearer than this share of held-out images


class MemorizationStatistics(NamedTuple):
    """Two one-sided tests, whose level holds if samples are fresh draws of the data distribution.

    nearer_share: probability that a sample lies nearer to its nearest training image than a
    held-out image does (1/2 without memorization), with DeLong's standard error; nearer_p: p-value
    by Mann and Whitney, as in Meehan et al. 2020, arXiv 2004.05675, section 3, over the whole
    space instead of cell by cell.

    near_copy_share: share of samples that are near copies; near_copy_p: exact p-value. This test
    finds copies among samples that are otherwise far from the data, which the first test misses.
    """

    nearer_share: float
    nearer_share_error: float
    nearer_p: float
    near_copy_share: float
    near_copy_p: float
    expected_near_copy_share: float


def memorization_statistics(
    training: np.ndarray, held_out: np.ndarray, samples: np.ndarray
) -> MemorizationStatistics:
    """Test features (n, d) of samples for copies of training images, by Euclidean distance.

    A small p-value says that samples are nearer, which smooth samples are too: compare the pairs
    of images before you call them copies.
    """
    from scipy.stats import betabinom, mannwhitneyu, rankdata
    from sklearn.metrics import pairwise_distances_argmin_min

    x, y = (pairwise_distances_argmin_min(each, training)[1] for each in (samples, held_out))
    p = mannwhitneyu(x, y, alternative="less", method="asymptotic").pvalue
    # for each sample the share of held-out images that are farther, and the other way round
    ranks = rankdata(np.concatenate([x, y]))
    x_shares = 1 - (ranks[: len(x)] - rankdata(x)) / len(y)
    y_shares = (ranks[len(x) :] - rankdata(y)) / len(x)
    error = np.sqrt(x_shares.var(ddof=1) / len(x) + y_shares.var(ddof=1) / len(y))
    # the number below the r-th of m exchangeable distances is beta-binomial for any distribution
    r, m = max(1, round(NEAR_SHARE * len(y))), len(y)
    copies = int((x < np.sort(y)[r - 1]).sum())
    exact_p = betabinom.sf(copies - 1, len(x), r, m + 1 - r)
    return MemorizationStatistics(
        nearer_share=float(x_shares.mean()),
        nearer_share_error=float(error),
        nearer_p=float(p),
        near_copy_share=copies / len(x),
        near_copy_p=float(exact_p),
        expected_near_copy_share=r / (m + 1),
    )
