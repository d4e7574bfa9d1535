"""Problems of images: too few, duplicate, constant, inverted, or mostly of one class."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from latentia.core.text import pluralize
from latentia.data import Images, Split
from latentia.data.sources.synthetic import SYNTHETIC_MODULES
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import ERROR, NOTE, WARNING, CheckResult, define_check
from latentia.diagnostics.run_context import RunContext, count_pixels
from latentia.diagnostics.thumbnails import (
    BLANK_CONTRAST,
    DUPLICATE_DISTANCE,
    INVERTED_CORRELATION,
    Thumbnails,
    find_inverted,
    find_near_duplicates,
    make_thumbnails,
    measure_spread,
)

MIN_TRAIN_IMAGES = 10  # a model can only repeat fewer
MAX_HELD_OUT = 2000  # held-out images to compare with the training images
MAX_TRAIN = 10_000  # training images to compare with each other
# shares of the images above which a note becomes a warning
MAX_OVERLAP, MAX_DUPLICATES, MAX_ODD_IMAGES = 0.01, 0.05, 0.01
MAX_CLASS_SHARE, MAX_BINARY_SHARE = 0.5, 0.9  # with three classes or more, with two
MAX_CLASSES = 100  # different values of a column of integers that counts as classes
CLEANING_ADVICE = "latentia doctor RUN --clean FILE.npz, then the same training on that file"
MANUAL_CLEANING_ADVICE = (
    " A table of labels is joined by file name, and an .npz file has none: remove these images"
    " from the data by hand."
)


def suggest_cleaning(context: RunContext) -> list[str]:
    """Write a file without unwanted images and train on it; [] if that is not possible."""
    run, is_streamed = context.run, context.run.metadata["images"].get("streamed")
    if uses_label_table(context) or is_streamed or not suggest.get_run_defaults(context):
        return []
    path = str(suggest.find_unused_path(run.path.with_name(f"{run.name}-clean.npz")))
    command = ("latentia", "doctor", str(run.path), *context.data_flags, "--clean", path)
    return [suggest.format_command(*command), *suggest.retrain_run(context, "clean", data=path)]


def uses_label_table(context: RunContext) -> bool:
    """Whether the run is supervised by a table of labels that is joined by file name."""
    return bool(context.run.metadata["modifiers"].get("supervise", {}).get("labels"))


def format_keys(split: Split, rows: Tensor, max_keys: int = 3) -> str:
    rows = rows.unique()
    keys = [split.keys[row] for row in rows[:max_keys].tolist()]
    return ", ".join(keys) + (", ..." if len(rows) > max_keys else "")


def get_own_images(context: RunContext) -> Images | None:
    """Return the run's images; None for a learned prior, whose images are the autoencoder's."""
    return None if context.parent is not None else context.images


def iterate_classes(split: Split) -> Iterator[tuple[str, Tensor, list[str], float]]:
    """Yield the columns of classes: name, codes, class names and the largest share of a class."""
    for column, codes in split.columns.items():
        names = split.classes.get(column)
        if names is None and codes.ndim == 1 and not codes.is_floating_point():
            numbers, codes = codes.unique(return_inverse=True)
            if len(numbers) <= MAX_CLASSES:
                names = [str(number) for number in numbers.tolist()]
        if names and len(names) > 1 and len(split):
            yield column, codes, names, MAX_CLASS_SHARE if len(names) > 2 else MAX_BINARY_SHARE


def report_unwanted_images(
    context: RunContext, max_share: float, count: int, total: int, text: str, consequence: str
) -> CheckResult | None:
    """Return a note of unwanted images; a warning if they are more than this share of all."""
    if not count:
        return None
    return CheckResult(
        WARNING if count > max_share * total else NOTE,
        f"{count:,} of {total:,} {text}.",
        consequence + (MANUAL_CLEANING_ADVICE if uses_label_table(context) else ""),
        {"count": count, "of": total},
        suggest_cleaning(context),
    )


@define_check(
    "too few images",
    evidence="number of training images; of their pixels and of the model's weights",
    threshold=f"ERROR: fewer than {MIN_TRAIN_IMAGES} images; WARNING: fewer pixels than weights",
    advice="all images of a synthetic source, or a model of fewer weights",
    early=True,
)
def too_few_images(context: RunContext) -> CheckResult | None:
    metadata = context.run.metadata
    n = metadata["images"]["count"]["train"]
    n_pixels, n_weights = (
        n * count_pixels(context.run),
        sum(metadata.get("parameters", {}).values()),
    )
    is_error = n < MIN_TRAIN_IMAGES
    if context.parent is not None or not (is_error or n_pixels < n_weights):
        return None
    source, has_number, _ = str(context.parameters["data"]).partition(":")
    commands = []
    if source in SYNTHETIC_MODULES and has_number:
        commands = suggest.retrain_run(context, "all", data=source)
    elif not is_error:
        sizes = {"hidden": max(2, n // 8), "latent": 4}
        commands = suggest.use_recipe(context, "mnist_mlp_vae", "small", **sizes)
    return CheckResult(
        ERROR if is_error else WARNING,
        f"there are {pluralize(n, 'training image')} with {n_pixels:,} pixels in all, for "
        f"{n_weights:,} weights.",
        "The model can memorize every image: its samples and coordinates say little about other "
        "images." + ("" if commands else " No option changes that: add a few hundred images."),
        {"train": n, "pixels": n_pixels, "weights": n_weights},
        commands,
    )


@define_check(
    "images in two splits",
    evidence="validation and test images with the same 16x16 thumbnail as a training image",
    threshold=f"closer than {DUPLICATE_DISTANCE:.0%} of the images' spread; WARNING: more than "
    f"{MAX_OVERLAP:.0%} of them",
    advice=CLEANING_ADVICE,
)
def images_in_two_splits(context: RunContext) -> CheckResult | None:
    if (images := get_own_images(context)) is None:
        return None
    train = images.split("train")
    thumbnails = make_thumbnails(train)
    spread, count, total, examples = measure_spread(thumbnails), 0, 0, []
    for name in ("validation", "test"):
        split = images.split(name)
        held_out = make_thumbnails(split, MAX_HELD_OUT)
        pairs = find_near_duplicates(held_out, thumbnails, spread)
        count, total = count + len(pairs[:, 0].unique()), total + len(held_out.rows)
        if len(pairs):
            keys = format_keys(split, pairs[:, 0]), format_keys(train, pairs[:, 1])
            examples.append(f"{name}: {keys[0]} = {keys[1]}")
    text = f"held-out images are also training images ({'; '.join(examples)})"
    consequence = "Metrics of held-out images are too good: the model was trained on some of them."
    return report_unwanted_images(context, MAX_OVERLAP, count, total, text, consequence)


@define_check(
    "images given twice",
    evidence="training images with the same 16x16 thumbnail as an earlier one",
    threshold=f"closer than {DUPLICATE_DISTANCE:.0%} of the images' spread; WARNING: more than "
    f"{MAX_DUPLICATES:.0%} of them",
    advice=CLEANING_ADVICE,
)
def duplicate_images(context: RunContext) -> CheckResult | None:
    if (images := get_own_images(context)) is None:
        return None
    train = images.split("train")
    thumbnails = make_thumbnails(train, MAX_TRAIN)
    spread = measure_spread(thumbnails)
    rows = find_near_duplicates(thumbnails, thumbnails, spread, earlier=True)[:, 0].unique()
    text = f"training images repeat an earlier one ({format_keys(train, rows)})"
    consequence = "Repeated images have more weight: they are sampled more often, and memorized."
    total = len(thumbnails.rows)
    return report_unwanted_images(context, MAX_DUPLICATES, len(rows), total, text, consequence)


@define_check(
    "constant images",
    evidence="training images all of whose pixels are equal",
    threshold=f"one; WARNING: more than {MAX_ODD_IMAGES:.0%} of them",
    advice=CLEANING_ADVICE,
)
def constant_images(context: RunContext) -> CheckResult | None:
    return report_odd_images(
        context,
        lambda thumbnails: thumbnails.contrast <= BLANK_CONTRAST,
        "have a single grey level or colour",
    )


@define_check(
    "inverted images",
    evidence="training images that resemble the median image with black and white exchanged",
    threshold=f"a correlation with it below {INVERTED_CORRELATION}; WARNING: more than "
    f"{MAX_ODD_IMAGES:.0%} of them",
    advice=CLEANING_ADVICE,
)
def inverted_images(context: RunContext) -> CheckResult | None:
    return report_odd_images(context, find_inverted, "have black and white exchanged")


def report_odd_images(
    context: RunContext, is_odd: Callable[[Thumbnails], Tensor], appearance: str
) -> CheckResult | None:
    if (images := get_own_images(context)) is None:
        return None
    train = images.split("train")
    thumbnails = make_thumbnails(train)
    rows, total = thumbnails.rows[is_odd(thumbnails)], len(thumbnails.rows)
    text = f"training images {appearance} ({format_keys(train, rows)})"
    consequence = "The model spends coordinates on this difference, and samples such images too."
    return report_unwanted_images(context, MAX_ODD_IMAGES, len(rows), total, text, consequence)


@define_check(
    "one class dominates",
    evidence="training images by class, for each column of classes or of at most "
    f"{MAX_CLASSES} integers",
    threshold=f"more than {MAX_CLASS_SHARE:.0%} of the images in one of three classes or more, or "
    f"{MAX_BINARY_SHARE:.0%} in one of two",
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
                f"{share:.0%} of {len(codes):,} training images are of class {names[largest]} "
                f"({column}; {len(names)} classes).",
                "Coordinates describe that class; other classes are sampled seldom and badly."
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
