"""Rate and distortion: which points stand, where their curve bends, and what a model of many betas
reaches."""

from typing import NamedTuple

import pytest
import torch

from latentia.api.train_and_load import train
from latentia.metrics.elbo import elbo
from latentia.metrics.rate_distortion import (
    find_knee,
    log_spaced_betas,
    measure_curve,
    pareto_front,
)
from latentia.runs.folder import RunFolder
from latentia.training.plan import Options


class At(NamedTuple):
    rate: float
    distortion: float


def test_a_point_stands_unless_another_is_no_worse_in_both():
    stand = [At(1, 9), At(2, 5), At(4, 4), At(9, 1)]
    beaten = [At(2, 6), At(3, 5), At(9, 2), At(10, 1), At(1, 10)]
    assert pareto_front([*beaten, *stand]) == stand
    assert pareto_front([At(1, 1), At(1, 1)]) == [At(1, 1)]


def test_the_knee_of_a_corner_is_its_corner_whatever_the_units():
    for scale in (1, 1000):
        front = [At(0, 10 * scale), At(1, 1 * scale), At(10, 0)]
        assert find_knee(front) == front[1]
    # 1 / rate from 1/4 to 4 is its own mirror image
    curve = [At(r, 1 / r) for r in (0.25, 0.5, 1, 2, 4)]
    assert find_knee(curve) == At(1, 1)
    assert find_knee(curve[:2]) is None


def test_betas_span_the_range_evenly_in_their_logarithm():
    assert log_spaced_betas((0.01, 10), 4) == [0.01, 0.1, 1, 10]


def test_the_curve_is_what_the_run_reaches_at_each_beta(tmp_path):
    images = torch.rand(60, 1, 12, 10, generator=torch.Generator().manual_seed(0)).numpy()
    model = train(
        "mnist_mlp_vae", run=tmp_path / "run", data=images, epochs=2, batch=16, latent=3, hidden=8,
        modifiers={"multirate": {"multirate": "0.1:10"}}, options=Options(validation=0.3),
    ).model  # fmt: skip
    run = RunFolder.open(tmp_path / "run")
    part = run.images(images).split("validation")
    found = measure_curve(model, part, [0.1, 10.0])
    assert model.dial.beta == 1.0  # pyright: ignore
    for point in found:
        alone = elbo(run.with_beta(point.beta).model(), part)
        assert point.nelbo == pytest.approx(alone["nelbo_nats"], abs=1e-9)
        assert point.rate == pytest.approx(alone["rate_nats"], abs=1e-9)
