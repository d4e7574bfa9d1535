"""A step-index multimode fibre, one linear polarisation: guided modes, their coupling, the output.

Lengths are micrometres. The illumination and the camera share one square grid on the facets. Power
is the sum of |field|^2 over pixels, in units of the light that a white pattern lets through.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import linalg, optimize, special

from latentia.core.errors import Error
from latentia.core.seeding import derive_seed


def lp_roots(v: float) -> list[tuple[int, float]]:
    """Roots (l, u) of all guided LP_lm modes; Snyder & Love 1983, Optical Waveguide Theory, ch. 14.

    u J_{l+1}(u) / J_l(u) = w K_{l+1}(w) / K_l(w), w^2 = v^2 - u^2. LP_lm has its root between the
    m-th zero of J_{l-1}, its cut-off, and that of J_l. For l = 0 the first cut-off is v = 0. A mode
    with w below 1e-6 v, just past its cut-off, spreads over a million radii and is left out.
    """

    def residual(u: float, order: int) -> float:
        w = np.sqrt(v**2 - u**2)
        ratio = special.kve(1, w) / special.kve(0, w)
        for k in range(1, order + 1):  # K_{k+1} / K_k by recurrence: K itself would overflow
            ratio = 1 / ratio + 2 * k / w
        return u * special.jv(order + 1, u) - special.jv(order, u) * w * ratio

    roots = []
    for order in range(int(v) + 2):  # j_{l-1,1} > l - 1: none is guided beyond
        zeros = special.jn_zeros(order, int(v / np.pi) + 2)
        cutoffs = special.jn_zeros(abs(order - 1), len(zeros))
        if order == 0:
            cutoffs = np.concatenate([[0.0], cutoffs])
        for cutoff, zero in zip(cutoffs, zeros, strict=False):
            low, high = cutoff + 1e-9, min(zero, v * (1 - 5e-13))
            if low < high and residual(low, order) * residual(high, order) < 0:
                roots.append((order, optimize.brentq(residual, low, high, (order,), xtol=1e-13)))
    return roots


def grid_axis(size: int, half_width: float) -> np.ndarray:
    """Centres of the grid's pixels along one axis, in core radii: (size,)."""
    return ((np.arange(size) + 0.5) / size * 2 - 1) * half_width


@lru_cache(maxsize=8)
def lp_modes(
    core_radius: float, na: float, wavelength: float, half_width: float, size: int
) -> np.ndarray:
    """Guided modes on the grid, real and orthonormal: (size * size, modes).

    J_l(u r / a) in the core and K_l(w r / a) outside, times cos(l phi) and sin(l phi), continuous
    at r = a. Sampling and the edge of the grid cost a little orthogonality. The nearest orthonormal
    set (Löwdin 1950) restores it, so that a unitary conserves the power on the camera exactly.
    """
    v = 2 * np.pi * core_radius * na / wavelength
    axis = grid_axis(size, half_width)
    r, phi = np.hypot(axis, axis[:, None]), np.arctan2(axis[:, None], axis)
    modes = []
    for order, u in lp_roots(v):
        w = np.sqrt(v**2 - u**2)
        inside = special.jv(order, u * np.minimum(r, 1)) / special.jv(order, u)
        far = np.maximum(r, 1)
        outside = special.kve(order, w * far) / special.kve(order, w) * np.exp(w * (1 - far))
        radial = np.where(r < 1, inside, outside)
        angular = [np.cos(order * phi), np.sin(order * phi)] if order else [np.ones_like(phi)]
        modes += [radial * factor for factor in angular]
    matrix = np.stack([m.ravel() / np.linalg.norm(m) for m in modes], 1)
    values, vectors = linalg.eigh(matrix.T @ matrix)
    if values[0] < 0.1:
        raise Error(f"size {size} cannot resolve {len(modes)} modes; give more, or a smaller core.")
    modes = matrix @ (vectors / np.sqrt(values)) @ vectors.T
    modes.flags.writeable = False  # callers share the cached array
    return modes


def haar_unitary(modes: int, rng: np.random.Generator) -> np.ndarray:
    """Random unitary under Haar's measure: QR of a Ginibre matrix, with the phases of R's diagonal.

    Mezzadri 2007, How to generate random matrices from the classical compact groups. Without the
    phases, the QR's own convention would prefer some unitaries.
    """
    ginibre = rng.standard_normal((modes, modes, 2)) @ (1, 1j)
    q, r = np.linalg.qr(ginibre)
    diagonal = np.diagonal(r)
    return q * (diagonal / abs(diagonal))


