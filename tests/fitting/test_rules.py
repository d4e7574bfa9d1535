"""Rules by which `latentia fit` chooses sizes and numbers."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from latentia.core.errors import Error
from latentia.data import open_images
from latentia.fitting import rules
from latentia.fitting.rules import ImageFacts


@pytest.mark.parametrize(
    ("sizes", "size"),
    [
        ([(32, 32)], None),
        ([(28, 64)], None),
        ([(600, 400)], "64x40"),
        ([(480, 640)], "48x64"),
        ([(2000, 2000)], "64x64"),
        ([(20, 30), (31, 17), (64, 64)], "32x32"),
        ([(40, 20), (42, 20), (44, 21)], "40x24"),
        ([(3000, 10)], "64x8"),
    ],
)
def test_images_keep_their_size_if_it_is_one_and_small_else_their_proportions(sizes, size):
    assert rules.choose_size(sizes) == size


@pytest.mark.parametrize(
    ("sizes", "side", "ratio"),
    [([(480, 640)], 64, 10), ([(400, 300), (500, 511)], 64, 0), ([(64, 64)], 64, 0)],
)
def test_details_that_shrinking_loses_are_said(sizes, side, ratio):
    text = rules.describe_shrinking(sizes, side)
    assert text.startswith(f"Details smaller than about {ratio} pixels are lost") == bool(ratio)
    assert bool(text) == bool(ratio)


@pytest.mark.parametrize("n", [1, 2, 15, 100, 165, 1000, 5000, 20_000, 200_000])
def test_numbers_are_possible_and_grow_with_the_images(n):
    few, many = (ImageFacts([(32, 32)], count, {}) for count in (n, 2 * n))
    for choose, *features in (
        (rules.choose_first_parameters,),
        (rules.choose_prior_parameters, "none"),
    ):
        first, second = choose(few, *features), choose(many, *features)
        assert first.keys() == second.keys()
        assert all(0 < first[name] <= second[name] for name in first)
    batch = rules.choose_first_parameters(few)["batch"]
    assert batch == 1 or n / batch >= rules.MIN_STEPS


def test_samples_of_photographs_are_sharpened():
    assert rules.choose_sharpening("efficientnet") == "samples"
    assert rules.choose_sharpening("none") == "none"


def test_a_condition_has_classes_with_images_and_label_comes_first():
    names = {
        "maker": ["a", "b"],
        "label": ["c", "d", "e"],
        "age": None,
        "key": list(map(str, range(90))),
    }
    for n_train, column in ((100, "label"), (59, "maker"), (39, None)):
        assert rules.choose_condition(ImageFacts([], n_train, names)) == column
    chosen = rules.choose_prior_parameters(ImageFacts([], 100, names), "none")
    assert chosen["cond"] == "label"
    assert "guidance" not in chosen
    assert rules.choose_prior_parameters(ImageFacts([], 100, names), "x")["guidance"] == 2.5
    few = rules.choose_prior_parameters(ImageFacts([], 39, names), "x")
    assert not {"cond", "guidance"} & few.keys()


def test_copies_are_shown_that_help_to_describe_other_images():
    digits = open_images("digits:600", size=16, channels=1).split("train")
    assert rules.choose_augment(digits.get_batch(slice(None)).image) == "none"
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(40, 3, 30, 30))
    patterns = np.concatenate([patterns, patterns[..., ::-1]])  # no side is preferred
    mirrored = np.einsum("np,pchw->nchw", rng.normal(size=(200, 80)), patterns)
    assert rules.choose_augment(torch.from_numpy(mirrored)) == "flip"
    # Waves of all phases that fall from left to right: their mirror images rise.
    down, right = np.meshgrid(np.fft.fftfreq(60), np.fft.fftfreq(60), indexing="ij")
    spectrum = (down * right > 0) / np.hypot(down, right).clip(1 / 60)
    phases = np.fft.fft2(rng.normal(size=(200, 1, 60, 60)))
    waves = np.fft.ifft2(spectrum * phases).real[..., :30, :30]
    assert rules.choose_augment(torch.from_numpy(waves)) == "shift"
    both = np.concatenate([waves, waves[..., ::-1]])[rng.permutation(400)]
    assert rules.choose_augment(torch.from_numpy(both)) == "flip,shift"
    assert rules.choose_augment(torch.rand(1, 1, 8, 8)) == "none"


def test_features_are_taken_where_images_differ_in_more_directions_than_their_pixels():
    """Orthonormal rows have as many effective dimensions as rows less 1: they are centred."""
    eye = torch.eye(31)
    pixels = torch.cat([eye[:, :7], torch.zeros(31, 1)], 1).view(31, 2, 2, 2)
    chosen, reason = rules.choose_features(pixels, eye, "x")
    assert chosen == "x"
    assert reason == (
        "since 31 images have 30.0 effective dimensions in the features x and 7.0 in their pixels,"
        " a ratio of 4.3, at least 3"
    )
    assert rules.choose_features(pixels * 9 + 1, eye * 4 - 2, "x") == (chosen, reason)
    assert rules.choose_features(eye.view(31, 1, 1, 31), pixels.flatten(1), "x")[0] == "none"
    assert rules.choose_features(eye.view(31, 1, 1, 31), eye, "x")[0] == "none"


def test_features_that_tell_classes_apart_better_are_found():
    labels = torch.arange(120) % 3
    noise, told = torch.randn(2, 120, 30), F.one_hot(labels, 30) * 20.0
    pixels = noise[0].view(120, 1, 5, 6)
    found = rules.compare_classes(pixels, noise[1] + told, labels, "x")
    assert found.is_better
    text = r"is right for 100% of 120 images by the features x and for \d\d% by their pixels"
    assert re.fullmatch(text, found.text)
    swapped = rules.compare_classes((noise[1] + told).view(120, 1, 5, 6), noise[0], labels, "x")
    assert not swapped.is_better
    single = rules.compare_classes(pixels, noise[1] + told, torch.arange(120), "x")
    assert single == (False, "has too few images of a class")


@pytest.mark.parametrize(
    ("by_pixels", "by_features", "is_better"),
    [(0.5, 0.67, True), (0.5, 0.66, False), (0.92, 0.98, True), (0.96, 1.0, False)],
)
def test_features_must_leave_two_thirds_of_the_errors_and_find_5_percent_more(
    by_pixels, by_features, is_better, monkeypatch
):
    scores = iter([by_pixels, by_features])
    monkeypatch.setattr(rules, "probe_labels", lambda *_, **__: SimpleNamespace(score=next(scores)))
    images, labels = torch.rand(12, 1, 2, 2), torch.arange(12) % 2
    assert rules.compare_classes(images, torch.rand(12, 3), labels, "x").is_better == is_better


@pytest.mark.parametrize("count", [1, 4])
def test_images_without_a_difference_are_an_error(count):
    equal = torch.full((count, 1, 4, 4), 0.3)
    with pytest.raises(Error, match=f"Of {count} training images? no two differ, so there are no"):
        rules.choose_features(equal, torch.zeros(count, 3), "x")


def test_few_and_many_images_are_a_sentence_each():
    assert "199 images are few" in rules.describe_count(199)
    assert "200,000 images are many" in rules.describe_count(200_000)
    assert rules.describe_count(200) == rules.describe_count(199_999) == ""
