"""Association of latents with labels: prediction from all dimensions, information of each one."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from latentia.core.errors import Error
from latentia.core.mutual_information import (
    assign_quantile_bins,
    compute_information_variance,
    mutual_information,
)
from latentia.core.parameters import require_at_least
from latentia.core.seeding import derive_seed
from latentia.core.text import pluralize
from latentia.latents.encoding import LatentTable
from latentia.latents.probes import MIN_IMAGES, Probe, find_labelled_rows, probe_labels

SIGNIFICANCE_LEVEL = 0.05
LARGE_SHARE = 0.1  # of a label's entropy: what matters, beside what is significant
EXPLANATION_OF_STARS = (
    f"*: more than for permuted labels (p ≤ {SIGNIFICANCE_LEVEL} over all dimensions), however "
    f"little; **: also at least {100 * LARGE_SHARE:.0f} % of the label's entropy."
)


@dataclass(frozen=True)
class Information:
    """Mutual information of every dimension with one label; arrays (d,) in the model's order.

    p: share of permutations whose largest information over all dimensions is at least as large.
    If the label is independent of the latents, the probability that any dimension has p <= 0.05
    is at most 0.05. low, high: 95 % interval, 1.96 standard errors by the delta method.
    """

    information: np.ndarray  # nats, minus the mean for permuted labels
    low: np.ndarray
    high: np.ndarray
    share: np.ndarray  # information as a share of the label's entropy
    p: np.ndarray
    entropy: float  # of the label (of a number: of its quantile bins), nats

    @property
    def order(self) -> list[int]:
        """Dimensions by information, largest first."""
        return np.argsort(-self.information, kind="stable").tolist()


@dataclass(frozen=True)
class LabelAssociation(Information):
    """Association of one label with the latents: predictions, and information by dimension."""

    label: str
    kind: str  # "class" or "number"
    linear: Probe  # from all dimensions
    neighbors: Probe  # from all dimensions
    scores: list[Probe]  # nearest neighbours, from the first 1, 2, ... dimensions by rate (KL)
    n: int
    features: Probe | None = None  # from a PCA of pretrained features, if it was requested

    def to_json(self) -> dict[str, Any]:
        items = asdict(self).items()
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in items}


class AssociationResult(NamedTuple):
    """Associations of all labels; notes: the columns that are left out, and why."""

    associations: list[LabelAssociation]
    dims_by_kl: list[int]
    kl_per_dim: np.ndarray | None
    notes: list[str]

    def __repr__(self) -> str:
        labels = ", ".join(f"{each.label} ({each.kind})" for each in self.associations)
        return f"AssociationResult({labels}; {len(self.dims_by_kl)} dimensions)"

    @property
    def dims_by_information(self) -> list[int]:
        """Dimensions by their largest share of a label's entropy, largest first."""
        shares = np.max([each.share for each in self.associations], 0)
        return np.argsort(-shares, kind="stable").tolist()

    def to_json(self) -> dict[str, Any]:
        return {
            "n": max(association.n for association in self.associations),
            "level": SIGNIFICANCE_LEVEL,
            "order": self.dims_by_information,
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
        class names by column, None for numbers; in other columns booleans and whole numbers of at
        most 20 distinct values are classes
    max_dims : int
        nearest neighbours predict from all dimensions, and from the first 1, 2, ... up to so many
        by rate (KL)
    permutations : int
        random permutations of each label from which p-values are computed, at least 19
    seed : int
        seed of the permutations

    Returns
    -------
    AssociationResult
        predictions of every label, and its information in every dimension

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
            "for instance --split all, or more with --data."
        )
    require_at_least("--k", max_dims, 1)
    # fewer cannot show anything at this level
    require_at_least("--permutations", permutations, round(1 / SIGNIFICANCE_LEVEL) - 1)
    associations, notes = [], []
    for name, values in columns.items():
        if values.ndim > 1:
            continue
        try:
            rows, kind = find_labelled_rows(values, name, classes or {})
            part, values = table._replace(mean=table.mean[rows]), values[rows]
            associations.append(
                measure_association(part, name, values, kind, max_dims, permutations, seed)
            )
        except Error as error:
            notes.append(f"{name} is left out: {error}")
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
    """Measure the association of one label column with the posterior means."""
    is_class, ordered = kind == "class", table.mean[:, table.dims_by_kl]
    counts = range(1, min(max_dims, ordered.shape[1]) + 1)
    return LabelAssociation(
        **vars(measure_information(table.mean, values, is_class, permutations, seed)),
        label=name,
        kind=kind,
        linear=probe_labels(table.mean, values, is_class, seed),
        neighbors=probe_labels(table.mean, values, is_class, seed, "neighbors"),
        scores=[probe_labels(ordered[:, :k], values, is_class, seed, "neighbors") for k in counts],
        n=len(values),
    )


def get_star(information: Information, dim: int) -> str:
    """Return the mark of a dimension as `EXPLANATION_OF_STARS` says."""
    if information.p[dim] > SIGNIFICANCE_LEVEL:
        return ""
    return "**" if information.share[dim] >= LARGE_SHARE else "*"


def measure_information(
    mean: np.ndarray, values: np.ndarray, is_class: bool, permutations: int, seed: int = 0
) -> Information:
    """Mutual information of each dimension of posterior means (n, d) with a label (n,)."""
    n_bins = max(2, min(20, round(len(values) ** (1 / 3))))
    bins = np.stack([assign_quantile_bins(column, n_bins) for column in mean.T], 1)
    label = np.unique(values, return_inverse=True)[1]
    if not is_class and label.max() >= n_bins:
        label = assign_quantile_bins(values, n_bins)
    plug_in, entropy = mutual_information(bins, label), mutual_information(label[:, None], label)[0]
    # addressed by the values, so that equal columns have equal p
    rng = np.random.default_rng(derive_seed(seed, f"permutations of {label.tobytes()}"))
    null = np.stack([mutual_information(bins, rng.permutation(label)) for _ in range(permutations)])
    largest = null.max(1)[:, None]  # over dimensions: each p then accounts for all dimensions
    p = (1 + (largest >= plug_in - 1e-12).sum(0)) / (1 + permutations)
    information = plug_in - null.mean(0)
    margin = 1.96 * np.sqrt(compute_information_variance(bins, label))
    share = information / max(entropy, 1e-12)
    return Information(
        information, information - margin, information + margin, share, p, float(entropy)
    )
