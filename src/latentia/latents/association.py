"""Which latent dimension carries which label: mutual information against permutations, and how well
the label can be read from the first dimensions."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from latentia.core.errors import Error
from latentia.core.mutual_information import information, kind_of, quantile_bins
from latentia.core.seeding import address
from latentia.core.text import counted
from latentia.latents.encoding import Codes

FEWEST, MOST = 20, 5000  # images; of the cross-validation, evenly spaced
FOLDS, NEIGHBOURS = 5, 15
LEVEL = 0.05


class Score(NamedTuple):
    """Accuracy, or R^2, out of fold; with its 95 % interval over images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Relation:
    """One label against every dimension; arrays (d,), in the model's order of dimensions.

    p: the share of permutations whose largest information over all dimensions is as large: below
    LEVEL in any dimension with probability LEVEL at most if the label is independent of all.
    """

    label: str
    kind: str  # "class" or "number"
    information: np.ndarray  # nats, less what permuted labels give on average
    p: np.ndarray
    scores: list[Score]  # from the first 1, 2, ... dimensions by rate
    chance: float  # share of the largest class; 0 for R^2
    n: int

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "information": self.information.tolist(),
            "p": self.p.tolist(),
            "scores": [score._asdict() for score in self.scores],
        }


class Related(NamedTuple):
    """order: the dimensions by rate; notes: columns that say nothing, and why."""

    relations: list[Relation]
    order: list[int]
    rates: np.ndarray
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.relations[0].n,
            "level": LEVEL,
            "order": self.order,
            "rates": self.rates.tolist(),
            "relations": [relation.as_json() for relation in self.relations],
            "notes": self.notes,
        }


def relate(
    codes: Codes,
    columns: dict[str, np.ndarray],
    classes: dict[str, list[str] | None] | None = None,
    *,
    k: int = 5,
    permutations: int = 200,
    seed: int = 0,
) -> Related:
    """Every label column against the posterior means, read from at most the first k of them.

    Integers with class names, or of at most 20 different values, are classes; the rest numbers.

    Raises: Error if images, k or permutations are too few, or no column can be used.
    """
    n = len(codes.mean)
    if n < FEWEST:
        raise Error(
            f"{counted(n, 'image')} cannot be related to anything; give at least {FEWEST}, "
            "for instance --split all."
        )
    if k < 1:
        raise Error(f"--k is {k}; it must be at least 1, the number of dimensions to read from.")
    if permutations < 1 / LEVEL - 1:
        raise Error(
            f"--permutations is {permutations}; give at least {round(1 / LEVEL) - 1}: fewer cannot"
            f" show anything at the level {LEVEL}."
        )
    relations, notes = [], []
    for name, values in columns.items():
        if values.ndim > 1:
            continue
        kind = kind_of(values, (classes or {}).get(name))
        different = len(np.unique(values))
        if different < 2 or (kind == "class" and different > n / 2):
            many = counted(different, "different value")
            notes.append(f"{name} is left out: {many} in {counted(n, 'image')}.")
            continue
        if not np.isfinite(values).all():
            notes.append(f"{name} is left out: it holds NaN or infinity.")
            continue
        relations.append(relation(codes, name, values, kind, k, permutations, seed))
    if not relations:
        why = " ".join(notes) or "The images have no label columns."
        raise Error(f"{why} Give labels with --labels FILE.csv, or sort images into folders.")
    return Related(relations, codes.order, codes.rates, notes)


def relation(
    codes: Codes, name: str, values: np.ndarray, kind: str, k: int, permutations: int, seed: int
) -> Relation:
    n = len(values)
    bins = max(2, min(20, round(n ** (1 / 3))))
    binned = np.stack([quantile_bins(column, bins) for column in codes.mean.T], 1)
    label = np.unique(values, return_inverse=True)[1]
    if kind == "number":
        label = quantile_bins(values, bins)
    found = information(binned, label)
    draw = np.random.default_rng(address(seed, f"permutation of {name}"))
    null = np.stack([information(binned, draw.permutation(label)) for _ in range(permutations)])
    largest = null.max(1)  # over dimensions: one p for each that holds for all together
    p = (1 + (largest[:, None] >= found - 1e-12).sum(0)) / (1 + permutations)
    rows = np.linspace(0, n - 1, min(n, MOST)).round().astype(int)
    inputs = codes.mean[rows][:, codes.order].astype(np.float64)
    scores = [
        score(inputs[:, :j], values[rows], kind, seed)
        for j in range(1, min(k, inputs.shape[1]) + 1)
    ]
    chance = np.bincount(label).max() / n if kind == "class" else 0.0
    return Relation(name, kind, found - null.mean(0), p, scores, float(chance), n)


def score(inputs: np.ndarray, values: np.ndarray, kind: str, seed: int) -> Score:
    """Out-of-fold accuracy or R^2 of the nearest neighbours: no shape of the relation is assumed,
    and a dimension counts by its spread, so that dead ones are not blown up to noise.

    Intervals: Wilson's for accuracy, a percentile bootstrap over images for R^2.
    """
    from scipy.stats import binomtest, bootstrap
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    model = (KNeighborsClassifier if kind == "class" else KNeighborsRegressor)(
        min(NEIGHBOURS, len(values) // 2)
    )
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    guess = np.asarray(cross_val_predict(model, inputs, values, cv=folds))
    if kind == "class":
        right = int(np.count_nonzero(guess == values))
        ends = binomtest(right, len(values)).proportion_ci(method="wilson")
        return Score(right / len(values), float(ends.low), float(ends.high))
    truth = values.astype(np.float64)

    def r2(truth: np.ndarray, guess: np.ndarray, axis: int = -1) -> Any:
        rest = np.square(truth - guess).sum(axis)
        return 1 - rest / np.square(truth - truth.mean(axis, keepdims=True)).sum(axis)

    ends = bootstrap(
        (truth, guess),
        r2,
        paired=True,
        n_resamples=500,
        method="percentile",
        rng=np.random.default_rng(address(seed, "bootstrap")),
    ).confidence_interval
    return Score(float(r2(truth, guess)), float(ends.low), float(ends.high))
