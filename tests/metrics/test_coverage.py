"""Precision, recall, density and coverage where the answer is known."""

import pytest
import torch

from latentia.metrics.coverage import prdc


def cloud(n, seed, centre=0.0, d=4):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=draw, dtype=torch.float64) + centre


def test_two_draws_of_one_law_overlap():
    found = prdc(cloud(1500, 0), cloud(1500, 1))
    assert found.density == pytest.approx(1, abs=0.05)  # its expectation, whatever the law
    assert found.coverage == pytest.approx(1 - 0.5**5, abs=0.03)  # Naeem et al. 2020, section 3
    assert min(found.precision, found.recall) > 0.9


def test_sets_that_are_far_apart_do_not():
    assert prdc(cloud(300, 0), cloud(300, 1, centre=50.0)) == (0, 0, 0, 0)


def test_a_lost_half_costs_recall_and_coverage_but_no_precision():
    real = torch.cat([cloud(500, 0), cloud(500, 1, centre=50.0)])
    found = prdc(real, cloud(1000, 2))
    assert found.precision > 0.9
    assert found.recall < 0.55
    assert found.coverage < 0.55


def test_foreign_samples_cost_precision_but_no_recall():
    drawn = torch.cat([cloud(500, 1), cloud(500, 2, centre=50.0)])
    found = prdc(cloud(1000, 0), drawn)
    assert found.precision < 0.55
    assert found.recall > 0.85


def test_by_hand_on_a_line():
    """Reach 1 of each real point at 0, 1, 2, 3 (k = 1); samples at 0.4 and 9."""
    real = torch.arange(4.0)[:, None]
    found = prdc(real, torch.tensor([[0.4], [9.0]]), k=1)
    assert found.precision == 0.5
    assert found.density == 1.0  # 0.4 lies within reach of 0 and 1; 9 within none
    assert found.coverage == 0.5
    assert found.recall == 1.0  # the samples' own reach is 8.6
