"""Disentanglement: does each known factor have a latent dimension of its own? MIG, DCI and SAP."""

from collections.abc import Mapping

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.tree import DecisionTreeClassifier

from latentia.core.errors import Error
from latentia.core.mutual_information import (
    assign_quantile_bins,
    infer_column_type,
    mutual_information,
)

BINS = 20
MIN_IMAGES, MAX_FOREST_IMAGES = 100, 5000  # images; of the forests, drawn
TREES = 50


def measure_disentanglement(
    mean: np.ndarray, factors: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Of codes (n, d) and factors (n,): figures in [0, 1], higher is better.

    mig, sap, dci_disentanglement, dci_completeness, dci_informativeness: see the functions.
    Integers of at most 20 different values are classes, other factors numbers. Left out: columns of
    images, of one value, or with NaN or infinity.

    Raises: Error if images are too few or no factor is left.
    """
    n = len(mean)
    if n < MIN_IMAGES:
        raise Error(f"Disentanglement needs at least {MIN_IMAGES} images; there are {n}.")
    usable_factors = {name: values for name, values in factors.items() if is_usable(values)}
    if not usable_factors:
        raise Error(
            f"Disentanglement needs factors that vary; of {', '.join(factors) or 'no column'} none "
            "can be used: give images with labels, for instance sprites."
        )
    mean = mean.astype(np.float64)
    return {
        "mig": mig(mean, usable_factors),
        "sap": sap(mean, usable_factors),
        **dci(mean, usable_factors),
    }


def is_usable(values: np.ndarray) -> bool:
    return values.ndim == 1 and bool(np.isfinite(values).all()) and len(np.unique(values)) > 1


def mig(mean: np.ndarray, factors: Mapping[str, np.ndarray]) -> float:
    """Mutual information gap; Chen et al. 2018, arXiv 1802.04942, equation 6.

    Per factor, information of the dimension that tells most less that of the next, over the
    factor's entropy. In 20 quantile bins, so that no monotone change of a dimension changes it; so
    are factors of more values. A dimension of noise tells (19 * 19 / 2n nats) for want of images.
    """
    binned_dims = np.stack([assign_quantile_bins(column, BINS) for column in mean.T], 1)
    gaps = []
    for values in factors.values():
        label = np.unique(values, return_inverse=True)[1]
        if len(np.unique(label)) > BINS:
            label = np.unique(assign_quantile_bins(values, BINS), return_inverse=True)[1]
        entropy = mutual_information(label[:, None], label)[0]
        gaps.append(top_gap(mutual_information(binned_dims, label)) / entropy)
    return float(np.mean(gaps))


def sap(mean: np.ndarray, factors: Mapping[str, np.ndarray]) -> float:
    """Separated attribute predictability; Kumar et al. 2018, arXiv 1711.00848, section 3.

    Per factor, the score of the best single dimension less that of the next. Numbers: squared
    correlation. Classes: balanced accuracy of as many intervals as classes, here rescaled so that
    chance is 0 (the published score cannot pass 1 - 1/classes).
    """
    gaps = []
    for values in factors.values():
        if infer_column_type(values, None) == "class":
            scores = [threshold_accuracy(column[:, None], values) for column in mean.T]
        else:
            scores = [
                pearson_correlation(column, values.astype(np.float64)) ** 2 for column in mean.T
            ]
        gaps.append(top_gap(np.array(scores)))
    return float(np.mean(gaps))


def dci(mean: np.ndarray, factors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Disentanglement, completeness and informativeness; Eastwood & Williams 2018, section 2.

    Importances of random forests that read every factor from all dimensions, learned on half of the
    images. Disentanglement: 1 - entropy of a dimension's importances over factors, dimensions
    weighted by importance; completeness: of a factor's over dimensions; informativeness: R^2 or
    balanced accuracy, chance 0, on the other half.
    """
    rows = np.random.default_rng(0).permutation(len(mean))[:MAX_FOREST_IMAGES]
    training_rows, test_rows = np.array_split(rows, 2)
    importances, scores = [], []
    for values in factors.values():
        is_class = infer_column_type(values, None) == "class"
        forest_options = {
            "n_estimators": TREES,
            "min_samples_leaf": 3,
            "random_state": 0,
            "max_features": 1.0,
        }
        forest = (RandomForestClassifier if is_class else RandomForestRegressor)(**forest_options)
        forest.fit(mean[training_rows], values[training_rows])
        importances.append(forest.feature_importances_)
        predictions, targets = forest.predict(mean[test_rows]), values[test_rows]
        scores.append(
            balanced_accuracy(targets, predictions)
            if is_class
            else 1 - np.square(targets - predictions).mean() / targets.var(dtype=np.float64)
        )
    importance_table = np.stack(importances, 1)  # (d, factors)
    weight = importance_table.sum(1) / importance_table.sum()
    return {
        "dci_disentanglement": float((weight * purity(importance_table)).sum()),
        "dci_completeness": float(purity(importance_table.T).mean()),
        "dci_informativeness": float(np.mean(np.maximum(scores, 0))),
    }


def top_gap(scores: np.ndarray) -> float:
    """The largest less the next; a single dimension has none beside it."""
    largest, runner_up = np.sort(np.append(scores, 0.0))[-2:][::-1]
    return float(largest - runner_up)


def threshold_accuracy(column: np.ndarray, values: np.ndarray) -> float:
    """Balanced accuracy of one dimension cut into as many intervals as there are classes."""
    tree = DecisionTreeClassifier(
        max_leaf_nodes=len(np.unique(values)), class_weight="balanced", random_state=0
    )
    return balanced_accuracy(values, tree.fit(column, values).predict(column))


def balanced_accuracy(targets: np.ndarray, predictions: np.ndarray) -> float:
    """The mean over classes of the share that is recognised; rescaled: 0 by chance, 1 for all."""
    classes = np.unique(targets)
    mean_recall = np.mean(
        [(predictions[targets == class_number] == class_number).mean() for class_number in classes]
    )
    return float((mean_recall * len(classes) - 1) / max(len(classes) - 1, 1))


def pearson_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float(a @ b / scale) if scale > 0 else 0.0


def purity(table: np.ndarray) -> np.ndarray:
    """1 - entropy of each row as shares, in units of its greatest value; 1 for a single column."""
    if table.shape[1] == 1:
        return np.ones(len(table))
    share = table / np.maximum(table.sum(1, keepdims=True), 1e-12)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(1)
    return 1 - entropy / np.log(table.shape[1])
