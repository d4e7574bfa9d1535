"""Progress and remaining time of long work: a bar on a terminal, a line in a notebook, lines."""

import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from latentia.core import distributed

INITIAL_DELAY = 2.0  # seconds before the first output of a reading
MIN_MEASURED = 1.0  # seconds of a reading from which its speed is known: threads end in bursts
LINE_INTERVAL = 5.0  # seconds between plain lines of a kind
REDRAW_INTERVAL = 0.2  # seconds between two states of a line that is redrawn
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


def format_remaining_time(seconds: float) -> str:
    """Describe a time in the unit in which a person would: "about 4 min left"."""
    if seconds < 90:
        text = f"{seconds:.0f} s"
    elif seconds < 90 * 60:
        text = f"{seconds / 60:.0f} min"
    elif seconds < 36 * 3600:
        hours, minutes = divmod(round(seconds / 60), 60)
        text = f"{hours} h {minutes} min"
    else:
        text = f"{seconds / 86400:.1f} days"
    return f"about {text} left"


class Display:
    """Progress of one task in plain lines, with the remaining time and images per second.

    The speed is that since the first measurement: a slow first step does not count. The first
    estimate is shown at once; a reading, which has a delay, measures for a second beforehand.
    delay: seconds before the first output. file: of the lines.
    """

    interval = LINE_INTERVAL

    def __init__(self, description: str, delay: float = 0.0, file: Any = None):
        self.description, self.file = description, file or sys.stderr
        self.quiet_until, self.last_time = time.monotonic() + delay, -math.inf
        self.min_measured = MIN_MEASURED if delay else 0.0
        self.start: tuple[float, float] | None = None  # time and count of the first measurement
        self.has_estimate = False

    def update(self, count: int, total: int, text: str = "", images: int = 1) -> None:
        """Show that `count` of `total` are done; images: number of images in each of them."""
        now = time.monotonic()
        start_time, start_count = self.start = self.start or (now, count)
        elapsed = max(now - start_time, 1e-9)
        speed = (count - start_count) / elapsed if elapsed >= self.min_measured else 0.0
        is_new = count == total or (speed > 0 and not self.has_estimate)
        if now < self.quiet_until or not (is_new or now - self.last_time >= self.interval):
            return
        self.last_time, self.has_estimate, parts = now, speed > 0, [text]
        if speed:
            rate = speed * images
            parts = [f"{rate:,.{0 if rate >= 10 else 1}f} images/s", text]
        if speed and count < total:
            parts = [format_remaining_time((total - count) / speed), *parts]
        self.draw(count, total, "  ".join(parts).rstrip())

    def draw(self, count: int, total: int, text: str) -> None:
        self.show_line(f"{self.description} {count:,}/{total:,}  {text}".rstrip())

    def write(self, text: str) -> None:
        """Write a text that stays."""
        print(text, file=self.file, flush=True)

    show_line = show_result = write  # texts that the next of their kind may replace

    def close(self) -> None:
        """Draw no more."""


class NotebookLine(Display):
    """Two lines of a notebook, progress and last result, that are rewritten in place."""

    interval = REDRAW_INTERVAL
    handle: Any = None
    line = result = ""

    def show_line(self, text: str) -> None:
        self.redraw(text, self.result)

    def show_result(self, text: str) -> None:
        self.redraw(self.line, text)

    def redraw(self, line: str, result: str) -> None:
        from IPython.display import display  # pyright: ignore

        self.line, self.result = line, result
        content = {"text/plain": f"{line}\n{result}".strip()}
        if self.handle:
            self.handle.update(content, raw=True)
        else:
            self.handle = display(content, raw=True, display_id=True)


class TerminalBar(Display):
    """A bar of rich, below the texts that stay; a delayed one leaves no trace."""

    interval = REDRAW_INTERVAL

    def __init__(self, description: str, console: Any, delay: float = 0.0):
        from rich.progress import BarColumn, Progress, TextColumn

        super().__init__(description, delay)
        fields = "{task.description}", "{task.completed}/{task.total}", "{task.fields[text]}"
        name, count, text = (TextColumn(field, markup=False) for field in fields)
        self.bar = Progress(name, BarColumn(), count, text, console=console, transient=delay > 0)
        self.task = self.bar.add_task(description, total=None, text="")
        if not delay:
            self.bar.start()

    def draw(self, count: int, total: int, text: str) -> None:
        self.bar.start()
        self.bar.update(self.task, completed=count, total=total, text=text)

    def write(self, text: str) -> None:
        # long commands must stay whole, and [...] in a name is no markup
        self.bar.console.print(text, soft_wrap=True, markup=False, highlight=False)

    show_result = write

    def close(self) -> None:
        self.bar.stop()


@contextmanager
def open_display(description: str, delay: float = 0.0, file: Any = None) -> Iterator[Display]:
    """Open the display that a notebook or stderr allows; file: of plain lines, else stderr."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_jupyter:
        display = NotebookLine(description, delay)
    elif console.is_terminal:
        display = TerminalBar(description, console, delay)
    else:
        display = Display(description, delay, file)
    try:
        yield display
    finally:
        display.close()


def show_progress(counts: Iterable[int], total: int, description: str) -> Iterator[int]:
    """Pass on the counts, and show their sum as progress towards `total`."""
    if distributed.rank() or not _is_enabled.get():  # only process 0 prints
        yield from counts
        return
    count = 0
    with open_display(description, INITIAL_DELAY) as display:
        for increment in counts:
            yield increment
            count += increment
            display.update(count, total)
