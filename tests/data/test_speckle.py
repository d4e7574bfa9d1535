"""The fibre obeys optics: modes, unitarity, and the statistics of speckle (Goodman 2007)."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from latentia.core.errors import Error
from latentia.data.synthetic.multimode_fiber import MultimodeFiber, geodesic, haar_unitary, lp_roots
from latentia.data.synthetic.speckle import (
    FULL_SCALE,
    Camera,
    full_scale_intensity,
    load_padded_digits,
    make_patterns,
    make_speckle,
)

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from speckle_statistics import grain_size  # pyright: ignore[reportMissingImports]

FEW = {
    "size": 16,
    "core_radius": 4.0,
    "na": 0.2,
}  # some ten modes: thousands of such fibres are cheap
SEEDS = 3000


def illuminate(fiber, patterns):
    """Input field (n, size * size) of patterns (n, 1, h, w), amplitudes in [0, 1]."""
    pixels, sources = fiber.illuminated_pixels(*patterns.shape[2:])
    field = np.zeros((len(patterns), fiber.size**2))
    field[:, pixels] = patterns.reshape(len(patterns), -1)[:, sources] / np.sqrt(len(pixels))
    return field


@pytest.fixture(scope="module")
def fibre() -> MultimodeFiber:
    return MultimodeFiber(size=48)


@pytest.fixture(scope="module")
def shown() -> np.ndarray:
    return make_patterns(64, seed=0)["pattern"] / 255


@pytest.fixture(scope="module")
def few() -> tuple[np.ndarray, np.ndarray]:
    """One pixel's modes (modes,) and the unitaries of many independent fibres."""
    pixel = MultimodeFiber(**FEW).modes[16 * 6 + 9]
    return pixel, np.stack([MultimodeFiber(seed=seed, **FEW).unitary for seed in range(SEEDS)])


def within(values: np.ndarray, expected: float, errors: float = 3.0) -> bool:
    return abs(values.mean() - expected) < errors * values.std() / np.sqrt(len(values))


# The modes.


@pytest.mark.parametrize(
    ("v", "modes"), [(2.40, 1), (2.41, 3), (3.83, 3), (3.95, 6), (5.13, 6), (5.14, 8), (5.65, 10)]
)
def test_modes_appear_at_their_cut_offs(v, modes):
    """LP01 always, LP11 at 2.405, LP21 and LP02 at 3.832, LP31 at 5.136, LP12 at 5.520."""
    assert sum(2 if order else 1 for order, _ in lp_roots(v)) == modes


def test_roots_solve_the_characteristic_equation():
    for order, u in lp_roots(20.0):
        w = np.sqrt(20.0**2 - u**2)
        left = u * special.jv(order + 1, u) / special.jv(order, u)
        right = w * special.kv(order + 1, w) / special.kv(order, w)
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6)


def test_the_number_of_modes_tends_to_a_quarter_of_v_squared():
    """One polarisation; Snyder & Love 1983."""
    count = sum(2 if order else 1 for order, _ in lp_roots(60.0))
    np.testing.assert_allclose(count, 60.0**2 / 4, rtol=0.07)


def test_modes_are_orthonormal_and_eigenfunctions():
    """In the core, the Laplacian of LP01 is -(u / a)^2 times it, but for sampling."""
    fibre = MultimodeFiber()
    np.testing.assert_allclose(
        fibre.modes.T @ fibre.modes, np.eye(fibre.modes.shape[1]), atol=1e-10
    )
    mode = fibre.modes[:, 0].reshape(96, 96)
    laplacian = sum(
        np.gradient(np.gradient(mode, fibre.pitch, axis=k), fibre.pitch, axis=k) for k in (0, 1)
    )
    inner = fibre.radius < 0.6
    (u,) = (u for order, u in lp_roots(2 * np.pi * 12.5 * 0.22 / 0.85)[:1])
    slope = (laplacian[inner] * mode[inner]).sum() / (mode[inner] ** 2).sum()
    np.testing.assert_allclose(slope, -((u / 12.5) ** 2), rtol=0.02)


# The coupling.


@pytest.mark.parametrize("coupling", [0.0, 0.3, 1.0])
def test_the_coupling_is_unitary(coupling):
    unitary = MultimodeFiber(size=48, coupling=coupling).unitary
    np.testing.assert_allclose(unitary @ unitary.conj().T, np.eye(len(unitary)), atol=1e-10)


def test_the_knob_goes_from_the_identity_to_haar():
    whole = haar_unitary(30, np.random.default_rng(0))
    away = [np.linalg.norm(geodesic(whole, part) - np.eye(30)) for part in np.linspace(0, 1, 6)]
    assert away[0] < 1e-10
    assert (np.diff(away) > 0).all()
    half = geodesic(whole, 0.5)
    np.testing.assert_allclose(half @ half, whole, atol=1e-10)
    assert geodesic(whole, 1.0) is whole


