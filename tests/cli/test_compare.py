"""The command that compares the latents of two runs."""

import json

import numpy as np

import latentia
from latentia.cli.main import main
from mistakes import error


def train(place, name, **options):
    keywords = {"latent": 3, "hidden": 8, "epochs": 1, "progress": False, **options}
    return latentia.train("mnist_mlp_vae", str(place / "a.npy"), run=place / name, **keywords)


def test_two_seeds_are_compared_on_the_same_images(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((80, 8, 8), np.float32))
    first, second = train(tmp_path, "a"), train(tmp_path, "b", seed=1)
    words = ["compare", str(first.path), str(second.path)]
    assert main([*words, "--split", "all", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert len(values["canonical"]) == 3
    assert values["n"] == 80
    assert main([*words, "--split", "all"]) == 0
    assert "canonical correlations: " in capsys.readouterr().out
    assert main(words) == 2
    assert "have other images in the test split; give --split all" in capsys.readouterr().err
    own = first.compare(first, split="all")
    np.testing.assert_allclose([*own.canonical, *own.matched, *own.explained], 1, atol=1e-6)


def test_runs_of_other_images_get_no_advice_that_they_followed(tmp_path, capsys):
    paths = []
    for name, count in (("a", 80), ("b", 70)):
        (place := tmp_path / name).mkdir()
        np.save(place / "a.npy", np.random.default_rng(0).random((count, 8, 8), np.float32))
        paths.append(str(train(place, "run").path))
    assert main(["compare", *paths, "--split", "all"]) == 2
    error = capsys.readouterr().err
    assert "other images in the all split; give runs that were trained on the same" in error


def test_a_run_without_encoder_is_named_before_the_images(tmp_path, narrow, toys, capsys):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((80, 8, 8), np.float32))
    vae, data = train(tmp_path, "a", seed=1), str(tmp_path / "a.npy")
    options = {**toys["mnist_dcgan"], "epochs": 1, "progress": False}
    gan = latentia.train("mnist_dcgan", data, run=tmp_path / "g", **options)
    for words in ((gan.path, vae.path), (vae.path, gan.path)):
        text = f"{gan.path} has no encoder: it only draws images; give a run of a VAE."
        assert error(capsys, "compare", *words) == text
