"""Toy runs: small arrays, small networks, real engine."""

import numpy as np
import pytest

import latentia
from latentia.session import start


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (60, 12, 10), dtype=np.uint8)


@pytest.fixture
def array_file(tmp_path, images):
    np.save(tmp_path / "toy.npy", images)
    return str(tmp_path / "toy.npy")


TOYS = {
    "mnist_mlp_vae": {"hidden": 8, "latent": 3, "batch": 16, "epochs": 3},
    "mnist_iwae": {"hidden": 8, "latent": 3, "batch": 16, "epochs": 3},
    "conv_vae": {"latent": 3, "batch": 16, "epochs": 3},
    "mnist_dcgan": {"latent": 3, "batch": 16, "epochs": 3},
    "mnist_gan": {"latent": 3, "batch": 16, "epochs": 3},
    "vaegan": {
        "latent": 3, "batch": 16, "epochs": 3, "size": "24x20", "adversary_from": 0.1,
    },
    "image_autoencoder": {
        "latent": 2, "width": 4, "batch": 16, "epochs": 3, "size": "24x16", "adversary_from": 0.1,
    },
    "latent_prior": {"width": 16, "depth": 1, "batch": 16, "epochs": 3},
}  # fmt: skip


@pytest.fixture
def toy(array_file, tmp_path):
    """Make and train a toy run; `stop` ends it after so many events, as a kill would."""

    def make(name, recipe="mnist_mlp_vae", stop=None, options=None, **knobs):
        options = options or latentia.Options(log_every=2, save_every=2)
        knobs = {**TOYS[recipe], "data": array_file, **knobs}
        run, events = start(recipe, knobs, options=options, run=tmp_path / name)
        for count, _ in enumerate(events, 1):
            if count == stop:
                break
        return run

    return make
