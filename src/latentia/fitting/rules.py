"""Rules by which `latentia fit` chooses the parameters of its trainings, with their reasons.

The minutes choose the numbers of epochs, and nothing else. A network that grew with the minutes
would be trained for fewer epochs at the minutes where it grows, so that more minutes might give a
worse run.
"""

import math
import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.tensors import ImageTensor
from latentia.data.reader import Size
from latentia.latents.agreement import compute_participation_ratio
from latentia.latents.probes import probe_labels
from latentia.models.augmentation import shift_images
from latentia.models.joint_pca import IMAGES_PER_LATENT, check_differences, find_axes

CHOICES = "features", "augment", "sharpen"  # parameters that are chosen by the images
FIRST_RECIPE, PRIOR_RECIPE = "photo_vae", "latent_prior"

# Pixels of the longer side, at most. A step's time grows with the area, and the coordinates of
# photographs say as much about their classes at 64 pixels as at larger sizes of equal minutes.
MAX_SIDE = 64
SIDE_MULTIPLE = 8  # of resized images: three halvings of the decoder's sides
MIN_SHRINKING = 8  # from which a line says what is lost

# Coordinates, at most: those on which the trade of pixels and features was measured.
MAX_LATENT = 64

# Images of a step, at most, and steps of an epoch, at least: small sets need many steps more than
# they need parallel work.
MAX_BATCH, MIN_STEPS = 64, 16

# A prior is trained on stored latents: its step is so short that the save at the end of an epoch
# takes longer. So its batches are large, and its layers narrow where images are few.
PRIOR_BATCH, PRIOR_WIDTH, PRIOR_WIDTH_FEW, FEW_IMAGES = 256, 512, 256, 20_000

# Classes of a condition: one class tells nothing, and a class of a prior needs images.
MIN_CLASSES, IMAGES_PER_CLASS = 2, 20

# The prior's share of the time and its epochs, at most. It improves samples only, and of small sets
# it learns the images by heart: of 3,068 photographs of clothing its validation loss was least
# after 102 of 331 epochs, and the samples of 102 epochs were as near to real images (kernel
# distance 60,700 +- 5,900 and 63,900 +- 6,200, standard errors). Its images a second on two cores,
# and the seconds of what follows the epochs, say how long it takes.
MAX_PRIOR_SHARE, MAX_PRIOR_EPOCHS, PRIOR_SPEED, LAST_SECONDS = 0.35, 150, 8000, 40

# Times of a report, kept for the table of all images and the last report, and for the table and map
# before the first step. Without the second, photographs on a slow processor left the prior 1 epoch.
END_SHARE, BEGIN_SHARE = 1.5, 1.5

# Guidance of the prior by classes of photographs, after ten minutes of fit. From 1.5, the recipe's
# default, to 2.5 a classifier of the labels finds the class asked for in 76 % in place of 58 % of
# the samples (CIFAR-10; clothing 82 and 67 %), their kernel distance is 0.83 and 0.72 times as
# large, and recall stays. Their pixels vary 1.04 and 1.15 times as much as real ones, more at 3
# (benchmarks/guidance.py).
PHOTO_GUIDANCE = 2.5

# Images and pixel values, at most, that decide whether training also shows mirrored or shifted
# copies, and the least share of the error that copies must save. For four sets of photographs both
# save 3 to 5 % (hands that show digits are not mirrored); for MNIST and digits neither saves any.
COPIED_IMAGES, COPIED_VALUES, MIN_COPY_GAIN = 2000, 2**25, 0.01

# Images, at most, that choose the features, and the ratio of effective numbers of dimensions from
# which a network that was trained on photographs is taken. Of 200 images it is 7 to 9 for
# photographs (CIFAR-10, clothing) and at most 1.6 for digits, vehicles and speckle, in which the
# network sees few differences.
FEATURE_IMAGES, MIN_FEATURE_RATIO = 200, 3.0

