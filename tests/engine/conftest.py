"""Toy runs: small arrays, small networks, real engine."""

import numpy as np
import pytest

import latentia
from latentia.api.training import start_run


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
def narrow(monkeypatch):
    """The VAE-GAN's halvings with few channels: its states are of 0.1 MB, not of 76."""
    monkeypatch.setattr("latentia.nets.vaegan.CHANNELS", (4, 4, 8, 8, 8))
    monkeypatch.setattr("latentia.nets.vaegan.UP_CHANNELS", (8, 8, 8, 4, 4))


@pytest.fixture
def trained(tmp_path, monkeypatch, narrow):
    """Make and train a run; `stop` ends it after so many events, or once it holds of the run, as a
    kill would. Without `report` no training of the test draws one, which is half of a toy's time.
    """

    def make(name, recipe, knobs, stop=None, report=False, **how):
        if not report:
            monkeypatch.setattr("latentia.report.page.write_report", lambda *_: None)
        run, events = start_run(recipe, knobs, run=tmp_path / name, **how)
        for count, _ in enumerate(events, 1):
            if count == stop or (callable(stop) and stop(run)):
                break
        return run

    return make


@pytest.fixture
def toy(array_file, trained):
    def make(name, recipe="mnist_mlp_vae", stop=None, options=None, report=False, **knobs):
        options = options or latentia.Options(log_every=2, save_every=2)
        knobs = {**TOYS[recipe], "data": array_file, **knobs}
        return trained(name, recipe, knobs, stop, report, options=options)

    return make
