"""Pictures of single coordinates: walks, traversals, attributions, and their relation to labels."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from latentia.core.tensors import to_display_channels
from latentia.latents.association import SIGNIFICANCE_LEVEL, AssociationResult
from latentia.latents.traversal import Traversal
from latentia.report.figures import BLUE, GREY, ORANGE, STYLE
from latentia.report.grids import make_grid

DPI = 130
SINGLE_IMAGE_SIDE = 224  # pixels: a picture that stands alone
CAPTION_STYLE: Any = {"fontsize": 9, "x": 0.01, "ha": "left"}


def make_walk_grid(
    path: Float[Tensor, "path c h w"],
    originals: Float[Tensor, "n c h w"],
    names: Sequence[str],
    caption: str,
) -> Image.Image:
    """A row a leg: image, walk from its reconstruction to the next one's, next image."""
    n_legs = len(originals) - 1
    steps = (len(path) - 1) // n_legs + 1
    rows, labels_below = [], []
    for k in range(n_legs):
        leg = path[k * (steps - 1) : k * (steps - 1) + steps]
        rows += [originals[k : k + 1], leg.cpu(), originals[k + 1 : k + 2]]
        shares = [f"{step / (steps - 1):.2g}" for step in range(steps)]
        labels_below += [_shorten_name(names[k]), *shares, _shorten_name(names[k + 1])]
    return make_grid(torch.cat(rows), steps + 2, caption, labels_below=labels_below)


def make_walk_frames(path: Float[Tensor, "path c h w"], caption: str) -> list[Image.Image]:
    """A frame a place."""
    return [make_grid(image[None].cpu(), 1, caption, min_side=SINGLE_IMAGE_SIDE) for image in path]


def _shorten_name(name: str) -> str:
    return shorten_key(f"image {name}" if name.isdecimal() else name.rsplit("/", 1)[-1], 10)


def shorten_key(key: str, max_length: int = 22) -> str:
    """The end of a long name, which tells more than its beginning."""
    return key if len(key) <= max_length else f"…{key[1 - max_length :]}"


def make_traversal_grid(
    traversal: Traversal, image: Float[Tensor, "1 c h w"], names: Sequence[str], caption: str
) -> Image.Image:
    """The image and its reconstruction, then a row a dimension, its values below."""
    n_dims, n_values = traversal.values.shape
    blank = torch.full_like(image, torch.nan)
    columns = max(n_values, 2)
    rows = [image, traversal.reconstruction.cpu(), *[blank] * (columns - 2)]
    labels_below = ["image", "decoded", *[""] * (columns - 2)]
    row_labels = [""]
    for row in range(n_dims):
        rows.append(traversal.images[row].cpu())
        labels_below += [f"{value:+.2f}" for value in traversal.values[row]]
        rate, image_value = traversal.kl_per_dim[row], traversal.image_values[row]
        row_labels.append(
            f"z {names[traversal.dims[row]]}\n{rate:.2f} nats\nhere {image_value:+.2f}"
        )
    return make_grid(
        torch.cat(rows), columns, caption, labels_below=labels_below, row_labels=row_labels
    )


def make_traversal_frames(
    traversal: Traversal, names: Sequence[str], caption: str
) -> list[Image.Image]:
    """A frame a value, all dimensions side by side."""
    n_dims, n_values = traversal.values.shape
    columns = min(n_dims, 8)
    return [
        make_grid(
            traversal.images[:, step].cpu(),
            columns,
            caption,
            labels_below=[
                f"z {names[dim]} {traversal.values[row, step]:+.2f}"
                for row, dim in enumerate(traversal.dims)
            ],
        )
        for step in range(n_values)
    ]


def draw_attributions(
    maps: Float[Tensor, "k c h w"],
    image: Float[Tensor, "1 c h w"],
    reconstruction: Float[Tensor, "1 c h w"],
    titles: Sequence[str],
    caption: str,
) -> Figure:
    """Image, decoded image, then a signed map a dimension on one scale: the mean of the channels.

    Contours stand at half the scale, dashed where the pixel darkens: the sign needs no colour.
    """
    signed_maps = maps.mean(1).cpu().numpy()
    pair = to_display_channels(torch.cat([image, reconstruction.cpu()])).permute(0, 2, 3, 1).numpy()
    scale = float(np.abs(signed_maps).max()) or 1.0
    columns = min(5, len(signed_maps) + 2)
    rows = -(-(len(signed_maps) + 2) // columns)
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(1.7 * columns + 1.0, 1.95 * rows + 0.35), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, pixels, title in zip(axes, pair, ("image", "decoded"), strict=False):
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=9)
        mappable: Any = None
        for axis, pixels, title in zip(axes[2:], signed_maps, titles, strict=False):
            mappable = axis.imshow(pixels, cmap="RdBu_r", norm=Normalize(-scale, scale))
            if np.abs(pixels).max() > scale / 2:
                axis.contour(
                    pixels, [-scale / 2, scale / 2], colors="#222", linewidths=0.7,
                    linestyles=["--", "-"],
                )  # fmt: skip
            axis.set_title(title, fontsize=9)
        for axis in axes:
            axis.axis("off")
        colorbar = figure.colorbar(mappable, ax=list(axes), shrink=0.9, aspect=30, pad=0.01)
        colorbar.set_label("change of the pixel (1 is white)", fontsize=9)
        figure.suptitle(f"{caption}; contours at half the scale, dashed: darker", **CAPTION_STYLE)
        return figure


