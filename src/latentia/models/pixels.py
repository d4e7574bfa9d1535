"""The identity of pixels, in the place of the autoencoder of a latent diffusion model."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.gaussian import DiagonalGaussian


class Pixels(nn.Module):
    """Identity between images and latents; without a distortion it is no `HasLatents`.

    Parameters
    ----------
    shape : (c, h, w) of the images
    """

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.image_shape = self.latent_shape = tuple(shape)

    def encode(self, images: Float[Tensor, "b c h w"]) -> DiagonalGaussian:
        """Return the images as Gaussians of variance 0."""
        return DiagonalGaussian(images, torch.full_like(images, -torch.inf))

    def decode(self, z: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Clip to [0, 1]."""
        return z.clamp(0, 1)
