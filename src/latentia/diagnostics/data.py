"""Illnesses of images: too few, twice, blank, turned inside out, or nearly all of one class."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from latentia.core.text import counted
from latentia.data import Images, Split
from latentia.data.sources.synthetic import MADE
from latentia.data.splits import evenly
from latentia.diagnostics import suggested_commands
from latentia.diagnostics.check import ILL, NOTE, WARN, Diagnosis, check
from latentia.diagnostics.run_context import Patient, pixels_of

HANDFUL = 10  # training images, below which a model can only repeat them
SIDE = 16  # pixels of the thumbnails that are compared
VALUES = 2**26  # pixels that are read of a split, at most: 85,000 images of 28x28
HELD = 2000  # held-out images that are sought among the training images, at most
WITHIN = 10_000  # training images that are compared with each other, at most
SAME = 0.03  # of the spread of images: what a JPEG or a resize changes, and no second picture does
ACROSS, TWICE, STRANGE = 0.01, 0.05, 0.01  # shares above which a note becomes a warning
BLANK = 1 / 255  # standard deviation of a constant image's pixels
AGAINST = -0.5  # correlation with the mean image that only inverted images have
MAJORITY, OF_TWO = 0.5, 0.9  # of the training images, with three classes or more, with two
KINDS = 100  # values of a column of integers, at most, for them to be classes
CLEANED = "latentia doctor RUN --clean FILE.npz, and the same command on it"
BY_HAND = (
    " A table of labels names files, which an .npz has not: take them out of the data by hand."
)


class Look(NamedTuple):
    """Thumbnails (n, 256) of rows of a split, and each image's contrast."""

    rows: Tensor
    thumbs: Float[Tensor, "n d"]
    contrast: Float[Tensor, " n"]


