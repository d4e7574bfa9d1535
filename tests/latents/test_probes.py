"""Probes equal scikit-learn's nested cross-validation, and see what nearest neighbors miss."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneOut,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latentia.core.errors import Error
from latentia.latents import probes
from latentia.latents.probes import probe_labels


def draw_coordinates(n=300, d=8, seed=0):
    """Dimensions of very different scales, the last one the smallest."""
    return np.random.default_rng(seed).normal(size=(n, d)) * np.geomspace(10, 0.1, d)


def draw_labels(x, is_class, seed=1):
    noise = np.random.default_rng(seed).normal(size=len(x))
    hidden = x[:, 0] / 10 + x[:, -1] / 0.1 + noise
    return np.digitize(hidden, [-1, 1]) if is_class else 1e3 * hidden + 5e4


def test_the_probe_of_numbers_is_nested_cross_validation_of_ridge_regression():
    x = draw_coordinates(n=40)
    y, seed = draw_labels(x, False), 3
    penalties = {"alpha": probes.RIDGE_PENALTIES}
    inner = GridSearchCV(Ridge(), penalties, cv=LeaveOneOut(), scoring="neg_mean_squared_error")
    outer = KFold(5, shuffle=True, random_state=seed)
    predictions = cross_val_predict(make_pipeline(StandardScaler(), inner), x, y, cv=outer)
    probe = probe_labels(x, y, False, seed)
    assert probe.score == pytest.approx(r2_score(y, predictions), abs=1e-9)
    assert probe.low < probe.score < probe.high
    assert (probe.method, probe.measure, probe.n, probe.dims) == ("ridge regression", "R²", 40, 8)


@pytest.mark.usefixtures("full_repetitions")
@pytest.mark.parametrize("seed", [0, 3])
def test_the_probe_of_classes_is_nested_cross_validation_of_logistic_regression(seed):
    x = draw_coordinates()
    y = draw_labels(x, True)
    strengths = {"C": probes.LOGISTIC_STRENGTHS}
    inner = GridSearchCV(LogisticRegression(tol=1e-3), strengths, cv=StratifiedKFold(3))
    outer = StratifiedKFold(5, shuffle=True, random_state=seed)
    predictions = cross_val_predict(make_pipeline(StandardScaler(), inner), x, y, cv=outer)
    probe = probe_labels(x, y, True, seed)
    assert probe.score == accuracy_score(y, predictions)
    assert probe.low < probe.score < probe.high
    assert (probe.method, probe.measure) == ("logistic regression", "accuracy")


def test_the_probe_reads_a_dimension_of_low_rate_that_neighbors_miss():
    """One of 32 dimensions carries the label, and varies least."""
    x = draw_coordinates(1000, 32)
    y = x[:, -1] + 0.005 * np.random.default_rng(2).normal(size=1000)
    assert probe_labels(x, y, False).low > 0.95
    assert probe_labels(x, y, False, method="neighbors").high < 0.3
    assert probe_labels(x[:, :5], y, False, method="neighbors").high < 0.3


@pytest.mark.parametrize("method", ["linear", "neighbors"])
def test_chance_is_what_the_probe_scores_for_shuffled_labels(method):
    x = draw_coordinates(600)
    shuffled = np.random.default_rng(5).permutation(draw_labels(x, False))
    probe = probe_labels(x, shuffled, False, method=method)
    assert probe.chance == pytest.approx(probe.score, abs=0.06)
    if method == "linear":  # neighbors fit noise, so that their chance lies below 0
        assert probe.low <= 0 <= probe.high
        assert probe.chance == pytest.approx(0, abs=0.02)
    labels = np.random.default_rng(6).permutation(np.repeat([0, 1, 2], [420, 120, 60]))
    probe = probe_labels(x, labels, True, method=method)
    assert probe.low <= probe.chance <= probe.high
    majority = cross_val_score(DummyClassifier(), x, labels).mean()
    assert probe.low <= majority <= probe.high
    assert probe.chance == pytest.approx(majority, abs=0.03)
    planted = probe_labels(x, draw_labels(x, True), True, method=method)
    assert planted.chance < planted.low - 0.05  # of permuted labels, whatever the labels say


@pytest.mark.parametrize("is_class", [False, True])
def test_the_order_and_unit_of_dimensions_leave_the_probe_unchanged(is_class):
    x = draw_coordinates()
    y = draw_labels(x, is_class)
    order = np.random.default_rng(7).permutation(8)
    first = probe_labels(x, y, is_class)
    for changed in (x[:, order], 7 * x + 3):
        again = probe_labels(changed, y, is_class)
        assert again.score == pytest.approx(first.score, abs=1e-9 if not is_class else 0.01)
        assert again.chance == pytest.approx(first.chance, abs=1e-9 if not is_class else 0.01)


def test_many_images_are_thinned_evenly_and_counted():
    x = np.random.default_rng(8).normal(size=(6001, 2))
    y = x[:, 0]
    assert probe_labels(x, y, False).n == 5000
    large = np.zeros((3000, 8000), np.float32)
    large[:, 0] = np.arange(3000)
    assert probes._count_images(large, large[:, 0], False) == 1000


def test_a_rare_class_is_no_obstacle_and_too_few_are_named():
    x = draw_coordinates(60)
    y = np.repeat([0, 1, 2], [40, 18, 2])
    assert probe_labels(x, y, True).score > 0.3
    with pytest.raises(Error, match="60 images of 2 different values cannot be predicted"):
        probe_labels(x, np.repeat([0, 1], [56, 4]), True)
    with pytest.raises(Error, match="60 images of 1 different value cannot be predicted"):
        probe_labels(x, np.ones(60), False)
