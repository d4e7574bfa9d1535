"""Directions: where a label rises in latent space, how well it is read, and what moves with it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.core.label_kinds import Names, find_labelled
from latentia.core.memory import check_picture_memory
from latentia.core.parameters import require_at_least
from latentia.core.seeding import derive_seed
from latentia.core.text import abbreviate_list, list_cuts, pluralize
from latentia.data import Split
from latentia.latents.encoding import LatentTable
from latentia.latents.probes import (
    MIN_IMAGES,
    Probe,
    find_labelled_rows,
    fit_linear_probe,
    probe_labels,
)
from latentia.latents.traversal import (
    BATCH_SIZE,
    Traversal,
    make_levels,
    mixture_quantiles,
)

SMALL_CORRELATION = 0.1  # below it a column does not count as moving along
MAX_COLUMNS = 8
IMAGE_COLUMNS = ("brightness", "contrast")  # of every image, whatever its labels


class Direction(NamedTuple):
    """Direction in latent space along which a linear probe of a label rises.

    The coordinate of an image is t = u . (z - centre) / scale: u are the coefficients of the probe
    on standardised dimensions, of length 1. A step of 1 along the direction adds scale * u to z,
    the shortest way in standard deviations of each dimension on which the prediction rises so much.

    Parameters
    ----------
    toward : str
        the label: COLUMN, or COLUMN=VALUE for one class against the others
    axis : ndarray
        scale * u, (d,)
    gradient : ndarray
        u / scale, (d,)
    centre : ndarray
        mean of the latents, (d,)
    probe : Probe
        score out of fold; of a class, among as many images with it as without it
    moving : DataFrame
        what else is correlated with the coordinate: column, correlation, low and high (95 %
        interval), and the correlation of the label itself with the column

    Examples
    --------
    >>> import latentia
    >>> direction = latentia.load("runs/digits").find_direction("label=3")
    >>> direction.axis.shape, direction.probe.method
    ((20,), 'logistic regression')
    """

    toward: str
    axis: np.ndarray
    gradient: np.ndarray
    centre: np.ndarray
    probe: Probe
    moving: pd.DataFrame

    def __repr__(self) -> str:
        return f"Direction({self.text})"

    def project(self, mean: np.ndarray) -> np.ndarray:
        """Return the coordinate (n,) of latents (n, d)."""
        return (mean - self.centre) @ self.gradient

    @property
    def text(self) -> str:
        """What the direction is worth, in sentences."""
        p = self.probe
        kind = ", as many with it as without" if p.measure == "accuracy" else ""
        text = (
            f"Toward {self.toward}: {p.measure} {p.text} out of fold, chance {p.chance:z.2f} "
            f"({p.method}, {pluralize(p.n, 'image')}{kind})."
        )
        if not p.low > p.chance:
            return (
                f"{text} The latents do not tell {self.toward} better than chance, so pictures "
                "along this direction say nothing about it."
            )
        pairs = zip(self.moving["column"], self.moving["correlation"], strict=True)
        others = [f"{column} ({r:+.2f})" for column, r in pairs]
        if not others:
            return f"{text} No other column has a correlation above {SMALL_CORRELATION} with it."
        return (
            f"{text} Also correlated with it: {', '.join(others)}. The pictures show all of these "
            f"together, and do not say what {self.toward} does by itself."
        )


def find_direction(
    table: LatentTable,
    columns: Mapping[str, np.ndarray],
    classes: Mapping[str, Names],
    toward: str,
) -> Direction:
    """Find the direction of a label from latents (n, d) and columns (n,) of the same images.

    Raises: Error if there is no such column or class, or too few images have it.
    """
    own_names, target, is_class = select_target(toward, columns, classes)
    rows = np.flatnonzero(np.isfinite(target))
    if is_class:
        rows = balance_rows(target, rows, derive_seed(0, toward))
    mean, label = table.mean[rows].astype(np.float64), target[rows]
    if is_class:
        label = label.astype(np.int64)
    probe = probe_labels(mean, label, is_class)
    coefficients, centre, scale = fit_linear_probe(mean, label, is_class)
    u = coefficients / max(np.linalg.norm(coefficients), np.finfo(float).tiny)
    direction = Direction(toward, scale * u, u / scale, centre, probe, pd.DataFrame())
    moving = correlate_columns(direction.project(table.mean), target, columns, classes)
    others = moving[~moving["column"].isin(own_names)]
    return direction._replace(moving=others.head(MAX_COLUMNS).reset_index(drop=True))


def select_target(
    toward: str, columns: Mapping[str, np.ndarray], classes: Mapping[str, Names]
) -> tuple[list[str], np.ndarray, bool]:
    """Return names of the label, its values (NaN: none), and whether they are 1 for a class.

    Raises: Error if there is no such column or class, or its images are too few.
    """
    if not isinstance(toward, str):
        raise Error(f"--toward is {toward!r}; give a column, or a class as COLUMN=VALUE.")
    pairs = [(toward, ""), *list_cuts(toward, "=")]
    column, value = next((pair for pair in pairs if pair[0] in columns), pairs[-1])
    if column not in columns or columns[column].ndim > 1:
        names = [name for name, values in columns.items() if values.ndim == 1]
        listing = ", ".join(names) or "none; give labels with --labels FILE.csv"
        raise Error(f"--toward is {toward}; the images have no column {column}, but {listing}.")
    try:
        rows, kind = find_labelled_rows(columns[column], column, classes)
    except Error as error:
        raise Error(f"--toward is {toward}; {column} cannot be used: {error}") from None
    values = np.where(rows, columns[column].astype(np.float64), np.nan)
    if kind == "number":
        if value:
            raise Error(f"--toward is {toward}; {column} holds numbers: give --toward {column}.")
        return [column], values, False
    codes = np.unique(values[rows]).astype(int).tolist()
    names = list(classes.get(column) or ()) or [str(code) for code in range(max(codes) + 1)]
    present = {names[code]: code for code in codes}
    if not value and len(codes) == 2:
        value = names[codes[1]]
    if value not in present:
        listing = abbreviate_list([*present], 20)
        raise Error(
            f"--toward is {toward}; {column} holds {pluralize(len(codes), 'class', 'classes')}"
            f" ({listing}): give one, such as --toward {column}={names[codes[0]]}."
        )
    own_names = [f"{column}={name}" for name in (present if len(codes) == 2 else [value])]
    return own_names, np.where(rows, values == present[value], np.nan), True


def balance_rows(target: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """Return rows, as many of 1 as of 0, those of the larger class drawn by seed; ascending."""
    parts = [rows[target[rows] == value] for value in (0, 1)]
    n, rng = min(map(len, parts)), np.random.default_rng(seed)
    return np.sort(np.concatenate([rng.permutation(part)[:n] for part in parts]))


def correlate_columns(
    coordinate: np.ndarray,
    target: np.ndarray,
    columns: Mapping[str, np.ndarray],
    classes: Mapping[str, Names],
) -> pd.DataFrame:
    """Correlate the coordinate with each number, and with each class (1, else 0), of the columns.

    Rows are those of at least 0.1 whose 95 % interval (Fisher's z) holds no 0, the largest first.
    """
    parts: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        if values.ndim == 1:
            names = classes.get(name) or ()
            has_label = find_labelled(values, "class" if names else "number")
            present = np.where(has_label, values.astype(np.float64), np.nan)
            codes = {f"{name}={text}": code for code, text in enumerate(names)}
            parts |= {each: np.where(has_label, present == k, np.nan) for each, k in codes.items()}
            parts |= {} if names else {name: present}
    frame = pd.DataFrame(parts)
    r: Any = frame.corrwith(pd.Series(coordinate))
    n: Any = frame.count()
    z, margin = np.arctanh(r.clip(-1 + 1e-12, 1 - 1e-12)), 1.96 / np.sqrt(n.clip(lower=4) - 3)
    low, high = np.tanh(z - margin), np.tanh(z + margin)
    own = {"label's own correlation": frame.corrwith(pd.Series(target))}
    table: Any = pd.DataFrame({"correlation": r, "low": low, "high": high, **own})
    table = table[(n >= MIN_IMAGES) & (r.abs() >= SMALL_CORRELATION) & (z.abs() > margin)]
    order = np.argsort(-np.abs(table["correlation"].to_numpy()), kind="stable")
    return table.iloc[order].rename_axis("column").reset_index()


def measure_brightness(split: Split) -> dict[str, np.ndarray]:
    """Mean and standard deviation of the pixels of each image (n,)."""
    batches = split.iterate_batches(split.max_batch_size())
    values = [torch.stack(torch.std_mean(b.image.flatten(1), 1)[::-1]) for b in batches]
    return dict(zip(IMAGE_COLUMNS, torch.cat(values, 1).cpu().numpy(), strict=True))


@torch.no_grad()
def traverse_direction(
    model: HasLatents, mean: Tensor, table: LatentTable, direction: Direction, steps: int
) -> Traversal:
    """Move latents (1, *latent) along a direction, over its quantiles in the table's images."""
    require_at_least("--steps", steps, 2)
    reconstruction, sd = model.decode(mean), table.sd
    n_values = max(reconstruction.numel(), 2 * len(table.mean))  # of an image, or of its bisection
    check_picture_memory(steps, (n_values,), "--steps")
    if sd is not None:
        sd = np.linalg.norm(sd * direction.gradient, axis=1)[:, None]
    coordinates, levels = direction.project(table.mean)[:, None], make_levels(steps)
    values = mixture_quantiles(coordinates, sd, levels)
    start = direction.project(mean.flatten(1).cpu().numpy())
    shift = torch.from_numpy((values[0] - start)[:, None] * direction.axis).to(mean)
    z = mean + shift.view(-1, *mean.shape[1:])
    images = torch.cat([model.decode(rows) for rows in z.split(BATCH_SIZE)])[None]
    return Traversal([0], None, start, levels, values, images, reconstruction)
