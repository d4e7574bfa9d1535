"""A folder of small photographs, small networks, and times that no clock measures."""

import numpy as np
import pytest
from PIL import Image

from latentia.fitting import rules
from latentia.training.step_times import StepTimes

TIMES = StepTimes(0.0, 100.0, 0.0, 10.0)  # whatever a test's machine does in the meantime


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """60 colour images of two classes."""
    folder = tmp_path_factory.mktemp("images") / "photos"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 12, 10, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        file = folder / ("cat", "dog")[number % 2] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return folder


@pytest.fixture(autouse=True)
def small_networks(tmp_path, monkeypatch):
    """The folder of each test is its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rules, "PRIOR_WIDTH_FEW", 16)


@pytest.fixture
def set_times(monkeypatch):
    def set_times(times=TIMES):
        monkeypatch.setattr("latentia.api.epochs.measure_step_times", lambda *_: times)

    return set_times
