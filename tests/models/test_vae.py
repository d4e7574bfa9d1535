"""The VAE against closed forms: its objective, its optimum, its randomness."""

import math

import pytest
import torch
from torch import nn

from latentia.core.contract import Batch, HasLatents, StepContext
from latentia.core.errors import Error
from latentia.core.schedules import constant, linear
from latentia.losses.likelihoods import Bernoulli, Gaussian
from latentia.models.vae import VAE
from latentia.nets.conv import ConvDecoder, ConvEncoder
from latentia.nets.mlp import MLPDecoder, MLPEncoder

SHAPE = (1, 6, 5)
# of pixels in [0, 1] in float32, 6e-8 a rounding: another size of batch makes some tens of them in
# a network of few layers, another seed differs by 1e-2 at least
SAME, OTHER = 1e-5, 1e-3


def toy(beta=1.0, conv=False):
    torch.manual_seed(0)
    if conv:
        nets = ConvEncoder(SHAPE, 3, (4, 4)), ConvDecoder(3, SHAPE, (4, 4))
    else:
        nets = MLPEncoder(SHAPE, 3, (8,)), MLPDecoder(3, SHAPE, (8,))
    return VAE(*nets, Bernoulli(), constant(beta))


def batch(n=4, dtype=torch.float32):
    draw = torch.Generator().manual_seed(1)
    return Batch(torch.rand(n, *SHAPE, generator=draw, dtype=dtype), {})


def moment(step=0, total=10, n=4):
    return StepContext(step, total, 0, 100, 0, n)


def test_terms_are_nats_per_image_and_beta_is_only_a_weight():
    ones, many = toy(1.0).terms(batch(), moment()), toy(49.0).terms(batch(), moment())
    for term in ("distortion", "rate"):
        assert ones[term][1].shape == (4,)
        assert ones[term][1].dtype == torch.float32
        assert torch.equal(ones[term][1], many[term][1])
    assert (ones["rate"][0], many["rate"][0]) == (1.0, 49.0)
    assert ones["distortion"][0] == 1.0


@pytest.mark.parametrize("conv", [False, True])
def test_terms_stay_float32_under_bfloat16(conv):
    with torch.autocast("cpu", torch.bfloat16):
        terms = toy(conv=conv).terms(batch(), moment())
        images = toy(conv=conv).sample(3, seed=0)
    assert {value.dtype for _, value, _ in terms.values()} == {torch.float32}
    assert images.dtype == torch.float32


def test_beta_follows_its_schedule_by_the_share_of_the_run():
    model = toy()
    model.beta = linear(0.0, 2.0)
    assert model.terms(batch(), moment(5))["rate"][0] == pytest.approx(1.0)
    assert model.terms(batch(), moment(50, 100))["rate"][0] == pytest.approx(1.0)


def test_noise_depends_on_seed_step_and_row_alone():
    model = toy()
    first = model.terms(batch(), moment())
    torch.manual_seed(999)
    assert torch.equal(model.terms(batch(), moment())["distortion"][1], first["distortion"][1])
    later = model.terms(batch(), moment(1))["distortion"][1]
    assert not torch.equal(later, first["distortion"][1])


def test_a_latent_is_a_function_of_the_image_unless_a_seed_is_given():
    model, images = toy().eval(), batch().image
    assert isinstance(model, HasLatents)
    assert torch.equal(model.reconstruct(images), model.decode(model.encode(images).mean))
    assert torch.equal(model.reconstruct(images), model.reconstruct(images))
    drawn = model.reconstruct(images, seed=1)
    assert torch.equal(drawn, model.reconstruct(images, seed=1))
    assert not torch.equal(drawn, model.reconstruct(images, seed=2))


@pytest.mark.parametrize("conv", [False, True])
def test_batch_size_moves_a_latent_by_less_than_1e_5(conv):
    model, images = toy(conv=conv).eval(), batch(64).image
    whole = model.encode(images).mean
    rows = torch.cat([model.encode(images[k : k + 1]).mean for k in range(64)])
    assert torch.equal(whole, model.encode(images).mean)
    torch.testing.assert_close(whole, rows, atol=1e-5, rtol=1e-5)


def test_sample_k_of_a_seed_is_one_picture_for_every_n():
    model = toy().eval()
    many = model.sample(70, seed=3)
    torch.testing.assert_close(model.sample(5, seed=3), many[:5], atol=SAME, rtol=0)
    assert many.shape == (70, *SHAPE)
    assert many.min() >= 0
    assert many.max() <= 1
    assert (model.sample(5, seed=4) - many[:5]).abs().max() > OTHER


def test_every_parameter_has_a_gradient():
    for conv in (False, True):
        model = toy(conv=conv)
        terms = model.terms(batch(), moment())
        sum(w * v.mean() for w, v, _ in terms.values()).backward()  # pyright: ignore
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


