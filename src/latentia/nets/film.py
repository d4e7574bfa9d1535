"""Feature-wise linear modulation (FiLM); Perez et al. 2018, arXiv 1709.07871."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

WIDTH = 8  # features of a number


class FiLM(nn.Module):
    """x * (1 + scale) + shift for each channel, equation 2; initially the identity.

    Scale and shift are a Linear of SiLU(embedding). A single embedding serves all images.
    """

    def __init__(self, width: int, channels: int):
        super().__init__()
        self.linear = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.act = nn.SiLU()

    def forward(
        self, x: Float[Tensor, "b channels *space"], embedding: Float[Tensor, "one_or_b width"]
    ) -> Float[Tensor, "b channels *space"]:
        scale_and_shift = self.linear(self.act(embedding))  # (b, 2 * channels)
        scale, shift = scale_and_shift.unflatten(1, (-1,) + (1,) * (x.ndim - 2)).chunk(2, dim=1)
        return x * (1 + scale) + shift  # (b, channels, *space)


def repeat_vectors(
    vectors: Float[Tensor, "b width"], rows: Float[Tensor, "n ..."]
) -> Float[Tensor, "one_or_n width"]:
    """Repeat the vector of each image for its consecutive rows; one vector serves all."""
    if vectors.shape[0] in (rows.shape[0], 1):
        return vectors
    return vectors.repeat_interleave(rows.shape[0] // vectors.shape[0], 0)


class Modulation(nn.Module):
    """FiLM of a layer's output by the vectors of an embedding; initially the identity.

    embedding: a module with `width`, whose call without arguments returns (1 or b, width). Where
    an image has several rows, they are consecutive.
    """

    embedding: Any

    def __init__(self, channels: int, embedding: Any, channels_last: bool = False):
        super().__init__()
        self.film, self.channels_last = FiLM(embedding.width, channels), channels_last
        self.__dict__["embedding"] = embedding  # not registered: the model holds it once

    def forward(self, x: Float[Tensor, "b *channels_space"]) -> Float[Tensor, "b *channels_space"]:
        vectors = repeat_vectors(self.embedding(), x)
        if self.channels_last and x.ndim > 2:  # a Linear on several vectors per image (attention)
            return self.film(x.movedim(-1, 1), vectors).movedim(1, -1)
        return self.film(x, vectors)


def modulate_layers(net: nn.Module, embedding: Any) -> None:
    """Modulate the output of each linear and convolutional layer of a network, in place."""
    for name, child in net.named_children():
        if isinstance(child, nn.Linear):
            modulation = Modulation(child.out_features, embedding, True)
        elif isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
            modulation = Modulation(child.out_channels, embedding)
        else:
            if not isinstance(child, Modulation):  # by another embedding
                modulate_layers(child, embedding)
            continue
        setattr(net, name, nn.Sequential(child, modulation))


def make_number_features() -> nn.Sequential:
    """Return a network from a number, about -1 to 1, to WIDTH smooth features."""
    first_layer = nn.Linear(1, WIDTH)
    with torch.no_grad():  # thresholds spread over the range, where random ones would cluster
        first_layer.weight.fill_(2.0)
        first_layer.bias.copy_(-2 * torch.linspace(-1.2, 1.2, WIDTH))
    return nn.Sequential(first_layer, nn.SiLU(), nn.Linear(WIDTH, WIDTH))
