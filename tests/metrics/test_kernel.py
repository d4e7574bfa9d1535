"""The kernel distance against torchmetrics and a closed form."""

import math

import pytest
import torch
from torch import nn
from torchmetrics.image.kid import KernelInceptionDistance

from latentia.core.seeding import make_generator
from latentia.metrics.distribution import estimate_kernel_distance


def cloud(n, d, seed, centre=0.0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=draw, dtype=torch.float64) + centre


class Given(nn.Module):
    def forward(self, x):
        return x


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")
def test_it_is_the_mean_of_torchmetrics_over_the_same_blocks():
    real, drawn = cloud(500, 6, 0), cloud(500, 6, 1, centre=0.4)
    values, draw = [], make_generator(0, "blocks")
    found = estimate_kernel_distance(real, drawn)
    real, drawn = (x[torch.randperm(500, generator=draw)] for x in (real, drawn))
    for k in range(0, 500, 50):
        theirs = KernelInceptionDistance(feature=Given(), subsets=1, subset_size=50)
        theirs.set_dtype(torch.float64)
        theirs.update(real[k : k + 50], real=True)
        theirs.update(drawn[k : k + 50], real=False)
        values.append(theirs.compute()[0])
    assert found.value == pytest.approx(torch.stack(values).double().mean().item(), rel=1e-6)
    assert found.n == (500, 500)


def test_of_gaussians_on_a_line_it_is_the_closed_form_without_bias():
    """E (xy + 1)^3 = E x^3 E y^3 + 3 E x^2 E y^2 + 3 E x E y + 1 of independent x and y."""
    shift = 0.7
    moments = {0.0: (0.0, 1.0, 0.0), shift: (shift, 1 + shift**2, shift**3 + 3 * shift)}

    def expected(a, b):
        (a1, a2, a3), (b1, b2, b3) = moments[a], moments[b]
        return a3 * b3 + 3 * a2 * b2 + 3 * a1 * b1 + 1

    truth = expected(0.0, 0.0) + expected(shift, shift) - 2 * expected(0.0, shift)
    found = estimate_kernel_distance(cloud(60_000, 1, 0), cloud(60_000, 1, 1, centre=shift))
    assert abs(found.value - truth) < 4 * found.error
    assert found.error < 0.1 * truth
    # small sets: no bias either, on average
    small = [
        estimate_kernel_distance(cloud(20, 1, k), cloud(20, 1, k + 9999, centre=shift))
        for k in range(800)
    ]
    values = torch.tensor([each.value for each in small], dtype=torch.float64)
    assert abs(values.mean() - truth) < 4 * values.std() / 800**0.5


def test_images_may_come_class_by_class():
    classes = [cloud(200, 4, k, centre=3.0 * k) for k in range(10)]
    other = [cloud(200, 4, k + 50, centre=3.0 * k) for k in range(10)]
    alike = estimate_kernel_distance(torch.cat(classes), torch.cat(other).roll(700, 0))
    assert abs(alike.value) < 5 * alike.error


def test_its_error_is_the_spread_over_fresh_sets():
    found = [
        estimate_kernel_distance(cloud(400, 3, k), cloud(400, 3, k + 5000, centre=0.3))
        for k in range(200)
    ]
    values, errors = (torch.tensor([getattr(f, at) for f in found]) for at in ("value", "error"))
    assert errors.square().mean().sqrt().item() == pytest.approx(values.std().item(), rel=0.25)
    alone = estimate_kernel_distance(cloud(3, 2, 0), cloud(3, 2, 1))
    assert math.isnan(alone.error)
    assert alone.n == (3, 3)
