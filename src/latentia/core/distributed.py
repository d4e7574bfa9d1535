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
from latentia.core.spans import span

T = TypeVar("T")


class Lost(Error):
    """Another process is gone, so no agreement can be reached."""

    code, alone = 1, True


_apart = ContextVar("apart", default=False)


def size() -> int:
    together = dist.is_available() and dist.is_initialized() and not _apart.get()
    return dist.get_world_size() if together else 1


@contextmanager
def alone() -> Iterator[None]:
    """Within, this process waits for no other: what it does, it does as if it were the only one."""
    before = _apart.set(True)
    try:
        yield
    finally:
        _apart.reset(before)


def rank() -> int:
    """0 for the process that writes and speaks."""
    return dist.get_rank() if size() > 1 else 0


def total(x: Tensor) -> Tensor:
    """The sum over processes."""
    if size() > 1:
        x = x.clone()
        _ask(dist.all_reduce, x)
    return x


@torch.no_grad()
def average(tensors: Iterable[Tensor]) -> None:
    """Each becomes its mean over processes, the same bits on all; in one message."""
    tensors = [tensor.detach() for tensor in tensors] if size() > 1 else []
    if not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])  # in the widest of their types
    _ask(dist.all_reduce, flat)
    flat /= size()
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view(tensor.shape))  # into the tensor's own strides


def gathered(own: T) -> list[T]:
    """Everybody's, by rank: anything that can be pickled."""
    if size() == 1:
        return [own]
    found: list[Any] = [None] * size()
    _ask(dist.all_gather_object, found, own)
    return found


def in_turn(n: int, make: Callable[[int], T]) -> Iterator[T]:
    """make(0), make(1), ..., make(n - 1), in this order and on all; each is made by one alone."""
    for first in range(0, n, size()):
        at = first + rank()
        yield from gathered(make(at) if at < n else None)[: n - first]  # pyright: ignore


def agreed(flag: bool) -> bool:
    """Whether it is set in any process."""
    return any(gathered(flag)) if size() > 1 else flag


def wait() -> None:
    """Until all are here."""
    if size() > 1:
        _ask(dist.barrier)


def _ask(collective: Any, *arguments: Any) -> None:
    try:
        with span("waiting"):
            collective(*arguments)
    except RuntimeError as problem:
        raise Lost(
            f"Process {rank()} of {size()} stops: another one is gone. What was saved is in the "
            "run folder; start latentia resume in the same way to go on."
        ) from problem
