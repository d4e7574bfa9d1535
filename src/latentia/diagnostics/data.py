"""Illnesses of images: too few, twice, blank, turned inside out, or nearly all of one class."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from latentia.core.text import pluralize
from latentia.data import Images, Split
from latentia.data.sources.synthetic import SYNTHETIC_MODULES
from latentia.data.splits import evenly_spaced_rows
from latentia.diagnostics import suggested_commands
from latentia.diagnostics.check import ERROR, NOTE, WARNING, CheckResult, define_check
from latentia.diagnostics.run_context import RunContext, count_pixels

MIN_TRAIN_IMAGES = 10  # training images, below which a model can only repeat them
THUMBNAIL_SIDE = 16  # pixels of the thumbnails that are compared
MAX_PIXELS = 2**26  # pixels that are read of a split, at most: 85,000 images of 28x28
MAX_HELD_OUT = 2000  # held-out images that are sought among the training images, at most
MAX_TRAIN = 10_000  # training images that are compared with each other, at most
DUPLICATE_DISTANCE = (
    0.03  # of the spread of images: what a JPEG or a resize changes, and no second picture does
)
SPLIT_OVERLAP_SHARE, DUPLICATE_SHARE, ODD_IMAGE_SHARE = (
    0.01,
    0.05,
    0.01,
)  # shares above which a note becomes a warning
BLANK_CONTRAST = 1 / 255  # standard deviation of a constant image's pixels
INVERTED_CORRELATION = -0.5  # correlation with the mean image that only inverted images have
MAX_CLASS_SHARE, MAX_BINARY_SHARE = (
    0.5,
    0.9,
)  # of the training images, with three classes or more, with two
MAX_CLASSES = 100  # values of a column of integers, at most, for them to be classes
CLEANING_ADVICE = "latentia doctor RUN --clean FILE.npz, and the same command on it"
MANUAL_CLEANING_ADVICE = (
    " A table of labels names files, which an .npz has not: take them out of the data by hand."
)


class Thumbnails(NamedTuple):
    """Thumbnails (n, 256) of rows of a split, and each image's contrast."""

    rows: Tensor
    vectors: Float[Tensor, "n d"]
    contrast: Float[Tensor, " n"]


