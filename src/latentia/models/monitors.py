"""Figures that a model shows of itself while it learns; what they mean is the doctor's matter."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WINDOW_STEPS = 50  # steps over which a gauge is a running mean


class Monitors(nn.Module):
    """Running means by name; a buffer, so that a resumed run goes on with them."""

    mean: Tensor
    count: Tensor

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.names = tuple(names)
        self.register_buffer("mean", torch.zeros(len(names), dtype=torch.float64))
        self.register_buffer("count", torch.zeros(len(names), dtype=torch.int64))

    @torch.no_grad()
    def record(self, **values: Tensor) -> None:
        """One step's values; underscores in names stand for spaces."""
        indices = [self.names.index(name.replace("_", " ")) for name in values]
        current = torch.stack([value.detach().to(self.mean) for value in values.values()])
        self.count[indices] += 1
        weight = 1 / self.count[indices].clamp(max=WINDOW_STEPS)  # at first, a plain mean
        self.mean[indices] = self.mean[indices].lerp(current, weight.to(self.mean))

    def read_means(self) -> dict[str, Tensor]:
        """Of those noted so far."""
        return {name: self.mean[k] for k, name in enumerate(self.names) if self.count[k]}


def fraction_true(mask: Tensor) -> Tensor:
    return mask.double().mean()


def rms_std(images: Tensor) -> Tensor:
    """Root mean square, over pixels, of the standard deviation over the images of a batch."""
    return images.detach().double().var(0, correction=0).mean().sqrt()