# Other images with classes get the features too if a linear classifier of their principal
# components has at most MAX_ERROR_RATIO of the errors of one on the pixels', and MIN_GAIN more
# accuracy. For 600 photographs of hands, which vary in few directions of the network, the ratio of
# the errors is 0.57; for digits (8x8 pixels) it is 2.
LABEL_IMAGES, MAX_ERROR_RATIO, MIN_GAIN = 600, 2 / 3, 0.05

# The features' share of the minutes, at most: the first training has the time that the prior and
# the reports leave, and needs epochs in it.
MAX_FEATURE_SHARE = 0.6

FEW, MANY = 200, 200_000  # images


class ImageFacts(NamedTuple):
    """What the rules know about a set of images; classes: names by label column."""

    sizes: list[Size]
    n_train: int
    classes: Mapping[str, list[str] | None]


def choose_size(sizes: list[Size]) -> str | None:
    """Return the size to read images at; None for their own, if they have one that is small.

    Proportions are the median's, so that few images are stretched much.
    """
    if len(set(sizes)) == 1 and max(sizes[0]) <= MAX_SIDE:
        return None
    ratio = statistics.median(height / width for height, width in sizes)
    side = min(MAX_SIDE, round(statistics.median(max(size) for size in sizes)))
    height, width = (_round_side(side * min(1, factor)) for factor in (ratio, 1 / ratio))
    return f"{height}x{width}"


def describe_shrinking(sizes: list[Size], side: int) -> str:
    """Say which details are lost in images whose longer side gets this one; empty if few are."""
    ratio = round(min(max(size) for size in sizes) / side)
    if ratio < MIN_SHRINKING:
        return ""
    return (
        f"Details smaller than about {ratio} pixels are lost; a larger --size keeps more, and for "
        "image files --tiles SIZE reads parts unshrunk."
    )


def _round_side(side: float) -> int:
    return max(SIDE_MULTIPLE, SIDE_MULTIPLE * round(side / SIDE_MULTIPLE))


def choose_batch(n_train: int, largest: int) -> int:
    """Return the largest power of two that leaves an epoch its steps."""
    return 2 ** int(math.log2(max(1, min(largest, n_train / MIN_STEPS))))


def choose_condition(facts: ImageFacts) -> str | None:
    """Return the label column whose classes the prior can learn; "label" before others."""
    candidates = [
        name
        for name, names in facts.classes.items()
        if names and MIN_CLASSES <= len(names) <= facts.n_train / IMAGES_PER_CLASS
    ]
    return "label" if "label" in candidates else next(iter(candidates), None)


def choose_augment(pixels: ImageTensor) -> str:
    """Return what training also shows: flip, shift, both or none.

    Copies are chosen that reduce the error of other images, which those of digits do not: principal
    components of every second image, with these copies or without, reconstruct those between.
    """
    fitted = pixels[::2]
    corners = (torch.full((len(fitted), 2), place) for place in (0.0, 0.999))
    copies = {
        "flip": [fitted.flip(3)],
        "shift": [shift_images(fitted, places) for places in corners],
    }
    limit = (1 - MIN_COPY_GAIN) * _measure_mse(fitted, pixels[1::2])
    chosen = [
        name
        for name, images in copies.items()
        if _measure_mse(torch.cat([fitted, *images]), pixels[1::2]) < limit
    ]
    return ",".join(chosen) or "none"


