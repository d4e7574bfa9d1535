"""Principal component analyses: the baselines of every model with latents."""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.tensors import ImageTensor, PerImage
from latentia.data import Images, Split
from latentia.models.joint_pca import fit_joint_pca, fit_principal_components
from latentia.models.pretrained_features import PretrainedEncoder, get_encoder

MAX_VALUES = 16_000_000  # pixel values of the training images that are analysed: 64 MB
MAX_FEATURE_IMAGES = 5000  # whose features are analysed, which takes a minute on one core

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
        self.mean, self.axes, *_ = fit_principal_components(pixels, dims)
        self.dims, self.n_images = self.axes.shape[1], len(pixels)
        self.title = f"PCA of {self.dims} dimensions"

    def encode(self, images: ImageTensor) -> Float[Tensor, "b d"]:
        return (images.cpu().flatten(1).float() - self.mean) @ self.axes

    def measure_mse(self, images: ImageTensor) -> PerImage:
        centred = images.cpu().flatten(1).float() - self.mean
        return (centred - centred @ self.axes @ self.axes.T).square().mean(1)


class FeaturePCA:
    """Principal components of pretrained features; or of pixels and features together.

    Images are decoded by least squares, which for pixels and features is the PCA's own decoder.
    """

    def __init__(self, split: Split, encoder: PretrainedEncoder, dims: int, is_joint: bool):
        split = limit_values(split.subsample(MAX_FEATURE_IMAGES), dims)
        encoder.prepare(split)
        pixels, self.encoder = load_pixels(split), encoder
        features = encoder.encode(pixels.view(-1, *split.pixels.shape[1:])).mean
        self.joint = fit_joint_pca(pixels, features, dims) if is_joint else None
        self.features = fit_principal_components(features, dims)
        kind = "joint PCA" if is_joint else "feature PCA"
        self.title = f"{kind} of {dims} dimensions"
        self.mean, z = pixels.mean(0), self._encode_features(pixels, features)
        self.axes = torch.linalg.lstsq(z, pixels - self.mean).solution

    def encode(self, images: ImageTensor) -> Float[Tensor, "b d"]:
        features = self.encoder.encode(images).mean
        return self._encode_features(images.cpu().flatten(1).float(), features)

    def _encode_features(self, pixels: Tensor, features: Tensor) -> Float[Tensor, "b d"]:
        if self.joint:
            return self.joint.encode(pixels, features)
        return self.features.encode(features)

    def measure_mse(self, images: ImageTensor) -> PerImage:
        decoded = self.mean + self.encode(images) @ self.axes
        return (decoded - images.cpu().flatten(1)).square().mean(1)


def fit_pixel_pca(images: Images, dims: int) -> PixelPCA:
    """Fit a PCA to the training images, once for each object."""
    fitted = _fitted.setdefault(images, {})
    if dims not in fitted:
        fitted[dims] = PixelPCA(images.split("train"), dims)
    return fitted[dims]


def fit_feature_pca(images: Images, dims: int, is_joint: bool) -> FeaturePCA:
    """Fit a PCA that sees pretrained features to the training images, once for each object."""
    fitted = _fitted.setdefault(images, {})
    if (dims, is_joint) not in fitted:
        encoder = get_encoder(images)
        fitted[dims, is_joint] = FeaturePCA(images.split("train"), encoder, dims, is_joint)
    return fitted[dims, is_joint]


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
