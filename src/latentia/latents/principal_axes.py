"""Principal axes of the aggregate posterior: coordinates without correlation."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentia.core.contract import HasLatents
from latentia.core.tensors import ImageTensor, PerImage
from latentia.latents.encoding import LatentTable


class RotatedPosterior:
    """A posterior in rotated coordinates (b, d), with the standard deviation of each, if known."""

    def __init__(self, own: Any, mean: Tensor, sd: Tensor | None):
        self.own, self.mean = own, mean
        if sd is not None:
            self.sd = sd

    def kl(self) -> PerImage:
        """Rate of the model's own posterior, which no rotation changes."""
        return self.own.kl()

    def sample(self, eps: Tensor) -> Tensor:
        raise NotImplementedError("draws are those of the model's own posterior")


class PrincipalAxes:
    """A model with latents, in coordinates along the principal axes of its aggregate posterior.

    The first axis has the largest variance of posterior means. Axis and centre come from `table`,
    the latents of the training images. An axis points to where its largest component is positive.
    """

    def __init__(self, model: HasLatents, table: LatentTable):
        self.model = model
        self.latent_shape = (math.prod(model.latent_shape),)
        mean = table.mean.astype(np.float64)
        _, axes = np.linalg.eigh(np.atleast_2d(np.cov(mean.T)))
        axes = axes[:, ::-1]
        largest = np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0)
        self.axes = torch.from_numpy((axes * np.sign(largest)).astype(np.float32))
        self.centre = torch.from_numpy(mean.mean(0).astype(np.float32))

    def encode(self, images: ImageTensor) -> RotatedPosterior:
        own: Any = self.model.encode(images)
        axes = self.axes.to(own.mean)
        mean = (own.mean.flatten(1) - self.centre.to(own.mean)) @ axes
        if not hasattr(own, "sd"):
            return RotatedPosterior(own, mean, None)
        return RotatedPosterior(own, mean, (own.sd.flatten(1).square() @ axes.square()).sqrt())

    def decode(self, z: Tensor) -> ImageTensor:
        return self.model.decode(self.rotate_back(z))

    def distortion(self, z: Tensor, images: ImageTensor) -> PerImage:
        return self.model.distortion(self.rotate_back(z), images)

    def score_latents(self, z: Tensor, images: ImageTensor) -> dict[str, PerImage]:
        return self.model.score_latents(self.rotate_back(z), images)

    def rotate_back(self, z: Tensor) -> Tensor:
        """Return the latents (b, *latent_shape) of the model itself."""
        flat = z @ self.axes.to(z).T + self.centre.to(z)
        return flat.view(-1, *self.model.latent_shape)
