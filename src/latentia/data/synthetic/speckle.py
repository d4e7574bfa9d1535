"""Speckle: what a camera sees behind a multimode fibre when a digit is shown at its input."""

from functools import cache
from typing import Any

import numpy as np

from latentia.core.errors import Error
from latentia.core.seeding import BLOCK, address
from latentia.data.synthetic.blocks import blocks
from latentia.data.synthetic.multimode_fiber import Fibre

SIDE = 28  # of a pattern
SHIFT = 2  # a pattern stands up to so many pixels from the middle
WHITE = 6  # full scale, in mean intensities of the core


def speckle(
    n: int = 10_000,
    size: int = 96,
    seed: int = 0,
    *,
    core: float = 12.5,
    na: float = 0.22,
    wavelength: float = 0.85,
    coupling: float = 1.0,
    exposure: float = 1.0,
    well: float = 10_000.0,
    read: float = 20.0,
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, list[str] | None]]:
    """Speckle (n, 1, size, size) uint8, its columns, class names. The seed is the fibre.

    Columns: `pattern` (n, 1, 28, 28) uint8, the amplitude at the input; `label`, its digit;
    `source`, which of scikit-learn's digits it is (split by it, and shifted copies of a digit stay
    together). Full scale is WHITE times the mean intensity in the core over all digits; exposure
    multiplies the light, `well` is the electrons of full scale (shot noise is Poisson's), `read`
    the standard deviation of read noise in electrons. What is above full scale clips, and read
    noise below 0: at exposure 1, 0.3 % of the core's pixels are above.
    """
    if min(exposure, well) <= 0 or read < 0:
        raise Error(
            f"exposure {exposure} and well {well} must be above 0, read noise {read} at least 0."
        )
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    images = np.empty((n, 1, size, size), np.uint8)
    with threadpool_limits(
        1
    ):  # the same bits on any number of cores; blocks gain nothing from more
        fibre = Fibre(seed, size, core, na, wavelength, coupling)
        gain = exposure / full_scale(fibre)
        columns = patterns(n, seed)
        for rows, draw in blocks(n, seed=seed, purpose="speckle"):
            shown = columns["pattern"][rows.start : rows.start + BLOCK] / 255
            seen = camera(fibre.intensity(shown) * gain, draw, well=well, read=read)
            images[rows, 0] = seen[: rows.stop - rows.start]
    names = {"pattern": None, "label": [str(digit) for digit in range(10)], "source": None}
    return images, {name: values[:n] for name, values in columns.items()}, names


def camera(light: np.ndarray, draw: np.random.Generator, *, well: float, read: float) -> np.ndarray:
    """Light in units of full scale -> uint8, with shot and read noise."""
    electrons = draw.poisson(light * well) + read * draw.standard_normal(light.shape, np.float32)
    return np.rint(np.clip(electrons / well, 0, 1) * 255).astype(np.uint8)


def full_scale(fibre: Fibre) -> float:
    """The intensity that reads 1: WHITE times the mean over the core that the digits would give.

    No image enters: a unitary keeps the guided power, and mixing spreads it over the core.
    """
    power = (fibre.coefficients(digits()[0][:, None] / 255) ** 2).sum(1).mean()
    return WHITE * power / (fibre.radius < 1).sum()


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 digits of 8x8, bilinear in the middle of SIDE x SIDE, uint8; labels."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    large = SIDE - 2 * SHIFT
    at = np.clip((np.arange(large) + 0.5) / large * 8 - 0.5, 0, 7)
    weights = np.maximum(1 - abs(at[:, None] - np.arange(8)), 0)  # (large, 8)
    images = weights @ (bunch["images"] / 16) @ weights.T
    return np.pad(np.rint(images * 255).astype(np.uint8), [(0, 0), *[(SHIFT, SHIFT)] * 2]), bunch[
        "target"
    ]


def patterns(n: int, seed: int) -> dict[str, np.ndarray]:
    """Digits, each shifted by whole pixels; n rounded up to whole blocks.

    A seeded permutation of all (digit, shift): no two are alike among the first 44,925.
    """
    images, labels = digits()
    shifts = 2 * SHIFT + 1
    draw = np.random.default_rng(address(seed, "patterns"))
    order = draw.permutation(len(images) * shifts**2)
    pick = np.resize(order, -(-n // BLOCK) * BLOCK)
    source, shift = np.divmod(pick, shifts**2)
    pattern = np.empty((len(pick), 1, SIDE, SIDE), np.uint8)
    for k in range(shifts**2):
        rows = shift == k
        by = (k // shifts - SHIFT, k % shifts - SHIFT)
        pattern[rows, 0] = np.roll(images[source[rows]], by, (1, 2))
    return {"pattern": pattern, "label": labels[source], "source": source}
