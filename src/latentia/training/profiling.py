"""Where a step's time goes: a trace of some steps, and its sum for each part of a step."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType  # pyright: ignore[reportPrivateImportUsage]
from torch.profiler import ProfilerActivity, profile

from latentia.core.errors import Error
from latentia.core.spans import PARTS, STEP
from latentia.training.events import Profiled

FIRST, STEPS = 10, 20  # steps that warm up, and those that are traced


@contextmanager
def traced(path: Path, left: int) -> Iterator[Callable[[], Iterator[Profiled]]]:
    """A function to be called after each of the `left` steps; one of its calls writes the trace.

    The sums are the processor's time: what it waits for, a device or other processes, is waiting.
    """
    first = min(FIRST, left // 2)
    last, done, running = min(first + STEPS, left), 0, None

    def begin() -> profile:
        kinds = {ProfilerActivity.CPU, ProfilerActivity.CUDA}
        begun = profile(activities=kinds & torch.profiler.supported_activities())
        begun.start()
        return begun

    def after() -> Iterator[Profiled]:
        nonlocal done, running
        done += 1
        if done == last and running:
            running.stop()
            ended, running = running, None
            try:
                ended.export_chrome_trace(str(path))
                if not path.exists() or not path.read_bytes().endswith((b"}", b"}\n")):
                    raise OSError("it is not whole")  # the library itself raises nothing
            except (OSError, RuntimeError) as problem:
                raise Error(
                    f"{path} cannot be written ({problem}); the run is as it was saved last: make "
                    f"room, then latentia resume {shlex.quote(str(path.parent))}."
                ) from None
            yield Profiled(str(path), last - first, parts(ended.events() or (), last - first))
        elif done == first:
            running = begin()

    try:
        if left and not first:  # one step
            running = begin()
        yield after
    finally:
        if running:  # the run was stopped within the window
            running.stop()


def parts(events: Iterable[Any], steps: int) -> dict[str, float]:
    """Milliseconds a step in each part, without other parts within it; `step`: in none of them."""
    sums = Counter(dict.fromkeys((*PARTS, STEP), 0.0))
    for event in events:
        if event.name not in sums or event.device_type != DeviceType.CPU:
            continue
        sums[event.name] += event.cpu_time_total
        above = event.cpu_parent
        while above and above.name not in sums:
            above = above.cpu_parent
        if above:
            sums[above.name] -= event.cpu_time_total
    return {name: value / 1000 / steps for name, value in sums.items()}
