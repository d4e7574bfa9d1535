"""A network that adds details to images; at the start it adds none."""

import torch.nn.functional as F
from torch import nn

from latentia.core.tensors import ImageTensor, to_float32
from latentia.nets.image_output import ToImage
from latentia.nets.residual import Residual, init_residual_network, make_leaky_relu

SCALE = 0.25  # of the details, so that first steps of the optimizer are small


class Refiner(nn.Module):
    """Images plus details from residual blocks at half their sides, whose last layer begins at 0.

    Parameters
    ----------
    image_shape : (int, int, int)
        channels, height, width
    width : int
        number of channels of the blocks
    depth : int
        number of residual blocks
    """

    def __init__(self, image_shape: tuple[int, ...], width: int = 32, depth: int = 3):
        super().__init__()
        channels, *sides = image_shape
        self.sides, self.margins = sides, [side % 2 for side in sides]
        stem = nn.Conv2d(4 * channels, width, 3, padding=1)
        blocks = [Residual(width) for _ in range(depth)]
        self.network = nn.Sequential(stem, *blocks, make_leaky_relu())
        self.to_image = ToImage(width, 4 * channels)
        init_residual_network(self)
        nn.init.zeros_(self.to_image.weight)

    def forward(self, images: ImageTensor) -> ImageTensor:
        (h, w), (bottom, right) = self.sides, self.margins
        halved = F.pixel_unshuffle(F.pad(4 * images - 2, (0, right, 0, bottom)), 2)
        details = F.pixel_shuffle(to_float32(self.to_image(self.network(halved))), 2)
        return images + SCALE * details[:, :, :h, :w]
