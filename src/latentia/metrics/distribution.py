"""Distances between sets of images, in features, with bootstrap intervals."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

from latentia.core.seeding import make_generator


class DistanceEstimate(NamedTuple):
    """A figure, its standard error by bootstrap, and the numbers of images it comes from."""

    value: float
    error: float
    n: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.value:.3g} ± {1.96 * self.error:.2g}"


class _PassThrough(nn.Module):
    """Features pass as they are: torchmetrics then does the rest."""

    def __init__(self, width: int):
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(real: Float[Tensor, "n d"], samples: Float[Tensor, "m d"]) -> float:
    """|difference of means|^2 + trace(S + T - 2 (S T)^(1/2)); Heusel et al. 2017, equation 6.

    Biased upwards for finite n: compare figures of the same n only.
    """
    # several processes: this one has all the features
    metric = FrechetInceptionDistance(feature=_PassThrough(real.shape[1]), sync_on_compute=False)
    metric.update(real, real=True)
    metric.update(samples, real=False)
    return max(0.0, metric.compute().item())


def estimate_frechet_distance(
    real: Float[Tensor, "n d"], samples: Float[Tensor, "m d"], resamples: int = 100, seed: int = 0
) -> DistanceEstimate:
    """Fréchet distance with its bootstrap standard error.

    The error is the standard deviation over resampled sets; their mean is not used: resampling
    adds the bias of a smaller set, so percentiles would lie above the figure itself.
    """
    values = torch.empty(resamples, dtype=torch.float64)
    for k in range(resamples):
        rng = make_generator(seed, "bootstrap", k)
        resampled_sets = [
            x[torch.randint(len(x), (len(x),), generator=rng)] for x in (real, samples)
        ]
        values[k] = frechet_distance(*resampled_sets)
    return DistanceEstimate(
        frechet_distance(real, samples), values.std().item(), (len(real), len(samples))
    )


def estimate_kernel_distance(
    real: Float[Tensor, "n d"], samples: Float[Tensor, "n d"], seed: int = 0
) -> DistanceEstimate:
    """Squared maximum mean discrepancy under the kernel (x.y / d + 1)^3; its error between blocks.

    The unbiased estimator of Bińkowski et al. 2018, arXiv 1801.01401, equation 4, averaged over
    disjoint blocks of at most 1,000 images: no bias at any n, and below 0 by chance where the sets
    are alike. Images come into blocks by seed, since folders hold them class by class. error: of
    the mean, from the spread of the blocks; nan for a single block.
    """
    n = min(len(real), len(samples))
    block_count = max(
        1, min(max(10, -(-n // 1000)), n // 2)
    )  # of blocks, each of two images at least
    block_size, rng = n // block_count, make_generator(seed, "blocks")
    real, samples = (x[torch.randperm(len(x), generator=rng)] for x in (real, samples))
    blocks = [
        poly_mmd(real[k : k + block_size].double(), samples[k : k + block_size].double())
        for k in range(0, block_count * block_size, block_size)
    ]
    values = torch.stack(blocks)
    error = values.std().item() / block_count**0.5 if block_count > 1 else float("nan")
    return DistanceEstimate(
        values.mean().item(), error, (block_count * block_size, block_count * block_size)
    )
