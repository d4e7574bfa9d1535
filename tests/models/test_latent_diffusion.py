"""The learned prior: its latents' units, its condition, and what it may depend on."""

import math

import pytest
import torch
from torch import nn

from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.core.seeding import noise, sample_normal_rows
from latentia.diffusion.path import LinearPath, VariancePreservingPath
from latentia.diffusion.sampling_options import SamplingOptions
from latentia.losses.likelihoods import Gaussian
from latentia.models.latent_diffusion import CLUSTER_COLUMN, POSTERIOR_COLUMN, LatentDiffusion
from latentia.models.vae import VAE
from latentia.nets.conditioning import LabelCondition
from latentia.nets.denoiser import ConvDenoiser, MLPDenoiser
from latentia.nets.mlp import MLPDecoder, MLPEncoder

MEAN_COLUMN, LOGVAR_COLUMN = map(POSTERIOR_COLUMN.format, ("mean", "logvar"))
SHAPE, D, CLASSES = (1, 4, 5), 3, 4
ROUNDED = 0.5e-5 + 1e-7  # facts are written to five decimals of float32


def prior(path=None, clusters=0, **how):
    torch.manual_seed(0)
    vae = VAE(MLPEncoder(SHAPE, D, (8,)), MLPDecoder(D, SHAPE, (8,)), Gaussian(math.sqrt(0.5)))
    denoiser = MLPDenoiser((D,), width=16, depth=2)
    condition = LabelCondition(clusters or CLASSES, denoiser.width)
    column = CLUSTER_COLUMN if clusters else "label"
    model = LatentDiffusion(vae, denoiser, path or LinearPath(), condition, column, **how).double()
    for parameter in model.parameters():  # past the zeros that it starts from
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def batch(n=6, seed=1):
    draw = torch.Generator().manual_seed(seed)
    images = torch.rand(n, *SHAPE, generator=draw, dtype=torch.float64)
    return Batch(images, {"label": torch.arange(n) % CLASSES})


def moved(errors, others):
    """Rows whose errors differ: rounding makes 1e-14 of float64, another condition 5e-4."""
    return (errors - others).abs() > 1e-8


def when(step=0, n=6, first_row=0, everything=None):
    return StepContext(step, 10, 0, 100, first_row, everything or n)


def test_latents_are_in_units_of_the_aggregate_posterior():
    """Against many draws of every image's posterior (pitfall: Latent scale by hand)."""
    model, images = prior(), batch(40)
    columns = model.setup([batch(40)])
    posterior = model.autoencoder.encode(images.image)
    eps = torch.randn(20_000, 40, D, generator=torch.Generator().manual_seed(0)).double()
    draws = (posterior.mean + posterior.sd * eps).flatten(0, 1)
    torch.testing.assert_close(model.latent_mean, draws.mean(0), atol=0.01, rtol=0.01)
    torch.testing.assert_close(model.latent_sd, draws.std(0), atol=0.01, rtol=0.01)
    told = model.metadata()["latents"]
    assert told["mean"] == pytest.approx(model.latent_mean.tolist(), abs=ROUNDED)
    assert told["sd"] == pytest.approx(model.latent_sd.tolist(), abs=ROUNDED)
    # the columns stand for the encoder: the same error with and without them
    beside = Batch(images.image, {**images.columns, **columns})
    with torch.no_grad():
        errors = [
            model.sample_denoising_error(b, when(n=40), "train", 0.1)[1] for b in (images, beside)
        ]
    torch.testing.assert_close(*errors)


def test_the_denoiser_sees_those_units_and_the_decoder_its_own():
    model, n = prior(), 4000
    images = batch(n)
    model.setup([images])
    z = model.sample_latents(model.encode_batch(images), when(n=n), "train")
    torch.testing.assert_close(z.mean(0), torch.zeros(D).double(), atol=0.05, rtol=0)
    torch.testing.assert_close(z.std(0), torch.ones(D).double(), atol=0.03, rtol=0)
    for parameter in model.denoiser.parameters():  # a velocity of 0: noise stays where it is
        torch.nn.init.zeros_(parameter)
    drawn = sample_normal_rows(3, (D,), seed=5, purpose="prior").double()
    for latents in model.sample_trajectory(3, seed=5, sampling=SamplingOptions("heun", steps=3)):
        torch.testing.assert_close(latents, drawn * model.latent_sd + model.latent_mean)


def test_the_autoencoder_stays_as_it_is_and_is_no_part_of_the_state():
    model = prior()
    assert not [key for key in model.state_dict() if "encoder" in key]
    assert not [p for p in model.autoencoder.parameters() if p.requires_grad]
    model.train()
    assert not model.autoencoder.training
    assert next(model.float().autoencoder.parameters()).dtype == torch.float32


