"""The importance-weighted bound against its definition, and images that are drawn."""

import itertools
import math

import pytest
import torch
from torch.distributions import Bernoulli as Coin
from torch.distributions import Normal

import latentia
from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.core.seeding import noise
from latentia.losses.likelihoods import Bernoulli
from latentia.models.iwae import IWAE
from latentia.models.vae import VAE
from latentia.modifiers.iwae import iwae
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.recipes.mnist_conv_vae import mnist_conv_vae
from latentia.recipes.mnist_gan import mnist_gan
from latentia.recipes.mnist_iwae import mnist_iwae, published_schedule

SHAPE = (1, 4, 3)


def toy(k=5, binary=False, kind=IWAE):
    torch.manual_seed(0)
    nets = MLPEncoder(SHAPE, 2, (8,)), MLPDecoder(2, SHAPE, (8,))
    return kind(*nets, Bernoulli(binary), **({"k": k} if kind is IWAE else {}))


def batch(n=6, dtype=torch.float32):
    draw = torch.Generator().manual_seed(1)
    return Batch(torch.rand(n, *SHAPE, generator=draw, dtype=dtype), {})


def moment(step=0, n=6, seed=0):
    return StepContext(step, 10, seed, 100, 0, n)


def test_one_draw_is_the_vae():
    ours, plain = toy(k=1).terms(batch(), moment()), toy(kind=VAE).terms(batch(), moment())
    assert ours.keys() == plain.keys()
    for term, (weight, value, _) in plain.items():
        assert ours[term][0] == weight
        assert torch.equal(ours[term][1], value)


def test_the_bound_of_one_draw_is_the_elbo_on_average():
    """Its sampled rate has the closed form's mean; so the same bound, estimated otherwise."""
    model, some = toy(k=1).double(), batch(dtype=torch.float64)
    many = Batch(some.image.repeat(4000, 1, 1, 1), {})
    when = moment(n=len(many.image))
    bound, _ = model.bound(many.image, model.encode(many.image), when, "posterior")
    nelbo = model.score(many, when)["nelbo"]
    error = (bound - nelbo).std() / len(bound) ** 0.5
    assert abs((bound - nelbo).mean()) < 4 * error


def test_bound_and_gradient_are_those_of_the_definition():
    """-log mean_k p(x, z_k) / q(z_k | x), by torch.distributions and autograd, in float64."""
    model, some = toy().double(), batch(dtype=torch.float64)
    weight, bound, _ = model.terms(some, moment())["bound"]
    assert weight == 1.0
    gradients = torch.autograd.grad(bound.mean(), list(model.parameters()))

    mean, logvar = model.encoder(some.image).chunk(2, 1)
    q = Normal(mean, (0.5 * logvar).exp())
    eps = noise(moment(), "posterior", (5, 2), mean)
    each = []
    for k in range(5):
        z = mean + (0.5 * logvar).exp() * eps[:, k]
        likelihood = Coin(logits=model.decoder(z), validate_args=False).log_prob(some.image)
        prior = Normal(torch.zeros_like(z), torch.ones_like(z)).log_prob(z)
        each.append(likelihood.sum((1, 2, 3)) + (prior - q.log_prob(z)).sum(1))
    expected = -torch.stack(each).exp().mean(0).log()
    torch.testing.assert_close(bound, expected, rtol=1e-10, atol=0)
    by_hand = torch.autograd.grad(expected.mean(), list(model.parameters()))
    for ours, theirs in zip(gradients, by_hand, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12)


def test_more_draws_make_a_tighter_bound():
    some, found = batch().image.repeat(500, 1, 1, 1), []
    for k in (1, 3, 10, 50):
        model = toy(k=k).requires_grad_(False)
        model.decoder.layers[-1].weight.mul_(10)  # latents that matter: weights that differ
        when = moment(n=len(some))
        found.append(model.bound(some, model.encode(some), when, "posterior")[0])
    for loose, tight in itertools.pairwise(found):
        error = (loose - tight).std() / len(loose) ** 0.5
        assert (loose - tight).mean() > 4 * error


