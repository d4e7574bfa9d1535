"""The discretised logistic: a distribution over grey levels; and what is above a perfect image."""

import math

import numpy as np
import pytest
import torch

from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.data import open_images
from latentia.losses.likelihoods import (
    Bernoulli,
    DiscretizedLogistic,
    Gaussian,
    SymmetricGaussian,
    create_likelihood,
)

CONTEXT = StepContext(0, 1, 0, 1, 0, 1)


def make(levels, scale, channels=1):
    likelihood = DiscretizedLogistic(levels, channels).double()
    likelihood.log_scale.data.fill_(math.log(scale))
    return likelihood


@pytest.mark.parametrize("levels", [2, 3, 16, 256, 4096])
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
        ("discretized", np.random.default_rng(0).integers(0, 256, (60, 8, 8)), DiscretizedLogistic),
        ("bernoulli", np.random.default_rng(0).integers(0, 256, (60, 8, 8)), Bernoulli),
    ],
)
def test_the_images_choose_the_likelihood_and_its_levels(name, pixels, kind):
    images = open_images(pixels.astype(np.uint8))
    assert type(create_likelihood(name, images)) is kind


def test_images_without_levels_have_no_discretized_likelihood():
    images = open_images(np.random.default_rng(0).random((60, 8, 8), np.float32))
    with pytest.raises(Error, match="no grey levels to count; give --likelihood gaussian"):
        create_likelihood("discretized", images)
