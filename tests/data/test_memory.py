"""A hundred thousand images fit into little memory, from a folder to a table."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from scale import costs  # pyright: ignore[reportMissingImports]

LIMIT = 2**31 / 1e6  # MB beyond the libraries and the model, for 1,638 MB of pixels


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_100_000_images_are_decoded_trained_on_and_encoded_in_two_gigabytes(tmp_path):
    """128x128 grey, 2 GiB. Mapped pixels count, though the system may take their pages back."""
    small, large = (costs(n, tmp_path / str(n)) for n in (1000, 100_000))
    for stage, cost in large.items():
        assert cost.resident - small[stage].resident < LIMIT, (stage, cost, small[stage])
        assert cost.own < LIMIT / 1.5, (stage, cost)
