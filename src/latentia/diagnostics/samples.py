"""Checks of samples: whether their colours are those of the images."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.missing import MASK_COLUMN, Mask, average_pixels
from latentia.core.tensors import ImageTensor
from latentia.data.splits import evenly_spaced_rows
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import WARNING, CheckResult, define_check
from latentia.diagnostics.run_context import MIN_COVERAGE_IMAGES, RunContext

MAX_SHIFT = 0.25  # of the standard deviation; samples of usual runs are within 0.1
MAX_SPREAD_RATIO = 1.5  # expected images of a VAE are smoother than images, by up to a fifth
MIN_STANDARD_ERRORS = 4.0
MIN_SPREAD = 0.02  # of the range from black to white


def measure_colors(
    images: ImageTensor, mask: Mask | None
) -> tuple[Float[Tensor, "two c"], Float[Tensor, "two c"]]:
    """Return mean and log standard deviation of the channels' pixels, and their standard errors."""
    planes = images.double().flatten(0, 1)[:, None]
    mean, square = (
        average_pixels(x, mask).unflatten(0, images.shape[:2]) for x in (planes, planes.square())
    )
    centre = mean.mean(0)
    deviations = square - 2 * centre * mean + centre.square()  # of each image
    variance = deviations.mean(0).clamp_min(MIN_SPREAD**2)
    errors = torch.stack([mean.std(0), deviations.std(0) / (2 * variance)]) / len(images) ** 0.5
    return torch.stack([centre, variance.log() / 2]), errors


@define_check(
    "samples of another colour",
    threshold=f"a mean more than {MAX_SHIFT:g} of the images' standard deviation away, or a "
    f"standard deviation {MAX_SPREAD_RATIO:g} times above or below theirs, in a channel, and by "
    f"{MIN_STANDARD_ERRORS:g} standard errors",
)
def colors_off_images(context: RunContext) -> CheckResult | None:
    """Mean and standard deviation of the pixels of samples, and of held-out images, by channel.

    Suggested change: --lr at the recipe's default, or more --epochs.
    """
    if context.is_short or not context.complete:
        return None
    samples, split = context.samples, context.held_out
    if min(len(samples), len(split)) < MIN_COVERAGE_IMAGES:
        return None
    images, columns = split.get_batch(evenly_spaced_rows(len(split), len(samples)))
    mask, n = columns.get(MASK_COLUMN), len(images)
    (sampled, error), (real, real_error) = (measure_colors(x[:n], mask) for x in (samples, images))
    difference, spread = sampled - real, real[1].exp()
    limits = torch.stack([MAX_SHIFT * spread, torch.full_like(spread, MAX_SPREAD_RATIO).log()])
    noise = MIN_STANDARD_ERRORS * (error.square() + real_error.square()).sqrt()
    if not (difference.abs() > torch.maximum(limits, noise)).any():
        return None
    shifts = (difference[0] / spread).tolist()
    shift, ratio = max(shifts, key=abs), math.exp(max(difference[1].tolist(), key=abs))
    return CheckResult(
        WARNING,
        f"the mean of the samples' pixels is up to {shift:+.2f} standard deviations from that of "
        f"held-out images, and their standard deviation {ratio:.2f} times theirs (n = "
        f"{n} of each; by channel {', '.join(f'{x:+.2f}' for x in shifts)}).",
        "New images are darker, brighter, paler or tinted, whatever they show.",
        {"shift": shift, "ratio": ratio},
        suggest.reset_parameters(context, "lr") or suggest.train_longer(context),
    )
