"""Encoder and decoder that begin as principal components, for vectors of latents."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.tensors import ImageTensor, PerImage, to_float32
from latentia.nets.film import repeat_vectors
from latentia.nets.image_output import ToImage
from latentia.nets.label_effect import LabelEffect
from latentia.nets.residual import Residual, init_residual_network, make_leaky_relu

EDGE = 0.01  # pixel values below it and above 1 - it have logits on a straight line


class Sides:
    """Sides and channels of the layers of both networks, from half an image's sides downwards.

    Parameters
    ----------
    image_shape : (int, int, int)
        channels, height, width
    width : int
        half the number of channels at half the image's sides

    Attributes
    ----------
    channels : list of int
        number of channels of each level; the first level has the largest sides
    grid : list of int
        sides of the last level
    margins : list of int
        rows and columns that are added to an image, so that its sides can be halved so often
    """

    def __init__(self, image_shape: tuple[int, int, int], width: int):
        sides = image_shape[1:]
        n_levels = max(1, int(math.log2(max(min(sides) / 4, 1))))
        self.grid = [math.ceil(side / 2**n_levels) for side in sides]
        self.margins = [g * 2**n_levels - side for g, side in zip(self.grid, sides, strict=True)]
        self.channels = [2 * width * min(2**level, 4) for level in range(n_levels)]

    def halve(self, images: ImageTensor) -> Tensor:
        """Return images at half their sides, whose channels are from -2 to 2."""
        bottom, right = self.margins
        return F.pixel_unshuffle(F.pad(4 * images - 2, (0, right, 0, bottom)), 2)


class PrincipalEncoder(nn.Module):
    """Posterior of the latents: means by a matrix, plus a residual network that begins at zero.

    The network sees the pixels alone. Variances are the same for all images.

    Parameters
    ----------
    image_shape : (int, int, int)
        channels, height, width
    latent : int
        number of latent dimensions
    n_axes : int
        number of principal components of the features; 0 reads the pixels alone
    width : int
        half the number of channels at half the image's sides
    """

    pixel_mean: Tensor
    pixel_axes: Tensor
    feature_axes: Tensor
    logvar: Tensor

    def __init__(self, image_shape: tuple[int, int, int], latent: int, n_axes: int, width: int):
        super().__init__()
        self.sides = sides = Sides(image_shape, width)
        channels = sides.channels
        stem = nn.Conv2d(4 * image_shape[0], channels[0], 3, padding=1)
        layers: list[nn.Module] = [stem, Residual(channels[0]), make_leaky_relu()]
        for c_in, c_out in pairwise(channels):
            halving = nn.Conv2d(c_in, c_out, 4, stride=2, padding=1)
            layers += [halving, Residual(c_out), make_leaky_relu()]
        self.network = nn.Sequential(*layers, nn.Flatten())
        self.to_mean = nn.Linear(channels[-1] * math.prod(sides.grid), latent)
        init_residual_network(self)
        nn.init.zeros_(self.to_mean.weight)
        self.image_shape, self.latent_shape = image_shape, (latent,)
        self.register_buffer("pixel_mean", torch.zeros(math.prod(image_shape)))
        self.register_buffer("pixel_axes", torch.zeros(math.prod(image_shape), latent))
        self.register_buffer("feature_axes", torch.zeros(n_axes, latent))
        self.register_buffer("logvar", torch.zeros(latent))

    def forward(
        self, images: ImageTensor, features: Float[Tensor, "b axes"] | None = None
    ) -> Float[Tensor, "b two_d"]:
        with torch.autocast(images.device.type, enabled=False):
            mean = (to_float32(images).flatten(1) - self.pixel_mean) @ self.pixel_axes
            if features is not None:
                mean = mean + features @ self.feature_axes
        mean = mean + to_float32(self.to_mean(self.network(self.sides.halve(images))))
        return torch.cat([mean, self.logvar.expand_as(mean)], 1)

    def measure_features(
        self, mean: Float[Tensor, "b d"], features: Float[Tensor, "b axes"]
    ) -> PerImage:
        """Return the expectation of -log p(features | latents) of the linear model, in nats."""
        axes = self.feature_axes.T * (-self.logvar).exp()[:, None]  # (d, axes), noise of variance 1
        error = (features - mean @ axes).square().sum(1) + self.logvar.exp() @ axes.square().sum(1)
        return 0.5 * (error + features.shape[1] * math.log(2 * math.pi))


class PrincipalDecoder(nn.Module):
    """Logits of pixels: a linear map of the latents, plus a residual network that begins at zero.

    The network sees the linear image, and the latents with noise.

    Parameters
    ----------
    latent : int
        number of latent dimensions
    image_shape : (int, int, int)
        channels, height, width
    width : int
        half the number of channels at half the image's size

    Attributes
    ----------
    noise : float
        standard deviation of what training adds to the latents that the network sees
    label_effect : LabelEffect or None
        what the labels of images add to their pixels
    """

    noise = 0.0
    label_effect: LabelEffect | None

    pixel_mean: Tensor
    axes: Tensor
    sigma: Tensor

    def __init__(self, latent: int, image_shape: tuple[int, int, int], width: int):
        super().__init__()
        self.image_shape, self.sides, c = image_shape, Sides(image_shape, width), image_shape[0]
        channels, self.label_effect = self.sides.channels[::-1], None
        self.register_buffer("pixel_mean", torch.zeros(math.prod(image_shape)))
        self.register_buffer("axes", torch.zeros(latent, math.prod(image_shape)))
        self.register_buffer("sigma", torch.ones(()))  # root mean squared error of the linear map
        self.from_latents = nn.Linear(latent, channels[0] * math.prod(self.sides.grid))
        upsampling: list[nn.Module] = []
        for c_in, c_out in pairwise(channels):
            upsampling += [Residual(c_in), nn.Conv2d(c_in, 4 * c_out, 1), nn.PixelShuffle(2)]
        self.upsample = nn.Sequential(*upsampling)
        self.from_image = nn.Conv2d(4 * c, channels[-1], 3, padding=1)
        blocks = [Residual(channels[-1]) for _ in range(2)]
        self.blocks = nn.Sequential(*blocks, make_leaky_relu())
        self.to_image = ToImage(channels[-1], 4 * c)
        init_residual_network(self)
        nn.init.zeros_(self.to_image.weight)

    def forward(
        self, z: Float[Tensor, "b d"], eps: Float[Tensor, "b d"] | None = None
    ) -> Float[Tensor, "b c h w"]:
        linear = self.decode_linearly(z)
        noisy = z if eps is None else z + self.noise * eps
        x = self.upsample(self.from_latents(noisy).unflatten(1, (-1, *self.sides.grid)))
        h, w = self.image_shape[1:]
        x = self.blocks(x + self.from_image(self.sides.halve(linear)))
        residual = to_float32(F.pixel_shuffle(self.to_image(x), 2))[:, :, :h, :w]
        return extend_logit(linear + self.sigma * residual)

    def decode_linearly(self, z: Float[Tensor, "b d"]) -> Float[Tensor, "b c h w"]:
        """Return the image of the linear map, which may leave [0, 1]."""
        with torch.autocast(z.device.type, enabled=False):
            pixels = self.pixel_mean + to_float32(z) @ self.axes
            if self.label_effect:
                pixels = pixels + repeat_vectors(self.label_effect(), z)
        return pixels.unflatten(1, self.image_shape)


def extend_logit(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Logit, continued by its tangents outside [0.01, 0.99], so that it has a gradient anywhere."""
    inner = x.clamp(EDGE, 1 - EDGE)
    return inner.logit() + (x - inner) / (EDGE * (1 - EDGE))
