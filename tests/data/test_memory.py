"""A hundred thousand images fit into little memory, from a folder to a table."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from scale import SIDE, measure_costs  # pyright: ignore[reportMissingImports]

MANY = 100_000
PIXELS = MANY * SIDE**2 / 1e6  # MB, one byte each


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_100_000_images_are_decoded_trained_on_and_encoded_in_two_gigabytes(tmp_path):
    """128x128 grey. What a process keeps; the pixels that it maps, once, the system may take back.

    Both are beyond what a run on 1,000 images takes: libraries and the model.
    """
    small, large = (measure_costs(n, tmp_path / str(n)) for n in (1000, MANY))
    for stage, cost in large.items():
        own = cost.own - small[stage].own
        mapped = cost.resident - small[stage].resident - own
        assert own < 1000, (stage, cost, small[stage])
        assert mapped < 1.05 * PIXELS, (stage, cost, small[stage])
