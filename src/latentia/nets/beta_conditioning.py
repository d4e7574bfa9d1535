"""Conditioning of a VAE on beta: one network for a range of betas."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import StepContext
from latentia.core.seeding import batch_permutation, uniform
from latentia.nets.film import FiLM

WIDTH = 8
END_FRACTION = 0.1  # of the draws at each end: an end has no neighbours outside to learn from


class BetaEmbedding(nn.Module):
    """Learned features of log beta, (1 or b, WIDTH).

    Parameters
    ----------
    low, high : range of beta in training
    beta : beta of all images, in [low, high], unless `use_betas` sets one for each
    """

    def __init__(self, low: float, high: float, beta: float):
        super().__init__()
        self.low, self.high, self.beta = low, high, beta
        self.row_betas: Tensor | None = None  # beta of each row, within `use_betas`
        first_layer = nn.Linear(1, WIDTH)
        with torch.no_grad():  # thresholds spread over the range, where random ones would cluster
            first_layer.weight.fill_(2.0)
            first_layer.bias.copy_(-2 * torch.linspace(-1.2, 1.2, WIDTH))
        self.features = nn.Sequential(first_layer, nn.SiLU(), nn.Linear(WIDTH, WIDTH))

    def forward(self) -> Float[Tensor, "b width"]:
        reference = next(self.parameters())
        beta = torch.full((1,), self.beta) if self.row_betas is None else self.row_betas
        low, high = math.log(self.low), math.log(self.high)
        position = (2 * beta.to(reference).log() - low - high) / (high - low)  # -1 to 1
        return self.features(position[:, None])

    def sample_betas(
        self, context: StepContext, like: Float[Tensor, "b ..."]
    ) -> Float[Tensor, " b"]:
        """Draw a beta for each row: log-uniform, and stratified over the global batch."""
        zeros = like.new_zeros(len(like), dtype=torch.float32)
        stratum = batch_permutation(context, "beta/place", zeros)
        n_strata = max(context.global_batch_size, len(like))
        quantile = (stratum + uniform(context, "beta", zeros)) / n_strata
        quantile = (quantile * (1 + 2 * END_FRACTION) - END_FRACTION).clamp(0, 1)
        return self.low * (self.high / self.low) ** quantile

    def mean_beta(self) -> float:
        """Return the expected value of the betas that `sample_betas` draws."""
        mean = (self.high - self.low) / math.log(self.high / self.low)  # of the log-uniform part
        return (mean + END_FRACTION * (self.low + self.high)) / (1 + 2 * END_FRACTION)

    @contextmanager
    def use_betas(self, betas: Float[Tensor, " b"]) -> Iterator[None]:
        """Use one beta for each row within the block."""
        previous, self.row_betas = self.row_betas, betas
        try:
            yield
        finally:
            self.row_betas = previous


class BetaModulation(nn.Module):
    """FiLM of a layer's output by the features of beta; initially the identity.

    Bae et al. 2023, arXiv 2212.03905, section 3, use a scale without a shift.
    """

    embedding: BetaEmbedding

    def __init__(self, channels: int, embedding: BetaEmbedding, channels_last: bool = False):
        super().__init__()
        self.film, self.channels_last = FiLM(WIDTH, channels), channels_last
        self.__dict__["embedding"] = embedding  # not registered: the model holds it once

    def forward(self, x: Float[Tensor, "b *channels_space"]) -> Float[Tensor, "b *channels_space"]:
        if self.channels_last and x.ndim > 2:  # a Linear on several vectors per image (attention)
            return self.film(x.movedim(-1, 1), self.embedding()).movedim(1, -1)
        return self.film(x, self.embedding())


class BetaScale(nn.Module):
    """A learned number for each beta, (1 or b,); initially 0."""

    embedding: BetaEmbedding

    def __init__(self, embedding: BetaEmbedding):
        super().__init__()
        self.film = FiLM(WIDTH, 1)
        self.__dict__["embedding"] = embedding

    def forward(self) -> Float[Tensor, " b"]:
        embedding = self.embedding()
        return self.film(embedding.new_zeros(len(embedding), 1), embedding)[:, 0]


def add_beta_conditioning(
    encoder: nn.Module, decoder: nn.Module, channels: int, embedding: BetaEmbedding
) -> nn.Sequential:
    """Modulate both networks in place; return the decoder after a modulation of its latents."""
    modulate_layers(encoder, embedding)
    modulate_layers(decoder, embedding)
    return nn.Sequential(BetaModulation(channels, embedding), decoder)


def modulate_layers(net: nn.Module, embedding: BetaEmbedding) -> None:
    """Modulate the output of each linear and convolutional layer of a network, in place."""
    for name, child in net.named_children():
        if isinstance(child, nn.Linear):
            modulation = BetaModulation(child.out_features, embedding, True)
        elif isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
            modulation = BetaModulation(child.out_channels, embedding)
        else:
            modulate_layers(child, embedding)
            continue
        setattr(net, name, nn.Sequential(child, modulation))
