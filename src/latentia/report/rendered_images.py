"""Images that both the commands and the explorer render, with an encoder for each file suffix."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import Batch, HasDecoder, HasEncoder, HasLatents
from latentia.core.missing import MASK_COLUMN, keep_missing
from latentia.core.text import pluralize
from latentia.data import Split
from latentia.data.splits import evenly_spaced_rows
from latentia.latents.attribution import attribute_pixels
from latentia.latents.encoding import LatentTable, format_rate, name_dims, to_flat_array
from latentia.latents.interpolation import interpolate_images
from latentia.latents.neighbors import find_neighbors
from latentia.latents.table import tabulate_images
from latentia.latents.traversal import Traversal
from latentia.models.pretrained_features import PretrainedEncoder
from latentia.nets.column_condition import decode_latents, use_columns
from latentia.report.figures import make_encoders
from latentia.report.grids import (
    FOLDER,
    MIN_TILE_SIDE,
    Encoders,
    choose_columns,
    encode_files,
    encode_gif,
    encode_npy,
    encode_npz,
    encode_png,
    make_grid,
    save,
)
from latentia.report.latent_figures import (
    SINGLE_IMAGE_SIDE,
    draw_attributions,
    make_traversal_frames,
    make_traversal_grid,
    make_walk_frames,
    make_walk_grid,
    shorten_key,
)
from latentia.runs.folder import RunFolder
from latentia.runs.sampling import format_labels


class RenderedImages(NamedTuple):
    """Images in [0, 1] and their picture, which notebooks show; encoders: its files by suffix.

    table: a row for each image or pair of images, where the picture is one of a search
    """

    images: Tensor
    encoders: Encoders
    caption: str = ""
    table: Any = None  # a pandas.DataFrame

    def save(self, path: Path | str) -> Path:
        """Write the file of the path's suffix, and return its path.

        Raises: Error if the suffix is another, or the path cannot be written.
        """
        return save(path, self.encoders)

    def _repr_png_(self) -> bytes:
        return self.encoders[".png"]()

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape))
        return f"RenderedImages({shape}; save() writes {', '.join(self.encoders)})"


def render_latents(
    run: RunFolder, model: HasDecoder, z: Float[Tensor, "n *latent"], keys: Sequence[str] = ()
) -> RenderedImages:
    """Decode latents, one image each, above its key if it has one."""
    caption = f"{run.name}: {pluralize(len(z), 'latent')}, decoded"
    options: dict[str, Any] = {"labels_below": list(map(shorten_key, keys))}
    options |= {"min_side": SINGLE_IMAGE_SIDE} if len(z) == 1 else {}
    images = decode_latents(model, z)
    return add_single_images(
        render_grid(images, choose_columns(len(z)), caption, **options), "key", keys
    )


def render_reconstructions(
    run: RunFolder, model: HasLatents, batch: Batch, description: str, targets: Tensor | None = None
) -> RenderedImages:
    """Show originals above their decoded posterior means; targets: the label of each row."""
    pairs = torch.cat([batch.image, reconstruct_images(model, batch, targets)])
    caption, labels = f"{run.name}: {description} above their reconstructions", []
    if targets is not None:
        names = format_labels(run, model, targets)
        caption += f" with the {model.column} {', '.join(names)}"  # pyright: ignore
        labels = ["image", *names]
    return render_grid(pairs, len(batch.image), caption, row_labels=labels)


def reconstruct_images(
    model: HasLatents, batch: Batch, targets: Tensor | None = None
) -> Float[Tensor, "n c h w"]:
    """Decode posterior means: with the images' own labels, or all images with each target."""
    parts = []
    for target in [None] if targets is None else targets.split(1):
        with use_columns(model, batch.columns, target):
            decoded = model.decode(model.encode(batch.image).mean)
            parts.append(keep_missing(decoded, batch.image, batch.columns.get(MASK_COLUMN)).cpu())
    return torch.cat(parts)


