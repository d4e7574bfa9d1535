"""Mistakes that a user may make: each is answered by one sentence."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import torch

import latentia
from latentia.cli.main import main
from latentia.core.contract import Role, Term
from latentia.diagnostics import suggested_commands
from latentia.diagnostics.run_context import RunContext
from latentia.models.vae import VAE
from latentia.runs.hub import METADATA_KEYS

IMAGES = np.random.default_rng(0).random((24, 8, 8)).astype("f4")
TINY = {"hidden": 16, "latent": 2, "epochs": 1, "progress": False}


@pytest.fixture(autouse=True)
def _check_no_types(monkeypatch: pytest.MonkeyPatch):
    """Run as at a user's: the tests check all annotations, before any message."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


class Broken:
    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> np.ndarray:
        if number == 3:
            raise RuntimeError("the disk is gone")
        return IMAGES[number]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def (", r"SyntaxError: invalid syntax"),
        ("x = 1\n1/0", r"ZeroDivisionError: division by zero, in line 2"),
        ("import no_such_module", r"ModuleNotFoundError: .*, in line 1"),
        ("raise SystemExit(3)", r"SystemExit: 3, in line 1"),
    ],
)
def test_a_plugin_that_fails_is_named_in_one_sentence(
    text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture
):
    file = tmp_path / "my plugin.py"
    file.write_text(text)
    for words in (["recipes", "--plugin", str(file)], ["train", f"{file}:mine"]):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert re.fullmatch(rf"{re.escape(str(file))} cannot be loaded \({reason}.*\); .*", line)


@pytest.mark.parametrize("words", [["sample", "~no-one/r"], ["train", "~no-one/m.py:mine"]])
def test_the_home_of_nobody_is_no_traceback(words: list[str], capsys: pytest.CaptureFixture):
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_backend_that_matplotlib_lacks_is_not_asked_for():
    code = "from latentia.cli.main import main; main(['recipes']); import latentia.report.figures"
    environment = {**os.environ, "MPLBACKEND": "nonsense"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "GROUP_WORLD_SIZE"])
def test_a_number_of_a_launcher_that_is_none_is_named(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(name, "two")
    assert main(["train", "mnist_mlp_vae", "--run", str(tmp_path / "r")]) == 2
    text = f"The environment variable {name} is 'two'; give a whole number, or remove it.\n"
    assert capsys.readouterr().err == text
    assert not (tmp_path / "r").exists()


def test_a_rank_without_a_launcher_silences_no_message(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert main(["sample", "nowhere"]) == 2
    assert "There is no run at nowhere" in capsys.readouterr().err


def test_a_name_that_is_no_text_is_printed_all_the_same(capfd: pytest.CaptureFixture):
    assert main(["sample", os.fsdecode(b"\xff")]) == 2
    assert capfd.readouterr().err.startswith("\\udcff holds bytes that are not UTF-8; ")


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((None,), {}, "The recipe is None; it must be a name"),
        ((3,), {}, "The recipe is 3; it must be a name"),
        (
            ("mnist_mlp_vae",),
            {"modifiers": ["free_bits"]},
            r"modifiers is \['free_bits'\]; it must",
        ),
        (("mnist_mlp_vae",), {"modifiers": {"free_bits": 1}}, "modifiers is .*; it must be a dict"),
        (
            ("mnist_mlp_vae",),
            {"options": {"seed": 1}},
            "options is .*; it must be latentia.Options",
        ),
        (("mnist_mlp_vae",), {"run": 5}, "run is 5; give a new folder"),
        (("mnist_mlp_vae", Broken()), {}, r"Item 3 .* \(RuntimeError: the disk is gone\); repair"),
        (
            ("mnist_mlp_vae", pd.DataFrame({"a": ["a.png"], "b": [1]})),
            {},
            "The data are a DataFrame of the columns a, b; call",
        ),
    ],
)
def test_train_says_what_is_wrong_with_its_arguments(arguments, keywords, message, tmp_path):
    keywords = {"run": tmp_path / "run", "data": IMAGES, **TINY, **keywords}
    if len(arguments) > 1:
        del keywords["data"]
    with pytest.raises(latentia.Error, match=f"^{message}"):
        latentia.train(*arguments, **keywords)


