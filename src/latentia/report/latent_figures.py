"""Figures of latent dimensions: interpolation, traversal, attribution, association with labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from latentia.core.tensors import to_display_channels
from latentia.latents.association import (
    EXPLANATION_OF_STARS,
    LARGE_SHARE,
    AssociationResult,
    LabelAssociation,
    get_star,
)
from latentia.latents.encoding import format_rate
from latentia.latents.traversal import Traversal
from latentia.report.figures import BLUE, GREY, ORANGE, make_panels
from latentia.report.grids import make_grid

SINGLE_IMAGE_SIDE = 224  # pixels of a picture of one image
MAX_FIGURE_DIMS, DIMS_PER_LABEL = 64, 12  # of fewer labels fewer, so that no figure is a strip
CAPTION_STYLE: Any = {"fontsize": 9, "x": 0.01, "ha": "left", "wrap": True}


def make_walk_grid(
    path: Float[Tensor, "path c h w"],
    originals: Float[Tensor, "n c h w"],
    names: Sequence[str],
    caption: str,
) -> Image.Image:
    """Arrange an interpolation in rows: an image, the path to the next image, and that image."""
    legs = len(originals) - 1
    steps = (len(path) - 1) // legs + 1
    rows, labels = [], []
    for k in range(legs):
        first = k * (steps - 1)
        rows += [originals[k : k + 1], path[first : first + steps].cpu(), originals[k + 1 : k + 2]]
        shares = [f"{step / (steps - 1):.2g}" for step in range(steps)]
        labels += [_shorten_name(names[k]), *shares, _shorten_name(names[k + 1])]
    return make_grid(torch.cat(rows), steps + 2, caption, labels_below=labels)


def make_walk_frames(path: Float[Tensor, "path c h w"], caption: str) -> list[Image.Image]:
    """Return one frame for each image of an interpolation."""
    return [make_grid(image[None].cpu(), 1, caption, min_side=SINGLE_IMAGE_SIDE) for image in path]


def _shorten_name(name: str) -> str:
    return shorten_key(f"image {name}" if name.isdecimal() else name.rsplit("/", 1)[-1], 10)


def shorten_key(key: str, max_length: int = 22) -> str:
    """Return a long key without its first folders, and then without its middle."""
    short = key if len(key) <= max_length else "/".join(key.split("/")[-2:])
    ends = max_length // 2
    return short if len(short) <= max_length else f"{short[: ends - 1]}…{short[-ends:]}"


def make_traversal_grid(
    traversal: Traversal, image: Float[Tensor, "1 c h w"], names: Sequence[str], caption: str
) -> Image.Image:
    """Arrange the image and its reconstruction, then one row a dimension with its values below."""
    columns = max(traversal.values.shape[1], 2)
    blanks = columns - 2
    rows = [image, traversal.reconstruction.cpu(), *[torch.full_like(image, torch.nan)] * blanks]
    labels, row_labels = ["image", "decoded", *[""] * blanks], [""]
    for k, dim in enumerate(traversal.dims):
        rows.append(traversal.images[k].cpu())
        labels += [f"{value:+.2f}" for value in traversal.values[k]]
        rate, value = format_rate(traversal.kl_per_dim, k), traversal.image_values[k]
        row_labels.append("\n".join(filter(None, [names[dim], rate, f"image {value:+.2f}"])))
    return make_grid(torch.cat(rows), columns, caption, labels_below=labels, row_labels=row_labels)


def make_traversal_frames(
    traversal: Traversal, names: Sequence[str], caption: str
) -> list[Image.Image]:
    """Return one frame for each value, with all dimensions side by side."""
    frames = []
    for step, values in enumerate(traversal.values.T):
        labels = [f"{names[k]} {v:+.2f}" for k, v in zip(traversal.dims, values, strict=True)]
        images = traversal.images[:, step].cpu()
        frames.append(make_grid(images, min(len(images), 8), caption, labels_below=labels))
    return frames


def draw_attributions(
    maps: Float[Tensor, "k c h w"],
    image: Float[Tensor, "1 c h w"],
    reconstruction: Float[Tensor, "1 c h w"],
    titles: Sequence[str],
    caption: str,
) -> Figure:
    """Draw the image, its reconstruction, and a signed map for each dimension on one scale.

    Maps are means over channels. Contours at half the scale are dashed where the pixel darkens,
    so that the sign is visible without color.
    """
    signed_maps = maps.mean(1).cpu().numpy()
    pair = to_display_channels(torch.cat([image, reconstruction.cpu()])).permute(0, 2, 3, 1).numpy()
    scale = float(np.abs(signed_maps).max()) or 1.0
    rows = -(-(len(signed_maps) + 2) // 5)
    columns = -(-(len(signed_maps) + 2) // rows)  # rows of equal length, if possible
    width = 1.7 + 1.0 / columns  # with the scale of colors on the right
    with make_panels(columns, width, 1.95 * rows + 0.55, rows) as (figure, axes):
        for axis, pixels, title in zip(axes, pair, ("image", "decoded"), strict=False):
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=9)
        mappable: Any = None
        for axis, pixels, title in zip(axes[2:], signed_maps, titles, strict=False):
            mappable = axis.imshow(pixels, cmap="RdBu_r", norm=Normalize(-scale, scale))
            if np.abs(pixels).max() > scale / 2:
                style: Any = {"linewidths": 0.7, "linestyles": ["--", "-"], "colors": "#222"}
                axis.contour(pixels, [-scale / 2, scale / 2], **style)
            axis.set_title(title, fontsize=9)
        for axis in axes:
            axis.axis("off")
        colorbar = figure.colorbar(mappable, ax=list(axes), shrink=0.9, aspect=30, pad=0.01)
        colorbar.set_label("change (1 is white)", fontsize=9)
        figure.suptitle(f"{caption}.\nContours at half the scale, dashed: darker.", **CAPTION_STYLE)
        return figure


def draw_associations(result: AssociationResult, names: Sequence[str], caption: str) -> Figure:
    """Draw the mutual information of dimensions and labels, and the scores of predicting labels.

    Dimensions are in order of information. Predictions are from all dimensions by a linear probe,
    then by nearest neighbours from all and from the first k dimensions by rate (KL).
    """
    n_labels = len(result.associations)
    n_shown = min(MAX_FIGURE_DIMS, DIMS_PER_LABEL * (1 + n_labels))
    order = result.dims_by_information[:n_shown]
    width = max(3.2, 2.0 + 0.9 * n_labels)
    height, ratios = max(3.8, 1.9 + 0.27 * len(order)), (width, 4.8)
    with make_panels(2, width / 2 + 3.4, height, width_ratios=ratios) as (figure, (left, right)):
        _draw_information(left, result, order, names)
        _draw_scores(right, result.associations)
        hidden = len(names) - len(order)
        more = f" {hidden} dimensions of less information are not shown." if hidden else ""
        notes = f"{EXPLANATION_OF_STARS}{more}\nBars: 95 %. Dotted: the same for permuted labels."
        figure.suptitle(f"{caption}.\n{notes}", **CAPTION_STYLE)
        return figure


def _draw_information(
    axis: Axes, result: AssociationResult, order: Sequence[int], names: Sequence[str]
) -> None:
    labels = [association.label for association in result.associations]
    shares = np.stack([each.share[order] for each in result.associations], 1)
    limit = max(float(shares.max()), LARGE_SHARE)
    mappable = axis.imshow(shares, cmap="Blues", vmin=0, vmax=limit, aspect="auto")
    for column, each in enumerate(result.associations):
        for row, dim in enumerate(order):
            style: Any = {"ha": "center", "va": "center", "fontsize": 8.5}
            style["color"] = "white" if shares[row, column] > 0.55 * limit else "#222"
            axis.text(column, row, f"{each.information[dim]:z.2f}{get_star(each, dim)}", **style)
    dims = [f"z {names[dim]}  {format_rate(result.kl_per_dim, dim)}" for dim in order]
    axis.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axis.set_yticks(range(len(order)), dims, fontsize=8.5)
    axis.grid(visible=False)
    axis.set_ylabel("dimension and its rate (KL), by information")
    axis.set_title("mutual information, nats")
    colorbar = axis.figure.colorbar(mappable, ax=axis, shrink=0.7)
    colorbar.set_label("share of the label's entropy", fontsize=9)


def _draw_scores(axis: Axes, associations: Sequence[LabelAssociation]) -> None:
    for k, association in enumerate(associations):
        probes = [association.linear, association.neighbors, *association.scores]
        places = np.arange(len(probes)) + 0.7 * ((k + 1) / (len(associations) + 1) - 0.5)
        score, low, high = np.array([(p.score, p.low, p.high) for p in probes]).T
        color = (BLUE, ORANGE, GREY, "#2a7f62", "#7a3fa0", "#a03f5a")[k % 6]
        style: Any = {"color": color, "fmt": "osD^vPX"[k % 7], "markersize": 4}
        label = f"{association.label}, {association.linear.measure}"
        axis.errorbar(places, score, [score - low, high - score], label=label, **style)
        chance = [probe.chance for probe in probes]
        axis.hlines(chance, places - 0.2, places + 0.2, colors=color, linestyles=":")
    first = associations[0]
    linear = sorted({each.linear.method.split()[0] for each in associations})
    ticks = [f"linear ({', '.join(linear)}), all", f"{first.neighbors.method}, all"]
    ticks += [f"neighbours, first {k + 1} by rate" for k in range(len(first.scores))]
    axis.set_xticks(range(len(ticks)), ticks, rotation=30, ha="right", fontsize=8.5)
    axis.set_ylim(min(0.0, axis.get_ylim()[0]), 1.02)
    axis.set_ylabel("accuracy, or R²")
    axis.set_title("prediction of labels from dimensions, out of fold")
    axis.legend(fontsize=8.5, bbox_to_anchor=(1.0, 1.0), loc="upper left")