def test_the_unitary_is_haar(few):
    """E tr U = 0, E |tr U^k|^2 = k for k <= modes; Diaconis & Shahshahani 1994."""
    _, unitaries = few
    trace = np.trace(unitaries, axis1=1, axis2=2)
    twice = np.trace(unitaries @ unitaries, axis1=1, axis2=2)
    assert within(trace.real, 0)
    assert within(trace.imag, 0)
    assert within(abs(trace) ** 2, 1)
    assert within(abs(twice) ** 2, 2)


# Energy.


def test_power_on_the_camera_is_the_guided_power(fibre, shown):
    guided = (fibre.coefficients(shown) ** 2).sum(1)
    np.testing.assert_allclose(fibre.intensity(shown).sum((1, 2)), guided, rtol=1e-10)


def test_the_guided_power_is_less_than_the_incident_and_a_mode_is_all_guided(fibre, shown):
    field = illuminate(fibre, shown)
    np.testing.assert_allclose(fibre.coefficients(shown), field @ fibre.modes, atol=1e-12)
    incident = (field**2).sum(1)
    guided = (fibre.coefficients(shown) ** 2).sum(1)
    assert (guided < incident).all()
    assert (guided > 0.8 * incident).all()  # digits are smooth on the scale of wavelength / (2 na)
    np.testing.assert_allclose((illuminate(fibre, np.ones((1, 1, 28, 28))) ** 2).sum(), 1)
    checks = (np.indices((28, 28)).sum(0) % 2)[None, None] * 2.0 - 1  # finer than the fibre guides
    assert (fibre.coefficients(checks) ** 2).sum() < 0.05


def test_a_fibre_without_coupling_relays_the_pattern_on_the_square_inscribed_in_the_core(shown):
    straight = MultimodeFiber(size=48, coupling=0.0)
    lit = illuminate(straight, np.ones((1, 1, 28, 28)))[0].reshape(48, 48) > 0
    assert straight.radius[lit].max() < 1 < straight.radius[lit].max() + 0.07
    assert (lit == lit.T).all()
    seen, wanted = straight.field(shown).reshape(64, -1), illuminate(straight, shown)
    likeness = (seen.real * wanted).sum(1) / np.linalg.norm(seen, axis=1)
    assert (likeness / np.linalg.norm(wanted, axis=1) > 0.9).all()
    corner = np.zeros((1, 1, 28, 28))
    corner[..., :8, 20:] = 1  # top right stays top right
    y, x = np.unravel_index(straight.intensity(corner).argmax(), (48, 48))
    assert y < 20
    assert x > 28


# The statistics of one pixel over independent fibres.


def test_contrast_of_n_modes(few):
    """Under Haar's measure the intensity is Beta(1, N - 1): contrast sqrt((N - 1) / (N + 1))."""
    pixel, unitaries = few
    n = len(pixel)
    launched = np.random.default_rng(1).standard_normal(n)
    intensity = abs(unitaries @ (launched / np.linalg.norm(launched)) @ pixel) ** 2
    mean, sd = intensity.mean(), intensity.std()
    influence = (((intensity - mean) / sd) ** 2 - 1) / 2 - (intensity - mean) / mean
    error = sd / mean * influence.std() / np.sqrt(SEEDS)
    assert 6 <= n <= 15  # so that the law differs from contrast 1 by more than its error
    assert abs(sd / mean - np.sqrt((n - 1) / (n + 1))) < 3 * error
    assert 1 - np.sqrt((n - 1) / (n + 1)) > 3 * error
    assert within(intensity, (pixel**2).sum() / n)


def test_intensity_is_negative_exponential_in_many_modes(shown):
    """Goodman 2007, eq. 3.2; Kolmogorov-Smirnov at 1 %, the mean known, seeds 0 to 699."""
    knobs = {"size": 32, "core_radius": 9.0}
    fibre = MultimodeFiber(**knobs)
    pixel = fibre.modes[32 * 13 + 18]
    launched = fibre.coefficients(shown[:1])[0]
    fields = [MultimodeFiber(seed=seed, **knobs).unitary @ launched @ pixel for seed in range(700)]
    mean = (pixel**2).sum() * (launched**2).sum() / len(pixel)
    assert len(pixel) > 50
    assert stats.kstest(abs(np.array(fields)) ** 2 / mean, "expon").pvalue > 0.01


@pytest.mark.parametrize("overlap", [0.0, 0.6])
def test_fields_are_correlated_as_their_inputs(few, overlap):
    pixel, unitaries = few
    a, b = np.linalg.qr(np.random.default_rng(2).standard_normal((len(pixel), 2)))[0].T
    first, second = (unitaries @ c @ pixel for c in (a, overlap * a + np.sqrt(1 - overlap**2) * b))
    mean = (pixel**2).sum() / len(pixel)
    product = first.conj() * second / mean
    assert within(product.real, overlap)
    assert within(product.imag, 0)


def test_on_one_camera_the_squared_field_correlation_is_the_squared_overlap(fibre, shown):
    def correlation(x: np.ndarray) -> np.ndarray:
        x = x.reshape(len(x), -1)
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        return abs(x.conj() @ x.T) ** 2

    launched = fibre.coefficients(shown[:12])
    np.testing.assert_allclose(
        correlation(fibre.propagate(launched)), correlation(launched), atol=1e-10
    )


