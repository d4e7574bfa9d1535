"""Association of latent dimensions with labels: mutual information, tested by permutation.

Also the accuracy of predicting a label from the first dimensions.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.core.label_kinds import find_labelled, get_label_kind
from latentia.core.mutual_information import assign_quantile_bins, mutual_information
from latentia.core.seeding import derive_seed
from latentia.core.text import pluralize
from latentia.data import Split
from latentia.latents.encoding import LatentTable, encode_split

MIN_IMAGES = 20
MAX_SCORED_IMAGES = 5000  # images of the cross-validation, evenly spaced
FOLDS, NEIGHBORS = 5, 15
SIGNIFICANCE_LEVEL = 0.05


class PredictionScore(NamedTuple):
    """Out-of-fold accuracy or R^2 with its 95 % interval over images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelAssociation:
    """Association of one label with every dimension; arrays (d,) in the model's order.

    p: share of permutations whose largest information over all dimensions is at least as large.
    If the label is independent of the latents, the probability that any dimension has p <= 0.05
    is at most 0.05.
    """

    label: str
    kind: str  # "class" or "number"
    information: np.ndarray  # nats, minus the mean for permuted labels
    p: np.ndarray
    scores: list[PredictionScore]  # from the first 1, 2, ... dimensions by rate (KL)
    chance: float  # accuracy of the largest class; 0 for R^2
    n: int

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "information": self.information.tolist(),
            "p": self.p.tolist(),
            "scores": [score._asdict() for score in self.scores],
        }


