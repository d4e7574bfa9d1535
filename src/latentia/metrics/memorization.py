"""Are samples nearer to the training images than images are that were held out?"""

from typing import NamedTuple

import numpy as np
from scipy.stats import betabinom, mannwhitneyu, rankdata
from sklearn.metrics import pairwise_distances_argmin_min

NEAR = 0.01  # share of held-out images that are called near copies


class Copying(NamedTuple):
    """Two one-sided tests; both hold their level if samples are fresh draws of the data's law.

    nearer: the chance that a sample's nearest training image is nearer than a held-out image's
    (1/2 if honest), with DeLong's standard error; nearer_p by Mann and Whitney, as in Meehan et
    al. 2020, arXiv 2004.05675, section 3, over the whole space instead of cell by cell.

    copies: share of samples nearer than the nearest NEAR of held-out images; copies_p: exact. It
    sees copies, if more than NEAR of them, among samples that are otherwise far from the data,
    where `nearer` is blind.
    """

    nearer: float
    nearer_error: float
    nearer_p: float
    copies: float
    copies_p: float
    expected: float


def copying(train: np.ndarray, held: np.ndarray, drawn: np.ndarray) -> Copying:
    """Of features (n, d); the nearest neighbour is the Euclidean one.

    A small p says nearer, which may also mean smoother: look at the pairs before saying copied.
    """
    far, near = (pairwise_distances_argmin_min(x, train)[1] for x in (held, drawn))
    p = mannwhitneyu(near, far, alternative="less", method="asymptotic").pvalue
    # for each sample the share of held-out images that are farther, and the other way round
    both = rankdata(np.concatenate([near, far]))
    samples = 1 - (both[: len(near)] - rankdata(near)) / len(far)
    others = (both[len(near) :] - rankdata(far)) / len(near)
    error = np.sqrt(samples.var(ddof=1) / len(near) + others.var(ddof=1) / len(far))
    # below the r-th of m exchangeable distances: beta-binomial, whatever their law
    r, m = max(1, round(NEAR * len(far))), len(far)
    count = int((near < np.sort(far)[r - 1]).sum())
    exact = betabinom.sf(count - 1, len(near), r, m + 1 - r)
    return Copying(
        float(samples.mean()), float(error), float(p), count / len(near), float(exact), r / (m + 1)
    )