def test_distortion_and_rate_are_shown_and_weigh_nothing():
    model, some = toy(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        terms = model.terms(some, moment())
    assert {name: weight for name, (weight, _, _) in terms.items()} == {
        "bound": 1.0, "distortion": 0.0, "rate": 0.0,
    }  # fmt: skip
    assert all(v.shape == (6,) and v.dtype == torch.float32 for _, v, _ in terms.values())
    terms = model.terms(some, moment())
    torch.testing.assert_close(terms["rate"][1], model.encode(some.image).kl())
    eps = noise(moment(), "posterior", (5, 2), some.image)
    posterior = model.encode(some.image)
    each = [model.distortion(posterior.sample(eps[:, k]), some.image) for k in range(5)]
    torch.testing.assert_close(terms["distortion"][1], torch.stack(each).mean(0))


def test_binary_images_have_the_grey_mean_and_an_address():
    model = toy(binary=True).train()
    grey = torch.tensor([0.0, 0.1, 0.5, 1.0]).view(1, 1, 4, 1).expand(4000, *SHAPE)
    some, when = Batch(grey, {}), moment(n=4000)
    seen = model.observe(some, when)
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    share, sure = seen.mean((0, 1, 3)), grey[0, 0, :, 0]
    spread = (sure * (1 - sure) / (3 * 4000)).sqrt()
    assert ((share - sure).abs() <= 4 * spread).all()
    assert torch.equal(seen, model.observe(some, when))
    assert not torch.equal(seen, model.observe(some, moment(1, n=4000)))
    assert not torch.equal(seen, model.observe(some, moment(n=4000, seed=1)))


def test_in_evaluation_images_are_drawn_once_whatever_the_seed():
    model = toy(k=1, binary=True).eval()
    first = model.observe(batch(), moment(seed=0))
    assert torch.equal(first, model.observe(batch(), moment(seed=7)))
    assert not torch.equal(first, model.observe(batch(), moment(1)))
    assert not torch.equal(first, model.train().observe(batch(), moment()))
    assert "once" in model.metadata()["binarised"]
    plain = toy()
    assert torch.equal(plain.observe(batch(), moment()), batch().image)
    assert plain.metadata() == {}


def test_the_terms_are_those_of_what_is_observed():
    for k in (1, 5):
        model = toy(k=k, binary=True).train()
        seen = Batch(model.observe(batch(), moment()), {})
        drawn, given = model.terms(batch(), moment()), toy(k=k).train().terms(seen, moment())
        for term in given:
            assert torch.equal(drawn[term][1], given[term][1]), term
        model.eval()
        seen = Batch(model.observe(batch(), moment()), {})
        drawn, given = model.score(batch(), moment()), toy(k=k).eval().score(seen, moment())
        assert drawn.keys() == given.keys()
        for term in given:
            assert torch.equal(drawn[term], given[term]), term


def test_any_vae_takes_the_edit_and_nothing_else_does(tmp_path):
    images = torch.rand(20, 1, 28, 28)
    plan = iwae(mnist_conv_vae(images, epochs=1), iwae=3)
    assert isinstance(plan.model, IWAE)
    assert plan.model.k == 3
    binary = iwae(mnist_iwae(images, k=5), iwae=2).model
    assert isinstance(binary, IWAE)
    assert (binary.k, binary.likelihood.binary) == (2, True)
    with pytest.raises(
        Error, match="--iwae needs a VAE with one level of latents; leave it out with this GAN"
    ):
        iwae(mnist_gan(images, epochs=1))
    knobs = {"data": images, "epochs": 1, "batch": 8, "hidden": 8, "latent": 2}
    path = tmp_path / "r"
    edits = {"iwae": {"iwae": 4}}
    model = latentia.train("mnist_mlp_vae", run=path, modifiers=edits, **knobs).model
    assert isinstance(model, IWAE)
    assert model.k == 4
    assert '"bound"' in (path / "log.jsonl").read_text()


def test_the_published_rate_falls_by_a_seventh_of_a_decade_at_each_power_of_three():
    parts = [published_schedule((epoch + 0.5) / 3280) for epoch in range(3280)]
    assert parts == sorted(parts, reverse=True)
    for i in range(8):
        level = 10 ** (-i / 7)
        assert sum(math.isclose(part, level) for part in parts) == 3**i
