"""What a report shows of a learned prior: from noise to image, what was asked, loss by time."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.data import Split
from latentia.report.figures import BLUE, make_panels, to_svg

N_FRAMES, N_BINS, MAX_COLUMNS = 9, 20, 20


@torch.no_grad()
def decode_trajectory(model: Any, n_samples: int = 4, seed: int = 0) -> Float[Tensor, "n c h w"]:
    """Row by row: one sample, decoded at FRAMES moments of its way from noise."""
    steps = list(model.sample_trajectory(n_samples, seed=seed))
    indices = torch.linspace(0, len(steps) - 1, N_FRAMES).round().long().tolist()
    frames = torch.stack([model.autoencoder.decode(steps[k]) for k in indices], 1)
    return frames.flatten(0, 1)


@torch.no_grad()
def sample_conditions(
    model: Any, split: Split, n_images: int = 10
) -> tuple[Float[Tensor, "n c h w"], str]:
    """What was asked of the model, drawn in columns; and what the rows are.

    A class: one column each, of the first MOST, samples below. An image: the condition, two
    samples, the truth.
    """
    if model.classes:
        names = split.classes.get(model.column) or list(map(str, range(model.classes)))
        names = names[:MAX_COLUMNS]
        labels = torch.arange(len(names)).repeat(4)
        return model.sample(len(labels), cond=labels), f"columns: {', '.join(names)}"
    batch = split.get_batch(slice(0, n_images))
    cond = batch.columns[model.column]
    samples = [model.sample(len(cond), cond=cond, seed=seed) for seed in (0, 1)]
    size = batch.image.shape[2:]
    condition_images = torch.nn.functional.interpolate(
        cond, size
    )  # nearest: a pattern's pixels are seen
    condition_images = condition_images.mean(1, keepdim=True).expand_as(batch.image)
    row_text = "rows: condition, two samples of it, the true image"
    return torch.cat([condition_images, *samples, batch.image]), row_text


@torch.no_grad()
def draw_error_by_time(model: Any, split: Split, seed: int = 0, max_images: int = 5000) -> str:
    """The denoising error of held-out images, per latent dimension, over time."""
    sums, counts = torch.zeros(N_BINS), torch.zeros(N_BINS)
    for batch, step_context in split.subsample(max_images).iterate_with_context(
        split.max_batch_size(), seed
    ):
        t, error = model.sample_denoising_error(batch, step_context)
        bins = (t * N_BINS).ceil().long().clamp(1, N_BINS) - 1
        sums.index_add_(0, bins.cpu(), error.float().cpu())
        counts.index_add_(0, bins.cpu(), torch.ones(len(bins)))
    mean_errors = (
        sums / counts / model.latent_mean.numel()
    ).tolist()  # nan, and so no point, at none
    with make_panels(1, width=5.0) as (figure, (axis,)):
        axis.plot([(k + 0.5) / N_BINS for k in range(N_BINS)], mean_errors, color=BLUE, marker=".")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("time: 0 data, 1 noise")
        axis.set_title(f"error of the {model.path.target}, 1/2 square per latent dimension")
        return to_svg(figure)
