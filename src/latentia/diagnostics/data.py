"""Checks of images: too few, duplicate, constant, inverted, or mostly of one class."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from latentia.core.missing import MASK_COLUMN
from latentia.core.text import pluralize
from latentia.data import Split
from latentia.data.levels import CAMERA_WHITES, MAX_HOT_SHARE
from latentia.data.sources.synthetic import SYNTHETIC_MODULES
from latentia.data.splits import evenly_spaced_rows
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import ERROR, NOTE, WARNING, Check, CheckResult, define_check
from latentia.diagnostics.run_context import RunContext, count_pixels
from latentia.diagnostics.thumbnails import (
    DUPLICATE_DISTANCE,
    GROUND_SHARE,
    Duplicates,
    find_inverted,
    find_near_duplicates,
    make_thumbnails,
)
from latentia.training.events import ListedImage

MIN_TRAIN_IMAGES = 10  # a model can only repeat fewer
# shares of the images above which a note becomes a warning
MAX_OVERLAP, MAX_DUPLICATES, MAX_ODD_IMAGES = 0.01, 0.05, 0.01
MAX_CLASS_SHARE, MAX_BINARY_SHARE = 0.5, 0.9  # with three classes or more, with two
MIN_UNRELATED = 0.9  # neighbouring over random pixels: noise 1, 8x8 digits 0.67, photographs 0.1
MAX_DARK_VALUE = 1 / 8  # 12 bits stored in 16 have 1/16
MAX_COMPARED = 200  # images whose pixels are compared
ODD_IMAGES_CONSEQUENCE = (
    "The model spends coordinates on this difference, and samples such images too."
)
IMAGE_ADVICE = (
    "look at them in the report, and list them with --table; delete the rows of images to keep, and"
    " train with --exclude and the table"
)

Row = tuple[str, float, str]  # key, measured value, key of the image that it repeats
OddImages = tuple[list[Row], int, int, str]  # number of images looked at, and of all; the text


@define_check(
    "too few images",
    threshold=f"ERROR: fewer than {MIN_TRAIN_IMAGES} images; WARNING: fewer pixels than weights",
    early=True,
)
def too_few_images(context: RunContext) -> CheckResult | None:
    """Number of training images; of their pixels and of the model's weights.

    Suggested change: all images of a synthetic source, or a model of fewer weights.
    """
    metadata = context.run.metadata
    n = metadata["images"]["count"]["train"]
    n_pixels = n * count_pixels(context.run)
    n_weights = sum(metadata.get("parameters", {}).values())
    is_error = n < MIN_TRAIN_IMAGES
    if context.parent is not None or not (is_error or n_pixels < n_weights):
        return None
    source, has_number, _ = str(context.parameters["data"]).partition(":")
    commands = []
    if source in SYNTHETIC_MODULES and has_number:
        commands = suggest.retrain_run(context, "all", data=source)
    elif not is_error:
        sizes, values = {"hidden": max(2, n // 8), "latent": 4}, context.parameters
        smaller = {name: min(size, values.get(name, size)) for name, size in sizes.items()}
        commands = suggest.retrain_run(context, "small", **smaller)
        if "hidden" not in values:
            commands = suggest.use_recipe(context, "mnist_mlp_vae", "small", **sizes)
    return CheckResult(
        ERROR if is_error else WARNING,
        f"the run has {pluralize(n, 'training image')} with {n_pixels:,} pixels in all, for "
        f"{n_weights:,} weights.",
        "The model can memorize every image: its samples and coordinates say little about other "
        "images." + ("" if commands else " No option changes that: add a few hundred images."),
        {"train": n, "pixels": n_pixels, "weights": n_weights},
        commands,
    )


def define_image_check(
    kind: str, *, threshold: str, max_share: float, consequence: str
) -> Callable[[Callable[[RunContext], OddImages]], Check]:
    """Decorate a function that lists odd images as a Check.

    Odd images are a note, and a warning above this share of all. The command only lists them, since
    a person decides which images belong to the data.
    """

    def make_check(find: Callable[[RunContext], OddImages]) -> Check:
        def report(context: RunContext) -> CheckResult | None:
            if context.parent is not None:  # a learned prior has its autoencoder's images
                return None
            rows, n_seen, n_all, text = find(context)
            if not rows:
                return None
            examples = [f"{key} = {other}" if other else key for key, _, other in rows[:3]]
            examples += ["..."] if len(rows) > len(examples) else []
            sampled = " sampled" if n_seen < n_all else ""
            return CheckResult(
                WARNING if len(rows) > max_share * n_seen else NOTE,
                f"{len(rows):,} of {n_seen:,}{sampled} {text} ({', '.join(examples)}).",
                f"{consequence} {IMAGE_ADVICE[0].upper()}{IMAGE_ADVICE[1:]}.",
                {"count": len(rows), "of": n_seen},
                suggest.write_image_table(context),
                [ListedImage(key, kind, value, other) for key, value, other in rows],
            )

        report.__doc__ = f"{find.__doc__}\n\nSuggested change: {IMAGE_ADVICE}."
        limit = f"{threshold}; WARNING: more than {max_share:.0%} of them"
        return Check(kind, limit, report)

    return make_check


@define_image_check(
    "images in two splits",
    threshold=f"closer than {DUPLICATE_DISTANCE:.0%} of the images' spread",
    max_share=MAX_OVERLAP,
    consequence="Metrics of held-out images are too good: the model was trained on some of them.",
)
def images_in_two_splits(context: RunContext) -> OddImages:
    """Validation and test images with the same 16x16 thumbnail as a training image."""
    train, rows, n_seen, n_all = context.images.split("train"), [], 0, 0
    for split in map(context.images.split, ("validation", "test")):
        thumbnails = make_thumbnails(split)
        duplicates = find_near_duplicates(thumbnails, context.train_thumbnails)
        rows += list_duplicates(split, train, duplicates)
        n_seen, n_all = n_seen + len(thumbnails.rows), n_all + len(split)
    return rows, n_seen, n_all, "held-out images are also training images"


@define_image_check(
    "images given twice",
    threshold=f"closer than {DUPLICATE_DISTANCE:.0%} of the images' spread",
    max_share=MAX_DUPLICATES,
    consequence="Repeated images have more weight: they are sampled more often, and memorized.",
)
def duplicate_images(context: RunContext) -> OddImages:
    """Training images with the same 16x16 thumbnail as an earlier one."""
    train, thumbnails = context.images.split("train"), context.train_thumbnails
    duplicates = find_near_duplicates(thumbnails, thumbnails, earlier=True)
    rows = list_duplicates(train, train, duplicates)
    return rows, len(thumbnails.rows), len(train), "training images repeat an earlier one"


def list_duplicates(split: Split, other_split: Split, duplicates: Duplicates) -> list[Row]:
    table = zip(*(column.tolist() for column in duplicates), strict=True)
    return [(split.keys[k], round(value, 4), other_split.keys[j]) for k, j, value in table]


@define_image_check(
    "constant images", threshold="one", max_share=MAX_ODD_IMAGES, consequence=ODD_IMAGES_CONSEQUENCE
)
def constant_images(context: RunContext) -> OddImages:
    """Training images all of whose pixels are equal."""
    is_constant = context.train_thumbnails.constant
    return list_odd_images(context, is_constant, "have a single grey level or colour")


@define_image_check(
    "inverted images",
    threshold=f"one, where {GROUND_SHARE:.0%} of the borders are black or white",
    max_share=MAX_ODD_IMAGES,
    consequence=ODD_IMAGES_CONSEQUENCE,
)
def inverted_images(context: RunContext) -> OddImages:
    """Training images on the opposite ground of the others, black or white, whose negatives look
    like the others; photographs have no common ground.
    """
    is_inverted = find_inverted(context.train_thumbnails)
    return list_odd_images(
        context, is_inverted, "look like the others with black and white exchanged"
    )


def list_odd_images(context: RunContext, is_odd: Tensor, appearance: str) -> OddImages:
    """List training images with their mean grey level."""
    train, thumbnails = context.images.split("train"), context.train_thumbnails
    rows, levels = thumbnails.rows[is_odd].tolist(), thumbnails.vectors[is_odd].mean(1).tolist()
    pairs = zip(rows, levels, strict=True)
    table = [(train.keys[row], round(level, 3), "") for row, level in pairs]
    return table, len(thumbnails.rows), len(train), f"training images {appearance}"


@define_check("neighbouring pixels unrelated", threshold=f"a ratio of {MIN_UNRELATED} or more")
def unrelated_pixels(context: RunContext) -> CheckResult | None:
    """Mean squared difference of neighbouring pixels, over that of two pixels drawn at random, both
    from the mean image of the training images (von Neumann's ratio).

    Suggested change: check how the images were written: height and width, order of axes, unpacking
    of bits.
    """
    split = context.images.split("train")
    images = split.get_batch(evenly_spaced_rows(len(split), MAX_COMPARED)).image
    if context.parent is not None or min(images.shape[2:]) < 4:
        return None
    images = images - images.mean(0)
    random = 2 * images.flatten(2).var(2).mean()
    neighbours = torch.stack([images.diff(dim=axis).square().mean() for axis in (2, 3)]).mean()
    if not random > 0 or (ratio := float(neighbours / random)) < MIN_UNRELATED:
        return None
    return CheckResult(
        WARNING,
        f"in {pluralize(len(images), 'training image')} neighbouring pixels differ as much as two "
        f"pixels drawn at random (ratio of squared differences {ratio:.2f}).",
        "These images look like noise: pixels are in a wrong order, as after a false height and "
        "width or a shuffle, or hold no structure. Networks of convolutions need neighbours that "
        "belong together. No option changes that: look at the images in the report, and write them "
        "anew.",
        {"ratio": ratio},
    )


@define_check("dark images", threshold=f"below {MAX_DARK_VALUE:g} of the range from black to white")
def dark_images(context: RunContext) -> CheckResult | None:
    """The value that all but one in 10,000 pixels of training images are at most.

    Suggested change: --white with the value of the camera's white, for images of 16 bits.
    """
    if context.parent is not None:
        return None
    split, metadata = context.images.split("train"), context.run.metadata["images"]
    images, columns = split.get_batch(evenly_spaced_rows(len(split), MAX_COMPARED))
    if (mask := columns.get(MASK_COLUMN)) is not None:
        images = images * mask
    brightest = float(np.quantile(images.numpy(), 1 - MAX_HOT_SHARE))
    if not 0 < brightest < MAX_DARK_VALUE:
        return None
    full_scale = (metadata["levels"][0] or 0) - 1
    whites = [white for white in CAMERA_WHITES if full_scale * brightest <= white < full_scale]
    return CheckResult(
        WARNING,
        f"the brightest pixels of {pluralize(len(images), 'training image')} have {brightest:.1%} "
        "of the range from black to white.",
        "Images look black, and one variance for all pixels or a Bernoulli likelihood takes what "
        "they show for noise. White is probably another value than was assumed.",
        {"brightest": brightest},
        suggest.retrain_run(context, f"white{whites[0]}", white=whites[0]) if whites else [],
    )


@define_check(
    "one class dominates",
    threshold=f"more than {MAX_CLASS_SHARE:.0%} of the images in one of three classes or more, or "
    f"{MAX_BINARY_SHARE:.0%} in one of two, without --balance",
)
def dominant_class(context: RunContext) -> CheckResult | None:
    """Training images by class, for each column of classes.

    Suggested change: --balance with the column, which draws each class equally often.
    """
    if context.parent is not None:  # a learned prior has its autoencoder's images
        return None
    split = context.images.split("train")
    for column, names in split.classes.items():
        if not names or column == context.run.metadata["options"].get("balance"):
            continue
        codes = split.columns[column]
        counts = torch.bincount(codes[codes >= 0], minlength=len(names))  # -1: without a class
        n, n_classes = int(counts.sum()), int((counts > 0).sum())
        largest, share = int(counts.argmax()), float(counts.max() / max(1, n))
        if n_classes > 1 and share > (MAX_CLASS_SHARE if len(names) > 2 else MAX_BINARY_SHARE):
            return CheckResult(
                NOTE,
                f"{share:.0%} of {pluralize(n, 'training image')} are of class {names[largest]} "
                f"({column}; {len(names)} classes).",
                "Coordinates describe that class, and other classes are sampled seldom and badly. "
                "That is right if you want images as frequent as yours; with balanced sampling the "
                "model sees each class equally often.",
                {"share": share, "classes": len(names)},
                suggest.retrain_run(context, "balanced", balance=column),
            )
    return None
