"""What diffusers loads of a run: the same latents and images, in units of the data's latents."""

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch

import latentia
from latentia.cli.main import main
from latentia.export.diffusers import export_run
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_json, read_tensors, write_json, write_tensors

pytestmark = pytest.mark.skipif(not find_spec("diffusers"), reason="diffusers is not installed")
TOY = {"latent": 2, "width": 4, "batch": 8, "epochs": 2}


def find_theirs():
    """Their class; its import takes a second, which only the tests of this file need."""
    from diffusers import AutoencoderKL

    return AutoencoderKL


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of colour images of 24x16, trained for a few steps, and where they lie."""
    folder = tmp_path_factory.mktemp("export")
    images = torch.rand(40, 3, 24, 16, generator=torch.Generator().manual_seed(0))
    np.save(folder / "toy.npy", (images * 255).to(torch.uint8).numpy())
    data = str(folder / "toy.npy")
    latentia.train(
        "image_autoencoder", data=data, run=folder / "run", factor=4, size=None, layers=2,
        lr=0.01, adversary_from=0.1, **TOY,
    )  # fmt: skip
    run = RunFolder.open(folder / "run")
    tensors, about = read_tensors(run.weights)
    tensors["encoder.quant_conv.weight"] *= 20  # so few steps leave every latent near N(0, 1)
    write_tensors(run.weights, tensors, about)
    export_run(run, folder / "kl")
    return folder


def test_latents_and_reconstructions_are_the_runs(made):
    ours, theirs = latentia.load(made / "run").model, find_theirs().from_pretrained(made / "kl")
    images = RunFolder.open(made / "run").split("test").get_batch(slice(0, 4)).image
    with torch.no_grad():
        said, posterior = theirs.encode(2 * images - 1).latent_dist, ours.encode(images)
        torch.testing.assert_close(said.mean, posterior.mean, atol=1e-5, rtol=0)
        torch.testing.assert_close(said.std, posterior.sd, atol=1e-5, rtol=0)
        image = (theirs.decode(said.mean).sample + 1) / 2
    torch.testing.assert_close(image.clamp(0, 1), ours.reconstruct(images), atol=1e-5, rtol=0)
    assert posterior.mean.std() > 0.1  # zeros would be equal too


def test_every_tensor_and_setting_is_taken(made):
    _, told = find_theirs().from_pretrained(made / "kl", output_loading_info=True)
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    config = json.loads((made / "kl" / "config.json").read_text())
    with_defaults = find_theirs().from_config(config).config
    assert all(with_defaults[k] == v or list(with_defaults[k]) == v for k, v in config.items())


def test_the_scaling_factor_brings_draws_of_the_training_images_to_one(made):
    theirs = find_theirs().from_pretrained(made / "kl")
    images = RunFolder.open(made / "run").split("train").get_batch(slice(None)).image
    with torch.no_grad():
        said = theirs.encode(2 * images - 1).latent_dist
        draw = torch.Generator().manual_seed(0)
        z = torch.cat([said.sample(draw) for _ in range(50)]) * theirs.config.scaling_factor
    assert z.std() == pytest.approx(1, abs=0.01)
    assert theirs.config.scaling_factor != pytest.approx(1, abs=0.05)


def test_a_prior_is_learned_over_what_was_exported(made, tmp_path):
    shutil.copytree(made / "kl", tmp_path / "kl")
    words = ["--autoencoder", f"diffusers:{tmp_path / 'kl'}", "--data", str(made / "toy.npy")]
    words += ["--width", "16", "--depth", "1", "--batch", "8", "--epochs", "1"]
    assert main(["train", "latent_prior", *words, "--run", str(tmp_path / "prior")]) == 0
    shutil.rmtree(tmp_path / "kl")
    prior, ours = latentia.load(tmp_path / "prior"), latentia.load(made / "run").model
    scale = json.loads((made / "kl" / "config.json").read_text())["scaling_factor"]
    assert prior.sample(2, seed=0).shape == (2, 3, 24, 16)
    images = torch.rand(3, 3, 24, 16)
    coder = prior.autoencoder  # pyright: ignore
    torch.testing.assert_close(
        coder.encode(images).mean, scale * ours.encode(images).mean, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        coder.reconstruct(images), ours.reconstruct(images), atol=1e-5, rtol=0
    )


def test_mistakes(made, tmp_path):
    vae = tmp_path / "vae"
    latentia.train("conv_vae", data=torch.rand(20, 1, 8, 8), run=vae, latent=2, epochs=1)
    with pytest.raises(latentia.Error) as caught:
        export_run(RunFolder.open(vae), tmp_path / "kl")
    assert str(caught.value) == (
        f"{vae} is a run of conv_vae, whose networks diffusers does not know; give a run of "
        "`latentia train image_autoencoder`."
    )
    shutil.copytree(made / "run", tmp_path / "run")
    about = read_json(tmp_path / "run" / "run.json")
    about["images"]["source"] = "/nowhere/toy.npy"
    write_json(tmp_path / "run" / "run.json", about)
    lost = RunFolder.open(tmp_path / "run")
    with pytest.raises(latentia.Error, match="cannot be found here; give them with"):
        export_run(lost, tmp_path / "kl")
    assert not (tmp_path / "kl").exists()
    export_run(lost, tmp_path / "kl", made / "toy.npy")
    for file in ("config.json", "diffusion_pytorch_model.safetensors"):
        assert (tmp_path / "kl" / file).read_bytes() == (made / "kl" / file).read_bytes()


def test_a_run_of_many_betas_is_refused_rather_than_written_wrong(tmp_path):
    data = np.random.default_rng(0).integers(0, 256, (24, 16, 16), dtype=np.uint8)
    latentia.train(
        "image_autoencoder", run=tmp_path / "run", data=data, factor=4, **{**TOY, "epochs": 1},
        modifiers={"multirate": {"multirate": "0.1:4"}},
    )  # fmt: skip
    with pytest.raises(latentia.Error, match="whose networks diffusers does not know"):
        export_run(RunFolder.open(tmp_path / "run"), tmp_path / "out", data)
