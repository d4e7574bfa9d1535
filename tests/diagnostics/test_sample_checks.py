"""Samples whose colours leave those of the images by more than sampling noise."""

import numpy as np
import pytest
import torch

from latentia.core.missing import MASK_COLUMN
from latentia.data import Source, open_images
from latentia.data.reading import Reading
from latentia.diagnostics.run_context import RunContext
from latentia.diagnostics.samples import colors_off_images, measure_colors

SIDE = 12


def draw(seed, n=240):
    """Images of a random grey level and a random square of a random colour."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 + 0.1 * torch.rand(n, 1, 1, 1, generator=generator).expand(n, 3, SIDE, SIDE)
    images = images.clone()
    images[:, :, 3:9, 3:9] = 0.3 + 0.6 * torch.rand(n, 3, 1, 1, generator=generator)
    return images


def check(samples, images=None, **run):
    images = draw(0) if images is None else images
    source = Source(images.numpy(), Reading(missing="nan", validation=0.0, seed=0))
    context = {
        "__init__": lambda self: None,
        "is_short": False,
        "complete": True,
        "samples": samples,
        "held_out": open_images(source).split("all"),
        **run,
    }
    return colors_off_images.run(type("Context", (RunContext,), context)())


@pytest.fixture(autouse=True)
def no_commands(monkeypatch):
    for name in ("reset_parameters", "train_longer"):
        monkeypatch.setattr(f"latentia.diagnostics.suggested_commands.{name}", lambda *_: ["x"])


@pytest.mark.parametrize("n", [50, 240])
def test_samples_of_the_same_distribution_raise_nothing(n):
    assert all(check(draw(seed, n)) is None for seed in range(1, 21))


@pytest.mark.parametrize("channel", range(3))
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_tint_is_named_with_its_size(channel, sign):
    samples = draw(1)
    sd = draw(0).double().std((0, 2, 3))[channel].item()
    samples[:, channel] += sign * 0.4 * sd
    found = check(samples)
    assert found is not None
    assert found.values["shift"] == pytest.approx(sign * 0.4, abs=0.08)
    assert f"{found.values['shift']:+.2f} standard deviations" in found.text


@pytest.mark.parametrize(
    ("factor", "is_off"), [(0.5, True), (2.0, True), (0.85, False), (1, False)]
)
def test_a_spread_off_that_of_the_images_is_named(factor, is_off):
    samples = draw(1)
    centre = samples.mean((0, 2, 3), keepdim=True)
    found = check(centre + factor * (samples - centre))
    assert (found is not None) == is_off
    if found:
        assert found.values["ratio"] == pytest.approx(factor, rel=0.1)


def test_a_small_tint_is_no_finding_and_nor_is_one_within_the_noise():
    samples = draw(1)
    samples[:, 0] += 0.1 * samples[:, 0].std()
    assert check(samples) is None
    levels = torch.linspace(0, 1, 50)[:, None, None, None].expand(50, 3, SIDE, SIDE)
    few = levels.clone()  # of one level an image, their mean is known to 0.14 deviations
    few[:, 0] = (few[:, 0] + 0.1).clamp(0, 1)
    assert check(few, levels) is None


def test_missing_pixels_have_no_colour():
    images = draw(0)
    images[:, :, :, : SIDE // 2] = torch.nan
    assert check(draw(1), images) is None
    mask = (~images.isnan()).float()[:, :1]
    whole, cropped = (
        measure_colors(x, m)
        for x, m in ((images.nan_to_num(), mask), (images[..., SIDE // 2 :], None))
    )
    for one, other in zip(whole, cropped, strict=True):
        torch.testing.assert_close(one, other)


def test_mean_and_standard_deviation_are_those_of_all_pixels():
    images = draw(3).double()
    (mean, log_sd), errors = measure_colors(images, None)
    torch.testing.assert_close(mean, images.mean((0, 2, 3)))
    torch.testing.assert_close(log_sd.exp(), images.std((0, 2, 3), correction=0))
    means = torch.stack([measure_colors(draw(seed), None)[0] for seed in range(200)])
    ratio = means.std(0) / errors
    assert 0.8 < ratio.min() < ratio.max() < 1.25


def test_short_runs_and_few_images_are_not_judged():
    dark = draw(1) * 0.1
    assert check(dark) is not None
    assert check(dark, is_short=True) is None
    assert check(dark, complete=False) is None
    assert check(dark[:49]) is None
    assert (
        MASK_COLUMN
        in open_images(Source(dark.numpy(), Reading(missing="nan"))).split("all").columns
    )
    assert np.isfinite(check(torch.zeros_like(dark)).values["shift"])
