"""Schedules: functions of the run's progress, from 0 at the first step to 1 at the end.

Durations are fractions of the run: a warm-up counted in epochs ends early on large data.
"""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant(value: float) -> Schedule:
    return lambda progress: value


def linear(start: float, end: float) -> Schedule:
    return lambda progress: start + (end - start) * min(max(progress, 0.0), 1.0)


def exponential(start: float, end: float) -> Schedule:
    """Geometric from start to end; a start of 0 becomes a thousandth of the end."""
    if not end:
        return linear(start, end)
    nonzero_start = start or end / 1000
    return lambda progress: nonzero_start * (end / nonzero_start) ** min(max(progress, 0.0), 1.0)


def staircase(start: float, end: float, steps: int = 4) -> Schedule:
    """Rise from start to end in `steps` equal jumps, at equal distances."""
    return lambda progress: start + (end - start) * min(int(progress * (steps + 1)), steps) / steps


def cyclical(start: float, end: float, cycles: int = 4) -> Schedule:
    """Rise in the first half of each cycle, then hold; Fu et al. 2019, arXiv 1903.10145."""
    rise = linear(start, end)
    return lambda progress: end if progress >= 1 else rise(2 * (progress * cycles % 1.0))


def delayed(warmup: float, schedule: Schedule, until: float = 1.0) -> Schedule:
    """schedule(0) up to progress `warmup`, the whole schedule up to `until`, then schedule(1)."""
    length = max(until - warmup, 1e-12)
    return lambda progress: schedule(min(max((progress - warmup) / length, 0.0), 1.0))


def ramp_from(start: float, weight: float) -> Schedule:
    """0 up to progress `start`, then linear to `weight` over a tenth of the run."""
    return delayed(start, linear(0.0, weight), until=min(start + 0.1, 1.0))


def triangle(warmup: float = 0.0, power: float = 1.0) -> Schedule:
    """Linear warm-up from 0 to 1, then a decay to 0 as a power of the remaining fraction."""

    def factor(progress: float) -> float:
        remaining = max(1 - progress, 0.0) / max(1 - warmup, 1e-12)
        return progress / warmup if progress < warmup else remaining**power

    return factor


def cosine(warmup: float = 0.0, end: float = 0.0) -> Schedule:
    """Linear warm-up from 0 to 1, then half a cosine down to `end`."""

    def factor(progress: float) -> float:
        if progress < warmup:
            return progress / warmup
        fraction = (progress - warmup) / max(1 - warmup, 1e-12)
        return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0)))

    return factor
