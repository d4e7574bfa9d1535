"""The pictures that commands write and the explorer shows: made in one place, so the same."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasLatents, Model
from latentia.core.text import pluralize
from latentia.data import Split
from latentia.data.splits import evenly_spaced_rows
from latentia.latents.encoding import LatentTable, to_flat_array
from latentia.latents.interpolation import interpolate_images
from latentia.latents.neighbors import find_neighbors
from latentia.models.latent_diffusion import CLUSTER_COLUMN
from latentia.report.grids import choose_columns, encode_gif, encode_npy, encode_png, make_grid
from latentia.report.latent_figures import (
    SINGLE_IMAGE_SIDE,
    make_walk_frames,
    make_walk_grid,
    shorten_key,
)
from latentia.runs.folder import RunFolder
from latentia.runs.sampling import parse_condition, resolve_sampling


class RenderedImages(NamedTuple):
    """Images (n, c, h, w) in [0, 1], and what a file of each ending holds."""

    images: Tensor
    encoders: dict[str, Callable[[], bytes]]


def render_latents(
    run: RunFolder, model: HasLatents, z: Float[Tensor, "n *latent"]
) -> RenderedImages:
    """One picture a latent."""
    images = model.decode(z)
    grid_options = {"least": SINGLE_IMAGE_SIDE} if len(z) == 1 else {}
    return render_grid(
        images,
        choose_columns(len(z)),
        f"{run.name}: {pluralize(len(z), 'latent')}, decoded",
        **grid_options,
    )


def render_reconstructions(
    run: RunFolder, model: HasLatents, images: Float[Tensor, "n c h w"], description: str
) -> RenderedImages:
    """Originals above their decoded posterior means."""
    pairs = torch.cat([images, model.decode(model.encode(images).mean).cpu()])
    caption = f"{run.name}: {description} above their reconstructions"
    return render_grid(pairs, len(images), caption)


def render_neighbours(
    run: RunFolder,
    model: HasLatents,
    key: str | None,
    image: Tensor,
    split: Split,
    latent_table: LatentTable,
    n_neighbours: int,
) -> tuple[RenderedImages, list[tuple[int, float]]]:
    """The image, then the n of the split whose latents lie nearest; and these, with distances.

    key: of the image, if it is one of the data; it is not its own neighbour.
    """
    rows = evenly_spaced_rows(len(split), len(latent_table.mean)).tolist()
    own_row = next((k for k, row in enumerate(rows) if split.keys[row] == key), None)
    mean = to_flat_array(model.encode(image).mean)[0]
    nearest_rows = [
        (rows[k], distance)
        for k, distance in find_neighbors(mean, latent_table, n_neighbours, excluded_row=own_row)
    ]
    images = torch.cat(
        [image, *(split.get_batch(slice(row, row + 1)).image for row, _ in nearest_rows)]
    )
    labels_below = [
        "image",
        *(f"{shorten_key(split.keys[row])}: {distance:.2f}" for row, distance in nearest_rows),
    ]
    caption = f"{run.name}: nearest of {pluralize(len(latent_table.mean), 'image')} of {split.name}, by distance"
    return render_grid(
        images, choose_columns(len(images)), caption, under=labels_below
    ), nearest_rows


def render_walk(
    run: RunFolder,
    model: HasLatents,
    names: Sequence[str],
    end_images: Float[Tensor, "n c h w"],
    steps: int,
    spherical: bool,
) -> RenderedImages:
    """A walk from image to image through their latents; as a .gif, there and back."""
    walk_images = interpolate_images(model, end_images, steps, spherical=spherical)
    line_kind = "arcs" if spherical else "straight lines"
    caption = f"{run.name}: {line_kind} in the latents"
    grid_caption = f"{caption}; first and last of a row: the originals"
    encoders = {
        ".png": lambda: encode_png(
            make_walk_grid(walk_images, end_images, names, grid_caption), grid_caption
        ),
        ".gif": lambda: encode_gif(make_walk_frames(walk_images, caption), there_and_back=True),
        ".npy": lambda: encode_npy(walk_images),
    }
    return RenderedImages(walk_images, encoders)


def render_samples(
    run: RunFolder,
    model: Model,
    n_samples: int,
    seed: int,
    sampling_options: dict[str, Any],
    cond: str | None = None,
    data: str | None = None,
) -> RenderedImages:
    """n images drawn by seed, of the condition in words, under the sampling options wanted.

    data: as `condition` takes it.
    """
    sampling_arguments, prior_text = resolve_sampling(
        run, model, sampling_options, is_conditional=cond is not None
    )
    conditions = parse_condition(run, model, cond, n_samples, data) if cond is not None else None
    images = model.sample(n_samples, seed=seed, cond=conditions, **sampling_arguments)
    is_cluster = getattr(model, "column", None) == CLUSTER_COLUMN  # groups of latents, not labels
    is_image_condition = (
        conditions is not None and conditions.ndim > 1 and cond is not None and cond.isdecimal()
    )
    condition_kind = (
        "group "
        if is_cluster
        else f"{'test ' if data is None else ''}image "
        if is_image_condition
        else ""
    )
    condition_text = f", of {condition_kind}{cond}" if cond is not None else ""
    return render_grid(
        images,
        choose_columns(n_samples),
        f"{run.name}: samples{condition_text}, seed {seed}, {prior_text}",
    )


def render_grid(images: Tensor, columns: int, caption: str, **grid_options: Any) -> RenderedImages:
    """Images row by row under one caption; how: as `lay` takes it."""
    encoders = {
        ".png": lambda: encode_png(make_grid(images, columns, caption, **grid_options), caption),
        ".npy": lambda: encode_npy(images),
    }
    return RenderedImages(images, encoders)
