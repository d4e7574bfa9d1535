"""Progress of long readings: a bar on a terminal, lines elsewhere, nothing for short ones."""

import sys
import time
from collections.abc import Iterable, Iterator

from latentia.core import distributed

INITIAL_DELAY = 2.0  # seconds before the first output
LINE_INTERVAL = 10.0  # seconds between plain lines


def show_progress(counts: Iterable[int], total: int, description: str) -> Iterator[int]:
    """Pass on the counts, and show their sum as progress towards `total`."""
    if distributed.rank():  # only process 0 prints
        yield from counts
        return
    start_time, count, last_line_time, bar = time.monotonic(), 0, 0.0, None
    try:
        for increment in counts:
            yield increment
            count += increment
            current_time = time.monotonic()
            if current_time - start_time < INITIAL_DELAY:
                continue
            if sys.stderr.isatty():
                if bar is None:
                    from rich.console import Console
                    from rich.progress import Progress

                    bar = Progress(console=Console(stderr=True), transient=True)
                    bar.start()
                    bar.add_task(description, total=total)
                bar.update(bar.task_ids[0], completed=count)
            elif current_time - last_line_time >= LINE_INTERVAL:
                last_line_time = current_time
                print(f"{description}: {count:,} of {total:,}", file=sys.stderr, flush=True)
    finally:
        if bar is not None:
            bar.stop()
