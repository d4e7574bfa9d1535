"""One thread for every call of a model, so that many clients do not compete for the same cores."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from copy import copy
from functools import partial
from typing import Any

import torch
from starlette.exceptions import HTTPException

from latentia.core.contract import HasLatents
from latentia.nets.column_condition import get_condition

MAX_QUEUE, MAX_WAIT = 8, 1.0  # calls that may wait for long; seconds that the others may


class Worker:
    """A queue of calls, which one thread runs in order, without gradients."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "model", torch.set_grad_enabled, (False,))
        self.waiting = 0

    async def run_async(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function and return its result, for the event loop.

        Raises: HTTPException if many calls wait and it has not begun after MAX_WAIT seconds
        """
        call = self.pool.submit(function, *arguments)
        result = asyncio.wrap_future(call)
        self.waiting += 1
        await asyncio.wait([result], timeout=MAX_WAIT if self.waiting > MAX_QUEUE else None)
        self.waiting -= 1
        if not result.done() and call.cancel():
            text = "The explorer is busy with the requests of others; try again in a moment."
            raise HTTPException(503, text)
        return await result

    def run_blocking(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function and return its result, for a thread outside the event loop."""
        return self.pool.submit(function, *arguments).result()


class QueuedModel:
    """A model whose calls wait in a worker's queue, so that others run between two batches.

    prepare: called before each call of the model, in the worker's thread
    """

    def __init__(self, model: HasLatents, worker: Worker, prepare: Callable[[], None]):
        self.model, self.worker, self.prepare = model, worker, prepare
        # of this thread: the labels that the model uses may be those of another call
        self.condition = copy(get_condition(model))

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the model; a method waits in the queue when it is called."""
        value = getattr(self.model, name)
        return partial(self._call, value) if callable(value) else value

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        def run() -> Any:
            self.prepare()
            own, used = self.condition, get_condition(self.model)
            with used.use(own.rows, own.target) if used and own else nullcontext():
                return function(*arguments)

        return self.worker.run_blocking(run)
