"""What a report shows of a learned prior: from noise to image, what was asked, loss by time."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.data import Split
from latentia.report.figures import BLUE, panels, svg

FRAMES, BINS, MOST = 9, 20, 20


@torch.no_grad()
def film(model: Any, rows: int = 4, seed: int = 0) -> Float[Tensor, "n c h w"]:
    """Row by row: one sample, decoded at FRAMES moments of its way from noise."""
    steps = list(model.trajectory(rows, seed=seed))
    at = torch.linspace(0, len(steps) - 1, FRAMES).round().long().tolist()
    frames = torch.stack([model.autoencoder.decode(steps[k]) for k in at], 1)
    return frames.flatten(0, 1)


@torch.no_grad()
def asked(model: Any, split: Split, n: int = 10) -> tuple[Float[Tensor, "n c h w"], str]:
    """What was asked of the model, drawn in columns; and what the rows are.

    A class: one column each, of the first MOST, samples below. An image: the condition, two
    samples, the truth.
    """
    if model.classes:
        names = split.classes.get(model.column) or list(map(str, range(model.classes)))
        names = names[:MOST]
        labels = torch.arange(len(names)).repeat(4)
        return model.sample(len(labels), cond=labels), f"columns: {', '.join(names)}"
    batch = split.batch(slice(0, n))
    cond = batch.columns[model.column]
    drawn = [model.sample(len(cond), cond=cond, seed=seed) for seed in (0, 1)]
    size = batch.image.shape[2:]
    shown = torch.nn.functional.interpolate(cond, size)  # nearest: a pattern's pixels are seen
    shown = shown.mean(1, keepdim=True).expand_as(batch.image)
    rows = "rows: condition, two samples of it, the true image"
    return torch.cat([shown, *drawn, batch.image]), rows


@torch.no_grad()
def error_by_time(model: Any, split: Split, seed: int = 0, most: int = 5000) -> str:
    """The denoising error of held-out images, per latent dimension, over time."""
    sums, counts = torch.zeros(BINS), torch.zeros(BINS)
    for batch, moment in split.some(most).moments(split.at_once(), seed):
        t, error = model.timed_error(batch, moment)
        bins = (t * BINS).ceil().long().clamp(1, BINS) - 1
        sums.index_add_(0, bins.cpu(), error.float().cpu())
        counts.index_add_(0, bins.cpu(), torch.ones(len(bins)))
    per = (sums / counts / model.latent_mean.numel()).tolist()  # nan, and so no point, at none
    with panels(1, wide=5.0) as (figure, (axis,)):
        axis.plot([(k + 0.5) / BINS for k in range(BINS)], per, color=BLUE, marker=".")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("time: 0 data, 1 noise")
        axis.set_title(f"error of the {model.path.target}, 1/2 square per latent dimension")
        return svg(figure)
