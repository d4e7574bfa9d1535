"""Training that begins where another ended: more epochs of a run, and weights of another run."""

import hashlib
import json

import pytest
import torch

import latentia
from latentia.api.training import resume_run
from latentia.cli.main import main
from latentia.runs.create import create_run
from latentia.training.checkpoint import read_metadata, read_tensors
from latentia.training.loop import Loop

FILES = ("log.jsonl", "weights.safetensors", "state.safetensors")


def content(run):
    return {name: (run.path / name).read_bytes() for name in FILES}


def read_run_json(run):
    return json.loads((run.path / "run.json").read_text())


def read_log(run, event="logged"):
    rows = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == event]


@pytest.mark.parametrize("recipe", ["mnist_mlp_vae", "vaegan"])
def test_an_extended_run_goes_on_and_a_kill_in_it_leaves_no_trace(toy, recipe):
    """Of 3 epochs of 3 steps; the schedules are those of the new total from its first step on."""
    whole, cut = toy("whole", recipe), toy("cut", recipe)
    before = content(whole)["log.jsonl"]
    list(resume_run(whole.path, epochs=5)[1])
    assert content(whole)["log.jsonl"].startswith(before)
    assert [row["total"] for row in read_log(whole)] == [9] * 5 + [15] * 4
    assert read_run_json(whole)["arguments"]["epochs"] == 5
    assert read_run_json(whole)["extended"] == [{"from_epochs": 3, "step": 9}]
    assert latentia.load(whole.path).is_complete
    for number, _ in enumerate(resume_run(cut.path, epochs=5)[1], 1):
        assert not latentia.load(cut.path).is_complete
        if number == 3:
            break
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


def test_a_run_that_was_killed_as_it_was_extended_is_extended(toy):
    """Its state says that it is complete, its run.json that it is not."""
    whole, cut = toy("whole"), toy("cut")
    list(resume_run(whole.path, epochs=4)[1])
    resume_run(cut.path, epochs=4)  # its events are never read
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


def test_schedules_are_those_of_the_new_total(toy):
    """An extension before the first step is a run of so many epochs, to the bit."""
    whole, cut = toy("whole", "conv_vae", epochs=4), toy("cut", "conv_vae", stop=1)
    assert read_metadata(cut.state)["step"] <= 2
    for path in (cut.state, cut.weights, cut.path / "log.jsonl"):
        path.unlink(missing_ok=True)
    list(resume_run(cut.path, epochs=4)[1])
    assert content(cut) == content(whole)


def test_an_unfinished_run_is_extended_twice_and_old_results_say_of_what(toy):
    run = toy("r", stop=4)
    step = read_metadata(run.state)["step"]
    (run.path / "evaluation.json").write_text("{}")
    list(resume_run(run.path, epochs=4)[1])
    assert not (run.path / "evaluation.json").exists()
    assert (run.path / "evaluation-3-epochs.json").exists()
    latentia.resume(run.path, epochs=5, progress=False)
    assert read_run_json(run)["extended"] == [
        {"from_epochs": 3, "step": step},
        {"from_epochs": 4, "step": 12},
    ]


@pytest.mark.parametrize("epochs", [2, 1, 0, -1])
def test_no_more_epochs_than_were_trained_are_refused(toy, epochs, capsys):
    run = toy("r")
    before = content(run), read_run_json(run)
    assert main(["resume", str(run.path), f"--epochs={epochs}"]) == 2
    message = f"--epochs is {epochs}; {run.path} has trained 3 epochs: give more.\n"
    if epochs < 1:
        message = f"--epochs is {epochs}; it must be at least 1.\n"
    assert capsys.readouterr().err == message
    assert (content(run), read_run_json(run)) == before