@pytest.mark.parametrize("function", [latentia.load, latentia.resume])
@pytest.mark.parametrize("run", [None, 5])
def test_a_run_that_is_no_path_is_named(function, run):
    with pytest.raises(latentia.Error, match=f"^The run is {run}; give the folder of a run"):
        function(run)


def test_a_path_with_a_nul_byte_is_named(run_in_memory: latentia.Run, tmp_path: Path):
    name, images = "a\0b", np.zeros((4, 8, 8), np.uint8)
    calls = [
        partial(latentia.train, "conv_vae", name),
        partial(latentia.train, "conv_vae", images, run=name),
        partial(latentia.train, "conv_vae", images, labels=name, run=tmp_path / "r"),
        partial(latentia.train, "conv_vae", images, init=name, run=tmp_path / "r"),
        partial(latentia.fit, images, run=name),
        *(partial(f, name) for f in (latentia.load, latentia.resume, latentia.make_checksums)),
        partial(run_in_memory.encode, name),
        partial(run_in_memory.export, "diffusers", name),
        partial(run_in_memory.plot_samples(2).save, f"{name}.png"),
    ]
    for call in calls:
        with pytest.raises(latentia.Error, match=r"does not exist|There is no run|NUL"):
            call()


def test_numbers_of_numpy_are_numbers(tmp_path: Path):
    keywords = {**TINY, "seed": np.int64(1), "free_bits": np.float32(0.5), "latent": np.int64(2)}
    run = latentia.train("mnist_mlp_vae", IMAGES, run=tmp_path / "run", **keywords)
    assert run.options.seed == 1
    assert run.metadata["modifiers"] == {"free_bits": {"free_bits": 0.5}}


@pytest.mark.parametrize(("name", "value"), [("epochs", 1.5), ("epochs", 0), ("batch", None)])
def test_a_plan_names_a_number_that_is_not_whole(name: str, value, tmp_path: Path):
    plan = latentia.find_recipe("mnist_mlp_vae")(data="digits:20")
    arguments = {**vars(plan), name: value}
    with pytest.raises(latentia.Error, match=f"^{name} of the plan is {value}; give a whole"):
        latentia.Plan(**arguments)


@pytest.mark.parametrize(
    ("make_terms", "message"),
    [
        (lambda x: [x], "terms of the player vae returned list; it must return a dict"),
        (lambda x: {"a": (1.0, x)}, "terms of the player vae returned a of type tuple; it must"),
        (
            lambda x: {"a": Term(1.0, x.mean(), Role.PENALTY)},
            r".* value of shape \(\) for",
        ),
        (lambda x: {"a": Term(1.0, 3.0, Role.PENALTY)}, r".* value of shape \(\) for"),
    ],
)
def test_wrong_terms_of_a_model_are_named(make_terms, message, tmp_path, monkeypatch):
    def compute_terms(model, batch, context, shared):
        return make_terms(torch.zeros(len(batch.image), requires_grad=True))

    monkeypatch.setattr(VAE, "terms", compute_terms)
    with pytest.raises(latentia.Error, match=f"^{message}"):
        latentia.train("mnist_mlp_vae", IMAGES, run=tmp_path / "run", **TINY)


@pytest.fixture(scope="module")
def run_in_memory(tmp_path_factory: pytest.TempPathFactory) -> latentia.Run:
    folder = tmp_path_factory.mktemp("in memory") / 'a "b" c'
    return latentia.train("mnist_mlp_vae", IMAGES, run=folder, free_bits=0.5, seed=1, **TINY)


