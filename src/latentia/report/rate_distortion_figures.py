"""Distortion against rate: of one model at many betas, and of a sweep's runs."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from latentia.metrics.rate_distortion import Point, Reached
from latentia.report.figures import BLUE, GREY, ORANGE, panels


def curve_figure(points: Sequence[Point], marked: dict[str, float]) -> Figure:
    """Left: the trade, every other point with its beta. Right: what each beta costs and buys.

    marked: a beta for each thing that chose it.
    """
    beta, rate = [p.beta for p in points], [p.rate for p in points]
    distortion, nelbo = [p.distortion for p in points], [p.nelbo for p in points]
    with panels(2, wide=4.4, high=3.2) as (figure, (trade, cost)):
        trade.plot(rate, distortion, color=BLUE, marker=".")
        for point in points[:: max(1, len(points) // 6)]:
            _named(trade, f"{point.beta:g}", point.rate, point.distortion)
        trade.margins(x=0.12, y=0.08)  # room for the last numbers
        trade.set(xlabel="rate, nats per image", title="distortion, nats per image; numbers: beta")
        cost.plot(beta, nelbo, color=BLUE, marker=".", label="negative ELBO (beta 1)")
        cost.plot(beta, distortion, color=GREY, linestyle="--", label="distortion")
        cost.set(xscale="log", xlabel="beta the model answers for", title="nats per image")
        cost.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
        cost.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        cost.xaxis.set_minor_formatter(NullFormatter())
        for k, (name, value) in enumerate(marked.items()):
            near = min(points, key=lambda p: abs(p.beta - value))
            look = {"color": ORANGE, "marker": "osD^v"[k % 5], "linestyle": "none"}
            trade.plot([near.rate], [near.distortion], **look, label=f"{name}: {value:g}")
            cost.plot([near.beta], [near.nelbo], **look)
        for axis in (trade, cost):
            axis.legend(fontsize=8)
        return figure


def sweep_figure(
    runs: Sequence[Reached], names: Sequence[str], front: Sequence[Reached], knee: Reached | None
) -> Figure:
    """Every run, those that no other beats, and where their curve bends."""
    with panels(1, wide=6.0, high=3.8) as (figure, (axis,)):
        line = [p.rate for p in front], [p.distortion for p in front]
        axis.plot(*line, color=BLUE, marker="o", label="beaten by none in both")
        others = [run for run in runs if run not in front]
        at = [p.rate for p in others], [p.distortion for p in others]
        axis.plot(*at, color=GREY, marker=".", linestyle="none", label="beaten" if others else "")
        if knee is not None:
            look = {"color": ORANGE, "marker": "D", "linestyle": "none", "label": "knee"}
            axis.plot([knee.rate], [knee.distortion], **look)
        middle = (min(run.rate for run in runs) + max(run.rate for run in runs)) / 2
        for run, name in zip(runs, names, strict=True):
            _named(axis, name, run.rate, run.distortion, left=run.rate > middle)
        axis.set(xlabel="rate, nats per image", title="distortion, nats per image")
        axis.legend(fontsize=8)
        return figure


def _named(axis: Axes, name: str, x: float, y: float, left: bool = False) -> None:
    """Beside a point, legible across lines; to its left where there is no room to its right."""
    look = {"fontsize": 8, "color": "#444", "ha": "right" if left else "left"}
    halo = [withStroke(linewidth=2.5, foreground="white")]
    axis.annotate(
        name, (x, y), (-5 if left else 5, 3), textcoords="offset points", path_effects=halo, **look
    )
