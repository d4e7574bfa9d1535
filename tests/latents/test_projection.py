"""Projection: latents of an image by optimisation, against closed forms and drawn images."""

import math

import numpy as np
import pytest
import torch

import latentia
from latentia.cli.main import main
from latentia.core.schedules import constant
from latentia.latents.projection import project_image
from latentia.losses.adversarial import Relativistic
from latentia.models.gan import GAN
from latentia.nets.critic import ResidualCritic
from latentia.nets.generator import ResidualGenerator
from mistakes import error

SHAPE, LATENT = (1, 8, 12), 5


class Linear(torch.nn.Module):
    """z to 1/2 + A z: an oracle, since the most probable latents are then a ridge regression."""

    latent_shape = (LATENT,)

    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        weights = 0.02 * torch.randn(math.prod(SHAPE), LATENT, generator=draw, dtype=torch.float64)
        self.matrix = torch.nn.Parameter(weights)

    def decode(self, z):
        return 0.5 + (z @ self.matrix.T).unflatten(1, SHAPE)


def make_gan():
    torch.manual_seed(0)
    nets = ResidualGenerator(LATENT, SHAPE, (8, 4)), ResidualCritic(SHAPE, (4, 8))
    for parameter in nets[0].parameters():  # away from fixup's zeros
        torch.nn.init.normal_(parameter, std=0.2)
    return GAN(*nets, Relativistic(), constant(1.0), sigmoid_output=False).eval()


@pytest.mark.parametrize("sigma", [0.02, 0.2, 1.0])
def test_of_a_linear_generator_it_is_ridge_regression(sigma):
    model, draw = Linear(), torch.Generator().manual_seed(1)
    image = torch.rand(1, *SHAPE, generator=draw, dtype=torch.float64) * 0.8 + 0.1
    a, residual = model.matrix.detach(), (image - 0.5).flatten()
    precision = a.T @ a + sigma**2 * torch.eye(LATENT, dtype=torch.float64)
    expected = torch.linalg.solve(precision, a.T @ residual)
    result = project_image(model, image, steps=500, sigma=sigma)
    torch.testing.assert_close(result.z[0], expected, atol=2e-3, rtol=1e-3)
    error = (model.decode(result.z) - image).square().mean()
    torch.testing.assert_close(result.mse[0], error.detach())


def test_an_image_that_the_generator_drew_is_found_again():
    model = make_gan()
    for image in model.sample(2, seed=7).split(1):
        result = project_image(model, image.detach(), sigma=0.01)
        assert result.mse < 1e-4 * image.var()
        assert result.mse < 0.01 * result.start_mse
        torch.testing.assert_close(model.decode(result.z), result.images)


def test_a_seed_gives_the_same_bits_and_more_starts_no_larger_objective():
    model = make_gan()
    image, sigma = torch.rand(1, *SHAPE), 0.05

    def measure(**options):
        result = project_image(model, image, steps=40, sigma=sigma, **options)
        penalty = result.z.square().sum() / 2
        return result, result.mse * math.prod(SHAPE) / (2 * sigma**2) + penalty

    one, four = measure(starts=1)[0], measure(starts=4)
    assert torch.equal(one.z, measure(starts=1)[0].z)
    assert not torch.equal(one.z, measure(starts=1, seed=1)[0].z)
    assert not any(p.grad is not None for p in model.parameters())
    assert four[1] <= measure(starts=4, seed=0)[1]


def test_where_the_image_is_clipped_there_is_no_error():
    """White is drawn by every output above it: such a pixel pulls at no latent."""
    model = Linear()
    with torch.no_grad():
        model.matrix.mul_(40)
    z = torch.full((1, LATENT), 0.5, dtype=torch.float64)
    image = model.decode(z).detach()
    assert image.max() > 1
    assert image.min() < 0
    model.generate, model.decode = model.decode, lambda z: model.generate(z).clamp(0, 1)
    assert project_image(model, image.clamp(0, 1), sigma=1e-3).mse < 1e-8


@pytest.mark.parametrize("recipe", ["mnist_mlp_vae", "vaegan"])
def test_random_starts_reach_what_the_encoder_reaches(toy, recipe):
    run = toy("run", recipe).path
    python = latentia.load(run)
    rows = [0, 1]
    pixels = python.split("all")[:][rows]
    encoder = (python.reconstruct(rows) - pixels).square().flatten(1).mean(1)
    refined, random = (python.project(rows, starts=starts) for starts in (None, 4))
    assert np.allclose(refined["start_mse"], encoder, rtol=1e-4)
    assert (refined["mse"] <= 1.2 * encoder.numpy()).all()
    assert (random["mse"] <= 1.2 * encoder.numpy()).all()
    assert refined["key"].tolist() == python.encode()["key"][rows].tolist()


def test_the_commands_on_latents_take_what_was_found_for_a_gan(toy, tmp_path, capsys, monkeypatch):
    run = toy("run", "mnist_gan").path
    monkeypatch.chdir(tmp_path)
    words = ["project", run, "0", "1", "--steps", "30", "--latents-out", "z.csv", "--out", "x.npy"]
    assert main(list(map(str, words))) == 0
    out = capsys.readouterr().out
    assert "2 images above their projection, mean squared error per pixel" in out
    assert out.splitlines()[-2:] == ["z.csv", "x.npy"]
    assert "start_mse" in out
    assert "mu_0" not in out
    python, images = latentia.load(run), torch.from_numpy(np.load("x.npy"))
    assert torch.equal(images[:2], python.split("all")[:][[0, 1]])
    decoded = python.decode("z.csv")
    torch.testing.assert_close(decoded, images[2:], rtol=0, atol=1e-5)
    path = python.interpolate(["z.csv:0", "z.csv:1"], steps=3)
    torch.testing.assert_close(path[::2], decoded, rtol=0, atol=1e-5)
    for command in (["interpolate", run, "z.csv:0", "z.csv:1"], ["traverse", run, "z.csv:0"]):
        assert main([*map(str, command), "--steps", "3", "--out", "y.png"]) == 0


def test_a_traversal_of_a_gan_runs_over_the_quantiles_of_its_prior(toy, tmp_path):
    run = latentia.load(toy("run", "mnist_gan").path)
    table = str(tmp_path / "z.csv")
    picture = run.plot_projections(0, steps=5)
    picture.save(table)
    result = run.traverse(f"{table}:0", [1], steps=5)
    np.testing.assert_allclose(result.values, [[-2, -1, 0, 1, 2]], atol=1e-5)
    torch.testing.assert_close(result.reconstruction, picture.images[1:], rtol=0, atol=1e-5)
    z = torch.tensor(picture.table.filter(like="mu_").to_numpy())
    z[0, 1] = 2
    torch.testing.assert_close(result.images[0, -1], run.decode(z)[0], rtol=0, atol=1e-5)


def test_mistakes(toy, capsys, tmp_path):
    run = toy("run", "mnist_gan", epochs=1).path
    for words, message in (
        (["--starts", "0"], "--starts is 0; it must be at least 1."),
        (["--steps", "0"], "--steps is 0; it must be at least 1."),
        (["--seed", "-1"], "--seed is -1; it must be at least 0."),
        (["--sigma", "0"], "--sigma is 0; it must be a number, more than 0."),
        (["--latents-out", "z.npz"], "--latents-out z.npz ends in .npz; give a .csv or a .parquet"),
    ):
        assert message in error(capsys, "project", run, "0", *words, "--out", tmp_path / "x.png")
