"""Distances of features: nats of a Gaussian around them."""

import torch
from torch.distributions import Normal

from latentia.losses.adversarial import feature_matching_loss


def test_a_layer_is_a_unit_gaussians_negative_log_likelihood_beyond_its_least_by_feature():
    draw = torch.Generator().manual_seed(0)
    shapes = [(5, 2, 4, 3), (5, 7)]
    fake, real = ([torch.randn(s, generator=draw).double() for s in shapes] for _ in "12")
    nll = [
        (Normal(b, 1.0).log_prob(b) - Normal(b, 1.0).log_prob(a)).flatten(1).mean(1)
        for a, b in zip(fake, real, strict=True)
    ]
    torch.testing.assert_close(feature_matching_loss(fake, real), torch.stack(nll).sum(0))
    assert feature_matching_loss(real, real).abs().max() == 0
