"""A library call leaves the caller's process as it was; only the command may change its own."""

import inspect
import logging
import os
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

import latentia
from latentia.api.training import start_run
from latentia.cli.main import main
from latentia.core import distributed
from latentia.core.errors import Error
from latentia.diagnostics import environment
from latentia.runs.open import open_run
from latentia.runs.recipes import find_recipe
from latentia.training import device
from latentia.training.events import EndReason, TrainingFinished
from latentia.training.plan import Options

pytestmark = pytest.mark.report  # what draws it may change a process too
RECIPE = """from __future__ import annotations

import dataclasses

from latentia import recipe


@dataclasses.dataclass
class Rows:
    kind: dataclasses.KW_ONLY
    n: int = 3


@recipe
def mine(data="digits"):
    return Rows()
"""


@pytest.mark.usefixtures("fresh_registries")
def test_a_recipe_file_takes_no_name_that_can_be_imported(tmp_path):
    import random

    before = {*sys.modules, latentia.recipe.__module__}
    (tmp_path / "random.py").write_text(RECIPE)
    mine = find_recipe(f"{tmp_path / 'random.py'}:mine")
    assert sys.modules["random"] is random
    (added,) = set(sys.modules) - before
    assert added == mine.__module__
    assert mine().n == 3
    assert inspect.getsource(mine).startswith("@recipe\ndef mine(")
    with pytest.raises(latentia.Error, match=r"has no recipe other; it holds mine\."):
        find_recipe(f"{tmp_path / 'random.py'}:other")


def test_a_recipe_file_that_raises_leaves_no_module(tmp_path):
    before = dict(sys.modules)
    (tmp_path / "random.py").write_text("raise ArithmeticError('of mine')")
    with pytest.raises(Error, match=r"cannot be loaded \(ArithmeticError: of mine, in line 1\)"):
        find_recipe(f"{tmp_path / 'random.py'}:mine")
    assert sys.modules == before


def test_local_only_holds_for_one_thread(monkeypatch):
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    sizes = []
    with distributed.local_only():
        sizes.append(distributed.world_size())
        thread = threading.Thread(target=lambda: sizes.append(distributed.world_size()))
        thread.start()
        thread.join()
    assert [*sizes, distributed.world_size()] == [1, 2, 2]


TOY = {"hidden": 8, "latent": 3, "batch": 16, "epochs": 1}
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 12, 10), dtype=np.uint8)


def process():
    """What all of a process shares, and a library must leave to who started it."""
    loggers = logging.Logger.manager.loggerDict.items()
    return {
        "threads": torch.get_num_threads(),
        "generators": torch.get_rng_state().tolist(),
        "environment": dict(os.environ),
        "signals": [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)],
        "warnings": list(warnings.filters),
        "loggers": {
            name: (each.level, each.disabled, each.propagate, list(each.handlers))
            for name, each in loggers
            if isinstance(each, logging.Logger)
        },
        "torch": (
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            torch.backends.mkldnn.enabled,
        ),
    }


def assert_unchanged(before):
    """Loggers that are new come from modules that were imported for the first time."""
    after = process()
    after["loggers"] = {k: v for k, v in after["loggers"].items() if k in before["loggers"]}
    assert after == before


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a report; other libraries, which change a process at their import, are there."""
    from latentia.sklearn import ImageVAE

    path = tmp_path_factory.mktemp("trained") / "run"
    latentia.train(
        "mnist_mlp_vae", data=IMAGES, options=Options(threads=1), run=path, **TOY
    ).report()
    assert ImageVAE
    return path


@pytest.fixture
def threads(run):
    """Another number than the library's calls ask for."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def allocator(monkeypatch):
    """The options of glibc's allocator that were set."""
    found = []

    class Libc:
        def mallopt(self, option, value):
            found.append((option, value))
            return 1

    monkeypatch.delenv("LATENTIA_MALLOPT", raising=False)
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: Libc())
    return found


