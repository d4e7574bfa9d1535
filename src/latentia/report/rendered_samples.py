"""Images drawn from a model, as commands and the explorer render them."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import Model, get_decoder
from latentia.core.memory import check_picture_memory
from latentia.core.parameters import require_whole_number
from latentia.core.tensors import to_display_channels
from latentia.core.text import pluralize
from latentia.latents.table import tabulate_latents
from latentia.models.latent_diffusion import CLUSTER_COLUMN
from latentia.nets.column_condition import draw_images, get_condition, use_columns
from latentia.report.grids import choose_columns, encode_png, make_grid
from latentia.report.latent_figures import shorten_key
from latentia.report.rendered_images import (
    RenderedImages,
    add_latents,
    add_single_images,
    render_grid,
)
from latentia.runs.folder import RunFolder
from latentia.runs.sampling import format_labels, parse_condition, resolve_sampling


def encode_draws(images: Tensor, cond: Tensor, caption: str) -> bytes:
    """Encode a picture of a condition image, draws under it, and their mean and spread."""
    n, _, *size = images.shape
    cond_image = F.interpolate(to_display_channels(cond[:1].float().cpu()), size, mode="nearest")
    tiles, labels = [cond_image, images.cpu()], ["condition", *(f"draw {k}" for k in range(n))]
    if n > 1:
        sd, mean = torch.std_mean(images.cpu(), 0, correction=1, keepdim=True)
        tiles += [mean, sd / sd.max().clamp(min=1e-6)]
        labels += ["mean", "sd"]
        caption += f"; sd: standard deviation of the draws, white is {sd.max():.2g}"
    n_channels = max(each.shape[1] for each in map(to_display_channels, tiles))
    tiles = [to_display_channels(each).expand(-1, n_channels, -1, -1) for each in tiles]
    grid = torch.cat(tiles)
    picture = make_grid(grid, choose_columns(len(grid)), caption, labels_below=labels)
    return encode_png(picture, caption)


def render_samples(
    run: RunFolder,
    model: Model,
    n: int,
    seed: int,
    sampling_options: dict[str, Any],
    cond: Any = None,
    data: Any = None,
) -> RenderedImages:
    """Draw n new images under a condition, if any; `parse_condition` explains cond and data."""
    require_whole_number("-n", n)
    check_picture_memory(n, run.metadata["images"]["shape"], "-n")
    arguments, prior = resolve_sampling(run, model, sampling_options, cond is not None)
    values = parse_condition(run, model, cond, n, data)
    images, z, decoder = None, None, get_decoder(model)
    if decoder is not None and hasattr(model, "draw_latents"):
        condition = get_condition(model)
        if condition and values is None:
            values = condition.draw(n, seed)
        z = model.draw_latents(n, seed=seed, cond=values, **arguments)  # pyright: ignore
        with use_columns(model, {}, values):
            images = draw_images(decoder, z)
    else:
        images = model.sample(n, seed=seed, cond=values, **arguments)
    column, suffix = getattr(model, "column", None), ""
    labels, captions = [], []
    if values is not None and values.ndim == 1:
        labels = format_labels(run, model, values)
    if labels and cond is not None:
        kind = "group " if column == CLUSTER_COLUMN else ""  # a cluster of latents, not a label
        captions = [kind + shorten_key(label) for label in labels]
        suffix = f", of {kind}{', '.join(dict.fromkeys(labels))}"
    elif values is not None and cond is not None:
        kind = "image " if data is not None else "test image "
        suffix = f", of {kind if str(cond).isdecimal() else ''}{cond}"
    caption = f"{run.name}: samples{suffix}, seed {seed}, {prior}"
    grid = render_grid(images, choose_columns(n), caption, labels_below=captions)
    if values is not None and values.ndim > 1:
        grid.encoders[".png"] = partial(encode_draws, images, values, caption)
    if z is not None:
        table = tabulate_latents(z, [f"sample-{seed}-{k}" for k in range(n)], decoder)
        table = table.assign(condition=labels) if labels else table
        grid = add_latents(grid, table)
    return add_single_images(grid, column or "", labels)


def render_completions(
    run: RunFolder, images: Float[Tensor, "n c h w"], draws: Float[Tensor, "n samples c h w"]
) -> RenderedImages:
    """Show each image, whose hidden pixels are NaN, in a row with its completions."""
    samples = draws.shape[1]
    caption = (
        f"{run.name}: {pluralize(len(images), 'image')}, hidden pixels left blank, and "
        f"{pluralize(samples, 'draw')} of these"
    )
    return render_grid(torch.cat([images[:, None], draws], 1).flatten(0, 1), 1 + samples, caption)
