"""Curves and bars in one style, as SVG or PNG."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from latentia.core.contract import Role
from latentia.report.grids import Encoders

DPI = 130
FEW_ROWS = 5  # curves of fewer rows show their points, since a line alone looks like a trend
BLUE, ORANGE, GREY = "#2456a6", "#c4620a", "#8a8f98"
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#333",
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e8ec",
    "xtick.color": "#555",
    "ytick.color": "#555",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "latentia",  # the same figure gives the same bytes
}
Rows = Sequence[tuple[float, Mapping[str, float]]]  # (images seen, values by name)
TERM_LABELS = {"distortion": "distortion (reconstruction)", "rate": "rate (KL)"}  # of metrics


@contextmanager
def make_panels(
    columns: int, width: float = 3.4, height: float = 2.5, rows: int = 1, **options: Any
) -> Iterator[tuple[Figure, Any]]:
    """Yield a figure and its axes, row by row; width: of a panel, height: of the figure, inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height))
        yield figure, figure.subplots(rows, columns, squeeze=False, **options).ravel()


def render_figure(figure: Figure, image_format: str, **options: Any) -> bytes:
    """Encode a figure as "png" or "svg"; the same figure gives the same bytes."""
    file = io.BytesIO()
    metadata = {"Software": None} if image_format == "png" else {"Date": None}
    with mpl.rc_context({"svg.hashsalt": STYLE["svg.hashsalt"]}):
        figure.savefig(file, format=image_format, dpi=DPI, metadata=metadata, **options)
    return file.getvalue()


def make_encoders(figure: Figure) -> Encoders:
    """Return the encoders of a figure as .png and .svg."""
    return {f".{kind}": lambda kind=kind: render_figure(figure, kind) for kind in ("png", "svg")}


def to_svg(figure: Figure) -> str:
    """Return the figure as an SVG element."""
    text = render_figure(figure, "svg", transparent=True).decode()
    return text[text.index("<svg") :]


def draw_training_curves(
    training_rows: Sequence[dict], validation_rows: Sequence[dict], player: str
) -> str:
    """Draw a player's loss terms, their weighted sum and their weights over the images seen.

    Validation is dashed. Weights that are constant have no panel.
    """
    rows = [(r["images"], r["players"][player]) for r in training_rows if player in r["players"]]
    curves = [(n, row["terms"]) for n, row in rows]
    weights = [(n, row["weights"]) for n, row in rows]
    sums = [
        (n, {"sum": float(sum(w * row["terms"][t] for t, w in row["weights"].items()))})
        for n, row in rows
    ]
    per_step = training_rows[-1]["images"] / training_rows[-1]["step"]
    validation = [(row["step"] * per_step, row["values"]) for row in validation_rows]
    terms, roles = list(curves[-1][1]), rows[-1][1]["roles"]
    elbo_roles = Role.RECONSTRUCTION, Role.KL
    labels = {k: f"{k} ({roles[k]})" if roles.get(k) in elbo_roles else k for k in terms}
    is_constant = len({json.dumps(values) for _, values in weights}) == 1
    with make_panels(len(terms) + 2 - is_constant) as (figure, axes):
        for axis, term in zip(axes, terms, strict=False):
            _plot_rows(axis, curves, term, color=BLUE, label="train")
            _draw_validation(axis, validation, term)
            axis.set(title=labels[term], ylabel="nats per image")
        objective_axis = axes[len(terms)]
        _plot_rows(objective_axis, sums, "sum", color=BLUE, label="train, weighted sum")
        if Role.RECONSTRUCTION in roles.values():  # the ELBO is no objective of a critic
            _draw_validation(objective_axis, validation, "nelbo", "validation, beta 1")
        objective_axis.set(title="objective", ylabel="nats per image")
        if not is_constant:
            for k, term in enumerate(terms):
                is_beta = roles.get(term) == Role.KL and weights[-1][1][term]
                label = labels[term] + (", beta" if is_beta else "")
                _plot_rows(axes[-1], weights, term, **_style_line(k), label=label)
            axes[-1].set_title("weights of the terms")
            axes[-1].set_ylim(bottom=0)
        for axis in axes:
            _label_images_axis(axis)
            axis.legend(fontsize=9)
            _crop_start(axis)
        return to_svg(figure)


def _plot_rows(axis: Axes, rows: Rows, key: str, **style: Any) -> None:
    """Plot one of the rows' values over the images seen; some terms start late."""
    marker = "." if len(rows) < FEW_ROWS else ""
    points = [(n, values[key]) for n, values in rows if key in values]
    axis.plot(*zip(*points, strict=True), **{"marker": marker, **style})


def _draw_validation(axis: Axes, rows: Rows, key: str, label: str = "validation") -> None:
    if rows and key in rows[0][1]:
        style = {"color": ORANGE, "linestyle": "--", "marker": ".", "markersize": 4}
        _plot_rows(axis, rows, key, **style, label=label)


def _style_line(k: int) -> dict[str, str]:
    dash = ("-", "--", ":")[(k + k // 3) % 3]
    return {"color": (BLUE, ORANGE, GREY)[k % 3], "linestyle": dash}


def _label_images_axis(axis: Axes) -> None:
    axis.set_xlabel("training images seen")
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))


def _crop_start(axis: Axes) -> None:
    """Leave the first values outside the frame if they are far above all others."""
    heights = sorted(height for line in axis.lines for height in line.get_ydata())  # pyright: ignore
    if len(heights) < 20:
        return
    low, high = heights[0], heights[int(0.93 * len(heights))]
    if heights[-1] > high + 1.5 * (high - low) > low:
        axis.set_ylim(low - 0.08 * (high - low), high + 0.5 * (high - low))


def draw_rate_bars(rates: Sequence[float]) -> str:
    """Draw the rate (KL) of each latent dimension, largest first, under its number."""
    order = sorted(range(len(rates)), key=lambda k: -rates[k])
    with make_panels(1, width=max(5.0, min(12.0, 0.3 * len(rates) + 1.5))) as (figure, (axis,)):
        axis.bar(range(len(order)), [rates[k] for k in order], color=BLUE, width=0.7)
        if len(order) <= 64:
            axis.set_xticks(range(len(order)), [str(k) for k in order], fontsize=8)
        axis.set_ylim(0, max(0.1, 1.05 * max(rates)))  # bars of dead dimensions must look empty
        axis.grid(axis="x", visible=False)
        axis.set(xlabel="latent dimension, by rate (KL)", ylabel="rate (KL), nats per image")
        return to_svg(figure)


def draw_monitor_curves(training_rows: Sequence[dict]) -> str:
    """Draw the model's monitors over the images seen; a shared first word is a shared panel."""
    groups: dict[str, list[str]] = {}
    for name in training_rows[-1]["monitors"]:
        groups.setdefault(name.split()[0], []).append(name)
    rows = [(row["images"], row["monitors"]) for row in training_rows]
    with make_panels(len(groups)) as (figure, axes):
        for axis, (group, names) in zip(axes, groups.items(), strict=True):
            for k, name in enumerate(names):
                label = name.removeprefix(group).strip() or name
                _plot_rows(axis, rows, name, **_style_line(k), label=label)
            axis.set_title(group if len(names) > 1 else names[0])
            axis.set_ylim(bottom=0)
            _label_images_axis(axis)
            if len(names) > 1:
                axis.legend(fontsize=9)
        return to_svg(figure)
