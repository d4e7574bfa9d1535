"""Two threads, one cache of decoded images a test session, and no network."""

import os
from pathlib import Path

import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"
SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    os.environ["LATENTIA_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    torch.set_num_threads(2)
    return Path(os.environ["LATENTIA_CACHE"])


@pytest.fixture
def mnist():
    """Real MNIST in the hub's layout."""
    if not (SHARED / "mnist").is_dir():
        pytest.skip(f"real images are not at {SHARED / 'mnist'}")
    return str(SHARED / "mnist")
