"""The prior p(z) of latents where it is not N(0, I): a protocol."""

from typing import Protocol, runtime_checkable

import torch

from latentia.core.seeding import sample_normal_rows
from latentia.core.tensors import Latents, PerImage


@runtime_checkable
class Prior(Protocol):
    """p(z) in the place of N(0, I): the factory of posteriors that know it as their prior."""

    caption: str  # in figures

    def transform(self, eps: Latents, level: PerImage) -> Latents:
        """Map standard normal noise, and a uniform number in [0, 1) for each row, to draws."""
        ...

    def log_prob(self, z: Latents) -> PerImage: ...


def transform_rows(prior: Prior | None, eps: Latents, seed: int) -> Latents:
    """Map standard normal rows to draws of the prior; row k of a seed is the same for every n."""
    if prior is None:
        return eps
    normal = sample_normal_rows(len(eps), (), seed=seed, purpose="component").to(eps)
    return prior.transform(eps, torch.special.ndtr(normal))
