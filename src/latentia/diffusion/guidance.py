"""Classifier-free guidance: Ho & Salimans 2022, arXiv 2207.12598."""

from collections.abc import Callable

import torch
from torch import Tensor

Conditional = Callable[[Tensor, Tensor, Tensor], Tensor]  # (z, t, kept) -> what is predicted


def guided(predict: Conditional, guidance: float) -> Callable[[Tensor, Tensor], Tensor]:
    """free + guidance (conditional - free), in what the network predicts (their w is guidance - 1).

    kept: rows that keep their condition. At 1 the conditional network alone is asked, at 0 the
    free one; else both, in one batch.
    """

    def single(z: Tensor, t: Tensor) -> Tensor:
        return predict(z, t, torch.full((len(z),), bool(guidance), device=z.device))

    def both(z: Tensor, t: Tensor) -> Tensor:
        kept = torch.arange(2 * len(z), device=z.device) < len(z)
        conditional, free = predict(torch.cat([z, z]), torch.cat([t, t]), kept).chunk(2)
        return free + guidance * (conditional - free)

    return single if guidance in (0, 1) else both