# The grain.


def test_grain_scales_as_wavelength_over_twice_the_aperture():
    """The width is 1.03 wavelength / (2 na) for a filled aperture, as a fibre's is under Haar."""
    scale, width = [], []
    for na, wavelength in ((0.22, 0.65), (0.22, 0.85), (0.22, 1.1), (0.16, 0.85), (0.30, 0.85)):
        seen = []
        for seed in range(4):
            fibre = MultimodeFiber(seed=seed, size=64, na=na, wavelength=wavelength)
            launched = np.random.default_rng(seed).standard_normal((24, fibre.modes.shape[1]))
            seen.append(abs(fibre.propagate(launched)[:, 16:48, 16:48]) ** 2)
        scale.append(wavelength / (2 * na))
        width.append(grain_size(np.concatenate(seen)) * fibre.pitch)
    ratio = np.divide(width, scale)
    np.testing.assert_allclose(ratio, 1.03, rtol=0.08)
    power = np.polyfit(np.log(scale), np.log(width), 1)[0]
    np.testing.assert_allclose(power, 1, atol=0.06)


# The data set.


def test_the_same_pattern_gives_the_same_field(shown):
    one, again = MultimodeFiber(size=48, seed=5), MultimodeFiber(size=48, seed=5)
    assert np.array_equal(one.field(shown), again.field(shown))
    assert not np.allclose(one.field(shown[:1]), MultimodeFiber(size=48, seed=6).field(shown[:1]))


def test_the_same_seed_is_the_same_data_set_for_every_n():
    images, columns, _ = make_speckle(130, size=32, seed=2)
    few, of_few, _ = make_speckle(70, size=32, seed=2)
    assert np.array_equal(images[:70], few)
    assert all(np.array_equal(columns[k][:70], of_few[k]) for k in columns)
    assert not np.array_equal(make_speckle(70, size=32, seed=3)[0], few)


def test_the_interface():
    images, columns, names = make_speckle(3)
    assert images.shape == (3, 1, 96, 96)
    assert images.dtype == columns["pattern"].dtype == np.uint8
    assert columns["pattern"].shape == (3, 1, 28, 28)
    assert list(columns) == list(names) == ["pattern", "label", "source"]
    assert names["label"] == list("0123456789")
    assert np.array_equal(columns["label"], load_padded_digits()[1][columns["source"]])


def test_patterns_are_distinct_beyond_the_digits_themselves():
    shown = make_patterns(4000, seed=0)["pattern"][:4000]
    assert len(np.unique(shown.reshape(4000, -1), axis=0)) == 4000
    edge = np.concatenate([shown[:, 0, [0, -1]].ravel(), shown[:, 0, :, [0, -1]].ravel()])
    assert edge.max() > 0  # a shift of 2 reaches the edge
    assert shown.max() == 255


def test_the_camera_adds_shot_and_read_noise():
    """Variance of the reading: light / well + (read / well)^2, and 1/12 of a level for rounding."""
    light = np.full((1, 300, 300), 0.4)
    seen = Camera(full_well=1000.0, read_noise=30.0).record(light, np.random.default_rng(0)) / 255
    np.testing.assert_allclose(seen.mean(), 0.4, atol=4 * seen.std() / 300)
    expected = 0.4 / 1000 + 0.03**2 + 1 / 12 / 255**2
    np.testing.assert_allclose(seen.var(), expected, rtol=4 * np.sqrt(2) / 300)


def test_the_scale_is_the_fibres_and_exposure_multiplies():
    quiet = {"full_well": 1e9, "read_noise": 0.0}
    images, columns, _ = make_speckle(64, size=48, camera=Camera(**quiet))
    fibre = MultimodeFiber(size=48)
    light = fibre.intensity(columns["pattern"] / 255) / full_scale_intensity(fibre)
    assert abs(images[:, 0] / 255 - light.clip(0, 1)).max() < 0.6 / 255
    half, _, _ = make_speckle(64, size=48, camera=Camera(exposure=0.5, **quiet))
    assert abs(half[:, 0] / 255 - (light / 2).clip(0, 1)).max() < 0.6 / 255
    core = light[:, fibre.radius < 1]
    assert (core > 1).mean() < 0.006
    np.testing.assert_allclose(core.mean(), 1 / FULL_SCALE, rtol=0.1)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MultimodeFiber(coupling=1.5), r"coupling 1\.5 is not in \[0, 1\]"),
        (lambda: MultimodeFiber(na=0.0), r"na and wavelength must be above 0, and one is 0\.0"),
        (
            lambda: make_speckle(1, size=16),
            r"size 16 under-samples the speckle; give at least 29",
        ),
        (lambda: Camera(full_well=0.0), r"full well 0\.0 must be above 0"),
    ],
)
def test_errors_say_what_to_give(make, text):
    with pytest.raises(Error, match=text):
        make()
