"""Sharpness: the energy of fine detail over that of real images, and features that miss blur."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from latentia.data import Split
from latentia.metrics import builtin
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.features import FeatureExtractor
from latentia.metrics.result import make_mean_result, make_two_set_ratio
from latentia.metrics.sharpness import (
    blur_images,
    blur_to_sharpness,
    high_frequency_energy,
    measure_sharpness,
)

DRAW = np.random.default_rng(0)


def draw_images(n=60, channels=3, height=20, width=17, seed=0):
    """Smooth shapes with fine grain on them, in [0, 1]."""
    noise = np.random.default_rng(seed).normal(size=(2, n, channels, height, width))
    smooth = gaussian_filter(noise[0], (0, 0, 3, 3))
    images = 0.5 + smooth / smooth.std() * 0.15 + 0.03 * noise[1]
    return torch.from_numpy(images.clip(0, 1)).float()


def measure(samples, real):
    return measure_sharpness(samples, real.split(25), "test")


@pytest.mark.parametrize("channels", [1, 3])
def test_real_images_against_themselves_are_as_sharp_and_blur_only_lowers_it(channels):
    real = draw_images(channels=channels)
    assert measure(real, real).value == pytest.approx(1, abs=1e-12)
    values = [
        measure(torch.from_numpy(gaussian_filter(real.numpy(), (0, 0, s, s))), real).value
        for s in (0.3, 0.5, 0.8, 1.2, 2.0, 4.0)
    ]
    assert values[0] < 1
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


def test_order_and_brightness_do_not_matter_and_contrast_counts_squared():
    real, samples = draw_images(), draw_images(40, seed=1)
    first = measure(samples, real)
    again = measure(samples[torch.randperm(40)], real[torch.randperm(60)])
    assert again.value == pytest.approx(first.value, rel=1e-12)
    assert again.error == pytest.approx(first.error, rel=1e-9)
    assert measure(samples + 0.1, real - 0.1).value == pytest.approx(first.value, rel=1e-4)
    assert measure(samples / 2, real).value == pytest.approx(first.value / 4, rel=1e-5)
    assert first.n == (60, 40)
    low, high = first.interval
    assert low < 1 < high  # samples of the same distribution


def test_the_error_of_two_sets_is_that_of_their_bootstrap():
    over, under = torch.from_numpy(DRAW.gamma(2, 1, 80)), torch.from_numpy(DRAW.gamma(3, 1, 50))
    result = make_two_set_ratio("x", over, under, "test")
    assert result.value == pytest.approx((over.mean() / under.mean()).item())
    rows = [DRAW.integers(0, len(x), (4000, len(x))) for x in (over, under)]
    spread = (over.numpy()[rows[0]].mean(1) / under.numpy()[rows[1]].mean(1)).std()
    assert result.error == pytest.approx(spread, rel=0.1)
    constant = make_two_set_ratio("x", over, torch.full((50,), 2.0), "test")
    assert constant.error == pytest.approx(make_mean_result("x", over / 2, "test").error)


def test_blur_keeps_the_mean_and_damps_each_frequency_as_a_gaussian():
    image = draw_images(2)
    blurred = blur_images(image, 1.3)
    torch.testing.assert_close(blurred.mean((2, 3)), image.mean((2, 3)))
    column = torch.arange(17) / 17
    wave = torch.cos(2 * np.pi * 3 * column).expand(1, 1, 20, 17)
    damped = wave * np.exp(-2 * (np.pi * 1.3 * 3 / 17) ** 2)
    torch.testing.assert_close(blur_images(wave, 1.3), damped, atol=1e-6, rtol=0)


@pytest.mark.parametrize("sharpness", [0.7, 0.1, 0.004])
def test_images_are_blurred_just_as_far_as_asked(sharpness):
    real = draw_images()
    ratio = high_frequency_energy(blur_to_sharpness(real, sharpness)).mean()
    ratio = ratio / high_frequency_energy(real).mean()
    assert sharpness / 4 < ratio <= sharpness


def evaluate(samples, extract):
    """Images of 64 pixels a side of two splits, and samples, a function of the other split's."""
    pixels, keys = draw_images(200, 1, 64, 64, seed=3), [str(k) for k in range(100)]
    split, other = (
        Split(name, keys, {}, {}, part, None)
        for name, part in zip(("test", "train"), pixels.split(100), strict=True)
    )
    evaluation = object.__new__(Evaluation)
    evaluation.model, evaluation.other_models = None, {}
    evaluation.split, evaluation.extractor = split, FeatureExtractor("toy", extract)
    evaluation.other_images, evaluation.samples = other, samples(other[:])
    return evaluation


def extract_pixels(batches):
    return torch.cat([torch.nn.functional.avg_pool2d(x, 4).flatten(1) for x in batches])


def extract_grain(batches):
    return torch.cat([high_frequency_energy(x).log()[:, None].float() for x in batches])


@pytest.mark.parametrize(("extract", "is_blind"), [(extract_pixels, True), (extract_grain, False)])
def test_precision_of_blurred_samples_says_whether_its_features_see_blur(extract, is_blind):
    e = evaluate(lambda x: blur_images(x, 1.0), extract)
    results = {result.name: result for result in builtin.measure_prdc(e)}
    assert results["sharpness_samples"].interval[1] < 0.2
    precision = results["precision"]
    assert ("do not see that the samples are blurred" in precision.note) == is_blind
    sharp, blurred = (values[0] for values in precision.beside.values())
    assert sharp > 0.5
    assert (blurred > 0.5) == is_blind
    assert (precision.value > 0.5) == is_blind


def test_nothing_is_said_of_blur_where_samples_are_sharp():
    e = evaluate(lambda x: x, extract_pixels)
    precision = builtin.measure_prdc(e)[0]
    assert (precision.note, precision.beside) == ("k = 5", {})
