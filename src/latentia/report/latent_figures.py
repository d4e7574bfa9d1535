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

from latentia.core.tensors import displayable
from latentia.latents.association import LEVEL, Related
from latentia.latents.traversal import Traversal
from latentia.report.figures import BLUE, GREY, LOOK, ORANGE
from latentia.report.grids import lay

DPI = 130
LARGE = 224  # pixels: a picture that stands alone
CAPTION: Any = {"fontsize": 9, "x": 0.01, "ha": "left"}


def walk_sheet(
    path: Float[Tensor, "path c h w"],
    originals: Float[Tensor, "n c h w"],
    names: Sequence[str],
    caption: str,
) -> Image.Image:
    """A row a leg: image, walk from its reconstruction to the next one's, next image."""
    legs = len(originals) - 1
    steps = (len(path) - 1) // legs + 1
    rows, under = [], []
    for k in range(legs):
        leg = path[k * (steps - 1) : k * (steps - 1) + steps]
        rows += [originals[k : k + 1], leg.cpu(), originals[k + 1 : k + 2]]
        shares = [f"{s / (steps - 1):.2g}" for s in range(steps)]
        under += [_short(names[k]), *shares, _short(names[k + 1])]
    return lay(torch.cat(rows), steps + 2, caption, under=under)


def walk_frames(path: Float[Tensor, "path c h w"], caption: str) -> list[Image.Image]:
    """A frame a place."""
    return [lay(place[None].cpu(), 1, caption, least=LARGE) for place in path]


def _short(name: str) -> str:
    return brief(f"image {name}" if name.isdecimal() else name.rsplit("/", 1)[-1], 10)


def brief(key: str, most: int = 22) -> str:
    """The end of a long name, which tells more than its beginning."""
    return key if len(key) <= most else f"…{key[1 - most :]}"


def traversal_sheet(
    found: Traversal, image: Float[Tensor, "1 c h w"], names: Sequence[str], caption: str
) -> Image.Image:
    """The image and its reconstruction, then a row a dimension, its values below."""
    k, s = found.values.shape
    blank = torch.full_like(image, torch.nan)
    columns = max(s, 2)
    rows = [image, found.reconstruction.cpu(), *[blank] * (columns - 2)]
    under = ["image", "decoded", *[""] * (columns - 2)]
    beside = [""]
    for at in range(k):
        rows.append(found.images[at].cpu())
        under += [f"{value:+.2f}" for value in found.values[at]]
        rate, own = found.rates[at], found.own[at]
        beside.append(f"z {names[found.dims[at]]}\n{rate:.2f} nats\nhere {own:+.2f}")
    return lay(torch.cat(rows), columns, caption, under=under, beside=beside)


def traversal_frames(found: Traversal, names: Sequence[str], caption: str) -> list[Image.Image]:
    """A frame a value, all dimensions side by side."""
    k, s = found.values.shape
    columns = min(k, 8)
    return [
        lay(
            found.images[:, step].cpu(),
            columns,
            caption,
            under=[
                f"z {names[d]} {found.values[at, step]:+.2f}" for at, d in enumerate(found.dims)
            ],
        )
        for step in range(s)
    ]