def make_thumbnails(split: Split, max_images: int) -> Thumbnails:
    """At so many of its images, evenly spaced."""
    n_images = len(split)
    max_images = max(2, min(max_images, MAX_PIXELS // split.pixels.shape[1:].numel()))
    rows = evenly_spaced_rows(n_images, max_images)
    vectors, contrast = [], []
    for row_chunk in rows.split(1000) if n_images else ():
        images = split.get_batch(row_chunk).image.mean(1, keepdim=True)
        vectors.append(F.adaptive_avg_pool2d(images, THUMBNAIL_SIDE).flatten(1))
        contrast.append(images.flatten(1).std(1, correction=0))
    if not n_images:
        return Thumbnails(rows, torch.empty(0, THUMBNAIL_SIDE**2), torch.empty(0))
    return Thumbnails(rows, torch.cat(vectors), torch.cat(contrast))


def near_duplicates(
    queries: Thumbnails, candidates: Thumbnails, spread: float, *, earlier: bool = False
) -> Tensor:
    """Rows (i, j) of a and b that show the same picture; earlier: j before i, of one split."""
    chunks = []
    for start in range(0, len(queries.vectors), 500):
        distances = (
            torch.cdist(queries.vectors[start : start + 500], candidates.vectors) / THUMBNAIL_SIDE
        )  # root mean square
        is_near = distances < DUPLICATE_DISTANCE * spread
        is_near &= (queries.contrast[start : start + 500] > BLANK_CONTRAST)[
            :, None
        ]  # blank ones are another matter
        if earlier:
            is_near = is_near.tril(start - 1)
        chunks.append(is_near.nonzero() + torch.tensor([start, 0]))
    pairs = torch.cat(chunks) if chunks else torch.empty(0, 2, dtype=torch.long)
    return torch.stack([queries.rows[pairs[:, 0]], candidates.rows[pairs[:, 1]]], 1)


def measure_spread(thumbnails: Thumbnails) -> float:
    """Root mean square distance of a pixel from the mean image."""
    return float((thumbnails.vectors - thumbnails.vectors.mean(0)).square().mean().sqrt())


def find_inverted(thumbnails: Thumbnails) -> Bool[Tensor, " n"]:
    """Images that look like the mean image only once black and white are exchanged.

    None, where images have no common look: half of them must correlate with the mean image.
    """
    mean = thumbnails.vectors.median(0).values
    centred, centred_mean = (
        thumbnails.vectors - thumbnails.vectors.mean(1, keepdim=True),
        mean - mean.mean(),
    )
    correlation = (centred @ centred_mean) / (centred.norm(dim=1) * centred_mean.norm()).clamp_min(
        1e-12
    )
    is_closer_inverted = (1 - thumbnails.vectors - mean).norm(dim=1) < 0.7 * (
        thumbnails.vectors - mean
    ).norm(dim=1)
    if not len(correlation) or correlation.median() < 0.3:
        return torch.zeros(len(correlation), dtype=torch.bool)
    return (correlation < INVERTED_CORRELATION) & is_closer_inverted


def suggest_cleaning(context: RunContext) -> list[str]:
    """Write the images anew without what was found, and train on those; [] where that fails."""
    is_streamed = context.run.metadata["images"].get(
        "streamed"
    )  # larger, maybe, than any file here
    if (
        uses_label_table(context)
        or is_streamed
        or not suggested_commands.get_recipe_parameters(context.run.metadata["recipe"])
    ):
        return []
    path = str(
        suggested_commands.unused_path(context.run.path.with_name(f"{context.run.name}-clean.npz"))
    )
    run, data = str(context.run.path), context.data_flags
    retraining = suggested_commands.retrain(context, "clean", data=path)
    return [
        suggested_commands.format_command("latentia", "doctor", run, *data, "--clean", path),
        *retraining,
    ]


def uses_label_table(context: RunContext) -> bool:
    """Whether a table of labels, joined by file name, teaches the run."""
    return bool(context.run.metadata["modifiers"].get("supervise", {}).get("labels"))


def format_names(split: Split, rows: Tensor, max_names: int = 3) -> str:
    names = [split.keys[row] for row in rows.unique()[:max_names].tolist()]
    return ", ".join(names) + (", ..." if len(rows.unique()) > max_names else "")


def get_own_images(context: RunContext) -> Images | None:
    """The run's images; of a run built on a run they are the other's matter."""
    return None if context.parent is not None else context.images


def iterate_classes(split: Split) -> Iterator[tuple[str, Tensor, list[str], float]]:
    """Columns of classes, named or numbered: codes, names, and the share that one may have."""
    for column, codes in split.columns.items():
        names = split.classes.get(column)
        if names is None and codes.ndim == 1 and not codes.is_floating_point():
            numbers, codes = codes.unique(return_inverse=True)
            names = (
                [str(number) for number in numbers.tolist()]
                if len(numbers) <= MAX_CLASSES
                else None
            )
        if names and len(names) > 1 and len(split):
            yield column, codes, names, MAX_CLASS_SHARE if len(names) > 2 else MAX_BINARY_SHARE


def unwanted_images(
    context: RunContext,
    warning_share: float,
    rows: Tensor,
    total: int,
    description: str,
    consequence: str,
):
    """So many images that ought not to be there; a warning beyond this share of all."""
    if not (count := len(rows.unique())):
        return None
    severity, text = (
        WARNING if count > warning_share * total else NOTE,
        f"{count:,} of {total:,} {description}.",
    )
    consequence += MANUAL_CLEANING_ADVICE if uses_label_table(context) else ""
    return CheckResult(
        severity, text, consequence, {"count": count, "of": total}, suggest_cleaning(context)
    )


@define_check(
    "too few images",
    evidence="training images; their pixels in all, and the weights that learn them",
    threshold=f"ERROR: fewer than {MIN_TRAIN_IMAGES}; WARNING: fewer pixels than weights",
    advice="all of a made source, or a model of fewer weights",
    early=True,
)
def too_few_images(context: RunContext) -> CheckResult | None:
    metadata = context.run.metadata
    n_images, n_weights = (
        metadata["images"]["count"]["train"],
        sum(metadata.get("parameters", {}).values()),
    )
    n_pixels = n_images * count_pixels(context.run)
    if context.parent is not None or (n_images >= MIN_TRAIN_IMAGES and n_pixels >= n_weights):
        return None
    name = str(context.parameters["data"]).partition(":")[0]
    if name in SYNTHETIC_MODULES and ":" in str(context.parameters["data"]):
        commands = suggested_commands.retrain(context, "all", data=name)
    else:
        small_parameters = {"hidden": max(2, n_images // 8), "latent": 4}
        commands = (
            suggested_commands.use_recipe(context, "mnist_mlp_vae", "small", **small_parameters)
            if n_images >= MIN_TRAIN_IMAGES
            else []
        )
    return CheckResult(
        ERROR if n_images < MIN_TRAIN_IMAGES else WARNING,
        f"{pluralize(n_images, 'image')} to train on, {n_pixels:,} pixels in all, for {n_weights:,} weights.",
        "The model can know every image by heart: what it draws and the coordinates that it gives "
        "say little of images it has not seen."
        + ("" if commands else " No setting mends that: bring some hundred images or more."),
        {"train": n_images, "pixels": n_pixels, "weights": n_weights},
        commands,
    )


@define_check(
    "images in two splits",
    evidence="validation and test images whose 16x16 thumbnail is also a training image's",
    threshold=f"nearer than {DUPLICATE_DISTANCE:.0%} of the images' spread; WARNING from {SPLIT_OVERLAP_SHARE:.0%} of them on",
    advice=CLEANING_ADVICE,
)
def images_in_two_splits(context: RunContext) -> CheckResult | None:
    if (images := get_own_images(context)) is None:
        return None
    train_split = images.split("train")
    train_thumbnails, examples, rows, total = (
        make_thumbnails(train_split, len(train_split)),
        [],
        [],
        0,
    )
    for name in ("validation", "test"):
        split = images.split(name)
        held_out = make_thumbnails(split, MAX_HELD_OUT)
        pairs = near_duplicates(held_out, train_thumbnails, measure_spread(train_thumbnails))
        total += len(held_out.rows)
        rows.append(pairs[:, 0] + len(images.split("validation")) * len(rows))
        if len(pairs):
            examples.append(
                f"{name}: {format_names(split, pairs[:, 0])} = {format_names(train_split, pairs[:, 1])}"
            )
    description = f"held-out images are also trained on ({'; '.join(examples)})"
    consequence = "Figures on held-out images flatter the model: it has seen some of them."
    return unwanted_images(
        context, SPLIT_OVERLAP_SHARE, torch.cat(rows), total, description, consequence
    )


@define_check(
    "images given twice",
    evidence="training images whose 16x16 thumbnail an earlier one has",
    threshold=f"nearer than {DUPLICATE_DISTANCE:.0%} of the images' spread; WARNING from {DUPLICATE_SHARE:.0%} of them on",
    advice=CLEANING_ADVICE,
)
def duplicate_images(context: RunContext) -> CheckResult | None:
    if (images := get_own_images(context)) is None:
        return None
    train_split = images.split("train")
    thumbnails = make_thumbnails(train_split, MAX_TRAIN)
    duplicate_rows = near_duplicates(
        thumbnails, thumbnails, measure_spread(thumbnails), earlier=True
    )[:, 0]
    description = (
        f"training images repeat an earlier one ({format_names(train_split, duplicate_rows)})"
    )
    consequence = (
        "What is repeated counts double: it is drawn more often, and learned by heart sooner."
    )
    return unwanted_images(
        context, DUPLICATE_SHARE, duplicate_rows, len(thumbnails.rows), description, consequence
    )


@define_check(
    "constant images",
    evidence="training images all of whose pixels are equal",
    threshold=f"one; WARNING from {ODD_IMAGE_SHARE:.0%} of them on",
    advice=CLEANING_ADVICE,
)
def constant_images(context: RunContext) -> CheckResult | None:
    return report_odd_images(
        context,
        lambda thumbnails: thumbnails.contrast <= BLANK_CONTRAST,
        "show nothing: one grey all over",
    )


@define_check(
    "inverted images",
    evidence="training images that resemble the median image once black and white are exchanged",
    threshold=f"a correlation with it below {INVERTED_CORRELATION}; WARNING from {ODD_IMAGE_SHARE:.0%} of them on",
    advice=CLEANING_ADVICE,
)
def inverted_images(context: RunContext) -> CheckResult | None:
    return report_odd_images(
        context, find_inverted, "are black where the others are white, and white elsewhere"
    )


def report_odd_images(
    context: RunContext, select_rows: Callable[[Thumbnails], Tensor], appearance: str
) -> CheckResult | None:
    if (images := get_own_images(context)) is None:
        return None
    train_split = images.split("train")
    thumbnails = make_thumbnails(train_split, len(train_split))
    rows = thumbnails.rows[select_rows(thumbnails)]
    description = f"training images {appearance} ({format_names(train_split, rows)})"
    consequence = "The model spends coordinates on this difference, and draws such images too."
    return unwanted_images(
        context, ODD_IMAGE_SHARE, rows, len(thumbnails.rows), description, consequence
    )


@define_check(
    "one class dominates",
    evidence=f"training images by class, of each column with classes, or of up to {MAX_CLASSES} integers",
    threshold=f"more than {MAX_CLASS_SHARE:.0%} of three classes or more, or {MAX_BINARY_SHARE:.0%} of two",
    advice=CLEANING_ADVICE,
)
def dominant_class(context: RunContext) -> CheckResult | None:
    if (images := get_own_images(context)) is None:
        return None
    for column, codes, names, max_share in iterate_classes(images.split("train")):
        counts = torch.bincount(codes, minlength=len(names))
        largest, share = int(counts.argmax()), float(counts.max() / counts.sum())
        if share > max_share:
            return CheckResult(
                WARNING,
                f"{share:.0%} of {len(codes):,} training images are of class {names[largest]} ({column}; "
                f"{len(names)} classes).",
                "Coordinates describe that class; the others are drawn seldom and badly."
                + (MANUAL_CLEANING_ADVICE if uses_label_table(context) else ""),
                {"share": share, "classes": len(names)},
                suggest_cleaning(context),
            )
    return None


CHECKS = (
    too_few_images,
    images_in_two_splits,
    duplicate_images,
    constant_images,
    inverted_images,
    dominant_class,
)
