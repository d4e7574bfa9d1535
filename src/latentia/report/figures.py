"""Curves and bars as SVG, in one look."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

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


@contextmanager
def make_panels(
    columns: int, width: float = 3.4, height: float = 2.5
) -> Iterator[tuple[Figure, Any]]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height), layout="constrained")
        yield figure, figure.subplots(1, columns, squeeze=False)[0]


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    return text[text.index("<svg") :]


def draw_training_curves(
    training_rows: Sequence[dict], validation_rows: Sequence[dict], player: str
) -> str:
    """Each term of a player and their weighted sum; validation is dashed; weights beside."""
    rows = [
        (row["images"], row["players"][player]) for row in training_rows if player in row["players"]
    ]
    terms = list(rows[-1][1]["terms"])
    images = [n for n, _ in rows]

    def draw_curve(axis: Axes, kind: str, term: str, **style: Any) -> None:
        points = [(n, r[kind][term]) for n, r in rows if term in r[kind]]  # some join later
        axis.plot(*zip(*points, strict=True), **style)

    with make_panels(len(terms) + 2) as (figure, axes):
        for axis, term in zip(axes, terms, strict=False):
            draw_curve(axis, "terms", term, color=BLUE, label="train")
            _draw_validation(axis, training_rows, validation_rows, term)
            axis.set_title(f"{term}, nats per image")
        objective_axis, weights_axis = axes[-2], axes[-1]
        weighted_sums = [sum(w * r["terms"][t] for t, w in r["weights"].items()) for _, r in rows]
        objective_axis.plot(images, weighted_sums, color=BLUE, label="train, weighted sum")
        if "distortion" in terms:  # not a critic's: the ELBO is none of its matter
            _draw_validation(
                objective_axis, training_rows, validation_rows, "nelbo", "validation, beta 1"
            )
        objective_axis.set_title("objective, nats per image")
        for k, term in enumerate(terms):
            draw_curve(
                weights_axis,
                "weights",
                term,
                color=(GREY, ORANGE, BLUE)[k % 3],
                linestyle=("-", "--", ":")[(k + k // 3) % 3],
                label=("beta: " if term == "rate" and rows[-1][1]["weights"][term] else "") + term,
            )
        weights_axis.set_title("weights of the terms")
        weights_axis.set_ylim(bottom=0)
        for axis in axes:
            axis.set_xlabel("training images seen")
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))
            axis.legend(fontsize=9)
            _crop_start(axis)
        return to_svg(figure)


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
    images_seen = [row["step"] * per_step for row in validation_rows]
    values = [row["values"][key] for row in validation_rows]
    axis.plot(
        images_seen, values, color=ORANGE, linestyle="--", marker=".", markersize=4, label=label
    )


def _crop_start(axis: Axes) -> None:
    """The first rows are an order above the rest: leave them outside, where they hide nothing."""
    heights = sorted(height for line in axis.lines for height in line.get_ydata())  # pyright: ignore
    if len(heights) < 20:
        return
    low, high = heights[0], heights[int(0.93 * len(heights))]
    if heights[-1] > high + 1.5 * (high - low) > low:
        axis.set_ylim(low - 0.08 * (high - low), high + 0.5 * (high - low))


def draw_rate_bars(rates: Sequence[float]) -> str:
    """The rate of each latent dimension, largest first; the number is the dimension's."""
    order = sorted(range(len(rates)), key=lambda k: -rates[k])
    with make_panels(1, width=max(5.0, min(12.0, 0.3 * len(rates) + 1.5))) as (figure, (axis,)):
        axis.bar(range(len(order)), [rates[k] for k in order], color=BLUE, width=0.7)
        if len(order) <= 64:
            axis.set_xticks(range(len(order)), [str(k) for k in order], fontsize=8)
        axis.set_ylim(0, max(0.1, 1.05 * max(rates)))  # a dead dimension must look dead
        axis.grid(axis="x", visible=False)
        axis.set_xlabel("latent dimension, by rate")
        axis.set_title("rate, nats per image")
        return to_svg(figure)


def draw_monitor_curves(training_rows: Sequence[dict]) -> str:
    """Gauges over the images seen: one panel for all whose name begins with the same word."""
    names = list(training_rows[-1]["monitors"])
    groups = {
        name.split()[0]: [n for n in names if n.split()[0] == name.split()[0]] for name in names
    }
    with make_panels(len(groups)) as (figure, axes):
        for axis, (group, monitor_names) in zip(axes, groups.items(), strict=True):
            for k, name in enumerate(monitor_names):
                rows = [row for row in training_rows if name in row["monitors"]]
                axis.plot(
                    [row["images"] for row in rows],
                    [row["monitors"][name] for row in rows],
                    color=(BLUE, ORANGE, GREY)[k % 3],
                    linestyle=("-", "--", ":")[k % 3],
                    label=name.removeprefix(group).strip() or name,
                )
            axis.set_title(group if len(monitor_names) > 1 else monitor_names[0])
            axis.set_ylim(bottom=0)
            axis.set_xlabel("training images seen")
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))
            if len(monitor_names) > 1:
                axis.legend(fontsize=9)
        return to_svg(figure)
