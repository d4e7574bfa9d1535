"""The first screen of a report: a map of the images, samples, traversals, outliers, yardsticks."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from matplotlib.colors import to_rgb

from latentia.core.contract import get_autoencoder
from latentia.core.tensors import ImageTensor, to_display_channels
from latentia.core.text import pluralize
from latentia.data import Split
from latentia.data.examples import draw_example_rows
from latentia.latents.clusters import find_clusters, weigh_dims
from latentia.latents.encoding import SAMPLE, LatentTable, encode_split
from latentia.latents.outliers import measure_mahalanobis
from latentia.latents.principal_axes import PrincipalAxes
from latentia.latents.traversal import Traversal, traverse_dims
from latentia.metrics.distribution import estimate_kernel_distance
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.yardsticks import tabulate_yardsticks
from latentia.models.pretrained_features import NAME, extract_features
from latentia.nets.column_condition import use_columns, use_rows
from latentia.report.baselines import MAX_DIMS
from latentia.report.cluster_sheet import arrange_clusters
from latentia.report.latent_figures import shorten_key
from latentia.report.prior_figures import sample_conditions
from latentia.report.sections import Picture, Section, make_grid_section
from latentia.runs.folder import RunFolder
from latentia.runs.priors import find_learned_prior
from latentia.runs.sampling import resolve_sampling

MAP_SIDE, TILE_SIDE = 20, 32  # cells of a side of the map, and pixels of a small image's side
N_AXES, N_SHOWN, N_EXAMPLES, N_STEPS = 16, 3, 4, 5  # of the traversals
N_OUTLIERS, N_COLUMNS = 8, 10
N_TYPICAL = 3  # images of a group, and strange ones: more make the words of the column too small
MIN_COMPARED = 50  # samples, and images, of the kernel distance: fewer leave mostly noise
N_COMPARED = 200  # samples, and images, of the kernel distance: seconds of a pretrained network
# of a label's classes, as in the explorer: frames of the map's images
COLOURS = (
    *("#2f6fd0", "#c2571a", "#2b8a5a", "#8450c4", "#b03060"),
    *("#7a6a10", "#1888a0", "#6a7280", "#c04fb0", "#5a8f1f"),
)
NO_CLASS = "#dddddd"  # of code -1
FIRST_TEXT = "These coordinates are final; the training that improves the pictures goes on."
YARDSTICK_TEXT = (
    "The run's coordinates beside others of as many dimensions, on the same images: squared error "
    "of reconstructions (± one standard error over images), and labels read by linear probes, out "
    "of fold, with 95 % interval over images. Chance: the same for permuted labels."
)
FEATURE_TEXT = (
    " Feature PCA: of the features of a pretrained network, decoded by least squares; joint PCA: "
    "of pixels and features together."
)


def make_first_overview(evaluation: Evaluation) -> list[Section]:
    """Return map and unusual images of a model whose coordinates no training changes."""
    overview = Overview(evaluation, evaluation.images.split("all").subsample(SAMPLE))
    return [overview.make_map()._replace(text=FIRST_TEXT), overview.make_outliers()]


def make_overview(evaluation: Evaluation, samples: ImageTensor) -> list[Section]:
    """Return the sections of the first screen; without latents the samples only."""
    model, images = get_autoencoder(evaluation.model), evaluation.images.split("all")
    section = make_sample_section(evaluation, samples)
    if model is None or len(images) < 3 or math.prod(model.latent_shape) > MAX_DIMS:
        return [section]
    overview = Overview(evaluation, images.subsample(SAMPLE))
    return [
        overview.make_map(),
        section,
        overview.make_traversals(),
        overview.make_outliers(),
        make_yardstick_section(evaluation),
        overview.make_clusters(),
    ]


def make_sample_section(evaluation: Evaluation, samples: ImageTensor) -> Section:
    """Return samples of the run's learned prior, or of its own, by condition if there is one."""
    prior = find_learned_prior(evaluation.run)
    run, model = (prior, prior.model()) if prior else (evaluation.run, evaluation.model)
    column = getattr(model, "column", None)
    if column is not None:
        title = f"Samples conditioned on {column}"
        images, labels = sample_conditions(model, evaluation.split, N_COLUMNS)
    else:
        title, labels = "Samples", []
        images = model.sample(len(samples), seed=0) if prior else samples
    sampling = resolve_sampling(run, model, {}, column is not None)[1]
    caption = f"{run.name}: {pluralize(len(images), 'sample')}, seed 0, {sampling}."
    caption += describe_distance(evaluation, prior) if prior else ""
    style: Any = {"row_labels": labels, "min_side": TILE_SIDE}
    return make_grid_section(title, images, N_COLUMNS, caption, **style)