def test_the_command_extends(toy, capsys):
    run = toy("r")
    assert main(["resume", str(run.path), "--epochs", "4"]) == 0
    assert "is finished" not in capsys.readouterr().out
    assert read_metadata(run.state)["step"] == 12
    (run.path / "diagnosis.json").unlink()  # as if a kill had come before it
    before = content(run), read_run_json(run)
    assert main(["resume", str(run.path), "--epochs", "4"]) == 0
    assert (run.path / "diagnosis.json").exists()
    assert (content(run), read_run_json(run)) == before


def test_a_training_starts_from_the_weights_of_another_run(toy, tmp_path):
    first = toy("first")
    options = {"log_every": 1, "save_every": 1, "init": str(first.path)}
    run = toy("r", stop=1, options=latentia.Options(**options, seed=1))
    digest = hashlib.sha256(first.weights.read_bytes()).hexdigest()
    assert read_run_json(run)["init"] == {"run": str(first.path.resolve()), "sha256": digest}
    assert not run.initial_weights.exists()
    (start,), other = read_log(run)[:1], read_log(toy("o", options=latentia.Options(seed=1)))[0]
    assert start["step"] == 1
    end = read_log(first)[-1]["players"]["vae"]["terms"]["distortion"]
    assert start["players"]["vae"]["terms"]["distortion"] < end + 5  # random weights: 30 more
    assert other["players"]["vae"]["terms"]["distortion"] > end + 5
    (first.path / "weights.safetensors").unlink()  # it is needed no more
    list(resume_run(run.path)[1])
    assert latentia.load(run.path).is_complete


@pytest.mark.parametrize("recipe", ["mnist_mlp_vae", "vaegan"])
def test_initial_weights_are_those_of_the_other_run(toy, recipe, tmp_path):
    """And so is their moving average, before the first step."""
    first = toy("first", recipe)
    options = latentia.Options(init=str(first.path))
    run, plan = create_run(recipe, first.metadata["arguments"], {}, options, tmp_path / "r")
    state = Loop(plan, run, options).state
    expected = read_tensors(first.weights)[0]
    for tensors in [state.model.state_dict(), *([state.ema.tensors] if state.ema else [])]:
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    assert state.step == 0


def test_python_takes_a_run_or_its_path(toy, array_file, tmp_path):
    first = toy("first")
    for number, init in enumerate((latentia.load(first.path), first.path)):
        parameters = {"hidden": 8, "latent": 3, "epochs": 1, "progress": False, "init": init}
        run = latentia.train("mnist_mlp_vae", array_file, run=tmp_path / f"{number}", **parameters)
        assert run.metadata["init"]["run"] == run.options.init == str(first.path.resolve())


def test_a_kill_before_the_first_state_needs_no_other_run(toy):
    first = toy("first")
    options = latentia.Options(log_every=2, save_every=2, init=str(first.path))
    whole, cut = toy("whole", options=options), toy("cut", options=options, stop=1)
    unstarted, _ = create_run(
        "mnist_mlp_vae", {**whole.metadata["arguments"]}, {}, options, first.path.parent / "u"
    )
    first.path.rename(first.path.with_name("gone"))
    list(resume_run(cut.path)[1])
    list(resume_run(unstarted.path)[1])
    assert content(cut) == content(unstarted) == content(whole)


def test_other_shapes_are_refused_with_the_first_difference(toy, capsys, array_file, tmp_path):
    first = toy("first")
    words = ["train", "mnist_mlp_vae", "--data", array_file, "--hidden", "9", "--latent", "3"]
    words += ["--run", str(tmp_path / "r"), "--init", str(first.path)]
    assert main(words) == 2
    assert capsys.readouterr().err == (
        f"--init {first.path} does not fit this training: it holds encoder.layers.0.weight as "
        "(8, 784), the model wants (9, 784); the recipe, size and channels of the images, and the "
        "parameters and modifiers of its networks must agree.\n"
    )
    assert not (tmp_path / "r").exists()
    words[-1] = str(tmp_path / "nothing")
    assert main(words) == 2
    assert "There is no run at" in capsys.readouterr().err
