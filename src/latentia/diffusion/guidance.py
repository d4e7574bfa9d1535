"""Classifier-free guidance: Ho & Salimans 2022, arXiv 2207.12598."""

from collections.abc import Callable

import torch
from torch import Tensor

ConditionalPredictor = Callable[
    [Tensor, Tensor, Tensor], Tensor
]  # (z, t, kept) -> what is predicted


def apply_guidance(
    predict: ConditionalPredictor, guidance: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """free + guidance (conditional - free), in what the network predicts (their w is guidance - 1).

    kept: rows that keep their condition. At 1 the conditional network alone is asked, at 0 the
    free one; else both, in one batch.
    """

    def predict_single(z: Tensor, t: Tensor) -> Tensor:
        return predict(z, t, torch.full((z.shape[0],), bool(guidance), device=z.device))

    def predict_both(z: Tensor, t: Tensor) -> Tensor:
        n = z.shape[0]
        keep_condition = torch.arange(2 * n, device=z.device) < n
        prediction = predict(torch.cat([z, z]), torch.cat([t, t]), keep_condition)
        return prediction[n:] + guidance * (prediction[:n] - prediction[n:])

    return predict_single if guidance in (0, 1) else predict_both