def attribution_figure(
    maps: Float[Tensor, "k c h w"],
    image: Float[Tensor, "1 c h w"],
    reconstruction: Float[Tensor, "1 c h w"],
    titles: Sequence[str],
    caption: str,
) -> Figure:
    """Image, decoded image, then a signed map a dimension on one scale: the mean of the channels.

    Contours stand at half the scale, dashed where the pixel darkens: the sign needs no colour.
    """
    signed = maps.mean(1).cpu().numpy()
    pair = displayable(torch.cat([image, reconstruction.cpu()])).permute(0, 2, 3, 1).numpy()
    top = float(np.abs(signed).max()) or 1.0
    columns = min(5, len(signed) + 2)
    rows = -(-(len(signed) + 2) // columns)
    with mpl.rc_context({**LOOK, "axes.grid": False}):
        figure = Figure(figsize=(1.7 * columns + 1.0, 1.95 * rows + 0.35), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, one, title in zip(axes, pair, ("image", "decoded"), strict=False):
            axis.imshow(one, cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=9)
        drawn: Any = None
        for axis, one, title in zip(axes[2:], signed, titles, strict=False):
            drawn = axis.imshow(one, cmap="RdBu_r", norm=Normalize(-top, top))
            if np.abs(one).max() > top / 2:
                axis.contour(
                    one, [-top / 2, top / 2], colors="#222", linewidths=0.7,
                    linestyles=["--", "-"],
                )  # fmt: skip
            axis.set_title(title, fontsize=9)
        for axis in axes:
            axis.axis("off")
        bar = figure.colorbar(drawn, ax=list(axes), shrink=0.9, aspect=30, pad=0.01)
        bar.set_label("change of the pixel (1 is white)", fontsize=9)
        figure.suptitle(f"{caption}; contours at half the scale, dashed: darker", **CAPTION)
        return figure


def relation_figure(found: Related, names: Sequence[str], caption: str) -> Figure:
    """Left: nats that each dimension tells of each label, starred where significant; right: how
    well the label is read from the first k dimensions, above chance.
    """
    relations = found.relations
    order = found.order[: max(24, len(relations[0].scores))]
    nats = np.stack([r.information[order] for r in relations], 1)
    wide = max(3.2, 2.0 + 0.75 * len(relations))
    with mpl.rc_context(LOOK):
        figure = Figure(
            figsize=(wide + 6.0, max(3.4, 1.5 + 0.27 * len(order))), layout="constrained"
        )
        left, right = figure.subplots(1, 2, width_ratios=(wide, 4.4))
        top = max(float(nats.max()), 0.05)
        drawn = left.imshow(nats, cmap="Blues", vmin=0, vmax=top, aspect="auto")
        for row, dim in enumerate(order):
            for column, r in enumerate(relations):
                if r.p[dim] <= LEVEL:
                    ink = "white" if nats[row, column] > 0.55 * top else "#222"
                    text = f"{nats[row, column]:.2f}*"
                    left.text(column, row, text, ha="center", va="center", color=ink, fontsize=8.5)
        left.set_xticks(
            range(len(relations)), [r.label for r in relations], rotation=30, ha="right"
        )
        left.set_yticks(
            range(len(order)),
            [f"z {names[d]}  ({found.rates[d]:.2f})" for d in order],
            fontsize=8.5,
        )
        left.grid(visible=False)
        left.set_ylabel("dimension (rate, nats), by rate")
        left.set_title("mutual information, nats")
        figure.colorbar(drawn, ax=left, shrink=0.7)
        for number, r in enumerate(relations):
            ks = np.arange(1, len(r.scores) + 1)
            value, low, high = np.array(r.scores).T
            look = {
                "color": (BLUE, ORANGE, GREY, "#2a7f62", "#7a3fa0", "#a03f5a")[number % 6],
                "marker": "osD^vPX"[number % 7],
            }
            what = "accuracy" if r.kind == "class" else "R²"
            right.plot(ks, value, **look, markersize=4, label=f"{r.label}, {what}")
            right.fill_between(ks, low, high, color=look["color"], alpha=0.15, linewidth=0)
            right.axhline(r.chance, color=look["color"], linestyle=":", linewidth=1)
        right.set_xticks(ks)
        right.set_ylim(min(0.0, right.get_ylim()[0]), 1.02)
        right.set_xlabel("first k dimensions, by rate")
        right.set_title("how well labels are read, out of fold")
        right.set_ylabel("accuracy, or R²")
        right.legend(fontsize=8.5, bbox_to_anchor=(1.0, 1.0), loc="upper left")
        how = f"*: p ≤ {LEVEL} over all dimensions. Bands: 95 %; dotted: chance."
        figure.suptitle(f"{caption}. {how}", **CAPTION)
        return figure


def rendered(figure: Figure, kind: str) -> bytes:
    """ "png" or "svg"; the same figure gives the same bytes."""
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": LOOK["svg.hashsalt"]}):
        dated = {"Software": None} if kind == "png" else {"Date": None}
        figure.savefig(file, format=kind, dpi=DPI, metadata=dated)
    return file.getvalue()
