"""A tracker holds the numbers of log.jsonl, whatever was stopped between, and changes none."""

import json
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

import latentia
from latentia import tracking
from latentia.api.training import resume_run, start_run
from latentia.cli.main import main
from latentia.training.events import Finding, StepLogged, ValidationFinished
from latentia.training.log import read_rows

KNOBS = {"data": "digits", "hidden": 8, "latent": 3, "batch": 256, "epochs": 3}


def begin(path, tracker, **options):
    options = latentia.Options(log_every=2, save_every=2, tracker=tracker, track="0", **options)
    return start_run("mnist_mlp_vae", KNOBS, options=options, run=path)


def rows(run):
    """(name, step) -> value, of log.jsonl."""
    found = {}
    for row in read_rows(run.path / "log.jsonl"):
        kind = {"logged": StepLogged, "validated": ValidationFinished}.get(row.pop("event"))
        if kind:
            event = kind(**row)
            found |= {(k, event.step): v for k, v in tracking.collect_scalars(event).items()}
    return found


def board(run):
    """What TensorBoard shows: names, steps, values; and the steps of pictures."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    held = EventAccumulator(str(run.path / "tracker"), size_guidance={"scalars": 0, "images": 0})
    held.Reload()
    names = held.Tags()
    found = [(k, e.step, e.value) for k in names["scalars"] for e in held.Scalars(k)]
    return found, {k: [e.step for e in held.Images(k)] for k in names["images"]}


@pytest.mark.filterwarnings("ignore:::tensorboard")
@pytest.mark.parametrize("stop", [None, 1, 4, 7])
def test_tensorboard_holds_the_numbers_of_the_log_once_however_often_it_was_stopped(stop, tmp_path):
    """Rows that were written after the state that a resume goes on from are forgotten."""
    run, events = begin(tmp_path / "run", "tensorboard")
    for count, _ in enumerate(events, 1):
        if count == stop:
            break
    events.close()
    if stop:
        time.sleep(1.1)  # event files are read by name, which begins with the second
        run, events = resume_run(run.path)
        list(events)
    found, pictures = board(run)
    wanted = rows(run)
    assert len(wanted) > 40
    assert {(k, step) for k, step, _ in found} == wanted.keys()
    assert len(found) == len(wanted)
    for name, step, value in found:
        assert value == np.float32(wanted[name, step]), (name, step)
    assert {"vae/distortion", "vae/rate", "vae/lr", "validation/nelbo"} <= {k for k, _ in wanted}
    assert pictures == {"samples": [5, 10, 15], "tracked": [5, 10, 15]}
    files = (run.path / "tracker").glob("events*")
    assert any(b"arguments/latent" in file.read_bytes() for file in files)  # its settings


def test_a_tracker_changes_no_byte_of_the_run(tmp_path):
    for name, tracker in (("with", "tensorboard"), ("without", None)):
        list(begin(tmp_path / name, tracker)[1])
    for file in ("log.jsonl", "weights.safetensors", "state.safetensors"):
        assert (tmp_path / "with" / file).read_bytes() == (tmp_path / "without" / file).read_bytes()
    assert not (tmp_path / "without" / "tracker").exists()


def test_what_a_step_back_has_cut_from_the_log_is_forgotten(tmp_path):
    run, events = begin(tmp_path / "run", "tensorboard")
    for event in events:
        if isinstance(event, StepLogged) and event.step == 4:
            break
    events.close()
    time.sleep(1.1)
    told = tracking.RunTracker(run)
    again = StepLogged(4, 15, 1, 1024, {}, {"norm": 2.0})
    told.log_event(again._replace(monitors={"norm": 1.0}))
    time.sleep(1.1)
    told.log_event(
        Finding(4, "non-finite", "Step 4: ...; back to step 2.")
    )  # its state: step 2 or 4
    told.log_event(again._replace(step=12))
    told.tracker.finish()
    found, _ = board(run)
    assert [(step, v) for k, step, v in found if k == "monitor/norm"] == [(12, 2.0)]


class Fake(types.ModuleType):
    """A tracker's package: it writes down what it is told."""

    def __init__(self, name):
        super().__init__(name)
        self.told, self.begun = [], []
        self.config = self
        self.info = types.SimpleNamespace(run_id="the first")

    def init(self, **how):
        self.begun.append(how)
        return self

    def start_run(self, **how):
        self.begun.append(how)
        return self

    def set_experiment(self, name):
        assert name == "latentia"

    def update(self, settings):
        self.settings = settings

    log_params = update

    def log(self, values, step):
        self.told += [(k, step, v) for k, v in values.items()]

    log_metrics = log

    def Image(self, pixels):
        return pixels.shape

    def log_artifact(self, local_path, artifact_path):
        self.told.append((artifact_path, None, local_path))

    def finish(self, *_):
        self.told.append(("finish", None, 0))

    end_run = finish


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_wandb_and_mlflow_are_told_the_same_and_a_resume_goes_on_in_the_same_run(
    name, tmp_path, monkeypatch
):
    """By a fake: the packages themselves are large, and want a server or an offline folder."""
    fake = Fake(name)
    monkeypatch.setitem(sys.modules, name, fake)
    run, events = begin(tmp_path / "run", name)
    for _ in zip(range(5), events, strict=False):
        pass
    events.close()
    assert fake.told[-1][0] == "finish"
    assert fake.settings["arguments/latent"] == 3
    assert fake.settings["options/seed"] == 0
    list(resume_run(run.path)[1])
    first, second = fake.begun
    key = {"wandb": "id", "mlflow": "run_id"}[name]
    assert second[key] == (tmp_path / "run" / "tracker" / "id").read_text()
    assert first[key] == (second[key] if name == "wandb" else None)
    told = {(k, step): v for k, step, v in fake.told}
    assert {k: told[k] for k in rows(run)} == rows(run)
    seen = [k for k, *_ in fake.told]
    if name == "wandb":
        assert seen.count("samples") == seen.count("tracked") == 3
        assert any(k.startswith("finding/") for k in seen)
    else:
        assert seen.count("progress") == 6
        assert Path(told["progress", None]).parent == tmp_path / "run" / "progress"


def test_a_missing_package_is_said_before_anything_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    words = ["train", "mnist_mlp_vae", "--data", "digits", "--tracker", "wandb"]
    assert main([*words, "--run", str(tmp_path / "run")]) == 2
    said = "--tracker wandb needs wandb: pip install wandb."
    assert capsys.readouterr().err.strip() == said
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_cannot_start_is_an_error_of_one_sentence(tmp_path, monkeypatch, capsys):
    def refuse(**_):
        raise RuntimeError("no API key configured\nlog in first")

    fake = Fake("wandb")
    monkeypatch.setattr(fake, "init", refuse, raising=False)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    words = ["train", "mnist_mlp_vae", "--data", "digits:60", "--tracker", "wandb"]
    assert main([*words, "--run", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("--tracker wandb cannot start (no API key configured")
    assert error.endswith("); set it up, or omit it.")


def test_settings_are_flat_and_every_number_of_a_row_has_a_name(tmp_path):
    about = {
        "recipe": "r", "arguments": {"latent": 3, "size": None}, "options": {"seed": 0},
        "modifiers": {"divergence": {"tc_weight": 6.0}}, "machine": {"latentia": "1"},
    }  # fmt: skip
    assert json.loads(json.dumps(tracking.flatten_settings(about))) == {
        "arguments/latent": 3, "arguments/size": "None", "options/seed": 0,
        "modifiers/divergence": "{'tc_weight': 6.0}", "recipe": "r", "latentia": "1",
    }  # fmt: skip
