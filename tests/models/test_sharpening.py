"""Details of samples, which neither the latents nor the decoder know of."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import latentia
from latentia.export.onnx import export_part, split_model
from latentia.losses.adversarial import real_bce
from latentia.models.sharpening import GRADIENT_RATIO, Sharpener, select_pair
from latentia.nets.refiner import Refiner
from latentia.training.checkpoint import read_tensors
from latentia.training.log import read_rows

SMALL = {"latent": 3, "width": 4, "batch": 16, "lr": 3e-3, "features": "none"}


@pytest.fixture(scope="module")
def stripes():
    """120 grey images with fine stripes of random signs, which 3 latents cannot hold."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:12, :15] / 12
    smooth = rng.normal(size=(120, 1, 1)) * x + rng.normal(size=(120, 1, 1)) * y
    stripes = 0.1 * rng.choice([-1.0, 1.0], size=(120, 12, 1)).repeat(15, 2)
    return (0.5 + 0.1 * smooth + stripes).clip(0, 1).astype(np.float32)[:, None]


@pytest.fixture(scope="module")
def train(tmp_path_factory, stripes):
    def make(sharpen, seed=0, epochs=1):
        folder = tmp_path_factory.mktemp("sharpening") / "run"
        options = latentia.Options(seed=seed, log_every=1, validation=0.2, threads=1)
        parameters = {"data": stripes, "sharpen": sharpen, "epochs": epochs, **SMALL}
        return latentia.train("photo_vae", run=folder, options=options, **parameters)

    return make


@pytest.fixture(scope="module")
def sharp(train):
    return train("samples", epochs=25)


def test_the_vae_is_the_same_to_the_bit(train, sharp):
    """With and without: weights, coordinates, and every figure of the log."""
    plain = train("none", epochs=25)
    weights, others = (read_tensors(run.path / "weights.safetensors")[0] for run in (plain, sharp))
    own = {name: each for name, each in others.items() if not name.startswith("sharpener.")}
    assert own.keys() == weights.keys() < others.keys()
    assert all(torch.equal(own[name], weights[name]) for name in weights)
    rows, other_rows = (
        [
            row
            for row in read_rows(run.path / "log.jsonl")
            if row["event"] in ("logged", "validated")
        ]
        for run in (plain, sharp)
    )
    for row, other in zip(rows, other_rows, strict=True):
        assert row.get("values") == other.get("values")
        assert row.get("players", {}).get("vae") == other.get("players", {}).get("vae")
    names = other_rows[1]["players"].keys()
    assert names == {"vae", "critic", "refiner"}


def test_details_are_those_of_the_data(sharp, stripes):
    """Stripes differ from row to row; means of all stripes, which decoded images are, do not."""

    def measure_stripes(images):
        return np.abs(np.diff(np.asarray(images), 2, axis=2)).mean()

    decoded = sharp.model.decode(sharp.model.draw_latents(40))
    samples = sharp.sample(40)
    real = measure_stripes(stripes)
    assert measure_stripes(decoded) < 0.45 * real
    assert 1.4 * measure_stripes(decoded) < measure_stripes(samples) < 1.3 * real
    assert 0 <= samples.min() <= samples.max() <= 1


def test_samples_alone_have_details(sharp, stripes, tmp_path):
    images = sharp.images.split("test").get_batch(slice(0, 6)).image
    model = sharp.model
    decoded = model.decode(model.encode(images).mean)
    torch.testing.assert_close(sharp.reconstruct(images), decoded)
    z = model.draw_latents(6, seed=2)
    torch.testing.assert_close(sharp.sample(6, seed=2), model.refine(model.decode(z)))
    assert (sharp.sample(6, seed=2) - model.decode(z)).abs().max() > 0.02
    parameters = {"data": stripes, "autoencoder": str(sharp.path), "width": 8, "depth": 1}
    prior = latentia.train("latent_prior", run=tmp_path / "prior", epochs=1, **parameters)
    z = prior.model.draw_latents(5)
    expected = prior.model.autoencoder.refine(prior.model.autoencoder.decode(z))
    torch.testing.assert_close(prior.sample(5), expected)
    for run in (sharp, prior):
        assert run.plot_samples(4).caption.endswith(", sharpened")


def test_an_exported_model_takes_any_number_of_rows(sharp, stripes, tmp_path):
    """Each part is compared with PyTorch for several numbers of rows before it is written."""
    parameters = {"data": stripes, "autoencoder": str(sharp.path), "width": 8, "depth": 1}
    model = latentia.train("latent_prior", run=tmp_path / "prior", epochs=1, **parameters).model
    model.sampling = replace(model.sampling, steps=1, sampler="euler")
    for part in split_model(model, stripes.shape[1:]):
        export_part(part, tmp_path / f"{part.name}.onnx")
    names = {path.stem for path in tmp_path.glob("*.onnx")}
    assert names == {"sampler", "encoder", "decoder"}


def test_a_new_refiner_adds_nothing_and_fits_any_sides():
    for shape in ((3, 8, 8), (1, 9, 14), (2, 17, 11)):
        images = torch.rand(3, *shape)
        assert torch.equal(Refiner(shape, 4, 1)(images), images)


def make_trained_pair():
    """A sharpener of random weights in float64, whose details are not 0, and images of a batch."""
    torch.manual_seed(0)
    sharpener = Sharpener((1, 16, 16)).double().eval()  # forward passes leave spectral norms
    torch.nn.init.normal_(sharpener.refiner.to_image.weight, std=0.1)
    images, decoded = torch.rand(2, 20, 1, 16, 16, dtype=torch.float64)
    return sharpener, images, decoded


def test_losses_are_means_over_a_quarter_of_the_batch():
    sharpener, images, decoded = make_trained_pair()
    pair = select_pair(images, decoded)
    assert len(pair.images) == 5
    terms = {**sharpener.critic_terms(pair), **sharpener.refiner_terms(pair)}
    refined = sharpener.refiner(decoded[:5])
    expected = {
        "real": real_bce(sharpener.critic(images[:5])),
        "refined": real_bce(-sharpener.critic(refined)),
        "error": 0.5 * (refined - images[:5]).square().sum((1, 2, 3)),
        "adversarial": real_bce(sharpener.critic(refined)),
    }
    assert terms.keys() == expected.keys()
    for name, values in expected.items():
        assert terms[name].value.shape == (20,)
        torch.testing.assert_close(
            terms[name].value.mean().double(), values.mean(), rtol=1e-5, atol=0
        )


def test_the_refiner_descends_both_losses_in_the_ratio_of_their_gradients():
    """Against PyTorch's gradients through refiner and critic, in float64."""
    sharpener, images, decoded = make_trained_pair()
    pair = select_pair(images, decoded)
    terms = sharpener.refiner_terms(pair)
    loss = sum((term.weight * term.value).mean() for term in terms.values())
    parameters = [*sharpener.refiner.parameters()]
    gradients = torch.autograd.grad(loss, parameters)
    refined = sharpener.refiner(pair.decoded)
    error = 0.5 * (refined - pair.images).square().sum() / len(refined)
    adversarial = real_bce(sharpener.critic(refined)).mean()
    norms = [
        torch.autograd.grad(each, refined, retain_graph=True)[0].norm()
        for each in (error, adversarial)
    ]
    weight = terms["adversarial"].weight
    torch.testing.assert_close(
        weight.double(), GRADIENT_RATIO * norms[0] / norms[1], rtol=1e-5, atol=0
    )
    expected = torch.autograd.grad(error + weight.detach() * adversarial, parameters)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)
