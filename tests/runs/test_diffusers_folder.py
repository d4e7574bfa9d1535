"""Autoencoders of diffusers: the same latents and images as there, and nothing unpickled."""

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

import latentia
from latentia.cli.main import main
from latentia.recipes.diffusers_autoencoder import read_architecture
from latentia.runs.diffusers import CONFIG_FILE, WEIGHTS_FILE, open_diffusers_folder
from latentia.training.plan import Options
from mistakes import error

pytestmark = pytest.mark.skipif(not find_spec("diffusers"), reason="diffusers is not installed")
SMALL = ["--width", "16", "--depth", "1", "--batch", "8", "--epochs", "1"]


def find_theirs():
    """Their class; its import takes a second, which only the tests of this file need."""
    from diffusers import AutoencoderKL

    return AutoencoderKL


def kl(folder, channels=3, widths=(8, 16, 16), **more):
    """Random weights in the real layout."""
    torch.manual_seed(0)
    parts = {
        f"{way}_block_types": (f"{way.title()}{kind}Block2D",) * len(widths)
        for way, kind in (("down", "Encoder"), ("up", "Decoder"))
    }
    sides = {"in_channels": channels, "out_channels": channels, "block_out_channels": widths}
    model = find_theirs()(**parts, **sides, **{"norm_num_groups": 4, "latent_channels": 3, **more})
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    model.decoder.conv_out.weight.data.mul_(4)  # some images leave [-1, 1]
    model.eval().save_pretrained(folder)
    return model


def photos(folder, side=(16, 24), channels=3, n=24):
    folder.mkdir()
    draw = np.random.default_rng(0)
    for k in range(n):
        pixels = draw.integers(0, 256, (*side, channels), dtype=np.uint8).squeeze()
        Image.fromarray(pixels).save(folder / f"{k:02}.png")
    return folder