def _measure_mse(fitted: Float[Tensor, "n c h w"], others: Float[Tensor, "m c h w"]) -> float:
    """Return the error of others in principal components of the fitted images."""
    rows, centred = fitted.flatten(1), (others - fitted.mean(0)).flatten(1)
    axes = find_axes(rows - rows.mean(0), min(MAX_LATENT, len(others) // 4)).axes
    return (centred - centred @ axes @ axes.T).square().mean().item()


def choose_features(
    pixels: ImageTensor, features: Float[Tensor, "n q"], name: str
) -> tuple[str, str]:
    """Return the features' name if they tell images apart in many more directions than the pixels.

    Otherwise the name is "none". The second value is the reason, with the two figures.
    """
    rows = [each.flatten(1).double() for each in (pixels, features)]
    check_differences([rows[0]])
    grams = [(each - each.mean(0)) @ (each - each.mean(0)).T for each in rows]
    n_pixel, n_feature = (compute_participation_ratio(gram.numpy()) for gram in grams)
    chosen = name if n_feature >= MIN_FEATURE_RATIO * n_pixel else "none"
    comparison = "at least" if chosen == name else "below"
    return chosen, (
        f"since {len(pixels)} images have {n_feature:.1f} effective dimensions in the features "
        f"{name} and {n_pixel:.1f} in their pixels, a ratio of {n_feature / n_pixel:.1f}, "
        f"{comparison} {MIN_FEATURE_RATIO:g}"
    )


class ClassComparison(NamedTuple):
    """Whether features tell classes apart much better than pixels do, and the two figures."""

    is_better: bool
    text: str


def compare_classes(
    pixels: ImageTensor, features: Float[Tensor, "n q"], labels: Int64[Tensor, " n"], name: str
) -> ClassComparison:
    """Compare how often a linear classifier finds the class by pixels and by features."""
    right = []
    for each in (pixels, features):
        rows = each.flatten(1) - each.flatten(1).mean(0)
        coordinates = rows @ find_axes(rows, min(MAX_LATENT, len(rows) // 4)).axes
        try:
            probe = probe_labels(coordinates.numpy(), labels.numpy(), True, max_permutations=0)
        except Error:
            return ClassComparison(False, "has too few images of a class")
        right.append(probe.score)
    least = max(MIN_GAIN, (1 - MAX_ERROR_RATIO) * (1 - right[0]))
    return ClassComparison(
        right[1] - right[0] >= least,
        f"is right for {right[1]:.0%} of {len(labels)} images by the features {name} and for "
        f"{right[0]:.0%} by their pixels",
    )


def choose_sharpening(features: str) -> str:
    """Return which images get details: samples of photographs, whose features are taken."""
    return "none" if features == "none" else "samples"


def choose_first_parameters(facts: ImageFacts) -> dict[str, Any]:
    """Choose the parameters of the encoder and decoder, without epochs."""
    latent = max(2, min(MAX_LATENT, facts.n_train // IMAGES_PER_LATENT))
    size, batch = choose_size(facts.sizes), choose_batch(facts.n_train, MAX_BATCH)
    return {**({"size": size} if size else {}), "latent": latent, "batch": batch}


def choose_prior_parameters(facts: ImageFacts, features: str) -> dict[str, Any]:
    """Choose the parameters of the learned prior, without epochs."""
    parameters: dict[str, Any] = {}
    if condition := choose_condition(facts):
        parameters["cond"] = condition
        if features != "none":
            parameters["guidance"] = PHOTO_GUIDANCE
    width = PRIOR_WIDTH_FEW if facts.n_train < FEW_IMAGES else PRIOR_WIDTH
    return {**parameters, "width": width, "batch": choose_batch(facts.n_train, PRIOR_BATCH)}


def count_prior_seconds(n_train: int) -> float:
    """Return the seconds that the prior and what follows need, at most."""
    return MAX_PRIOR_EPOCHS * n_train / PRIOR_SPEED + LAST_SECONDS


def count_seconds_of_reports(report: float, has_prior: bool = True) -> float:
    """Return the seconds of tables and reports that neither training has in its plan.

    report: of the first training. A slow processor needs more than LAST_SECONDS after the epochs.
    """
    begin, end = BEGIN_SHARE * report, END_SHARE * report
    return begin + (max(0.0, report + end - LAST_SECONDS) if has_prior else end)


def describe_count(count: int) -> str:
    """Return a sentence about very few or very many images, or none."""
    if count < FEW:
        return (
            f"{count} images are few: coordinates of fewer than {FEW} images are not to be trusted,"
            " and samples repeat them."
        )
    if count >= MANY:
        return (
            f"{count:,} images are many: all of them are decoded, and their features computed, once"
            " and within the minutes; --size 32 or --features none takes less of them."
        )
    return ""
