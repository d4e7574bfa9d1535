"""A training at the command line: its events, what to do next, and the exit code."""

import sys
from collections.abc import Container, Iterator

from latentia.api.progress import show_events
from latentia.core import distributed
from latentia.diagnostics.command_text import format_command
from latentia.diagnostics.run_context import RunContext
from latentia.runs.folder import RunFolder
from latentia.training.events import EndReason, Event

EXIT_CODES = {EndReason.COMPLETE: 0, EndReason.STOPPED: 130, EndReason.NON_FINITE: 1}


def show_training(
    run: RunFolder,
    events: Iterator[Event],
    printed_lines: Container[str] = (),
    is_stage: bool = False,
) -> int:
    """Print the events of a training and the path of its report; return the exit code.

    printed_lines: lines on the images that were shown before. is_stage: of `latentia fit`, which
    another command continues.
    """
    try:
        end = show_events(run, events, sys.stdout, printed_lines)
    except KeyboardInterrupt:
        if distributed.rank():  # the first process prints for all
            raise
        text = f"Interrupted; the last save is in {run.path}."
    else:
        if end.reason != EndReason.STOPPED or distributed.rank():
            return EXIT_CODES[end.reason]
        text = f"Stopped at step {end.step:,} of {end.total:,}; saved in {run.path}."
    print(text)
    if not is_stage:
        print(format_command("latentia", "resume", str(run.path)))
    return EXIT_CODES[EndReason.STOPPED]


def print_completion(run: RunFolder) -> None:
    """Print that a run is complete, if it is, and the command that extends it."""
    context = RunContext(run)
    if not context.complete:
        return
    print(f"{run.name} is finished: step {context.step:,} of {context.total_steps:,}.")
    if epochs := run.metadata["arguments"].get("epochs"):
        print("It can be extended, for instance to twice as many epochs:")
        print(format_command("latentia", "resume", str(run.path), "--epochs", str(2 * epochs)))