def test_a_training_leaves_the_process_as_it_was(tmp_path, threads, allocator):
    before = process()
    options = Options(threads=2, log_every=1)
    run = latentia.train("mnist_mlp_vae", data=IMAGES, options=options, run=tmp_path / "a", **TOY)
    assert_unchanged(before)
    _, events = start_run(
        "mnist_mlp_vae", {"data": IMAGES, **TOY}, options=options, run=tmp_path / "b"
    )
    counts = [torch.get_num_threads() for _ in events]
    assert set(counts) == {2}
    latentia.load(tmp_path / "a").sample(2)
    run.encode(IMAGES)
    assert_unchanged(before)
    assert allocator == []


def test_a_training_that_fails_leaves_the_process_as_it_was(tmp_path, threads, allocator):
    from latentia.sklearn import ImageVAE

    before, rows = process(), IMAGES.reshape(60, -1).astype("float32")
    made = ImageVAE("mnist_mlp_vae", lr=1e18, epochs=3, options={"threads": 2})
    with pytest.raises(Error, match="is not complete") as caught:  # its frames are still there
        made.fit(rows)
    assert_unchanged(before)
    assert allocator == []
    assert caught.tb


def test_an_estimator_leaves_the_process_as_it_was(threads, allocator):
    from latentia.sklearn import ImageVAE

    before, rows = process(), IMAGES.reshape(60, -1).astype("float32")
    made = ImageVAE("mnist_mlp_vae", latent=2, epochs=1, options={"threads": 2}).fit(rows)
    made.score(rows)
    made.sample(2)
    assert_unchanged(before)
    assert allocator == []


def test_the_classifier_of_labels_leaves_the_process_as_it_was(run, monkeypatch):
    from latentia.data import open_images
    from latentia.metrics import label_classifier

    before = process()
    monkeypatch.setattr(
        label_classifier, "train", lambda *_: iter([TrainingFinished(0, 1, EndReason.STOPPED)])
    )
    with pytest.raises(Error, match="label classifier was stopped"):
        label_classifier.get_label_classifier(open_images("digits:60"))
    assert_unchanged(before)


def test_what_is_installed_is_found_without_a_change(threads, allocator):
    before = process()
    assert environment.describe_memory().startswith("training commands keep freed blocks")
    environment.describe_environment()
    assert_unchanged(before)
    assert allocator == []


def test_the_command_sets_the_allocator(tmp_path, allocator, monkeypatch):
    monkeypatch.setattr("latentia.report.page.write_report", lambda *_: None)
    np.save(tmp_path / "toy.npy", IMAGES)
    knobs = [word for k, v in TOY.items() for word in (f"--{k}", str(v))]
    words = ["mnist_mlp_vae", "--data", str(tmp_path / "toy.npy"), *knobs]
    both = [(device.M_MMAP_MAX, 0), (device.M_TRIM_THRESHOLD, 2**31 - 1)]
    assert main(["train", *words, "--run", str(tmp_path / "run")]) == 0
    assert allocator == both
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert allocator == both * 2


def test_a_sweep_leaves_optuna_as_it_was(tmp_path):
    optuna = pytest.importorskip("optuna")
    from latentia.sweep.study import Setting, Sweep

    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        before = process()
        setting = Setting({"data": "digits:60"}, Options(), {})
        path = tmp_path / "sweep"
        made = Sweep("mnist_mlp_vae", ["beta=1,2"], 2, lambda _: setting, path=path)
        path.mkdir()
        made.open_study()
        assert made.list_trials() == []
        assert_unchanged(before)
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)


def test_an_export_leaves_the_process_as_it_was(run, tmp_path):
    pytest.importorskip("onnxscript")
    name = "torch.onnx._internal.exporter._registration"
    logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        from latentia.export import onnx

        opened = open_run(run)
        onnx.export_run(opened, tmp_path / "first")  # imports the exporter
        before = process()
        onnx.export_run(opened, tmp_path / "out")
        assert_unchanged(before)
        assert logging.getLogger(name).level == logging.DEBUG
    finally:
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_profile_sets_no_variable_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("KINETO_LOG_LEVEL", raising=False)
    knobs, path = {"data": IMAGES, **TOY}, tmp_path / "run"
    options = Options(threads=1)
    _, events = start_run("mnist_mlp_vae", knobs, options=options, run=path, profile=True)
    list(events)
    assert (path / "trace.json").exists()
    assert "KINETO_LOG_LEVEL" not in os.environ
