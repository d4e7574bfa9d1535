"""Figures that a model shows of itself while it learns, and what they mean when it ends."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MEMORY = 50  # steps over which a gauge is a running mean


class Gauges(nn.Module):
    """Running means by name; a buffer, so that a resumed run goes on with them."""

    mean: Tensor
    count: Tensor

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.names = tuple(names)
        self.register_buffer("mean", torch.zeros(len(names), dtype=torch.float64))
        self.register_buffer("count", torch.zeros(len(names), dtype=torch.int64))

    @torch.no_grad()
    def note(self, **values: Tensor) -> None:
        """One step's values; underscores in names stand for spaces."""
        at = [self.names.index(name.replace("_", " ")) for name in values]
        now = torch.stack([value.detach().to(self.mean) for value in values.values()])
        self.count[at] += 1
        share = 1 / self.count[at].clamp(max=MEMORY)  # at first, a plain mean
        self.mean[at] = self.mean[at].lerp(now, share.to(self.mean))

    def read(self) -> dict[str, Tensor]:
        """Of those noted so far."""
        return {name: self.mean[k] for k, name in enumerate(self.names) if self.count[k]}


def share(true: Tensor) -> Tensor:
    return true.double().mean()


def spread(images: Tensor) -> Tensor:
    """Root mean square, over pixels, of the standard deviation over the images of a batch."""
    return images.detach().double().var(0, correction=0).mean().sqrt()


def verdicts(gauges: dict[str, Tensor], kinds: Sequence[str]) -> dict[str, str]:
    """What a user should know of a critic whose accuracies on "real" and on `kinds` are gauged.

    Thresholds: at accuracy 0.99 the loss of a logistic critic is of the order of 0.01 nats, and
    what it can still teach is noise; a critic that holds no difference is at 0 and 1, or 0.5.
    """
    if not all(f"accuracy {kind}" in gauges for kind in ("real", *kinds)):
        return {}
    told = {kind: float(gauges[f"accuracy {kind}"]) for kind in ("real", *kinds)}
    said = ", ".join(f"{share:.1%} of {kind}" for kind, share in told.items())
    found = {}
    if min(told.values()) > 0.99:
        found["critic-wins"] = (
            f"The critic wins: it tells {said} right, so its loss is near 0 and the generator "
            "learns little from it. Lower the critic's learning rate, or penalise its gradient."
        )
    elif all(told["real"] + told[kind] < 1.02 for kind in kinds):
        found["critic-blind"] = (
            f"The critic tells nothing apart: it judges {said} right, no better than a coin. "
            "Where samples look poor, raise its learning rate or its size, or lower its penalty."
        )
    if float(gauges.get("spread of samples", 1.0)) < 0.2:
        found["generator-collapsed"] = (
            "The generator has collapsed: its samples differ from one another by "
            f"{float(gauges['spread of samples']):.0%} of what real images do. Stop at an earlier "
            "epoch, or train mnist_gan's relativistic loss with penalties, which resists this."
        )
    return found
