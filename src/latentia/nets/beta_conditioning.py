"""One network for every beta: layers that log beta modulates."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import StepContext
from latentia.core.seeding import batch_permutation, uniform
from latentia.nets.film import FiLM

EMBEDDING_WIDTH = 8
END_SHARE = (
    0.1  # of the draws beyond each end of the range, and put there: nothing lies outside to help
)


class BetaEmbedding(nn.Module):
    """What modulated layers are told of beta: features of log beta, (1 or b, WIDTH).

    low, high: the range of beta that is learned; beta: the one that is answered for.
    """

    def __init__(self, low: float, high: float, beta: float):
        super().__init__()
        self.low, self.high, self.beta = low, high, beta
        self.row_betas: Tensor | None = None  # beta of each row, while there are several
        first_layer = nn.Linear(1, EMBEDDING_WIDTH)
        with torch.no_grad():  # hinges across the range: random ones would crowd
            first_layer.weight.fill_(2.0)
            first_layer.bias.copy_(-2 * torch.linspace(-1.2, 1.2, EMBEDDING_WIDTH))
        self.features = nn.Sequential(
            first_layer, nn.SiLU(), nn.Linear(EMBEDDING_WIDTH, EMBEDDING_WIDTH)
        )

    def forward(self) -> Float[Tensor, "b width"]:
        reference = next(self.parameters())
        beta = torch.full((1,), self.beta) if self.row_betas is None else self.row_betas
        low, high = math.log(self.low), math.log(self.high)
        position = (2 * beta.to(reference).log() - low - high) / (high - low)  # -1 to 1
        return self.features(position[:, None])

    def sample_betas(
        self, context: StepContext, like: Float[Tensor, "b ..."]
    ) -> Float[Tensor, " b"]:
        """A beta for each row: log-uniform, one in each of as many strata as the batch has rows."""
        zeros = like.new_zeros(len(like), dtype=torch.float32)
        global_batch_size = max(context.global_batch_size, len(like))
        quantile = (
            batch_permutation(context, "beta/place", zeros) + uniform(context, "beta", zeros)
        ) / global_batch_size
        quantile = (quantile * (1 + 2 * END_SHARE) - END_SHARE).clamp(0, 1)
        return self.low * (self.high / self.low) ** quantile

    def mean_beta(self) -> float:
        """Of what is drawn."""
        log_uniform_mean = (self.high - self.low) / math.log(self.high / self.low)
        return (log_uniform_mean + END_SHARE * (self.low + self.high)) / (1 + 2 * END_SHARE)

    @contextmanager
    def use_betas(self, betas: Float[Tensor, " b"]) -> Iterator[None]:
        """For a while, a beta for each row."""
        previous, self.row_betas = self.row_betas, betas
        try:
            yield
        finally:
            self.row_betas = previous


class BetaModulation(nn.Module):
    """x * (1 + scale) + shift, a channel each, as the dial says; starts as the identity.

    Bae et al. 2023, arXiv 2212.03905, section 3, gate by a scale alone.
    """

    dial: BetaEmbedding

    def __init__(self, channels: int, beta_embedding: BetaEmbedding, channels_last: bool = False):
        super().__init__()
        self.film, self.channels_last = FiLM(EMBEDDING_WIDTH, channels), channels_last
        self.__dict__["dial"] = beta_embedding  # the model's own: not a part of each layer

    def forward(self, x: Float[Tensor, "b *channels_space"]) -> Float[Tensor, "b *channels_space"]:
        if (
            self.channels_last and x.ndim > 2
        ):  # of a Linear on several vectors an image, as in attention
            return self.film(x.movedim(-1, 1), self.dial()).movedim(1, -1)
        return self.film(x, self.dial())


class BetaScale(nn.Module):
    """A number for each beta, (1 or b,); starts at 0."""

    dial: BetaEmbedding

    def __init__(self, beta_embedding: BetaEmbedding):
        super().__init__()
        self.film = FiLM(EMBEDDING_WIDTH, 1)
        self.__dict__["dial"] = beta_embedding

    def forward(self) -> Float[Tensor, " b"]:
        embedding = self.dial()
        return self.film(embedding.new_zeros(len(embedding), 1), embedding)[:, 0]


def add_beta_conditioning(
    encoder: nn.Module, decoder: nn.Module, channels: int, beta_embedding: BetaEmbedding
) -> nn.Sequential:
    """Modulates both, in place, and returns the decoder behind a modulation of its latents."""
    modulate_layers(encoder, beta_embedding)
    modulate_layers(decoder, beta_embedding)
    return nn.Sequential(BetaModulation(channels, beta_embedding), decoder)


def modulate_layers(net: nn.Module, beta_embedding: BetaEmbedding) -> None:
    """After each layer of weights in the network, in place, a modulation of its output."""
    for name, child in net.named_children():
        if isinstance(child, nn.Linear):
            setattr(
                net,
                name,
                nn.Sequential(child, BetaModulation(child.out_features, beta_embedding, True)),
            )
        elif isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
            setattr(
                net, name, nn.Sequential(child, BetaModulation(child.out_channels, beta_embedding))
            )
        else:
            modulate_layers(child, beta_embedding)
