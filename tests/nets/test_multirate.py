"""One network for every beta: what its layers are told, and that they can say what beta asks."""

import math

import pytest
import torch
from torch import nn

from latentia.core.contract import StepContext
from latentia.nets.beta_conditioning import (
    WIDTH,
    BetaEmbedding,
    Modulation,
    add_beta_conditioning,
    modulate_layers,
)
from latentia.nets.conv import ConvDecoder, ConvEncoder
from latentia.nets.mlp import MLPDecoder, MLPEncoder

SHAPE = (1, 9, 7)


def moment(n, step=0):
    return StepContext(step, 10, 0, 100, 0, n)


def shaken(net):
    """Weights that say something: modulations start as the identity."""
    draw = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=draw, dtype=parameter.dtype)
    return net


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_a_modulated_network_starts_as_the_network_that_it_was(kind):
    torch.manual_seed(0)
    nets = {
        "mlp": (MLPEncoder(SHAPE, 3, (8,)), MLPDecoder(3, SHAPE, (8,))),
        "conv": (ConvEncoder(SHAPE, 3, (4, 4)), ConvDecoder(3, SHAPE, (4, 4))),
    }[kind]
    dial, x, z = BetaEmbedding(0.1, 10, 1), torch.rand(2, *SHAPE), torch.randn(2, 3)
    before = [nets[0](x), nets[1](z)]
    count = sum(
        isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) for n in nets for m in n.modules()
    )
    for net in nets:
        modulate_layers(net, dial)
    modulated = [m for n in nets for m in n.modules() if isinstance(m, Modulation)]
    assert len(modulated) == count
    for beta in (0.1, 1.0, 10.0):
        dial.beta = beta
        assert torch.equal(nets[0](x), before[0])
        assert torch.equal(nets[1](z), before[1])
    # the dial is no part of the layers: it would be saved once for each of them
    assert not any("features" in name for n in nets for name, _ in n.named_parameters())


def test_a_row_gets_its_own_beta_whatever_stands_beside_it():
    dial = shaken(BetaEmbedding(0.1, 10, 1)).double()
    net = ConvEncoder(SHAPE, 3, (4, 4))
    modulate_layers(net, dial)
    net = shaken(net.double())
    x, rows = torch.rand(4, *SHAPE, dtype=torch.float64), torch.tensor([0.1, 0.5, 2.0, 10.0])
    with dial.use_betas(rows):
        together = net(x)
    for k, beta in enumerate(rows.tolist()):
        dial.beta = beta
        torch.testing.assert_close(net(x[k : k + 1])[0], together[k], atol=1e-7, rtol=0)
    assert (together[0] - net(x[:1])[0]).abs().max() > 1e-3  # beta is heard


