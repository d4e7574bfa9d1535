"""Gaussians against torch.distributions in float64, and the orders of magnitude of their draws."""

import torch
from torch.distributions import Normal, kl_divergence

from latentia.core.gaussian import DiagonalGaussian


def gaussian(*shape):
    draw = torch.Generator().manual_seed(0)
    return DiagonalGaussian(
        torch.randn(*shape, generator=draw, dtype=torch.float64),
        torch.randn(*shape, generator=draw, dtype=torch.float64),
    )


def test_kl_equals_torch_distributions_for_vectors_and_maps():
    for shape in ((7, 5), (7, 3, 4, 2)):
        g = gaussian(*shape)
        oracle = kl_divergence(Normal(g.mean, g.sd), Normal(0.0, 1.0)).flatten(1).sum(1)
        torch.testing.assert_close(g.kl(), oracle)
        assert g.kl().shape == (7,)


def test_log_prob_equals_torch_distributions():
    g, z = gaussian(7, 5), torch.randn(7, 5, dtype=torch.float64)
    torch.testing.assert_close(g.log_prob(z), Normal(g.mean, g.sd).log_prob(z).sum(1))


def test_monte_carlo_of_the_log_ratio_is_the_kl():
    """E_q[log q - log p] within four standard errors: ties sample, log_prob and kl together."""
    g = gaussian(1, 4)
    many = DiagonalGaussian(g.mean.expand(40_000, -1), g.logvar.expand(40_000, -1))
    noise = torch.randn(40_000, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = many.sample(noise)
    ratio = many.log_prob(z) - Normal(0.0, 1.0).log_prob(z).sum(1)
    error = ratio.std() / 200
    assert abs(ratio.mean() - g.kl()) < 4 * error


def test_heads_are_means_then_log_variances_and_leave_bfloat16():
    heads = torch.arange(8.0).view(1, 8).bfloat16()
    g = DiagonalGaussian.from_heads(heads)
    assert g.mean.tolist() == [[0, 1, 2, 3]]
    assert g.logvar.tolist() == [[4, 5, 6, 7]]
    assert g.mean.dtype == torch.float32
    assert DiagonalGaussian.from_heads(heads.double()).mean.dtype == torch.float64
