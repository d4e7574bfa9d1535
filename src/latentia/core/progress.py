"""Progress of long readings: a bar where it can be redrawn, lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TYPE_CHECKING

from latentia.core import distributed

if TYPE_CHECKING:
    from rich.console import Console

INITIAL_DELAY = 2.0  # seconds before the first output
LINE_INTERVAL = 10.0  # seconds between plain lines
_is_enabled: ContextVar[bool] = ContextVar("_is_enabled", default=True)


@contextmanager
def enable_progress(is_enabled: bool) -> Iterator[None]:
    """Show progress in this block, or hide it."""
    token = _is_enabled.set(is_enabled)
    try:
        yield
    finally:
        _is_enabled.reset(token)


def print_note(text: str) -> None:
    """Print a note on stderr, unless it is empty or this block hides progress."""
    if text and _is_enabled.get() and not distributed.rank():
        print(text, file=sys.stderr)


def open_live_console() -> "Console | None":
    """Return a console on stderr that can redraw a bar: a terminal, or a notebook with widgets."""
    from rich.console import Console

    console = Console(stderr=True)
    has_widgets = console.is_jupyter and find_spec("ipywidgets") is not None
    return console if console.is_terminal or has_widgets else None


def show_progress(counts: Iterable[int], total: int, description: str) -> Iterator[int]:
    """Pass on the counts, and show their sum as progress towards `total`."""
    if distributed.rank() or not _is_enabled.get():  # only process 0 prints
        yield from counts
        return
    start_time, count, last_line_time, bar = time.monotonic(), 0, None, None
    try:
        for increment in counts:
            yield increment
            count += increment
            current_time = time.monotonic()
            if current_time - start_time < INITIAL_DELAY:
                continue
            if bar is None and last_line_time is None and (console := open_live_console()):
                from rich.progress import Progress

                bar = Progress(console=console, transient=True)
                bar.start()
                bar.add_task(description, total=total)
            if bar is not None:
                bar.update(bar.task_ids[0], completed=count)
            elif last_line_time is None or current_time - last_line_time >= LINE_INTERVAL:
                print(f"{description}: {count:,} of {total:,}", file=sys.stderr, flush=True)
                last_line_time = current_time
    finally:
        if bar is not None:
            bar.stop()
