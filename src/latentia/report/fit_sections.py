"""Sections of a fit's report: map, samples of the prior, traversals, outliers, commands."""

import html
import math
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasLatents
from latentia.core.text import pluralize
from latentia.data import Images, Split
from latentia.data.examples import draw_example_rows
from latentia.data.splits import evenly_spaced_rows
from latentia.latents.encoding import LatentTable, encode_split
from latentia.latents.outliers import score_outliers
from latentia.latents.principal_axes import PrincipalAxes
from latentia.latents.traversal import traverse_dims
from latentia.models.pretrained_features import PACKAGE, extract_features
from latentia.report.prior_figures import sample_conditions
from latentia.report.rendered_images import render_outliers
from latentia.report.sections import Picture, Section, embed_image, make_grid_section
from latentia.runs.create import FIT_FILE
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_json

MAP_IMAGES, MAP_CELLS, MAP_SIDE = 5000, 24, 32  # images; thumbnails a side, and their pixels
N_AXES, SHOWN_AXES, STEPS = 8, 3, 9  # of traversals
N_SAMPLES, N_OUTLIERS = 48, 12


def make_fit_sections(run: RunFolder, images: Images, model: Any) -> list[Section]:
    """Return the first sections of the report of `latentia fit`; none for other runs."""
    content = read_json(run.path / FIT_FILE)
    if not content or not isinstance(model, HasLatents):
        return []
    split = images.split("all")
    table = encode_split(model, split, MAP_IMAGES)
    scores = score_outliers(model, split, "error", lambda: table)
    outliers = render_outliers(run, model, split, scores, N_OUTLIERS)
    picture = Picture(embed_image(outliers.encoders[".png"](), "outliers"))
    commands = Picture(f"<pre>{html.escape(chr(10).join(content['commands']))}</pre>")
    return [
        _make_map_section(run, model, split, table),
        *_make_sample_sections(run, split),
        _make_traversal_section(run, model, split, table),
        Section("Unusual images", "The largest errors of the reconstruction.", [picture]),
        Section("Commands", "These commands give the same run without a clock.", [commands]),
    ]


def _make_map_section(run: RunFolder, model: Any, split: Split, table: LatentTable) -> Section:
    """Place images by the ranks of their first two principal axes; one image in each cell."""
    points = PrincipalAxes(model, table).rotate_table(table).mean[:, :2]
    ranks = points.argsort(0, kind="stable").argsort(0, kind="stable")
    side = min(MAP_CELLS, math.ceil(len(ranks) ** 0.5))
    cells = ranks * side // len(ranks)
    column, row = cells[:, 0], side - 1 - cells[:, -1]
    places, chosen = np.unique(row * side + column, return_index=True)
    rows = evenly_spaced_rows(len(split), MAP_IMAGES)[torch.from_numpy(chosen)]
    tiles = split.get_batch(rows).image
    if max(tiles.shape[2:]) > MAP_SIDE:
        scale = MAP_SIDE / max(tiles.shape[2:])
        tiles = F.interpolate(tiles, scale_factor=scale, mode="bicubic", antialias=True).clamp(0, 1)
    canvas = torch.full((side**2, *tiles.shape[1:]), torch.nan)
    canvas[torch.from_numpy(places)] = tiles
    caption = (
        f"{run.name}: {len(tiles)} of {pluralize(len(split), 'image')}, by their ranks along the "
        "first principal axis of the latents (to the right) and the second (upwards)"
    )
    return make_grid_section("Map of the images", canvas, side, caption, min_side=MAP_SIDE)


def _make_sample_sections(run: RunFolder, split: Split) -> list[Section]:
    path = run.path.with_name(f"{run.path.name}-prior")
    if not (path / "weights.safetensors").exists():
        return []
    folder = RunFolder.open(path)
    prior: Any = folder.model()
    if prior.column in split.classes:
        samples, layout = sample_conditions(prior, split)
        title, columns = f"New images by {prior.column}", len(samples) // 4
    else:
        samples, layout = prior.sample(N_SAMPLES, seed=0), pluralize(N_SAMPLES, "sample")
        title, columns = "New images", N_SAMPLES // 4
    return [make_grid_section(title, samples, columns, f"{folder.name}: {layout}, seed 0")]


def _make_traversal_section(
    run: RunFolder, model: Any, split: Split, table: LatentTable
) -> Section:
    """Move an image along those of the first principal axes that change it most."""
    axes = PrincipalAxes(model, table)
    image = split.get_batch(draw_example_rows(split, 1)).image
    dims = range(min(N_AXES, table.mean.shape[1]))
    images = traverse_dims(axes, image, axes.rotate_table(table), dims, STEPS).images  # pyright: ignore
    order = measure_change(images[:, 0], images[:, -1]).argsort(descending=True)[:SHOWN_AXES]
    names = [f"axis {dim}" for dim in order.tolist()]
    caption = f"{run.name}: an image along principal axes, from the 2 % to the 98 % quantile"
    title, tiles = "What the coordinates mean", images[order].flatten(0, 1)
    return make_grid_section(title, tiles, STEPS, caption, row_labels=names)


def measure_change(
    first: Float[Tensor, "n c h w"], last: Float[Tensor, "n c h w"]
) -> Float[Tensor, " n"]:
    """Squared distance of pretrained features, or of pixels if those are not installed."""
    if find_spec(PACKAGE):
        first, last = extract_features(first), extract_features(last)
    return (last - first).square().flatten(1).sum(1)
