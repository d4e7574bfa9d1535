"""Distortions: exact negative log-likelihoods, at any resolution, logit and precision."""

import math

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal

from latentia.losses.likelihoods import Bernoulli, Gaussian, SymmetricGaussian

LIKELIHOODS = [Bernoulli(), Gaussian(), Gaussian(0.1), Gaussian("learned"), Gaussian("optimal")]
LIKELIHOODS += [SymmetricGaussian(0.1)]


def case(seed=0, shape=(5, 2, 4, 6)):
    draw = torch.Generator().manual_seed(seed)
    image = torch.rand(shape, generator=draw, dtype=torch.float64)
    return torch.randn(shape, generator=draw, dtype=torch.float64), image


def double(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_bernoulli_equals_torch_distributions_also_for_grey_values():
    logits, image = case()
    oracle = -TorchBernoulli(logits=logits, validate_args=False).log_prob(image)
    torch.testing.assert_close(Bernoulli().nll(logits, image), oracle.flatten(1).sum(1))


@pytest.mark.parametrize("sigma", [0.1, math.sqrt(0.5), 2.0])
def test_gaussian_equals_torch_distributions_with_its_constant(sigma):
    logits, image = case()
    oracle = -Normal(logits.sigmoid(), sigma).log_prob(image).flatten(1).sum(1)
    found = Gaussian(sigma).double().nll(logits, image)
    torch.testing.assert_close(found, oracle, rtol=1e-6, atol=1e-6)


def test_symmetric_is_a_gaussian_around_the_stretched_output_and_learns_beyond_the_ends():
    output, image = case()
    output *= 3
    oracle = -Normal((output + 1) / 2, 0.3).log_prob(image).flatten(1).sum(1)
    likelihood = SymmetricGaussian(0.3).double()
    torch.testing.assert_close(likelihood.nll(output, image), oracle, rtol=1e-6, atol=1e-6)
    assert likelihood.mean(output).aminmax() == (0, 1)
    inside = output.abs() < 1
    torch.testing.assert_close(2 * likelihood.mean(output)[inside] - 1, output[inside])
    leaf = output.requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood.nll(leaf, image).sum(), leaf)
    assert (gradient[output > 1] > 0).all()
    assert (gradient[output < -1] < 0).all()


def test_summed_squared_error_is_sigma_one_over_root_two():
    logits, image = case()
    squared = (logits.sigmoid() - image).square().flatten(1).sum(1)
    constant = 48 * 0.5 * math.log(math.pi)
    found = Gaussian().double().nll(logits, image)
    torch.testing.assert_close(found, squared + constant, rtol=1e-6, atol=1e-6)


def test_optimal_sigma_is_the_minimum_over_all_sigmas():
    logits, image = case()
    best = Gaussian("optimal").double().train().nll(logits, image).sum()
    others = [
        Gaussian(s).double().nll(logits, image).sum() for s in torch.logspace(-2, 1, 200).tolist()
    ]
    assert best <= min(others)
    assert best == pytest.approx(min(others).item(), rel=1e-3)


def test_optimal_sigma_is_kept_for_evaluation_and_evaluation_does_not_move_it():
    logits, image = case()
    likelihood = Gaussian("optimal").train()
    for _ in range(200):
        likelihood.nll(logits.float(), image.float())
    rms = (logits.sigmoid() - image).square().mean().sqrt().item()
    assert likelihood.log_sigma.exp().item() == pytest.approx(rms, rel=1e-3)
    likelihood.eval()
    before = likelihood.log_sigma.clone()
    likelihood.nll(-logits.float(), image.float())
    assert torch.equal(likelihood.log_sigma, before)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3)])
def test_distortion_scales_with_pixels_not_with_resolution_bugs(likelihood):
    """Replicating every pixel 2x2 repeats every term of the sum four times.

    Pitfall: Mean over pixels, sum over latents.
    """
    logits, image = case()
    once, twice = likelihood.nll(logits, image), likelihood.nll(double(logits), double(image))
    torch.testing.assert_close(twice, 4 * once)


@pytest.mark.parametrize("logit", [20.0, -20.0, 80.0, -80.0])
def test_gradient_at_extreme_logits_is_still_sigmoid_minus_target(logit):
    """Loss 100 and gradient 0 otherwise (pitfall: Sigmoid before cross-entropy)."""
    output = torch.full((1, 1, 1, 1), logit, requires_grad=True)
    image = torch.full((1, 1, 1, 1), 0.0 if logit > 0 else 1.0)
    nll = Bernoulli().nll(output, image)
    nll.sum().backward()
    assert nll.item() == pytest.approx(abs(logit))
    assert output.grad is not None
    assert output.grad.item() == pytest.approx(math.copysign(1.0, logit))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_terms_are_float32_per_image_and_means_are_images(likelihood):
    logits, image = case()
    nll = likelihood.nll(logits.bfloat16(), image.float())
    assert nll.shape == (5,)
    assert nll.dtype == torch.float32
    mean = likelihood.mean(logits.bfloat16())
    assert mean.dtype == torch.float32
    assert mean.min() >= 0
    assert mean.max() <= 1


def test_learned_sigma_has_a_gradient_that_points_at_the_residual():
    logits, image = case()
    likelihood = Gaussian("learned").double()
    likelihood.nll(logits, image).sum().backward()
    rms = (logits.sigmoid() - image).square().mean().sqrt().item()
    assert likelihood.log_sigma.grad is not None
    assert (likelihood.log_sigma.exp().item() > rms) == (likelihood.log_sigma.grad.item() > 0)


def test_a_sigma_for_each_row_is_that_of_its_own_likelihood():
    logits, image = case()
    sigmas = [0.05, 0.3, 1.0, 2.0, 0.7]
    apart = Gaussian(0.1).double()
    apart.by_beta = Offsets(torch.tensor([math.log(s / 0.1) for s in sigmas]))
    found = apart.nll(logits, image)
    for k, sigma in enumerate(sigmas):
        alone = Gaussian(sigma).double().nll(logits[k : k + 1], image[k : k + 1])
        torch.testing.assert_close(found[k : k + 1], alone, rtol=1e-6, atol=1e-6)


class Offsets(torch.nn.Module):
    def __init__(self, values):
        super().__init__()
        self.values = values

    def forward(self):
        return self.values
