"""Random transformations of images, for training on few of them; Karras et al. 2020."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import StepContext
from latentia.core.seeding import uniform
from latentia.core.tensors import ImageTensor, to_float32

MAX_ANGLE, MAX_SHIFT = math.radians(15), 1 / 8  # of rotate, and of shift as a fraction of a side
MAX_BRIGHTNESS, MAX_CONTRAST, MAX_SATURATION = 0.1, 0.25, 0.5
# Of `shift_images`. Of photographs of clothing at 64x56 shifts by 6 were worse than none after 14
# epochs, and by 3 better; of CIFAR-10 at 32x32 shifts by 3 and by 4 were alike.
MAX_SHIFT_PIXELS = 3
N_NUMBERS = 3  # random numbers that a transformation of an image takes at most

Numbers = Float[Tensor, "b 3"]  # uniform in [0, 1)


def flip(images: ImageTensor, numbers: Numbers) -> ImageTensor:
    return torch.where(_expand(numbers[:, 0] < 0.5), images.flip(3), images)


def rotate90(images: ImageTensor, numbers: Numbers) -> ImageTensor:
    turns = torch.stack([images.rot90(k, (2, 3)) for k in range(4)])
    quarters = (4 * numbers[:, 0]).long()
    return turns[quarters, torch.arange(len(images), device=images.device)]


def rotate(images: ImageTensor, numbers: Numbers) -> ImageTensor:
    angle = (2 * numbers[:, 0] - 1) * MAX_ANGLE
    h, w = images.shape[2:]
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cos, -sin * h / w, zero, sin * w / h, cos, zero]
    return _resample(images, torch.stack(rows, 1).unflatten(1, (2, 3)))


def shift(images: ImageTensor, numbers: Numbers) -> ImageTensor:
    sizes = images.new_tensor(images.shape[:1:-1])  # width, height
    pixels = ((2 * numbers[:, :2] - 1) * (MAX_SHIFT * sizes)).round()
    identity = torch.eye(2).to(images).expand(len(images), 2, 2)
    return _resample(images, torch.cat([identity, (2 * pixels / sizes)[:, :, None]], 2))


def colour(images: ImageTensor, numbers: Numbers) -> ImageTensor:
    brightness, contrast, saturation = map(_expand, (2 * numbers - 1).unbind(1))
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (1 + MAX_SATURATION * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * (1 + MAX_CONTRAST * contrast)
    return images + MAX_BRIGHTNESS * brightness


TRANSFORMATIONS: dict[str, Callable[[ImageTensor, Numbers], ImageTensor]] = {
    each.__name__: each for each in (flip, rotate90, rotate, shift, colour)
}


class Augmentation:
    """Random transformations T of images; differentiable, and the identity without names.

    An adversary that sees T(real) and T(drawn) learns of T nothing that its generator could draw:
    with a probability below 1 the distribution of T(x) determines that of x (Karras et al. 2020,
    arXiv 2006.06676, section 2.2). An image and the drawn image of its row are transformed alike.

    Parameters
    ----------
    names : transformations in their order, of TRANSFORMATIONS
    probability : share of images that each transformation changes
    """

    def __init__(self, names: Sequence[str] = (), probability: float = 0.8):
        self.names, self.probability = names, probability

    def __call__(self, images: ImageTensor, context: StepContext, kinds: int = 1) -> ImageTensor:
        """Transform the images (kinds b, c, h, w) of a step, alike those of each kind."""
        rows = to_float32(images[: len(images) // kinds])
        for name in self.names:
            numbers = uniform(context, f"augment/{name}", rows, (1 + N_NUMBERS,)).repeat(kinds, 1)
            transformed = TRANSFORMATIONS[name](images, numbers[:, 1:])
            images = torch.where(_expand(numbers[:, 0] < self.probability), transformed, images)
        return images


def _expand(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _resample(images: ImageTensor, theta: Float[Tensor, "b 2 3"]) -> ImageTensor:
    """Bilinear images of affine maps, mirrored at the edges."""
    grid = F.affine_grid(theta, list(images.shape), align_corners=False).to(images)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def shift_images(images: ImageTensor, places: Float[Tensor, "b 2"]) -> ImageTensor:
    """Shift images by at most 3 pixels and a tenth of their sides, and mirror them at the edges.

    places: of each image from 0, the furthest down and right, to below 1, the furthest up and left
    """
    sides, device = images.shape[2:], images.device
    reach = [min(MAX_SHIFT_PIXELS, side // 10) for side in sides]
    starts = (places * (2 * torch.tensor(reach, device=device) + 1)).long()
    rows, columns = (
        start[:, None] + torch.arange(side, device=device)
        for start, side in zip(starts.T, sides, strict=True)
    )
    margins = [pixels for pixels in reversed(reach) for _ in range(2)]
    number = torch.arange(len(images), device=device)[:, None, None]
    shifted = F.pad(images, margins, "reflect")[number, :, rows[:, :, None], columns[:, None]]
    return shifted.permute(0, 3, 1, 2)
