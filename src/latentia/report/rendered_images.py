"""Images that both the commands and the explorer render, with an encoder for each file suffix."""

from collections.abc import Sequence
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
from latentia.report.grids import (
    Encoders,
    choose_columns,
    encode_gif,
    encode_npy,
    encode_png,
    make_grid,
)
from latentia.report.latent_figures import (
    SINGLE_IMAGE_SIDE,
    make_walk_frames,
    make_walk_grid,
    shorten_key,
)
from latentia.runs.folder import RunFolder
from latentia.runs.sampling import parse_condition, resolve_sampling


class RenderedImages(NamedTuple):
    """Images (n, c, h, w) in [0, 1], and the content of a file by its suffix."""

    images: Tensor
    encoders: Encoders


def render_latents(
    run: RunFolder, model: HasLatents, z: Float[Tensor, "n *latent"]
) -> RenderedImages:
    """Decode latents, one image each."""
    caption = f"{run.name}: {pluralize(len(z), 'latent')}, decoded"
    options = {"min_side": SINGLE_IMAGE_SIDE} if len(z) == 1 else {}
    return render_grid(model.decode(z), choose_columns(len(z)), caption, **options)


def render_reconstructions(
    run: RunFolder, model: HasLatents, images: Float[Tensor, "n c h w"], description: str
) -> RenderedImages:
    """Show originals above their decoded posterior means."""
    pairs = torch.cat([images, model.decode(model.encode(images).mean).cpu()])
    caption = f"{run.name}: {description} above their reconstructions"
    return render_grid(pairs, len(images), caption)


def render_neighbors(
    run: RunFolder,
    model: HasLatents,
    key: str | None,
    image: Tensor,
    split: Split,
    table: LatentTable,
    n: int,
) -> tuple[RenderedImages, list[tuple[int, float]]]:
    """Show an image and the n images of the split with the nearest latents.

    key: the image's key, if it is one of the split; it is no neighbor of itself. Returns also
    (row, distance) of each neighbor.
    """
    rows = evenly_spaced_rows(len(split), len(table.mean)).tolist()
    own_row = next((k for k, row in enumerate(rows) if split.keys[row] == key), None)
    mean = to_flat_array(model.encode(image).mean)[0]
    neighbors = [(rows[k], distance) for k, distance in find_neighbors(mean, table, n, own_row)]
    images = [split.get_batch(slice(row, row + 1)).image for row, _ in neighbors]
    labels = [f"{shorten_key(split.keys[row])}: {distance:.2f}" for row, distance in neighbors]
    count = pluralize(len(table.mean), "image")
    caption = f"{run.name}: nearest of {count} of {split.name}, by distance"
    grid = render_grid(
        torch.cat([image, *images]),
        choose_columns(len(images) + 1),
        caption,
        labels_below=["image", *labels],
    )
    return grid, neighbors


def render_walk(
    run: RunFolder,
    model: HasLatents,
    names: Sequence[str],
    images: Float[Tensor, "n c h w"],
    steps: int,
    spherical: bool,
) -> RenderedImages:
    """Interpolate from image to image in the latent space; a .gif runs there and back."""
    path = interpolate_images(model, images, steps, spherical=spherical)
    caption = f"{run.name}: {'arcs' if spherical else 'straight lines'} in the latents"
    grid_caption = f"{caption}; first and last of a row: the originals"

    def encode_grid() -> bytes:
        return encode_png(make_walk_grid(path, images, names, grid_caption), grid_caption)

    encoders = {
        ".png": encode_grid,
        ".gif": lambda: encode_gif(make_walk_frames(path, caption), there_and_back=True),
        ".npy": lambda: encode_npy(path),
    }
    return RenderedImages(path, encoders)


def render_samples(
    run: RunFolder,
    model: Model,
    n: int,
    seed: int,
    sampling_options: dict[str, Any],
    cond: str | None = None,
    data: str | None = None,
) -> RenderedImages:
    """Draw n samples; cond and data: as in `parse_condition`."""
    arguments, prior = resolve_sampling(run, model, sampling_options, cond is not None)
    values = parse_condition(run, model, cond, n, data) if cond is not None else None
    images = model.sample(n, seed=seed, cond=values, **arguments)
    condition = ""
    if values is not None and cond is not None:
        kind = ""
        if getattr(model, "column", None) == CLUSTER_COLUMN:
            kind = "group "  # a cluster of latents, not a label
        elif values.ndim > 1 and cond.isdecimal():
            kind = "image " if data is not None else "test image "
        condition = f", of {kind}{cond}"
    caption = f"{run.name}: samples{condition}, seed {seed}, {prior}"
    return render_grid(images, choose_columns(n), caption)


def render_grid(images: Tensor, columns: int, caption: str, **options: Any) -> RenderedImages:
    """Arrange images row by row under one caption; options: those of `make_grid`."""
    encoders = {
        ".png": lambda: encode_png(make_grid(images, columns, caption, **options), caption),
        ".npy": lambda: encode_npy(images),
    }
    return RenderedImages(images, encoders)
