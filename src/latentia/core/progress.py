"""How far a long reading has come: a bar on a terminal, plain lines elsewhere, silence if short."""

import sys
import time
from collections.abc import Iterable, Iterator

from latentia.core import distributed

PATIENCE = 2.0  # seconds before anything is said
PAUSE = 10.0  # seconds between plain lines


def watched(done: Iterable[int], total: int, what: str) -> Iterator[int]:
    """Passes on the counts of `done` and shows their sum against `total`."""
    if distributed.rank():  # the first process speaks
        yield from done
        return
    began, count, said, bar = time.monotonic(), 0, 0.0, None
    try:
        for part in done:
            yield part
            count += part
            now = time.monotonic()
            if now - began < PATIENCE:
                continue
            if sys.stderr.isatty():
                if bar is None:
                    from rich.console import Console
                    from rich.progress import Progress

                    bar = Progress(console=Console(stderr=True), transient=True)
                    bar.start()
                    bar.add_task(what, total=total)
                bar.update(bar.task_ids[0], completed=count)
            elif now - said >= PAUSE:
                said = now
                print(f"{what}: {count:,} of {total:,}", file=sys.stderr, flush=True)
    finally:
        if bar is not None:
            bar.stop()
