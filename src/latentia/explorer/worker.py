"""One thread for every call of a model, so that many clients do not compete for the same cores."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from latentia.core.contract import HasLatents
from latentia.core.posterior import Posterior


class Worker:
    """A queue of calls, which one thread runs in order, without gradients."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "model", torch.set_grad_enabled, (False,))

    async def run_async(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function and return its result, for the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    def run_blocking(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function and return its result, for a thread outside the event loop."""
        return self.pool.submit(function, *arguments).result()


class QueuedModel:
    """A model whose calls wait in a worker's queue, so that others run between two batches."""

    def __init__(self, model: HasLatents, worker: Worker):
        self.model, self.worker = model, worker

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.model.latent_shape

    def encode(self, images: Tensor) -> Posterior:
        return self.worker.run_blocking(self.model.encode, images)

    def decode(self, z: Tensor) -> Tensor:
        return self.worker.run_blocking(self.model.decode, z)

    def distortion(self, z: Tensor, images: Tensor) -> Tensor:
        return self.worker.run_blocking(self.model.distortion, z, images)

    def score_latents(self, z: Tensor, images: Tensor) -> dict[str, Tensor]:
        return self.worker.run_blocking(self.model.score_latents, z, images)
