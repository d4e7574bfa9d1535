"""Laws of the VampPrior: against mixtures, closed forms and a linear Gaussian model."""

import math
import re
import subprocess
import sys

import onnxruntime
import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

import latentia
from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.posterior import draw_latents, log_ratio
from latentia.core.prior import Prior, transform_rows
from latentia.core.schedules import constant
from latentia.data.splits import Split
from latentia.export.onnx import export_run
from latentia.losses.likelihoods import Bernoulli, Gaussian
from latentia.metrics.elbo import elbo
from latentia.metrics.nll import nll
from latentia.models.iwae import IWAE
from latentia.models.vae import VAE
from latentia.models.vamp_prior import VampPrior
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.runs.folder import RunFolder

SHAPE, D, K = (1, 2, 3), 2, 4
F64 = torch.float64


def toy(kind=VAE, **arguments):
    """A model of random weights whose components differ, with images."""
    torch.manual_seed(0)
    nets = MLPEncoder(SHAPE, D, (8,)), MLPDecoder(D, SHAPE, (8,))
    model = kind(*nets, Bernoulli(), **arguments)
    model.posterior = VampPrior(model.encoder, torch.rand(K, *SHAPE))
    for parameter in model.encoder.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model.double().eval(), torch.rand(12, *SHAPE, dtype=F64).round()


def mixture(model):
    """The prior as torch.distributions has it."""
    heads = model.encoder(model.prior.pseudo_inputs.clamp(0, 1))
    mean, logvar = heads.chunk(2, 1)
    parts = Independent(Normal(mean, (logvar / 2).exp()), 1)
    return MixtureSameFamily(Categorical(torch.ones(K, dtype=F64)), parts)


def moment(n, step=0):
    return StepContext(step, 100, 0, 1000, 0, n)


def part(images):
    return Split("test", [str(k) for k in range(len(images))], {}, {}, images, None)


@torch.no_grad()
def test_the_density_is_that_of_the_mixture_and_integrates_to_one():
    model, _ = toy()
    z = 3 * torch.randn(200, D, dtype=F64)
    torch.testing.assert_close(model.prior.log_prob(z), mixture(model).log_prob(z))
    axis = torch.linspace(-12, 12, 400, dtype=F64)
    grid = torch.cartesian_prod(axis, axis)
    total = model.prior.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1, abs=1e-3)
    wide = Independent(Normal(torch.zeros(D, dtype=F64), 4.0), 1)
    z = wide.sample((100_000,))
    ratio = (model.prior.log_prob(z) - wide.log_prob(z)).exp()
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / len(ratio) ** 0.5


@torch.no_grad()
def test_draws_have_the_moments_of_the_mixture_and_a_row_is_the_same_for_every_n():
    model, _ = toy()
    z, wanted = model.draw_latents(100_000, seed=3), mixture(model)
    error = (wanted.variance / len(z)).sqrt()
    assert ((z.mean(0) - wanted.mean).abs() < 4 * error).all()
    torch.testing.assert_close(z.var(0), wanted.variance, rtol=0.05, atol=0)
    torch.testing.assert_close(model.draw_latents(5, seed=3), z[:5])
    assert not torch.equal(model.draw_latents(5, seed=4), z[:5])
    means = model.draw_latents(500, seed=3, temperature=0.0)
    assert len(means.unique(dim=0)) == K  # only the means of the components are left
    levels = torch.tensor([0.0, 0.3, 0.999999], dtype=F64)
    heads = model.encoder(model.prior.pseudo_inputs)
    drawn = model.prior.transform(torch.zeros(3, D, dtype=F64), levels)
    torch.testing.assert_close(drawn, heads[[0, 1, 3], :D])


@torch.no_grad()
def test_the_rate_of_draws_has_the_divergence_as_its_mean_and_kl_bounds_it():
    model, images = toy()
    posterior = model.encode(images)
    kl, n = posterior.kl(), 4000
    q = Independent(Normal(posterior.mean, posterior.sd), 1)
    eps = torch.randn(n, 12, D, dtype=F64)
    rates = torch.stack([draw_latents(posterior, each)[1].kl() for each in eps])
    z = posterior.mean + posterior.sd * eps
    torch.testing.assert_close(rates, q.log_prob(z) - mixture(model).log_prob(z))
    torch.testing.assert_close(log_ratio(posterior, z[0], ""), rates[0])
    assert (rates.mean(0) < kl + 4 * rates.std(0) / n**0.5).all()
    # a component that is its own posterior costs at most its share
    own = model.encode(model.prior.pseudo_inputs.detach())
    assert (own.kl() <= math.log(K) + 1e-12).all()
    one = VampPrior(model.encoder, torch.rand(1, *SHAPE, dtype=F64))
    heads = model.encoder(one.pseudo_inputs).chunk(2, 1)
    alone = Independent(Normal(heads[0], (heads[1] / 2).exp()), 1)
    exact = torch.distributions.kl_divergence(q, alone.expand((12,)))
    torch.testing.assert_close(one(model.encoder(images)).kl(), exact)


