"""A small VAE with random weights, which has every law that a trained one has."""

import numpy as np
import pytest
import torch
from PIL import Image

from latentia.data import open_images
from latentia.losses.likelihoods import Bernoulli
from latentia.models.vae import VAE
from latentia.nets.mlp import MLPDecoder, MLPEncoder

NAMES = [
    "b/é 2.png", "a/x.png", "B/x.png", "a/test/10.png", "a/test/9.png", "val/0.png", "z.png",
    "b/f.png",
    *(f"more/{k:03}.png" for k in range(32)),
]  # fmt: skip


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = VAE(MLPEncoder((1, 8, 6), 4, (16,)), MLPDecoder(4, (1, 8, 6), (16,)), Bernoulli())
    return made.eval().requires_grad_(False)


@pytest.fixture
def folder(tmp_path):
    """40 grey images of 8x6 in nested folders, with names of every kind."""
    draw = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 6), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def part(folder):
    return open_images(str(folder)).split("all")
