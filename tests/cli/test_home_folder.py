"""A path may begin with ~, the home folder, which no shell expands after "=" or in quotes."""

import json
import shutil

import pytest
from PIL import Image
from toys import TRAIN

import latentia
from latentia.cli.main import main
from latentia.core.files import cache_root

PLUGIN = """
import latentia
from latentia.recipes.mnist_mlp_vae import mnist_mlp_vae

@latentia.recipe
def home_vae(data="~/toy.npy", epochs: int = 1):
    return mnist_mlp_vae(data, latent=2, hidden=8, batch=16, epochs=epochs)
"""


@pytest.fixture
def home(run, place, tmp_path, monkeypatch, fresh_registries):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, folder / "run")
    shutil.copy(place / "toy.npy", folder / "toy.npy")
    Image.effect_noise((10, 12), 60).save(folder / "mine.png")
    (folder / "z.json").write_text(json.dumps([[0.0] * 3]))
    keys = [f"{k}" for k in range(40)]
    rows = "\n".join(f"{key},{k % 2}" for k, key in enumerate(keys))
    (folder / "labels.csv").write_text(f"key,half\n{rows}\n")
    (folder / "home.py").write_text(PLUGIN)
    yield folder
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["sample", "~/run", "-n", "2", "--out=~/out/s.png"], "out/s.png"),
        (["reconstruct", "~/run", "-n", "2", "--data=~/toy.npy", "--out=~/r.npy"], "r.npy"),
        (["encode", "~/run", "--labels=~/labels.csv", "--out=~/z.csv"], "z.csv"),
        (["traverse", "~/run", "~/mine.png", "--steps", "2", "--out=~/t.png"], "t.png"),
        (["decode", "~/run", "--latents=~/z.json", "--out=~/d.png"], "d.png"),
        (["export", "~/run", "--to", "onnx", "--out=~/onnx"], "onnx/decoder.onnx"),
        (["train", "mnist_mlp_vae", "--data=~/toy.npy", *TRAIN, "--run=~/new"], "new/run.json"),
        (["train", "~/home.py:home_vae", "--run=~/own"], "own/run.json"),
        (["train", "home_vae", "--plugin=~/home.py", "--run=~/plug"], "plug/run.json"),
    ],
)
def test_every_path_of_a_command_may_begin_with_the_home_folder(words, made, home, capsys):
    assert main(words) == 0, capsys.readouterr().err
    assert (home / made).exists()


def test_the_cache_may_lie_in_the_home_folder(home, monkeypatch):
    monkeypatch.setenv("LATENTIA_CACHE", "~/cache")
    assert cache_root() == home / "cache"


def test_every_path_from_python_may_begin_with_the_home_folder(home):
    new = latentia.train(
        "mnist_mlp_vae", "~/toy.npy", run="~/b", epochs=1, hidden=8, latent=2, progress=False
    )
    assert (home / "b" / "weights.safetensors").exists()
    run = latentia.load("~/b")
    assert len(run.encode(labels="~/labels.csv")["half"]) == 40
    assert run.encode(["~/mine.png"]).shape[0] == 1
    run.plot_samples(2).save("~/p.png")
    assert (home / "p.png").exists()
    assert new.decode([[0.0, 0.0]]).shape == (1, 1, 28, 28)
    assert latentia.resume("~/b", progress=False).is_complete
