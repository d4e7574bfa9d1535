"""Completion: hidden pixels given the others, against closed forms and a run's commands."""

import numpy as np
import pytest
import torch
from PIL import Image

import latentia
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN
from latentia.diffusion.path import LinearPath
from latentia.latents.completion import complete_images
from latentia.losses.likelihoods import Likelihood, SymmetricGaussian
from latentia.models.latent_diffusion import LatentDiffusion
from latentia.models.vae import VAE
from mistakes import error

SHAPE, LATENT, SIGMA = (1, 4, 4), 2, 0.025
DOUBLE = torch.float64


def make_linear_vae():
    """p(x | z) = N(1/2 + W z, sigma^2) of orthogonal columns W, and its exact posterior q(z | x).

    Its posterior given all pixels is then diagonal; given some of them it is not.
    """
    draw = torch.Generator().manual_seed(0)
    w = torch.linalg.qr(torch.randn(16, LATENT, generator=draw, dtype=DOUBLE))[0] * 0.16
    precision = 1 + w.square().sum(0) / SIGMA**2

    def encode(x):
        mean = (x.flatten(1) - 0.5) @ w / SIGMA**2 / precision
        return torch.cat([mean, -precision.log().expand_as(mean)], 1)

    def decode(z):
        return 2 * (z @ w.T).unflatten(1, SHAPE)

    encoder, decoder = Function(encode), Function(decode)
    encoder.image_shape, encoder.latent_shape = SHAPE, (LATENT,)  # pyright: ignore
    model = VAE(encoder, decoder, SymmetricGaussian(SIGMA))
    return model.double().eval(), w


class Function(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.weight = function, torch.nn.Parameter(torch.zeros(1))

    def forward(self, *inputs):
        return self.function(inputs[0])


@pytest.mark.parametrize(("hidden", "steps"), [("half", 40), ("few", 40), ("all", 200)])
def test_of_a_linear_gaussian_model_it_has_the_conditional_mean_and_variance(hidden, steps):
    """E and Var of W_h z given x_o, of z ~ N(0, I) and x_o = 1/2 + W_o z + sigma e.

    Where all is hidden, a round of the chain forgets only 2 % of where it was.
    """
    model, w = make_linear_vae()
    mask = torch.ones(1, 1, 4, 4)
    mask.view(-1)[{"half": slice(8, None), "few": slice(0, 3), "all": slice(None)}[hidden]] = 0
    image = 0.5 + 0.08 * torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1)).double()
    is_hidden = mask.flatten() == 0
    known, unknown = w[~is_hidden], w[is_hidden]
    precision = torch.eye(LATENT, dtype=DOUBLE) + known.T @ known / SIGMA**2
    residual = (image.flatten() - 0.5)[~is_hidden]
    mean = 0.5 + unknown @ torch.linalg.solve(precision, known.T @ residual) / SIGMA**2
    variance = (unknown @ torch.linalg.solve(precision, unknown.T)).diagonal()
    n = 10_000
    draws = complete_images(model, image, mask, n, steps=steps)[0].flatten(1)[:, is_hidden]
    z = (draws.mean(0) - mean) / (variance / n).sqrt()
    ratio = (draws.var(0) / variance - 1) / (2 / n) ** 0.5
    assert z.abs().max() < 4.5
    assert ratio.abs().max() < 4.5


def test_completions_keep_the_observed_pixels_and_depend_on_no_hidden_one():
    model, _ = make_linear_vae()
    images = 0.5 + 0.05 * torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(2))
    mask = (torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(3)) < 0.5).float()
    kept = mask.expand_as(images) > 0
    draws = complete_images(model, images, mask, 5)
    others = complete_images(model, images.where(kept, torch.rand(images.shape)), mask, 5)
    assert torch.equal(draws, others)
    assert torch.equal(draws[:, 2][kept], images.double()[kept])
    assert (draws.var(1)[~kept] > 0).all()
    fewer = complete_images(model, images[:2], mask[:2], 5)
    torch.testing.assert_close(draws[:2], fewer)  # other sizes round in another way
    assert not torch.equal(draws, complete_images(model, images, mask, 5, seed=1))


