"""Ctrl-C and SIGTERM: save the state, then stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from latentia.core import distributed


@contextmanager
def catch_stop_signals() -> Iterator[threading.Event]:
    """Set the event at SIGTERM and at the first Ctrl-C; a second Ctrl-C interrupts.

    With several processes no signal interrupts, since each comes twice: once through torchrun.
    """
    stop_event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop_event
        return

    def request_stop(signal_number: int, _: object) -> None:
        if stop_event.is_set() and signal_number == signal.SIGINT and distributed.world_size() == 1:
            raise KeyboardInterrupt
        stop_event.set()

    # on Windows another program can send Ctrl-Break only
    numbers = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)}
    previous_handlers = {number: signal.signal(number, request_stop) for number in numbers}
    try:
        yield stop_event
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
