"""Speckle: camera images behind a multimode fibre with a digit at its input."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from latentia.core.errors import Error
from latentia.core.seeding import BLOCK_ROWS, derive_seed
from latentia.data.synthetic.blocks import SyntheticImages, iterate_blocks
from latentia.data.synthetic.multimode_fiber import MultimodeFiber

PATTERN_SIZE = 28  # side of a pattern, pixels
MAX_SHIFT = 2  # pixels between a pattern and the middle, along each axis
FULL_SCALE = 6  # full scale of the camera, in mean intensities of the core


@dataclass(frozen=True)
class Camera:
    """A camera with shot noise (Poisson) and read noise (normal)."""

    exposure: float = 1.0  # factor of the light
    full_well: float = 10_000.0  # electrons at full scale
    read_noise: float = 20.0  # standard deviation, electrons

    def __post_init__(self) -> None:
        if min(self.exposure, self.full_well) <= 0 or self.read_noise < 0:
            raise Error(
                f"exposure {self.exposure} and full well {self.full_well} must be above 0, read"
                f" noise {self.read_noise} at least 0."
            )

    def record(self, intensity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Convert intensities in units of full scale to uint8."""
        shot = rng.poisson(intensity * self.full_well)
        electrons = shot + self.read_noise * rng.standard_normal(intensity.shape, np.float32)
        return np.rint(np.clip(electrons / self.full_well, 0, 1) * 255).astype(np.uint8)


FIBER, CAMERA = MultimodeFiber(), Camera()


def make_speckle(
    n: int = 10_000,
    size: int = 96,
    seed: int = 0,
    *,
    fiber: MultimodeFiber = FIBER,
    camera: Camera = CAMERA,
) -> SyntheticImages:
    """Simulate speckle patterns behind a multimode fibre.

    Full scale is FULL_SCALE times the mean intensity in the core over all digits. Higher readings
    clip, and readings below 0 too: at exposure 1, 0.3 % of the core's pixels are above.

    Parameters
    ----------
    n : int
        number of images
    size : int
        pixels of a side; it replaces that of the fibre
    seed : int
        seed of the patterns, the fibre and the noise
    fiber : MultimodeFiber
        the fibre
    camera : Camera
        the camera and its noise

    Returns
    -------
    tuple
        images (n, 1, size, size) uint8, columns by name, and class names by column. Columns:
        `pattern` (n, 1, 28, 28) uint8, the amplitude at the input; `label`, its digit; `source`,
        its number among scikit-learn's digits (a split by it keeps shifted copies of a digit
        together)

    Raises
    ------
    Error
        if size is too small

    Examples
    --------
    >>> import latentia
    >>> images, columns, classes = latentia.make_speckle(2, size=32)
    >>> images.shape, columns["pattern"].shape
    ((2, 1, 32, 32), (2, 1, 28, 28))
    """
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    images = np.empty((n, 1, size, size), np.uint8)
    fiber = replace(fiber, seed=seed, size=size)
    # one thread: the same bits on any number of cores, and blocks gain nothing from more
    with threadpool_limits(1):
        gain = camera.exposure / full_scale_intensity(fiber)
        columns = make_patterns(n, seed)
        for rows, rng in iterate_blocks(n, seed=seed, purpose="speckle"):
            patterns = columns["pattern"][rows.start : rows.start + BLOCK_ROWS] / 255
            block = camera.record(fiber.intensity(patterns) * gain, rng)
            images[rows, 0] = block[: rows.stop - rows.start]
    names = {"pattern": None, "label": [str(digit) for digit in range(10)], "source": None}
    return images, {name: values[:n] for name, values in columns.items()}, names


def full_scale_intensity(fiber: MultimodeFiber) -> float:
    """Intensity that reads 1: FULL_SCALE times the mean over the core that all digits would give.

    No image is needed: a unitary keeps the guided power, and mixing spreads it over the core.
    """
    power = (fiber.coefficients(load_padded_digits()[0][:, None] / 255) ** 2).sum(1).mean()
    return FULL_SCALE * power / (fiber.radius < 1).sum()


@cache
def load_padded_digits() -> tuple[np.ndarray, np.ndarray]:
    """Load scikit-learn's 1,797 digits of 8x8, enlarged (bilinear) and padded, uint8; labels."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    side = PATTERN_SIZE - 2 * MAX_SHIFT
    positions = np.clip((np.arange(side) + 0.5) / side * 8 - 0.5, 0, 7)
    weights = np.maximum(1 - abs(positions[:, None] - np.arange(8)), 0)  # (side, 8)
    images = np.rint(weights @ (data["images"] / 16) @ weights.T * 255).astype(np.uint8)
    return np.pad(images, [(0, 0), *[(MAX_SHIFT, MAX_SHIFT)] * 2]), data["target"]


def make_patterns(n: int, seed: int) -> dict[str, np.ndarray]:
    """Make digits, each shifted by whole pixels. n is rounded up to whole blocks.

    They are a seeded permutation of all (digit, shift): the first 44,925 are all different.
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
