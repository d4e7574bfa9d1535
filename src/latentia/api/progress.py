"""Progress of a training: findings and validations beside the remaining time."""

import math
import sys
import time
from collections.abc import Container, Iterator
from typing import Any

from latentia.core import distributed
from latentia.core.progress import LINE_INTERVAL, Display, open_display
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
    StepTaken,
    TrainingFinished,
    ValidationFinished,
)

SHARPENER = "critic", "refiner"  # players that sharpen samples, beside the model


def show_events(
    run: RunFolder, events: Iterator[Event], file: Any, printed_lines: Container[str] = ()
) -> TrainingFinished:
    """Show the events of a training on rank 0, and the path of its report; return the end.

    The bar is on stderr; file: where lines are written, if there is no bar, and the path.
    printed_lines: lines on the images that were shown before.
    """
    if distributed.rank():
        *_, end = (event for event in events if isinstance(event, TrainingFinished))
        return end
    for line in [describe_images(run.metadata["images"]), *run.metadata.get("notes", [])]:
        if line not in printed_lines:
            print(line, file=sys.stderr)
    with open_display(f"{run.name}: step", file=file) as display:
        end = render_events(display, events)
    if end.reason == EndReason.COMPLETE:
        print(run.path / "report.html", file=file)
    return end


def render_events(display: Display, events: Iterator[Event]) -> TrainingFinished:
    """Show findings at once, validations at intervals; return the end of the training.

    A repeated finding is written if it has changed. The last validation before a finding or the
    end is always shown.
    """
    last_time, pending, terms, end = -math.inf, None, "", None
    findings: dict[str, Finding] = {}
    for event in events:
        if pending and isinstance(event, Finding | TrainingFinished):
            display.show_result(_format_validation(pending))
            pending = None
        if isinstance(event, StepTaken):
            display.update(event.step, event.total, terms, event.images)
        elif isinstance(event, StepLogged):
            terms = _format_terms(event)
            display.update(event.step, event.total, terms, event.images // event.step)
        elif isinstance(event, Finding):
            previous, findings[event.kind] = findings.get(event.kind), event
            if previous is None or previous.suggested_commands != event.suggested_commands:
                display.write(format_finding(event))
            elif previous.text != event.text:  # the same problem with new numbers
                text = format_finding(event._replace(consequence="", suggested_commands=()))
                display.write(text)
        elif isinstance(event, ProfileWritten):
            display.write(format_profile(event))
        elif isinstance(event, ValidationFinished):
            pending = event
            if time.monotonic() - last_time >= LINE_INTERVAL:
                display.show_result(_format_validation(event))
                last_time, pending = time.monotonic(), None
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


def _format_terms(event: StepLogged) -> str:
    players = event.players.items()
    if "refiner" in event.players:  # its words and its critic's are those of the report
        players = [(name, player) for name, player in players if name not in SHARPENER]
    terms = {k: v for _, player in players for k, v in player["terms"].items()}
    return "  ".join(f"{name} {value:,.2f}" for name, value in terms.items()) + " nats"


def _format_validation(event: ValidationFinished) -> str:
    digits = {"mse_draws": 4}
    values = "  ".join(f"{k} {v:,.{digits.get(k, 2)}f}" for k, v in event.values.items())
    best = "  best so far" if event.is_best else ""
    beta = ", beta 1" if "nelbo" in event.values else ""
    return f"epoch {event.epoch}  validation ({pluralize(event.n, 'image')}{beta}): {values}{best}"
