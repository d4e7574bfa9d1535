"""Diffusion of pixels: a trajectory whose decoder is the identity."""

from functools import partial

import numpy as np
import pytest
import torch

import latentia
from latentia.cli.main import main
from latentia.core.contract import Batch, HasLatents, HasTrajectory, StepContext, get_autoencoder
from latentia.core.errors import Error
from latentia.diffusion.sampling_options import SamplingOptions
from latentia.recipes.pixel_diffusion import pixel_diffusion

SMALL = {"width": 8, "depth": 1, "batch": 16}


@pytest.fixture
def framed(images, tmp_path):
    """Images with a black frame: the variance of its pixels is 0."""
    images[:, 0] = images[:, :, 0] = 0
    np.save(tmp_path / "framed.npy", images)
    return str(tmp_path / "framed.npy")


def test_pixels_share_one_unit_and_come_back_as_they_were(framed):
    plan = pixel_diffusion(framed, **SMALL)
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
def test_every_command_takes_a_model_without_an_autoencoder(framed, tmp_path, capsys, monkeypatch):
    one_step = partial(SamplingOptions, steps=1)  # 16 steps of a U-Net take minutes to export
    monkeypatch.setattr("latentia.models.latent_diffusion.SamplingOptions", one_step)
    run = tmp_path / "run"
    opened = latentia.train("pixel_diffusion", data=framed, run=run, epochs=2, **SMALL)
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


def test_samples_by_label_have_the_brightness_of_their_class(tmp_path):
    rng, values = np.random.default_rng(0), np.arange(160) % 2
    images = np.where(values, 200, 50)[:, None, None] + rng.integers(0, 20, (160, 8, 8))
    np.savez(tmp_path / "two.npz", images=images.astype(np.uint8), side=values)
    run = latentia.train(
        "pixel_diffusion",
        data=str(tmp_path / "two.npz"),
        run=tmp_path / "run",
        cond="side",
        epochs=40,
        average=None,
        **SMALL,
    )
    dark, bright = (run.sample(8, seed=1, cond=each).mean((1, 2, 3)) for each in "01")
    assert dark.max() < 0.45 < bright.min()


def test_large_images_are_refused_with_what_to_do():
    with pytest.raises(Error) as caught:
        pixel_diffusion(torch.rand(4, 1, 66, 64))
    assert str(caught.value) == (
        "The images are 66x64; pixel_diffusion draws at most 64x64: give --size 64, or "
        "learn a prior of an autoencoder's latents (latent_prior)."
    )


def test_guidance_without_a_condition_is_refused():
    with pytest.raises(Error, match=r"^--guidance 2 needs a condition; give --cond COLUMN, or"):
        pixel_diffusion(torch.rand(4, 1, 8, 8), guidance=2.0)
