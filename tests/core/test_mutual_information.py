"""Information of counts, against scikit-learn's; bins of equal values."""

import numpy as np
from sklearn.metrics import mutual_info_score

from latentia.core.mutual_information import assign_quantile_bins, mutual_information


def test_information_is_that_of_the_counts():
    draw = np.random.default_rng(0)
    binned, label = draw.integers(0, 4, (300, 3)), draw.integers(0, 3, 300)
    binned[:, 2] = label
    wanted = [mutual_info_score(column, label) for column in binned.T]
    np.testing.assert_allclose(mutual_information(binned, label), wanted, rtol=1e-12)


def test_equal_values_share_a_bin():
    values = np.repeat([0.0, 1.0, 2.0], [5, 90, 5])
    bins = assign_quantile_bins(values, 8)
    assert all(len(np.unique(bins[values == v])) == 1 for v in (0, 1, 2))
    assert len(set(assign_quantile_bins(np.zeros(9), 4))) == 1
    even = np.bincount(assign_quantile_bins(np.random.default_rng(0).normal(size=1000), 8))
    assert even.min() >= 124
