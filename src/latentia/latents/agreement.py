"""Agreement of the latents of two runs, by canonical correlations on the same images."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from latentia.core.errors import Error
from latentia.core.seeding import derive_seed

MAX_PRINTED, CLOSE = 10, 0.9  # correlations in the text; one that means the same coordinate
PERMUTATIONS = 20  # of the images of one run, from which chance is measured
RANK_TOLERANCE = 1e-6  # of the largest singular value: smaller ones are no dimension


class Agreement(NamedTuple):
    """How well the latents of two runs determine each other linearly.

    canonical: canonical correlations, falling. explained: share of the variance of the first run's
    latents that a linear map of the second's explains, and the reverse. matched: for each
    dimension of the first run, its highest absolute correlation with a dimension of the second.
    chance: mean canonical correlation when the images of one run are permuted. yardsticks: squared
    errors and labels, by the coordinates of both runs and of baselines.
    """

    canonical: Float[np.ndarray, " k"]
    explained: tuple[float, float]
    matched: Float[np.ndarray, " d"]
    chance: float
    n: int
    yardsticks: Any = None  # a pandas.DataFrame

    def __repr__(self) -> str:
        first, second = (f"{share:.0%}" for share in self.explained)
        canonical = ", ".join(f"{value:.2f}" for value in self.canonical[:MAX_PRINTED])
        rest = len(self.canonical) - MAX_PRINTED
        more = f" and {rest} smaller" if rest > 0 else ""
        return (
            f"canonical correlations: {canonical}{more} (mean {self.canonical.mean():.2f}; by "
            f"chance {self.chance:.2f}; n = {self.n:,})\n"
            f"variance explained linearly: {first} of the first run's latents by the second's, "
            f"{second} the other way\n"
            f"best match of a single dimension: {np.median(self.matched):.2f} in the median "
            f"(absolute correlation; {int((self.matched > CLOSE).sum())} of {len(self.matched)} "
            f"above {CLOSE})"
        ) + ("" if self.yardsticks is None else f"\n\n{self.yardsticks.to_string()}")

    def to_json(self) -> dict[str, Any]:
        items = self._replace(yardsticks=None)._asdict().items()
        values = {name: np.asarray(value).tolist() for name, value in items}
        if self.yardsticks is not None:
            values["yardsticks"] = self.yardsticks.to_dict("index")
        return {**values, "explained": list(self.explained)}


def measure_agreement(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n e"]) -> Agreement:
    """Compare the latents of the same images in two runs (Hotelling 1936).

    Raises: Error if there are not more images than dimensions.
    """
    n, dims = len(a), a.shape[1] + b.shape[1]
    if n <= dims:
        raise Error(
            f"{n} images are too few to compare {dims} latent dimensions; give a split with more "
            "images than dimensions, such as --split train."
        )
    a, b = (z.astype(np.float64) - z.mean(0, dtype=np.float64) for z in (a, b))
    bases = _find_basis(a), _find_basis(b)
    canonical = _correlate(*bases)
    rng = np.random.default_rng(derive_seed(0, "agreement"))
    shuffled = [_correlate(bases[0], bases[1][rng.permutation(n)]) for _ in range(PERMUTATIONS)]
    explained = _share_explained(a, bases[1]), _share_explained(b, bases[0])
    norms = [np.maximum(np.linalg.norm(z, axis=0), 1e-12) for z in (a, b)]
    matched = np.abs((a / norms[0]).T @ (b / norms[1])).max(1)
    return Agreement(canonical, explained, matched, float(np.mean(shuffled)), n)


def _find_basis(z: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis (n, k) of the columns."""
    left, scales, _ = np.linalg.svd(z, full_matrices=False)
    return left[:, scales > RANK_TOLERANCE * max(scales[0], 1e-12)]


def _share_explained(z: np.ndarray, basis: np.ndarray) -> float:
    return float(np.square(basis.T @ z).sum() / np.square(z).sum())


def _correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.svd(a.T @ b, compute_uv=False).clip(0, 1)


def compute_participation_ratio(covariance: Float[np.ndarray, "d d"]) -> float:
    """Effective number of dimensions, tr(C)^2 / tr(C C): d if all variances are equal and alone."""
    return float(np.trace(covariance) ** 2 / np.square(covariance).sum())
