"""One thread for every call of a model: many clients must not fight for the same cores."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from latentia.core.contract import HasLatents
from latentia.core.gaussian import DiagonalGaussian


class Worker:
    """Calls, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "model", torch.set_grad_enabled, (False,))

    async def run_async(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    def run_blocking(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """As `do`, for a thread of one's own."""
        return self.pool.submit(function, *arguments).result()


class QueuedModel:
    """A model whose calls queue among the others': one batch at a time, so that none waits long."""

    def __init__(self, model: HasLatents, worker: Worker):
        self.model, self.worker = model, worker

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.model.latent_shape

    def encode(self, images: Tensor) -> DiagonalGaussian:
        return self.worker.run_blocking(self.model.encode, images)

    def decode(self, z: Tensor) -> Tensor:
        return self.worker.run_blocking(self.model.decode, z)

    def distortion(self, z: Tensor, images: Tensor) -> Tensor:
        return self.worker.run_blocking(self.model.distortion, z, images)
