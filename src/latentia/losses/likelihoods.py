"""Likelihoods p(image | latents), whose exact negative logarithm is the distortion."""

import inspect
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import StepContext
from latentia.core.distributed import all_reduce_sum, world_size
from latentia.core.gaussian import LOG_2PI
from latentia.core.missing import sum_pixels, use_mask
from latentia.core.modes import evaluation_mode
from latentia.core.seeding import uniform
from latentia.core.tensors import ImageTensor, PerImage, to_float32
from latentia.losses.registry import LIKELIHOODS, likelihood

BINARY_SHARE = 0.8  # of pixels nearly black or white, from which a Bernoulli fits
Outputs = Float[Tensor, "b outputs h w"]  # of a decoder


class Likelihood(nn.Module):
    """Base class; it takes a decoder's raw output, since an earlier sigmoid loses gradients.

    Parameters
    ----------
    *args, **kwargs
        parameters of the subclass, which implements `nll`

    Attributes
    ----------
    outputs_per_channel : int
        number of outputs of the decoder for each channel of a pixel
    notes : list of str
        messages to the user about why it was chosen

    Examples
    --------
    >>> import latentia, torch
    >>> class Laplace(latentia.Likelihood):
    ...     def nll(self, output, image):
    ...         return self.sum_pixels((self.mean(output) - image).abs())
    >>> Laplace().nll(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
    tensor([2.])
    """

    outputs_per_channel = 1
    mask: Tensor | None = None  # of the images in use: see `core.missing`

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def sum_pixels(self, values: Float[Tensor, "b c h w"]) -> PerImage:
        """Sum a value of each pixel and channel over the image, without its missing pixels."""
        return sum_pixels(values, self.mask)

    def leaves_out_missing(self, image_shape: Sequence[int]) -> bool:
        """Whether an image without an observed pixel costs nothing, as `sum_pixels` ensures."""
        output = torch.zeros(1, *self.output_shape(image_shape))
        image = output.new_zeros(1, *image_shape)
        with evaluation_mode(self), use_mask(SimpleNamespace(likelihood=self), image[:, :1]):
            return self.nll(output, image).item() == 0

    def output_shape(self, image_shape: Sequence[int]) -> tuple[int, int, int]:
        """The shape of a decoder's output for images (c, h, w)."""
        c, h, w = image_shape
        return self.outputs_per_channel * c, h, w

    def observe(self, image: ImageTensor, context: StepContext) -> ImageTensor:
        """The observed image, which may be drawn from the grey values."""
        return image

    def metadata(self) -> dict[str, Any]:
        """What run.json records about the observed images."""
        return {}

    def nll(self, output: Outputs, image: ImageTensor) -> PerImage:
        """-log p(image | output), nats per image, summed over pixels and channels."""
        raise NotImplementedError

    def lowest_nll(self, image: ImageTensor) -> PerImage | None:
        """The `nll` of a perfect reconstruction, such as the entropy of grey values, if known."""

    def use_error(self, rmse: Tensor) -> None:
        """Begin with the spread that fits this root mean squared error of a pixel, if any does."""

    def mean(self, output: Outputs) -> ImageTensor:
        """The expected image, in [0, 1]."""
        return to_float32(output).sigmoid()

    def sample(self, output: Outputs, noise: ImageTensor) -> ImageTensor:
        """Draw an image, a function of standard normal noise."""
        raise NotImplementedError


@likelihood("bernoulli")
class Bernoulli(Likelihood):
    """Bernoulli likelihood; for grey values a cross-entropy without its normalising constant.

    Parameters
    ----------
    binary : bool
        whether images are black and white. Grey values are then probabilities of white, drawn anew
        at each training step, and once in evaluation (seed 0 in every run)

    Examples
    --------
    >>> import latentia, torch
    >>> latentia.Bernoulli().nll(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
    tensor([2.7726])
    """

    def __init__(self, binary: bool = False):
        super().__init__()
        self.binary = binary

    def observe(self, image: ImageTensor, context: StepContext) -> ImageTensor:
        if not self.binary:
            return image
        if self.training:
            quantile = uniform(context, "binarise", image, image.shape[1:])
        else:
            quantile = uniform(context._replace(seed=0), "binarise/once", image, image.shape[1:])
        return (quantile < image).to(image)

    def metadata(self) -> dict[str, Any]:
        description = "training images anew at each step; in evaluation once, by seed 0"
        return {"binarised": description} if self.binary else {}

    def sample(self, output: Outputs, noise: ImageTensor) -> ImageTensor:
        return (torch.special.ndtr(noise) < self.mean(output)).to(noise)

    def nll(self, output: Outputs, image: ImageTensor) -> PerImage:
        logits, targets = to_float32(output), to_float32(image)
        nll = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return self.sum_pixels(nll)

    def lowest_nll(self, image: ImageTensor) -> PerImage:
        grey = to_float32(image)
        return -self.sum_pixels(grey.xlogy(grey) + (1 - grey).xlogy(1 - grey))


