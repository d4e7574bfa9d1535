"""Distortion against rate, for one model at many betas and for the runs of a sweep."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from latentia.metrics.rate_distortion import RateDistortionPoint
from latentia.report.figures import BLUE, GREY, ORANGE, TERM_LABELS, make_panels

RATE_LABEL = f"{TERM_LABELS['rate']}, nats per image"
DISTORTION_LABEL = f"{TERM_LABELS['distortion']}, nats per image"


def draw_beta_curve(points: Sequence[RateDistortionPoint], marks: dict[str, float]) -> Figure:
    """Draw distortion against rate, with betas as numbers, and the negative ELBO against beta.

    marks: betas to mark, by what chose them.
    """
    beta, nelbo, distortion, rate, _ = zip(*points, strict=True)
    with make_panels(2, width=4.6, height=3.4) as (figure, (curve_axis, beta_axis)):
        curve_axis.plot(rate, distortion, color=BLUE, marker=".")
        for point in points[:: max(1, len(points) // 6)]:
            _annotate_point(curve_axis, f"{point.beta:g}", point.rate, point.distortion)
        curve_axis.margins(x=0.12, y=0.08)  # space for the last numbers
        curve_axis.set(xlabel=RATE_LABEL, ylabel=DISTORTION_LABEL, title="numbers: beta")
        beta_axis.plot(beta, nelbo, color=BLUE, marker=".", label="negative ELBO (beta 1)")
        label = TERM_LABELS["distortion"]
        beta_axis.plot(beta, distortion, color=GREY, linestyle="--", label=label)
        beta_axis.set(xscale="log", xlabel="beta of the model", ylabel="nats per image")
        beta_axis.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
        beta_axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        beta_axis.xaxis.set_minor_formatter(NullFormatter())
        for k, (name, value) in enumerate(marks.items()):
            nearest = min(points, key=lambda point: abs(point.beta - value))
            style = {"color": ORANGE, "marker": "osD^v"[k % 5], "linestyle": "none"}
            label = f"{name}: {value:g}"
            curve_axis.plot([nearest.rate], [nearest.distortion], **style, label=label)
            beta_axis.plot([nearest.beta], [nearest.nelbo], **style)
        for axis in (curve_axis, beta_axis):
            axis.legend(fontsize=8)
        return figure


def draw_sweep(
    runs: Sequence[Any], names: Sequence[str], front: Sequence[Any], knee: Any
) -> Figure:
    """Draw distortion against rate of every run, with the Pareto front and its knee."""
    dominated_runs = [run for run in runs if run not in front]
    layers = [
        (front, {"color": BLUE, "marker": "o", "label": "Pareto front"}),
        (dominated_runs, {"color": GREY, "marker": ".", "linestyle": "none", "label": "dominated"}),
        ([knee], {"color": ORANGE, "marker": "D", "linestyle": "none", "label": "knee"}),
    ]
    with make_panels(1, width=6.0, height=3.8) as (figure, (axis,)):
        for points, style in layers:
            if points and points[0] is not None:
                axis.plot([p.rate for p in points], [p.distortion for p in points], **style)
        middle = (min(run.rate for run in runs) + max(run.rate for run in runs)) / 2
        for run, name in zip(runs, names, strict=True):
            _annotate_point(axis, name, run.rate, run.distortion, on_left=run.rate > middle)
        axis.set(xlabel=RATE_LABEL, ylabel=DISTORTION_LABEL)
        axis.legend(fontsize=8)
        return figure


def _annotate_point(axis: Axes, name: str, x: float, y: float, on_left: bool = False) -> None:
    style: Any = {"fontsize": 8, "color": "#444", "ha": "right" if on_left else "left"}
    halo = [withStroke(linewidth=2.5, foreground="white")]  # readable across lines
    offset = (-5 if on_left else 5, 3)
    axis.annotate(name, (x, y), offset, textcoords="offset points", path_effects=halo, **style)
