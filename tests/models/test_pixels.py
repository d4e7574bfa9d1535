"""Diffusion of pixels, defined here alone: a trajectory whose decoder is the identity."""

import numpy as np
import pytest
import torch

import latentia
from latentia.cli.main import main
from latentia.core.contract import Batch, HasLatents, HasTrajectory, StepContext, get_autoencoder
from latentia.core.registries import recipe
from latentia.data import open_images
from latentia.diffusion.path import LinearPath
from latentia.diffusion.sampling_options import SamplingOptions
from latentia.models.latent_diffusion import LatentDiffusion
from latentia.nets.denoiser import ConvDenoiser
from latentia.training.optimizers import Adam
from latentia.training.plan import Plan


@recipe
def pixel_diffusion(data: str = "digits", epochs: int = 2) -> Plan:
    """A diffusion model without an autoencoder."""
    images = open_images(data)
    denoiser = ConvDenoiser(images.shape, width=16, channels=8, depth=1)
    sampling = SamplingOptions(steps=2)
    model = LatentDiffusion(None, denoiser, LinearPath(), sampling=sampling)
    return Plan(model, images, {"denoiser": Adam(1e-3)}, batch=16, epochs=epochs)


@pytest.fixture
def framed(images, tmp_path):
    """Images with a black frame: the variance of its pixels is 0."""
    images[:, 0] = images[:, :, 0] = 0
    np.save(tmp_path / "framed.npy", images)
    return str(tmp_path / "framed.npy")


def test_pixels_share_one_unit_and_come_back_as_they_were(framed):
    plan = pixel_diffusion(framed)
    model, images = plan.model, plan.images.split("train").get_batch(slice(None)).image
    assert model.setup([Batch(images, {})]) == {}  # the images are their own latents
    z = model.standardize(images)  # pyright: ignore
    assert z.mean().item() == pytest.approx(0, abs=1e-5)
    assert z.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    context = StepContext(0, 10, 0, 100, 0, len(images))
    drawn = model.sample_latents(model.encode_batch(Batch(images, {})), context, "x")  # pyright: ignore
    assert torch.equal(drawn, z)
    *_, end = model.denoise_steps(z, None, model.sampling, lambda step: z)  # pyright: ignore
    assert torch.isfinite(end).all()
    assert torch.equal(model.autoencoder.decode(images), images)  # pyright: ignore


@pytest.mark.report
def test_every_command_takes_a_model_without_an_autoencoder(framed, tmp_path, capsys):
    run = tmp_path / "run"
    opened = latentia.train(f"{__file__}:pixel_diffusion", data=framed, run=run)
    model = opened.model
    assert isinstance(model, HasTrajectory)
    assert not isinstance(model, HasLatents)
    assert get_autoencoder(model) is None
    samples = model.sample(3, seed=1)
    assert samples.shape == (3, 1, 12, 10)
    assert 0 <= samples.min() <= samples.max() <= 1
    assert "From noise to image" in (run / "report.html").read_text()
    assert not [line for line in opened.diagnose().skipped_checks if "failed" in line]
    assert main(["sample", str(run), "-n", "2", "--out", str(tmp_path / "a.png")]) == 0
    assert main(["export", str(run), "--out", str(tmp_path / "onnx")]) == 0
    assert [path.name for path in (tmp_path / "onnx").glob("*.onnx")] == ["sampler.onnx"]
    capsys.readouterr()
    assert main(["evaluate", str(run), "--metrics", "fd,kd", "--features", "pixels"]) == 0
    capsys.readouterr()
    assert main(["encode", str(run), "--out", str(tmp_path / "a.csv")]) == 2
    assert "has no encoder" in capsys.readouterr().err