def describe_distance(evaluation: Evaluation, prior: RunFolder) -> str:
    """Return the kernel distance of samples of a learned prior, beside that of real images."""
    features = NAME if evaluation.has_photograph_features else "pixels"
    compared = Evaluation(prior, evaluation.images, evaluation.split, features, N_COMPARED)
    if compared.other_images is None:
        return ""
    n = min(len(compared.rows), len(compared.other_images))
    if n < MIN_COMPARED:
        return f" No kernel distance to {n} real images: of fewer than {MIN_COMPARED} it is noise."
    real, floor = compared.real_features, compared.other_features
    assert floor is not None
    distance, least = (
        estimate_kernel_distance(real, each) for each in (compared.sample_features, floor)
    )
    return (
        f" Kernel distance to {evaluation.split.name} images in the features {features}: {distance}"
        f" of {distance.n[1]} samples (conditions as in the data), {least} of {least.n[1]} real "
        "images, the floor (± half of the 95 % interval)."
    )


def make_yardstick_section(evaluation: Evaluation) -> Section:
    """Return the table of errors and labels, by the coordinates."""
    table = tabulate_yardsticks(evaluation)
    table = table if len(table.columns) < len(table) else table.T  # of many labels
    caption = YARDSTICK_TEXT + FEATURE_TEXT * bool(evaluation.others)
    return Section("Yardsticks", "", [Picture(table.to_html(border=0, justify="left"), caption)])


