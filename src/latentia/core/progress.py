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
    """Progress of one task in plain lines, with images per second and the remaining time.

    The speed is that since the first measurement: a slow first step does not count. The first
    estimate is shown at once.
    """

    interval = LINE_INTERVAL

    def __init__(self, description: str, file: Any = None, delay: float = 0.0):
        self.description, self.file = description, file or sys.stderr
        self.quiet_until = time.monotonic() + delay
        self.start: tuple[float, float] | None = None  # time and count of the first measurement
        self.last_time, self.has_estimate = -math.inf, False

    def update(self, count: int, total: int, text: str = "", images: int = 1) -> None:
        """Show that `count` of `total` are done; images: number of images in each of them."""
        current_time = time.monotonic()
        start_time, start_count = self.start = self.start or (current_time, count)
        speed = (count - start_count) / max(current_time - start_time, 1e-9)
        is_first_estimate = speed > 0 and not self.has_estimate
        is_due = current_time - self.last_time >= self.interval
        if current_time < self.quiet_until or not (is_first_estimate or is_due or count == total):
            return
        self.last_time, self.has_estimate = current_time, self.has_estimate or speed > 0
        parts = [text] if text else []
        if speed:
            rate = f"{speed * images:,.{0 if speed * images >= 10 else 1}f} images/s"
            left = [format_remaining_time((total - count) / speed)] if count < total else []
            parts = [*left, rate, *parts]
        self.draw(count, total, "  ".join(parts))

    def draw(self, count: int, total: int, text: str) -> None:
        self.write(f"{self.description} {count:,}/{total:,}  {text}".rstrip())

    def write(self, text: str) -> None:
        """Write a text that stays."""
        print(text, file=self.file, flush=True)

    def show_result(self, text: str) -> None:
        """Show a text that the next of its kind may replace."""
        self.write(text)

    def close(self) -> None:
        """Draw no more."""


class NotebookLine(Display):
    """Two lines of a notebook, progress and last result, that are rewritten in place."""

    interval = REDRAW_INTERVAL

    def __init__(self, description: str, file: Any = None, delay: float = 0.0):
        super().__init__(description, file, delay)
        self.line, self.result, self.handle = description, "", None

    def draw(self, count: int, total: int, text: str) -> None:
        self.line = f"{self.description} {count:,}/{total:,}  {text}".rstrip()
        self.redraw()

    def show_result(self, text: str) -> None:
        self.result = text
        self.redraw()

    def redraw(self) -> None:
        from IPython.display import display  # pyright: ignore

        content = {"text/plain": f"{self.line}\n{self.result}".rstrip()}
        if self.handle is None:
            self.handle: Any = display(content, raw=True, display_id=True)
        else:
            self.handle.update(content, raw=True)


class TerminalBar(Display):
    """A bar of rich, below the texts that stay."""

    interval = REDRAW_INTERVAL

    def __init__(self, description: str, console: Any, delay: float = 0.0):
        from rich.progress import BarColumn, Progress, TextColumn

        super().__init__(description, console.file, delay)
        fields = "{task.description}", "{task.completed}/{task.total}", "{task.fields[text]}"
        name, count, text = (TextColumn(field, markup=False) for field in fields)
        # a reading leaves no bar behind
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

    def close(self) -> None:
        self.bar.stop()


@contextmanager
def open_display(description: str, file: Any = None, delay: float = 0.0) -> Iterator[Display]:
    """Open the display that stderr or the notebook allows.

    file: of plain lines, stderr by default. delay: seconds before the first output.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_jupyter:
        display = NotebookLine(description, sys.stderr, delay)
    elif console.is_terminal:
        display = TerminalBar(description, console, delay)
    else:
        display = Display(description, file, delay)
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
    with open_display(description, delay=INITIAL_DELAY) as display:
        for increment in counts:
            yield increment
            count += increment
            display.update(count, total)
