"""An image for an image: several draws for one input, and their spread."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import latentia
from latentia.api.training import resume_run
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.report.rendered_samples import encode_draws
from training.test_resume import RUNS, content

SMALL = {"epochs": 1, "batch": 8, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for name in ("low", "high"):
        (folder / name).mkdir()
    for k in range(40):
        pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"high/{k:02}.png")
        Image.fromarray(pixels[::2, ::2, 0]).save(folder / f"low/{k:02}.png")
    data = f"pairs:{folder / 'low'}:{folder / 'high'}"
    vae = latentia.train("conv_vae", data, latent=4, run=folder / "vae", **SMALL)
    options = {"width": 16, "depth": 1, "run": folder / "run", **SMALL}
    return latentia.train("paired_diffusion", autoencoder=vae, **options)


def test_draws_for_one_input_differ_and_a_seed_repeats_them(run):
    file = run.path.parent / "low/03.png"
    first, again, other = (run.sample(3, cond=str(file), seed=seed) for seed in (0, 0, 1))
    assert first.shape == (3, 3, 16, 16)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.std(0).max() > 0
    key = run.split("test").keys[1]
    by_row = run.sample(3, cond="1")
    assert torch.equal(by_row, run.sample(3, cond=str(run.path.parent / "low" / key)))


def test_another_input_gives_other_draws(run):
    """The output layer begins at 0 and learns little in one epoch, so the weights are perturbed."""
    model, cond = run.folder.model(), torch.rand(2, 1, 8, 8)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    first, second = (model.sample(2, cond=each[None]) for each in cond)
    assert not torch.equal(first, second)
    torch.testing.assert_close(model.sample(2, cond=cond)[0], first[0])


def test_the_picture_shows_condition_draws_mean_and_spread(run, tmp_path):
    out = tmp_path / "draws.png"
    words = ["sample", str(run.path), "--cond", "0", "-n", "4", "--out", str(out)]
    assert main(words) == 0
    with Image.open(out) as picture:
        assert "sd: standard deviation of the draws, white is" in picture.info["Description"]
    array = tmp_path / "draws.npy"
    assert main([*words[:-1], str(array)]) == 0
    assert np.load(array).shape == (4, 3, 16, 16)  # the draws alone


def test_the_spread_is_the_standard_deviation_of_the_draws():
    """Of draws m - a and m + a the deviation is a sqrt(2); the picture's scale is the largest."""
    images = torch.tensor([0.25, 0.75]).view(2, 1, 1, 1).expand(2, 1, 64, 64)
    content = encode_draws(images, torch.ones(1, 1, 2, 2), "x")
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.info["Description"] == (
            "x; sd: standard deviation of the draws, white is 0.35"
        )
        grey = {round(level, 2) for level in np.unique(np.asarray(picture)[10:50, 10:50] / 255)}
    assert grey == {1.0}  # the condition comes first


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(run, trained):
    small = {
        "autoencoder": run.path.parent / "vae",
        "width": 16,
        "depth": 1,
        "epochs": 3,
        "batch": 8,
    }
    options = latentia.Options(log_every=1, save_every=2)
    whole, cut = (
        trained(name, "paired_diffusion", small, stop, options=options) for name, stop in RUNS
    )
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


def test_a_run_without_partners_is_refused(tmp_path):
    vae = latentia.train("conv_vae", "digits:40", latent=2, run=tmp_path / "vae", **SMALL)
    with pytest.raises(Error, match="has no input beside its images; give a source of pairs, such"):
        latentia.train("paired_diffusion", autoencoder=vae, run=tmp_path / "run", **SMALL)
