"""Named spans of a step, for a profile; where none is taken they are empty contexts."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.autograd import profiler

STEP_SPAN, PART_SPANS = "step", ("data", "forward", "backward", "optimizer", "waiting")
_no_span = nullcontext()


def record_span(name: str) -> AbstractContextManager[Any]:
    # not `record_function` alone: it calls the dispatcher though nobody listens
    return profiler.record_function(name) if profiler._is_profiler_enabled else _no_span
