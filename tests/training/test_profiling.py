"""A profile of a run: what it says of a step, and that it changes nothing."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch.autograd import DeviceType

from latentia.api.progress import format_profile
from latentia.api.training import start_run
from latentia.core.errors import Error
from latentia.core.spans import PART_SPANS, record_span
from latentia.models.vae import VAE
from latentia.runs.folder import RunFolder
from latentia.training.events import ProfileWritten
from latentia.training.profiling import TRACE_STEPS, sum_parts

KNOBS = {"hidden": 8, "latent": 3, "batch": 8, "epochs": 6}  # 36 steps
WITHOUT_REPORT = """import sys
from latentia.cli.main import main
from latentia.report import page

page.write_report = lambda *_: None
sys.exit(main(sys.argv[1:]))
"""


def run_of(array_file, folder, stop=None, **how):
    run, events = start_run("mnist_mlp_vae", {"data": array_file, **KNOBS}, run=folder, **how)
    seen = []
    for event in events:
        seen.append(event)
        if len(seen) == stop:
            break
    events.close()
    return run, seen


def test_the_bits_of_a_run_are_the_same_with_and_without(array_file, tmp_path):
    plain, _ = run_of(array_file, tmp_path / "a")
    traced, seen = run_of(array_file, tmp_path / "b", profile=True)
    assert sum(isinstance(event, ProfileWritten) for event in seen) == 1
    for name in ("log.jsonl", "state.safetensors", "weights.safetensors"):
        assert (traced.path / name).read_bytes() == (plain.path / name).read_bytes()
    assert traced.metadata["options"] == plain.metadata["options"]  # a resume traces nothing
    assert not (plain.path / "trace.json").exists()


def test_the_profilers_library_is_silent(array_file, tmp_path):
    """On the command line, which may set a variable of the process."""
    words = ["train", "mnist_mlp_vae", "--data", array_file, "--run", tmp_path / "r", "--profile"]
    words += [f"--{name}={value}" for name, value in KNOBS.items()]
    command = [sys.executable, "-c", WITHOUT_REPORT, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # the images, and a note on their size
    assert {line.split(":")[0] for line in done.stderr.splitlines()} == {array_file}


def test_a_trace_that_is_not_whole_is_noticed(array_file, tmp_path, monkeypatch):
    """The library itself raises nothing."""
    for written in (None, '{"traceEvents": ['):
        monkeypatch.setattr(
            "torch.profiler.profile.export_chrome_trace",
            lambda _, path, text=written: text and Path(path).write_text(text, encoding="utf-8"),
        )
        folder = tmp_path / f"{bool(written)}"
        with pytest.raises(Error, match=r"trace.json cannot be written \(it is not whole\)"):
            run_of(array_file, folder, profile=True)


def test_the_time_of_a_step_goes_where_it_was_spent(array_file, tmp_path, monkeypatch):
    """3 ms more in the forward pass are 3 ms more of it, in every step of the window."""
    honest = VAE.terms

    def slow(self, *given):
        time.sleep(0.003)
        return honest(self, *given)

    monkeypatch.setattr(VAE, "terms", slow)
    _, seen = run_of(array_file, tmp_path / "r", profile=True)
    (found,) = (event for event in seen if isinstance(event, ProfileWritten))
    assert found.steps == TRACE_STEPS
    assert set(found.milliseconds) == {*PART_SPANS, "step"}
    assert all(value >= 0 for value in found.milliseconds.values())
    assert all(found.milliseconds[name] > 0 for name in ("data", "backward", "optimizer"))
    assert found.milliseconds["forward"] > 3
    trace = json.loads((tmp_path / "r" / "trace.json").read_text())
    names = [event["name"] for event in trace["traceEvents"] if event.get("ph") == "X"]
    assert [names.count(name) for name in ("step", "data", "backward")] == [TRACE_STEPS] * 3
    lines = format_profile(found).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == list(PART_SPANS)
    assert f"(mean of {TRACE_STEPS};" in lines[0]
    assert lines[-1] == str(tmp_path / "r" / "trace.json")


def test_a_trace_that_cannot_be_written_is_a_mistake_to_put_right(
    array_file, tmp_path, monkeypatch
):
    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.profiler.profile.export_chrome_trace", full)
    with pytest.raises(Error) as caught:
        run_of(array_file, tmp_path / "r", profile=True)
    assert str(caught.value) == (
        f"{tmp_path / 'r' / 'trace.json'} cannot be written ([Errno 28] No space left on device); "
        "the run is as it was saved last: free some disk space, then latentia resume "
        f"{tmp_path / 'r'}."
    )


def test_a_part_within_another_is_counted_once():
    """Waiting for others within a forward pass, itself within a step, below an operator."""

    def event(name, microseconds, above=None, device=DeviceType.CPU):
        return SimpleNamespace(
            name=name, cpu_time_total=microseconds, cpu_parent=above, device_type=device
        )

    step = event("step", 10_000)
    forward = event("forward", 6_000, step)
    operator = event("aten::mm", 4_500, forward)
    events = [step, forward, operator, event("waiting", 4_000, operator)]
    events.append(event("forward", 9_000, device=DeviceType.CUDA))  # its shadow on the device
    found = sum_parts(events, steps=2)
    assert found == {
        "step": 2.0, "forward": 1.0, "waiting": 2.0, "data": 0, "backward": 0, "optimizer": 0,
    }  # fmt: skip


def test_a_run_that_is_stopped_or_short_leaves_no_profiler_behind(array_file, tmp_path):
    _, seen = run_of(array_file, tmp_path / "cut", stop=3, profile=True)
    assert not any(isinstance(event, ProfileWritten) for event in seen)
    knobs = {"data": array_file, **KNOBS, "epochs": 1}
    _, events = start_run("mnist_mlp_vae", knobs, run=tmp_path / "short", profile=True)
    (found,) = (event for event in events if isinstance(event, ProfileWritten))
    assert found.steps == 3
    _, events = start_run(
        "mnist_mlp_vae", {**knobs, "batch": 60}, run=tmp_path / "one", profile=True
    )
    (found,) = (event for event in events if isinstance(event, ProfileWritten))
    assert found.steps == 1
    assert found.milliseconds["backward"] > 0
    assert record_span("data") is record_span("forward")  # the empty context


@pytest.mark.parametrize("words", [["--profile"], ["--no-profile"]])
def test_it_is_a_word_of_train(array_file, tmp_path, words, capsys):
    from latentia.cli.main import main

    given = [f"--{name}={value}" for name, value in KNOBS.items()]
    run = tmp_path / "r"
    assert (
        main(["train", "mnist_mlp_vae", "--data", array_file, f"--run={run}", *given, *words]) == 0
    )
    assert ("ms in none of these" in capsys.readouterr().out) == (words == ["--profile"])
    assert RunFolder.open(run).path == run
