"""Every recipe at toy size: four steps, a report, a model that draws, encodes and moves."""

import inspect
import math
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import latentia
from latentia.cli.arguments import list_docs, read_hints
from latentia.core.contract import Batch, HasLatents, StepContext
from latentia.core.parameters import PARAMETERS_SECTION
from latentia.core.seeding import noise
from latentia.recipes.mnist_fast import mnist_fast
from latentia.runs import recipes

SMALL = {"epochs": 1, "batch": 4, "size": 32, "latent": 3, "hidden": 8, "width": 16, "depth": 1}
OPTIONS = latentia.Options(validation=0.1, log_every=1)


def write_pairs(tmp_path_factory):
    """Write 20 images of 32x32 and their partners of 8x8."""
    folder, draw = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for name, side in (("input", 8), ("target", 32)):
        (folder / name).mkdir()
        for k in range(20):
            pixels = draw.integers(0, 256, (side, side), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{k}.png")
    return f"pairs:{folder / 'input'}:{folder / 'target'}"


@pytest.fixture(scope="session")
def parents(tmp_path_factory):
    """Runs whose latents other recipes learn: of an array, and of speckle with its patterns."""
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32), dtype=np.uint8)
    made = {}
    pairs = ("speckle_ldm", "speckle:20"), ("paired_diffusion", write_pairs(tmp_path_factory))
    for name, data in (("latent_prior", images), *pairs):
        run = tmp_path_factory.mktemp("parents") / name
        small = {k: SMALL[k] for k in ("epochs", "batch", "size")} | {"latent": 8}
        latentia.train("conv_vae", data=data, run=run, options=OPTIONS, **small)
        made[name] = (run, data)
    return made


@pytest.fixture
def knobs(parents):
    def find(name):
        known = inspect.signature(recipes.find_recipe(name)).parameters
        small = {k: v for k, v in SMALL.items() if k in known}
        if "autoencoder" in known:
            run, data = parents[name]
            small.pop("size", None)  # the autoencoder's own
            return small | {"autoencoder": run, "data": data}
        images = np.random.default_rng(0).integers(0, 256, (20, 32, 32), dtype=np.uint8)
        return small | {"data": images}

    return find


@pytest.mark.report
@pytest.mark.parametrize("name", recipes.list_recipes())
def test_four_steps_from_start_to_report(name, tmp_path, knobs, narrow):
    run, given = tmp_path / "r", knobs(name)
    trained = latentia.train(name, run=run, options=OPTIONS, **given)
    assert (run / "log.jsonl").read_text().count('"event": "logged"') == 4
    assert (run / "report.html").stat().st_size > 20_000
    shape = (3, *trained.metadata["images"]["shape"])
    samples = trained.sample(3, seed=0)
    assert samples.shape == shape
    assert samples.min() >= 0
    assert samples.max() <= 1

    shutil.move(run, tmp_path / "moved")
    moved = latentia.load(tmp_path / "moved")
    torch.testing.assert_close(moved.sample(3, seed=0), samples, rtol=0, atol=0)
    if isinstance(moved.model, HasLatents):
        assert moved.reconstruct(given["data"][:2]).shape == (2, *shape[1:])


@pytest.mark.parametrize("name", recipes.list_recipes())
def test_a_recipe_says_what_it_is_and_every_knob_has_meaning_and_default(name):
    card = recipes.read_card(name)
    assert card.summary
    function = recipes.find_recipe(name)
    assert card.default_data or "autoencoder" in inspect.signature(function).parameters
    hints = read_hints(function)  # with the docstring's section Parameters
    for knob, parameter in inspect.signature(function).parameters.items():
        assert parameter.default is not inspect.Parameter.empty, knob
        assert list_docs(hints[knob]), knob
    lines = inspect.getsource(function).splitlines()
    _, header, parameters = (inspect.getdoc(function) or "").partition(PARAMETERS_SECTION)
    assert len(lines) - len((header + parameters).splitlines()) <= 40


SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 48), (1, 96, 96), (5, 40, 56)]


@pytest.mark.parametrize("shape", SHAPES)
def test_conv_vae_trains_any_shape_without_a_flag(shape, tmp_path):
    images = torch.rand(8, *shape)
    options = latentia.Options(validation=0.0)
    run = latentia.train(
        "conv_vae", data=images, run=tmp_path / "r", options=options, epochs=1, batch=4
    )
    assert run.sample(2, seed=0).shape == (2, *shape)
    assert run.reconstruct(images[:1]).shape == (1, *shape)


def test_speckle_vae_reaches_the_published_objective():
    """Squared error + beta KL, summed, but for the constant of a Gaussian of sigma^2 1/2."""
    build = recipes.find_recipe("speckle_vae")
    plan = build(data=torch.rand(8, 1, 32, 32), size=32, latent=3, sigma="published", beta=0.3)
    batch = Batch(torch.rand(2, 1, 32, 32), {})
    last = StepContext(9, 10, 0, 8, 0, 2)
    terms = plan.model.terms(batch, last, None)
    posterior = plan.model.encode(batch.image)
    z = posterior.sample(noise(last, "posterior", (3,), posterior.mean))
    error = (plan.model.decoder(z).sigmoid() - batch.image).square().sum((1, 2, 3))
    constant = 32 * 32 * math.log(math.pi) / 2
    loss = sum(term.weight * term.value for term in terms.values())
    torch.testing.assert_close(loss, error + constant + 0.3 * posterior.kl())


def test_a_run_on_recorded_pairs_is_written_and_opened_again(tmp_path):
    draw = np.random.default_rng(0)
    for part, side in (("speckle", 12), ("patterns", 5)):
        (tmp_path / "set" / part).mkdir(parents=True)
        for k in range(12):
            pixels = draw.integers(0, 256, (side, side), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / part / f"{k}.png")
    run, data = tmp_path / "r", str(tmp_path / "set")
    latentia.train("conv_vae", data=data, run=run, latent=2, epochs=1, batch=4)
    shutil.move(data, tmp_path / "gone")
    again = latentia.load(run)
    assert again.metadata["images"]["labels"] == {"pattern": None}
    assert again.sample(2, seed=0).shape == (2, 1, 12, 12)


def test_the_speed_run_starts_at_the_mean_image():
    plan = mnist_fast("digits")
    train = plan.images.split("train")
    with torch.no_grad():
        plan.model.decoder.layers[-1].weight.zero_()
    plan.model.eval()
    images = train.get_batch(slice(None)).image
    expected = (images.double().sum(0) + 0.5) / (len(images) + 1)
    assert torch.allclose(plan.model.sample(2).double(), expected.expand(2, -1, -1, -1), atol=1e-6)


@pytest.mark.parametrize("modifier", [{"multirate": "0.1:10"}, {"cond": "label"}, {"iwae": 2}])
def test_the_speed_run_takes_the_modifiers_of_its_vae(tmp_path, modifier):
    data = {"data": "digits:60", "epochs": 1, "run": tmp_path / "run", "options": OPTIONS}
    run = latentia.train("mnist_fast", **data, **modifier)
    assert run.is_complete
