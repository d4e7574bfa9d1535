"""One writer: a lock is refused while its owner lives, and names the owner."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import latentia
from latentia.api.training import resume_run
from latentia.cli.main import main
from latentia.core.locks import LockedError, find_other_owner, hold_lock, owner_path

HOLD = """import sys, time
from pathlib import Path
from latentia.core.locks import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def hold_elsewhere():
    """Another process holds a lock until it is killed."""
    processes = []

    def start(path):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_lock_names_its_owner_and_ends_with_it(tmp_path: Path, hold_elsewhere):
    path = tmp_path / "a.lock"
    process = hold_elsewhere(path)
    with (
        pytest.raises(
            LockedError,
            match=rf"a.lock is in use by .* \(host .*, process {process.pid}\) since 20",
        ),
        hold_lock(path),
    ):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert owner_path(path).exists()  # it means nothing without the lock
    with hold_lock(path):
        assert json.loads(owner_path(path).read_text())["process"] == os.getpid()
    assert not owner_path(path).exists()


def test_only_another_process_that_lives_is_an_other_owner(tmp_path: Path, hold_elsewhere):
    path = tmp_path / "a.lock"
    assert find_other_owner(path) == ""
    assert not path.exists()
    with hold_lock(path):
        assert find_other_owner(path) == ""
    process = hold_elsewhere(path)
    assert f"process {process.pid})" in find_other_owner(path)
    process.kill()
    process.wait()
    assert owner_path(path).exists()
    assert find_other_owner(path) == ""


def test_the_doctor_says_that_a_run_is_being_trained(toy, hold_elsewhere, capsys):
    run = toy("r", stop=1)
    assert main(["doctor", str(run.path)]) == 0
    assert "interrupted: training stopped after " in capsys.readouterr().out
    process = hold_elsewhere(run.path / ".lock")
    assert main(["doctor", str(run.path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "interrupted: the run is being trained by" in text
    assert f"process {process.pid})" in text
    assert "latentia resume" not in text


def test_an_owner_that_cannot_be_read_is_another_process(tmp_path: Path, hold_elsewhere):
    path = tmp_path / "a.lock"
    hold_elsewhere(path)
    owner_path(path).write_text("{")
    with pytest.raises(LockedError, match="is in use by another process; wait"), hold_lock(path):
        pass


def test_a_run_has_one_writer_and_any_number_of_readers(toy, hold_elsewhere, tmp_path, capsys):
    run = toy("r")
    before = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    process = hold_elsewhere(run.path / ".lock")
    for words in (["resume", str(run.path)], ["resume", str(run.path), "--epochs", "9"]):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{run.path} is in use by ")
        assert f"process {process.pid}" in line
    with pytest.raises(latentia.Error, match="is in use by"):
        latentia.resume(run.path, progress=False)
    assert main(["sample", str(run.path), "-n", "1", "--out", str(tmp_path / "s.png")]) == 0
    assert all(path.read_bytes() == content for path, content in before.items())
    process.kill()
    process.wait()
    assert main(["resume", str(run.path)]) == 0


def test_a_training_that_is_dropped_leaves_its_run_free(toy):
    run = toy("r", stop=3)
    _, events = resume_run(run.path)
    with pytest.raises(LockedError) as refusal:
        resume_run(run.path)
    del events  # none was read
    _, events = resume_run(run.path)
    next(events)
    with pytest.raises(LockedError):
        resume_run(run.path)
    events.close()
    list(resume_run(run.path)[1])
    assert str(os.getpid()) in str(refusal.value)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder of Linux")
def test_where_no_file_can_be_made_nobody_is_said_to_hold_a_lock():
    message = r"/proc/x\.lock cannot be written \(No such file"
    with pytest.raises(latentia.Error, match=message), hold_lock(Path("/proc/x.lock")):
        pass


def test_a_lock_needs_no_room_for_the_name_of_its_owner(tmp_path, monkeypatch):
    """On a full disk the block says what it cannot write, and leaves no file."""

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)
    with hold_lock(tmp_path / "lock"):
        pass
    message = "runs/a cannot be written"
    with pytest.raises(latentia.Error, match=message), hold_lock(Path("/proc/x"), subject="runs/a"):
        pytest.fail("there is no such lock")
