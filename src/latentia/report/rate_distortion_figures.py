"""Distortion against rate: of one model at many betas, and of a sweep's runs."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from latentia.metrics.rate_distortion import HasRateDistortion, RateDistortionPoint
from latentia.report.figures import BLUE, GREY, ORANGE, make_panels


def draw_beta_curve(points: Sequence[RateDistortionPoint], marks: dict[str, float]) -> Figure:
    """Left: the trade, every other point with its beta. Right: what each beta costs and buys.

    marked: a beta for each thing that chose it.
    """
    beta, rate = [p.beta for p in points], [p.rate for p in points]
    distortion, nelbo = [p.distortion for p in points], [p.nelbo for p in points]
    with make_panels(2, width=4.4, height=3.2) as (figure, (trade_axis, cost_axis)):
        trade_axis.plot(rate, distortion, color=BLUE, marker=".")
        for point in points[:: max(1, len(points) // 6)]:
            _annotate_point(trade_axis, f"{point.beta:g}", point.rate, point.distortion)
        trade_axis.margins(x=0.12, y=0.08)  # room for the last numbers
        trade_axis.set(
            xlabel="rate, nats per image", title="distortion, nats per image; numbers: beta"
        )
        cost_axis.plot(beta, nelbo, color=BLUE, marker=".", label="negative ELBO (beta 1)")
        cost_axis.plot(beta, distortion, color=GREY, linestyle="--", label="distortion")
        cost_axis.set(xscale="log", xlabel="beta the model answers for", title="nats per image")
        cost_axis.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
        cost_axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        cost_axis.xaxis.set_minor_formatter(NullFormatter())
        for k, (name, value) in enumerate(marks.items()):
            nearest_point = min(points, key=lambda p: abs(p.beta - value))
            style = {"color": ORANGE, "marker": "osD^v"[k % 5], "linestyle": "none"}
            trade_axis.plot(
                [nearest_point.rate],
                [nearest_point.distortion],
                **style,
                label=f"{name}: {value:g}",
            )
            cost_axis.plot([nearest_point.beta], [nearest_point.nelbo], **style)
        for axis in (trade_axis, cost_axis):
            axis.legend(fontsize=8)
        return figure


def draw_sweep(
    runs: Sequence[HasRateDistortion],
    names: Sequence[str],
    front: Sequence[HasRateDistortion],
    knee: HasRateDistortion | None,
) -> Figure:
    """Every run, those that no other beats, and where their curve bends."""
    with make_panels(1, width=6.0, height=3.8) as (figure, (axis,)):
        front_line = [p.rate for p in front], [p.distortion for p in front]
        axis.plot(*front_line, color=BLUE, marker="o", label="beaten by none in both")
        dominated_runs = [run for run in runs if run not in front]
        dominated_points = [p.rate for p in dominated_runs], [p.distortion for p in dominated_runs]
        axis.plot(
            *dominated_points,
            color=GREY,
            marker=".",
            linestyle="none",
            label="beaten" if dominated_runs else "",
        )
        if knee is not None:
            style = {"color": ORANGE, "marker": "D", "linestyle": "none", "label": "knee"}
            axis.plot([knee.rate], [knee.distortion], **style)
        middle_rate = (min(run.rate for run in runs) + max(run.rate for run in runs)) / 2
        for run, name in zip(runs, names, strict=True):
            _annotate_point(axis, name, run.rate, run.distortion, on_left=run.rate > middle_rate)
        axis.set(xlabel="rate, nats per image", title="distortion, nats per image")
        axis.legend(fontsize=8)
        return figure


def _annotate_point(axis: Axes, name: str, x: float, y: float, on_left: bool = False) -> None:
    """Beside a point, legible across lines; to its left where there is no room to its right."""
    style = {"fontsize": 8, "color": "#444", "ha": "right" if on_left else "left"}
    halo = [withStroke(linewidth=2.5, foreground="white")]
    axis.annotate(
        name,
        (x, y),
        (-5 if on_left else 5, 3),
        textcoords="offset points",
        path_effects=halo,
        **style,
    )
