"""An averaged copy of the weights, and how it takes their place for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Exponential moving average with a half-life in images seen; float buffers too, counts copied.

    Early on the average is over what there is: the half-life grows with the images seen
    (Karras et al. 2020, arXiv 2006.06676: the warm-up of StyleGAN2-ADA's average).
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
    """The model with these weights; its own come back at the end. None: its own."""
    if tensors is None:
        yield
        return
    original = {k: v.detach().clone() for k, v in model.state_dict().items()}
    model.load_state_dict(tensors)
    try:
        yield
    finally:
        model.load_state_dict(original)