class Plain(Gaussian):
    """N(image; output, sigma^2), without the sigmoid: the linear model of the law below."""

    def mean(self, output):
        return output


def test_a_linear_vae_reaches_the_likelihood_of_ppca():
    """Its ELBO at the optimum is PPCA's log likelihood in closed form.

    Tipping & Bishop 1999, equation 3.4; Lucas et al. 2019, arXiv 1911.02469, theorem 1.
    """
    torch.manual_seed(0)
    n, d, k = 400, 6, 2
    factors = torch.randn(n, k, dtype=torch.float64) @ torch.randn(k, d, dtype=torch.float64)
    data = factors + 0.5 * torch.randn(n, d, dtype=torch.float64)
    data -= data.mean(0)
    values = torch.linalg.eigvalsh(data.T @ data / n).flip(0)
    sigma2 = values[k:].mean()
    logdet = values[:k].log().sum() + (d - k) * sigma2.log()
    ppca = 0.5 * (d * math.log(2 * math.pi) + logdet + d)

    shape = (1, 1, d)
    nets = MLPEncoder(shape, k, hidden=()), MLPDecoder(k, shape, hidden=())
    model = VAE(*nets, Plain(sigma2.sqrt().item())).double()
    heads = nets[0].layers[-1]
    assert isinstance(heads, nn.Linear)
    images = data.view(n, *shape)
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=500, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def objective():
        posterior = model.encode(images)
        # the expectation over z in closed form: for a linear decoder the noise adds its trace
        output = model.decoder(posterior.mean)
        spread = posterior.logvar.exp() @ nets[1].layers[-1].weight.square().sum(0) / (2 * sigma2)
        return (model.likelihood.nll(output, images) + spread + posterior.kl()).mean()

    def closure():
        optimizer.zero_grad()
        nelbo = objective()
        nelbo.backward()
        return nelbo

    optimizer.step(closure)  # pyright: ignore
    nelbo = objective()
    assert nelbo.item() >= ppca.item() - 1e-6  # a bound; sigma is kept in float32
    assert nelbo.item() == pytest.approx(ppca.item(), abs=1e-5)
    with torch.no_grad():
        scored = model.score(Batch(images.repeat(50, 1, 1, 1), {}), moment(n=50 * n))["nelbo"]
    assert abs(scored.mean() - ppca) < 4 * scored.std() / len(scored) ** 0.5 + 1e-4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([[0.0]], "The images are a list; they must be a float tensor (n, 1, 6, 5)"),
        (torch.zeros(2, 1, 5, 6), "The images are float32 (2, 1, 5, 6); they must be"),
        (torch.zeros(2, 1, 6, 5, dtype=torch.bool), "The images are bool (2, 1, 6, 5)"),
        (torch.full((2, 1, 6, 5), 255.0), "The images lie in [255, 255], not in [0, 1]"),
        (torch.full((2, 1, 6, 5), float("nan")), "The images lie in [nan, nan]"),
    ],
)
def test_what_the_encoder_was_not_made_for_is_refused_in_one_sentence(given, said):
    model = toy().eval()
    encode = getattr(type(model).encode, "__wrapped__", type(model).encode)  # past the type check
    with pytest.raises(Error) as problem:
        encode(model, given)
    assert said in str(problem.value)
    assert "run.preprocess" in str(problem.value)


def test_latents_of_another_shape_are_refused():
    with pytest.raises(
        Error, match=r"The latents are float32 \(2, 4\); .* \(n, 3\): see model.encode"
    ):
        toy().eval().decode(torch.zeros(2, 4))
    assert toy().eval().decode(torch.zeros(2, 3, dtype=torch.float64)).dtype == torch.float32


@pytest.mark.parametrize("size", [8, 128])
def test_many_images_are_encoded_and_decoded_in_batches(size):
    """Memory holds the activations of one batch; up to a batch nothing changes, to the bit."""
    encoder = MLPEncoder((1, size, size), 2, (3,))
    model = VAE(encoder, MLPDecoder(2, (1, size, size), (3,)), Bernoulli()).eval()
    batch, rows = min(1024, 2**22 // size**2), []
    for network in (model.encoder, model.decoder):
        network.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    x = torch.rand(2 * batch + 3, 1, size, size)
    with torch.no_grad():
        mean = model.encode(x).mean
        out = model.decode(mean)
        assert rows == [batch, batch, 3] * 2
        assert torch.equal(mean[:batch], model.encode(x[:batch]).mean)
        assert torch.equal(out[:batch], model.decode(mean[:batch]))
        heads = model.encoder(x[:batch])
        assert torch.equal(model.encode(x[:batch]).mean, model.posterior(heads).mean)
        model.train().encode(x)
    assert rows[-1] == len(x)  # a training's batch is whole
