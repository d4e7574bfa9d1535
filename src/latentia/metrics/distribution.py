"""Distances between sets of images, in features, with bootstrap intervals."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

from latentia.core.seeding import generator


class Estimate(NamedTuple):
    """A figure, its standard error by bootstrap, and the numbers of images it comes from."""

    value: float
    error: float
    n: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.value:.3g} ± {1.96 * self.error:.2g}"


class _Given(nn.Module):
    """Features pass as they are: torchmetrics then does the rest."""

    def __init__(self, width: int):
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(real: Float[Tensor, "n d"], drawn: Float[Tensor, "m d"]) -> float:
    """|difference of means|^2 + trace(S + T - 2 (S T)^(1/2)); Heusel et al. 2017, equation 6.

    Biased upwards for finite n: compare figures of the same n only.
    """
    # several processes: this one has all the features
    metric = FrechetInceptionDistance(feature=_Given(real.shape[1]), sync_on_compute=False)
    metric.update(real, real=True)
    metric.update(drawn, real=False)
    return max(0.0, metric.compute().item())


def frechet(
    real: Float[Tensor, "n d"], drawn: Float[Tensor, "m d"], resamples: int = 100, seed: int = 0
) -> Estimate:
    """Fréchet distance with its bootstrap standard error.

    The error is the standard deviation over resampled sets; their mean is not used: resampling
    adds the bias of a smaller set, so percentiles would lie above the figure itself.
    """
    values = torch.empty(resamples, dtype=torch.float64)
    for k in range(resamples):
        draw = generator(seed, "bootstrap", k)
        parts = [x[torch.randint(len(x), (len(x),), generator=draw)] for x in (real, drawn)]
        values[k] = frechet_distance(*parts)
    return Estimate(frechet_distance(real, drawn), values.std().item(), (len(real), len(drawn)))


def kernel(real: Float[Tensor, "n d"], drawn: Float[Tensor, "n d"], seed: int = 0) -> Estimate:
    """Squared maximum mean discrepancy under the kernel (x.y / d + 1)^3; its error between blocks.

    The unbiased estimator of Bińkowski et al. 2018, arXiv 1801.01401, equation 4, averaged over
    disjoint blocks of at most 1,000 images: no bias at any n, and below 0 by chance where the sets
    are alike. Images come into blocks by seed, since folders hold them class by class. error: of
    the mean, from the spread of the blocks; nan for a single block.
    """
    n = min(len(real), len(drawn))
    count = max(1, min(max(10, -(-n // 1000)), n // 2))  # of blocks, each of two images at least
    size, draw = n // count, generator(seed, "blocks")
    real, drawn = (x[torch.randperm(len(x), generator=draw)] for x in (real, drawn))
    blocks = [
        poly_mmd(real[k : k + size].double(), drawn[k : k + size].double())
        for k in range(0, count * size, size)
    ]
    values = torch.stack(blocks)
    error = values.std().item() / count**0.5 if count > 1 else float("nan")
    return Estimate(values.mean().item(), error, (count * size, count * size))
