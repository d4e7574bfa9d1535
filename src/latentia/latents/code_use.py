"""How many codes of a quantised latent map are in use."""

from typing import Any, NamedTuple

import numpy as np
import torch

from latentia.latents.encoding import LatentTable


class CodeUse(NamedTuple):
    """used: codes that a position of an image has; perplexity: exp of their entropy in nats."""

    used: int
    count: int
    positions: int
    perplexity: float

    @property
    def expected(self) -> float:
        """Number of codes in use if all were equally frequent."""
        return self.count * (1 - (1 - 1 / self.count) ** self.positions)

    def __str__(self) -> str:
        return f"{self.used:,} of {self.count:,}, perplexity {self.perplexity:.0f}"


def find_codes(model: Any) -> Any:
    """Return the codes of a model that quantises its latents, or None."""
    return getattr(getattr(model, "prior", None), "codes", None)


def measure_code_use(model: Any, table: LatentTable) -> CodeUse | None:
    """Count the codes of a table of latents; None if the model does not quantise."""
    codes = find_codes(model)
    if codes is None:
        return None
    z = torch.from_numpy(table.mean).unflatten(1, model.latent_shape)
    counts = np.bincount(codes.tokens(z.to(codes.levels)).flatten().cpu().numpy())
    shares = counts[counts > 0] / counts.sum()
    perplexity = float(np.exp(-(shares * np.log(shares)).sum()))
    return CodeUse(len(shares), codes.count, int(counts.sum()), perplexity)