def render_projections(
    run: RunFolder, images: Float[Tensor, "two_n c h w"], table: Any
) -> RenderedImages:
    """Show images above those of their latents, with the errors; table: the latents."""
    n = len(table)
    caption = f"{run.name}: {pluralize(n, 'image')} above {'its' if n == 1 else 'their'} projection"
    labels = [*map(shorten_key, table["key"]), *(f"error {mse:.2g}" for mse in table["mse"])]
    caption += f", mean squared error per pixel {table['mse'].mean():.2g}"
    options = {"labels_below": labels, "min_side": SINGLE_IMAGE_SIDE if n == 1 else MIN_TILE_SIDE}
    return add_latents(render_grid(images, n, caption, **options), table)


def render_neighbors(
    run: RunFolder,
    model: HasEncoder,
    key: str | None,
    point: tuple[Tensor, Tensor],
    split: Split,
    table: LatentTable,
    n: int,
) -> RenderedImages:
    """Show an image and the n images of the split with the nearest latents.

    key: the image's key, if it is one of the split; it is no neighbour of itself. point: the
    image and its latents.
    """
    image, mean = point
    rows = evenly_spaced_rows(len(split), len(table.mean))
    own_row = next((k for k, row in enumerate(rows.tolist()) if split.keys[row] == key), None)
    positions, distances = find_neighbors(to_flat_array(mean)[0], table, n, own_row)
    neighbors = tabulate_images(split, rows[positions], {"distance": distances})
    count = pluralize(len(table.mean), "image")
    space = "features" if isinstance(model, PretrainedEncoder) else "latents"
    caption = f"{run.name}: nearest of {count} (split {split.name}), by distance of {space}"
    images = torch.cat([image, split.select(rows[positions])[:]])
    labels = ["image", *_label_rows(neighbors, "distance")]
    options = {"labels_below": labels, "min_side": 2 * MIN_TILE_SIDE}
    return render_grid(images, choose_columns(len(images)), caption, neighbors, **options)


