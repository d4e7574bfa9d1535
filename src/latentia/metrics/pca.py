"""Principal component analyses: the baselines of every model with latents."""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.progress import show_progress
from latentia.core.seeding import restore_global_generators, seed_global_generators
from latentia.core.tensors import ImageTensor, PerImage
from latentia.data import Images, Split
from latentia.models.pretrained_features import BATCH, PretrainedEncoder, extract_features

MAX_VALUES = 16_000_000  # pixel values of the training images that are analysed: 64 MB
MAX_FEATURE_IMAGES = 5000  # whose features are analysed, which takes a minute on one core
FEATURE_DIMS = 64  # principal components of the features, in the joint PCA
VALUES_PER_WEIGHT = 100  # values of an image for a weight of 1 of its features: a stated trade
OVERSAMPLING, POWER_ITERATIONS = 16, 5  # of the randomized decomposition

_fitted: WeakKeyDictionary[Images, dict] = WeakKeyDictionary()


@runtime_checkable
class Coordinates(Protocol):
    """Coordinates of images, and how well they reconstruct the images."""

    def encode(self, images: ImageTensor) -> Float[Tensor, "b d"]:
        """Return the coordinates of images."""
        ...

    def measure_mse(self, images: ImageTensor) -> PerImage:
        """Return the mean squared error per pixel of each image's reconstruction."""
        ...


class ModelCoordinates(NamedTuple):
    """Posterior means of a model with latents, which it decodes."""

    model: Any

    def encode(self, images: ImageTensor) -> Float[Tensor, "b d"]:
        return self.model.encode(images).mean.flatten(1).float().cpu()

    def measure_mse(self, images: ImageTensor) -> PerImage:
        error = self.model.reconstruct(images) - images
        return error.square().flatten(1).mean(1).cpu()


class PixelPCA:
    """The first principal components of a split's pixels, at most `dims`.

    Of large sets, evenly spaced images are analysed.
    """

    def __init__(self, split: Split, dims: int):
        pixels = load_pixels(limit_values(split, dims))
        self.n_images, self.mean = len(pixels), pixels.mean(0)
        self.axes = find_axes(pixels - self.mean, dims)
        self.dims = self.axes.shape[1]
        self.title = f"PCA of {self.dims} dimensions"

    def encode(self, images: ImageTensor) -> Float[Tensor, "b d"]:
        return (images.cpu().flatten(1).float() - self.mean) @ self.axes

    def measure_mse(self, images: ImageTensor) -> PerImage:
        centred = images.cpu().flatten(1).float() - self.mean
        return (centred - centred @ self.axes @ self.axes.T).square().mean(1)


class FeaturePCA:
    """Principal components of features: coordinates of images, from features and from pixels.

    Images are decoded by least squares, which for a joint PCA of both is its own decoder.
    """

    def __init__(self, title: str, rows: "FeatureRows", axes: Tensor, pixel_axes: Tensor):
        self.title, self.axes, self.pixel_axes = title, axes, pixel_axes
        self.mean, self.feature_mean = rows.mean, rows.feature_mean
        z = rows.pixels @ pixel_axes + rows.features @ axes
        self.decoder = torch.linalg.lstsq(z, rows.pixels).solution

    def encode(self, images: ImageTensor) -> Float[Tensor, "b d"]:
        features = extract_features(images).float().cpu() - self.feature_mean
        pixels = images.cpu().flatten(1).float() - self.mean
        return pixels @ self.pixel_axes + features @ self.axes

    def measure_mse(self, images: ImageTensor) -> PerImage:
        centred = images.cpu().flatten(1).float() - self.mean
        return (centred - self.encode(images) @ self.decoder).square().mean(1)


class FeatureRows:
    """Centred pixels and features of images, and their means."""

    def __init__(self, split: Split):
        pixels, features = load_pixels(split), load_features(split)
        self.mean, self.feature_mean = pixels.mean(0), features.mean(0)
        self.pixels, self.features = pixels - self.mean, features - self.feature_mean


