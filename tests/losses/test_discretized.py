"""The discretised logistic: a distribution over grey levels; and what is above a perfect image."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import latentia
from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.data import open_images
from latentia.data.reading import Reading
from latentia.data.sources.registry import Source
from latentia.losses.discretized import DiscretizedLogistic
from latentia.losses.likelihoods import Bernoulli, Gaussian, SymmetricGaussian, create_likelihood

CONTEXT = StepContext(0, 1, 0, 1, 0, 1)


def make(levels, scale, channels=1):
    likelihood = DiscretizedLogistic(levels, channels).double()
    likelihood.log_scale.data.fill_(math.log(scale))
    return likelihood


@pytest.mark.parametrize("levels", [2, 3, 16, 256, 4096, 65536])
@pytest.mark.parametrize("scale", [1e-4, 1e-3, 0.02, 1.0, 50.0])
@pytest.mark.parametrize("output", [-40.0, -5.0, -0.3, 0.0, 2.0, 40.0])
def test_masses_of_all_levels_sum_to_one(levels, scale, output):
    images = torch.linspace(0, 1, levels, dtype=torch.float64).view(-1, 1, 1, 1)
    outputs = torch.full_like(images, output)
    masses = make(levels, scale).nll(outputs, images).neg().exp()
    assert masses.sum().item() == pytest.approx(1, abs=1e-10)


def test_mass_tends_to_the_density_times_the_width_of_a_level():
    image = torch.tensor([[[[0.4]]]], dtype=torch.float64)
    output, level_width = torch.full_like(image, 0.2), 1 / 255
    image = (image * 255).round() / 255
    errors = []
    for scale in (0.01, 0.1, 1.0):
        z = (image - output.sigmoid()) / scale
        density = -(z + 2 * torch.nn.functional.softplus(-z) + math.log(scale))
        oracle = -(density + math.log(level_width)).sum()
        errors.append(abs(make(256, scale).nll(output, image).item() - oracle.item()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6


def test_each_channel_has_a_scale_with_a_gradient_in_float32_under_bfloat16():
    likelihood = DiscretizedLogistic(256, 3)
    image = torch.rand(2, 3, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        nll = likelihood.nll(
            torch.randn(2, 3, 4, 4), likelihood.observe(Batch(image, {}).image, CONTEXT)
        )
    assert nll.dtype == torch.float32
    nll.sum().backward()
    assert (likelihood.log_scale.grad != 0).all()


def test_nll_and_gradient_are_finite_at_extreme_outputs():
    output = torch.tensor([-1e4, -80.0, 80.0, 1e4]).view(4, 1, 1, 1).requires_grad_()
    likelihood = DiscretizedLogistic(256, 1)
    likelihood.log_scale.data.fill_(-7)
    for level in (0.0, 128 / 255, 1.0):
        nll = likelihood.nll(output, torch.full((4, 1, 1, 1), level))
        assert nll.isfinite().all()
        assert torch.autograd.grad(nll.sum(), output)[0].isfinite().all()


def test_samples_are_levels_and_follow_the_masses():
    likelihood, levels = make(8, 0.2), torch.linspace(0, 1, 8, dtype=torch.float64)
    noise = torch.randn(200_000, 1, 1, 1, generator=torch.Generator().manual_seed(0)).double()
    output = torch.full_like(noise, 0.7)
    sample = likelihood.sample(output, noise).flatten()
    masses = likelihood.nll(output[:8], levels.view(8, 1, 1, 1)).neg().exp()
    counts = torch.stack([(sample - level).abs().lt(1e-9).double().mean() for level in levels])
    torch.testing.assert_close(counts, masses, atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    "likelihood",
    [Bernoulli(), Gaussian(0.1), SymmetricGaussian(0.3), make(256, 0.01), make(256, 0.5)],
)
def test_excess_is_zero_for_a_perfect_reconstruction_and_never_less(likelihood):
    draw = torch.Generator().manual_seed(0)
    image = (torch.rand(6, 1, 4, 5, generator=draw) * 255).round().double().clamp(1, 254) / 255
    likelihood = likelihood.double()
    perfect = 2 * image - 1 if isinstance(likelihood, SymmetricGaussian) else image.logit()
    lowest = likelihood.lowest_nll(image)
    torch.testing.assert_close(likelihood.nll(perfect, image), lowest, rtol=1e-5, atol=1e-5)
    other = perfect + torch.randn(perfect.shape, generator=draw).double() * 0.3
    assert (likelihood.nll(other, image) > lowest).all()


def test_lowest_nll_of_a_bernoulli_is_the_entropy_of_the_grey_values():
    image = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64).view(1, 1, 2, 2)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) + math.log(2)
    assert Bernoulli().lowest_nll(image).item() == pytest.approx(entropy, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "pixels", "kind"),
    [
        ("auto", np.random.default_rng(0).choice([0, 255], (60, 8, 8)), Bernoulli),
        ("auto", np.random.default_rng(0).integers(0, 256, (60, 8, 8)), Gaussian),
        ("auto", np.random.default_rng(0).integers(0, 13, (60, 8, 8)), Gaussian),  # dark
        ("discretized", np.random.default_rng(0).integers(0, 256, (60, 8, 8)), DiscretizedLogistic),
        ("bernoulli", np.random.default_rng(0).integers(0, 256, (60, 8, 8)), Bernoulli),
    ],
)
def test_the_images_choose_the_likelihood_and_its_levels(name, pixels, kind):
    images = open_images(pixels.astype(np.uint8))
    assert type(create_likelihood(name, images)) is kind


DRAW = np.random.default_rng(0)


def save_files(folder, images):
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:02}.{'tif' if number % 2 else 'png'}")
    return str(folder)


@pytest.mark.parametrize(
    ("dtype", "options", "count"),
    [
        (np.uint8, {}, 256),
        (np.uint8, {"white": 99}, 100),
        (np.uint16, {}, 65536),
        (np.uint16, {"white": 4095}, 4096),
        (np.uint16, {"white": 4095, "black": 100}, 3996),
        (np.int32, {"white": 999, "black": -1000}, 2000),
        (bool, {}, 256),
    ],
)
def test_integers_have_the_levels_from_black_to_white(dtype, options, count):
    """Each image has all of its levels' values once scaled, so that observing changes nothing."""
    low, high = int(options.get("black", 0)), int(min(options.get("white", 9e9), 4000))
    high = min(high, 255) if dtype == np.uint8 else 1 if dtype is bool else high
    pixels = DRAW.integers(low, high, (40, 8, 8), endpoint=True).astype(dtype)
    images = open_images(Source(pixels, Reading(**options)))
    likelihood = create_likelihood("discretized", images)
    assert likelihood.levels == images.levels.count == count
    x = images.split("train")[:]
    torch.testing.assert_close(likelihood.observe(x, CONTEXT), x, rtol=0, atol=1e-7)


