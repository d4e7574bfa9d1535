"""Principal component analysis of the pixels: the baseline of every model with latents."""

import math
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.seeding import restore_global_generators, seed_global_generators
from latentia.core.tensors import ImageTensor
from latentia.data import Images, Split

MAX_VALUES = 16_000_000  # pixel values of the training images that are analysed: 64 MB
OVERSAMPLING, POWER_ITERATIONS = 16, 5  # of the randomized decomposition


_fitted: WeakKeyDictionary[Images, dict[int, "PixelPCA"]] = WeakKeyDictionary()


def fit_pixel_pca(images: Images, dims: int) -> "PixelPCA":
    """Fit a PCA to the training images, once for each object."""
    by_dims = _fitted.setdefault(images, {})
    if dims not in by_dims:
        by_dims[dims] = PixelPCA(images.split("train"), dims)
    return by_dims[dims]


class PixelPCA:
    """The first principal components of a split's pixels, at most `dims`.

    Halko et al. 2011, arXiv 0909.4061. Of large sets, evenly spaced images are analysed.
    """

    def __init__(self, split: Split, dims: int):
        n_pixels = math.prod(split.pixels.shape[1:])
        part = split.subsample(max(dims + 1, MAX_VALUES // n_pixels))
        pixels = torch.cat(
            [batch.image.flatten(1) for batch in part.iterate_batches(part.max_batch_size())]
        ).float()
        self.n_images = len(pixels)
        self.mean = pixels.mean(0)
        self.dims = min(dims, self.n_images - 1, n_pixels)
        rank = min(self.dims + OVERSAMPLING, *pixels.shape)
        with restore_global_generators():
            seed_global_generators(0, "PCA")
            centred = pixels - self.mean
            _, _, axes = torch.svd_lowrank(centred, rank, niter=POWER_ITERATIONS)
        self.axes = axes[:, : self.dims]

    def encode(self, images: ImageTensor) -> Float[Tensor, "b d"]:
        """Return the coordinates of images."""
        return (images.cpu().flatten(1).float() - self.mean) @ self.axes

    def measure_mse(self, images: ImageTensor) -> Float[Tensor, " b"]:
        """Return the mean squared error per pixel of each image's reconstruction."""
        centred = images.cpu().flatten(1).float() - self.mean
        return (centred - centred @ self.axes @ self.axes.T).square().mean(1)
