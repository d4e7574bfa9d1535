"""Likelihood of integer grey levels."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentia.core.contract import StepContext
from latentia.core.tensors import ImageTensor, PerImage, to_float32
from latentia.losses.likelihoods import Likelihood, Outputs
from latentia.losses.registry import likelihood


class DiscretizedLogistic(Likelihood):
    """Logistic density summed over each grey level, so that its nats are those of the image file.

    The ends hold all mass below the lowest and above the highest level (Salimans et al. 2017,
    arXiv 1701.05517, section 2.1, with one component). Images are observed at their levels.

    Parameters
    ----------
    levels : int
        number of grey levels, 256 for 8 bits
    channels : int
        number of channels; each learns a scale

    Examples
    --------
    >>> import latentia, torch
    >>> from latentia.losses.discretized import DiscretizedLogistic
    >>> likelihood = DiscretizedLogistic(levels=4, channels=1)
    >>> levels = torch.linspace(0, 1, 4).view(4, 1, 1, 1)
    >>> likelihood.nll(torch.zeros(4, 1, 1, 1), levels).neg().exp().sum().item()
    1.0
    """

    def __init__(self, levels: int, channels: int):
        super().__init__()
        self.levels = levels
        self.log_scale = nn.Parameter(torch.full((channels, 1, 1), math.log(0.1)))

    def use_error(self, rmse: Tensor) -> None:
        self.log_scale.data.fill_(math.log(rmse.item() * math.sqrt(3) / math.pi))

    def observe(self, image: ImageTensor, context: StepContext) -> ImageTensor:
        return (image * (self.levels - 1)).round() / (self.levels - 1)

    def nll(self, output: Outputs, image: ImageTensor) -> PerImage:
        return self._nll(self.mean(output), to_float32(image))

    def lowest_nll(self, image: ImageTensor) -> PerImage:
        return self._nll(to_float32(image), to_float32(image))

    def _nll(self, mean: ImageTensor, image: ImageTensor) -> PerImage:
        scale = self.log_scale.to(image.dtype).exp()
        half_width = 0.5 / (self.levels - 1)
        upper, lower = ((image + sign * half_width - mean) / scale for sign in (1, -1))
        is_lowest, is_highest = image < half_width, image > 1 - half_width
        # sigmoid(upper) - sigmoid(lower), without the difference of nearly equal numbers
        log_mass = torch.where(is_highest, 0.0, F.logsigmoid(upper))
        log_mass = log_mass + torch.where(is_lowest, 0.0, F.logsigmoid(-lower))
        inner = (-torch.expm1(-2 * half_width / scale)).log()
        log_mass = log_mass + torch.where(is_lowest | is_highest, 0.0, inner)
        return -self.sum_pixels(log_mass)

    def sample(self, output: Outputs, noise: ImageTensor) -> ImageTensor:
        shift = self.log_scale.exp() * torch.special.ndtr(noise).logit(eps=1e-6)
        top = self.levels - 1
        return ((self.mean(output) + shift) * top).round().clamp(0, top) / top


@likelihood("discretized")
def make_discretized_logistic(images: Any) -> DiscretizedLogistic:
    """Logistic density summed over the images' own grey levels, with a learned scale a channel."""
    return DiscretizedLogistic(images.levels.require_count(), images.shape[0])
