"""Probabilistic PCA of pixels and features together: Tipping & Bishop 1999."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.seeding import restore_global_generators, seed_global_generators
from latentia.core.text import pluralize

ERROR_LIMIT = 1.15  # of the linear map, as a multiple of pixel PCA's; networks regain about a tenth
MAX_WEIGHT, WEIGHT_STEPS = 1000.0, 8  # of the bisection between 1 and the largest weight
MAX_ROWS = 4000  # images that choose the weight
OVERSAMPLING, POWER_ITERATIONS = 16, 5  # of the randomized decomposition
IMAGES_PER_LATENT = 8  # at least, of a training: an axis that fewer images define is noise


class Axes(NamedTuple):
    """Principal axes (n_values, d) of centred rows, with their variances, largest first."""

    axes: Float[Tensor, "n d"]
    variances: Float[Tensor, " d"]


class FeatureAxes(NamedTuple):
    """Map from features to their principal components."""

    mean: Float[Tensor, " f"]
    projection: Float[Tensor, "f a"]


class JointPCA(NamedTuple):
    """Linear maps of the model with the largest likelihood: latents of N(0, I), noise of each unit.

    Features are principal components (`FeatureAxes`) times the square root of their weight.
    """

    pixel_mean: Float[Tensor, " n"]
    encode_pixels: Float[Tensor, "n d"]
    encode_features: Float[Tensor, "a d"]
    logvar: Float[Tensor, " d"]
    decode_pixels: Float[Tensor, "d n"]
    sigma: Float[Tensor, ""]

    def measure_mse(
        self, pixels: Float[Tensor, "rows n"], features: Float[Tensor, "rows a"]
    ) -> Tensor:
        """Return the mean squared error per pixel of reconstructions from posterior means."""
        centred = pixels - self.pixel_mean
        z = centred @ self.encode_pixels + features @ self.encode_features
        return (centred - z @ self.decode_pixels).square().mean()

    def measure_noise(self) -> Tensor:
        """Return what drawing from the posterior adds to that error."""
        return (self.logvar.exp() @ self.decode_pixels.square()).mean()


def find_axes(centred: Float[Tensor, "rows n"], dims: int) -> Axes:
    """Find principal axes by a randomized decomposition (Halko et al. 2011, arXiv 0909.4061).

    The largest entry of each axis is positive.
    """
    dims = min(dims, *centred.shape)
    with restore_global_generators():
        seed_global_generators(0, "PCA")
        rank = min(dims + OVERSAMPLING, *centred.shape)
        _, values, axes = torch.svd_lowrank(centred, rank, niter=POWER_ITERATIONS)
    axes = axes[:, :dims]
    signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return Axes(axes * signs, values[:dims].square() / len(centred))


def fit_feature_axes(features: Float[Tensor, "rows f"], dims: int) -> FeatureAxes:
    """Find the principal components of features, scaled to a mean variance of 1."""
    mean = features.mean(0)
    axes, variances = find_axes(features - mean, dims)
    missing = dims - len(variances)
    return FeatureAxes(mean, F.pad(axes * variances.mean().rsqrt(), (0, missing)))


def check_differences(batches: Iterable[Float[Tensor, "rows *n"]]) -> None:
    """Read images, whose missing pixels are NaN, until two differ.

    Raises: Error if no two do: they have no principal axes
    """
    count, low, high = 0, torch.tensor(math.inf), torch.tensor(-math.inf)
    for images in batches:
        count += len(images)
        low = torch.minimum(low, images.nan_to_num(math.inf).amin(0))
        high = torch.maximum(high, images.nan_to_num(-math.inf).amax(0))
        if (low < high).any():
            return
    if count:  # of none the plan says that there is no image to train on
        raise Error(
            f"Of {pluralize(count, 'training image')} no two differ, so there are no "
            "coordinates to learn; give at least 2 images that differ."
        )


def measure_pixel_noise(centred: Float[Tensor, "rows n"], dims: int) -> Float[Tensor, ""]:
    """Return the standard deviation that PCA of the pixels with `dims` dimensions leaves."""
    residual = centred.square().sum(1).mean() - find_axes(centred, dims).variances.sum()
    return (residual / max(centred.shape[1] - dims, 1)).clamp_min(1e-8).sqrt()


def fit_joint_pca(
    pixels: Float[Tensor, "rows n"],
    features: Float[Tensor, "rows a"],
    dims: int,
    sigma: Float[Tensor, ""] | None = None,
) -> JointPCA:
    """Fit the latents of pixels and features of the same images.

    The noise of a feature is 1. Dimensions beyond the number of images, or with less variance than
    the noise, carry nothing. sigma: noise of a pixel; None measures it.
    """
    pixel_mean, n_pixels = pixels.mean(0), pixels.shape[1]
    centred = pixels - pixel_mean
    sigma = measure_pixel_noise(centred, dims) if sigma is None else sigma
    axes, variances = find_axes(torch.cat([centred / sigma, features], 1), dims)
    missing = dims - len(variances)
    axes = F.pad(axes, (0, missing))
    variances = F.pad(variances, (0, missing), value=1.0).clamp_min(1.0)
    scale = (variances - 1).sqrt()
    encode = axes * scale / variances
    return JointPCA(
        pixel_mean,
        encode[:n_pixels] / sigma,
        encode[n_pixels:],
        -variances.log(),
        sigma * (axes[:n_pixels] * scale).T,
        sigma,
    )


def choose_weight(
    pixels: Float[Tensor, "rows n"], features: Float[Tensor, "rows a"], dims: int
) -> float:
    """Return the largest weight of features whose linear map is nearly as exact as pixel PCA.

    The squared error of these images is at most 1.15 times that of PCA with as many dimensions.
    """
    stride = -(-len(pixels) // MAX_ROWS)
    pixels, features = pixels[::stride], features[::stride]
    sigma = measure_pixel_noise(pixels - pixels.mean(0), dims)

    def measure_mse(factor: float) -> float:
        weighted = features * factor
        return fit_joint_pca(pixels, weighted, dims, sigma).measure_mse(pixels, weighted).item()

    low, high, lowest = 0.0, math.log(MAX_WEIGHT), measure_mse(0.0)
    for _ in range(WEIGHT_STEPS):
        middle = (low + high) / 2
        is_exact = measure_mse(math.exp(middle / 2)) <= ERROR_LIMIT * lowest
        low, high = (middle, high) if is_exact else (low, middle)
    return float(f"{math.exp(low):.3g}")
