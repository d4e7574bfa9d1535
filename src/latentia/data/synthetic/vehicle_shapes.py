"""The bodies of the vehicles as tables: their outlines and the positions of their parts.

u runs along a vehicle from nose (0) to tail (1); v is the height above ground, in image widths.
"""

from typing import NamedTuple

import numpy as np

ABSENT = 9.0  # off the picture: a pillar or door edge that this vehicle lacks
SILL = 0.046  # the body's lower edge


class BodyStyle(NamedTuple):
    """A body: its outline as (u, v) from nose to tail, and the positions u of its parts."""

    outline: tuple[tuple[float, float], ...]
    belt: float  # v of the windows' lower edge; the roof factor stretches the body above it
    glass: tuple[float, float]
    screen: tuple[float, float]  # foot and head of the A pillar
    pillars: tuple[tuple[float, ...], tuple[float, ...]]  # with 2 doors, with 4
    doors: tuple[tuple[float, ...], tuple[float, ...]]  # edges from front to rear
    axles: tuple[float, float] = (0.185, 0.800)
    slant: float = 0.01  # u from the foot of a pillar to its head


# fmt: off
STYLES = {
    "hatchback": BodyStyle(
        outline=((0, 0.090), (0.004, 0.122), (0.05, 0.146), (0.23, 0.168), (0.38, 0.246),
         (0.52, 0.257), (0.72, 0.243), (0.93, 0.166), (0.985, 0.156), (1, 0.085)),
        belt=0.158, glass=(0.20, 0.91), screen=(0.30, 0.40),
        pillars=((0.62,), (0.53, 0.73)), doors=((0.30, 0.63), (0.30, 0.54, 0.76)),
        axles=(0.185, 0.835), slant=-0.01,
    ),
    "sedan": BodyStyle(
        outline=((0, 0.088), (0.004, 0.116), (0.04, 0.138), (0.27, 0.156), (0.42, 0.227),
         (0.55, 0.234), (0.68, 0.225), (0.82, 0.162), (0.975, 0.152), (0.994, 0.130), (1, 0.085)),
        belt=0.148, glass=(0.20, 0.82), screen=(0.335, 0.44),
        pillars=((0.61,), (0.54, 0.70)), doors=((0.32, 0.61), (0.32, 0.54, 0.74)),
    ),
    "wagon": BodyStyle(
        outline=((0, 0.088), (0.004, 0.116), (0.04, 0.140), (0.25, 0.158), (0.39, 0.232),
         (0.52, 0.241), (0.925, 0.237), (0.982, 0.165), (0.994, 0.140), (1, 0.085)),
        belt=0.150, glass=(0.20, 0.965), screen=(0.31, 0.42),
        pillars=((0.58, 0.80), (0.50, 0.68, 0.80)), doors=((0.30, 0.59), (0.30, 0.51, 0.70)),
        axles=(0.180, 0.800),
    ),
    "coupe": BodyStyle(
        outline=((0, 0.080), (0.004, 0.098), (0.05, 0.122), (0.33, 0.140), (0.50, 0.200),
         (0.60, 0.204), (0.70, 0.196), (0.92, 0.150), (0.985, 0.148), (0.996, 0.124), (1, 0.080)),
        belt=0.136, glass=(0.30, 0.88), screen=(0.40, 0.51),
        pillars=((0.68,), (0.59, 0.72)), doors=((0.38, 0.67), (0.38, 0.58, 0.73)),
        axles=(0.190, 0.810), slant=0.03,
    ),
    "pickup": BodyStyle(
        outline=((0, 0.098), (0.002, 0.150), (0.015, 0.164), (0.235, 0.174), (0.33, 0.254),
         (0.42, 0.262), (0.555, 0.258), (0.590, 0.165), (0.595, 0.161), (0.982, 0.161),
         (0.996, 0.158), (1, 0.090)),
        belt=0.166, glass=(0.20, 0.585), screen=(0.275, 0.35),
        pillars=((0.50,), (0.43,)), doors=((0.265, 0.51), (0.265, 0.43, 0.565)),
        axles=(0.175, 0.790), slant=-0.005,
    ),
    "van": BodyStyle(
        outline=((0, 0.092), (0.004, 0.140), (0.025, 0.165), (0.115, 0.190), (0.23, 0.300),
         (0.33, 0.318), (0.93, 0.318), (0.982, 0.305), (0.996, 0.200), (1, 0.085)),
        belt=0.186, glass=(0.08, 0.95), screen=(0.185, 0.27),
        pillars=((0.40, 0.62), (0.40, 0.62, 0.80)), doors=((0.20, 0.40), (0.20, 0.40, 0.62)),
        axles=(0.150, 0.800), slant=0.0,
    ),
}
UNDERSIDE = ((0, 0.090), (0.004, 0.060), (0.03, 0.050), (0.08, SILL), (0.92, SILL), (0.97, 0.052),
         (0.996, 0.064), (1, 0.085))
# fmt: on


def stack_styles(body: np.ndarray, doors: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return outline, belt, glass, screen, pillars, doors, axles and slant, one row an image."""

    def pad_rows(rows: list, length: int, fill) -> np.ndarray:
        return np.array([[*row, *[fill] * (length - len(row))] for row in rows])

    styles = list(STYLES.values())
    return (
        pad_rows([s.outline for s in styles], 12, (1, 0.085))[body],
        np.array([s.belt for s in styles])[body],
        np.array([s.glass for s in styles])[body],
        np.array([s.screen for s in styles])[body],
        pad_rows([s.pillars[k] for s in styles for k in (0, 1)], 3, ABSENT)[2 * body + doors],
        pad_rows([s.doors[k] for s in styles for k in (0, 1)], 3, ABSENT)[2 * body + doors],
        np.array([s.axles for s in styles])[body],
        np.array([s.slant for s in styles])[body],
    )