class Plain(Gaussian):
    """N(image; output, sigma^2), without the sigmoid."""

    def mean(self, output):
        return output


class Linear(nn.Module):
    """Exact posteriors of x = W z + noise under the prior N(0, I), or others."""

    def __init__(self, weight, sigma):
        super().__init__()
        self.image_shape, self.latent_shape = SHAPE, (D,)
        self.precision = torch.eye(D, dtype=F64) + weight.T @ weight / sigma**2
        self.read = torch.linalg.solve(self.precision, weight.T / sigma**2)

    def forward(self, x):
        mean = x.flatten(1) @ self.read.T
        logvar = -self.precision.diagonal().log() + 0 * mean
        return torch.cat([mean, logvar], 1)


@torch.no_grad()
@pytest.mark.parametrize("k", [1, 300])
def test_the_bound_is_never_better_than_the_likelihood_of_a_linear_model(k):
    """p(x) = mean over components of N(x; W m_k, W S_k W' + sigma^2 I), exact."""
    torch.manual_seed(0)
    weight, sigma = torch.linalg.qr(torch.randn(6, D, dtype=F64))[0], 0.3
    decoder = nn.Sequential(nn.Linear(D, 6, bias=False), nn.Unflatten(1, SHAPE)).double()
    decoder[0].weight.data = weight
    model = VAE(Linear(weight, sigma), decoder, Plain(sigma)).double().eval()
    model.posterior = VampPrior(model.encoder, torch.rand(K, *SHAPE, dtype=F64))
    mean, logvar = model.encoder(model.prior.pseudo_inputs).chunk(2, 1)
    covariance = weight @ torch.diag_embed(logvar.exp()) @ weight.T
    covariance += sigma**2 * torch.eye(6, dtype=F64)
    parts = torch.distributions.MultivariateNormal(mean @ weight.T, covariance)
    truth = MixtureSameFamily(Categorical(torch.ones(K, dtype=F64)), parts)
    images = truth.sample((400,)).clamp(0, 1).view(-1, *SHAPE)
    exact = -truth.log_prob(images.flatten(1))
    gap = nll(model, part(images), k=k) - exact
    error = gap.std() / len(gap) ** 0.5
    assert gap.mean() > -3 * error
    if k > 1:
        assert gap.abs().mean() < 0.1
    score = elbo(model, part(images))
    assert score["nelbo_nats"] > exact.mean() - 4 * score["standard_error"]["nelbo_nats"] / 10
    assert "rate_by_dimension" not in score


def test_training_uses_the_rate_of_the_draw_and_every_parameter_learns():
    for kind, arguments in ((VAE, {}), (IWAE, {"k": 3})):
        model, images = toy(kind, **arguments)
        assert isinstance(model.prior, Prior)
        batch, when = Batch(images, {}), moment(len(images))
        terms = model.train().terms(batch, when)
        sum(term.weight * term.value.mean() for term in terms.values()).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name
        scores = model.eval().score(batch, when)
        torch.testing.assert_close(scores["nelbo"], scores["distortion"] + scores["rate"])


def test_pseudo_inputs_meet_batchnorm_in_evaluation_mode():
    """In training mode they would take part in the running statistics of images."""
    model, images = toy()
    norm = nn.BatchNorm1d(6, dtype=F64)
    model.encoder.layers = nn.Sequential(norm, *model.encoder.layers)
    model.train()
    posterior = model.encode(images)
    before = norm.running_mean.clone()
    posterior.kl()
    assert torch.equal(norm.running_mean, before)
    assert norm.training