def render_outliers(
    run: RunFolder, model: HasLatents, split: Split, scores: dict[str, np.ndarray], n: int
) -> RenderedImages:
    """Show the n images of the split with the largest scores, each beside its reconstruction.

    scores: columns (n,) of the table; the last one gives the order
    """
    column, values = list(scores.items())[-1]
    rows = torch.from_numpy(np.argsort(-values, kind="stable")[:n])
    table = tabulate_images(split, rows, {name: each[rows] for name, each in scores.items()})
    pairs = [
        torch.cat([batch.image, reconstruct_images(model, batch)], 3)
        for batch in split.select(rows).iterate_batches(split.max_batch_size())
    ]
    count, labels = pluralize(len(split), "image"), _label_rows(table, column)
    caption = (
        f"{run.name}: {len(rows)} of {count} (split {split.name}), those of largest {column}, each "
        "beside its reconstruction"
    )
    images, columns = torch.cat(pairs), max(1, choose_columns(len(rows)) // 2)
    options = {"labels_below": labels, "min_side": 2 * MIN_TILE_SIDE}
    return render_grid(images, columns, caption, table, **options)


def _label_rows(table: Any, column: str) -> list[str]:
    pairs = zip(table["key"], table[column], strict=True)
    return [f"{shorten_key(key)}: {value:.3g}" for key, value in pairs]


def render_walk(
    run: RunFolder,
    model: HasDecoder,
    names: Sequence[str],
    images: Float[Tensor, "n c h w"],
    steps: int,
    spherical: bool,
    means: Tensor | None = None,
) -> RenderedImages:
    """Interpolate from image to image in the latent space; a .gif runs there and back.

    means: the latents of the images, if they are known.
    """
    path = interpolate_images(model, images, steps, spherical=spherical, means=means)
    caption = f"{run.name}: {'arcs' if spherical else 'straight lines'} in the latents"
    grid_caption = f"{caption}; first and last of a row: the originals"

    encoders = {
        ".png": lambda: encode_png(make_walk_grid(path, images, names, grid_caption), grid_caption),
        ".gif": lambda: encode_gif(make_walk_frames(path, caption), there_and_back=True),
        ".npy": lambda: encode_npy(path),
    }
    return RenderedImages(path, encoders)


def render_traversal(
    run: RunFolder,
    names: Sequence[str],
    traversal: Traversal,
    image: Float[Tensor, "1 c h w"],
    name: str,
    n: int,
) -> RenderedImages:
    """Show one row for each dimension that moves; n: images of the aggregate posterior, or 1.

    names: those of all dimensions. A .gif moves all dimensions at once, there and back.
    """
    levels, way = traversal.levels, "one latent at a time" if len(names) > 1 else names[0]
    caption = (
        f"{run.name}: {name} along {way}, from the {levels[0]:.1%} to the "
        f"{levels[-1]:.1%} quantile of {pluralize(n, 'image') if n > 1 else 'the prior'}"
    )

    make_frames = partial(make_traversal_frames, traversal, names, caption)
    encoders = {
        ".png": lambda: encode_png(make_traversal_grid(traversal, image, names, caption), caption),
        ".gif": lambda: encode_gif(make_frames(), there_and_back=True),
        ".npy": lambda: encode_npy(traversal.images),
    }
    return RenderedImages(traversal.images, encoders)


def render_attributions(
    run: RunFolder,
    model: HasLatents,
    image: Float[Tensor, "1 c h w"],
    name: str,
    table: LatentTable,
    dims: Sequence[int],
) -> RenderedImages:
    """Map how each pixel changes with each dimension, by one standard deviation of the table."""
    maps = attribute_pixels(model, image, dims, table.aggregate_sd[list(dims)].tolist())
    names = name_dims(model.latent_shape)
    titles = [f"z {names[k]}  {format_rate(table.kl_per_dim, k)}" for k in dims]
    caption = (
        f"{run.name}: {name}, change by one standard deviation of "
        f"{pluralize(len(table.mean), 'image')}"
    )
    reconstruction = model.decode(model.encode(image).mean)

    figure = draw_attributions(maps, image, reconstruction, titles, caption)
    return RenderedImages(maps, {**make_encoders(figure), ".npy": lambda: encode_npy(maps)})


def add_latents(grid: RenderedImages, table: Any) -> RenderedImages:
    """Add a table of the images' latents, and the encoders of its files."""
    grid.encoders[".csv"] = lambda: table.to_csv(index=False, lineterminator="\n").encode()
    grid.encoders[".parquet"] = lambda: table.to_parquet(index=False)
    return grid._replace(table=table)


def add_single_images(grid: RenderedImages, column: str, labels: Sequence[str]) -> RenderedImages:
    """Add the encoders of single images, with a label each, to those of their grid."""
    grid.encoders[".npz"] = lambda: encode_npz(grid.images, labels)
    grid.encoders[FOLDER] = lambda: encode_files(grid.images, grid.caption, column, labels)
    return grid


def render_grid(
    images: Tensor, columns: int, caption: str, table: Any = None, **options: Any
) -> RenderedImages:
    """Arrange images row by row under one caption; options: those of `make_grid`."""
    encoders: Encoders = {
        ".png": lambda: encode_png(make_grid(images, columns, caption, **options), caption),
        ".npy": lambda: encode_npy(images),
    }
    if table is not None:
        encoders[".csv"] = lambda: table.to_csv(index=False, lineterminator="\n").encode()
        encoders[".tsv"] = lambda: table.to_csv(index=False, lineterminator="\n", sep="\t").encode()
        encoders[".json"] = lambda: table.to_json(orient="records", indent=1).encode()
    return RenderedImages(images, encoders, caption, table)
