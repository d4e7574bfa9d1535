"""Posteriors that are no Gaussian, defined here alone: their laws, and every command on them."""

import json
import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import latentia
from latentia.cli.main import main
from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.core.gaussian import LOG_2PI, DiagonalGaussian
from latentia.core.posterior import Posterior, log_ratio, map_tensors
from latentia.core.registries import recipe
from latentia.data import open_images
from latentia.latents.encoding import encode_split
from latentia.losses.likelihoods import Bernoulli
from latentia.metrics.elbo import elbo
from latentia.metrics.nll import nll
from latentia.models.iwae import IWAE
from latentia.models.vae import VAE
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.training.optimizers import Adam
from latentia.training.plan import Plan


class Laplace(NamedTuple):
    """A Laplace distribution of each latent, with a density and a KL in closed form."""

    mean: Tensor
    log_scale: Tensor

    @classmethod
    def from_heads(cls, heads: Tensor) -> "Laplace":
        return cls(*heads.float().chunk(2, dim=1))

    @property
    def sd(self) -> Tensor:
        return math.sqrt(2) * self.log_scale.exp()

    def sample(self, noise: Tensor) -> Tensor:
        quantile = torch.special.ndtr(noise) - 0.5
        size = -(1 - 2 * quantile.abs()).clamp_min(1e-7).log()
        return self.mean + self.log_scale.exp() * size * quantile.sign()

    def kl_per_dim(self) -> Tensor:
        second_moment = self.mean.square() + self.sd.square()
        return 0.5 * (second_moment + LOG_2PI) - 1 - math.log(2) - self.log_scale

    def kl(self) -> Tensor:
        return self.kl_per_dim().flatten(1).sum(1)

    def log_prob(self, z: Tensor) -> Tensor:
        density = (z - self.mean).abs() * (-self.log_scale).exp() + self.log_scale + math.log(2)
        return -density.flatten(1).sum(1)


class Code(NamedTuple):
    """A code of a codebook whose prior is uniform: a point, without density or KL by latent."""

    mean: Tensor
    nats: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        return self.mean

    def kl(self) -> Tensor:
        return self.nats


class Codebook(nn.Module):
    """The nearest of learned codes, with a straight-through gradient; van den Oord et al. 2017."""

    def __init__(self, count: int, latent: int):
        super().__init__()
        self.codes = nn.Parameter(torch.randn(count, latent))

    def forward(self, heads: Tensor) -> Code:
        z = heads.float().chunk(2, dim=1)[0]
        codes = self.codes[(z[:, None] - self.codes).square().sum(2).argmin(1)]
        nats = torch.full_like(z[:, 0], math.log(len(self.codes)))
        return Code(codes + z - z.detach(), nats)


def make_plan(data, posterior, epochs):
    images = open_images(data)
    nets = MLPEncoder(images.shape, 3, (8,)), MLPDecoder(3, images.shape, (8,))
    model = VAE(*nets, Bernoulli(), posterior=posterior)
    return Plan(model, images, {"vae": Adam(1e-3)}, batch=16, epochs=epochs)


@recipe
def vq_vae(data: str = "digits", epochs: int = 2) -> Plan:
    """A vector-quantised VAE."""
    return make_plan(data, Codebook(4, 3), epochs)


@recipe
def laplace_vae(data: str = "digits", epochs: int = 2) -> Plan:
    """A VAE whose posterior is a Laplace distribution."""
    return make_plan(data, Laplace.from_heads, epochs)


def laplace(n=6, d=3):
    draw = torch.Generator().manual_seed(0)
    return Laplace(*torch.randn(2, n, d, generator=draw, dtype=torch.float64))


def moment(n):
    return StepContext(0, 10, 0, 100, 0, n)


def test_the_toys_and_the_gaussian_are_posteriors():
    gaussian = DiagonalGaussian(torch.zeros(2, 3), torch.zeros(2, 3))
    for posterior in (gaussian, laplace(), Codebook(4, 3)(torch.rand(2, 6))):
        assert isinstance(posterior, Posterior)
        assert isinstance(map_tensors(lambda x: x[:1], posterior), type(posterior))


