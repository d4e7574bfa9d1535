"""Ctrl-C and SIGTERM: save first, then stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from latentia.core import distributed


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """SIGTERM and the first Ctrl-C set the event, so that the loop saves; the next interrupts.

    Of several processes none is interrupted: each signal comes twice, once through torchrun.
    """
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(number: int, _: object) -> None:
        if stopped.is_set() and number == signal.SIGINT and distributed.size() == 1:
            raise KeyboardInterrupt
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
