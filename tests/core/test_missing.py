"""Missing pixels take no part in losses, scores and metrics."""

import pytest
import torch

import latentia
from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN, average_pixels, keep_missing, use_mask
from latentia.data import Source, open_images
from latentia.data.reading import Reading
from latentia.losses.discretized import DiscretizedLogistic
from latentia.losses.likelihoods import Bernoulli, Gaussian, SymmetricGaussian, choose_likelihood
from latentia.metrics.pca import PixelPCA
from latentia.models.iwae import IWAE
from latentia.models.vae import VAE
from latentia.nets.column_condition import use_columns, use_rows
from latentia.nets.mlp import MLPDecoder, MLPEncoder

LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "fixed": Gaussian,
    "learned": lambda: Gaussian("learned"),
    "optimal": lambda: Gaussian("optimal"),
    "symmetric": lambda: SymmetricGaussian(0.3),
    "discretized": lambda: DiscretizedLogistic(256, 2),
}
BOX = (..., slice(1, 5), slice(2, 6))  # of images of 6x7


def make_images(n=3):
    torch.manual_seed(0)
    mask = torch.zeros(n, 1, 6, 7)
    mask[BOX] = 1
    return torch.rand(n, 2, 6, 7), torch.randn(n, 2, 6, 7), mask


def make_vae(cls=VAE, likelihood=None, **options):
    nets = MLPEncoder((2, 6, 7), 3, (8,)), MLPDecoder(3, (2, 6, 7), (8,))
    return cls(*nets, likelihood or Bernoulli(), **options).eval()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_masked_loss_is_the_loss_of_the_cropped_image(name, training):
    images, output, mask = make_images()
    masked, cropped = (LIKELIHOODS[name]().train(training) for _ in range(2))
    masked.mask = mask
    torch.testing.assert_close(masked.nll(output, images), cropped.nll(output[BOX], images[BOX]))
    if (lowest := cropped.lowest_nll(images[BOX])) is not None:
        torch.testing.assert_close(masked.lowest_nll(images), lowest)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_gradients_at_missing_pixels_are_zero(name):
    images, output, mask = make_images()
    likelihood = LIKELIHOODS[name]()
    likelihood.mask = mask
    likelihood.nll(output.requires_grad_(), images).sum().backward()
    gradient = output.grad
    assert gradient is not None
    assert (gradient[mask.expand_as(gradient) == 0] == 0).all()
    assert (gradient[BOX] != 0).all()


def test_scores_do_not_depend_on_missing_values():
    images, _, mask = make_images()
    model, z = make_vae(), torch.randn(3, 3)
    others = keep_missing(images, torch.rand_like(images), mask)
    with use_columns(model, {MASK_COLUMN: mask}):
        scores, other_scores = (model.score_latents(z, x) for x in (images, others))
    assert not torch.equal(images, others)
    for name, values in scores.items():
        assert torch.equal(values, other_scores[name])
    error = (model.decode(z) - images).square()[BOX].flatten(1).mean(1)
    torch.testing.assert_close(scores["mse"], error)
    assert model.likelihood.mask is None


def test_several_draws_of_an_image_have_its_mask():
    """The distortion that an IWAE logs is the mean of its draws', each without missing pixels."""
    images, _, mask = make_images()
    mask[1] = 0  # nothing of this image is observed
    model, context = make_vae(IWAE, k=4), StepContext(0, 1, 0, 3, 0, 3)
    terms = model.terms(Batch(images, {MASK_COLUMN: mask}), context, None)
    distortion = terms["distortion"].value
    assert distortion[1] == 0
    assert (distortion[[0, 2]] > 0).all()


def test_rows_in_use_have_their_own_mask():
    images, _, mask = make_images()
    mask[1], mask[2] = 1, 0
    model, z = make_vae(), torch.randn(3, 3)
    with use_columns(model, {MASK_COLUMN: mask}):
        whole = model.distortion(z, images)
        for row in range(3):
            with use_rows(model, [row]):
                each = model.distortion(z[row : row + 1], images[row : row + 1])
                draws = model.distortion(z[[row, row]], images[[row, row]])
            torch.testing.assert_close(each[0], whole[row])
            torch.testing.assert_close(draws, whole[[row, row]])


def test_reconstructions_keep_what_was_missing():
    images, _, mask = make_images()
    model = make_vae()
    with use_mask(model, mask):
        found = model.reconstruct(images)
    assert torch.equal(found[mask.expand_as(found) == 0], images[mask.expand_as(found) == 0])
    torch.testing.assert_close(found[BOX], model.reconstruct(images)[BOX])


def test_errors_of_pca_are_those_of_observed_pixels():
    images = open_images("digits:100", size=8)
    pca, x = PixelPCA(images.split("train"), 3), images.split("test")[:]
    mask = torch.zeros(len(x), 1, 8, 8)
    mask[..., 2:, 1:7] = 1
    centred = x.flatten(1) - pca.mean
    error = (centred - centred @ pca.axes @ pca.axes.T).square().view(x.shape)
    torch.testing.assert_close(pca.measure_mse(x, mask), error[..., 2:, 1:7].flatten(1).mean(1))
    torch.testing.assert_close(average_pixels(error, torch.ones_like(mask)), pca.measure_mse(x))


@pytest.mark.parametrize("recipe", ["mnist_gan", "vaegan", "pixel_diffusion", "photo_vae"])
def test_a_model_that_sees_padding_refuses_it(recipe):
    with pytest.raises(Error, match=r"cannot leave padding out of its loss; give --aspect crop"):
        latentia.train(recipe, "digits:60", aspect="pad", epochs=1, progress=False)


def test_a_likelihood_that_counts_every_pixel_is_refused(fresh_registries):
    @latentia.likelihood("blind")
    class Blind(latentia.Likelihood):
        def nll(self, output, image):
            return (self.mean(output) - image).abs().flatten(1).sum(1)

    options = {"aspect": "pad", "epochs": 1, "progress": False}
    with pytest.raises(Error, match=r"The likelihood Blind cannot leave padding out .*sum_pixels"):
        latentia.train("conv_vae", "digits:60", likelihood="blind", **options)


def test_a_stream_has_no_padding():
    with pytest.raises(Error, match="--stream reads no padding"):
        Reading(aspect="pad", stream=True)


def test_padding_is_neither_black_nor_white():
    """The share of extreme pixels chooses the likelihood; padding is white."""
    for value in (0.5, 0.02):  # dark images are not black and white either
        grey = torch.full((40, 1, 8, 4), value).numpy()
        images = open_images(Source(grey, Reading(aspect="pad")), 8)
        assert images.split("train").get_batch(slice(1)).image.max() == 1
        assert images.levels.extreme_share == 0
        assert "no image is black and white" in choose_likelihood(images).notes[0]
