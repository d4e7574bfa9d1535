"""Paths and what is predicted on them, in float64."""

import pytest
import torch

from latentia.diffusion.path import PATHS, VariancePreservingPath, broadcast_coefficients
from latentia.diffusion.target import DenoisedEstimate, to_estimate, to_prediction, training_target

T = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)


@pytest.fixture(params=PATHS)
def path(request):
    return PATHS[request.param]()


def pair(n=25):
    draw = torch.Generator().manual_seed(0)
    return DenoisedEstimate(*torch.randn(2, n, 3, generator=draw, dtype=torch.float64))


def test_a_path_goes_from_data_to_noise(path):
    ends = path.coefficients(torch.tensor([0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(ends.alpha, torch.tensor([1.0, 0.0]).double(), atol=7e-3, rtol=0)
    torch.testing.assert_close(ends.sigma, torch.tensor([0.0, 1.0]).double(), atol=7e-3, rtol=0)
    assert (path.coefficients(T).alpha.diff() < 0).all()
    assert (path.coefficients(T).sigma.diff() > 0).all()


def test_velocity_is_the_paths_finite_difference(path):
    z, h = pair(), 1e-6
    before, after = (broadcast_coefficients(path.coefficients(T + d), z.data) for d in (-h, h))
    moved = [p.alpha * z.data + p.sigma * z.noise for p in (before, after)]
    velocity = z.velocity(broadcast_coefficients(path.coefficients(T), z.data))
    torch.testing.assert_close((moved[1] - moved[0]) / (2 * h), velocity, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("target", ["noise", "velocity"])
def test_what_is_wanted_is_understood(path, target):
    z, at = pair(), broadcast_coefficients(path.coefficients(T), torch.empty(25, 3))
    noisy = at.alpha * z.data + at.sigma * z.noise
    found = to_estimate(target, training_target(target, z, at), noisy, at)
    torch.testing.assert_close(found.data, z.data)
    torch.testing.assert_close(found.noise, z.noise)


def test_a_network_that_says_nothing_takes_pure_noise_for_noise():
    """And its output is v = alpha noise - sigma data, whose error does no more harm at t = 1."""
    z, at = (
        pair(),
        broadcast_coefficients(VariancePreservingPath().coefficients(T), torch.empty(25, 3)),
    )
    noisy = at.alpha * z.data + at.sigma * z.noise
    v = at.alpha * z.noise - at.sigma * z.data
    torch.testing.assert_close(to_prediction("noise", v, noisy, at), z.noise)
    wrong = to_estimate("noise", to_prediction("noise", v + 0.1, noisy, at), noisy, at)
    assert (wrong.data - z.data).abs().max() < 0.1 + 1e-9


def test_variance_is_preserved_and_the_published_schedule_is_met():
    """Ho et al. 2020: alpha^2 is the product of 1 - beta_k over 1,000 steps from 1e-4 to 0.02."""
    steps = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    published = (1 - steps).cumprod(0)
    point = VariancePreservingPath().coefficients(torch.arange(1, 1001, dtype=torch.float64) / 1000)
    torch.testing.assert_close(
        point.alpha.square() + point.sigma.square(), torch.ones(1000).double()
    )
    torch.testing.assert_close(point.alpha.square(), published, atol=1e-3, rtol=0)
