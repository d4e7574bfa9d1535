"""Conditioning of a VAE on beta: one network for a range of betas."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import StepContext
from latentia.core.seeding import batch_permutation, uniform
from latentia.nets.film import WIDTH, FiLM, Modulation, make_number_features, modulate_layers

END_FRACTION = 0.1  # of the draws at each end: an end has no neighbours outside to learn from


class BetaEmbedding(nn.Module):
    """Learned features of log beta, (1 or b, WIDTH).

    Parameters
    ----------
    low, high : range of beta in training
    beta : beta of all images, in [low, high], unless `use_betas` sets one for each
    """

    width = WIDTH

    def __init__(self, low: float, high: float, beta: float):
        super().__init__()
        self.low, self.high, self.beta = low, high, beta
        self.row_betas: Tensor | None = None  # beta of each row, within `use_betas`
        self.features = make_number_features()

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
    return nn.Sequential(Modulation(channels, embedding), decoder)
