"""Named spans of a step, for a profile; where none is taken they are empty contexts."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.autograd import profiler

STEP, PARTS = "step", ("data", "forward", "backward", "optimizer", "waiting")
_off = nullcontext()


def span(name: str) -> AbstractContextManager[Any]:
    # not `record_function` alone: it calls the dispatcher though nobody listens
    return profiler.record_function(name) if profiler._is_profiler_enabled else _off
