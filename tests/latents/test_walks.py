"""Walks, traversals and attributions: where they begin, end, and what they are the limit of."""

import math
import re

import numpy as np
import pytest
import torch
from scipy.stats import norm

from latentia.core.errors import Error
from latentia.latents.attribution import attribute_pixels
from latentia.latents.encoding import (
    LatentTable,
    choose_dims,
    encode_split,
    name_dims,
)
from latentia.latents.interpolation import interpolate_images, slerp
from latentia.latents.traversal import mixture_quantiles, traverse_dims


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("steps", [2, 3, 10])
def test_every_image_on_the_way_is_its_reconstruction_exactly(model, part, steps, spherical):
    images = part.get_batch(slice(0, 4)).image
    path = interpolate_images(model, images, steps, spherical=spherical)
    assert len(path) == 3 * (steps - 1) + 1
    assert torch.equal(path[:: steps - 1], model.reconstruct(images))


def test_the_middle_is_decoded_from_between_the_means(model, part):
    images = part.get_batch(slice(0, 2)).image
    a, b = model.encode(images).mean
    path = interpolate_images(model, images, 5)
    torch.testing.assert_close(path[1:2], model.decode((0.75 * a + 0.25 * b)[None]))


def test_arcs_keep_norm_and_speed():
    a, b = torch.tensor([2.0, 0, 0]), torch.tensor([0.0, 2, 0])
    for share in (0.1, 0.5, 0.8):
        at = slerp(a, b, share)
        assert at.norm() == pytest.approx(2, rel=1e-6)
        assert at[1] / at[0] == pytest.approx(math.tan(share * math.pi / 2), rel=1e-5)
    for end in (3 * a, -a, a, 0 * a):  # no one arc: the straight line, and no NaN
        torch.testing.assert_close(slerp(a, end, 0.25), torch.lerp(a, end, 0.25))


def test_walks_that_lead_nowhere(model, part):
    images = part.get_batch(slice(0, 2)).image
    for given, steps, said in ((images[:1], 5, "The number of images is 1; it must be at least 2"),
                               (images, 1, "--steps is 1; it must be at least 2")):  # fmt: skip
        with pytest.raises(Error, match=said):
            interpolate_images(model, given, steps)


def test_attribution_is_the_limit_of_differences(model, part):
    model = model.double()
    image = part.get_batch(slice(5, 6)).image.double()
    z, h = model.encode(image).mean, 1e-5
    maps = attribute_pixels(model, image, [3, 0], [2.0, 0.5])
    for found, k, per in zip(maps, (3, 0), (2.0, 0.5), strict=True):
        step = h * torch.eye(4, dtype=torch.float64)[k]
        difference = (model.decode(z + step) - model.decode(z - step)) / (2 * h)
        assert difference.abs().max() > 1e-3
        torch.testing.assert_close(found[None], per * difference, rtol=1e-7, atol=1e-9)


def test_convolutions_and_batch_norms_have_attributions_too(part):
    from latentia.losses.likelihoods import Gaussian
    from latentia.models.vae import VAE
    from latentia.nets.conv import ConvDecoder, ConvEncoder

    torch.manual_seed(0)
    shape = (1, 8, 6)
    made = VAE(ConvEncoder(shape, 3, (4, 8)), ConvDecoder(3, shape, (4, 8)), Gaussian())
    made = made.double().eval().requires_grad_(False)
    image = part.get_batch(slice(5, 6)).image.double()
    z, step = made.encode(image).mean, torch.tensor([[0, 1e-5, 0]], dtype=torch.float64)
    difference = (made.decode(z + step) - made.decode(z - step)) / 2e-5
    torch.testing.assert_close(attribute_pixels(made, image, [1]), difference, rtol=1e-6, atol=1e-9)