def test_files_of_16_bits_have_their_levels_also_from_the_cache_and_resized(tmp_path):
    deep = save_files(tmp_path / "deep", DRAW.integers(0, 65536, (30, 8, 8)).astype(np.uint16))
    for size in (8, 5, 5):
        images = open_images(deep, size=size)
        assert images.levels.count == 65536
        assert images.to_metadata()["levels"][0] == 65536
    assert open_images(Source(deep, Reading(white=65535.5))).levels.count is None
    mixed = [np.zeros((8, 8), np.uint8), *DRAW.integers(0, 65536, (9, 8, 8)).astype(np.uint16)]
    assert open_images(save_files(tmp_path / "mixed", mixed)).levels.count == 65536
    stack = tmp_path / "stack.tif"
    pages = [Image.fromarray(page) for page in mixed[1:]]
    pages[0].save(stack, save_all=True, append_images=pages[1:])
    assert open_images(stack).levels.count == 65536
    np.save(tmp_path / "deep.npy", np.stack(mixed[1:]))
    assert open_images(tmp_path / "deep.npy").levels.count == 65536
    assert open_images([np.stack([page]) for page in mixed[1:]]).levels.count == 65536


@pytest.mark.parametrize("kind", ["array", "tif", "mixed"])
def test_floats_have_no_discretized_likelihood(tmp_path, kind):
    pixels: Any = DRAW.random((40, 8, 8), np.float32)
    if kind != "array":
        (tmp_path / "deep").mkdir()
        for number, image in enumerate(pixels):
            is_float = kind == "tif" or not number
            image = image if is_float else (65535 * image).astype(np.uint16)
            Image.fromarray(image).save(tmp_path / "deep" / f"{number:02}.tif")
        pixels = str(tmp_path / "deep")
    with pytest.raises(Error, match=r"no grey levels to count: their pixels are floats, .* give"):
        create_likelihood("discretized", open_images(pixels))


def test_a_run_on_16_bits_reports_bits_below_16(tmp_path):
    """Smooth images of 65,536 levels: fewer bits than the file holds, and a bound of the file."""
    x, y = np.mgrid[:8, :8] / 8
    phases = DRAW.random((200, 2, 1, 1))
    images = np.sin(3 * (x + phases[:, 0])) * np.sin(3 * (y + phases[:, 1])) / 2 + 0.5
    data, run = np.round(65535 * images).astype(np.uint16), tmp_path / "run"
    options = {"likelihood": "discretized", "latent": 4, "lr": 3e-3}
    latentia.train("conv_vae", data, epochs=60, batch=20, run=run, progress=False, **options)
    (bits,) = [r for r in latentia.load(run).with_data(data).evaluate("elbo") if "bits" in r.name]
    assert 8 < bits.value < 15
