"""Figures of a learned prior: from noise to image, conditional samples, error over time."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentia.data import Split
from latentia.data.examples import draw_example_rows
from latentia.data.splits import draw_permutation
from latentia.nets.column_condition import get_condition
from latentia.report.figures import BLUE, make_panels, to_svg

N_FRAMES, N_BINS, MAX_ROWS, MAX_IMAGES = 9, 20, 20, 5000


@torch.no_grad()
def decode_trajectory(model: Any) -> Float[Tensor, "n c h w"]:
    """Decode each of four samples at 9 steps of its way from noise; one sample a row."""
    steps = list(model.sample_trajectory(4, seed=0))
    indices = torch.linspace(0, len(steps) - 1, N_FRAMES).round().long().tolist()
    frames = torch.stack([model.autoencoder.decode(steps[k]) for k in indices], 1)
    return frames.flatten(0, 1)


@torch.no_grad()
def sample_conditions(
    model: Any, split: Split, n_columns: int
) -> tuple[Float[Tensor, "n c h w"], list[str]]:
    """Return conditional samples in rows of so many, with a label for each row.

    A row is a class; of more than 20, 20 are drawn by seed. For a condition that is an image the
    rows are the condition, two samples, and the true image; of numbers they are the quartiles.
    """
    if model.num_classes:
        names = split.classes.get(model.column) or list(map(str, range(model.num_classes)))
        classes = sorted(draw_permutation(len(names), 0, "examples")[:MAX_ROWS].tolist())
        labels = torch.tensor(classes).repeat_interleave(n_columns)
        return model.sample(len(labels), cond=labels), [names[k] for k in classes]
    if condition := get_condition(model):
        numbers = condition.distribution[:: len(condition.distribution) // 4]
        cond = numbers.repeat_interleave(n_columns)
        return model.sample(len(cond), cond=cond), [f"{number:.3g}" for number in numbers.tolist()]
    batch = split.get_batch(draw_example_rows(split, n_columns))
    cond = batch.columns[model.column]
    samples = [model.sample(len(cond), cond=cond, seed=seed) for seed in (0, 1)]
    images = F.interpolate(cond, batch.image.shape[2:])  # nearest: pixels stay visible
    conditions = images.mean(1, keepdim=True).expand_as(batch.image)
    labels = ["condition", "sample", "sample", "true image"]
    return torch.cat([conditions, *samples, batch.image]), labels


@torch.no_grad()
def draw_error_by_time(model: Any, split: Split) -> str:
    """Draw the denoising error of held-out images, per latent dimension, over time."""
    sums, counts = torch.zeros(N_BINS), torch.zeros(N_BINS)
    subset = split.subsample(MAX_IMAGES)
    for batch, context in subset.iterate_with_context(split.max_batch_size(), seed=0):
        t, error = model.sample_denoising_error(batch, context)
        bins = (t * N_BINS).ceil().long().clamp(1, N_BINS) - 1
        sums.index_add_(0, bins.cpu(), error.float().cpu())
        counts.index_add_(0, bins.cpu(), torch.ones(len(bins)))
    # an empty bin is nan, which is not drawn
    errors = (sums / counts / math.prod(model.latent_shape)).tolist()
    with make_panels(1, width=5.0) as (figure, (axis,)):
        axis.plot([(k + 0.5) / N_BINS for k in range(N_BINS)], errors, color=BLUE, marker=".")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("time (0: data, 1: noise)")
        axis.set_ylabel("per latent dimension")
        axis.set_title(f"half the squared error of the predicted {model.path.target}")
        return to_svg(figure)