def test_maps_behind_attention_have_attributions_too(part):
    from latentia.losses.likelihoods import SymmetricGaussian
    from latentia.models.vae import VAE
    from latentia.nets.autoencoder import Architecture, Decoder, Encoder

    torch.manual_seed(0)
    shape, plan = (1, 8, 6), Architecture((4, 8), 2, 1, norm_groups=2)
    made = VAE(Encoder(shape, plan), Decoder(shape, plan), SymmetricGaussian())
    made = made.double().eval().requires_grad_(False)
    image = part.get_batch(slice(5, 6)).image.double()
    z, step = made.encode(image).mean, torch.zeros(1, 2, 4, 3, dtype=torch.float64)
    step.view(-1)[13] = 1e-5
    difference = (made.decode(z + step) - made.decode(z - step)) / 2e-5
    torch.testing.assert_close(
        attribute_pixels(made, image, [13]), difference, rtol=1e-6, atol=1e-9
    )


def test_quantiles_are_those_of_the_mixture():
    draw = np.random.default_rng(0)
    mean = draw.normal(size=(50, 3)).astype(np.float32)
    sd = draw.uniform(0.1, 2, (50, 3)).astype(np.float32)
    levels = np.array([0.02, 0.3, 0.5, 0.98])
    values = mixture_quantiles(mean, sd, levels)
    below = norm.cdf(values[None], mean[:, :, None], sd[:, :, None]).mean(0)
    np.testing.assert_allclose(below, np.broadcast_to(levels, (3, 4)), atol=1e-9)
    one = mixture_quantiles(mean[:1], sd[:1], levels)
    np.testing.assert_allclose(one, norm.ppf(levels, mean[0][:, None], sd[0][:, None]), rtol=1e-6)


def test_a_traversal_moves_one_dimension_and_holds_the_others(model, part):
    image, over = part.get_batch(slice(2, 3)).image, encode_split(model, part)
    found = traverse_dims(model, image, over, [2, 0], steps=5)
    z = model.encode(image).mean
    for row, k in enumerate((2, 0)):
        for step in (0, 4):
            moved = z.clone()
            moved[0, k] = float(found.values[row, step])
            torch.testing.assert_close(found.images[row, step][None], model.decode(moved))
    assert (np.diff(found.values) > 0).all()
    np.testing.assert_allclose(found.image_values, z[0, [2, 0]], rtol=1e-6)
    np.testing.assert_allclose(found.kl_per_dim, over.kl_per_dim[[2, 0]])
    with pytest.raises(Error, match="--steps is 1; it must be at least 2"):
        traverse_dims(model, image, over, [0], steps=1)


def test_codes_of_some_images_are_rows_of_all(model, part):
    whole, some = encode_split(model, part), encode_split(model, part, limit=9, batch_size=4)
    np.testing.assert_allclose(some.mean, whole.mean[[0, 5, 10, 15, 20, 24, 29, 34, 39]], atol=1e-6)
    assert whole.dims_by_kl == sorted(range(4), key=lambda k: -whole.kl[:, k].mean())
    draws = whole.mean + whole.sd * np.random.default_rng(0).normal(size=(2000, *whole.mean.shape))
    np.testing.assert_allclose(whole.aggregate_sd, draws.std((0, 1)), rtol=0.02)


def test_dimensions_by_name_and_by_rate():
    assert name_dims((3,)) == ["0", "1", "2"]
    assert name_dims((1, 2, 2)) == ["0_0_0", "0_0_1", "0_1_0", "0_1_1"]
    order = LatentTable(*[np.float32([[0, 2, 1]])] * 3).dims_by_kl
    assert order == [1, 2, 0]
    assert choose_dims("top:2", order) == [1, 2]
    assert choose_dims(None, order) == choose_dims("top:3", order) == [1, 2, 0]
    assert choose_dims(None, list(range(9))) == list(range(8))
    assert choose_dims("2,0", order) == [2, 0]
    assert choose_dims(2, order) == choose_dims(np.int64(2), order) == [1, 2]
    assert choose_dims([2, 0], order) == choose_dims(np.array([2, 0]), order) == [2, 0]
    words = ("top:9", "top:0", "top:x", "3", "0,-1", "", "a", "1.5")
    for value in (*words, 99, 0, -1, True, [3], [0, -1], [], 1.5, [1.5]):
        text = (
            f"--dims is {value}; the model has 3 latent dimensions: give top:3 (in Python 3) for "
            "so many of highest rate, or numbers from 0 to 2, such as 0,1."
        )
        with pytest.raises(Error, match=f"^{re.escape(text)}$"):
            choose_dims(value, order)