@pytest.mark.parametrize("n", [4, 10, 64])
def test_betas_of_a_batch_are_spread_evenly_in_their_logarithm(n):
    """Sorted, each lies in its own stratum; those beyond the ends stand on them."""
    dial = BetaEmbedding(0.01, 100, 1)
    draws = [dial.sample_betas(moment(n, step), torch.empty(n)) for step in range(20)]
    for rows in draws:
        place = (rows.sort().values.log() - math.log(0.01)) / math.log(1e4)
        strata = torch.arange(n + 1) / n * 1.2 - 0.1
        assert (place >= strata[:-1].clamp(0, 1) - 1e-5).all()
        assert (place <= strata[1:].clamp(0, 1) + 1e-5).all()
    both = torch.cat(draws)
    assert both.min().item() == pytest.approx(0.01)
    assert both.max().item() == pytest.approx(100)
    assert not torch.equal(draws[0], draws[0].sort().values)  # no image has always the same
    halves = [
        dial.sample_betas(moment(n)._replace(first_row=k), torch.empty(n // 2)) for k in (0, n // 2)
    ]
    assert torch.equal(torch.cat(halves), draws[0])  # whoever shares the batch


def closed_form(values, d, sigma2, beta, dimensions):
    """The least distortion + beta rate of a linear VAE with fixed sigma.

    With decoder gain sqrt(lambda - beta sigma^2) along each principal axis, posterior mean
    sqrt(lambda - beta sigma^2) / lambda times the coordinate and variance beta sigma^2 / lambda,
    each axis costs beta (1 + log(lambda / (beta sigma^2))) / 2; Lucas et al. 2019,
    arXiv 1911.02469, section 4, at beta 1.
    """
    kept, rest = values[:d], values[d:]
    constant = 0.5 * dimensions * math.log(2 * math.pi * sigma2) + rest.sum() / (2 * sigma2)
    return constant + (0.5 * beta * (1 + (kept / (beta * sigma2)).log())).sum()


def linear_vae(axes, values, d, sigma2, betas):
    """A modulated linear VAE whose weights are set to the exact response at these betas."""
    dimensions = len(axes)
    shape = (1, 1, dimensions)
    dial = BetaEmbedding(min(betas), max(betas), betas[0]).double()
    encoder, decoder = MLPEncoder(shape, d, ()).double(), MLPDecoder(d, shape, ()).double()
    decoder = add_beta_conditioning(encoder, decoder, d, dial).double()
    encoder = encoder.double()
    with torch.no_grad():
        (heads, heads_gate), (gate, layers) = encoder.layers[0], decoder
        heads.weight.copy_(torch.cat([axes[:, :d].T, torch.zeros(d, dimensions)]))
        heads.bias.zero_()
        layers.layers[0][0].weight.copy_(axes[:, :d])
        layers.layers[0][0].bias.zero_()
        gains = torch.stack([(values[:d] - b * sigma2).sqrt() for b in betas])  # (betas, d)
        means = gains / values[:d]
        logs = torch.stack([(b * sigma2 / values[:d]).log() for b in betas])
        one, none = torch.ones_like(gains), torch.zeros_like(gains)
        solve(heads_gate, dial, betas, torch.cat([means - 1, none, none, logs], 1))
        solve(gate, dial, betas, torch.cat([gains - one, none], 1))
    return encoder, decoder, dial


def solve(gate, dial, betas, wanted):
    """Set a gate so that at each beta it gives these scales, then shifts."""
    with dial.use_betas(torch.tensor(betas)):
        features = gate.film.act(dial())
    system = torch.cat([features, torch.ones(len(betas), 1)], 1)
    found = torch.linalg.lstsq(system, wanted, driver="gelsd").solution
    gate.film.linear.weight.copy_(found[:-1].T)
    gate.film.linear.bias.copy_(found[-1])


def test_a_modulated_linear_vae_can_answer_exactly_for_every_beta_at_once():
    torch.manual_seed(0)
    dimensions, d, sigma2 = 6, 2, 0.5
    root = torch.randn(dimensions, dimensions, dtype=torch.float64)
    values, axes = (x.flip(-1) for x in torch.linalg.eigh(root @ root.T + torch.eye(dimensions)))
    betas = [0.01 * 1000 ** (k / (WIDTH - 2)) for k in range(WIDTH - 1)]
    betas = [min(b, 0.9 * values[d - 1].item() / sigma2) for b in betas]
    betas = sorted(set(betas))
    assert len(betas) >= 5
    encoder, decoder, dial = linear_vae(axes, values, d, sigma2, betas)
    unit = torch.eye(dimensions, dtype=torch.float64).view(-1, 1, 1, dimensions)
    for beta in betas:
        dial.beta = beta
        bias = encoder(torch.zeros(1, 1, 1, dimensions, dtype=torch.float64))
        matrix = (encoder(unit) - bias)[:, :d].T  # (d, dimensions)
        variance = bias[0, d:].exp()
        origin = decoder(torch.zeros(1, d, dtype=torch.float64))
        weights = (decoder(torch.eye(d, dtype=torch.float64)) - origin).view(d, -1).T
        covariance = axes @ values.diag() @ axes.T
        left = torch.eye(dimensions, dtype=torch.float64) - weights @ matrix
        error = (left @ covariance @ left.T).trace() + (weights.square().sum(0) * variance).sum()
        distortion = 0.5 * dimensions * math.log(2 * math.pi * sigma2) + error / (2 * sigma2)
        spread = (matrix @ covariance @ matrix.T).diag() + variance
        rate = 0.5 * (spread - 1 - variance.log()).sum()
        wanted = closed_form(values, d, sigma2, beta, dimensions)
        assert (distortion + beta * rate).item() == pytest.approx(wanted.item(), abs=1e-8)
