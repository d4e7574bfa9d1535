"""The tests for copying hold their level on honest samples, and find planted copies."""

import numpy as np
import pytest
from scipy.stats import binom

from latentia.metrics.memorization import NEAR_SHARE, memorization_statistics

REPEATS, LEVEL = 400, 0.05


def cloud(draw, n):
    return draw.standard_normal((n, 4))


def test_both_tests_hold_their_level_on_honest_samples():
    """Rejections of REPEATS honest sets: no more than a binomial of the level allows."""
    draw = np.random.default_rng(0)
    found = [
        memorization_statistics(*(cloud(draw, n) for n in (120, 200, 200))) for _ in range(REPEATS)
    ]
    most = binom.ppf(0.999, REPEATS, LEVEL)
    for name in ("nearer_p", "near_copy_p"):
        rejected = sum(getattr(each, name) <= LEVEL for each in found)
        assert rejected <= most, name
    # not by being deaf: Mann-Whitney's level is reached, the exact one's as far as counts allow
    assert sum(each.nearer_p <= LEVEL for each in found) >= binom.ppf(0.001, REPEATS, LEVEL)
    shares = np.array([each.near_copy_share for each in found])
    assert abs(shares.mean() - 2 / 201) < 4 * shares.std() / REPEATS**0.5
    centres = np.array([each.nearer_share for each in found])
    assert abs(centres.mean() - 0.5) < 4 * centres.std() / REPEATS**0.5
    errors = np.array([each.nearer_share_error for each in found])
    assert errors.mean() == pytest.approx(centres.std(), rel=0.15)


@pytest.mark.parametrize("blur", [0.0, 0.01])
def test_copies_planted_at_a_twentieth_are_found(blur):
    draw, n = np.random.default_rng(1), 1000
    caught = 0
    for _ in range(20):
        train, held, drawn = (cloud(draw, size) for size in (2000, n, n))
        picked = draw.choice(len(train), n // 20, replace=False)
        drawn[: n // 20] = train[picked] + blur * draw.standard_normal((n // 20, 4))
        found = memorization_statistics(train, held, drawn)
        caught += found.near_copy_p <= LEVEL
        assert found.near_copy_share == pytest.approx(NEAR_SHARE + 0.05, abs=0.02)
    assert caught == 20


def test_copies_are_found_among_samples_that_are_far_from_the_data():
    """There the samples as a whole are farther than held-out images, and ranks are blind."""
    draw = np.random.default_rng(2)
    train, held = cloud(draw, 2000), cloud(draw, 1000)
    drawn = 3 * cloud(draw, 1000)
    drawn[:50] = train[:50]
    found = memorization_statistics(train, held, drawn)
    assert found.nearer_p > 0.99
    assert found.near_copy_p < 1e-6


def test_samples_that_are_all_copies():
    draw = np.random.default_rng(3)
    train, held = cloud(draw, 500), cloud(draw, 300)
    found = memorization_statistics(train, held, train[:300])
    assert found.nearer_share == 1.0
    assert found.near_copy_share == 1.0
    assert max(found.nearer_p, found.near_copy_p) < 1e-50
    far = memorization_statistics(train, held, cloud(draw, 300) + 50)
    assert (far.nearer_share, far.near_copy_share, far.near_copy_p) == (0.0, 0.0, 1.0)