@torch.no_grad()
def test_a_prior_of_one_component_at_the_origin_is_the_standard_one():
    """Its component is N(0, I) where the encoder says so, of its pseudo-input alone."""
    model, images = toy()
    model.encoder.layers[-1].weight.zero_()
    model.encoder.layers[-1].bias.zero_()
    posterior = model.encode(images)
    z = torch.randn(12, D, dtype=F64)
    other = DiagonalGaussian(torch.randn(12, D, dtype=F64), torch.randn(12, D, dtype=F64))
    shifted = type(posterior)(*other)
    torch.testing.assert_close(shifted.kl(), other.kl())
    torch.testing.assert_close(shifted.log_ratio(z), other.log_ratio(z))
    level = torch.rand(12, dtype=F64)
    torch.testing.assert_close(model.prior.transform(z, level), z)
    assert transform_rows(None, z, 0) is z


KNOBS = {"epochs": 2, "batch": 16, "latent": 3}


@pytest.mark.parametrize(
    ("recipe", "modifiers", "message"),
    [
        ("mnist_gan", {}, "--prior vamp needs a VAE whose encoder is trained; leave it out"),
        ("mnist_hvae", {}, "--prior vamp needs latents that are independent given the image"),
        ("photo_vae", {}, "--prior vamp needs a VAE whose encoder is trained; leave it out"),
        ("mnist_mlp_vae", {"multirate": {}}, "--prior vamp has pseudo-inputs, without the beta"),
        ("mnist_mlp_vae", {"free_bits": {}}, r"--prior vamp needs the rate \(KL\), which another"),
        ("mnist_mlp_vae", {"divergence": {"divergence": "mmd"}}, "which another option replaces"),
    ],
)
def test_what_cannot_be_under_it_is_said(array_file, tmp_path, recipe, modifiers, message):
    knobs = {**KNOBS, **({"features": "none"} if recipe == "photo_vae" else {})}
    with pytest.raises(Error, match=message):
        latentia.train(
            recipe,
            data=array_file,
            run=tmp_path / "r",
            modifiers={**modifiers, "prior": {"prior": "vamp"}},
            **knobs,
        )
    assert not (tmp_path / "r").exists()


def test_a_run_samples_projects_and_names_its_prior(array_file, tmp_path):
    run = latentia.train(
        "mnist_mlp_vae", data=array_file, run=tmp_path / "r", hidden=8, **KNOBS,
        modifiers={"prior": {"prior": "vamp", "pseudo_inputs": 7}},
        options=latentia.Options(validation=0.2),
    )  # fmt: skip
    assert run.model.prior.pseudo_inputs.shape == (7, 1, 28, 28)
    assert "prior VampPrior, temperature 0.5" in run.plot_samples(2, temperature=0.5).caption
    with pytest.raises(Error, match="draws from VampPrior, which has no --steps"):
        run.sample(2, steps=3)
    latents = latentia.latents.projection.project_image(
        run.model, run.split("train").get_batch(slice(0, 1)).image, starts=2, steps=2
    )
    assert latents.z.shape == (1, 3)
    table = run.encode()
    assert table["rate"].ge(-1e-6).all()
    assert run.evaluate("nll", k=20, n=4)
    found = run.diagnose()
    assert not [line for line in found.skipped_checks if "failed" in line]
    normal = latentia.train(
        "mnist_mlp_vae", data=array_file, run=tmp_path / "n", hidden=8, **KNOBS,
        modifiers={"prior": {"prior": "normal"}},
    )  # fmt: skip
    assert normal.model.prior is None
    assert normal.model.beta(0.5) == constant(1.0)(0.5)


def test_an_export_draws_from_the_prior_where_there_is_no_torch(array_file, tmp_path):
    run = latentia.train(
        "mnist_mlp_vae", data=array_file, run=tmp_path / "r", hidden=8, **KNOBS,
        modifiers={"prior": {"prior": "vamp", "pseudo_inputs": 7}},
    )  # fmt: skip
    files = export_run(RunFolder.open(run.path), tmp_path / "onnx")
    assert [file.path.stem for file in files] == ["prior", "encoder", "decoder"]
    eps, level = torch.randn(9, 3), torch.linspace(0, 0.99, 9)
    session = onnxruntime.InferenceSession(str(files[0].path))
    (z,) = session.run(None, {"noise": eps.numpy(), "level": level.numpy()})
    torch.testing.assert_close(torch.from_numpy(z), run.model.prior.transform(eps, level))
    text = (tmp_path / "onnx" / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.S)
    (tmp_path / "onnx" / "program.py").write_text(program + "\nprint(samples.shape)")
    alone = "import sys; sys.modules['torch'] = None; exec(open('program.py').read())"
    done = subprocess.run(
        [sys.executable, "-c", alone], cwd=tmp_path / "onnx", capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "(5, 1, 28, 28)"