class Gaussian(Likelihood):
    """N(image; sigmoid(output), sigma^2) with its constant; all pixels share one sigma.

    Parameters
    ----------
    sigma : float, "learned" or "optimal"
        a number (sqrt(1/2) gives the summed squared error), learned by gradient, or the root mean
        squared error of each training batch, and its running mean in evaluation (Rybkin et al.
        2021, "Simple and effective VAE training with calibrated decoders")

    Attributes
    ----------
    by_beta : nn.Module or None
        its output, a number or one per image, is added to log sigma

    Examples
    --------
    >>> import latentia, torch
    >>> latentia.Gaussian(sigma=1.0).nll(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5))
    tensor([3.6758])
    """

    by_beta: nn.Module | None

    def __init__(self, sigma: float | Literal["learned", "optimal"] = math.sqrt(0.5)):
        super().__init__()
        self.by_beta = None
        self.sigma_rule = sigma if isinstance(sigma, str) else "fixed"
        initial = torch.tensor(math.log(sigma) if isinstance(sigma, float | int) else math.log(0.5))
        if self.sigma_rule == "learned":
            self.log_sigma = nn.Parameter(initial)
        else:
            self.register_buffer("log_sigma", initial)

    def compute_log_sigma(self) -> Tensor:
        """Return log sigma, a number, or (b, 1, 1, 1) if each image has its own beta."""
        if self.by_beta is None:
            return self.log_sigma
        return self.log_sigma + to_float32(self.by_beta()).view(-1, 1, 1, 1)

    def use_error(self, rmse: Tensor) -> None:
        if self.sigma_rule != "fixed":
            self.log_sigma.data.copy_(rmse.log())

    def unclipped_mean(self, output: Outputs) -> ImageTensor:
        """The mean of the Gaussian, which may lie outside [0, 1]."""
        return self.mean(output)

    def sample(self, output: Outputs, noise: ImageTensor) -> ImageTensor:
        return self.unclipped_mean(output) + self.compute_log_sigma().exp() * noise

    def nll(self, output: Outputs, image: ImageTensor) -> PerImage:
        error = (self.unclipped_mean(output) - to_float32(image)).square()
        log_sigma = self.compute_log_sigma().to(error.dtype)
        if self.sigma_rule == "optimal" and self.training:
            # of the global batch; detached, since the gradient by the optimal sigma is 0
            if self.mask is None:
                mse = all_reduce_sum(error.detach().mean()) / world_size()
            else:
                total, count = (
                    sum_pixels(x, self.mask).sum()
                    for x in (error.detach(), error.new_ones(error.shape))
                )
                mse = all_reduce_sum(total) / all_reduce_sum(count).clamp_min(1)
            log_sigma = 0.5 * mse.clamp_min(1e-6).log()
            self.log_sigma.lerp_(log_sigma.to(self.log_sigma.dtype), 0.05)
        nll = 0.5 * error * (-2 * log_sigma).exp() + log_sigma + 0.5 * LOG_2PI
        return self.sum_pixels(nll)

    def lowest_nll(self, image: ImageTensor) -> PerImage:
        constant = (self.compute_log_sigma().flatten() + 0.5 * LOG_2PI).expand(len(image))
        if self.mask is None:
            return constant * image[0].numel()
        return constant * self.sum_pixels(torch.ones_like(image))


@likelihood("gaussian")
def make_adaptive_gaussian() -> Gaussian:
    """Gaussian whose variance fits each batch best."""
    return Gaussian("optimal")


class SymmetricGaussian(Gaussian):
    """N(image; (output + 1) / 2, sigma^2), for networks whose outputs lie in [-1, 1].

    The expected image is clipped, the distortion is not, so that it has a gradient everywhere.

    Parameters
    ----------
    sigma : float, "learned" or "optimal"
        as in `Gaussian`

    Examples
    --------
    >>> import latentia, torch
    >>> latentia.SymmetricGaussian().mean(torch.full((1, 1, 1, 1), 3.0)).item()
    1.0
    """

    def unclipped_mean(self, output: Outputs) -> ImageTensor:
        return (to_float32(output) + 1) / 2

    def mean(self, output: Outputs) -> ImageTensor:
        return self.unclipped_mean(output).clamp(0, 1)


@likelihood("auto")
def choose_likelihood(images: Any) -> Likelihood:
    """Bernoulli for images that are nearly black and white, else the adaptive Gaussian."""
    share = images.levels.extreme_share
    reason = "no image is black and white"
    if share:
        reason = f"{share:.0%} of the pixels are within 5 % of black or white"
        reason += f" (Bernoulli from {BINARY_SHARE:.0%})"
    result = Bernoulli() if share >= BINARY_SHARE else make_adaptive_gaussian()
    result.notes = [
        f"likelihood: {type(result).__name__}, since {reason}; --likelihood takes another."
    ]
    return result


def create_likelihood(name: str, images: Any) -> Any:
    """Create a registered likelihood; those with a parameter `images` take the training images."""
    make: Any = LIKELIHOODS[name]
    return make(images=images) if "images" in inspect.signature(make).parameters else make()