def test_the_closed_form_kl_is_that_of_many_draws():
    posterior, n = laplace(), 200_000
    many = map_tensors(lambda x: x.repeat_interleave(n, 0), posterior)
    noise = torch.randn(6 * n, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = many.sample(noise)
    ratios = log_ratio(many, z, "This test").view(6, n)
    error = ratios.std(1) / math.sqrt(n)
    assert ((ratios.mean(1) - posterior.kl()).abs() < 4 * error).all()
    moments = z.view(6, n, 3)
    torch.testing.assert_close(moments.mean(1), posterior.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(moments.std(1), posterior.sd, atol=0, rtol=0.02)


def test_the_ratio_of_a_density_is_that_of_the_gaussians_own_method():
    class Plain(NamedTuple):
        mean: Tensor
        logvar: Tensor
        sd, sample = DiagonalGaussian.sd, DiagonalGaussian.sample
        kl, log_prob = DiagonalGaussian.kl, DiagonalGaussian.log_prob

    pair = torch.randn(2, 5, 3, dtype=torch.float64)
    z = torch.randn(5, 3, dtype=torch.float64)
    plain = log_ratio(Plain(*pair), z, "This test")
    torch.testing.assert_close(plain, DiagonalGaussian(*pair).log_ratio(z))


def test_the_bound_of_one_laplace_draw_is_the_elbo_on_average():
    shape = (1, 4, 3)
    nets = MLPEncoder(shape, 2, (8,)), MLPDecoder(2, shape, (8,))
    model = IWAE(*nets, Bernoulli(), k=1, posterior=Laplace.from_heads)
    images = torch.rand(6, *shape).repeat(4000, 1, 1, 1)
    context = moment(len(images))
    bound, _ = model.bound(images, model.encode(images), context, "posterior")
    gap = bound - model.score(Batch(images, {}), context)["nelbo"]
    assert abs(gap.mean()) < 4 * gap.std() / len(gap) ** 0.5


@pytest.mark.report
@pytest.mark.parametrize("name", ["vq_vae", "laplace_vae"])
def test_every_command_takes_a_posterior_that_is_no_gaussian(name, array_file, tmp_path, capsys):
    run = tmp_path / name
    opened = latentia.train(f"{__file__}:{name}", data=array_file, run=run)
    has_sd = name == "laplace_vae"
    if not has_sd:
        assert opened.model.state_dict()["posterior.codes"].shape == (4, 3)
    assert (run / "report.html").stat().st_size > 10_000
    assert not [line for line in opened.diagnose().skipped_checks if "failed" in line]
    for command in (
        ["encode", "--out", "table.csv"],
        ["encode", "--out", "table.npz"],
        ["sample", "-n", "2", "--out", "sample.png"],
        ["reconstruct", "-n", "2", "--out", "reconstruct.png"],
        ["traverse", "0", "--out", "traverse.png"],
        ["interpolate", "0", "1", "--out", "interpolate.png"],
        ["attribute", "0", "--out", "attribute.png"],
        ["nearest", "0", "-n", "2", "--out", "nearest.png"],
        ["outliers", "--by", "distance", "--out", "outliers.png"],
        *[["export", "--out", "onnx"]] * (not has_sd),  # it takes seconds
    ):
        words = [*command[:-1], str(tmp_path / command[-1])]
        assert main([words[0], str(run), *words[1:]]) == 0, command
    header = (tmp_path / "table.csv").read_text().split("\n")[0]
    assert ('"sd_0"' in header) == ("sd" in np.load(tmp_path / "table.npz")) == has_sd
    capsys.readouterr()
    assert main(["evaluate", str(run), "--metrics", "elbo", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert math.isfinite(result["nelbo_nats"])
    assert ("rate_by_dimension" in result) == has_sd
    assert main(["evaluate", str(run), "--metrics", "nll", "--k", "8"]) == (0 if has_sd else 2)
    message = "needs log_prob, which Code lacks"
    assert (message in capsys.readouterr().err) != has_sd


def test_a_learned_prior_takes_their_latents(array_file, tmp_path):
    run = tmp_path / "vq"
    latentia.train(f"{__file__}:vq_vae", data=array_file, run=run)
    knobs = {"width": 16, "depth": 1, "epochs": 1, "batch": 16, "clusters": 0}
    prior = latentia.train("latent_prior", autoencoder=run, run=tmp_path / "p", **knobs)
    assert prior.sample(2).shape == (2, 1, 12, 10)


def test_dimensions_without_a_rate_are_ordered_by_the_variance_of_their_means(images):
    plan = vq_vae(images)
    split, model = plan.images.split("train"), plan.model.eval()
    heads = model.encoder(split.get_batch(slice(4)).image)  # pyright: ignore
    model.posterior.codes.data = heads[:, :3].detach()  # pyright: ignore
    table = encode_split(model, split)  # pyright: ignore
    assert (table.sd, table.kl, table.kl_per_dim) == (None, None, None)
    variance = table.mean.var(0, dtype=np.float64)
    assert len({*variance}) == 3
    assert table.dims_by_kl == sorted(range(3), key=lambda k: -variance[k])
    np.testing.assert_allclose(table.aggregate_sd, table.mean.std(0), rtol=1e-5)


def test_what_the_posterior_cannot_do_is_said(images, tmp_path):
    plan = vq_vae(images)
    with pytest.raises(Error, match=r"nll.* needs log_prob, which Code lacks"):
        nll(plan.model.eval(), plan.images.split("train"), k=2, n=1)
    assert "rate_by_dimension" not in elbo(plan.model, plan.images.split("train"))
    path, edits = tmp_path / "a.npy", {"free-bits needs kl_per_dim": ("free_bits", 0.1)}
    np.save(path, images)
    edits["divergence tc needs logvar"] = "divergence", "tc"
    for number, (message, (name, value)) in enumerate(edits.items()):
        with pytest.raises(Error, match=message):
            latentia.train(
                f"{__file__}:vq_vae",
                data=str(path),
                run=tmp_path / str(number),
                modifiers={name: {name: value}},
            )
