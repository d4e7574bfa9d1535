"""Monitors: scalars of a model in training, which the diagnostics interpret."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentia.core.tensors import to_float64

WINDOW_STEPS = 50  # steps over which a monitor is a running mean


class Monitors(nn.Module):
    """Running means by name, in buffers, so that a resumed run continues them."""

    mean: Tensor
    count: Tensor

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.names = tuple(names)
        self.register_buffer("mean", torch.zeros(len(names), dtype=torch.float64))
        self.register_buffer("count", torch.zeros(len(names), dtype=torch.int64))

    @torch.no_grad()
    def record(self, **values: Tensor) -> None:
        """Record one step's values; underscores in keywords stand for spaces in names."""
        for name, value in values.items():  # by number: a list of numbers would go to the device
            k = self.names.index(name.replace("_", " "))
            self.count[k] += 1
            weight = 1 / self.count[k].clamp(max=WINDOW_STEPS)  # a plain mean at first
            self.mean[k] = self.mean[k].lerp(value.detach().to(self.mean), weight.to(self.mean))

    def read_means(self) -> dict[str, Tensor]:
        """Return the running means of all names with a recorded value."""
        return {name: self.mean[k] for k, name in enumerate(self.names) if self.count[k]}


def fraction_true(mask: Tensor) -> Tensor:
    return to_float64(mask).mean()


def rms_std(images: Tensor) -> Tensor:
    """Root mean square, over pixels, of the standard deviation over the images of a batch."""
    return to_float64(images.detach()).var(0, correction=0).mean().sqrt()
