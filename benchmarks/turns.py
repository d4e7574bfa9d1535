"""Pieces of work measured in turn: each in a process of its own, one line in, its seconds out."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Command = Sequence[str]


def serve(work: Callable[[], object]) -> None:
    """What a worker does: the work once unmeasured, then once a line."""
    work()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        work()
        print(time.perf_counter() - started, flush=True)


class Worker:
    """A process that serves a piece of work; the others wait while it works."""

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

    def end(self) -> None:
        self.process.communicate()


def started(command: Command) -> Callable[[], float]:
    """The seconds of a whole process, from its start to its end."""

    def seconds() -> float:
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - begun

    return seconds


class Compared(NamedTuple):
    """Seconds of each, turn by turn."""

    peer: list[float]
    ours: list[float]

    @property
    def ratios(self) -> list[float]:
        """How many times as long the peer takes, pair by pair."""
        return [a / b for a, b in zip(self.peer, self.ours, strict=True)]


def compare(peer: Callable[[], float], ours: Callable[[], float], repeats: int) -> Compared:
    """Peer and ours in turn, `repeats` times each."""
    pairs = [(peer(), ours()) for _ in range(repeats)]
    return Compared([a for a, _ in pairs], [b for _, b in pairs])


def spread(values: Sequence[float], digits: int = 2) -> str:
    """median (least to most)"""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def dearer(plain: Any, other: Any, repeats: int, steps: int = 1) -> list[float]:
    """How many steps of one loop a step of another costs, of neighbours in time."""
    for loop in (plain, other):
        for _ in range(3):  # the very first ones are unlike the rest
            loop.step(loop.moment())
    ratios = []
    for _ in range(repeats):
        took = []
        for loop in (plain, other):
            begun = time.perf_counter()
            for _ in range(steps):
                loop.step(loop.moment())
            took.append(time.perf_counter() - begun)
        ratios.append(took[1] / took[0])
    return ratios
