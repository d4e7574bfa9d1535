"""Curves and bars in one style, as SVG."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from latentia.core.contract import Role

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
    "svg.hashsalt": "latentia",  # the same figure gives the same bytes
}
TERM_LABELS = {"distortion": "distortion (reconstruction)", "rate": "rate (KL)"}  # of metrics


@contextmanager
def make_panels(
    columns: int, width: float = 3.4, height: float = 2.5
) -> Iterator[tuple[Figure, Any]]:
    """Yield a figure and its axes, one row of panels of this size in inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height), layout="constrained")
        yield figure, figure.subplots(1, columns, squeeze=False)[0]


def to_svg(figure: Figure) -> str:
    """Return the figure as an SVG element."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    return text[text.index("<svg") :]


def draw_training_curves(
    training_rows: Sequence[dict], validation_rows: Sequence[dict], player: str
) -> str:
    """Draw a player's loss terms, their weighted sum and their weights over the images seen.

    Validation is dashed.
    """
    rows = [
        (row["images"], row["players"][player]) for row in training_rows if player in row["players"]
    ]
    terms, roles = list(rows[-1][1]["terms"]), rows[-1][1]["roles"]
    labels = {term: label_term(term, roles.get(term)) for term in terms}
    marker = "." if len(rows) == 1 else ""  # a line of one point is invisible

    def draw_curve(axis: Axes, kind: str, term: str, **style: Any) -> None:
        points = [(n, r[kind][term]) for n, r in rows if term in r[kind]]  # some terms start late
        axis.plot(*zip(*points, strict=True), **style, marker=marker)

    with make_panels(len(terms) + 2) as (figure, axes):
        for axis, term in zip(axes, terms, strict=False):
            draw_curve(axis, "terms", term, color=BLUE, label="train")
            _draw_validation(axis, training_rows, validation_rows, term)
            axis.set(title=labels[term], ylabel="nats per image")
        objective_axis, weights_axis = axes[-2:]
        sums = [sum(w * r["terms"][t] for t, w in r["weights"].items()) for _, r in rows]
        style = {"color": BLUE, "marker": marker, "label": "train, weighted sum"}
        objective_axis.plot([n for n, _ in rows], sums, **style)
        if Role.RECONSTRUCTION in roles.values():  # the ELBO is no objective of a critic
            _draw_validation(
                objective_axis, training_rows, validation_rows, "nelbo", "validation, beta 1"
            )
        objective_axis.set(title="objective", ylabel="nats per image")
        for k, term in enumerate(terms):
            is_beta = roles.get(term) == Role.KL and rows[-1][1]["weights"][term]
            label = labels[term] + (", beta" if is_beta else "")
            draw_curve(weights_axis, "weights", term, **_style_line(k), label=label)
        weights_axis.set(title="weights of the terms")
        weights_axis.set_ylim(bottom=0)
        for axis in axes:
            _label_images_axis(axis)
            axis.legend(fontsize=9)
            _crop_start(axis)
        return to_svg(figure)


def label_term(term: str, role: str | None) -> str:
    return f"{term} ({role})" if role in (Role.RECONSTRUCTION, Role.KL) else term


def _style_line(k: int) -> dict[str, str]:
    dash = ("-", "--", ":")[(k + k // 3) % 3]
    return {"color": (BLUE, ORANGE, GREY)[k % 3], "linestyle": dash}


def _label_images_axis(axis: Axes) -> None:
    axis.set_xlabel("training images seen")
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))


def _draw_validation(
    axis: Axes,
    training_rows: Sequence[dict],
    validation_rows: Sequence[dict],
    key: str,
    label: str = "validation",
) -> None:
    if not validation_rows or key not in validation_rows[0]["values"]:
        return
    per_step = training_rows[-1]["images"] / training_rows[-1]["step"]
    images = [row["step"] * per_step for row in validation_rows]
    values = [row["values"][key] for row in validation_rows]
    style = {"color": ORANGE, "linestyle": "--", "marker": ".", "markersize": 4}
    axis.plot(images, values, **style, label=label)


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
    with make_panels(len(groups)) as (figure, axes):
        for axis, (group, names) in zip(axes, groups.items(), strict=True):
            for k, name in enumerate(names):
                rows = [row for row in training_rows if name in row["monitors"]]
                axis.plot(
                    [row["images"] for row in rows],
                    [row["monitors"][name] for row in rows],
                    **_style_line(k),
                    label=name.removeprefix(group).strip() or name,
                )
            axis.set_title(group if len(names) > 1 else names[0])
            axis.set_ylim(bottom=0)
            _label_images_axis(axis)
            if len(names) > 1:
                axis.legend(fontsize=9)
        return to_svg(figure)