def test_suggestions_for_images_in_memory_are_calls_that_run(
    run_in_memory: latentia.Run, capsys: pytest.CaptureFixture
):
    context = RunContext(run_in_memory.folder)
    context.total_steps = 10_000
    (longer,) = suggested_commands.train_longer(context, min_factor=2)
    (prior,) = suggested_commands.train_prior(context)
    (other,) = suggested_commands.use_recipe(context, "mnist_mlp_vae", "other", epochs=1)
    assert longer.startswith('latentia.train("mnist_mlp_vae", data, latent=2, hidden=16, epochs=2')
    assert 'data, autoencoder="' in prior
    for call in (longer, other):
        again = eval(call, {"latentia": latentia, "data": IMAGES})
        assert again.is_complete
        assert again.options.seed == 1
        shutil.rmtree(again.path)
    assert main(["doctor", str(run_in_memory.path)]) in (0, 1)
    shown = capsys.readouterr().out
    assert "--data" not in shown
    assert "latentia train " not in shown
    assert f"Suggested command: {longer.partition('epochs')[0]}" in shown
    texts = [c for f in run_in_memory.diagnose().findings for c in f.suggested_commands]
    assert texts
    assert all(text.startswith("latentia.train(") for text in texts)


def test_resume_of_images_in_memory_is_a_call(run_in_memory: latentia.Run):
    context = RunContext(run_in_memory.folder)
    (call,) = suggested_commands.resume_training(context, run_in_memory.path)
    assert eval(call, {"latentia": latentia, "data": IMAGES}).is_complete


def test_the_hub_knows_every_key_of_run_json(run_in_memory: latentia.Run, tmp_path: Path):
    binary = latentia.train(
        "mnist_iwae", IMAGES, run=tmp_path / "b", epochs=1, batch=8, progress=False
    )
    prior = latentia.train(
        "latent_prior", IMAGES, autoencoder=str(binary.path), run=tmp_path / "p",
        epochs=1, batch=8, progress=False,
    )  # fmt: skip
    written = {key for run in (binary, prior) for key in run.metadata}
    others = {"closed_form", "extended", "init"}  # of photo_vae and of two commands: test_push.py
    assert written | others == METADATA_KEYS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.evaluate("elbo", n="a"), "-n is 'a'; it must be a whole number"),
        (lambda run: run.evaluate("elbo", seed="a"), "--seed is 'a'; it must be a whole number"),
        (lambda run: run.evaluate(["elbo", 3]), "There is no metric 3; the"),
        (lambda run: run.sample(2.0), "-n is 2.0; it must be a whole number"),
        (lambda run: run.sample(2, seed="a"), "--seed is 'a'; it must be a whole number"),
        (lambda run: run.reconstruct(n="a"), "-n is 'a'; it must be a whole number"),
        (lambda run: run.traverse(0, steps="a"), "--steps is 'a'; it must be a whole number"),
        (lambda run: run.interpolate([0, 1], steps=2.5), "--steps is 2.5; it must be a whole"),
        (lambda run: run.encode(axes="x"), "--axes is 'x'; it must be one of own, principal."),
        (lambda run: run.traverse(0, axes="x"), "--axes is 'x'; it must be one of own, princ"),
        (lambda run: run.plot_traversal(0, axes="x"), "--axes is 'x'; it must be one of own,"),
        (lambda run: run.nearest([0, 1]), "2 images were given; give one, such as images"),
        (lambda run: run.export(None), "There is no format None;.* --to is one of onnx"),
        (lambda run: run.push(5), "5 is no name on the hub; write OWNER/NAME"),
        (lambda run: run.with_beta("a"), "--beta is 'a'; it must be a number"),
    ],
)
def test_a_run_says_what_is_wrong_with_an_argument(run_in_memory, call, message):
    with pytest.raises(latentia.Error, match=f"^{message}"):
        call(run_in_memory.with_data(IMAGES))
