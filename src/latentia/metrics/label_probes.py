"""Labels read from a run's coordinates, beside those of baselines of as many dimensions.

Alain & Bengio 2016, arXiv 1610.01644: a linear probe.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from latentia.core.errors import Error
from latentia.data.splits import Split, evenly_spaced_rows
from latentia.latents.probes import Probe, find_labelled_rows, probe_held_out, probe_labels
from latentia.metrics.result import MetricResult

EncodeRows = Callable[[np.ndarray], Float[np.ndarray, "n d"]]
MAX_IMAGES, MAX_PROBED, MIN_PROBED = 1000, 5000, 300  # of one column, of all, of each of many


def make_probe_result(
    name: str, probe: Probe, split: str, note: str, others: Mapping[str, Probe]
) -> MetricResult:
    """Return a probe as the result of a metric, with the scores of others and chance beside it."""
    beside = {title: (each.score, each.low, each.high) for title, each in others.items()}
    fields = {"limits": (probe.low, probe.high), "beside": {**beside, "chance": (probe.chance,)}}
    return MetricResult(
        name, probe.score, None, probe.n, split, unit=probe.measure, note=note, **fields
    )


class ProbePair(NamedTuple):
    """The linear probe of one column from the run's coordinates, and from those of baselines."""

    column: str
    run: Probe
    pca: Probe  # of the pixels; its chance is not measured
    others: Mapping[str, Probe] = {}  # of other baselines by title

    def to_result(self, split: str) -> MetricResult:
        """Return the run's probe as the result of a metric, with the others beside it."""
        others = {f"PCA of {self.pca.dims} dimensions": self.pca, **self.others}
        note = f"{self.run.method}, out of fold"
        return make_probe_result(f"probe_{self.column}", self.run, split, note, others)

    @property
    def is_worse(self) -> bool:
        """Whether the run's interval lies below that of the PCA."""
        return self.run.high < self.pca.low

    def __str__(self) -> str:
        return (
            f"{self.run.measure} of {self.column} {self.run.text} from the coordinates and "
            f"{self.pca.text} from the PCA's (95 % intervals)"
        )


def compare_probes(
    run: Float[np.ndarray, "n d"],
    pca: Float[np.ndarray, "n k"],
    columns: Mapping[str, np.ndarray],
    classes: Mapping[str, Sequence[str] | None],
    seed: int = 0,
    encoders: Mapping[str, EncodeRows] = {},
) -> list[ProbePair]:
    """Probe every label column that allows it, by the same folds, on evenly spaced images.

    There are at most 1,000 images, and fewer of more than five columns (at least 300). encoders:
    coordinates of rows by the title of other baselines, only for the images that are probed.
    """
    columns = {name: values for name, values in columns.items() if values.ndim == 1}
    limit = min(MAX_IMAGES, max(MIN_PROBED, MAX_PROBED // max(len(columns), 1)))
    pairs = []
    for name, values in columns.items():
        with suppress(Error):  # a column that cannot be read by any probe
            mask, kind = find_labelled_rows(values, name, classes)
            rows = np.flatnonzero(mask)
            rows = rows[evenly_spaced_rows(len(rows), limit).numpy()]
            labels, is_class = values[rows], kind == "class"
            own = probe_labels(run[rows], labels, is_class, seed, max_permutations=1)
            linear, *others = (
                probe_labels(coordinates, labels, is_class, seed, max_permutations=0)
                for coordinates in (pca[rows], *(encode(rows) for encode in encoders.values()))
            )
            pairs.append(ProbePair(name, own, linear, dict(zip(encoders, others, strict=True))))
    return pairs


def probe_column(
    name: str,
    fitted: tuple[Split, Float[np.ndarray, "n d"]],
    held_out: tuple[Split, Float[np.ndarray, "m d"]],
    seed: int = 0,
) -> Probe | None:
    """Fit a linear probe of a label to the coordinates of one split, and score it on another.

    None: no probe can read it.
    """
    sets, kind = [], ""
    with suppress(Error):
        for split, means in (fitted, held_out):
            values = split.columns[name].numpy()
            mask, kind = find_labelled_rows(values, name, split.classes)
            sets.append((means[mask], values[mask]))
        return probe_held_out(sets[0], sets[1], kind == "class", seed)
    return None
