"""Groups of similar images: k-means of their coordinates, the number of groups, its stability."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from latentia.core.errors import Error
from latentia.core.text import format_with_error, pluralize
from latentia.data.splits import evenly_spaced_rows
from latentia.latents.encoding import SAMPLE, name_dims
from latentia.latents.writers import stack_dims

MAX_GROUPS, LOOK_AHEAD = 30, 3  # numbers that are tried; at least 4 before one group is left
MAX_CHOICE_IMAGES, REFERENCES, MARGIN = 1000, 20, 4.0  # of the gap statistic; standard errors
RESAMPLES, STARTS = 20, 3  # of the images, and of each k-means
BOOTSTRAPS = 200  # of the images, for agreement with labels
STABILITY_WORDS = ((0.9, "stable"), (0.6, "partly stable"), (-1.0, "unstable"))
Number = int | Literal["auto"]


class Score(NamedTuple):
    """Adjusted Rand index (Hubert & Arabie 1985) of two groupings with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:z.2f} [{self.low:z.2f}, {self.high:z.2f}]"


class Clusters(NamedTuple):
    """Groups of n images by k-means of their coordinates; group 0 is the largest.

    labels, distances: group of each image and distance from its mean. gaps: gap and standard error
    by the number of groups from 1, if it was chosen. stability: agreement with the groups of
    resamples. agreement: a pandas.DataFrame of agreements with label columns, or None.
    """

    labels: Int[np.ndarray, " n"]
    distances: Float[np.ndarray, " n"]
    gaps: list[tuple[float, float]]
    stability: Score | None
    agreement: Any = None

    @property
    def sizes(self) -> list[int]:
        return np.bincount(self.labels).tolist()

    @property
    def is_unstable(self) -> bool:
        return self.stability is not None and self.stability.value < STABILITY_WORDS[1][0]

    def __repr__(self) -> str:
        n, k = pluralize(len(self.labels), "image"), len(self.sizes)
        lines = [f"{n} in {pluralize(k, 'group')}: {', '.join(map(str, self.sizes))}."]
        null = "one Gaussian of the same covariance (gap statistic, Tibshirani et al. 2001)"
        if self.gaps and k == 1:
            count = f"no number of groups up to {len(self.gaps)} fits"
            lines = [f"One group of {n}: {count} them better than it fits {null}."]
        elif self.gaps:
            gap, error = self.gaps[k - 1]
            bound = ", the largest number tried," * (k == MAX_GROUPS)
            share = format_with_error(-100 * np.expm1(-gap), 100 * error * np.exp(-gap))
            lines.append(
                f"Within the {k} groups{bound} squared distances from the mean are {share} % "
                f"(standard error) smaller than within as many groups of {null}."
            )
        if self.stability:
            word = next(word for least, word in STABILITY_WORDS if self.stability.value >= least)
            lines.append(
                f"Stability over {RESAMPLES} seeds and resamples of the images: adjusted Rand "
                f"index {self.stability}, {word} (1: the same groups, 0: chance)."
            )
        if self.agreement is not None:
            lines += ["Agreement with labels, adjusted Rand index:", self.agreement.to_string()]
        return "\n".join(lines)


def find_clusters(points: Float[np.ndarray, "n d"], number: Number = "auto") -> Clusters:
    """Group images by k-means of their coordinates; the result ignores the order of the images.

    Parameters
    ----------
    points : ndarray
        coordinates (n, d); of more than 5,000 images, evenly spaced ones are fitted
    number : int or "auto"
        number of groups; auto adds groups while the gap statistic grows by more than 4 standard
        errors, with one Gaussian of the same covariance as the reference, so one group may be left

    Returns
    -------
    Clusters
        group of each image, and how stable the groups are

    Raises
    ------
    Error
        if the number is below 1, or above that of different images

    Examples
    --------
    >>> import numpy as np
    >>> from latentia.latents.clusters import find_clusters
    >>> points = np.random.default_rng(0).normal(size=(100, 2)) + 9 * np.eye(2)[[0] * 60 + [1] * 40]
    >>> find_clusters(points).sizes
    [60, 40]
    """
    points = points.astype(np.float64)
    order = np.lexsort(points.T[::-1])  # by content
    fitted = points[order[evenly_spaced_rows(len(points), SAMPLE).numpy()]]
    limit, gaps = len(np.unique(fitted, axis=0)), []
    if number == "auto":
        rows = evenly_spaced_rows(len(fitted), MAX_CHOICE_IMAGES).numpy()
        number, gaps = choose_number(fitted[rows])
    check_number(number, limit)
    number = int(number)
    kmeans = fit_kmeans(fitted, number, starts=10)
    groups, centres = kmeans.predict(points), kmeans.cluster_centers_
    sizes = np.bincount(groups, minlength=number)
    by_size = np.lexsort((*centres.T[::-1], -sizes))
    distances = np.linalg.norm(points - centres[groups], axis=1)
    stability = measure_stability(fitted, kmeans.labels_, number) if number > 1 else None
    return Clusters(np.argsort(by_size)[groups], distances, gaps, stability)


