"""Principal component analysis of pixels and features together, in closed form."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.seeding import restore_global_generators, seed_global_generators

OVERSAMPLING, POWER_ITERATIONS = 16, 5  # of the randomized decomposition
FEATURE_DIMS = 64  # principal components of the features, beside the pixels
PIXELS_PER_WEIGHT = 100  # values of an image for a weight of 1: the knee of the measured trade-off


class PrincipalComponents(NamedTuple):
    """The first principal components of vectors, and the variance that they leave in each value."""

    mean: Float[Tensor, " p"]
    axes: Float[Tensor, "p d"]
    variances: Float[Tensor, " d"]
    residual_variance: float

    def encode(self, values: Float[Tensor, "n p"]) -> Float[Tensor, "n d"]:
        """Return the coordinates of vectors."""
        return (values - self.mean) @ self.axes

    def decode(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """Return the vectors at coordinates."""
        return self.mean + z @ self.axes.T


def fit_principal_components(values: Float[Tensor, "n p"], dims: int) -> PrincipalComponents:
    """Principal component analysis by a randomized decomposition; Halko et al. 2011, 0909.4061.

    dims: components, at most n - 1 and p.
    """
    n, n_values = values.shape
    dims = min(dims, n - 1, n_values)
    mean = values.mean(0)
    with restore_global_generators():
        seed_global_generators(0, "PCA")
        centred = values - mean
        rank = min(dims + OVERSAMPLING, n, n_values)
        _, scales, axes = torch.svd_lowrank(centred, rank, niter=POWER_ITERATIONS)
    variances = scales[:dims].square() / n
    left = float(centred.square().mean(0).sum() - variances.sum())
    return PrincipalComponents(mean, axes[:, :dims], variances, max(left, 0.0) / n_values)


class JointPCA(NamedTuple):
    """Principal components of Y = [(pixels - mean) / sigma, sqrt(weight / scale) features' PCs].

    sigma is the standard deviation that as many principal components of the pixels leave in each
    value, scale the mean variance of the features' components.
    """

    pixels: PrincipalComponents
    features: PrincipalComponents
    joint: PrincipalComponents
    weight: float

    @property
    def sigma(self) -> float:
        return max(self.pixels.residual_variance, 1e-12) ** 0.5

    def join(self, pixels: Float[Tensor, "n p"], features: Float[Tensor, "n q"]) -> Tensor:
        """Return Y (n, p + k)."""
        scale = self.weight / float(self.features.variances.mean().clamp_min(1e-12))
        parts = [(pixels - self.pixels.mean) / self.sigma]
        return torch.cat([*parts, scale**0.5 * self.features.encode(features)], 1)

    def encode(
        self, pixels: Float[Tensor, "n p"], features: Float[Tensor, "n q"]
    ) -> Float[Tensor, "n d"]:
        """Return the coordinates of images."""
        return self.joint.encode(self.join(pixels, features))

    def decode(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """Return the pixels at coordinates."""
        n_pixels = len(self.pixels.mean)
        return self.pixels.mean + self.sigma * self.joint.decode(z)[:, :n_pixels]


def fit_joint_pca(
    pixels: Float[Tensor, "n p"],
    features: Float[Tensor, "n q"],
    dims: int,
    weight: float | None = None,
) -> JointPCA:
    """Fit the joint PCA of pixels and features of the same images.

    weight: that of the features; None: the number of values of an image over 100.
    """
    weight = pixels.shape[1] / PIXELS_PER_WEIGHT if weight is None else weight
    pixel_part = fit_principal_components(pixels, dims)
    feature_part = fit_principal_components(features, FEATURE_DIMS)
    unfitted = JointPCA(pixel_part, feature_part, pixel_part, weight)
    return unfitted._replace(joint=fit_principal_components(unfitted.join(pixels, features), dims))
