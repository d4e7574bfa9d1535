"""One file of a user's own adds one entry of each kind, and no file of the package is edited."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import latentia
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.core.registries import MODIFIERS, RECIPES
from latentia.core.registry import is_builtin
from latentia.data import open_images
from latentia.data.sources.registry import DATA_SOURCES
from latentia.diffusion.registry import SAMPLERS
from latentia.losses.registry import LIKELIHOODS
from latentia.metrics.registry import METRICS

pytestmark = pytest.mark.usefixtures("fresh_registries")
PAGE = Path(__file__).parents[1] / "docs/how-to/extend.md"
MY_FILE = re.search(r"```python\n(# my\.py\n.*?)```", PAGE.read_text(), re.S)[1]
REGISTRIES = (RECIPES, MODIFIERS, METRICS, DATA_SOURCES, LIKELIHOODS, SAMPLERS)
TOY = ["--data", "stripes:60", "--epochs", "1", "--log-every", "2"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with my.py of docs/how-to/extend.md."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("latentia.report.page.write_report", lambda *_: None)
    (tmp_path / "my.py").write_text(MY_FILE)
    return tmp_path


def run_command(text, code=0):
    assert main(text.split()) == code, text


def print_help(text, capsys):
    with pytest.raises(SystemExit):
        main(text.split())
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def fail(text, capsys):
    capsys.readouterr()
    assert main(text.split()) == 2, text
    return capsys.readouterr().err.strip()


def forget_plugins():
    """Leave only what is built in, as in a new process."""
    for registry in REGISTRIES:
        for name in [name for name in registry if registry.describe_origin(name)]:
            del registry._entries[name]


def test_a_file_adds_one_of_each_on_the_command_line(folder, capsys):
    run_command(f"train stripes_vae {' '.join(TOY)} --ema 500 --run vae --plugin my.py")
    metadata = json.loads(Path("vae/run.json").read_text(encoding="utf-8"))
    assert metadata["recipe"] == "stripes_vae"
    assert metadata["arguments"]["likelihood"] == "laplace"
    assert metadata["images"]["source"] == "stripes:60"
    assert metadata["modifiers"] == {"ema": {"ema": 500.0}}
    assert "my.py" not in json.dumps({k: v for k, v in metadata.items() if k != "source"})
    run_command("evaluate vae --metrics brightness --plugin my.py")
    (row,) = json.loads(Path("vae/evaluation.json").read_text(encoding="utf-8"))["metrics"][
        "brightness"
    ]
    assert 0 < row["value"] < 1
    prior = "--width 16 --depth 1 --epochs 1 --log-every 2"
    run_command(f"train latent_prior --autoencoder vae {prior} --run prior --plugin my.py")
    run_command("sample prior -n 2 --sampler renoise --steps 2 --out s.npy --plugin=my.py")
    assert np.load("s.npy").shape == (2, 1, 16, 16)
    run_command("sample vae -n 2 --out v.npy --plugin my.py")


def test_help_and_lists_name_what_a_file_adds(folder, capsys):
    text = print_help("train stripes_vae --help --plugin my.py", capsys)
    assert "{discretized,bernoulli,gaussian,auto,laplace}" in text
    assert "--ema FLOAT half-life of the moving average of the weights, in images" in text
    assert "mnist, fashion_mnist, cifar10, hub:OWNER/NAME, stripes, a folder" in text
    assert "disentanglement, brightness" in print_help("evaluate --help --plugin my.py", capsys)
    assert "{ddpm,ddim,euler,heun,renoise}" in print_help("sample --help --plugin my.py", capsys)
    run_command("recipes --plugin my.py")
    listing = capsys.readouterr().out
    assert f"stripes_vae, of {folder}/my.py  (--data stripes)" in listing
    assert "    Convolutional VAE of stripes.\n" in listing
    assert "--plugin my.py" in (main(["--help"]), capsys.readouterr().out)[1]


def test_messages_name_what_a_file_adds(folder, capsys):
    text = fail("train strips_vae --plugin my.py", capsys)
    assert "There is no recipe strips_vae; did you mean stripes_vae? The recipes are " in text
    text = fail("train conv_vae --data strips --plugin my.py", capsys)
    assert "strips does not exist; did you mean stripes? give digits, " in text
    text = fail("train conv_vae --data stripes --likelihood laplac --plugin my.py", capsys)
    assert (
        "--likelihood is laplac; it must be one of discretized, bernoulli, gaussian, auto, laplace"
        in text
    )
    text = fail("train conv_vae --em 3 --plugin my.py", capsys)
    assert "did you mean --ema?" in text
    text = fail("train conv_vae --data stripes --stream --plugin my.py", capsys)
    assert text == "stripes is generated, not read; leave out --stream."
    assert fail("recipes --plugin no.py", capsys) == (
        "There is no file no.py; --plugin takes a file, my.py."
    )


def test_a_run_names_what_it_needs_of_a_plugin_that_is_not_loaded(folder, capsys):
    run_command("train conv_vae --data digits:60 --latent 2 --epochs 1 --run vae")
    run_command(f"train stripes_vae {' '.join(TOY)} --run a --plugin my.py")
    run_command(f"train conv_vae {' '.join(TOY)} --ema 9 --run b --plugin my.py")
    run_command(f"train conv_vae {' '.join(TOY)} --likelihood laplace --run c --plugin my.py")
    forget_plugins()
    assert fail("sample a", capsys) == (
        "a was trained by the recipe stripes_vae, which is not loaded; give its file with "
        "--plugin FILE, install its package, or in Python define it with @latentia.recipe."
    )
    text = fail("sample b", capsys)
    assert text.startswith("There is no modifier ema; the modifiers are augment, kl_schedule, ")
    assert "--plugin FILE or an installed package adds one of your own" in text
    text = fail("sample c", capsys)
    assert (
        "--likelihood is 'laplace'; it must be one of discretized, bernoulli, gaussian, auto."
        in text
    )
    assert "--plugin FILE or an installed package adds one of your own" in text
    text = fail("evaluate vae --metrics brightness", capsys)
    assert text.startswith("There is no metric brightness; the metrics are elbo, ")


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda each: each.noun)
def test_the_names_in_the_text_of_the_files_are_those_that_are_registered(registry):
    entries = registry._entries.items()
    built_in = {name for name, entry in entries if is_builtin(entry.module)}
    assert registry._modules.keys() <= built_in
    assert not registry.files or registry._modules.keys() == built_in
    for name in registry._modules:
        assert registry._entries[name].module == registry._modules[name]


def test_built_in_modifiers_keep_their_order_and_a_plugin_says_which_it_precedes():
    from latentia.runs.modifiers import load_modifiers

    names = ["augment", "kl_schedule", "iwae", "divergence", "capacity", "cond", "free_bits"]
    names += ["supervise", "multirate", "prior"]
    assert list(load_modifiers()) == names

    @latentia.modifier
    def last(plan, last: int = 1):
        return plan

    @latentia.modifier(before="iwae")
    def early(plan, early: int = 1):
        return plan

    assert list(load_modifiers()) == [*names[:2], "early", *names[2:], "last"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("@latentia.recipe\ndef conv_vae(data=''): ...", "There is a recipe conv_vae already, of"),
        (
            "@latentia.metric('elbo')\ndef mine(e): ...",
            "There is a metric elbo already, of latentia",
        ),
        ("@latentia.metric('a,b')\ndef mine(e): ...", "a,b cannot be the name of a metric; give"),
        ("@latentia.sampler\ndef heun(*a): ...", "There is a sampler heun already, of latentia"),
        ("@latentia.data_source\ndef mnist(t): ...", "There is a data source mnist already, of"),
        ("@latentia.modifier\ndef mine(plan, x=1): ...", "must begin with def mine"),
    ],
)
def test_a_name_that_exists_or_cannot_be_used_is_refused(code, text, tmp_path):
    file = tmp_path / "my.py"
    file.write_text(f"import latentia\n{code}\n")
    with pytest.raises(Error, match=text):
        latentia.load_plugin(file)


def test_a_recipe_file_may_have_the_name_of_another_recipe(folder):
    """A copy of a built-in recipe is found by its file, and the built-in one by its name."""
    from latentia.runs.recipes import find_recipe

    text = "import latentia\n@latentia.recipe\ndef conv_vae(data='', mine=3): ...\n"
    Path("copy.py").write_text(text, encoding="utf-8")
    assert find_recipe("copy.py:conv_vae").__defaults__ == ("", 3)
    assert find_recipe("conv_vae").__module__ == "latentia.recipes.conv_vae"


def test_a_function_of_a_notebook_trains_and_says_later_that_it_is_missing(folder):
    from latentia.recipes.conv_vae import conv_vae

    def notebook_vae(data="digits:60", latent: int = 2):
        return conv_vae(data=data, latent=latent, epochs=1)

    run = latentia.train(notebook_vae, run="a", latent=3)
    assert run.model.latent_shape == (3,)
    metadata = json.loads(Path("a/run.json").read_text(encoding="utf-8"))
    assert metadata["recipe"] == "notebook_vae"
    assert "def notebook_vae(" in metadata["source"]
    assert latentia.load("a").model.latent_shape == (3,)
    del RECIPES._entries["notebook_vae"]
    with pytest.raises(Error, match="was trained by the recipe notebook_vae, which is not loaded"):
        latentia.load("a").model  # noqa: B018
    latentia.recipe(notebook_vae)
    assert latentia.load("a").model.latent_shape == (3,)
    with pytest.raises(Error, match=r"<lambda> cannot be the name of a recipe"):
        latentia.train(lambda data="digits": None)

    def other(latent=3): ...

    with pytest.raises(Error, match=r"other takes no data; give it a parameter `data`\."):
        latentia.train(other)


PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 10), dtype=np.uint8)


class Pairs:
    """A data set in the manner of torch."""

    classes = ("cat", "dog")

    def __len__(self):
        return len(PIXELS)

    def __getitem__(self, k):
        return torch.from_numpy(PIXELS[k][None] / np.float32(255)), k % 2


def make_objects(folder):
    import pandas

    pillow = [Image.fromarray(each) for each in PIXELS]
    paths = []
    for k, image in enumerate(pillow):
        paths.append(str(folder / f"{k:02}.png"))
        image.save(paths[-1])
    return {
        "list of Pillow images": pillow,
        "list of arrays": list(PIXELS),
        "list of tensors": [torch.from_numpy(each[None] / np.float32(255)) for each in PIXELS],
        "column of paths": pandas.Series(paths, index=range(5, 17)),
        "data set": Pairs(),
        "subset": torch.utils.data.Subset(Pairs(), range(12)),
        "dicts": [{"image": each, "label": k % 2} for k, each in enumerate(pillow)],
    }


@pytest.mark.parametrize(
    "kind",
    [
        *("list of Pillow images", "list of arrays", "list of tensors", "column of paths"),
        *("data set", "subset", "dicts"),
    ],
)
def test_data_is_any_object_with_a_length_and_items(kind, tmp_path):
    images = open_images(make_objects(tmp_path)[kind])
    split = images.split("all")
    expected = torch.from_numpy(PIXELS[:, None] / np.float32(255))
    torch.testing.assert_close(split.get_batch(slice(None)).image, expected, rtol=0, atol=1e-7)
    has_labels = kind in ("data set", "subset", "dicts")
    assert [*split.columns] == (["label"] if has_labels else [])
    if kind == "data set":
        assert images.get_class_names("label") == ["cat", "dog"]
    if kind == "column of paths":
        assert split.keys[3] == str(tmp_path / "03.png")
    assert images.source.kind == "memory"


def test_a_run_on_an_object_trains_and_asks_for_it_again(folder):
    latentia.train("conv_vae", Pairs(), latent=2, epochs=1, run="a")
    run = latentia.load("a")
    assert run.metadata["images"]["source"] == "unnamed Pairs of 12 images"
    assert run.metadata["images"]["labels"] == {"label": ["cat", "dog"]}
    with pytest.raises(Error, match=r"on an unnamed Pairs of 12 images in memory; give it again"):
        run.split("train")
    assert len(run.with_data(Pairs()).split("all")) == 12


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([3, 4], r"Item 0 of the object is of type int; an item is an image \(tensor or array"),
        ([{"x": 3}], "Item 0 of the object is of type dict; an item is an image"),
        ([], "the object holds no images; give items of one kind"),
        (["a.png", PIXELS[0]], "the object mixes paths with other images"),
        (["nowhere.png"], "holds 1 unreadable of 1 images"),
        ({1, 2}, r"The data are a set; give the text of --data, an array or tensor \(n, c, h, w\)"),
        (
            [np.zeros((4, 4), np.int64)],
            "Item 0 of the object holds int64 from 0 to 0; int64 has",
        ),
    ],
)
def test_an_object_without_images_is_refused(data, text):
    with pytest.raises(Error, match=text):
        open_images(data).split("train")


PACKAGE = '''
"""A package of a recipe and a metric."""

import latentia


@latentia.recipe
def package_vae(data: str = "digits:60", epochs: int = 1) -> latentia.Plan:
    """VAE of a package."""
    from latentia.recipes.conv_vae import conv_vae

    return conv_vae(data=data, latent=2, epochs=epochs)


@latentia.metric
def package_metric(evaluation):
    """Mean pixel of the split."""
    from latentia.metrics.result import make_mean_result

    pixels = evaluation.split.get_batch(slice(None)).image
    return [make_mean_result("package_metric", pixels.flatten(1).mean(1), evaluation.split.name)]
'''


def install_package(folder, name, text):
    """Install a package of one module as pip does: the module, and its metadata beside it."""
    (folder / f"{name}.py").write_text(text)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[latentia.plugins]\n{name} = {name}\n")


CODE = """
import contextlib, io, json, sys
from latentia.cli.main import main

