"""Principal component analyses: the baselines of every model with latents."""

import math
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.missing import Mask, average_pixels
from latentia.core.progress import show_progress
from latentia.core.tensors import ImageTensor, PerImage
from latentia.data import Images, Split
from latentia.models.joint_pca import find_axes, fit_feature_axes, fit_joint_pca
from latentia.models.photo_vae import FEATURE_AXES
from latentia.models.pretrained_features import BATCH, PretrainedEncoder, extract_features
from latentia.nets.column_condition import use_columns

MAX_VALUES = 16_000_000  # pixel values of the training images that are analysed: 64 MB
MAX_FEATURE_IMAGES = 5000  # whose features are analysed, which takes a minute on one core
VALUES_PER_WEIGHT = 100  # values of an image for a weight of 1 of its features: a stated trade

_fitted: WeakKeyDictionary[Images, dict] = WeakKeyDictionary()


class ModelCoordinates(NamedTuple):
    """Posterior means of a model with latents, which it decodes.

    As the PCAs below it has `encode`, the coordinates of images (b, d), and `measure_mse`, the
    mean squared error per observed pixel of each image's reconstruction (b,).
    """

    model: Any

    def encode(self, images: ImageTensor) -> Float[Tensor, "b d"]:
        return self.model.encode(images).mean.flatten(1).float().cpu()

    def measure_mse(self, images: ImageTensor, mask: Mask | None = None) -> PerImage:
        error = self.model.reconstruct(images) - images
        return average_pixels(error.square(), mask).cpu()


class PixelPCA:
    """The first principal components of a split's pixels, at most `dims`.

    Of large sets, evenly spaced images are analysed.
    """

    def __init__(self, split: Split, dims: int):
        pixels = limit_values(split, dims)[:].flatten(1)
        self.n_images, self.mean = len(pixels), pixels.mean(0)
        self.axes = find_axes(pixels - self.mean, min(dims, self.n_images - 1)).axes
        self.dims = self.axes.shape[1]
        self.title = f"PCA of {self.dims} dimensions"

    def encode(self, images: ImageTensor) -> Float[Tensor, "b d"]:
        return (images.cpu().flatten(1).float() - self.mean) @ self.axes

    def measure_mse(self, images: ImageTensor, mask: Mask | None = None) -> PerImage:
        centred = images.cpu().flatten(1).float() - self.mean
        error = centred - centred @ self.axes @ self.axes.T
        return average_pixels(error.square().view(images.shape), mask)


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

    def measure_mse(self, images: ImageTensor, mask: Mask | None = None) -> PerImage:
        centred = images.cpu().flatten(1).float() - self.mean
        error = centred - self.encode(images) @ self.decoder
        return average_pixels(error.square().view(images.shape), mask)


class FeatureRows:
    """Centred pixels and features of images, and their means."""

    def __init__(self, split: Split):
        pixels, features = split[:].flatten(1), load_features(split)
        self.mean, self.feature_mean = pixels.mean(0), features.mean(0)
        self.pixels, self.features = pixels - self.mean, features - self.feature_mean


def fit_pixel_pca(images: Images, dims: int) -> PixelPCA:
    """Fit a PCA to the training images, once for each object."""
    fitted = _fitted.setdefault(images, {})
    if dims not in fitted:
        fitted[dims] = PixelPCA(images.split("train"), dims)
    return fitted[dims]


def fit_feature_pcas(images: Images, dims: int, weight: float | None = None) -> list[FeaturePCA]:
    """Fit the PCAs of features, and of pixels and weighted features, once for each object."""
    fitted = _fitted.setdefault(images, {})
    if (dims, weight) not in fitted:
        split = limit_values(images.split("train").subsample(MAX_FEATURE_IMAGES), dims)
        rows = FeatureRows(split)
        axes = find_axes(rows.features, min(dims, len(rows.features) - 1)).axes
        no_pixels = torch.zeros(len(rows.mean), axes.shape[1])
        joint = fit_joint_axes(rows.pixels, rows.features, dims, weight)
        fitted[dims, weight] = [
            FeaturePCA(f"feature PCA of {dims} dimensions", rows, axes, no_pixels),
            FeaturePCA(f"joint PCA of {dims} dimensions", rows, *joint),
        ]
    return fitted[dims, weight]


def fit_joint_axes(
    pixels: Float[Tensor, "n p"], features: Float[Tensor, "n q"], dims: int, weight: float | None
) -> tuple[Float[Tensor, "q d"], Float[Tensor, "p d"]]:
    """Return the maps from centred features and pixels to their joint principal components.

    weight: that of the features' components; None: the number of values of an image over 100.
    """
    weight = weight or pixels.shape[1] / VALUES_PER_WEIGHT
    projection = fit_feature_axes(features, FEATURE_AXES).projection * weight**0.5
    form = fit_joint_pca(pixels, features @ projection, min(dims, len(pixels) - 1))
    return projection @ form.encode_features, form.encode_pixels


def encode_rows(coordinates: Any, split: Split, rows: np.ndarray) -> Float[np.ndarray, "n d"]:
    """Return the coordinates of some images of a split."""
    chunks = torch.from_numpy(rows).split(split.max_batch_size())
    parts = []
    for images, columns in map(split.get_batch, chunks):
        with use_columns(getattr(coordinates, "model", None), columns):
            parts.append(coordinates.encode(images))
    return torch.cat(parts).numpy()


def limit_values(split: Split, dims: int) -> Split:
    """Return at most MAX_VALUES pixel values, but more images than `dims`, evenly spaced."""
    return split.subsample(max(dims + 1, MAX_VALUES // math.prod(split.pixels.shape[1:])))


def load_features(split: Split) -> Float[Tensor, "n q"]:
    features = torch.empty(len(split), *PretrainedEncoder.latent_shape)
    batches = zip(features.split(BATCH), split.iterate_batches(BATCH), strict=True)
    counts = (len(rows.copy_(extract_features(batch.image))) for rows, batch in batches)
    for _ in show_progress(counts, len(split), "features"):
        pass
    return features