def test_validation_images_are_encoded_once_and_score_the_same_bits():
    model, parts = prior(), [batch(5, seed=2), batch(4, seed=3)]
    model.setup([batch(40)])
    columns = model.encode_frozen(parts)
    expected = [model.score(part, when(n=len(part.image)))["denoising"] for part in parts]
    model.autoencoder.encode = None  # called no more
    ends = [(0, 5), (5, 9)]
    for part, (start, end), score in zip(parts, ends, expected, strict=True):
        own = part.columns | {name: rows[start:end] for name, rows in columns.items()}
        scores = model.score(Batch(part.image, own), when(n=end - start))
        assert torch.equal(scores["denoising"], score)
    assert model.encode_frozen([]) == {}


def test_a_condition_is_dropped_image_by_image():
    """Another label changes a kept row's error, no dropped row's and no other row's.

    Pitfall: Condition dropped for a whole batch.
    """
    model, n = prior(), 64
    images = batch(n)
    errors = model.sample_denoising_error(images, when(n=n), "train", 0.5)[1]
    others = Batch(images.image, {"label": (images.columns["label"] + 1) % CLASSES})
    kept = moved(model.sample_denoising_error(others, when(n=n), "train", 0.5)[1], errors)
    assert 0.3 < kept.double().mean() < 0.7
    one = images.columns["label"].clone()
    row = int(kept.nonzero()[0])
    one[row] = (one[row] + 1) % CLASSES
    alone = model.sample_denoising_error(
        Batch(images.image, {"label": one}), when(n=n), "train", 0.5
    )[1]
    assert moved(alone, errors).nonzero().flatten().tolist() == [row]


def test_a_rows_error_does_not_depend_on_how_many_processes_share_the_batch():
    model, images = prior(), batch(8)
    whole = model.sample_denoising_error(images, when(n=8), "train", 0.5)[1]
    half = Batch(images.image[4:], {"label": images.columns["label"][4:]})
    part = model.sample_denoising_error(half, when(n=4, first_row=4, everything=8), "train", 0.5)[1]
    torch.testing.assert_close(part, whole[4:])


def test_times_of_a_batch_are_one_in_each_stratum():
    model, n = prior(), 16
    t, _ = model.sample_denoising_error(batch(n), when(n=n))
    assert sorted((t * n).ceil().long().tolist()) == list(range(1, n + 1))


def test_times_do_not_follow_the_order_of_the_images():
    """In a sorted folder a class would else have early times only."""
    model, n = prior(), 400
    t, _ = model.sample_denoising_error(batch(n), when(n=n))
    rank = torch.stack([t, torch.arange(n).double()]).corrcoef()[0, 1]
    assert rank.abs() < 4 / n**0.5


@pytest.mark.parametrize("path", [LinearPath, VariancePreservingPath])
def test_the_error_is_that_of_the_definition(path):
    """By hand, at the times and with the noise of its addresses."""
    model, images = prior(path()), batch()
    t, error = model.sample_denoising_error(images, when())
    z = model.sample_latents(model.encode_batch(images), when(), "score")
    eps = noise(when(), "score/noise", (D,), z)
    at = model.path.coefficients(t[:, None])
    told = model.condition(images.columns["label"])
    said = model.denoiser(at.alpha * z + at.sigma * eps, t, told)
    target = eps - z
    if path is VariancePreservingPath:
        target, said = eps, at.sigma * (at.alpha * z + at.sigma * eps) + at.alpha * said
    torch.testing.assert_close(error, 0.5 * (said - target).square().sum(1))


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "euler", "heun"])
def test_sample_k_of_a_seed_is_the_same_for_every_n(sampler):
    model = prior().float()
    how = SamplingOptions(sampler, steps=4, guidance=2.0)
    few, many = (model.sample(n, seed=3, sampling=how) for n in (3, 70))
    torch.testing.assert_close(many[:3], few, atol=1e-5, rtol=0)
    assert not torch.equal(model.sample(3, seed=4, sampling=how), few)


def test_guidance_1_is_the_conditional_model_and_0_the_free_one():
    model, cond = prior(), torch.tensor([2, 0, 1])
    encoded, asked = [], []
    model.condition.register_forward_hook(lambda m, given, out: encoded.append(len(out)))
    model.denoiser.register_forward_hook(lambda m, given, out: asked.append(given[2]))
    drawn = {
        g: model.sample(3, cond=cond, sampling=SamplingOptions("euler", 3, g)) for g in (0, 1, 3)
    }
    assert encoded == [3] * 3, "a condition is encoded once a trajectory, not at every step"
    by_label, free = model.condition(cond), model.condition.empty_vectors(3)
    told = [free] * 3 + [by_label] * 3 + [torch.cat([by_label, free])] * 3
    torch.testing.assert_close(asked, told)
    free = model.sample(3, cond=(cond + 1) % CLASSES, sampling=SamplingOptions("euler", 3, 0))
    torch.testing.assert_close(free, drawn[0])
    assert not torch.allclose(drawn[1], drawn[0])


def test_without_a_condition_labels_come_as_often_as_in_training():
    model = prior().float()
    model.setup([Batch(batch(10).image.float(), {"label": torch.tensor([0] * 7 + [2] * 3)})])
    drawn = torch.bincount(model.resolve_condition(20_000, 0, None), minlength=CLASSES) / 20_000
    torch.testing.assert_close(drawn, torch.tensor([0.7, 0, 0.3, 0]), atol=0.01, rtol=0)


