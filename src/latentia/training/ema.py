"""Exponential moving average of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Exponential moving average of weights and float buffers; integer buffers are copied.

    The half-life is in images. It grows with the number of images seen, up to `halflife`, so that
    the random start is soon forgotten (Karras et al. 2020, arXiv 2006.06676: StyleGAN2-ADA).
    """

    def __init__(self, model: nn.Module, halflife: float):
        self.halflife = halflife
        self.tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int, batch_size: int) -> None:
        halflife = min(self.halflife, 0.05 * (step + 1) * batch_size)
        decay = 0.5 ** (batch_size / halflife)
        current = model.state_dict()
        float_keys = [k for k, v in current.items() if v.is_floating_point()]
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            [self.tensors[k] for k in float_keys], [current[k] for k in float_keys], 1 - decay
        )
        for key, value in current.items():
            if not value.is_floating_point():
                self.tensors[key].copy_(value)


@contextmanager
def swap_weights(model: nn.Module, tensors: dict[str, Tensor] | None) -> Iterator[None]:
    """Give the model these weights inside the block; None changes nothing."""
    if tensors is None:
        yield
        return
    original = {k: v.detach().clone() for k, v in model.state_dict().items()}
    model.load_state_dict(tensors)
    try:
        yield
    finally:
        model.load_state_dict(original)
