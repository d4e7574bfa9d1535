"""The likelihood's bound against PPCA, whose likelihood has a closed form."""

import itertools
import math

import pytest
import torch

from latentia.core.errors import Error
from latentia.data.splits import Split
from latentia.losses.likelihoods import Bernoulli, Gaussian
from latentia.metrics import nll as module
from latentia.metrics.elbo import elbo
from latentia.metrics.nll import measure_importance_bounds, nll
from latentia.models.iwae import IWAE
from latentia.models.vae import VAE
from latentia.nets.mlp import MLPDecoder, MLPEncoder

D, K = 6, 2
SHAPE = (1, 1, D)
SIGMA = 0.05


class Plain(Gaussian):
    """N(image; output, sigma^2), without the sigmoid."""

    def mean(self, output):
        return output


def part(images):
    keys = [str(k) for k in range(len(images))]
    return Split("test", keys, {}, {}, images, None)


def linear(wrong=0.0):
    """x = W z + c + noise, and its exact posterior; `wrong` shifts and widens it.

    Tipping & Bishop 1999, section 3.2: q = N(M^-1 W' (x - c), sigma^2 M^-1), M = W'W + sigma^2.
    """
    draw = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(D, K, generator=draw, dtype=torch.float64)).Q
    w = basis * torch.tensor([0.12, 0.06], dtype=torch.float64)
    centre = torch.full((D,), 0.5, dtype=torch.float64)
    encoder, decoder = MLPEncoder(SHAPE, K, hidden=()), MLPDecoder(K, SHAPE, hidden=())
    model = VAE(encoder, decoder, Plain(SIGMA)).double().eval().requires_grad_(False)
    m = w.T @ w + SIGMA**2 * torch.eye(K, dtype=torch.float64)  # diagonal: w's columns are
    back = torch.linalg.inv(m) @ w.T
    variance = SIGMA**2 / m.diagonal()
    head, tail = encoder.layers[-1], decoder.layers[-1]
    head.weight[:] = torch.cat([back, torch.zeros_like(back)])
    shift = -back @ centre + wrong * variance.sqrt()
    head.bias[:] = torch.cat([shift, (variance * (1 + wrong)).log()])
    tail.weight[:], tail.bias[:] = w, centre
    # sigma is kept in float32: the truth is that of the sigma which is used
    sigma2 = model.likelihood.log_sigma.exp().double().item() ** 2
    noise = sigma2 * torch.eye(D, dtype=torch.float64)
    truth = torch.distributions.MultivariateNormal(centre, w @ w.T + noise)
    images = truth.sample((60,)).clamp(0, 1).view(-1, *SHAPE)
    return model, images, -truth.log_prob(images.flatten(1))


def test_with_the_true_posterior_one_draw_is_the_likelihood_of_ppca():
    model, images, truth = linear()
    torch.testing.assert_close(nll(model, part(images), k=1), truth, rtol=1e-5, atol=1e-5)


def test_with_a_wrong_posterior_it_is_a_bound_that_converges_to_it():
    """The worst or the best draw in place of the mean, or a lost log K, would show.

    Pitfall: Importance-weighted bounds.
    """
    model, images, truth = linear(wrong=0.6)
    loose = nll(model, part(images), k=1)
    assert (loose - truth).mean() > 0.2
    many = nll(model, part(images), k=5000)
    assert (many - truth).abs().max() < 0.1
    gap = many - truth
    assert abs(gap.mean()) < 4 * gap.std() / len(gap) ** 0.5 + 1e-4


@pytest.mark.parametrize("k", [1, 100, 600])
def test_the_largest_weight_has_its_share_in_the_sum(k):
    """The true posterior gives every draw the same weight; one far from it leaves few that count.

    Of one draw the share is 1. 600 draws are more than one chunk.
    """
    model, images, _ = linear()
    equal = measure_importance_bounds(model, part(images), k=k).largest_shares
    torch.testing.assert_close(equal, torch.full_like(equal, 1 / k), rtol=1e-3, atol=0)
    model, images, _ = linear(wrong=3.0)
    shares = measure_importance_bounds(model, part(images), k=k).largest_shares
    assert shares.max() <= 1
    assert k == 1 or shares.mean() > 3 / k


def test_it_falls_with_the_number_of_draws():
    model, images, _ = linear(wrong=1.0)
    found = [nll(model, part(images), k=k) for k in (1, 10, 100, 1000)]
    for few, more in itertools.pairwise(found):
        error = (few - more).std() / len(few) ** 0.5
        assert (few - more).mean() > -2 * error
    assert found[0].mean() > found[-1].mean() + 0.1


def test_one_draw_is_the_elbo_on_average():
    model, images, _ = linear(wrong=0.6)
    many = part(images.repeat(30, 1, 1, 1))
    found = nll(model, many, k=1)
    error = found.std() / len(found) ** 0.5
    assert abs(found.mean() - elbo(model, many)["nelbo_nats"]) < 5 * error


def test_memory_does_not_grow_with_the_draws_and_parts_change_nothing(monkeypatch):
    model, images, _ = linear(wrong=0.6)
    sizes = []
    hook = model.decoder.register_forward_hook(lambda m, given, out: sizes.append(len(out)))
    whole = nll(model, part(images[:3]), k=1000)
    assert max(sizes) <= module.DRAWS_PER_CHUNK
    assert sum(sizes) == 3000
    hook.remove()
    monkeypatch.setattr(module, "DRAWS_PER_CHUNK", 1000)
    other = nll(model, part(images[:3]), k=1000)
    torch.testing.assert_close(whole, other, atol=0.2, rtol=0)


def test_an_image_has_the_same_figure_among_few_and_among_all():
    model, images, _ = linear(wrong=0.6)
    many = part(images.repeat(10, 1, 1, 1))  # more than a batch
    everything = nll(model, many, k=7)
    some = everything[[0, 200, 399, 599]]  # encoded in another batch: equal but for rounding
    torch.testing.assert_close(nll(model, many, k=7, n=4), some, rtol=1e-10, atol=0)
    assert torch.equal(nll(model, many, k=7), everything)
    assert not torch.equal(nll(model, many, k=7, seed=1), everything)


def test_binary_models_are_judged_on_what_they_observe():
    torch.manual_seed(0)
    nets = MLPEncoder(SHAPE, K, (4,)), MLPDecoder(K, SHAPE, (4,))
    model = IWAE(*nets, Bernoulli(binary=True)).eval()
    grey = part(torch.full((40, *SHAPE), 0.5))
    batch, moment = next(grey.iterate_with_context(500, 0))
    drawn = model.observe(batch, moment)
    model.binary = False
    expected = nll(model, part(drawn), k=3)
    model.binary = True
    torch.testing.assert_close(nll(model, grey, k=3), expected)
    assert not math.isclose(expected.std(), 0.0)
    found = elbo(model, grey)
    assert sum(found["rate_by_dimension"]) == pytest.approx(found["rate_nats"], rel=1e-5)


def test_a_model_without_an_encoder_has_no_likelihood():
    from latentia.models.gan import GAN

    with pytest.raises(Error, match=r"GAN has no likelihood: it has no encoder. Give a VAE"):
        nll(GAN.__new__(GAN), part(torch.rand(2, *SHAPE)))
