"""One network for every beta: layers that log beta modulates."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Moment
from latentia.core.seeding import places, uniform
from latentia.nets.film import FiLM

WIDTH = 8
ENDS = 0.1  # of the draws beyond each end of the range, and put there: nothing lies outside to help


class Dial(nn.Module):
    """What modulated layers are told of beta: features of log beta, (1 or b, WIDTH).

    low, high: the range of beta that is learned; beta: the one that is answered for.
    """

    def __init__(self, low: float, high: float, beta: float):
        super().__init__()
        self.low, self.high, self.beta = low, high, beta
        self.rows: Tensor | None = None  # beta of each row, while there are several
        first = nn.Linear(1, WIDTH)
        with torch.no_grad():  # hinges across the range: random ones would crowd
            first.weight.fill_(2.0)
            first.bias.copy_(-2 * torch.linspace(-1.2, 1.2, WIDTH))
        self.features = nn.Sequential(first, nn.SiLU(), nn.Linear(WIDTH, WIDTH))

    def forward(self) -> Float[Tensor, "b width"]:
        at = next(self.parameters())
        beta = torch.full((1,), self.beta) if self.rows is None else self.rows
        low, high = math.log(self.low), math.log(self.high)
        place = (2 * beta.to(at).log() - low - high) / (high - low)  # -1 to 1
        return self.features(place[:, None])

    def draw(self, moment: Moment, like: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
        """A beta for each row: log-uniform, one in each of as many strata as the batch has rows."""
        rows = like.new_zeros(len(like), dtype=torch.float32)
        n = max(moment.global_batch, len(like))
        share = (places(moment, "beta/place", rows) + uniform(moment, "beta", rows)) / n
        share = (share * (1 + 2 * ENDS) - ENDS).clamp(0, 1)
        return self.low * (self.high / self.low) ** share

    def mean(self) -> float:
        """Of what is drawn."""
        inside = (self.high - self.low) / math.log(self.high / self.low)
        return (inside + ENDS * (self.low + self.high)) / (1 + 2 * ENDS)

    @contextmanager
    def at(self, rows: Float[Tensor, " b"]) -> Iterator[None]:
        """For a while, a beta for each row."""
        before, self.rows = self.rows, rows
        try:
            yield
        finally:
            self.rows = before


class Modulated(nn.Module):
    """x * (1 + scale) + shift, a channel each, as the dial says; starts as the identity.

    Bae et al. 2023, arXiv 2212.03905, section 3, gate by a scale alone.
    """

    dial: Dial

    def __init__(self, channels: int, dial: Dial, last: bool = False):
        super().__init__()
        self.film, self.last = FiLM(WIDTH, channels), last
        self.__dict__["dial"] = dial  # the model's own: not a part of each layer

    def forward(self, x: Float[Tensor, "b *channels_space"]) -> Float[Tensor, "b *channels_space"]:
        if self.last and x.ndim > 2:  # of a Linear on several vectors an image, as in attention
            return self.film(x.movedim(-1, 1), self.dial()).movedim(1, -1)
        return self.film(x, self.dial())


class ByBeta(nn.Module):
    """A number for each beta, (1 or b,); starts at 0."""

    dial: Dial

    def __init__(self, dial: Dial):
        super().__init__()
        self.film = FiLM(WIDTH, 1)
        self.__dict__["dial"] = dial

    def forward(self) -> Float[Tensor, " b"]:
        vector = self.dial()
        return self.film(vector.new_zeros(len(vector), 1), vector)[:, 0]


def for_every_beta(
    encoder: nn.Module, decoder: nn.Module, channels: int, dial: Dial
) -> nn.Sequential:
    """Modulates both, in place, and returns the decoder behind a modulation of its latents."""
    modulate(encoder, dial)
    modulate(decoder, dial)
    return nn.Sequential(Modulated(channels, dial), decoder)


def modulate(net: nn.Module, dial: Dial) -> None:
    """After each layer of weights in the network, in place, a modulation of its output."""
    for name, child in net.named_children():
        if isinstance(child, nn.Linear):
            setattr(net, name, nn.Sequential(child, Modulated(child.out_features, dial, True)))
        elif isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
            setattr(net, name, nn.Sequential(child, Modulated(child.out_channels, dial)))
        else:
            modulate(child, dial)
