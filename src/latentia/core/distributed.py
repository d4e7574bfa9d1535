"""Several processes that train one model: who this one is, and what all of them must agree on.

Alone, every function here returns what it was given, and nothing is sent.
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
    """Another process is gone, so no agreement can be reached."""

    exit_code, local_only = 1, True


_is_local_only = ContextVar("is_local_only", default=False)


def world_size() -> int:
    is_distributed = dist.is_available() and dist.is_initialized() and not _is_local_only.get()
    return dist.get_world_size() if is_distributed else 1


@contextmanager
def local_only() -> Iterator[None]:
    """Within, this process waits for no other: what it does, it does as if it were the only one."""
    token = _is_local_only.set(True)
    try:
        yield
    finally:
        _is_local_only.reset(token)


def rank() -> int:
    """0 for the process that writes and speaks."""
    return dist.get_rank() if world_size() > 1 else 0


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """The sum over processes."""
    if world_size() > 1:
        tensor = tensor.clone()
        _run_collective(dist.all_reduce, tensor)
    return tensor


@torch.no_grad()
def all_reduce_mean(tensors: Iterable[Tensor]) -> None:
    """Each becomes its mean over processes, the same bits on all; in one message."""
    tensors = [tensor.detach() for tensor in tensors] if world_size() > 1 else []
    if not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])  # in the widest of their types
    _run_collective(dist.all_reduce, flat)
    flat /= world_size()
    for tensor, values in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(values.view(tensor.shape))  # into the tensor's own strides


def all_gather_objects(item: T) -> list[T]:
    """Everybody's, by rank: anything that can be pickled."""
    if world_size() == 1:
        return [item]
    items: list[Any] = [None] * world_size()
    _run_collective(dist.all_gather_object, items, item)
    return items


def map_round_robin(count: int, make: Callable[[int], T]) -> Iterator[T]:
    """make(0), make(1), ..., make(n - 1), in this order and on all; each is made by one alone."""
    for start in range(0, count, world_size()):
        index = start + rank()
        yield from all_gather_objects(make(index) if index < count else None)[: count - start]  # pyright: ignore


def any_rank(flag: bool) -> bool:
    """Whether it is set in any process."""
    return any(all_gather_objects(flag)) if world_size() > 1 else flag


def barrier() -> None:
    """Until all are here."""
    if world_size() > 1:
        _run_collective(dist.barrier)


def _run_collective(collective: Any, *arguments: Any) -> None:
    try:
        with record_span("waiting"):
            collective(*arguments)
    except RuntimeError as error:
        raise ProcessLost(
            f"Process {rank()} of {world_size()} stops: another one is gone. What was saved is in the "
            "run folder; start latentia resume in the same way to go on."
        ) from error
