"""Fréchet and kernel distances between two sets of features, with standard errors."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.seeding import make_generator
from latentia.core.text import format_with_error


class DistanceEstimate(NamedTuple):
    """A distance, its standard error, and the sizes of the two sets."""

    value: float
    error: float
    n: tuple[int, int]

    def __str__(self) -> str:
        """The value ± half of its 95 % interval."""
        return format_with_error(self.value, 1.96 * self.error)


def frechet_distance(real: Float[Tensor, "n d"], samples: Float[Tensor, "m d"]) -> float:
    """|difference of means|^2 + trace(S + T - 2 (S T)^(1/2)); Heusel et al. 2017, equation 6.

    S and T are the covariances. Biased upwards for finite n: only values of the same n can be
    compared.

    Parameters
    ----------
    real : Tensor
        features of images (n, d)
    samples : Tensor
        features of samples (m, d)

    Returns
    -------
    float
        the distance, at least 0

    Raises
    ------
    RuntimeError
        if a set has fewer than two rows

    Examples
    --------
    >>> import latentia, torch
    >>> x = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    >>> round(latentia.frechet_distance(x, x + 1), 2)
    4.0
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    network: Any = nn.Identity()  # in place of torchmetrics' feature network
    network.num_features = real.shape[1]
    # no synchronisation: this process holds the features of all
    metric = FrechetInceptionDistance(feature=network, sync_on_compute=False)
    metric.update(real, real=True)
    metric.update(samples, real=False)
    return max(0.0, metric.compute().item())


def estimate_frechet_distance(
    real: Float[Tensor, "n d"], samples: Float[Tensor, "m d"], resamples: int = 100, seed: int = 0
) -> DistanceEstimate:
    """Return the Fréchet distance with its bootstrap standard error.

    The error is the standard deviation over resampled sets. Their mean and percentiles are not
    used: resampled sets hold fewer different images, so their distances are biased upwards.
    """
    values = torch.empty(resamples, dtype=torch.float64)
    for k in range(resamples):
        rng = make_generator(seed, "bootstrap", k)
        sets = [x[torch.randint(len(x), (len(x),), generator=rng)] for x in (real, samples)]
        values[k] = frechet_distance(*sets)
    n = len(real), len(samples)
    return DistanceEstimate(frechet_distance(real, samples), values.std().item(), n)


def estimate_kernel_distance(
    real: Float[Tensor, "n d"], samples: Float[Tensor, "n d"], seed: int = 0
) -> DistanceEstimate:
    """Return the squared maximum mean discrepancy under the kernel (x.y / d + 1)^3.

    This is the unbiased estimator of Bińkowski et al. 2018, arXiv 1801.01401, equation 4, averaged
    over disjoint blocks of at most 1,000 images. It may fall below 0 by chance if the sets have
    the same distribution. Images are assigned to blocks at random, since folders list them class
    by class. error: standard error of the mean over blocks, nan for a single block.
    """
    from torchmetrics.image.kid import poly_mmd

    n = min(len(real), len(samples))
    blocks = max(1, min(max(10, -(-n // 1000)), n // 2))  # each block holds two images at least
    size, rng = n // blocks, make_generator(seed, "blocks")
    real, samples = (x[torch.randperm(len(x), generator=rng)] for x in (real, samples))
    values = torch.stack(
        [
            poly_mmd(real[k : k + size].double(), samples[k : k + size].double())
            for k in range(0, blocks * size, size)
        ]
    )
    error = values.std().item() / blocks**0.5 if blocks > 1 else float("nan")
    return DistanceEstimate(values.mean().item(), error, (blocks * size, blocks * size))