def test_clusters_are_groups_of_latents_and_guide_in_a_labels_place():
    """Two kinds of image, 30 and 10 of them: two centres, drawn as often; a new image's nearest."""
    model = prior(clusters=2)
    kinds = torch.tensor([0] * 30 + [1] * 10)
    images = Batch(0.05 * batch(40).image + 0.9 * kinds[:, None, None, None], {})
    columns = model.setup([images])
    found = columns[CLUSTER_COLUMN]
    assert ((found == found[0]) == (kinds == 0)).all()
    assert sorted(model.shares.tolist()) == [0.25, 0.75]
    assert model.shares[found[0]] == 0.75
    held_out, beside = (
        model.sample_denoising_error(Batch(images.image, c), when(n=40), "s", 0)[1]
        for c in ({}, columns)
    )
    torch.testing.assert_close(held_out, beside)
    others = model.sample_denoising_error(
        Batch(images.image, columns | {CLUSTER_COLUMN: 1 - found}), when(n=40), "s", 0
    )[1]
    assert moved(others, beside).all()


def test_conditions_that_cannot_be_are_refused():
    model = prior()
    with pytest.raises(Error, match=r"The condition is \[4\]; labels go from 0 to 3\."):
        model.sample(2, cond=torch.tensor([4]))
    with pytest.raises(Error, match=r"There are 3 conditions for 2 images; give one, or 2\."):
        model.sample(2, cond=torch.tensor([0, 1, 2]))


class Halving(nn.Module):
    """Images (1, 4, 6) to maps (2, 2, 3) and back."""

    image_shape, latent_shape = (1, 4, 6), (2, 2, 3)

    def __init__(self, decoder=False):
        super().__init__()
        down, up = nn.Conv2d(1, 4, 2, stride=2), nn.ConvTranspose2d(2, 1, 2, stride=2)
        self.layer = up if decoder else down

    def forward(self, x):
        return self.layer(x)


def test_latents_that_are_maps_have_a_prior_too():
    torch.manual_seed(0)
    vae = VAE(Halving(), Halving(decoder=True), Gaussian(1.0))
    denoiser = ConvDenoiser(Halving.latent_shape, width=16, channels=8, depth=2)
    model = LatentDiffusion(vae, denoiser, LinearPath())
    images = Batch(torch.rand(10, 1, 4, 6), {})
    columns = model.setup([images])
    assert model.latent_sd.shape == (2, 2, 3)
    assert columns[MEAN_COLUMN].shape == (10, 2, 2, 3)
    beside = Batch(images.image, columns)
    [(weight, error, _)] = model.terms(beside, when(n=10)).values()
    assert weight == 1
    assert error.shape == (10,)
    assert model.sample(3).shape == (3, 1, 4, 6)


@pytest.mark.slow
@pytest.mark.parametrize("path", [LinearPath, VariancePreservingPath])
def test_a_density_is_learned(path):
    """A mixture of two Gaussians in the plane: means and spreads of 4,000 samples, seed 0."""
    torch.manual_seed(0)
    vae = VAE(MLPEncoder(SHAPE, 2, (8,)), MLPDecoder(2, SHAPE, (8,)), Gaussian(1.0))
    model = LatentDiffusion(vae, MLPDenoiser((2,), width=128, depth=3), path())
    draw = torch.Generator().manual_seed(0)
    n = 20_000
    side = (torch.rand(n, generator=draw) < 0.3).float() * 2 - 1
    z = torch.stack([2 * side, torch.zeros(n)], 1) + 0.4 * torch.randn(n, 2, generator=draw)
    model.latent_mean.copy_(z.mean(0))
    model.latent_sd.copy_(z.std(0))
    steps, size = 4000, 512
    adam = torch.optim.Adam(model.parameters(), 2e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for step in range(steps):
        rows = torch.randint(n, (size,), generator=draw)
        columns = {MEAN_COLUMN: z[rows], LOGVAR_COLUMN: torch.full((size, 2), -math.inf)}
        moment = StepContext(step, steps, 0, n, 0, size)
        loss = model.sample_denoising_error(
            Batch(torch.zeros(size, *SHAPE), columns), moment, "train", 0.0
        ).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()
    count = 4000
    with torch.no_grad():
        *_, drawn = model.sample_trajectory(count, sampling=SamplingOptions("heun", 128))
    right = drawn[:, 0] > 0
    share = right.double().mean().item()
    assert share == pytest.approx(0.3, abs=3 * (0.3 * 0.7 / count) ** 0.5)
    for half, centre in ((drawn[right], 2.0), (drawn[~right], -2.0)):
        error = 0.4 / len(half) ** 0.5
        assert half[:, 0].mean().item() == pytest.approx(centre, abs=3 * error)
        assert half[:, 1].mean().item() == pytest.approx(0.0, abs=3 * error)
        for k in range(2):
            assert half[:, k].std().item() == pytest.approx(0.4, abs=3 * error / 2**0.5)