def fit_pixel_pca(images: Images, dims: int) -> PixelPCA:
    """Fit a PCA to the training images, once for each object."""
    fitted = _fitted.setdefault(images, {})
    if dims not in fitted:
        fitted[dims] = PixelPCA(images.split("train"), dims)
    return fitted[dims]


def fit_feature_pcas(images: Images, dims: int) -> list[FeaturePCA]:
    """Fit the PCAs of features, and of pixels and features, once for each object."""
    fitted = _fitted.setdefault(images, {})
    if ("features", dims) not in fitted:
        split = limit_values(images.split("train").subsample(MAX_FEATURE_IMAGES), dims)
        rows = FeatureRows(split)
        axes = find_axes(rows.features, dims)
        no_pixels = torch.zeros(len(rows.mean), axes.shape[1])
        joint = fit_joint_axes(rows.pixels, rows.features, dims)
        fitted["features", dims] = [
            FeaturePCA(f"feature PCA of {dims} dimensions", rows, axes, no_pixels),
            FeaturePCA(f"joint PCA of {dims} dimensions", rows, *joint),
        ]
    return fitted["features", dims]


def fit_joint_axes(
    pixels: Float[Tensor, "n p"], features: Float[Tensor, "n q"], dims: int
) -> tuple[Float[Tensor, "q d"], Float[Tensor, "p d"]]:
    """Return the maps from centred features and pixels to their joint principal components.

    They are those of Y = [pixels / sigma, sqrt(weight) features' components]: sigma is the standard
    deviation that a PCA of the pixels of as many dimensions leaves, the components are the first
    64, scaled to a mean variance of 1, and the weight is an image's number of values over 100.
    """
    axes = find_axes(pixels, dims)
    sigma = (pixels - pixels @ axes @ axes.T).square().mean().clamp_min(1e-12).sqrt()
    components = find_axes(features, FEATURE_DIMS)
    weight = pixels.shape[1] / VALUES_PER_WEIGHT
    components = components * (weight / (features @ components).square().mean()).sqrt()
    axes = find_axes(torch.cat([pixels / sigma, features @ components], 1), dims)
    pixel_part, feature_part = axes.split([pixels.shape[1], components.shape[1]])
    return components @ feature_part, pixel_part / sigma


def find_axes(centred: Float[Tensor, "n p"], dims: int) -> Float[Tensor, "p d"]:
    """Find principal axes by a randomized decomposition; Halko et al. 2011, arXiv 0909.4061.

    dims: number of axes, at most n - 1 and p
    """
    dims = min(dims, len(centred) - 1, centred.shape[1])
    rank = min(dims + OVERSAMPLING, *centred.shape)
    with restore_global_generators():
        seed_global_generators(0, "PCA")
        _, _, axes = torch.svd_lowrank(centred, rank, niter=POWER_ITERATIONS)
    return axes[:, :dims]


def encode_rows(
    coordinates: Coordinates, split: Split, rows: np.ndarray
) -> Float[np.ndarray, "n d"]:
    """Return the coordinates of some images of a split."""
    chunks = torch.from_numpy(rows).split(split.max_batch_size())
    return torch.cat([coordinates.encode(split.get_batch(each).image) for each in chunks]).numpy()


def limit_values(split: Split, dims: int) -> Split:
    """Return at most MAX_VALUES pixel values, but more images than `dims`, evenly spaced."""
    return split.subsample(max(dims + 1, MAX_VALUES // math.prod(split.pixels.shape[1:])))


def load_pixels(split: Split) -> Float[Tensor, "n p"]:
    batches = split.iterate_batches(split.max_batch_size())
    return torch.cat([batch.image.flatten(1) for batch in batches]).float()


def load_features(split: Split) -> Float[Tensor, "n q"]:
    features = torch.empty(len(split), *PretrainedEncoder.latent_shape)
    batches = zip(features.split(BATCH), split.iterate_batches(BATCH), strict=True)
    counts = (len(rows.copy_(extract_features(batch.image))) for rows, batch in batches)
    for _ in show_progress(counts, len(split), "features"):
        pass
    return features
