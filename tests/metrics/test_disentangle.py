"""MIG, DCI and SAP at both ends of their scale, and what must not change them."""

import numpy as np
import pytest

from latentia.core.errors import Error
from latentia.metrics.disentanglement import dci, measure_disentanglement, mig, purity, sap

N = 10_000


def drawn(n=N, seed=0):
    """Two classes of things, one number with few values and one with many."""
    draw = np.random.default_rng(seed)
    return {
        "shape": draw.integers(0, 3, n),
        "scale": draw.choice(np.linspace(0.5, 1, 6, dtype=np.float32), n),
        "x": draw.choice(np.linspace(0, 1, 32, dtype=np.float32), n),
    }


def aligned(factors, noise=2, seed=1):
    """A dimension for each factor, in another order, and some of noise."""
    draw = np.random.default_rng(seed)
    n = len(factors["x"])
    own = [factors["x"] ** 3, -1.0 * factors["shape"], 5 * factors["scale"] - 2]
    return np.stack([*own, *draw.normal(size=(noise, n))], 1)


def mixed(codes, seed=2):
    """Dimensions 0 and 1 of unit spread, at 30 degrees to their factors."""
    codes = (codes - codes.mean(0)) / codes.std(0)
    turn = np.deg2rad(30)
    codes[:, :2] @= [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    return codes


def test_a_dimension_of_its_own_for_each_factor_is_perfect():
    factors = drawn()
    factors.pop("scale")
    linear = np.stack([factors["x"], factors["shape"]], 1)
    found = measure_disentanglement(np.hstack([linear, aligned(drawn())[:, 3:]]), factors)
    assert set(found) == {
        "mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness",
    }  # fmt: skip
    assert all(0.99 <= value <= 1 for value in found.values()), found


def test_noise_tells_nothing():
    found = measure_disentanglement(np.random.default_rng(3).normal(size=(N, 6)), drawn())
    assert all(value < 0.05 for value in found.values()), found


def test_a_rotation_mixes_what_was_apart():
    factors = drawn(4000)
    codes = aligned(factors)
    straight, turned = (
        measure_disentanglement(codes, factors),
        measure_disentanglement(mixed(codes), factors),
    )
    for name in ("mig", "sap", "dci_disentanglement", "dci_completeness"):
        assert turned[name] < straight[name] - 0.1, name
    assert turned["dci_informativeness"] > 0.9  # everything can still be read


def test_the_order_of_dimensions_does_not_matter():
    factors = drawn(2000)
    codes = mixed(aligned(factors))
    other = codes[:, [3, 0, 4, 2, 1]]
    assert mig(codes, factors) == mig(other, factors)
    assert sap(codes, factors) == pytest.approx(sap(other, factors), abs=1e-12)
    for name, value in dci(codes, factors).items():
        assert dci(other, factors)[name] == pytest.approx(value, abs=0.02)


def test_no_monotone_change_of_a_dimension_moves_mig():
    factors = drawn(2000)
    codes = mixed(aligned(factors))
    bent = np.stack([np.exp(codes[:, 0]), codes[:, 1] ** 3, *(7 * codes[:, 2:].T - 1)], 1)
    assert mig(bent, factors) == mig(codes, factors)


def test_mig_of_two_bits_is_that_of_the_counts():
    """z0 is the bit in 3 cases of 4: information log 2 - H(1/4), over an entropy of log 2."""
    bit = np.tile([0, 1], 4000)
    flip = np.repeat([1, 0, 0, 0], 2000)
    codes = np.stack([bit ^ flip, np.repeat([0, 1, 0, 1], 2000)], 1).astype(float)
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert mig(codes, {"bit": bit}) == pytest.approx(1 - entropy / np.log(2), abs=1e-9)


def test_a_factor_of_one_value_has_no_gap():
    """Its entropy is 0: a random half of the images may have one value of a rare class."""
    codes = np.random.default_rng(0).normal(size=(300, 2))
    varied = (codes[:, 0] > 0).astype(int)
    gap = mig(codes, {"varied": varied})
    assert mig(codes, {"varied": varied, "constant": np.ones(300, int)}) == gap / 2 > 0.1


def test_sap_of_a_number_is_its_squared_correlation():
    draw = np.random.default_rng(5)
    x, other = draw.normal(size=(2, 100_000))
    codes = np.stack([0.6 * x + 0.8 * other, draw.normal(size=100_000)], 1)
    assert sap(codes, {"x": x}) == pytest.approx(0.36, abs=0.01)


def test_two_dimensions_that_tell_the_same_leave_no_gap():
    factors = drawn(1000)
    x, noise = factors["x"], np.random.default_rng(6).normal(size=1000)
    codes = np.stack([x, noise, 2 * x + 1], 1)
    assert mig(codes[:, [0, 1]], {"x": x}) > 0.8
    assert mig(codes, {"x": x}) == pytest.approx(0, abs=0.02)
    assert sap(codes, {"x": x}) == pytest.approx(0, abs=1e-9)


def test_one_dimension_for_two_factors_is_complete_and_not_disentangled():
    draw = np.random.default_rng(4)
    a, b = draw.integers(0, 4, N), draw.integers(0, 4, N)
    codes = np.stack([4.0 * a + b, draw.normal(size=N)], 1)
    found = dci(codes, {"a": a, "b": b})
    assert found["dci_completeness"] > 0.95
    assert found["dci_disentanglement"] < 0.3
    np.testing.assert_allclose(purity(np.array([[1.0, 1.0], [1.0, 0.0]])), [0, 1], atol=1e-9)


def test_the_same_figures_every_time():
    factors = drawn(1000)
    codes = mixed(aligned(factors))
    assert measure_disentanglement(codes, factors) == measure_disentanglement(codes, factors)


def test_what_tells_nothing_is_left_out_and_what_cannot_be_measured_refused():
    factors, codes = drawn(500), aligned(drawn(500))
    more = {
        "one": np.ones(500),
        "bad": np.where(np.arange(500) == 3, np.inf, factors["x"]),
        "patterns": np.zeros((500, 1, 2, 2)),
    }
    assert measure_disentanglement(codes, factors | more) == measure_disentanglement(codes, factors)
    codes[:, 0] = 0  # a dead dimension
    assert all(np.isfinite(v) for v in measure_disentanglement(codes, factors).values())
    with pytest.raises(Error, match="of one, bad, patterns none can be used: give images with lab"):
        measure_disentanglement(codes, more)
    with pytest.raises(Error, match="of no column none can be used"):
        measure_disentanglement(codes, {})
    with pytest.raises(Error, match="needs at least 100 images; there are 99"):
        measure_disentanglement(codes[:99], {k: v[:99] for k, v in factors.items()})


def test_images_without_a_value_count_for_the_other_factors_only():
    factors, codes = drawn(2000), aligned(drawn(2000))
    shape, x = factors["shape"].copy(), factors["x"].copy()
    shape[:400], x[300:900] = -1, np.nan
    for name, part, rows in (("shape", shape, slice(400, None)), ("x", x, np.isfinite(x))):
        alone = {name: factors[name][rows]}
        assert mig(codes, {name: part}) == pytest.approx(mig(codes[rows], alone), abs=0.02)
        assert sap(codes, {name: part}) == sap(codes[rows], alone)
        found, whole = dci(codes, {name: part}), dci(codes[rows], alone)
        assert found == pytest.approx(whole, abs=0.02)


def test_classes_and_numbers_are_those_that_the_columns_say():
    """50 named classes are no number, and 10 ages no classes."""
    draw = np.random.default_rng(0)
    factors, codes = {"a": draw.integers(0, 50, 3000)}, draw.normal(size=(3000, 2))
    codes[:, 0] = np.random.default_rng(1).permutation(50)[factors["a"]]
    as_class = measure_disentanglement(codes, factors, {"a": [f"n{k}" for k in range(50)]})
    as_number = measure_disentanglement(codes, factors, {"a": None})
    assert as_class["sap"] > 0.9 > 0.1 > as_number["sap"]