def draw_associations(
    associations: AssociationResult, names: Sequence[str], caption: str
) -> Figure:
    """Left: nats that each dimension tells of each label, starred where significant; right: how
    well the label is read from the first k dimensions, above chance.
    """
    relations = associations.associations
    order = associations.dims_by_kl[: max(24, len(relations[0].scores))]
    nats = np.stack([relation.information[order] for relation in relations], 1)
    left_width = max(3.2, 2.0 + 0.75 * len(relations))
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(left_width + 6.0, max(3.4, 1.5 + 0.27 * len(order))), layout="constrained"
        )
        left_axes, right_axes = figure.subplots(1, 2, width_ratios=(left_width, 4.4))
        color_limit = max(float(nats.max()), 0.05)
        mappable = left_axes.imshow(nats, cmap="Blues", vmin=0, vmax=color_limit, aspect="auto")
        for row, dim in enumerate(order):
            for column, relation in enumerate(relations):
                if relation.p[dim] <= SIGNIFICANCE_LEVEL:
                    text_color = "white" if nats[row, column] > 0.55 * color_limit else "#222"
                    text = f"{nats[row, column]:.2f}*"
                    left_axes.text(
                        column, row, text, ha="center", va="center", color=text_color, fontsize=8.5
                    )
        left_axes.set_xticks(
            range(len(relations)),
            [relation.label for relation in relations],
            rotation=30,
            ha="right",
        )
        left_axes.set_yticks(
            range(len(order)),
            [
                f"z {names[dimension]}  ({associations.kl_per_dim[dimension]:.2f})"
                for dimension in order
            ],
            fontsize=8.5,
        )
        left_axes.grid(visible=False)
        left_axes.set_ylabel("dimension (rate, nats), by rate")
        left_axes.set_title("mutual information, nats")
        figure.colorbar(mappable, ax=left_axes, shrink=0.7)
        for number, relation in enumerate(relations):
            dim_counts = np.arange(1, len(relation.scores) + 1)
            value, low, high = np.array(relation.scores).T
            style = {
                "color": (BLUE, ORANGE, GREY, "#2a7f62", "#7a3fa0", "#a03f5a")[number % 6],
                "marker": "osD^vPX"[number % 7],
            }
            score_name = "accuracy" if relation.kind == "class" else "R²"
            right_axes.plot(
                dim_counts, value, **style, markersize=4, label=f"{relation.label}, {score_name}"
            )
            right_axes.fill_between(
                dim_counts, low, high, color=style["color"], alpha=0.15, linewidth=0
            )
            right_axes.axhline(relation.chance, color=style["color"], linestyle=":", linewidth=1)
        right_axes.set_xticks(dim_counts)
        right_axes.set_ylim(min(0.0, right_axes.get_ylim()[0]), 1.02)
        right_axes.set_xlabel("first k dimensions, by rate")
        right_axes.set_title("how well labels are read, out of fold")
        right_axes.set_ylabel("accuracy, or R²")
        right_axes.legend(fontsize=8.5, bbox_to_anchor=(1.0, 1.0), loc="upper left")
        explanation = (
            f"*: p ≤ {SIGNIFICANCE_LEVEL} over all dimensions. Bands: 95 %; dotted: chance."
        )
        figure.suptitle(f"{caption}. {explanation}", **CAPTION_STYLE)
        return figure


def render_figure(figure: Figure, image_format: str) -> bytes:
    """ "png" or "svg"; the same figure gives the same bytes."""
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": STYLE["svg.hashsalt"]}):
        metadata = {"Software": None} if image_format == "png" else {"Date": None}
        figure.savefig(file, format=image_format, dpi=DPI, metadata=metadata)
    return file.getvalue()
