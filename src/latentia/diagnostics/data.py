"""Checks of images: too few, duplicate, constant, inverted, or mostly of one class."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from latentia.core.label_kinds import encode_column, get_label_kind
from latentia.core.text import pluralize
from latentia.data import Images, Split
from latentia.data.sources.synthetic import SYNTHETIC_MODULES
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import ERROR, NOTE, WARNING, Check, CheckResult, define_check
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
ODD_IMAGES_CONSEQUENCE = (
    "The model spends coordinates on this difference, and samples such images too."
)

Unwanted = tuple[int, int, str]


def format_keys(split: Split, rows: Tensor, max_keys: int = 3) -> str:
    rows = rows.unique()
    keys = [split.keys[row] for row in rows[:max_keys].tolist()]
    return ", ".join(keys) + (", ..." if len(rows) > max_keys else "")


def iterate_classes(split: Split) -> Iterator[tuple[str, Tensor, list[str], float]]:
    """Yield the columns of classes: name, codes, class names and the largest share of a class."""
    for column, codes in split.columns.items():
        if codes.ndim > 1 or get_label_kind(column, codes.numpy(), split.classes) == "number":
            continue
        values, names = encode_column(column, codes.numpy(), split.classes.get(column))
        codes = torch.from_numpy(values[values >= 0])
        if names and len(names) > 1 and len(codes):
            yield column, codes, names, MAX_CLASS_SHARE if len(names) > 2 else MAX_BINARY_SHARE


@define_check(
    "too few images",
    threshold=f"ERROR: fewer than {MIN_TRAIN_IMAGES} images; WARNING: fewer pixels than weights",
    advice="all images of a synthetic source, or a model of fewer weights",
    early=True,
)
def too_few_images(context: RunContext) -> CheckResult | None:
    """Number of training images; of their pixels and of the model's weights."""
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


def define_image_check(
    kind: str, *, threshold: str, max_share: float, consequence: str, advice: str
) -> Callable[[Callable[[Images], Unwanted]], Check]:
    """Decorate a function (Images) -> (number of unwanted images, of all, text) as a Check.

    Unwanted images are a note, and a warning above this share of all. The finding has no command,
    since only a person can say which images belong to the data: it ends with the advice.
    """

    def make_check(find: Callable[[Images], Unwanted]) -> Check:
        def report(context: RunContext) -> CheckResult | None:
            if context.parent is not None:  # a learned prior has its autoencoder's images
                return None
            count, total, text = find(context.images)
            if not count:
                return None
            return CheckResult(
                WARNING if count > max_share * total else NOTE,
                f"{count:,} of {total:,} {text}.",
                f"{consequence} {advice[0].upper()}{advice[1:]}.",
                {"count": count, "of": total},
            )

        full_threshold = f"{threshold}; WARNING: more than {max_share:.0%} of them"
        report.__doc__ = find.__doc__
        return Check(kind, full_threshold, advice, report)

    return make_check


@define_image_check(
    "images in two splits",
    threshold=f"closer than {DUPLICATE_DISTANCE:.0%} of the images' spread",
    max_share=MAX_OVERLAP,
    consequence="Metrics of held-out images are too good: the model was trained on some of them.",
    advice="look at the named pairs, and keep each picture in one split",
)
def images_in_two_splits(images: Images) -> Unwanted:
    """Validation and test images with the same 16x16 thumbnail as a training image."""
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
    return count, total, text


@define_image_check(
    "images given twice",
    threshold=f"closer than {DUPLICATE_DISTANCE:.0%} of the images' spread",
    max_share=MAX_DUPLICATES,
    consequence="Repeated images have more weight: they are sampled more often, and memorized.",
    advice="look at the named images, and keep one of each picture",
)
def duplicate_images(images: Images) -> Unwanted:
    """Training images with the same 16x16 thumbnail as an earlier one."""
    train = images.split("train")
    thumbnails = make_thumbnails(train, MAX_TRAIN)
    spread = measure_spread(thumbnails)
    rows = find_near_duplicates(thumbnails, thumbnails, spread, earlier=True)[:, 0].unique()
    text = f"training images repeat an earlier one ({format_keys(train, rows)})"
    return len(rows), len(thumbnails.rows), text


@define_image_check(
    "constant images",
    threshold="one",
    max_share=MAX_ODD_IMAGES,
    consequence=ODD_IMAGES_CONSEQUENCE,
    advice="look at the named images, and remove them if they show nothing",
)
def constant_images(images: Images) -> Unwanted:
    """Training images all of whose pixels are equal."""
    return find_odd_images(
        images,
        lambda thumbnails: thumbnails.contrast <= BLANK_CONTRAST,
        "have a single grey level or colour",
    )


@define_image_check(
    "inverted images",
    threshold=f"a correlation with it below {INVERTED_CORRELATION}",
    max_share=MAX_ODD_IMAGES,
    consequence=ODD_IMAGES_CONSEQUENCE,
    advice="look at the named images, and exchange their black and white",
)
def inverted_images(images: Images) -> Unwanted:
    """Training images that resemble the median image with black and white exchanged."""
    return find_odd_images(images, find_inverted, "have black and white exchanged")


def find_odd_images(
    images: Images, is_odd: Callable[[Thumbnails], Tensor], appearance: str
) -> Unwanted:
    train = images.split("train")
    thumbnails = make_thumbnails(train)
    rows = thumbnails.rows[is_odd(thumbnails)]
    text = f"training images {appearance} ({format_keys(train, rows)})"
    return len(rows), len(thumbnails.rows), text


@define_check(
    "one class dominates",
    threshold=f"more than {MAX_CLASS_SHARE:.0%} of the images in one of three classes or more, or "
    f"{MAX_BINARY_SHARE:.0%} in one of two",
    advice="more images of the other classes, or fewer of the largest",
)
def dominant_class(context: RunContext) -> CheckResult | None:
    """Training images by class, for each column of classes or of at most 100 integers."""
    if context.parent is not None:  # a learned prior has its autoencoder's images
        return None
    for column, codes, names, max_share in iterate_classes(context.images.split("train")):
        counts = torch.bincount(codes, minlength=len(names))
        largest, share = int(counts.argmax()), float(counts.max() / counts.sum())
        if share > max_share:
            return CheckResult(
                WARNING,
                f"{share:.0%} of {len(codes):,} training images are of class {names[largest]} "
                f"({column}; {len(names)} classes).",
                "Coordinates describe that class; other classes are sampled seldom and badly. Add "
                "images of the other classes, or leave some of this class out.",
                {"share": share, "classes": len(names)},
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
