"""The identity of pixels, in the place of the autoencoder of a latent diffusion model."""

from collections.abc import Sequence

import torch
from torch import nn

from latentia.core.gaussian import DiagonalGaussian
from latentia.core.tensors import ImageTensor


class Pixels(nn.Module):
    """Identity between images and latents; without a distortion it is no `HasLatents`.

    Parameters
    ----------
    shape : (c, h, w) of the images
    """

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.image_shape = self.latent_shape = tuple(shape)

    def encode(self, images: ImageTensor) -> DiagonalGaussian:
        """Return the images as Gaussians of variance 0."""
        return DiagonalGaussian(images, torch.full_like(images, -torch.inf))

    def decode(self, z: ImageTensor) -> ImageTensor:
        """Clip to [0, 1]."""
        return z.clamp(0, 1)
