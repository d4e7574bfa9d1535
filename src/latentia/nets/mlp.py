"""Fully connected encoder and decoder."""

import itertools
import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn


def make_perceptron(widths: Sequence[int], activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Return Linear layers of these widths with an activation between them."""
    layers: list[nn.Module] = []
    for in_features, out_features in itertools.pairwise(widths):
        layers += [nn.Linear(in_features, out_features), activation()]
    return nn.Sequential(*layers[:-1])


class MLPEncoder(nn.Module):
    """Fully connected encoder: images to means and log-variances."""

    def __init__(
        self,
        shape: Sequence[int],
        latent: int,
        hidden: Sequence[int] = (400,),
        activation: type[nn.Module] = nn.ReLU,
    ):
        super().__init__()
        self.image_shape, self.latent_shape = tuple(shape), (latent,)
        # one Linear for both heads: the same parameters as two, in one matrix product
        self.layers = make_perceptron([math.prod(shape), *hidden, 2 * latent], activation)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b two_latent"]:
        x = image.flatten(1)  # (b, c * h * w)
        return self.layers(x)  # (b, 2 * latent): means, then log-variances


class MLPDecoder(nn.Module):
    """Fully connected decoder: latents to images before the output activation."""

    def __init__(
        self,
        latent: int,
        shape: Sequence[int],
        hidden: Sequence[int] = (400,),
        activation: type[nn.Module] = nn.ReLU,
    ):
        super().__init__()
        self.shape = tuple(shape)
        self.layers = make_perceptron([latent, *hidden, math.prod(shape)], activation)

    def forward(self, z: Float[Tensor, "b latent"]) -> Float[Tensor, "b c h w"]:
        return self.layers(z).unflatten(1, self.shape)  # (b, c, h, w), no sigmoid
