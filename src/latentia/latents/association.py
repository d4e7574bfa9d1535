"""Which latent dimension carries which label: mutual information against permutations, and how well
the label can be read from the first dimensions."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from latentia.core.errors import Error
from latentia.core.mutual_information import (
    assign_quantile_bins,
    infer_column_type,
    mutual_information,
)
from latentia.core.seeding import derive_seed
from latentia.core.text import pluralize
from latentia.latents.encoding import LatentTable

MIN_IMAGES, MAX_SCORED_IMAGES = 20, 5000  # images; of the cross-validation, evenly spaced
FOLDS, NEIGHBORS = 5, 15
SIGNIFICANCE_LEVEL = 0.05


class PredictionScore(NamedTuple):
    """Accuracy, or R^2, out of fold; with its 95 % interval over images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelAssociation:
    """One label against every dimension; arrays (d,), in the model's order of dimensions.

    p: the share of permutations whose largest information over all dimensions is as large: below
    LEVEL in any dimension with probability LEVEL at most if the label is independent of all.
    """

    label: str
    kind: str  # "class" or "number"
    information: np.ndarray  # nats, less what permuted labels give on average
    p: np.ndarray
    scores: list[PredictionScore]  # from the first 1, 2, ... dimensions by rate
    chance: float  # share of the largest class; 0 for R^2
    n: int

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "information": self.information.tolist(),
            "p": self.p.tolist(),
            "scores": [score._asdict() for score in self.scores],
        }


class AssociationResult(NamedTuple):
    """order: the dimensions by rate; notes: columns that say nothing, and why."""

    associations: list[LabelAssociation]
    dims_by_kl: list[int]
    kl_per_dim: np.ndarray
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.associations[0].n,
            "level": SIGNIFICANCE_LEVEL,
            "order": self.dims_by_kl,
            "rates": self.kl_per_dim.tolist(),
            "relations": [association.to_json() for association in self.associations],
            "notes": self.notes,
        }


def associate_labels(
    table: LatentTable,
    columns: dict[str, np.ndarray],
    classes: dict[str, list[str] | None] | None = None,
    *,
    max_dims: int = 5,
    permutations: int = 200,
    seed: int = 0,
) -> AssociationResult:
    """Every label column against the posterior means, read from at most the first k of them.

    Integers with class names, or of at most 20 different values, are classes; the rest numbers.

    Raises: Error if images, k or permutations are too few, or no column can be used.
    """
    n = len(table.mean)
    if n < MIN_IMAGES:
        raise Error(
            f"{pluralize(n, 'image')} cannot be related to anything; give at least {MIN_IMAGES}, "
            "for instance --split all."
        )
    if max_dims < 1:
        raise Error(
            f"--k is {max_dims}; it must be at least 1, the number of dimensions to read from."
        )
    if permutations < 1 / SIGNIFICANCE_LEVEL - 1:
        raise Error(
            f"--permutations is {permutations}; give at least {round(1 / SIGNIFICANCE_LEVEL) - 1}: fewer cannot"
            f" show anything at the level {SIGNIFICANCE_LEVEL}."
        )
    associations, notes = [], []
    for name, values in columns.items():
        if values.ndim > 1:
            continue
        kind = infer_column_type(values, (classes or {}).get(name))
        value_count = len(np.unique(values))
        if value_count < 2 or (kind == "class" and value_count > n / 2):
            value_count_text = pluralize(value_count, "different value")
            notes.append(f"{name} is left out: {value_count_text} in {pluralize(n, 'image')}.")
            continue
        if not np.isfinite(values).all():
            notes.append(f"{name} is left out: it holds NaN or infinity.")
            continue
        associations.append(
            measure_association(table, name, values, kind, max_dims, permutations, seed)
        )
    if not associations:
        message = " ".join(notes) or "The images have no label columns."
        raise Error(f"{message} Give labels with --labels FILE.csv, or sort images into folders.")
    return AssociationResult(associations, table.dims_by_kl, table.kl_per_dim, notes)


def measure_association(
    table: LatentTable,
    name: str,
    values: np.ndarray,
    kind: str,
    max_dims: int,
    permutations: int,
    seed: int,
) -> LabelAssociation:
    n = len(values)
    bins = max(2, min(20, round(n ** (1 / 3))))
    binned_dims = np.stack([assign_quantile_bins(column, bins) for column in table.mean.T], 1)
    label = np.unique(values, return_inverse=True)[1]
    if kind == "number":
        label = assign_quantile_bins(values, bins)
    observed_information = mutual_information(binned_dims, label)
    rng = np.random.default_rng(derive_seed(seed, f"permutation of {name}"))
    null_information = np.stack(
        [mutual_information(binned_dims, rng.permutation(label)) for _ in range(permutations)]
    )
    largest_null = null_information.max(
        1
    )  # over dimensions: one p for each that holds for all together
    p = (1 + (largest_null[:, None] >= observed_information - 1e-12).sum(0)) / (1 + permutations)
    rows = np.linspace(0, n - 1, min(n, MAX_SCORED_IMAGES)).round().astype(int)
    inputs = table.mean[rows][:, table.dims_by_kl].astype(np.float64)
    scores = [
        score_prediction(inputs[:, :j], values[rows], kind, seed)
        for j in range(1, min(max_dims, inputs.shape[1]) + 1)
    ]
    chance = np.bincount(label).max() / n if kind == "class" else 0.0
    return LabelAssociation(
        name, kind, observed_information - null_information.mean(0), p, scores, float(chance), n
    )


def score_prediction(
    inputs: np.ndarray, values: np.ndarray, kind: str, seed: int
) -> PredictionScore:
    """Out-of-fold accuracy or R^2 of the nearest neighbours: no shape of the relation is assumed,
    and a dimension counts by its spread, so that dead ones are not blown up to noise.

    Intervals: Wilson's for accuracy, a percentile bootstrap over images for R^2.
    """
    from scipy.stats import binomtest, bootstrap
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    model = (KNeighborsClassifier if kind == "class" else KNeighborsRegressor)(
        min(NEIGHBORS, len(values) // 2)
    )
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    guess = np.asarray(cross_val_predict(model, inputs, values, cv=folds))
    if kind == "class":
        correct_count = int(np.count_nonzero(guess == values))
        interval = binomtest(correct_count, len(values)).proportion_ci(method="wilson")
        return PredictionScore(
            correct_count / len(values), float(interval.low), float(interval.high)
        )
    truth = values.astype(np.float64)

    def r2(targets: np.ndarray, predictions: np.ndarray, axis: int = -1) -> Any:
        residual = np.square(targets - predictions).sum(axis)
        return 1 - residual / np.square(targets - targets.mean(axis, keepdims=True)).sum(axis)

    interval = bootstrap(
        (truth, guess),
        r2,
        paired=True,
        n_resamples=500,
        method="percentile",
        rng=np.random.default_rng(derive_seed(seed, "bootstrap")),
    ).confidence_interval
    return PredictionScore(float(r2(truth, guess)), float(interval.low), float(interval.high))
