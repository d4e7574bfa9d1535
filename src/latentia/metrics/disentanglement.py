"""Disentanglement: MIG, DCI and SAP, which are high if each factor has one latent dimension."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentia.core.errors import Error
from latentia.core.label_kinds import Names, find_labelled, get_label_kind
from latentia.core.mutual_information import assign_quantile_bins, mutual_information

BINS = 20
MIN_IMAGES = 100
MAX_FOREST_IMAGES = 5000  # images that random forests are trained and tested on
TREES = 50


def measure_disentanglement(
    mean: np.ndarray,
    factors: Mapping[str, np.ndarray],
    classes: Mapping[str, Names] | None = None,
) -> dict[str, float]:
    """Return MIG, SAP and DCI of posterior means (n, d) for factors (n,), all in [0, 1].

    Higher is better. classes: class names by column, None for numbers; the kind of other columns
    is inferred. Columns of images, of one value and with infinity are left out, and images without
    a value (NaN, or a class below 0) of a column count for the others only.

    Raises: Error if images are too few or no factor is left.
    """
    n = len(mean)
    if n < MIN_IMAGES:
        raise Error(f"Disentanglement needs at least {MIN_IMAGES} images; there are {n}.")
    usable, mean = select_factors(factors, classes or {}), mean.astype(np.float64)
    return {"mig": mig(mean, usable), "sap": sap(mean, usable), **dci(mean, usable)}


def select_factors(
    factors: Mapping[str, np.ndarray],
    classes: Mapping[str, Names],
    min_images: int = MIN_IMAGES,
) -> dict[str, np.ndarray]:
    """Return the factors that vary and have a value for so many images; numbers as floats.

    Raises: Error if there is none
    """
    usable = {}
    for name, values in factors.items():
        if values.ndim == 1 and is_usable(values, min_images):
            kind = get_label_kind(name, values, classes)
            is_quantity = kind == "number" and values.dtype.kind in "iub"
            usable[name] = values.astype(np.float64) if is_quantity else values
    if not usable:
        raise Error(
            f"Disentanglement needs factors that vary; of {', '.join(factors) or 'no column'} none "
            "can be used: give images with labels, for instance sprites."
        )
    return usable


def is_usable(values: np.ndarray, min_images: int) -> bool:
    present = values[find_labelled(values, "number")]
    is_finite = bool(np.isfinite(present).all())
    return len(present) >= min_images and is_finite and len(np.unique(present)) > 1


def is_class_factor(values: np.ndarray) -> bool:
    """Whether a factor is of classes; `measure_disentanglement` converts numbers to floats."""
    return values.dtype.kind in "iub"


def find_rows(values: np.ndarray) -> np.ndarray:
    """Return a mask of the images that have a value of the factor."""
    return find_labelled(values, "class" if is_class_factor(values) else "number")


def mig(mean: np.ndarray, factors: Mapping[str, np.ndarray]) -> float:
    """Mutual information gap; Chen et al. 2018, arXiv 1802.04942, equation 6.

    For each factor: mutual information of the most informative dimension minus that of the second,
    over the factor's entropy, and 0 for a factor of one value; the mean over factors. Dimensions,
    and factors of more than 20 values, are cut into 20 quantile bins, so a monotone change of a
    dimension changes nothing.
    The estimate is biased: a dimension of pure noise has up to 19 * 19 / 2n nats.
    """
    bins = np.stack([assign_quantile_bins(column, BINS) for column in mean.T], 1)
    gaps = []
    for values in factors.values():
        rows = find_rows(values)
        values, factor_bins = values[rows], bins[rows]
        label = np.unique(values, return_inverse=True)[1]
        if len(np.unique(label)) > BINS:
            label = np.unique(assign_quantile_bins(values, BINS), return_inverse=True)[1]
        entropy = mutual_information(label[:, None], label)[0]
        gaps.append(top_gap(mutual_information(factor_bins, label)) / entropy if entropy else 0.0)
    return float(np.mean(gaps))


def sap(mean: np.ndarray, factors: Mapping[str, np.ndarray]) -> float:
    """Separated attribute predictability; Kumar et al. 2018, arXiv 1711.00848, section 3.

    For each factor: score of the best single dimension minus that of the second; the mean over
    factors. The score of a number is the squared correlation. The score of a class is the balanced
    accuracy of as many intervals as classes, rescaled so that chance is 0 (the published score
    cannot exceed 1 - 1/classes).
    """
    gaps = []
    for values in factors.values():
        rows = find_rows(values)
        values, dims = values[rows], mean[rows].T
        if is_class_factor(values):
            scores = [threshold_accuracy(column[:, None], values) for column in dims]
        else:
            number = values.astype(np.float64)
            scores = [pearson_correlation(column, number) ** 2 for column in dims]
        gaps.append(top_gap(np.array(scores)))
    return float(np.mean(gaps))


def dci(mean: np.ndarray, factors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Disentanglement, completeness and informativeness; Eastwood & Williams 2018, section 2.

    A random forest for each factor, trained on half of the images, predicts it from all dimensions
    and gives the importance of each. Disentanglement: 1 - entropy of a dimension's importances over
    factors, the mean over dimensions weighted by importance. Completeness: 1 - entropy of a
    factor's importances over dimensions, the mean over factors. Informativeness: R^2 or balanced
    accuracy (chance is 0) on the other half of the images.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    rows = np.random.default_rng(0).permutation(len(mean))[:MAX_FOREST_IMAGES]
    importances, scores = [], []
    for values in factors.values():
        is_class = is_class_factor(values)
        train, test = np.array_split(rows[find_rows(values)[rows]], 2)
        options: Any = {"n_estimators": TREES, "min_samples_leaf": 3, "max_features": 1.0}
        forest_class = RandomForestClassifier if is_class else RandomForestRegressor
        forest = forest_class(random_state=0, **options)
        forest.fit(mean[train], values[train])
        importances.append(forest.feature_importances_)
        predictions, targets = forest.predict(mean[test]), values[test]
        scores.append(
            balanced_accuracy(targets, predictions)
            if is_class
            else 1 - np.square(targets - predictions).mean() / targets.var(dtype=np.float64)
        )
    table = np.stack(importances, 1)  # (d, factors)
    weight = table.sum(1) / table.sum()
    return {
        "dci_disentanglement": float((weight * purity(table)).sum()),
        "dci_completeness": float(purity(table.T).mean()),
        "dci_informativeness": float(np.mean(np.maximum(scores, 0))),
    }


def top_gap(scores: np.ndarray) -> float:
    """Largest score minus the second largest, which is 0 if there is one dimension."""
    second, largest = np.sort(np.append(scores, 0.0))[-2:]
    return float(largest - second)


def threshold_accuracy(column: np.ndarray, values: np.ndarray) -> float:
    """Balanced accuracy of one dimension, cut into as many intervals as there are classes."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=len(np.unique(values)), class_weight="balanced", random_state=0
    )
    return balanced_accuracy(values, tree.fit(column, values).predict(column))


def balanced_accuracy(targets: np.ndarray, predictions: np.ndarray) -> float:
    """Mean recall over classes, rescaled: 0 is chance, 1 is perfect."""
    classes = np.unique(targets)
    recall = np.mean([(predictions[targets == k] == k).mean() for k in classes])
    return float((recall * len(classes) - 1) / max(len(classes) - 1, 1))


def pearson_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; 0 if a or b does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float(a @ b / scale) if scale > 0 else 0.0


def purity(table: np.ndarray) -> np.ndarray:
    """1 - entropy of each row's shares over its largest possible value; 1 for a single column."""
    if table.shape[1] == 1:
        return np.ones(len(table))
    share = table / np.maximum(table.sum(1, keepdims=True), 1e-12)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(1)
    return 1 - entropy / np.log(table.shape[1])
