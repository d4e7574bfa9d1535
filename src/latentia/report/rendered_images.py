"""The pictures that commands write and the explorer shows: made in one place, so the same."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasLatents, Model
from latentia.core.text import counted
from latentia.data import Split
from latentia.data.splits import evenly
from latentia.latents.encoding import Codes, flat
from latentia.latents.interpolation import interpolate
from latentia.latents.neighbors import nearest
from latentia.models.latent_diffusion import CLUSTER
from latentia.report.grids import columns_for, gif, lay, npy, png
from latentia.report.latent_figures import LARGE, brief, walk_frames, walk_sheet
from latentia.runs.folder import RunFolder
from latentia.runs.sampling import parse_condition, resolve_sampling


class Sheet(NamedTuple):
    """Images (n, c, h, w) in [0, 1], and what a file of each ending holds."""

    images: Tensor
    kinds: dict[str, Callable[[], bytes]]


def decoded(run: RunFolder, model: HasLatents, z: Float[Tensor, "n *latent"]) -> Sheet:
    """One picture a latent."""
    images = model.decode(z)
    size = {"least": LARGE} if len(z) == 1 else {}
    return sheet(
        images, columns_for(len(z)), f"{run.name}: {counted(len(z), 'latent')}, decoded", **size
    )


def reconstructed(
    run: RunFolder, model: HasLatents, images: Float[Tensor, "n c h w"], what: str
) -> Sheet:
    """Originals above their decoded posterior means."""
    pairs = torch.cat([images, model.decode(model.encode(images).mean).cpu()])
    caption = f"{run.name}: {what} above their reconstructions"
    return sheet(pairs, len(images), caption)


def neighbours(
    run: RunFolder,
    model: HasLatents,
    key: str | None,
    image: Tensor,
    part: Split,
    over: Codes,
    n: int,
) -> tuple[Sheet, list[tuple[int, float]]]:
    """The image, then the n of the split whose latents lie nearest; and these, with distances.

    key: of the image, if it is one of the data; it is not its own neighbour.
    """
    rows = evenly(len(part), len(over.mean)).tolist()
    own = next((k for k, row in enumerate(rows) if part.keys[row] == key), None)
    mean = flat(model.encode(image).mean)[0]
    found = [(rows[k], distance) for k, distance in nearest(mean, over, n, but=own)]
    images = torch.cat([image, *(part.batch(slice(row, row + 1)).image for row, _ in found)])
    under = ["image", *(f"{brief(part.keys[row])}: {distance:.2f}" for row, distance in found)]
    caption = (
        f"{run.name}: nearest of {counted(len(over.mean), 'image')} of {part.name}, by distance"
    )
    return sheet(images, columns_for(len(images)), caption, under=under), found


def walked(
    run: RunFolder,
    model: HasLatents,
    names: Sequence[str],
    ends: Float[Tensor, "n c h w"],
    steps: int,
    spherical: bool,
) -> Sheet:
    """A walk from image to image through their latents; as a .gif, there and back."""
    path = interpolate(model, ends, steps, spherical=spherical)
    how = "arcs" if spherical else "straight lines"
    caption = f"{run.name}: {how} in the latents"
    ends_said = f"{caption}; first and last of a row: the originals"
    kinds = {
        ".png": lambda: png(walk_sheet(path, ends, names, ends_said), ends_said),
        ".gif": lambda: gif(walk_frames(path, caption), back=True),
        ".npy": lambda: npy(path),
    }
    return Sheet(path, kinds)


def sampled(
    run: RunFolder,
    model: Model,
    n: int,
    seed: int,
    wanted: dict[str, Any],
    cond: str | None = None,
    data: str | None = None,
) -> Sheet:
    """n images drawn by seed, of the condition in words, under the sampling options wanted.

    data: as `condition` takes it.
    """
    how, prior = resolve_sampling(run, model, wanted, asked=cond is not None)
    told = parse_condition(run, model, cond, n, data) if cond is not None else None
    images = model.sample(n, seed=seed, cond=told, **how)
    groups = getattr(model, "column", None) == CLUSTER  # groups of latents, not labels
    pictured = told is not None and told.ndim > 1 and cond is not None and cond.isdecimal()
    kind = "group " if groups else f"{'test ' if data is None else ''}image " if pictured else ""
    given = f", of {kind}{cond}" if cond is not None else ""
    return sheet(images, columns_for(n), f"{run.name}: samples{given}, seed {seed}, {prior}")


def sheet(images: Tensor, columns: int, caption: str, **how: Any) -> Sheet:
    """Images row by row under one caption; how: as `lay` takes it."""
    kinds = {
        ".png": lambda: png(lay(images, columns, caption, **how), caption),
        ".npy": lambda: npy(images),
    }
    return Sheet(images, kinds)
