"""Classifier-free guidance: Ho & Salimans 2022, arXiv 2207.12598."""

from collections.abc import Callable

import torch
from torch import Tensor

Predictor = Callable[[Tensor, Tensor], Tensor]  # (z, t) -> prediction
ConditionalPredictor = Callable[[Tensor, Tensor, Tensor], Tensor]  # (z, t, keep_mask) -> prediction


def apply_guidance(predict: ConditionalPredictor, guidance: float) -> Predictor:
    """Return the guided predictor, free + guidance * (conditional - free); their w is guidance - 1.

    `keep_mask` is True in the rows that keep their condition. At guidance 1 only the conditional
    prediction is computed, at 0 only the unconditional one, else both in one batch.
    """

    def predict_single(z: Tensor, t: Tensor) -> Tensor:
        return predict(z, t, torch.full((z.shape[0],), bool(guidance), device=z.device))

    def predict_both(z: Tensor, t: Tensor) -> Tensor:
        n = z.shape[0]
        keep_mask = torch.arange(2 * n, device=z.device) < n
        prediction = predict(torch.cat([z, z]), torch.cat([t, t]), keep_mask)
        return prediction[n:] + guidance * (prediction[:n] - prediction[n:])

    return predict_single if guidance in (0, 1) else predict_both