@pytest.mark.parametrize("sampler", ["heun", "ddim", "euler", "ddpm"])
def test_diffusion_continues_what_it_knows(sampler):
    """Images of one grey level N(1/2, 0.1^2), whose denoiser is known, are completed with it."""
    net = torch.nn.Linear(1, 1)
    net.latent_shape = SHAPE  # pyright: ignore
    model = LatentDiffusion(None, net, LinearPath()).eval()  # pyright: ignore
    model.sampling = type(model.sampling)(sampler=sampler)

    def predict(z, t, embedding=None):
        alpha, sigma = 1 - t[:, None, None, None], t[:, None, None, None]
        precision = 16 * (alpha / sigma) ** 2 + 1 / 0.1**2
        level = alpha / sigma**2 * z.sum((1, 2, 3), keepdim=True) + 0.5 / 0.1**2
        data = (level / precision).expand_as(z)
        return (z - alpha * data) / sigma - data

    model.predict = predict  # pyright: ignore
    images = torch.tensor([0.3, 0.5, 0.65])[:, None, None, None].expand(3, *SHAPE)
    mask = torch.ones(1, 1, 4, 4)
    mask[..., 3:] = 0
    draws = complete_images(model, images, mask, 4, steps=64)
    assert torch.equal(draws[..., :3], images[:, None].expand(draws.shape)[..., :3])
    torch.testing.assert_close(
        draws[..., 3:].mean((1, 2, 3, 4)), images[:, 0, 0, 0], atol=0.03, rtol=0
    )


@pytest.mark.parametrize("recipe", ["mnist_mlp_vae", "vaegan", "pixel_diffusion"])
def test_a_command_draws_what_the_method_returns(toy, recipe, tmp_path):
    options = {"width": 8, "depth": 1} if recipe == "pixel_diffusion" else {}
    folder, out = toy("run", recipe, **options).path, str(tmp_path / "out.npy")
    run = latentia.load(folder)
    height, width = run.images.shape[1:]
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2] = 255  # the lower half is hidden
    Image.fromarray(mask).save(tmp_path / "mask.png")
    words = ["complete", str(folder), "0", "3", "--mask", str(tmp_path / "mask.png")]
    assert main([*words, "--samples", "3", "--steps", "4", "--out", out]) == 0
    images = torch.from_numpy(np.load(out)).unflatten(0, (2, 4))
    draws = run.complete([0, 3], mask > 0, samples=3, steps=4)
    assert torch.equal(images[:, 1:], draws)
    originals = run.images.split("all").get_batch(torch.tensor([0, 3])).image
    kept = torch.from_numpy(mask > 0).expand(originals.shape)
    for k in range(3):
        assert torch.equal(draws[:, k][kept], originals[kept])
    assert torch.equal(images[:, 0].isnan(), ~kept)
    picture = run.plot_completions([0, 3], mask > 0, samples=3, steps=4)
    assert "2 images, hidden pixels left blank, and 3 draws" in picture.caption


def test_missing_pixels_of_a_run_are_completed_without_a_mask(tmp_path):
    draw = np.random.default_rng(0)
    images = draw.random((40, 1, 8, 8)).astype("f4")
    images[:, :, :, 6:] = np.nan
    run = latentia.train(
        *("conv_vae", images),
        missing="nan",
        latent=2,
        epochs=1,
        run=tmp_path / "run",
        progress=False,
    )
    columns = run.images.split("test").get_batch(slice(1)).columns
    draws = run.complete(images[:1], samples=2, steps=2)
    assert torch.equal(
        draws[0, :, :, :, :6], torch.from_numpy(images[:1, :, :, :6]).repeat(2, 1, 1, 1)
    )
    assert (draws[..., 6:] != 1).all()  # the background
    assert columns[MASK_COLUMN].mean() == 0.75
    mask = np.ones((8, 8), bool)
    mask[:2] = False
    draws = run.complete(images[:1], mask, samples=1, steps=2)
    assert (draws[..., 2:, 6:] == 1).all()  # missing, but not asked for
    assert torch.equal(draws[0, 0, :, 2:, :6], torch.from_numpy(images[0, :, 2:, :6]))


def test_mistakes_say_what_to_give(toy, tmp_path, capsys):
    run = toy("run", "mnist_mlp_vae", epochs=1).path
    white = tmp_path / "white.png"
    Image.fromarray(np.full((4, 4), 255, "u1")).save(white)
    for words, text in (
        ([], "No pixel is hidden; give --mask, a picture that is black where some are."),
        (["--mask", white], "No pixel is hidden; give --mask"),
        (["--mask", "no.png"], "1 image cannot be read: no.png (No such file or directory)"),
        (["--samples", "0"], "--samples is 0; it must be at least 1"),
        (["--seed", "-1"], "--seed is -1; it must be at least 0"),
    ):
        words = ["complete", run, "0", *words, "--out", tmp_path / "x.png"]
        assert text in error(capsys, *words)
    model, _ = make_linear_vae()
    image, mask = torch.zeros(1, *SHAPE), torch.zeros(1, 1, 4, 4)
    with pytest.raises(Error, match="--steps is 0"):
        complete_images(model, image, mask, steps=0)
    model.likelihood = Likelihood()
    with pytest.raises(Error, match="Likelihood draws no pixels, so that it completes no images"):
        complete_images(model, image, mask)
