"""Schedules: functions of the share of the run that is done, 0 at the first step, 1 at the end.

Fractions, never epochs or steps: a warm-up counted in epochs ends early on large data (trap 8).
"""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant(value: float) -> Schedule:
    return lambda progress: value


def linear(start: float, end: float) -> Schedule:
    return lambda progress: start + (end - start) * min(max(progress, 0.0), 1.0)


def exponential(start: float, end: float) -> Schedule:
    """Geometric from start to end; a start of 0 is taken as a thousandth of the end."""
    if not end:
        return linear(start, end)
    nonzero_start = start or end / 1000
    return lambda progress: nonzero_start * (end / nonzero_start) ** min(max(progress, 0.0), 1.0)


def staircase(start: float, end: float, steps: int = 4) -> Schedule:
    """`steps` equal stairs up from start; the last stands at end."""
    return lambda progress: start + (end - start) * min(int(progress * (steps + 1)), steps) / steps


def cyclical(start: float, end: float, cycles: int = 4) -> Schedule:
    """Each cycle rises for its first half and holds; Fu et al. 2019, arXiv 1903.10145, figure 1."""
    rise = linear(start, end)
    return lambda progress: end if progress >= 1 else rise(2 * (progress * cycles % 1.0))


def delayed(warmup: float, schedule: Schedule, until: float = 1.0) -> Schedule:
    """`then(0)` up to the share `warmup`, all of `then` up to `until`, `then(1)` from there."""
    return lambda progress: schedule(
        min(max((progress - warmup) / max(until - warmup, 1e-12), 0.0), 1.0)
    )


def ramp_from(start: float, weight: float) -> Schedule:
    """0 up to this share of the run, then linearly over a tenth of it to `weight`, which stays."""
    return delayed(start, linear(0.0, weight), until=min(start + 0.1, 1.0))


def triangle(warmup: float = 0.0, power: float = 1.0) -> Schedule:
    """A factor: 0 to 1 over the share `warmup`, then down to 0 as the power of what is left."""

    def factor(progress: float) -> float:
        remaining = max(1 - progress, 0.0) / max(1 - warmup, 1e-12)
        return progress / warmup if progress < warmup else remaining**power

    return factor


def cosine(warmup: float = 0.0, end: float = 0.0) -> Schedule:
    """A factor: 0 to 1 over the share `warmup`, then half a cosine down to `end`."""

    def factor(progress: float) -> float:
        if progress < warmup:
            return progress / warmup
        fraction = (progress - warmup) / max(1 - warmup, 1e-12)
        return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0)))

    return factor
