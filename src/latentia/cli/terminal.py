"""Progress of a training on the terminal: a bar where there is one, plain lines elsewhere."""

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from latentia.cli.tables import format_finding
from latentia.core import distributed
from latentia.core.plugins import list_plugin_words
from latentia.core.spans import STEP_SPAN
from latentia.core.text import pluralize
from latentia.diagnostics.run_context import RunContext
from latentia.diagnostics.suggested_commands import train_longer
from latentia.runs.folder import RunFolder
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
EXIT_CODES = {EndReason.COMPLETE: 0, EndReason.STOPPED: 130, EndReason.NON_FINITE: 1}


def show_training(run: RunFolder, events: Iterator[Event]) -> int:
    """Print the events of a training and the path of its report; return the exit code."""
    if distributed.rank():  # the first process prints for all
        *_, end = (event for event in events if isinstance(event, TrainingFinished))
        return EXIT_CODES[end.reason]
    console = Console(stderr=True)
    for line in [_describe_images(run), *run.metadata.get("notes", [])]:
        print(line, file=sys.stderr)
    try:
        end = _render_bar(console, run, events) if console.is_terminal else _render_lines(events)
    except KeyboardInterrupt:
        print(f"Interrupted; the last save is in {run.path}.")
        _print_resume(run)
        return 130
    if end.reason == EndReason.COMPLETE:
        print(run.path / "report.html")
    if end.reason == EndReason.STOPPED:
        print(f"Stopped at step {end.step:,} of {end.total:,}; saved in {run.path}.")
        _print_resume(run)
    return EXIT_CODES[end.reason]


def _print_resume(run: RunFolder) -> None:
    print(shlex.join(["latentia", "resume", str(run.path), *list_plugin_words()]))


def print_completion(run: RunFolder) -> None:
    """Print that a run is complete, if it is, and the command that trains longer."""
    context = RunContext(run)
    if not context.complete:
        return
    print(f"{run.name} is finished: step {context.step:,} of {context.total_steps:,}.")
    if command := train_longer(context, 0, min_factor=2):
        print("Its schedules end there, so a longer run is a new one, for instance twice as long:")
        print(*command, sep="\n")


def _describe_images(run: RunFolder) -> str:
    spec = run.metadata["images"]
    c, h, w = spec["shape"]
    counts = ", ".join(f"{n:,} {split}" for split, n in spec["count"].items())
    kind = {1: "grey", 3: "colour"}.get(c, f"{c} channels")
    return f"{spec['source']}: {counts}; {h}x{w} {kind}"


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


def _render_lines(events: Iterator[Event]) -> TrainingFinished:
    pace, throttle, write = Pace(), Throttle(), partial(print, flush=True)

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