def check_number(number: Number, limit: int) -> None:
    """Raises: Error if a number of groups is below 1, or above that of different images"""
    if number != "auto" and number not in range(1, limit + 1):
        raise Error(
            f"--clusters is {number}; give auto, or a number of groups from 1 to {limit}, that of "
            "different images."
        )


def fit_kmeans(points: np.ndarray, number: int, seed: int = 0, starts: int = STARTS) -> Any:
    from sklearn.cluster import KMeans

    options: Any = {"n_init": starts, "random_state": seed}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a resample may have fewer different images than groups
        return KMeans(number, **options).fit(points)


def choose_number(points: Float[np.ndarray, "n d"]) -> tuple[int, list[tuple[float, float]]]:
    """Choose the number of groups by the gap statistic (Tibshirani, Walther & Hastie 2001).

    The references have one Gaussian's shape and exactly the covariance of the points: their
    singular values, with random orthonormal left vectors. The gap of 1 group is therefore 0.
    Returns the number, and the gap and its standard error for 1, 2, ... groups.
    """
    n, rng, number = len(points), np.random.default_rng(0), 1
    scales = np.linalg.svd(points - points.mean(0), compute_uv=False)
    scales, gaps = scales[scales > 1e-7 * max(scales[0], 1e-12)], [(0.0, 0.0)]
    normal = [rng.normal(size=(n, len(scales))) for _ in range(REFERENCES)]
    references = [np.linalg.qr(each - each.mean(0))[0] * scales for each in normal]
    for k in range(2, min(MAX_GROUPS + 1, len(np.unique(points, axis=0)))):
        own, *null = (np.log(fit_kmeans(x, k).inertia_) for x in (points, *references))
        error = float(np.std(null, ddof=1) * np.sqrt(1 + 1 / REFERENCES))
        gaps.append((float(np.mean(null) - own), error))
        if gaps[-1][0] > gaps[number - 1][0] + MARGIN * error:
            number = k
        elif number > 1 or k > LOOK_AHEAD:
            break
    return number, gaps


def measure_stability(points: np.ndarray, groups: np.ndarray, number: int) -> Score:
    """Agreement of groups with those of k-means on resamples, with replacement, by other seeds."""
    from sklearn.metrics import adjusted_rand_score

    rng, scores = np.random.default_rng(1), []
    for seed in range(1, RESAMPLES + 1):
        kmeans = fit_kmeans(points[rng.integers(len(points), size=len(points))], number, seed)
        scores.append(adjusted_rand_score(groups, kmeans.predict(points)))
    return make_score(float(np.mean(scores)), scores)


def score_agreement(groups: np.ndarray, labels: np.ndarray) -> Score:
    """Agreement of groups with labels, with a bootstrap over images.

    An image that is drawn twice agrees with itself, so the scores are moved to the mean `value`.
    """
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(2)
    rows = rng.integers(len(labels), size=(BOOTSTRAPS, len(labels)))
    scores = [adjusted_rand_score(labels[each], groups[each]) for each in rows]
    value = float(adjusted_rand_score(labels, groups))
    return make_score(value, np.array(scores) + (value - np.mean(scores)))


def make_score(value: float, scores: Sequence[float] | np.ndarray) -> Score:
    return Score(value, *map(float, np.quantile(scores, [0.025, 0.975])))


def weigh_dims(
    mean: Float[np.ndarray, "n d"], sd: Float[np.ndarray, "n d"] | None
) -> Float[np.ndarray, "n d"]:
    """Scale each latent dimension by the square root of its mean KL to N(0, I), if sd is known.

    A squared distance then counts a dimension as much as the information that it carries.
    """
    if sd is None:
        return mean
    mean, sd = mean.astype(np.float64), sd.astype(np.float64)
    return mean * np.sqrt(0.5 * (mean**2 + sd**2 - 1 - 2 * np.log(sd)).mean(0))


def add_clusters(
    table: pa.Table, shape: tuple[int, ...], number: Number
) -> tuple[pa.Table, Clusters]:
    """Add the column `cluster` to a latent table, before its labels."""
    has_sd, name = f"sd_{name_dims(shape)[0]}" in table.column_names, "cluster"
    sd = stack_dims(table, "sd", shape) if has_sd else None
    clusters = find_clusters(weigh_dims(stack_dims(table, "mu", shape), sd), number)
    while name in table.column_names:  # a label's name
        name = f"latent_{name}"
    position = table.column_names.index("encoder")
    return table.add_column(position, name, pa.array(clusters.labels)), clusters