class AssociationResult(NamedTuple):
    """Associations of all labels; notes: the columns that are left out, and why."""

    associations: list[LabelAssociation]
    dims_by_kl: list[int]
    kl_per_dim: np.ndarray | None
    notes: list[str]

    def __repr__(self) -> str:
        labels = ", ".join(f"{each.label} ({each.kind})" for each in self.associations)
        return f"AssociationResult({labels}; {len(self.dims_by_kl)} dimensions)"

    def to_json(self) -> dict[str, Any]:
        return {
            "n": max(association.n for association in self.associations),
            "level": SIGNIFICANCE_LEVEL,
            "order": self.dims_by_kl,
            "rates": None if self.kl_per_dim is None else self.kl_per_dim.tolist(),
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
    """Measure the association of every label column with the posterior means.

    Images without a label (NaN, or a class below 0) count for the other labels only.

    Parameters
    ----------
    table : LatentTable
        latents of n images, at least 20
    columns : dict of str to ndarray
        labels (n,) by name
    classes : dict, optional
        class names by column, None for numbers; in other columns booleans and integers of at most
        20 distinct values are classes
    max_dims : int
        predict labels from the first 1, 2, ... up to so many dimensions
    permutations : int
        random permutations of each label from which p-values are computed, at least 19
    seed : int
        seed of the permutations

    Returns
    -------
    AssociationResult
        information and p of every label and dimension, and scores of predictions

    Raises
    ------
    Error
        if images, max_dims or permutations are too few, or no column can be used

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> split = run.split("all")
    >>> columns = {"label": split.columns["label"].numpy()}
    >>> table = latentia.encode_split(run.model, split)
    >>> latentia.associate_labels(table, columns, permutations=19)
    AssociationResult(label (class); 20 dimensions)
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
        least = round(1 / SIGNIFICANCE_LEVEL) - 1
        raise Error(
            f"--permutations is {permutations}; give at least {least}: fewer cannot show anything "
            f"at the level {SIGNIFICANCE_LEVEL}."
        )
    associations, notes = [], []
    for name, values in columns.items():
        if values.ndim > 1:
            continue
        kind = get_label_kind(name, values, classes or {})
        rows = find_labelled(values, kind)
        n, values, latents = int(rows.sum()), values[rows], table.mean[rows]
        if n < MIN_IMAGES:
            notes.append(f"{name} is left out: only {pluralize(n, 'image')} with a value.")
            continue
        count = len(np.unique(values))
        if count < 2 or (kind == "class" and count > n / 2):
            different = pluralize(count, "different value")
            notes.append(f"{name} is left out: {different} in {pluralize(n, 'image')}.")
            continue
        if not np.isfinite(values).all():
            notes.append(f"{name} is left out: it holds infinity.")
            continue
        associations.append(
            measure_association(
                table._replace(mean=latents), name, values, kind, max_dims, permutations, seed
            )
        )
    if not associations:
        message = " ".join(notes) or "The images have no label columns."
        raise Error(f"{message} Give labels with --labels FILE.csv, or sort images into folders.")
    return AssociationResult(associations, table.dims_by_kl, table.kl_per_dim, notes)


def associate_split(
    model: HasLatents, split: Split, *, max_dims: int = 5, permutations: int = 200
) -> AssociationResult:
    """Measure the association of a split's labels with the posterior means of its images."""
    values = {name: column.numpy() for name, column in split.columns.items()}
    options = {"max_dims": max_dims, "permutations": permutations}
    return associate_labels(encode_split(model, split), values, split.classes, **options)


def measure_association(
    table: LatentTable,
    name: str,
    values: np.ndarray,
    kind: str,
    max_dims: int,
    permutations: int,
    seed: int,
) -> LabelAssociation:
    """Measure the association of one label column with the posterior means."""
    n = len(values)
    n_bins = max(2, min(20, round(n ** (1 / 3))))
    bins = np.stack([assign_quantile_bins(column, n_bins) for column in table.mean.T], 1)
    label = np.unique(values, return_inverse=True)[1]
    if kind == "number":
        label = assign_quantile_bins(values, n_bins)
    information = mutual_information(bins, label)
    rng = np.random.default_rng(derive_seed(seed, f"permutation of {name}"))
    null = np.stack([mutual_information(bins, rng.permutation(label)) for _ in range(permutations)])
    largest = null.max(1)[:, None]  # over dimensions: each p then accounts for all dimensions
    p = (1 + (largest >= information - 1e-12).sum(0)) / (1 + permutations)
    rows = np.linspace(0, n - 1, min(n, MAX_SCORED_IMAGES)).round().astype(int)
    inputs = table.mean[rows][:, table.dims_by_kl].astype(np.float64)
    scores = [
        score_prediction(inputs[:, :j], values[rows], kind, seed)
        for j in range(1, min(max_dims, inputs.shape[1]) + 1)
    ]
    chance = float(np.bincount(label).max() / n) if kind == "class" else 0.0
    return LabelAssociation(name, kind, information - null.mean(0), p, scores, chance, n)


def score_prediction(
    inputs: np.ndarray, values: np.ndarray, kind: str, seed: int
) -> PredictionScore:
    """Out-of-fold accuracy or R^2 of a nearest-neighbor prediction.

    It assumes no shape of the relation. Dimensions keep their scale, so that dead dimensions are
    not amplified to noise. Intervals: Wilson's for accuracy, a percentile bootstrap over images
    for R^2.
    """
    from scipy.stats import binomtest, bootstrap
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    model_class = KNeighborsClassifier if kind == "class" else KNeighborsRegressor
    model, n = model_class(min(NEIGHBORS, len(values) // 2)), len(values)
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    predictions = np.asarray(cross_val_predict(model, inputs, values, cv=folds))
    if kind == "class":
        correct = int(np.count_nonzero(predictions == values))
        interval = binomtest(correct, n).proportion_ci(method="wilson")
        return PredictionScore(correct / n, float(interval.low), float(interval.high))
    truth = values.astype(np.float64)

    def r2(targets: np.ndarray, predictions: np.ndarray, axis: int = -1) -> Any:
        residual = np.square(targets - predictions).sum(axis)
        return 1 - residual / np.square(targets - targets.mean(axis, keepdims=True)).sum(axis)

    rng = np.random.default_rng(derive_seed(seed, "bootstrap"))
    interval = bootstrap(
        (truth, predictions), r2, paired=True, n_resamples=500, method="percentile", rng=rng
    ).confidence_interval
    score = float(r2(truth, predictions))
    return PredictionScore(score, float(interval.low), float(interval.high))