results = []
for command in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(command.split())
        except SystemExit as stop:
            code = stop.code
    results.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(results))
"""


def run_installed(folder, *commands):
    """Run commands in one process that sees the packages of a folder: (code, output, errors)."""
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}
    words = [sys.executable, "-c", CODE, json.dumps(commands)]
    result = subprocess.run(words, capture_output=True, text=True, check=True, env=env, cwd=folder)
    return json.loads(result.stdout)


def test_an_installed_package_adds_a_recipe_and_a_metric(tmp_path):
    install_package(tmp_path, "my_package", PACKAGE)
    commands = {
        "recipes": (0, "package_vae, of my_package  (--data digits:60)"),
        "train package_vae --help": (0, "--epochs"),
        "evaluate --help": (0, "package_metric"),
        "train package_vae --run r": (0, "r/report.html"),
        "evaluate r --metrics package_metric --json": (0, '"name": "package_metric"'),
        "evaluate r --metrics package_metrc": (2, "did you mean package_metric? The metrics are"),
        "train package_va": (2, "did you mean package_vae? The recipes are"),
    }
    results = run_installed(tmp_path, *commands)
    for (command, (code, text)), result in zip(commands.items(), results, strict=True):
        assert result[0] == code, result
        assert text in result[1 if code == 0 else 2], command


def test_a_package_that_fails_costs_a_line_and_is_named_where_it_is_missing(tmp_path):
    install_package(tmp_path, "broken_package", "raise RuntimeError('no luck')")
    env, recipes, train = run_installed(tmp_path, "env", "recipes", "train package_vae")
    assert env[2] == ""
    reason = "cannot be imported (RuntimeError: no luck)."
    assert recipes[2] == f"WARNING: the plugin broken_package (broken_package) {reason}\n"
    assert "conv_vae  (--data digits)" in recipes[1]
    assert train[0] == 2
    assert train[2].endswith(f"adds one of your own. The plugin broken_package {reason}\n")
