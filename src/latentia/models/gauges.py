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

    @property
    def settled(self) -> bool:
        """Whether each mean has all the steps that it looks back on."""
        return bool((self.count >= MEMORY).all())

    def read(self) -> dict[str, Tensor]:
        """Of those noted so far."""
        return {name: self.mean[k] for k, name in enumerate(self.names) if self.count[k]}


def share(true: Tensor) -> Tensor:
    return true.double().mean()


def spread(images: Tensor) -> Tensor:
    """Root mean square, over pixels, of the standard deviation over the images of a batch."""
    return images.detach().double().var(0, correction=0).mean().sqrt()


def verdicts(gauges: dict[str, Tensor], kinds: Sequence[str]) -> dict[str, str]:
    """What a user should know of a duel whose accuracies on "real" and on `kinds` are gauged.

    A critic that is right 99 times of 100 may still teach; one that has no loss left does not.
    """
    if not all(f"accuracy {kind}" in gauges for kind in ("real", *kinds)):
        return {}
    told = {kind: float(gauges[f"accuracy {kind}"]) for kind in ("real", *kinds)}
    said = ", ".join(f"{share:.1%} of {kind}" for kind, share in told.items())
    loss, differs = float(gauges["critic loss"]), float(gauges["spread of samples"])
    found = {}
    if min(told.values()) > 0.99 and loss < 0.01:
        found["critic-wins"] = (
            f"The critic wins: it tells {said} right, its loss is {loss:.2g} nats, and there is "
            "little left to learn from it. Lower its learning rate, or penalise its gradient."
        )
    elif all(told["real"] + told[kind] < 1.02 for kind in kinds):
        found["critic-blind"] = (
            f"The critic tells nothing apart: it judges {said} right, no better than a coin. "
            "Where samples look poor, raise its learning rate or its size, or lower its penalty."
        )
    if differs < 0.2:
        found["generator-collapsed"] = (
            f"The generator has collapsed: its samples differ by {differs:.0%} of what real images "
            "differ by. Take an earlier state, lower --lr, or use mnist_gan's loss and penalties."
        )
    return found
