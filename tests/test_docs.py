"""Every command and every Python block of README and docs, executed in order, at toy size."""

import inspect
import itertools
import re
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.shards import counted
from latentia.cli.arguments import check_option_names
from latentia.cli.main import COMMANDS, main
from latentia.cli.train_arguments import parse_train_arguments
from latentia.metrics import label_classifier
from latentia.models.latent_diffusion import SamplingOptions
from latentia.runs.recipes import find_recipe, read_card, resolve_parameters

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.M | re.S)
SMALL = {
    "mnist": "digits:300",
    "vehicles": "vehicles:60",
    "sprites": "sprites:60",
    "speckle": "speckle:40",
}


def blocks(page):
    return BLOCK.findall(page.read_text())


def commands(text):
    """The commands of a block, without comments, each as words."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what the pages speak of: photos, labels, a picture."""
    draw = np.random.default_rng(0)
    for k in range(60):
        file = tmp_path / "photos" / "ab"[k % 2] / f"{k:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (40, 36), dtype=np.uint8)).save(file)
    counted(tmp_path / "shards", shards=8, each=8, size=(40, 36))
    names = [f"{'ab'[k % 2]}/{k:02}.png,{k % 7}" for k in range(60)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,Year", *names]))
    (tmp_path / "docs" / "images").mkdir(parents=True)
    shutil.copy(ROOT / "docs/images/digits.png", tmp_path / "docs/images")
    monkeypatch.chdir(tmp_path)
    # a classifier of few steps, which no other test finds in the cache
    for name, value in {"EPOCHS": 1, "STEPS": 20, "VERSION": "toy"}.items():
        monkeypatch.setattr(label_classifier, name, value)
    for prior in ("latent_prior", "speckle_ldm"):  # their reports draw hundreds of images
        monkeypatch.setattr(
            f"latentia.recipes.{prior}.SamplingOptions", partial(SamplingOptions, steps=5)
        )
    return tmp_path


def toy(words):
    """A training on small data for one epoch, all else as written."""
    name, given = words[0], words[1:]
    recipe = name if ".py" not in name else "my.py:mine"
    values = dict(itertools.pairwise(given))
    data = values.get("--data", "" if ".py" in name else read_card(recipe).default_data)
    few = SMALL.get(data, data)
    knobs = ["--epochs", "1", "--threads", "1"]
    known = resolve_parameters(recipe, {})
    knobs += ["--batch", "16"] if "batch" in known else []
    knobs += ["--size", "32"] if "size" in known and "autoencoder" not in known else []
    for small in ("latent", "width"):
        knobs += [f"--{small}", "16"] if small in known and f"--{small}" not in given else []
    knobs += ["--data", few] if few and "autoencoder" not in known else []
    return [name, *given, *knobs]


def executed(words, monkeypatch):
    """Runs a command of latentia; a server is only asked for."""
    command, given = words[0], words[1:]
    elsewhere = any(mark in word for word in words for mark in (":OWNER/", ":FOLDER", "://"))
    benchmarks = command != "train" and given and given[0].startswith("runs/dis/")
    if command == "push" or elsewhere or benchmarks:
        takes_its_flags(command, given)  # somebody's hub, somebody's folder, a benchmark's run
        return
    if command == "train":
        words = ["train", *toy(given)]
    if command == "sweep":
        small = ["--epochs", "1", "--batch", "16", "--data", "digits:300"]
        words = [*words, "--trials", "2", *small]
    if command == "evaluate" and "nll" in " ".join(words):
        words = [*words, "--k", "20"]
    if command == "explore":
        served = []
        monkeypatch.setattr(
            "latentia.explorer.server.serve_explorer", lambda *how: served.append(how)
        )
        assert main(words) == 0
        assert served
        return
    assert main(words) == 0, words


def takes_its_flags(command, given):
    if command == "train":
        parse_train_arguments(given[0], given[1:])
        assert callable(find_recipe(given[0]))
    else:
        known = inspect.signature(COMMANDS[command]).parameters
        check_option_names(command, given, [name.rstrip("_") for name in known])


def checked(words):
    """What is not run here exists, and takes the flags that it is given."""
    program = words[0]
    if program == "make":
        rules = (ROOT / "Makefile").read_text()
        assert all(re.search(rf"^{name}:", rules, re.M) for name in words[1:] if "=" not in name)
    elif program == "pip":
        extras = re.findall(r"latentia\[(.*?)\]", " ".join(words))
        project = (ROOT / "pyproject.toml").read_text()
        assert all(f"{name} = [" in project for each in extras for name in each.split(","))
    elif program in ("pytest", "sbatch"):
        paths = [word for word in words[1:] if "/" in word and not word.startswith("/")]
        assert (ROOT / paths[0]).exists()
    elif program == "python":
        source = (ROOT / words[1]).read_text()
        flags = [word for word in words[2:] if word.startswith("--")]
        assert all(f'"{flag}"' in source for flag in flags), words
    elif program == "torchrun":
        command, *given = words[words.index("latentia") + 1 :]
        takes_its_flags(command, given)
    else:
        raise AssertionError(f"nobody knows {program}: {words}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_can_be_followed(page, place, monkeypatch, capsys):
    if "runs/digits_vae" in page.read_text():
        assert main(["train", "digits_vae", "--epochs", "1", "--run", "runs/digits_vae"]) == 0
    for kind, text in blocks(page):
        if kind == "python":
            Path("my.py").write_text(text)
            monkeypatch.setattr(sys, "argv", ["my.py"])
            exec(compile(text.replace("epochs=30", "epochs=1"), page.name, "exec"), {})
            continue
        for words in commands(text):
            if words[0] == "latentia":
                executed(words[1:], monkeypatch)
            else:
                checked(words)