VARIANTS = {
    "usual": {},
    "grey": {"channels": 1, "widths": (4, 8), "layers_per_block": 2},
    "factor 8": {"widths": (4, 4, 8, 8), "scaling_factor": 0.13025},
    "shifted": {"shift_factor": 0.7, "scaling_factor": 1.7},
    "without k1": {"use_quant_conv": False, "use_post_quant_conv": False},
    "without attention": {"mid_block_add_attention": False},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_latents_and_images_are_those_of_diffusers_in_its_scaled_units(name, tmp_path):
    theirs = kl(tmp_path / "kl", **VARIANTS[name]).double()  # float32 would leave 5e-6 of order
    scale, shift = theirs.config.scaling_factor, theirs.config.shift_factor or 0.0
    images = torch.rand(4, theirs.config.in_channels, 16, 24)
    ours = open_diffusers_folder(tmp_path / "kl", images, None, Options())[0].model().double()
    images = images.double()
    with torch.no_grad():
        said = theirs.encode(2 * images - 1).latent_dist
        posterior = ours.encode(images)
        torch.testing.assert_close(posterior.mean, (said.mean - shift) * scale)
        torch.testing.assert_close(posterior.sd, said.std * scale)
        z = torch.randn_like(posterior.mean)
        image = (theirs.decode(z / scale + shift).sample + 1) / 2
        assert image.min() < 0  # or clipping would go unseen
        torch.testing.assert_close(ours.decode(z), image.clamp(0, 1))


def test_attention_under_its_old_names_is_found(tmp_path):
    from safetensors.torch import load_file, save_file

    kl(tmp_path / "kl")
    images, file = torch.rand(4, 3, 16, 24), tmp_path / "kl" / WEIGHTS_FILE
    new = (
        open_diffusers_folder(tmp_path / "kl", images, None, Options())[0]
        .model()
        .encode(images)
        .mean
    )
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = load_file(file)
    for now, then in names.items():
        old = {k.replace(f".{now}.", f".{then}."): v for k, v in old.items()}
    assert len([k for k in old if ".query." in k]) == 4
    save_file(old, file)
    again = (
        open_diffusers_folder(tmp_path / "kl", images, None, Options())[0]
        .model()
        .encode(images)
        .mean
    )
    torch.testing.assert_close(again, new, atol=0, rtol=0)


def test_a_prior_over_it_loads_and_resumes_where_the_folder_never_was(tmp_path, capsys):
    kl(tmp_path / "kl", scaling_factor=0.5)
    data = photos(tmp_path / "photos", side=(20, 20))
    run = tmp_path / "prior"
    words = ["--autoencoder", f"diffusers:{tmp_path / 'kl'}", "--data", str(data)]
    words += ["--size", "16x24", "--run", str(run), *SMALL]
    assert main(["train", "latent_prior", *words]) == 0
    about = json.loads((run / "run.json").read_text())
    assert about["arguments"]["autoencoder"] == f"diffusers:{tmp_path / 'kl'}"
    assert about["arguments"]["data"] == str(data)
    assert about["images"]["shape"] == [3, 16, 24]
    samples = latentia.load(run).sample(3, seed=0)
    shutil.rmtree(tmp_path / "kl")
    shutil.move(run, tmp_path / "moved")
    moved = latentia.load(tmp_path / "moved")
    assert moved.model.latent_shape == (3, 4, 6)
    assert torch.equal(moved.sample(3, seed=0), samples)
    assert main(["resume", str(tmp_path / "moved")]) == 0
    shutil.move(data, tmp_path / "elsewhere")
    capsys.readouterr()
    there = ["--data", str(tmp_path / "elsewhere"), "--json"]
    assert main(["evaluate", str(tmp_path / "moved"), *there]) == 0
    assert "nelbo" in capsys.readouterr().out
    again = ["--autoencoder", str(tmp_path / "moved"), "--data", there[1], *SMALL]
    assert main(["train", "latent_prior", *again, "--run", str(tmp_path / "second")]) == 0


def test_mistakes(tmp_path, capsys):
    theirs, data = tmp_path / "kl", photos(tmp_path / "photos")
    kl(theirs)
    over = ["train", "latent_prior", "--run", tmp_path / "r", "--autoencoder"]
    given = [f"diffusers:{theirs}", "--data", data]
    assert error(capsys, *over, f"diffusers:{theirs}") == (
        f"diffusers:{theirs} brings no images of its own; give them with --data."
    )
    assert error(capsys, *over, f"diffusers:{data}") == (
        f"{data} is no model of diffusers: it has no readable config.json; give a folder that "
        "AutoencoderKL.save_pretrained wrote (of a pipeline, its folder vae)."
    )
    assert error(capsys, *over, *given, "--size", "18x24") == (
        "Images of 18x24 have no latents 4 times smaller: 4 must divide height and width; give "
        "--size 16x24."
    )
    config = json.loads((theirs / CONFIG_FILE).read_text())
    for key, value, said in (
        ("_class_name", "VQModel", f"{theirs} holds a VQModel; give a folder of an AutoencoderKL."),
        (
            "act_fn",
            "relu",
            "This AutoencoderKL has act_fn relu; only silu can be read: take another.",
        ),
        (
            "down_block_types",
            ["AttnDownEncoderBlock2D"] * 3,
            "This AutoencoderKL has down_block_types AttnDownEncoderBlock2D, "
            "AttnDownEncoderBlock2D, AttnDownEncoderBlock2D; only DownEncoderBlock2D, "
            "DownEncoderBlock2D, DownEncoderBlock2D can be read: take another.",
        ),
        (
            "latent_channels",
            4,
            f"Weights of {theirs} do not fit its config.json: holds encoder.conv_out.weight as "
            "(6, 16, 3, 3), the model wants (8, 16, 3, 3); copy it anew.",
        ),
    ):
        (theirs / CONFIG_FILE).write_text(json.dumps(config | {key: value}))
        assert error(capsys, *over, *given) == said
    (theirs / CONFIG_FILE).write_text(json.dumps(config))
    (theirs / WEIGHTS_FILE).rename(theirs / "diffusion_pytorch_model.bin")
    assert error(capsys, *over, *given) == (
        f"{theirs} lacks diffusion_pytorch_model.safetensors (diffusion_pytorch_model.bin may "
        "hold code that runs when it is read); save it with safe_serialization=True."
    )
    assert error(capsys, "train", "diffusers", "--run", tmp_path / "r") == (
        "diffusers is no recipe to train; learn a prior over such an autoencoder with latentia "
        "train latent_prior --autoencoder diffusers:FOLDER, or train one with latentia train "
        "image_autoencoder."
    )
    assert not (tmp_path / "r").exists()
    vae = tmp_path / "vae"
    latentia.train("conv_vae", data=torch.rand(20, 1, 8, 8), run=vae, latent=2, epochs=1)
    assert error(capsys, *over, vae, "--size", "16") == (
        f"--size has no effect: images are read as those of {vae}; leave it out."
    )


def test_what_a_config_does_not_say_is_what_diffusers_takes():
    theirs, ours = find_theirs()().config, read_architecture({})
    assert (ours.latent_channels, ours.norm_groups) == (
        theirs.latent_channels,
        theirs.norm_num_groups,
    )
    assert ours.widths == tuple(theirs.block_out_channels)
    assert ours.scale == theirs.scaling_factor