@dataclass(frozen=True)
class Overview:
    """Pictures of a run's coordinates of some images, evenly spaced in the data set."""

    evaluation: Evaluation
    images: Split

    @cached_property
    def table(self) -> LatentTable:
        return encode_split(self.evaluation.autoencoder, self.images)

    @cached_property
    def axes(self) -> PrincipalAxes:
        return PrincipalAxes(self.evaluation.autoencoder, self.table)

    @cached_property
    def rotated(self) -> LatentTable:
        return self.axes.rotate_table(self.table)

    def describe_axis(self, k: int) -> str:
        if self.axes.is_own:
            values, unit = self.table.kl, "rate"
            assert values is not None
            values = values.mean(0)
        else:
            values, unit = self.rotated.mean.var(0), "variance"
        return f"{values[k] / max(values.sum(), 1e-12):.1%} of the {unit}"

    def get_thumbnails(self, rows: list[int]) -> ImageTensor:
        tiles = self.images.get_batch(torch.tensor(rows)).image
        return F.avg_pool2d(tiles, max(1, max(tiles.shape[2:]) // TILE_SIDE), ceil_mode=True)

    def make_map(self) -> Section:
        """Return thumbnails in the plane of the first two principal axes."""
        points = self.rotated.mean[:, :2]
        cells = assign_cells(points, MAP_SIDE)
        tiles, legend = self.frame_classes([*cells.values()])
        canvas = torch.full((MAP_SIDE**2, *tiles.shape[1:]), torch.nan)
        canvas[[*cells]] = tiles
        up = f"; up: axis 1 ({self.describe_axis(1)})" if points.shape[1] > 1 else ""
        caption = (
            f"{len(tiles)} of {pluralize(len(self.images), 'image')}: each cell of the plane shows "
            "the one nearest to its middle. To the right: principal axis 0 of the coordinates "
            f"({self.describe_axis(0)}){up}."
        )
        section = make_grid_section("Map", canvas, MAP_SIDE, caption, min_side=TILE_SIDE)
        picture = section.pictures[0]
        return section._replace(pictures=[picture._replace(html=picture.html + legend)])

    def frame_classes(self, rows: list[int]) -> tuple[ImageTensor, str]:
        """Return thumbnails, framed in the colours of a label with few classes, and the legend."""
        tiles, split = self.get_thumbnails(rows), self.images
        columns = [k for k, names in split.classes.items() if 1 < len(names or ()) <= len(COLOURS)]
        if not columns:
            return tiles, ""
        column = "label" if "label" in columns else columns[0]
        names, codes = split.classes[column] or [], split.columns[column][rows]
        palette = torch.tensor([to_rgb(colour) for colour in (*COLOURS, NO_CLASS)])
        tiles, widths = to_display_channels(tiles), [max(1, max(tiles.shape[2:]) // 12)] * 4
        framed = F.pad(tiles.expand(-1, 3, -1, -1), widths, value=torch.nan)
        frames = palette[codes][:, :, None, None].expand_as(framed)
        items = [
            f'<span><i style="background:{colour}"></i>{html.escape(name)}</span>'
            for name, colour in zip(names, COLOURS, strict=False)
        ]
        legend = f'<div class="legend">{html.escape(column)}: {"".join(items)}</div>'
        return framed.where(~framed.isnan(), frames), legend

    def make_traversals(self) -> Section:
        """Return the three principal axes along which images change most."""
        examples, columns = self.images.get_batch(draw_example_rows(self.images, N_EXAMPLES))
        dims = range(min(N_AXES, self.rotated.mean.shape[1]))

        def traverse(k: int, dims: Sequence[int], steps: int) -> Traversal:
            model, image = self.evaluation.autoencoder, examples[k : k + 1]
            with use_columns(model, columns), use_rows(model, [k]):
                mean, _ = self.axes.rotate(model.encode(image).mean, None)
                return traverse_dims(self.axes, image, self.rotated, dims, steps, mean)

        ends = [traverse(k, dims, 2).images for k in range(len(examples))]
        low, high = torch.stack(ends).unbind(2)  # (examples, axes, c, h, w)
        by_features = self.evaluation.has_photograph_features
        describe = extract_features if by_features else torch.nn.Flatten()
        change = describe(high.flatten(0, 1)) - describe(low.flatten(0, 1))
        change = change.norm(dim=1).view(len(examples), -1).mean(0)
        chosen = sorted(change.argsort(descending=True)[:N_SHOWN].tolist())
        rows, values = [], []
        for k, dim in enumerate(chosen[: len(examples)]):
            traversal = traverse(k, [dim], N_STEPS)
            rows += [examples[k : k + 1], traversal.images[0]]
            values += ["original", *(f"{value:+.2f}" for value in traversal.values[0])]
        labels = [f"axis {k}\n{self.describe_axis(k)}".replace("of the ", "of\n") for k in chosen]
        caption = (
            f"Three images, each moved along one of the principal axes that change "
            f"{'features' if by_features else 'pixels'} most (of the first {len(dims)}), from low "
            "to high values of the data set, which are printed below the images."
        )
        style: Any = {"row_labels": labels, "min_side": 2 * TILE_SIDE}
        images = torch.cat(rows)
        return make_grid_section("Traversals", images, 1 + N_STEPS, caption, values, **style)

    def make_outliers(self) -> Section:
        """Return the images whose coordinates are most unusual, with their keys."""
        distances = measure_mahalanobis(self.table.mean, self.table)
        rows = np.argsort(-distances, kind="stable")[:N_OUTLIERS].tolist()
        labels = [f"{shorten_key(self.images.keys[k], 18)}\n{distances[k]:.3g}" for k in rows]
        caption = (
            f"Images with the largest Mahalanobis distances of their coordinates, of "
            f"{pluralize(len(distances), 'image')}: below each its key and distance (median: "
            f"{np.median(distances):.3g}). latentia outliers lists more, also by error."
        )
        tiles, style = self.get_thumbnails(rows), {"min_side": 3 * TILE_SIDE}
        return make_grid_section("Unusual images", tiles, N_OUTLIERS // 2, caption, labels, **style)

    def make_clusters(self) -> Section:
        """Return the groups of the images, whose number the gap statistic chooses.

        A single group, and groups that other seeds and resamples do not repeat, have no picture.
        """
        points, title = weigh_dims(self.table.mean, self.table.sd), "Groups of similar images"
        clusters = find_clusters(points)
        if len(clusters.sizes) == 1 or clusters.is_unstable:
            return Section(title, repr(clusters), [])
        name, n = self.evaluation.run.name, N_TYPICAL
        tiles, labels, caption = arrange_clusters(name, self.images, clusters, n)
        section = make_grid_section(title, tiles, 2 * n + 1, caption, row_labels=labels)
        return section._replace(text=f"{clusters}")


def assign_cells(points: Float[np.ndarray, "n k"], side: int) -> dict[int, int]:
    """Return a row of the points (1 or 2 coordinates) by cell of a grid, from its top left.

    The row is that of the point nearest to the middle of the cell. The grid covers 98 % of the
    points along each axis; those outside belong to its border.
    """
    low, high = np.quantile(points, [0.01, 0.99], axis=0)
    places = ((points - low) / np.maximum(high - low, 1e-12) * side).clip(0, side - 1e-6)
    places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    columns, rows = np.floor(places).astype(int).T
    distances = np.abs(places - np.floor(places) - 0.5).max(1)
    order = np.argsort(-distances, kind="stable")  # the nearest is written last
    cells = (side - 1 - rows) * side + columns
    return dict(zip(cells[order].tolist(), order.tolist(), strict=True))
