"""Canonical correlations of two sets of latents, and the effective number of dimensions."""

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA

from latentia.core.errors import Error
from latentia.latents.agreement import compute_participation_ratio, measure_agreement

DRAW = np.random.default_rng(0)


def test_a_rotated_and_scaled_copy_agrees_wholly_but_matches_no_dimension():
    z = DRAW.normal(size=(2000, 4)) * [3, 2, 1, 0.1]
    rotation = np.linalg.qr(DRAW.normal(size=(4, 4)))[0]
    found = measure_agreement(z, z @ rotation)
    np.testing.assert_allclose(found.canonical, 1, atol=1e-9)
    assert found.explained == pytest.approx((1, 1))
    np.testing.assert_allclose(measure_agreement(z, -z[:, ::-1]).matched, 1, atol=1e-9)
    assert found.matched.min() < 0.9


def test_correlations_are_those_of_scikit_learn():
    shared, noise = DRAW.normal(size=(800, 3)), DRAW.normal(size=(2, 800, 3))
    a, b = shared + noise[0] * [0.1, 1, 3], shared @ DRAW.normal(size=(3, 3)) + 0.5 * noise[1]
    found = measure_agreement(a, b)
    u, v = CCA(3, max_iter=5000, tol=1e-12).fit_transform(a, b)
    oracle = [np.corrcoef(u[:, k], v[:, k])[0, 1] for k in range(3)]
    np.testing.assert_allclose(found.canonical, oracle, atol=1e-4)


def test_latents_of_independent_runs_agree_as_much_as_chance():
    found = measure_agreement(DRAW.normal(size=(300, 10)), DRAW.normal(size=(300, 12)))
    assert found.canonical.mean() == pytest.approx(found.chance, abs=0.03)
    assert found.chance > 0.05
    assert max(found.explained) < 0.1


def test_a_dimension_without_variance_is_no_dimension():
    z = DRAW.normal(size=(100, 3))
    assert len(measure_agreement(np.c_[z, np.zeros(100)], z).canonical) == 3


def test_more_dimensions_than_images_are_refused():
    with pytest.raises(Error, match="10 images are too few to compare 12 latent dimensions"):
        measure_agreement(np.zeros((10, 6)), np.zeros((10, 6)))


def test_participation_ratio_of_known_covariances():
    assert compute_participation_ratio(np.eye(7)) == pytest.approx(7)
    assert compute_participation_ratio(np.diag([1.0, 0, 0])) == pytest.approx(1)
    assert compute_participation_ratio(np.ones((5, 5))) == pytest.approx(1)
    variances = np.array([4.0, 2, 1])
    rotation = np.linalg.qr(DRAW.normal(size=(3, 3)))[0]
    ratio = compute_participation_ratio(rotation @ np.diag(variances) @ rotation.T)
    assert ratio == pytest.approx(49 / 21)
