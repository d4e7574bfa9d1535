"""The remaining time of long work, and what an interrupt of it leaves."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

import latentia
from latentia.api.progress import render_events
from latentia.core import progress
from latentia.core.progress import Display, format_remaining_time, show_progress
from latentia.training.events import StepTaken, TrainingFinished

PARAMETERS = {"hidden": 8, "latent": 2, "batch": 16, "progress": False}


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"), (41, "41 s"), (89, "89 s"), (100, "2 min"), (240, "4 min"),
        (89 * 60, "89 min"), (2 * 3600, "2 h 0 min"), (3600 * 5 - 10, "5 h 0 min"),
        (86400 * 2.5, "2.5 days"),
    ],
)  # fmt: skip
def test_a_remaining_time_is_in_a_persons_unit(seconds, text):
    assert format_remaining_time(seconds) == f"about {text} left"


def test_two_steps_give_the_time_and_a_slow_first_step_does_not_count(clock, capsys):
    display = Display("r: step", file=sys.stdout)

    def events():
        for step, seconds in ((1, 60.0), (2, 2.0), (3, 2.0), (4, 4.0)):
            clock[0] += seconds
            yield StepTaken(step, 122, 16)
        yield TrainingFinished(4, 122, "stopped")

    render_events(display, events())
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "r: step 1/122",
        "r: step 2/122  about 4 min left  8.0 images/s",  # within 2 s of the first
        "r: step 4/122  about 5 min left  6.0 images/s",
    ]


def test_a_decoding_has_its_estimate_from_its_first_files(clock, capsys):
    def counts():
        for _ in range(4):
            clock[0] += 1.5
            yield 100

    assert sum(show_progress(counts(), 400, "photos/: decoding")) == 400
    assert capsys.readouterr().err.splitlines() == [
        "photos/: decoding 200/400  about 3 s left  67 images/s",
        "photos/: decoding 400/400  67 images/s",
    ]


def test_a_burst_of_threads_gives_no_estimate(clock, capsys):
    """Two threads end their first files together: the time to their next ones counts."""

    def counts():
        for seconds in (8.0, 0.001, 8.0, 0.001):
            clock[0] += seconds
            yield 8

    assert sum(show_progress(counts(), 80, "photos/: decoding")) == 32
    assert capsys.readouterr().err.splitlines() == [
        "photos/: decoding 8/80",
        "photos/: decoding 24/80  about 28 s left  2.0 images/s",
    ]


def test_a_training_of_slow_steps_says_how_long_it_takes(monkeypatch, tmp_path, capfd, images):
    """No row of the log is due before the end."""
    from latentia.training import loop

    monkeypatch.setattr(loop, "STEP_EVENT_INTERVAL", 0.0)
    parameters = {**PARAMETERS, "progress": True, "data": images, "epochs": 4, "log_every": 1000}
    latentia.train("mnist_mlp_vae", run=tmp_path / "r", **parameters)
    lines = [line for line in capfd.readouterr().err.splitlines() if ": step " in line]
    assert re.match(r"r: step 2/12  about \d+ s left  [\d,.]+ images/s", lines[1])


def interrupt_after(path):
    """Press Ctrl-C once a training has written a row."""

    def press():
        while not (path / "timing.jsonl").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


@pytest.mark.parametrize("progress", [True, False])
def test_an_interrupt_in_python_saves_and_is_an_interrupt(tmp_path, images, progress):
    path, options = tmp_path / "r", {"log_every": 1, "save_every": 10**6}
    parameters = {**PARAMETERS, "data": images, "progress": progress, **options}
    thread = interrupt_after(path)
    with pytest.raises(KeyboardInterrupt) as caught:
        latentia.train("mnist_mlp_vae", run=path, epochs=3000, **parameters)
    thread.join()
    message = rf'Stopped at step [\d,]+ of 9,000, and saved; latentia.resume\("{path}", data\) goes'
    assert re.match(message, str(caught.value))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (path / "timing.jsonl").unlink()
    thread = interrupt_after(path)  # and in a resumed one
    with pytest.raises(KeyboardInterrupt, match=r"Stopped at step"):
        latentia.resume(path, images, progress=False)
    thread.join()


def test_a_second_interrupt_stops_at_once(tmp_path):
    """In a step that never ends."""
    code = f"""
import os, signal, threading, numpy, latentia
from latentia.training.loop import Loop
def hang(*_):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):
            pass
    raise SystemExit("not interrupted")
Loop.train_step = hang
try:
    latentia.train("mnist_mlp_vae", numpy.zeros((40, 8, 8), "uint8"), run={str(tmp_path / "r")!r},
                   epochs=1, hidden=8, progress=False)
except KeyboardInterrupt as interrupt:
    print("interrupted", interrupt.args)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "interrupted ()\n", result.stderr
