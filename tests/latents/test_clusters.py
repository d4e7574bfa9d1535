"""Groups of images: their number, their order, their stability, their agreement with labels."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from latentia.core.errors import Error
from latentia.core.text import format_with_error
from latentia.latents.clusters import (
    choose_number,
    find_clusters,
    score_agreement,
    weigh_dims,
)

pytestmark = pytest.mark.usefixtures("full_repetitions")


def draw_groups(sizes, dims=3, distance=9.0, seed=0):
    """Unit Gaussians around corners of a simplex, and the group of each point."""
    rng, groups = np.random.default_rng(seed), np.repeat(np.arange(len(sizes)), sizes)
    points = distance * np.eye(max(len(sizes), dims))[groups][:, : max(len(sizes), dims)]
    return points + rng.normal(size=points.shape), groups


@pytest.mark.parametrize("seed", range(3))
def test_one_gaussian_of_any_covariance_is_one_group(seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4)) + 5
    clusters = find_clusters(points)
    assert set(clusters.labels) == {0}
    assert clusters.gaps[0] == (0.0, 0.0)
    assert repr(clusters).startswith("One group of 200 images: no number of groups up to 4 fits")
    assert clusters.stability is None


@pytest.mark.parametrize("sizes", [(60, 40), (30, 50, 20, 40)])
def test_separate_gaussians_are_found_and_counted_largest_first(sizes):
    points, groups = draw_groups(sizes)
    clusters = find_clusters(points)
    assert clusters.sizes == sorted(sizes, reverse=True)
    order = np.argsort(np.argsort([-size for size in sizes]))
    np.testing.assert_array_equal(clusters.labels, order[groups])
    means = np.stack([points[groups == k].mean(0) for k in groups])
    np.testing.assert_allclose(clusters.distances, np.linalg.norm(points - means, axis=1))
    assert clusters.stability.low > 0.99
    assert "stable (1" in repr(clusters)
    gap, error = clusters.gaps[len(sizes) - 1]
    share = format_with_error(100 - 100 * math.exp(-gap), 100 * error * math.exp(-gap))
    text = f"Within the {len(sizes)} groups squared distances from the mean are {share} % (standard"
    assert text in repr(clusters)
    assert not clusters.is_unstable


def test_four_groups_in_two_pairs_are_not_lost_where_two_fit_no_better_than_a_gaussian():
    """Their gap of two groups is below 0, as that of five points far apart in a plane may be."""
    rng = np.random.default_rng(2)
    points = (rng.normal(size=(5, 2)) * 8)[rng.integers(5, size=400)] + rng.normal(size=(400, 2))
    number, gaps = choose_number(points)
    assert gaps[1][0] < 0
    assert number == 4  # two of the five overlap


def test_groups_do_not_depend_on_the_order_of_the_images():
    points = np.random.default_rng(0).normal(size=(150, 3))
    clusters, rows = find_clusters(points, 5), np.random.default_rng(1).permutation(150)
    np.testing.assert_array_equal(find_clusters(points[rows], 5).labels, clusters.labels[rows])
    assert clusters.sizes == sorted(clusters.sizes, reverse=True)


def test_groups_of_one_gaussian_are_unstable():
    points = np.random.default_rng(0).normal(size=(150, 3))
    clusters = find_clusters(points, 6)
    assert clusters.stability.low < clusters.stability.value < 0.6
    assert ", unstable (1" in repr(clusters)
    assert clusters.is_unstable
    assert clusters.gaps == []


def test_agreement_is_one_for_the_same_groups_by_other_numbers_and_none_by_chance():
    rng = np.random.default_rng(0)
    groups = rng.integers(4, size=300)
    assert score_agreement(groups, 3 - groups) == (1, 1, 1)
    chance = score_agreement(groups, rng.integers(4, size=300))
    assert chance.low < 0.02
    assert abs(chance.value) < 0.03


def test_the_interval_of_an_agreement_by_chance_holds_it():
    """Images that a resample draws twice would raise the index of many small groups."""
    rng = np.random.default_rng(0)
    chance = score_agreement(rng.integers(30, size=150), rng.integers(30, size=150))
    assert chance.low < chance.value < chance.high
    assert abs(chance.low + chance.high - 2 * chance.value) < 0.01


def test_squared_distances_count_each_dimension_by_its_information():
    """A dimension at the prior counts nothing; the KL of another is that of torch."""
    rng = np.random.default_rng(0)
    mean = np.stack([rng.normal(size=50), np.zeros(50)], 1)
    sd = np.stack([np.full(50, 0.1), np.ones(50)], 1)
    posterior = Normal(torch.tensor(mean[:, 0]), 0.1)
    rate = kl_divergence(posterior, Normal(0.0, 1.0)).mean().item()
    expected = np.stack([mean[:, 0] * rate**0.5, np.zeros(50)], 1)
    np.testing.assert_allclose(weigh_dims(mean, sd), expected)
    assert weigh_dims(mean, None) is mean


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.zeros((1, 2))])
def test_equal_images_are_one_group(points):
    assert find_clusters(points).sizes == [len(points)]


@pytest.mark.parametrize("number", [0, -1, 3])
def test_an_impossible_number_is_an_error(number):
    text = f"--clusters is {number}; give auto, or a number of groups from 1 to 2, that of diff"
    with pytest.raises(Error, match=text):
        find_clusters(np.eye(2)[[0, 1, 1]], number)