def geodesic(unitary: np.ndarray, fraction: float) -> np.ndarray:
    """unitary^fraction: the unitary at this fraction of the geodesic from the identity."""
    if fraction == 1:
        return unitary
    triangle, basis = linalg.schur(unitary, output="complex")[:2]  # diagonal: a unitary is normal
    angles = np.angle(np.diagonal(triangle))
    return (basis * np.exp(1j * fraction * angles)) @ basis.conj().T


@dataclass(frozen=True)
class MultimodeFiber:
    """A fibre, in which the same pattern gives the same field. The seed draws the mode coupling.

    The pattern is an amplitude mask in a plane wave, on the square inscribed in the core. Light
    outside the guided modes (chiefly details finer than wavelength / (2 na)) radiates into the
    cladding and is lost: `coefficients` projects. Coupling 0 relays the guided part of the image, 1
    is Haar's measure, and `geodesic` joins them. The phases that the modes gather along the fibre
    are part of the coupling.
    """

    seed: int = 0
    size: int = 96
    core_radius: float = 12.5
    na: float = 0.22  # numerical aperture
    wavelength: float = 0.85
    coupling: float = 1.0
    grid_half_width: float = 1.1  # half the side of the grid, in core radii

    def __post_init__(self) -> None:
        if not 0 <= self.coupling <= 1:
            raise Error(f"coupling {self.coupling} is not in [0, 1]; 1 is Haar's measure.")
        if (least := min(self.core_radius, self.na, self.wavelength)) <= 0:
            raise Error(f"core radius, na and wavelength must be above 0, and one is {least}.")
        if self.pitch > self.wavelength / (4 * self.na):
            min_size = int(np.ceil(self.size * self.pitch * 4 * self.na / self.wavelength))
            raise Error(f"size {self.size} under-samples the speckle; give at least {min_size}.")

    @property
    def pitch(self) -> float:
        """Side of a pixel."""
        return 2 * self.grid_half_width * self.core_radius / self.size

    @cached_property
    def modes(self) -> np.ndarray:
        """(size * size, modes), orthonormal."""
        return lp_modes(self.core_radius, self.na, self.wavelength, self.grid_half_width, self.size)

    @cached_property
    def unitary(self) -> np.ndarray:
        """Transmission from input to output modes, (modes, modes)."""
        rng = np.random.default_rng(derive_seed(self.seed, "fibre"))
        return geodesic(haar_unitary(self.modes.shape[1], rng), self.coupling)

    @cached_property
    def radius(self) -> np.ndarray:
        """Distance of each pixel's centre from the axis, in core radii: (size, size)."""
        axis = grid_axis(self.size, self.grid_half_width)
        return np.hypot(axis, axis[:, None])

    def illuminated_pixels(self, h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the illuminated pixels, and of the h x w pattern's pixel at each."""
        axis = grid_axis(self.size, self.grid_half_width) / np.sqrt(0.5)
        index = np.flatnonzero(abs(axis) < 1)
        row, column = (np.floor((axis[index] + 1) / 2 * side).astype(int) for side in (h, w))
        pixels, sources = self.size * index[:, None] + index, w * row[:, None] + column
        return pixels.ravel(), sources.ravel()

    def coefficients(self, patterns: np.ndarray) -> np.ndarray:
        """Amplitudes of the input modes, (n, modes); their summed square is the guided power."""
        return patterns.reshape(len(patterns), -1) @ mode_overlaps(self, *patterns.shape[2:])

    def propagate(self, coefficients: np.ndarray) -> np.ndarray:
        """Field on the camera (n, size, size), complex, for amplitudes of the input modes."""
        output = coefficients @ self.unitary.T
        field = np.real(output) @ self.modes.T + 1j * (np.imag(output) @ self.modes.T)
        return field.reshape(-1, self.size, self.size)

    def field(self, patterns: np.ndarray) -> np.ndarray:
        """Field on the camera (n, size, size), complex, for patterns (n, 1, h, w)."""
        return self.propagate(self.coefficients(patterns))

    def intensity(self, patterns: np.ndarray) -> np.ndarray:
        """|field|^2, before any noise: (n, size, size)."""
        field = self.field(patterns)
        return np.real(field) ** 2 + np.imag(field) ** 2


@lru_cache(maxsize=4)
def mode_overlaps(fiber: MultimodeFiber, h: int, w: int) -> np.ndarray:
    """Overlap of each pattern pixel's light with each mode, (h * w, modes)."""
    pixels, sources = fiber.illuminated_pixels(h, w)
    overlaps = np.zeros((h * w, fiber.modes.shape[1]))
    np.add.at(overlaps, sources, fiber.modes[pixels])
    return overlaps / np.sqrt(len(pixels))
