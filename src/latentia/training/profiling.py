"""Profile of training steps: a trace file, and the mean time of each part of a step."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType  # pyright: ignore[reportPrivateImportUsage]
from torch.profiler import ProfilerActivity, profile

from latentia.core.errors import Error
from latentia.core.spans import PART_SPANS, STEP_SPAN
from latentia.core.text import join_command
from latentia.training.events import ProfileWritten

WARMUP_STEPS, TRACE_STEPS = 10, 20


@contextmanager
def trace_steps(path: Path, steps_left: int) -> Iterator[Callable[[], Iterator[ProfileWritten]]]:
    """Give a function to call after each of the remaining steps; one call writes the trace.

    Times are those of the CPU: its waits for a device or other processes count as `waiting`.
    """
    first_step = min(WARMUP_STEPS, steps_left // 2)
    last_step, steps_done, profiler = min(first_step + TRACE_STEPS, steps_left), 0, None

    def start_profiler() -> profile:
        activities = {ProfilerActivity.CPU, ProfilerActivity.CUDA}
        new_profiler = profile(activities=activities & torch.profiler.supported_activities())
        new_profiler.start()
        return new_profiler

    def record_step() -> Iterator[ProfileWritten]:
        nonlocal steps_done, profiler
        steps_done += 1
        if steps_done == last_step and profiler:
            profiler.stop()
            trace, profiler = profiler, None
            try:
                trace.export_chrome_trace(str(path))
                if not path.exists() or not path.read_bytes().endswith((b"}", b"}\n")):
                    raise OSError("it is not whole")  # the profiler itself raises nothing
            except (OSError, RuntimeError) as error:
                raise Error(
                    f"{path} cannot be written ({error}); the run is as it was saved last: free "
                    f"some disk space, then latentia resume {join_command([path.parent])}."
                ) from None
            n_steps = last_step - first_step
            yield ProfileWritten(str(path), n_steps, sum_parts(trace.events() or (), n_steps))
        elif steps_done == first_step:
            profiler = start_profiler()

    try:
        if steps_left and not first_step:  # one step
            profiler = start_profiler()
        yield record_step
    finally:
        if profiler:  # the run was stopped inside the window
            profiler.stop()


def sum_parts(events: Iterable[Any], steps: int) -> dict[str, float]:
    """Mean milliseconds per step of each part, without the parts inside it; `step` is the rest."""
    sums = Counter(dict.fromkeys((*PART_SPANS, STEP_SPAN), 0.0))
    for event in events:
        if event.name not in sums or event.device_type != DeviceType.CPU:
            continue
        sums[event.name] += event.cpu_time_total
        parent = event.cpu_parent
        while parent and parent.name not in sums:
            parent = parent.cpu_parent
        if parent:
            sums[parent.name] -= event.cpu_time_total
    return {name: value / 1000 / steps for name, value in sums.items()}
