"""--augment: resume to the bit, the identity at probability 0, and its errors."""

import numpy as np
import pytest
import torch

import latentia
from latentia.api.training import resume_run
from latentia.runs.folder import RunFolder
from mistakes import error
from training.test_resume import content

EDIT = {"augment": {"augment": "flip, rotate,shift,colour"}}
SMALL = {
    "mnist_gan": {"latent": 3},
    "mnist_mlp_vae": {"hidden": 8, "latent": 3},
    "vaegan": {"latent": 3, "size": "24x20", "adversary_from": 0.1},
}
OPTIONS = latentia.Options(log_every=2, save_every=2)


@pytest.fixture
def train(array_file, trained):
    def make(name, recipe, edits, stop=None):
        knobs = {"data": array_file, "batch": 16, "epochs": 2, **SMALL[recipe]}
        return trained(name, recipe, knobs, stop, modifiers=edits, options=OPTIONS)

    return make


@pytest.mark.parametrize("recipe", SMALL)
def test_an_interrupted_run_goes_on_with_the_same_transformations(train, recipe):
    whole, cut = train("whole", recipe, EDIT), train("cut", recipe, EDIT, 4)
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


@pytest.mark.parametrize("recipe", SMALL)
def test_at_probability_0_the_run_is_the_plain_one_bit_for_bit(train, recipe):
    edit = {"augment": {**EDIT["augment"], "augment_probability": 0.0}}
    plain, other = train("plain", recipe, {}), train("other", recipe, edit)
    assert content(other) == content(plain)
    counts = [sum(p.numel() for p in run.model().parameters()) for run in (plain, other)]
    assert counts[0] == counts[1]
    assert content(train("shifted", recipe, EDIT)) != content(plain)


def test_a_model_without_an_adversary_learns_images_in_range(train):
    run = RunFolder.open(train("run", "mnist_mlp_vae", EDIT).path)
    plan = run.plan()
    images = plan.images.split("train")[:]
    context = latentia.StepContext(0, 1, 0, len(images), 0, len(images))
    result = plan.augment(images, context)
    assert result.min() >= 0
    assert result.max() <= 1
    assert not torch.equal(result, images)


def test_mistakes(array_file, tmp_path, capsys):
    np.save(tmp_path / "wide.npy", np.zeros((40, 8, 12), np.uint8))
    speckle = ["speckle_vae", "--data", "speckle:40"]
    gan = ["mnist_gan", "--data", array_file]
    for words, message in (
        ([*gan, "--augment", "flip,turn"], "--augment names 'turn'; it is one or several of flip"),
        ([*gan, "--augment", "flip,flip"], "--augment names flip more than once; name each tr"),
        (
            [*gan, "--augment", "flip", "--augment-probability", "0.9"],
            "--augment-probability is 0.9; an adversary needs at most 0.8, or samples show the",
        ),
        (
            ["conv_vae", "--data", tmp_path / "wide.npy", "--augment", "rotate90"],
            "--augment rotate90 needs square images, and these are 8x12; leave it out, or give",
        ),
        (
            [*speckle, "--augment", "flip"],
            "--augment would not transform the patterns or masks of these im",
        ),
        (
            [*gan, "--augment-probability", "0.5"],
            "--augment-probability does nothing without --aug",
        ),
    ):
        assert message in error(capsys, "train", *words, "--run", tmp_path / "run"), words


def test_a_recipe_that_trains_on_latents_refuses_it(toy, tmp_path, capsys):
    vae = toy("vae", epochs=1).path
    words = ["train", "latent_prior", "--autoencoder", vae, "--augment", "flip"]
    message = error(capsys, *words, "--run", tmp_path / "run")
    assert "--augment transforms images, and this recipe trains on latents; leave it o" in message
