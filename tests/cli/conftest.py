"""A toy run, made once; tests copy what they spoil."""

import shutil

import numpy as np
import pytest
from PIL import Image
from toys import TRAIN

from latentia.cli.main import main


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with images, a data file and a trained run; tests copy what they spoil."""
    folder = tmp_path_factory.mktemp("place")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    np.save(folder / "toy.npy", pixels)
    (folder / "photos").mkdir()
    for number, image in enumerate(pixels[:12]):
        Image.fromarray(image).save(folder / "photos" / f"{number:02}.png")
    words = ["train", "mnist_mlp_vae", "--data", str(folder / "toy.npy")]
    assert main([*words, "--run", str(folder / "run"), *TRAIN]) == 0
    return folder


@pytest.fixture
def run(place, tmp_path):
    shutil.copytree(place / "run", tmp_path / "run")
    return tmp_path / "run"
