"""Latents of drawn images: what is decoded again, and walked from, is what was drawn."""

import numpy as np
import pandas as pd
import pytest
import torch

import latentia
from latentia.cli.main import main
from mistakes import error


def call(*words):
    assert main([str(w) for w in words]) == 0


@pytest.fixture
def run(request, toy):
    """The folder of a toy run of a recipe."""
    if request.param != "latent_prior":
        return toy("run", request.param, epochs=1).path
    vae = toy("vae", epochs=1).path
    return toy("run", "latent_prior", autoencoder=str(vae), data=None, epochs=1).path


EVERY_PRIOR = [
    "mnist_mlp_vae",
    "mnist_hvae",
    "image_hvae",
    "mnist_gan",
    "mnist_dcgan",
    "latent_prior",
]


@pytest.mark.parametrize("run", EVERY_PRIOR, indirect=True)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_latents_of_drawn_images_decode_to_the_same_bits(run, kind, tmp_path, capsys):
    drawn, again, table = tmp_path / "x.npy", tmp_path / "y.npy", tmp_path / f"z.{kind}"
    call("sample", run, "-n", "5", "--seed", "3", "--latents-out", table, "--out", drawn)
    assert capsys.readouterr().out.splitlines() == [str(table), str(drawn)]
    call("decode", run, "--latents", table, "--out", again)
    np.testing.assert_array_equal(np.load(again), np.load(drawn))
    python = latentia.load(run)
    images = python.sample(5, seed=3)
    np.testing.assert_array_equal(np.load(drawn), images.numpy())
    assert torch.equal(python.model.sample(5, seed=3), images)
    assert torch.equal(python.decode(python.plot_samples(5, seed=3).table), images)


@pytest.mark.parametrize("run", ["mnist_mlp_vae", "mnist_gan"], indirect=True)
def test_a_walk_between_drawn_images_begins_and_ends_at_them(run, tmp_path):
    python, table = latentia.load(run), str(tmp_path / "z.csv")
    python.plot_samples(4).save(table)
    images = python.decode(table)
    path = python.interpolate([f"{table}:0", f"{table}:sample-0-2", f"{table}:3"], steps=3)
    torch.testing.assert_close(path[::2], images[[0, 2, 3]], rtol=0, atol=1e-6)
    z = torch.from_numpy(pd.read_csv(table).filter(like="mu_").to_numpy(np.float32))
    middle = python.decode((z[0] + z[2])[None] / 2)
    torch.testing.assert_close(path[1:2], middle, rtol=0, atol=1e-5)
    gif = tmp_path / "walk.gif"
    call("interpolate", run, f"{table}:0", f"{table}:1", "--steps", "3", "--out", gif)
    assert gif.read_bytes()[:3] == b"GIF"


@pytest.mark.parametrize("run", ["mnist_mlp_vae"], indirect=True)
def test_rows_of_a_table_stand_for_their_images(run, tmp_path):
    """What is done with the latents of an image is what is done with the image."""
    python, table = latentia.load(run), str(tmp_path / "z.csv")
    call("encode", run, "--out", table)
    for axes in ("own", "principal"):
        one, other = (python.traverse(k, [0], steps=3, axes=axes) for k in (7, f"{table}:7"))
        torch.testing.assert_close(one.images, other.images, rtol=0, atol=1e-5)
        torch.testing.assert_close(one.reconstruction, other.reconstruction, rtol=0, atol=1e-5)
    near = python.nearest(f"{table}:7", 1, split="all")
    assert near["key"].tolist() == ["7"]
    assert near["distance"][0] == pytest.approx(0, abs=1e-5)
    mixed, usual = (python.interpolate([7, end], steps=3) for end in (f"{table}:9", 9))
    torch.testing.assert_close(mixed, usual, rtol=0, atol=1e-5)


@pytest.mark.parametrize("run", ["mnist_gan"], indirect=True)
def test_temperature_scales_the_latents_of_a_gan(run):
    python = latentia.load(run)
    usual = python.plot_samples(3)
    assert torch.equal(python.sample(3, temperature=1.0), usual.images)
    for image in python.sample(3, temperature=0.0):
        torch.testing.assert_close(image, python.decode([[0.0] * 3])[0])
    half = python.plot_samples(3, temperature=0.5).table.filter(like="mu_")
    np.testing.assert_allclose(half, usual.table.filter(like="mu_") / 2, rtol=1e-6)


@pytest.mark.parametrize("run", ["mnist_gan"], indirect=True)
def test_mistakes_with_latents(run, toy, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vae = toy("vae", epochs=1).path
    call("sample", run, "-n", "2", "--latents-out", "z.csv", "--out", "x.npy")
    capsys.readouterr()
    for words, message in (
        (["interpolate", run, "z.csv:0", "z.csv:2"], "There is no row 2 in z.csv; it has 2, from"),
        (["interpolate", run, "z.csv:0", "z.csv:a"], "There is no row a in z.csv; it has 2, from"),
        (["traverse", run, "none.csv:0"], "none.csv cannot be read (No such file or directory)"),
        (["project", run], "No image was given; give at least one file, key, row number"),
        (["interpolate", vae, "z.csv:0", "z.csv:1"], "z.csv holds latents of another encoder"),
        (["traverse", run, "0"], f"{run} has no encoder: it only draws images; give latents, such"),
        (["interpolate", run, "0", "1"], "--latents-out z.csv` writes, or a run of a VAE."),
        (
            ["sample", run, "--latents-out", "z.json"],
            "--latents-out z.json ends in .json; give a .csv or a .parquet file.",
        ),
    ):
        assert message in error(capsys, *words), words
    monkeypatch.setattr("latentia.report.rendered_samples.get_decoder", lambda model: None)
    message = error(capsys, "sample", run, "--latents-out", "n.csv", "--out", "n.png")
    assert message.endswith("draws pixels and no latents; leave --latents-out out.")
    assert not (tmp_path / "n.png").exists()
