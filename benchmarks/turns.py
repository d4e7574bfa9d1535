"""Measure pieces of work alternately, each in a process of its own."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Command = Sequence[str]


def serve(work: Callable[[], object]) -> None:
    """Do the work once without measuring, then once for each line of stdin; print its seconds."""
    work()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        work()
        print(time.perf_counter() - started, flush=True)


class Worker:
    """A process that serves a piece of work; the other workers wait meanwhile."""

    def __init__(self, command: Command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.read("ready")

    def read(self, expected: str = "") -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:  # a library may print lines of its own
            line = line.strip()
            if line == expected or (not expected and line.replace(".", "").isdigit()):
                return line
        raise SystemExit(f"{' '.join(self.process.args)} ended early")  # pyright: ignore

    def seconds(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.read())

    def stop(self) -> None:
        self.process.communicate()


def time_process(command: Command) -> Callable[[], float]:
    """Return a function that runs a process and returns its duration in seconds."""

    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start

    return seconds


class TurnTimes(NamedTuple):
    """Seconds of the peer and of latentia, turn by turn."""

    peer: list[float]
    ours: list[float]

    @property
    def ratios(self) -> list[float]:
        """Seconds of the peer divided by those of latentia, for each pair of turns."""
        return [a / b for a, b in zip(self.peer, self.ours, strict=True)]


def compare(peer: Callable[[], float], ours: Callable[[], float], repeats: int) -> TurnTimes:
    """Measure the peer and latentia alternately, `repeats` times each."""
    pairs = [(peer(), ours()) for _ in range(repeats)]
    return TurnTimes([a for a, _ in pairs], [b for _, b in pairs])


def format_spread(values: Sequence[float], digits: int = 2) -> str:
    """Return `median (minimum to maximum)`."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def measure_cost_ratios(plain: Any, other: Any, repeats: int, steps: int = 1) -> list[float]:
    """Return the cost of a step of `other` in steps of `plain`; the two alternate."""
    return [b / a for a, b in time_turns(plain, other, repeats, steps)]


def time_turns(plain: Any, other: Any, repeats: int, steps: int = 1) -> list[tuple[float, float]]:
    """Return the seconds of `steps` steps of two training loops, which alternate."""
    for loop in (plain, other):
        for _ in range(3):  # the first steps take longer
            loop.train_step(loop.step_context())
    return [(time_steps(plain, steps), time_steps(other, steps)) for _ in range(repeats)]


def time_steps(loop: Any, steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        loop.train_step(loop.step_context())
    return time.perf_counter() - start