def look(split: Split, most: int) -> Look:
    """At so many of its images, evenly spaced."""
    n = len(split)
    most = max(2, min(most, VALUES // split.pixels.shape[1:].numel()))
    rows = evenly(n, most)
    thumbs, contrast = [], []
    for part in rows.split(1000) if n else ():
        images = split.batch(part).image.mean(1, keepdim=True)
        thumbs.append(F.adaptive_avg_pool2d(images, SIDE).flatten(1))
        contrast.append(images.flatten(1).std(1, correction=0))
    if not n:
        return Look(rows, torch.empty(0, SIDE**2), torch.empty(0))
    return Look(rows, torch.cat(thumbs), torch.cat(contrast))


def twins(a: Look, b: Look, spread: float, *, earlier: bool = False) -> Tensor:
    """Rows (i, j) of a and b that show the same picture; earlier: j before i, of one split."""
    found = []
    for first in range(0, len(a.thumbs), 500):
        apart = torch.cdist(a.thumbs[first : first + 500], b.thumbs) / SIDE  # root mean square
        near = apart < SAME * spread
        near &= (a.contrast[first : first + 500] > BLANK)[:, None]  # blank ones are another matter
        if earlier:
            near = near.tril(first - 1)
        found.append(near.nonzero() + torch.tensor([first, 0]))
    pairs = torch.cat(found) if found else torch.empty(0, 2, dtype=torch.long)
    return torch.stack([a.rows[pairs[:, 0]], b.rows[pairs[:, 1]]], 1)


def spread_of(seen: Look) -> float:
    """Root mean square distance of a pixel from the mean image."""
    return float((seen.thumbs - seen.thumbs.mean(0)).square().mean().sqrt())


def inverted(seen: Look) -> Bool[Tensor, " n"]:
    """Images that look like the mean image only once black and white are exchanged.

    None, where images have no common look: half of them must correlate with the mean image.
    """
    mean = seen.thumbs.median(0).values
    x, m = seen.thumbs - seen.thumbs.mean(1, keepdim=True), mean - mean.mean()
    like = (x @ m) / (x.norm(dim=1) * m.norm()).clamp_min(1e-12)
    turned = (1 - seen.thumbs - mean).norm(dim=1) < 0.7 * (seen.thumbs - mean).norm(dim=1)
    if not len(like) or like.median() < 0.3:
        return torch.zeros(len(like), dtype=torch.bool)
    return (like < AGAINST) & turned


def cleaned(patient: Patient) -> list[str]:
    """Write the images anew without what was found, and train on those; [] where that fails."""
    streamed = patient.run.metadata["images"].get("streamed")  # larger, maybe, than any file here
    if (
        by_table(patient)
        or streamed
        or not suggested_commands.knobs_of(patient.run.metadata["recipe"])
    ):
        return []
    path = str(suggested_commands.free(patient.run.path.with_name(f"{patient.run.name}-clean.npz")))
    run, data = str(patient.run.path), patient.data
    again = suggested_commands.train(patient, "clean", data=path)
    return [suggested_commands.words("latentia", "doctor", run, *data, "--clean", path), *again]


def by_table(patient: Patient) -> bool:
    """Whether a table of labels, joined by file name, teaches the run."""
    return bool(patient.run.metadata["modifiers"].get("supervise", {}).get("labels"))


def named(split: Split, rows: Tensor, most: int = 3) -> str:
    some = [split.keys[row] for row in rows.unique()[:most].tolist()]
    return ", ".join(some) + (", ..." if len(rows.unique()) > most else "")


def own(patient: Patient) -> Images | None:
    """The run's images; of a run built on a run they are the other's matter."""
    return None if patient.parent is not None else patient.images


def classes(split: Split) -> Iterator[tuple[str, Tensor, list[str], float]]:
    """Columns of classes, named or numbered: codes, names, and the share that one may have."""
    for column, codes in split.columns.items():
        names = split.classes.get(column)
        if names is None and codes.ndim == 1 and not codes.is_floating_point():
            numbers, codes = codes.unique(return_inverse=True)
            names = [str(number) for number in numbers.tolist()] if len(numbers) <= KINDS else None
        if names and len(names) > 1 and len(split):
            yield column, codes, names, MAJORITY if len(names) > 2 else OF_TWO


def strays(patient: Patient, share: float, rows: Tensor, of: int, what: str, means: str):
    """So many images that ought not to be there; a warning beyond this share of all."""
    if not (count := len(rows.unique())):
        return None
    severity, text = WARN if count > share * of else NOTE, f"{count:,} of {of:,} {what}."
    means += BY_HAND if by_table(patient) else ""
    return Diagnosis(severity, text, means, {"count": count, "of": of}, cleaned(patient))


@check(
    "too few images",
    evidence="training images; their pixels in all, and the weights that learn them",
    threshold=f"ILL: fewer than {HANDFUL}; WARN: fewer pixels than weights",
    cure="all of a made source, or a model of fewer weights",
    early=True,
)
def too_few(patient: Patient) -> Diagnosis | None:
    about = patient.run.metadata
    n, weights = about["images"]["count"]["train"], sum(about.get("parameters", {}).values())
    values = n * pixels_of(patient.run)
    if patient.parent is not None or (n >= HANDFUL and values >= weights):
        return None
    name = str(patient.knobs["data"]).partition(":")[0]
    if name in MADE and ":" in str(patient.knobs["data"]):
        mend = suggested_commands.train(patient, "all", data=name)
    else:
        small = {"hidden": max(2, n // 8), "latent": 4}
        mend = (
            suggested_commands.other(patient, "mnist_mlp_vae", "small", **small)
            if n >= HANDFUL
            else []
        )
    return Diagnosis(
        ILL if n < HANDFUL else WARN,
        f"{counted(n, 'image')} to train on, {values:,} pixels in all, for {weights:,} weights.",
        "The model can know every image by heart: what it draws and the coordinates that it gives "
        "say little of images it has not seen."
        + ("" if mend else " No setting mends that: bring some hundred images or more."),
        {"train": n, "pixels": values, "weights": weights},
        mend,
    )


@check(
    "images in two splits",
    evidence="validation and test images whose 16x16 thumbnail is also a training image's",
    threshold=f"nearer than {SAME:.0%} of the images' spread; WARN from {ACROSS:.0%} of them on",
    cure=CLEANED,
)
def across(patient: Patient) -> Diagnosis | None:
    if (images := own(patient)) is None:
        return None
    train = images.split("train")
    seen, told, rows, of = look(train, len(train)), [], [], 0
    for name in ("validation", "test"):
        split = images.split(name)
        held = look(split, HELD)
        pairs = twins(held, seen, spread_of(seen))
        of += len(held.rows)
        rows.append(pairs[:, 0] + len(images.split("validation")) * len(rows))
        if len(pairs):
            told.append(f"{name}: {named(split, pairs[:, 0])} = {named(train, pairs[:, 1])}")
    what = f"held-out images are also trained on ({'; '.join(told)})"
    means = "Figures on held-out images flatter the model: it has seen some of them."
    return strays(patient, ACROSS, torch.cat(rows), of, what, means)


@check(
    "images given twice",
    evidence="training images whose 16x16 thumbnail an earlier one has",
    threshold=f"nearer than {SAME:.0%} of the images' spread; WARN from {TWICE:.0%} of them on",
    cure=CLEANED,
)
def twice(patient: Patient) -> Diagnosis | None:
    if (images := own(patient)) is None:
        return None
    train = images.split("train")
    seen = look(train, WITHIN)
    again = twins(seen, seen, spread_of(seen), earlier=True)[:, 0]
    what = f"training images repeat an earlier one ({named(train, again)})"
    means = "What is repeated counts double: it is drawn more often, and learned by heart sooner."
    return strays(patient, TWICE, again, len(seen.rows), what, means)


@check(
    "constant images",
    evidence="training images all of whose pixels are equal",
    threshold=f"one; WARN from {STRANGE:.0%} of them on",
    cure=CLEANED,
)
def constant(patient: Patient) -> Diagnosis | None:
    return strange(patient, lambda seen: seen.contrast <= BLANK, "show nothing: one grey all over")


@check(
    "inverted images",
    evidence="training images that resemble the median image once black and white are exchanged",
    threshold=f"a correlation with it below {AGAINST}; WARN from {STRANGE:.0%} of them on",
    cure=CLEANED,
)
def inside_out(patient: Patient) -> Diagnosis | None:
    return strange(patient, inverted, "are black where the others are white, and white elsewhere")


def strange(patient: Patient, which: Callable[[Look], Tensor], how: str) -> Diagnosis | None:
    if (images := own(patient)) is None:
        return None
    train = images.split("train")
    seen = look(train, len(train))
    rows = seen.rows[which(seen)]
    what = f"training images {how} ({named(train, rows)})"
    means = "The model spends coordinates on this difference, and draws such images too."
    return strays(patient, STRANGE, rows, len(seen.rows), what, means)


@check(
    "one class dominates",
    evidence=f"training images by class, of each column with classes, or of up to {KINDS} integers",
    threshold=f"more than {MAJORITY:.0%} of three classes or more, or {OF_TWO:.0%} of two",
    cure=CLEANED,
)
def dominated(patient: Patient) -> Diagnosis | None:
    if (images := own(patient)) is None:
        return None
    for column, codes, names, most in classes(images.split("train")):
        counts = torch.bincount(codes, minlength=len(names))
        k, share = int(counts.argmax()), float(counts.max() / counts.sum())
        if share > most:
            return Diagnosis(
                WARN,
                f"{share:.0%} of {len(codes):,} training images are of class {names[k]} ({column}; "
                f"{len(names)} classes).",
                "Coordinates describe that class; the others are drawn seldom and badly."
                + (BY_HAND if by_table(patient) else ""),
                {"share": share, "classes": len(names)},
                cleaned(patient),
            )
    return None


CHECKS = (too_few, across, twice, constant, inside_out, dominated)
