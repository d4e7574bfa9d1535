"""Probes: how well a label is predicted from coordinates, out of fold, beside measured chance."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from latentia.core.errors import Error
from latentia.core.label_kinds import LabelKind, Names, find_labelled, get_label_kind
from latentia.core.seeding import derive_seed
from latentia.core.text import pluralize
from latentia.data.splits import evenly_spaced_rows

MIN_IMAGES = 20
FOLDS, INNER_FOLDS, NEIGHBORS = 5, 3, 15
RIDGE_PENALTIES = tuple(10.0**k for k in range(-2, 6))  # of standardised coordinates
LOGISTIC_STRENGTHS = (1e-3, 1e-1, 10.0)  # inverse penalties C
MAX_IMAGES, MIN_CAPPED_IMAGES = 5000, 1000
MAX_WORK = 8_000_000  # images x coordinates x classes (at least 8): some seconds on one core
CHANCE_IMAGES = 5000  # over all permutations
RESAMPLES = 1000


@dataclass(frozen=True)
class Probe:
    """Score of predicting a label out of fold, its 95 % interval over images, and chance.

    score: share of correct predictions, or R^2 = 1 - (residual / total sum of squares), over the
    held-out predictions of all folds together. chance: the same score for permuted labels.
    """

    method: str  # "ridge regression", "logistic regression" or "15 nearest neighbours"
    measure: str  # "accuracy" or "R²"
    dims: int
    score: float
    low: float
    high: float
    chance: float
    n: int  # images used

    @property
    def text(self) -> str:
        """The score with its 95 % interval."""
        return f"{self.score:z.2f} [{self.low:z.2f}, {self.high:z.2f}]"


def find_labelled_rows(
    values: np.ndarray, name: str, classes: Mapping[str, Names]
) -> tuple[np.ndarray, LabelKind]:
    """Return a mask of the images with a label, and the kind of the labels.

    Raises: Error if too few images have one, or the values are no classes or numbers.
    """
    kind = get_label_kind(name, values, classes)
    rows = find_labelled(values, kind)
    n, count = int(rows.sum()), len(np.unique(values[rows]))
    if n < MIN_IMAGES:
        raise Error(f"only {pluralize(n, 'image')} with a value.")
    if count < 2 or (kind == "class" and count > n / 2):
        raise Error(f"{pluralize(count, 'different value')} in {pluralize(n, 'image')}.")
    if not np.isfinite(values[rows]).all():
        raise Error("it holds infinity.")
    return rows, kind


def probe_labels(
    coordinates: np.ndarray,
    labels: np.ndarray,
    is_class: bool,
    seed: int = 0,
    method: Literal["linear", "neighbors"] = "linear",
    max_permutations: int = 3,
) -> Probe:
    """Score a linear (or nearest-neighbour) prediction of labels by nested cross-validation.

    Numbers: ridge regression, whose penalty has the least leave-one-out error in each training
    fold. Classes: multinomial logistic regression, whose penalty has the best accuracy in three
    stratified folds of each training fold. Both on standardised coordinates. Nearest neighbours
    keep the scale of coordinates, so that dead dimensions are not amplified to noise. Of more than
    5,000 images (fewer for many coordinates and classes), evenly spaced ones are used.

    Parameters
    ----------
    coordinates : ndarray
        coordinates (n, d) of n images
    labels : ndarray
        labels (n,), finite
    is_class : bool
        whether labels are classes; else they are numbers
    seed : int
        seed of the five outer folds, of the permutations and of the bootstrap
    method : {"linear", "neighbors"}
        what predicts
    max_permutations : int
        largest number of permutations from which chance is measured; 0: chance is NaN

    Returns
    -------
    Probe
        accuracy with Wilson's interval, or R^2 with a percentile bootstrap over images, and chance:
        the mean score for permutations of the labels

    Raises
    ------
    Error
        if numbers do not vary, or fewer than two classes have an image in each fold

    Examples
    --------
    >>> import numpy as np
    >>> from latentia.latents.probes import probe_labels
    >>> coordinates = np.random.default_rng(0).normal(size=(200, 4))
    >>> probe = probe_labels(coordinates, coordinates[:, 3] - 1, is_class=False)
    >>> probe.method, round(probe.score, 3)
    ('ridge regression', 1.0)
    """
    rows = evenly_spaced_rows(len(labels), _count_images(coordinates, labels, is_class)).numpy()
    inputs, targets = coordinates[rows].astype(np.float64), labels[rows]
    _, counts = np.unique(targets, return_counts=True)
    if len(counts) < 2 or (is_class and np.count_nonzero(counts >= FOLDS) < 2):
        raise Error(
            f"{pluralize(len(rows), 'image')} of {pluralize(len(counts), 'different value')} cannot"
            f" be predicted out of fold; give at least two values{is_class * ' of 5 images each'}."
        )
    if not is_class:
        targets = targets.astype(np.float64)
    name, model = _make_model(method, is_class, len(rows))
    predictions = predict_out_of_fold(model, inputs, targets, is_class, seed)
    score = score_predictions(targets, predictions, is_class)
    low, high = _find_interval(targets, predictions, is_class, seed)
    rng, chances = np.random.default_rng(derive_seed(seed, "chance")), []
    for _ in range(min(-(-CHANCE_IMAGES // len(rows)), max_permutations)):
        permuted = rng.permutation(targets)
        predictions = predict_out_of_fold(model, inputs, permuted, is_class, seed)
        chances.append(score_predictions(permuted, predictions, is_class))
    measure = "accuracy" if is_class else "R²"
    chance = float(np.mean(chances)) if chances else np.nan
    return Probe(name, measure, inputs.shape[1], score, low, high, chance, len(rows))


def fit_linear_probe(
    coordinates: np.ndarray, labels: np.ndarray, is_class: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit the linear probe of `probe_labels` to all of the images that it uses.

    Returns its coefficients (d,) on standardised coordinates, and the mean and the scale (d,) that
    standardise them; classes are 0 and 1.
    """
    rows = evenly_spaced_rows(len(labels), _count_images(coordinates, labels, is_class)).numpy()
    _, model = _make_model("linear", is_class, len(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as out of fold
        scaler, probe = model.fit(coordinates[rows], labels[rows])
    fitted = probe.best_estimator_ if is_class else probe
    return fitted.coef_.ravel(), scaler.mean_, scaler.scale_


def probe_held_out(
    fitted: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    is_class: bool,
    seed: int = 0,
) -> Probe:
    """Score a linear prediction of labels on other images than those that it is fitted to.

    fitted, held_out: coordinates (n, d) and labels (n,). Chance: the same for permuted labels.
    """
    (inputs, labels), (coordinates, targets) = fitted, held_out
    name, model = _make_model("linear", is_class, len(labels))
    permuted, predictions = np.random.default_rng(seed).permutation(labels), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the scores of the chosen penalty need no converged fit
        for values in (labels, permuted):
            predictions.append(np.asarray(model.fit(inputs, values).predict(coordinates)))
    score, chance = (score_predictions(targets, each, is_class) for each in predictions)
    low, high = _find_interval(targets, predictions[0], is_class, seed)
    measure = "accuracy" if is_class else "R²"
    return Probe(name, measure, inputs.shape[1], score, low, high, chance, len(targets))


def predict_out_of_fold(
    model: Any, inputs: np.ndarray, targets: np.ndarray, is_class: bool, seed: int
) -> np.ndarray:
    """Predict each image's label by the model that is fit without its fold."""
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

    folds = (StratifiedKFold if is_class else KFold)(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # a class of few images is in few folds, and the scores of the chosen penalty need no
        # converged fit
        warnings.simplefilter("ignore")
        return np.asarray(cross_val_predict(model, inputs, targets, cv=folds))


def score_predictions(targets: np.ndarray, predictions: np.ndarray, is_class: bool) -> float:
    """Accuracy, or coefficient of determination R^2."""
    if is_class:
        return float(np.mean(targets == predictions))
    residual = np.square(targets - predictions).sum()
    return float(1 - residual / np.square(targets - targets.mean()).sum())


def _count_images(coordinates: np.ndarray, labels: np.ndarray, is_class: bool) -> int:
    outputs = max(len(np.unique(labels)) if is_class else 1, 8)
    affordable = MAX_WORK // (coordinates.shape[1] * outputs)
    return min(MAX_IMAGES, max(MIN_CAPPED_IMAGES, affordable))


def _make_model(method: str, is_class: bool, n: int) -> tuple[str, Any]:
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if method == "neighbors":
        neighbors = min(NEIGHBORS, n // 2)
        model_class = KNeighborsClassifier if is_class else KNeighborsRegressor
        return f"{neighbors} nearest neighbours", model_class(neighbors)
    if not is_class:
        return "ridge regression", make_pipeline(StandardScaler(), RidgeCV(RIDGE_PENALTIES))
    grid = {"C": LOGISTIC_STRENGTHS}
    search = GridSearchCV(LogisticRegression(tol=1e-3), grid, cv=INNER_FOLDS)
    return "logistic regression", make_pipeline(StandardScaler(), search)


def _find_interval(
    targets: np.ndarray, predictions: np.ndarray, is_class: bool, seed: int
) -> tuple[float, float]:
    n = len(targets)
    if is_class:
        from scipy.stats import binomtest

        correct = int(np.count_nonzero(predictions == targets))
        interval = binomtest(correct, n).proportion_ci(method="wilson")
        return float(interval.low), float(interval.high)
    rng, scores = np.random.default_rng(derive_seed(seed, "bootstrap")), []
    while len(scores) < RESAMPLES:
        rows = rng.integers(n, size=n)
        if np.ptp(targets[rows]) > 0:  # the R^2 of equal values is undefined
            scores.append(score_predictions(targets[rows], predictions[rows], False))
    low, high = np.quantile(scores, [0.025, 0.975])
    return float(low), float(high)
