"""How far a long reading has come: a bar on a terminal, plain lines elsewhere, silence if short."""

import sys
import time
from collections.abc import Iterable, Iterator

from latentia.core import distributed

INITIAL_DELAY = 2.0  # seconds before anything is said
LINE_INTERVAL = 10.0  # seconds between plain lines


def show_progress(counts: Iterable[int], total: int, description: str) -> Iterator[int]:
    """Passes on the counts of `done` and shows their sum against `total`."""
    if distributed.rank():  # the first process speaks
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
