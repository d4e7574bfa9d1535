"""Collectives of the processes that train one model.

With a single process nothing is sent: the sum, the list or the flag is this process's own.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.spans import record_span

T = TypeVar("T")


class ProcessLost(Error):
    """A collective failed because another process ended."""

    exit_code, rank_local = 1, True


_is_local_only = ContextVar("is_local_only", default=False)


def world_size() -> int:
    is_distributed = dist.is_available() and dist.is_initialized() and not _is_local_only.get()
    return dist.get_world_size() if is_distributed else 1


@contextmanager
def local_only() -> Iterator[None]:
    """Disable collectives in the block: this process acts as if it were the only one."""
    token = _is_local_only.set(True)
    try:
        yield
    finally:
        _is_local_only.reset(token)


def rank() -> int:
    """Return this process's number; process 0 writes files and prints."""
    return dist.get_rank() if world_size() > 1 else 0


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over processes."""
    if world_size() > 1:
        tensor = tensor.clone()
        _run_collective(dist.all_reduce, tensor)
    return tensor


@torch.no_grad()
def all_reduce_mean(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over processes, in one message; same bits on all."""
    tensors = [tensor.detach() for tensor in tensors] if world_size() > 1 else []
    if not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])  # promoted to the widest type
    _run_collective(dist.all_reduce, flat)
    flat /= world_size()
    for tensor, values in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(values.view(tensor.shape))  # keeps the tensor's strides


def all_gather_objects(item: T) -> list[T]:
    """Return the items of all processes, by rank; an item must be picklable."""
    if world_size() == 1:
        return [item]
    items: list[Any] = [None] * world_size()
    _run_collective(dist.all_gather_object, items, item)
    return items


def map_round_robin(count: int, make: Callable[[int], T]) -> Iterator[T]:
    """Yield make(0), ..., make(count - 1) on every process; one process computes each."""
    for start in range(0, count, world_size()):
        index = start + rank()
        yield from all_gather_objects(make(index) if index < count else None)[: count - start]  # pyright: ignore


def any_rank(flag: bool) -> bool:
    """Return whether the flag is set in any process."""
    return any(all_gather_objects(flag)) if world_size() > 1 else flag


def barrier() -> None:
    """Wait until all processes arrive."""
    if world_size() > 1:
        _run_collective(dist.barrier)


def _run_collective(collective: Any, *arguments: Any) -> None:
    try:
        with record_span("waiting"):
            collective(*arguments)
    except RuntimeError as error:
        raise ProcessLost(
            f"Process {rank()} of {world_size()} stops because another process ended. The last "
            "checkpoint is in the run folder; to continue, start latentia resume in the same way."
        ) from error
