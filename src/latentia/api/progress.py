"""Progress of a training: a bar on a terminal and in a notebook, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from latentia.core import distributed
from latentia.core.progress import open_live_console
from latentia.core.spans import STEP_SPAN
from latentia.core.text import pluralize
from latentia.diagnostics.check import format_finding
from latentia.runs.folder import RunFolder
from latentia.runs.images import describe_images
from latentia.training.events import (
    EndReason,
    Event,
    Finding,
    ProfileWritten,
    StepLogged,
    TrainingFinished,
    ValidationFinished,
)

INTERVAL = 5.0  # seconds from one line of a kind to the next


def show_events(run: RunFolder, events: Iterator[Event], file: Any) -> TrainingFinished:
    """Show the events of a training on rank 0, and the path of its report; return the end.

    The bar is on stderr; file: where lines are written, if there is no bar, and the path.
    """
    if distributed.rank():
        *_, end = (event for event in events if isinstance(event, TrainingFinished))
        return end
    console = open_live_console()
    for line in [describe_images(run.metadata["images"]), *run.metadata.get("notes", [])]:
        print(line, file=sys.stderr)
    end = _render_bar(console, run, events) if console else _render_lines(events, file)
    if end.reason == EndReason.COMPLETE:
        print(run.path / "report.html", file=file)
    return end


def _render_bar(console: Console, run: RunFolder, events: Iterator[Event]) -> TrainingFinished:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[text]}"),
    )
    pace = Pace()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(run.name, total=None, text="starting")

        def show_step(event: StepLogged) -> None:
            text = f"{pace.per_second(event):,.0f} images/s  {_format_terms(event)}"
            progress.update(task, completed=event.step, total=event.total, text=text)

        # long commands must stay whole, and [...] in a name is no markup
        write = partial(progress.console.print, soft_wrap=True, markup=False, highlight=False)
        return _render_events(events, show_step, write)


def _render_lines(events: Iterator[Event], file: Any) -> TrainingFinished:
    pace, throttle, write = Pace(), Throttle(), partial(print, file=file, flush=True)

    def show_step(event: StepLogged) -> None:
        rate = pace.per_second(event)
        if throttle.allows():
            left = (event.total - event.step) * event.images / event.step / rate if rate else 0
            speed = f"{rate:,.0f} images/s  {left:,.0f} s left  " if rate else ""
            write(f"step {event.step:,}/{event.total:,}  {speed}{_format_terms(event)}")

    return _render_events(events, show_step, write)


def _render_events(
    events: Iterator[Event], show_step: Callable[[StepLogged], None], write: Callable[[str], None]
) -> TrainingFinished:
    """Write findings at once, validations at intervals; return the end of the training.

    A repeated finding is written if it has changed. The last validation before a finding or the
    end is always written.
    """
    throttle, pending, end = Throttle(), None, None
    findings: dict[str, Finding] = {}
    for event in events:
        if pending and isinstance(event, Finding | TrainingFinished):
            write(_format_validation(pending))
            pending = None
        if isinstance(event, StepLogged):
            show_step(event)
        elif isinstance(event, Finding):
            previous, findings[event.kind] = findings.get(event.kind), event
            if previous is None or previous.suggested_commands != event.suggested_commands:
                write(format_finding(event))
            elif previous.text != event.text:  # the same problem with new numbers
                write(format_finding(event._replace(consequence="", suggested_commands=())))
        elif isinstance(event, ProfileWritten):
            write(format_profile(event))
        elif isinstance(event, ValidationFinished):
            pending = event
            if throttle.allows():
                write(_format_validation(event))
                pending = None
        elif isinstance(event, TrainingFinished):
            end = event
    assert end is not None  # every training yields one
    return end


def format_profile(event: ProfileWritten) -> str:
    """Return a line for each part of a step."""
    parts = dict(event.milliseconds)
    total, rest = sum(parts.values()), parts.pop(STEP_SPAN)
    lines = [f"  {k:<10}{v:9.2f} ms {v / total:6.1%}" for k, v in parts.items()]
    head = f"A step took {total:.2f} ms (mean of {event.steps}; {rest:.2f} ms in none of these):"
    return "\n".join([head, *lines, event.path])


class Throttle:
    """A limit of one line in INTERVAL seconds."""

    def __init__(self) -> None:
        self.last = -INTERVAL

    def allows(self) -> bool:
        if time.monotonic() - self.last < INTERVAL:
            return False
        self.last = time.monotonic()
        return True


class Pace:
    """Images per second since the first event."""

    def __init__(self) -> None:
        self.start, self.images = time.monotonic(), None

    def per_second(self, event: StepLogged) -> float:
        if self.images is None:
            self.start, self.images = time.monotonic(), event.images
        return (event.images - self.images) / max(time.monotonic() - self.start, 1e-9)


def _format_terms(event: StepLogged) -> str:
    terms = {k: v for player in event.players.values() for k, v in player["terms"].items()}
    return "  ".join(f"{name} {value:,.2f}" for name, value in terms.items()) + " nats"


def _format_validation(event: ValidationFinished) -> str:
    digits = {"mse": 4}
    values = "  ".join(f"{k} {v:,.{digits.get(k, 2)}f}" for k, v in event.values.items())
    best = "  best so far" if event.is_best else ""
    beta = ", beta 1" if "nelbo" in event.values else ""
    return f"epoch {event.epoch}  validation ({pluralize(event.n, 'image')}{beta}): {values}{best}"
