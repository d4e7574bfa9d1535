"""Laws of the hierarchical VAE: against a linear Gaussian hierarchy, and between its own parts."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import latentia
from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.core.seeding import noise
from latentia.data.splits import Split
from latentia.losses.likelihoods import Bernoulli, Gaussian
from latentia.metrics.elbo import elbo
from latentia.metrics.nll import nll
from latentia.models.hvae import HVAE
from latentia.modifiers.divergence import divergence
from latentia.modifiers.multirate import multirate
from latentia.modifiers.supervise import supervise
from latentia.nets.image_ladder import ImageLadderDecoder, ImageLadderEncoder, LadderArchitecture
from latentia.nets.ladder import LadderDecoder, LadderEncoder
from latentia.recipes.image_hvae import image_hvae
from latentia.recipes.mnist_hvae import mnist_hvae

SHAPE, D, L, HALF = (1, 1, 6), 6, 3, 8  # pixels, levels of one latent, and half of the width


class Plain(Gaussian):
    """N(image; output, sigma^2), without the sigmoid."""

    def mean(self, output):
        return output


def moment(n, step=0):
    return StepContext(step, 100, 0, 1000, 0, n)


def part(images):
    return Split("test", [str(k) for k in range(len(images))], {}, {}, images, None)


def vectors(shape=(1, 5, 4)):
    sizes = shape, (2, 2, 2), 16
    return HVAE(LadderEncoder(*sizes), LadderDecoder(*sizes), Bernoulli())


def maps(shape=(1, 5, 9), levels=3, width=6):
    """Of a vector and, if there are more levels, maps of two resolutions."""
    sizes = LadderArchitecture(shape, 2, 1, levels, width)
    return HVAE(ImageLadderEncoder(sizes), ImageLadderDecoder(sizes, shape[0]), Bernoulli())


def shaken(make, seed=0):
    """A model whose latents matter, with images; every weight is random."""
    torch.manual_seed(seed)
    model = make().double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model, torch.rand(12, *model.image_shape, dtype=torch.float64).round()


@pytest.fixture(params=[vectors, maps])
def toy(request):
    return shaken(request.param)


def both(x):
    """x and -x: the difference of their SiLU is x, so that the networks can be linear."""
    return torch.cat([x, -x], -1)


@torch.no_grad()
def linear():
    """x = M eps + c + noise through three levels, the exact posterior of each, and -log p(x)."""
    torch.manual_seed(0)
    sizes = SHAPE, (1,) * L, 2 * HALF
    model = HVAE(LadderEncoder(*sizes), LadderDecoder(*sizes), Plain(0.05))
    model.double().eval().requires_grad_(False)
    encoder, decoder, f64 = model.encoder, model.decoder, torch.float64
    encoder.stem.weight[:] = both(torch.eye(D, HALF, dtype=f64)).T
    for level in decoder.levels:
        level.embed.weight[:, 0] = both(0.3 * torch.randn(HALF, dtype=f64))
        level.embed.bias[:] = both(0.1 * torch.randn(HALF, dtype=f64))
        level.prior.weight[0] = torch.randn(2 * HALF, dtype=f64)  # the shift depends on the state
        level.prior.bias[:] = torch.randn(2, dtype=f64) / 2
    decoder.output[-1].weight[:] = both(0.04 * torch.randn(D, HALF, dtype=f64))
    decoder.output[-1].bias.fill_(0.5)

    units = torch.cat([torch.zeros(1, L), torch.eye(L)]).double()
    states, h = [], decoder.start.expand(L + 1, -1)
    for k, level in enumerate(decoder.levels):
        states.append(h[:, :HALF])
        h = level(h, units[:, k : k + 1])
    outputs = decoder(units).flatten(1)
    centre, basis = outputs[0], (outputs[1:] - outputs[0]).T
    sigma2 = model.likelihood.log_sigma.exp().item() ** 2
    covariance = torch.linalg.inv(torch.eye(L, dtype=f64) + basis.T @ basis / sigma2)
    read = covariance @ basis.T / sigma2  # the posterior mean is read @ (x - centre)
    for k, level in enumerate(decoder.levels):
        from_above = covariance[k, :k] @ torch.linalg.inv(covariance[:k, :k])
        variance = covariance[k, k] - from_above @ covariance[:k, k]
        from_image = read[k] - from_above @ read[:k]
        steps = (states[k][1:] - states[k][0])[:k].T  # of the state, by the latents above
        from_state = from_above @ torch.linalg.pinv(steps)
        pixels = torch.nn.functional.pad(from_image, (0, HALF - D))
        hidden, heads = level.posterior[1], level.posterior[3]
        row = torch.cat([both(from_state), both(pixels)])
        offset = -from_state @ states[k][0] - from_image @ centre
        hidden.weight.zero_()
        hidden.weight[:2], hidden.bias[:2] = torch.stack([row, -row]), both(offset[None])
        heads.weight.zero_()
        heads.weight[0, :2] = torch.tensor([1.0, -1.0])
        heads.bias[:] = torch.stack([torch.zeros((), dtype=f64), variance.log()])
    total = basis @ basis.T + sigma2 * torch.eye(D, dtype=f64)
    truth = torch.distributions.MultivariateNormal(centre, total)
    images = truth.sample((40,)).clamp(0, 1).view(-1, *SHAPE)
    return model, images, -truth.log_prob(images.flatten(1))


@pytest.mark.parametrize("k", [1, 7])
def test_with_the_true_posteriors_every_draw_is_the_likelihood_of_a_linear_hierarchy(k):
    model, images, truth = linear()
    torch.testing.assert_close(nll(model, part(images), k=k), truth, rtol=0, atol=1e-6)


def test_with_one_wrong_level_it_is_a_bound():
    model, images, truth = linear()
    model.decoder.levels[1].posterior[3].bias[0] += 0.5
    loose = nll(model, part(images), k=1)
    assert (loose - truth).mean() > 0.1
    assert (nll(model, part(images), k=1000) - truth).abs().mean() < 0.05


def test_the_bound_falls_with_the_number_of_draws(toy):
    model, images = toy
    found = [nll(model, part(images.repeat(8, 1, 1, 1)), k=k) for k in (1, 6, 36)]
    for few, more in itertools.pairwise(found):
        error = (few - more).std() / len(few) ** 0.5
        assert (few - more).mean() > 2 * error


def test_the_rate_is_the_mean_of_the_log_ratio_and_depends_on_the_draws_above(toy):
    model, images = toy
    posterior = model.encode(images[:1].expand(20_000, -1, -1, -1))
    eps = torch.randn(20_000, *model.latent_shape, dtype=torch.float64)
    z = posterior.sample(eps)
    rates, ratio = posterior.condition(z).kl(), posterior.log_ratio(z)
    error = (rates - ratio).std() / len(rates) ** 0.5
    assert abs((rates - ratio).mean()) < 4 * error
    assert rates.std() > 0.01
    torch.testing.assert_close(posterior.sample(torch.zeros_like(eps)), posterior.mean)


def test_one_pass_of_the_training_is_encode_draw_and_decode(toy):
    model, images = toy
    batch, when = Batch(images, {}), moment(len(images))
    terms, posterior = model.terms(batch, when), model.encode(images)
    z = posterior.sample(noise(when, "posterior", model.latent_shape, images))
    torch.testing.assert_close(terms["distortion"].value, model.distortion(z, images))
    torch.testing.assert_close(terms["rate"].value, posterior.condition(z).kl())
    scores = model.score(batch, when)
    torch.testing.assert_close(scores["nelbo"], scores["distortion"] + scores["rate"])


def test_the_rates_of_the_dimensions_and_of_the_levels_sum_to_the_rate(toy):
    model, images = toy
    found = elbo(model, part(images))
    rates = model.sum_levels(found["rate_by_dimension"])
    assert len(rates) == len(model.level_sizes) == 3
    assert sum(rates) == pytest.approx(found["rate_nats"], rel=1e-9)
    end = sum(model.level_sizes[:2])
    assert rates[1] == pytest.approx(sum(found["rate_by_dimension"][2:end]))


def test_a_latent_moves_its_own_level_and_those_below_only(toy):
    """The state before a level is a function of the latents above it."""
    model, _ = toy
    inputs = []
    for level in model.decoder.levels:
        level.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    z = torch.randn(1, *model.latent_shape, dtype=torch.float64)
    moved = z + torch.eye(z.shape[1])[2:3]  # a latent of the second level
    for each in (z, moved):
        model.decode(each)
    same = [torch.equal(a, b) for a, b in zip(inputs[:3], inputs[3:], strict=True)]
    assert same == [True, True, False]


def test_every_parameter_has_a_gradient(toy):
    model, images = toy
    terms = model.train().terms(Batch(images, {}), moment(len(images)))
    sum(term.weight * term.value.mean() for term in terms.values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_a_new_model_has_the_prior_that_it_samples_and_any_depth_keeps_its_scale():
    for levels in (1, 16):
        torch.manual_seed(0)
        sizes = (1, 8, 8), (4,) * levels, 32
        model = HVAE(LadderEncoder(*sizes), LadderDecoder(*sizes), Bernoulli())
        features = model.encoder(torch.rand(50, 1, 8, 8))
        assert features.shape == (50, levels * 32)
        assert torch.equal(features[:, :32], features[:, -32:])  # residual branches are 0
        posterior = model.encode(torch.rand(50, 1, 8, 8))
        assert 0 < posterior.kl().mean() < 4 * levels


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_level_is_dead_after_a_short_training(seed):
    torch.manual_seed(seed)
    images = torch.from_numpy(load_digits().images / 16).float()[:, None]
    images = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    sizes = (1, 16, 16), (4, 4, 4), 64
    model = HVAE(LadderEncoder(*sizes), LadderDecoder(*sizes), Bernoulli()).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(300):
        rows = torch.randint(len(images), (64,))
        terms = model.terms(Batch(images[rows], {}), moment(64, step))
        sum(term.value.mean() for term in terms.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    rates = model.sum_levels(elbo(model, part(images[:500]))["rate_by_dimension"])
    assert min(rates) > 0.3, rates


def test_the_recipe_has_its_count_of_parameters_and_binarises():
    plan = mnist_hvae(torch.rand(8, 1, 28, 28))
    d, w, levels, pixels = 32, 512, 3, 784
    block = 2 * (w * w + w)
    encoder = pixels * w + w + levels * block
    level = 2 * (w * 2 * d + 2 * d) + d * w + w + block + 2 * w * w + w
    decoder = w + levels * level + w * pixels + pixels
    found = sum(p.numel() for p in plan.model.parameters())
    assert found == encoder + decoder == 5_778_576
    assert plan.model.likelihood.binary
    assert plan.average


def test_temperature_scales_the_prior(tmp_path):
    options = latentia.Options(validation=0.1, threads=1)
    small = {"hidden": 8, "latent": 5, "levels": 2, "epochs": 1, "batch": 16}
    run = latentia.train(
        "mnist_hvae", data="digits:60", run=tmp_path / "r", options=options, **small
    )
    usual = run.sample(4)
    assert torch.equal(run.sample(4, temperature=1.0), usual)
    assert run.model.level_sizes == (2, 3)
    for image in run.sample(4, temperature=0.0):
        torch.testing.assert_close(image, run.model.decode(torch.zeros(1, 5))[0])
    assert "prior N(0, 0.7² I)" in run.plot_samples(2, temperature=0.7).caption
    for value in (-1.0, math.inf):
        with pytest.raises(
            Error, match=r"--temperature is -?[1i].*; it must be a number, at least"
        ):
            run.sample(2, temperature=value)
    with pytest.raises(Error, match="has no --steps; leave it out"):
        run.sample(2, steps=3, temperature=0.7)
    prior = latentia.train(
        "latent_prior", autoencoder=run.path, run=tmp_path / "p", options=options,
        width=8, depth=1, epochs=1, clusters=0,
    )  # fmt: skip
    assert prior.sample(2, steps=2).shape == (2, 1, 28, 28)
    with pytest.raises(Error, match="a learned prior, which has no --temperature; leave it out"):
        prior.sample(2, temperature=0.7)


@pytest.mark.parametrize(("modifier", "option"), [(divergence, "--divergence tc"), (multirate, "")])
def test_modifiers_of_independent_latents_are_refused(modifier, option):
    with pytest.raises(Error, match=f"{option} needs latents that are independent given the image"):
        modifier(mnist_hvae(torch.rand(8, 1, 28, 28), hidden=8))


def test_a_level_has_a_latent_at_least():
    with pytest.raises(
        Error, match="--latent is 2 and --levels is 3; give at least one latent dim"
    ):
        mnist_hvae(torch.rand(8, 1, 28, 28), latent=2)


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((1, 28, 28), [(4, 4), (7, 7), (14, 14)]),
        ((3, 64, 48), [(4, 3), (8, 6), (16, 12)]),
        ((3, 17, 33), [(2, 3), (3, 5), (5, 9)]),
        ((1, 1, 1), [(1, 1)]),
        ((1, 1, 9), [(1, 3), (1, 5)]),
    ],
)
@pytest.mark.parametrize("levels", [1, 2, 4, 7])
def test_images_of_any_size_have_maps_of_their_proportions(shape, sides, levels):
    model = maps(shape, levels)
    grids = model.decoder.grids
    assert grids == sides
    assert model.level_sizes[0] == 2
    assert [*model.level_sizes[1:]] == sorted(model.level_sizes[1:])  # from coarse to fine
    used = {math.prod(grid) for grid in grids[: max(levels - 1, 0)]}
    assert levels > len(grids) or set(model.level_sizes[1:]) == used
    assert model.sample(2).shape == (2, *shape)
    assert model.encode(torch.rand(2, *shape)).mean.shape == (2, *model.latent_shape)


def test_a_recipe_of_maps_takes_the_likelihood_of_its_images():
    grey = np.random.default_rng(0).integers(60, 200, (8, 20, 20), dtype=np.uint8)
    plan = image_hvae(grey, width=4, latent=3, maps=2, likelihood="discretized")
    assert plan.model.level_sizes == (3, 2 * 9, 2 * 25, 2 * 100)
    batch = Batch(torch.from_numpy(grey[:, None] / np.float32(255)), {})
    assert torch.isfinite(plan.model.score(batch, moment(8))["nelbo"]).all()
    assert isinstance(image_hvae(grey, width=4).model.likelihood, Gaussian)


def test_levels_below_the_top_cost_more_at_the_start_and_nothing_more_at_the_end():
    plan = image_hvae(torch.rand(8, 1, 20, 20), width=4, latent=3, beta=2.0)
    model, batch = plan.model.eval(), Batch(torch.rand(8, 1, 20, 20), {})
    terms = [model.terms(batch, moment(8, step)) for step in (0, 15, 30, 100)]
    weights = [(each["rate"].weight, each["rate (KL) of lower levels"].weight) for each in terms]
    assert weights == [pytest.approx(pair) for pair in [(0, 40), (1, 20), (2, 0), (2, 0)]]
    posterior = model.encode(batch.image)
    z = posterior.sample(noise(moment(8), "posterior", model.latent_shape, batch.image))
    lower = posterior.condition(z).kl_per_dim()[:, 3:].sum(1)
    torch.testing.assert_close(terms[0]["rate (KL) of lower levels"].value, lower)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_level_of_maps_is_dead_after_a_short_training(seed):
    torch.manual_seed(seed)
    images = torch.from_numpy(load_digits().images / 16).float()[:, None]
    plan = image_hvae(images, latent=4, maps=1, width=16, levels=2)
    optimizer = torch.optim.AdamW(plan.model.train().parameters(), lr=3e-3)
    for step in range(300):
        rows = torch.randint(len(images), (64,))
        context = moment(64, step)._replace(total_steps=300)
        terms = plan.model.terms(Batch(images[rows], {}), context)
        sum(term.weight * term.value.mean() for term in terms.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    rates = plan.model.sum_levels(elbo(plan.model, part(images[:500]))["rate_by_dimension"])
    assert min(rates) > 1, rates


def test_the_weight_of_lower_levels_leaves_other_divergences_and_single_levels_alone():
    images = torch.rand(8, 1, 20, 20)
    for change in ({"levels": 1}, {}):
        plan = image_hvae(images, width=4, latent=3, **change)
        if not change:
            plan = divergence(plan, "mmd")
        terms = plan.model.terms(Batch(images, {}), moment(8))
        assert "rate (KL) of lower levels" not in terms


def test_labels_are_predicted_from_the_top_level():
    plan = image_hvae("digits:60", width=4, latent=3)
    with pytest.raises(Error, match="--supervise-dims is 4; the model has 3"):
        supervise(plan, "label", 4)
    assert supervise(plan, "label").model.supervision.dims == 3
