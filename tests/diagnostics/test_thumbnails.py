"""What thumbnails show: duplicates, constant and inverted images, and no alarm on photographs."""

import functools
import io
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from latentia.data import open_images
from latentia.diagnostics.thumbnails import (
    DUPLICATE_DISTANCE,
    THUMBNAIL_SIDE,
    Thumbnails,
    find_inverted,
    find_near_duplicates,
    make_thumbnails,
    measure_spread,
)

SHARED = Path(__file__).parents[3] / "shared" / "data"


def thumbnails(images):
    """Of all of an array (n, h, w) in [0, 1]."""
    return make_thumbnails(open_images(np.float32(images)).split("all"))


def disks(rng, n, side=32):
    """Masks of one filled ellipse each, that reaches the border now and then."""
    y, x = np.mgrid[:side, :side] / side
    centre, radius = rng.uniform(0.35, 0.65, (2, n, 1, 1)), rng.uniform(0.15, 0.45, (2, n, 1, 1))
    return ((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 < 1


def photographs(seed, dark_share, ground, objects):
    """Objects on a light ground, and a share of them on a dark one.

    ground: level and noise of the light one; objects: how their grey depends on the ground.
    """
    rng, n = np.random.default_rng(seed), 400
    is_dark = rng.random(n) < dark_share
    level, noise = ground
    grounds = np.where(is_dark, 1 - level, level)[:, None, None]
    if objects == "any":
        greys = rng.uniform(0.1, 0.9, n)
    else:  # light ones on dark, dark ones on light
        greys = np.where(is_dark, rng.uniform(0.4, 1, n), rng.uniform(0, 0.6, n))
    images = np.where(disks(rng, n), greys[:, None, None], grounds)
    return (images + rng.normal(0, noise, images.shape)).clip(0, 1)


@pytest.mark.parametrize("objects", ["any", "opposite"])
@pytest.mark.parametrize("ground", [(0.9, 0.03), (0.8, 0.08), (1.0, 0.0), (0.97, 0.02)])
@pytest.mark.parametrize("dark_share", [0.01, 0.1, 0.3, 0.5])
def test_photographs_on_light_and_dark_grounds_are_not_inverted(dark_share, ground, objects):
    for seed in range(3):
        images = thumbnails(photographs(seed, dark_share, ground, objects))
        assert not find_inverted(images).any()


def test_clothes_on_black_are_not_inverted_even_if_they_fill_the_frame():
    rng = np.random.default_rng(0)
    clothes = disks(rng, 500) * rng.uniform(0.3, 1, (500, 1, 1))
    clothes[:20] = rng.uniform(0.9, 1, (20, 32, 32))  # a white cloth from border to border
    clothes[20:25] = 1 - clothes[20:25] * (rng.random((5, 32, 32)) < 0.2)
    assert not find_inverted(thumbnails(clothes)).any()


@functools.cache
def mnist_pixels():
    """The training images: read here, in a fifth of the time that the package's checks take."""
    table = pandas.read_parquet(next((SHARED / "mnist").glob("train*.parquet")))
    return np.stack([np.asarray(Image.open(io.BytesIO(cell["bytes"]))) for cell in table["image"]])


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_planted_negatives_of_digits_are_found_and_hardly_another_image(name, share):
    if name == "mnist" and not (SHARED / "mnist").is_dir():
        pytest.skip(f"real images are not at {SHARED / 'mnist'}")
    source = "digits" if name == "digits" else mnist_pixels()
    plain = make_thumbnails(open_images(source, size=28, channels=1).split("all"))
    assert not find_inverted(plain).any()
    n = len(plain.rows)
    planted = torch.randperm(n)[: round(share * n)]
    vectors = plain.vectors.clone()
    vectors[planted] = 1 - vectors[planted]
    found = find_inverted(plain._replace(vectors=vectors))
    assert found[planted].double().mean() > 0.95
    assert found.sum() - found[planted].sum() <= 1e-3 * n


@pytest.mark.slow
def test_no_photograph_of_cifar_is_inverted_constant_or_given_twice():
    if not (SHARED / "cifar10").is_dir():
        pytest.skip(f"real images are not at {SHARED / 'cifar10'}")
    images = make_thumbnails(open_images(str(SHARED / "cifar10")).split("train"))
    assert len(images.rows) > 45_000  # all, not a sample
    assert not find_inverted(images).any()
    assert not images.constant.any()
    assert not len(find_near_duplicates(images, images, earlier=True).rows)


def test_the_pruned_search_finds_the_same_duplicates_as_all_pairs():
    rng = np.random.default_rng(0)
    images = rng.random((700, 16, 16))
    copies = rng.permutation(700)[:80]
    images[copies] = images[(copies + 350) % 700] + rng.normal(0, 0.004, (80, 16, 16))
    few = thumbnails(images.clip(0, 1))
    found = find_near_duplicates(few, few, earlier=True)
    distances = torch.cdist(few.vectors.double(), few.vectors.double()) / THUMBNAIL_SIDE
    near = distances < DUPLICATE_DISTANCE * measure_spread(few)
    expected = near.tril(-1).any(1).nonzero().flatten()
    assert len(expected) > 40
    assert torch.equal(found.rows, expected)
    assert near[found.rows, found.nearest].all()
    assert (found.nearest < found.rows).all()


def test_every_copy_of_one_picture_is_found_once():
    same = np.tile(np.random.default_rng(0).random((1, 8, 8)), (300, 1, 1))
    few = thumbnails(same)
    assert torch.equal(find_near_duplicates(few, few, earlier=True).rows, torch.arange(1, 300))


def test_faint_masks_are_neither_constant_nor_each_others_copies():
    """8-bit images of 0 and 1, as of a segmentation, beside some that are empty."""
    rng = np.random.default_rng(0)
    masks = disks(rng, 60, 64).astype(np.uint8)
    masks[:3] = 0
    few = make_thumbnails(open_images(masks).split("all"))
    assert few.constant.nonzero().flatten().tolist() == [0, 1, 2]
    assert not len(find_near_duplicates(few, few, earlier=True).rows)
    assert not find_inverted(few).any()


def test_no_images_have_no_findings():
    empty = Thumbnails(torch.arange(0), torch.empty(0, 256), torch.empty(0, dtype=torch.bool))
    some = thumbnails(np.random.default_rng(0).random((5, 8, 8)))
    assert not len(find_near_duplicates(empty, some).rows)
    assert not len(find_near_duplicates(some, empty).rows)
    assert not find_inverted(empty).any()
