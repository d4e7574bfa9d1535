"""Speckle: what a camera sees behind a multimode fibre when a digit is shown at its input."""

from functools import cache
from typing import Any

import numpy as np

from latentia.core.errors import Error
from latentia.core.seeding import BLOCK_ROWS, derive_seed
from latentia.data.synthetic.blocks import iterate_blocks
from latentia.data.synthetic.multimode_fiber import MultimodeFiber

PATTERN_SIZE = 28  # of a pattern
MAX_SHIFT = 2  # a pattern stands up to so many pixels from the middle
FULL_SCALE = 6  # full scale, in mean intensities of the core


def speckle(
    n: int = 10_000,
    size: int = 96,
    seed: int = 0,
    *,
    core_radius: float = 12.5,
    na: float = 0.22,
    wavelength: float = 0.85,
    coupling: float = 1.0,
    exposure: float = 1.0,
    full_well: float = 10_000.0,
    read_noise: float = 20.0,
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, list[str] | None]]:
    """Speckle (n, 1, size, size) uint8, its columns, class names. The seed is the fibre.

    Columns: `pattern` (n, 1, 28, 28) uint8, the amplitude at the input; `label`, its digit;
    `source`, which of scikit-learn's digits it is (split by it, and shifted copies of a digit stay
    together). Full scale is WHITE times the mean intensity in the core over all digits; exposure
    multiplies the light, `well` is the electrons of full scale (shot noise is Poisson's), `read`
    the standard deviation of read noise in electrons. What is above full scale clips, and read
    noise below 0: at exposure 1, 0.3 % of the core's pixels are above.
    """
    if min(exposure, full_well) <= 0 or read_noise < 0:
        raise Error(
            f"exposure {exposure} and well {full_well} must be above 0, read noise {read_noise} at least 0."
        )
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    images = np.empty((n, 1, size, size), np.uint8)
    with threadpool_limits(
        1
    ):  # the same bits on any number of cores; blocks gain nothing from more
        fiber = MultimodeFiber(seed, size, core_radius, na, wavelength, coupling)
        gain = exposure / full_scale_intensity(fiber)
        columns = make_patterns(n, seed)
        for rows, rng in iterate_blocks(n, seed=seed, purpose="speckle"):
            input_patterns = columns["pattern"][rows.start : rows.start + BLOCK_ROWS] / 255
            camera_images = simulate_camera(
                fiber.intensity(input_patterns) * gain,
                rng,
                full_well=full_well,
                read_noise=read_noise,
            )
            images[rows, 0] = camera_images[: rows.stop - rows.start]
    class_names = {"pattern": None, "label": [str(digit) for digit in range(10)], "source": None}
    return images, {name: values[:n] for name, values in columns.items()}, class_names


def simulate_camera(
    intensity: np.ndarray, rng: np.random.Generator, *, full_well: float, read_noise: float
) -> np.ndarray:
    """Light in units of full scale -> uint8, with shot and read noise."""
    electrons = rng.poisson(intensity * full_well) + read_noise * rng.standard_normal(
        intensity.shape, np.float32
    )
    return np.rint(np.clip(electrons / full_well, 0, 1) * 255).astype(np.uint8)


def full_scale_intensity(fiber: MultimodeFiber) -> float:
    """The intensity that reads 1: WHITE times the mean over the core that the digits would give.

    No image enters: a unitary keeps the guided power, and mixing spreads it over the core.
    """
    power = (fiber.coefficients(load_padded_digits()[0][:, None] / 255) ** 2).sum(1).mean()
    return FULL_SCALE * power / (fiber.radius < 1).sum()


@cache
def load_padded_digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 digits of 8x8, bilinear in the middle of SIDE x SIDE, uint8; labels."""
    from sklearn.datasets import load_digits

    dataset: Any = load_digits()
    enlarged_size = PATTERN_SIZE - 2 * MAX_SHIFT
    positions = np.clip((np.arange(enlarged_size) + 0.5) / enlarged_size * 8 - 0.5, 0, 7)
    weights = np.maximum(1 - abs(positions[:, None] - np.arange(8)), 0)  # (large, 8)
    images = weights @ (dataset["images"] / 16) @ weights.T
    return np.pad(
        np.rint(images * 255).astype(np.uint8), [(0, 0), *[(MAX_SHIFT, MAX_SHIFT)] * 2]
    ), dataset["target"]


def make_patterns(n: int, seed: int) -> dict[str, np.ndarray]:
    """Digits, each shifted by whole pixels; n rounded up to whole blocks.

    A seeded permutation of all (digit, shift): no two are alike among the first 44,925.
    """
    images, labels = load_padded_digits()
    shifts = 2 * MAX_SHIFT + 1
    rng = np.random.default_rng(derive_seed(seed, "patterns"))
    permutation = rng.permutation(len(images) * shifts**2)
    selection = np.resize(permutation, -(-n // BLOCK_ROWS) * BLOCK_ROWS)
    source, shift = np.divmod(selection, shifts**2)
    pattern = np.empty((len(selection), 1, PATTERN_SIZE, PATTERN_SIZE), np.uint8)
    for k in range(shifts**2):
        rows = shift == k
        offset = (k // shifts - MAX_SHIFT, k % shifts - MAX_SHIFT)
        pattern[rows, 0] = np.roll(images[source[rows]], offset, (1, 2))
    return {"pattern": pattern, "label": labels[source], "source": source}
