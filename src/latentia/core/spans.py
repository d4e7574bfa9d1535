"""Named spans of a training step, for the profiler."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.autograd import profiler

STEP_SPAN, PART_SPANS = "step", ("data", "forward", "backward", "optimizer", "waiting")
_no_span = nullcontext()


def record_span(name: str) -> AbstractContextManager[Any]:
    """Record the block as a span of the profiler's trace, if a profiler is active."""
    # `record_function` calls the dispatcher even without a profiler
    return profiler.record_function(name) if profiler._is_profiler_enabled else _no_span
