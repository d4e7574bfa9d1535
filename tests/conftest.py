"""One thread a process (xdist runs one a core), one cache of images a session, and no network.

`make processors` asks for other numbers of threads (OMP_NUM_THREADS) and says what the precision
"auto" is (LATENTIA_TEST_PRECISION: bf16, fp32); child processes take the machine's own.
"""

import os
from pathlib import Path

import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    os.environ["LATENTIA_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return Path(os.environ["LATENTIA_CACHE"])


@pytest.fixture(autouse=True, scope="session")
def _precision():
    with pytest.MonkeyPatch.context() as patch:
        if precision := os.environ.get("LATENTIA_TEST_PRECISION"):
            for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
                patch.setattr(torch.cpu, probe, lambda: precision == "bf16")
        yield


def pytest_collection_modifyitems(items):
    """The longest first: a worker that has one left at the end makes the other wait."""
    longest = "[README.md]", "test_two_processes_are_as_one", "test_figures_of_two_processes"
    items.sort(key=lambda item: not any(name in item.nodeid for name in longest))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """What a test draws depends on no test before it, and so on no worker's order."""
    torch.manual_seed(0)


@pytest.fixture
def mnist():
    """Real MNIST in the hub's layout."""
    if not (SHARED / "mnist").is_dir():
        pytest.skip(f"real images are not at {SHARED / 'mnist'}")
    return str(SHARED / "mnist")
