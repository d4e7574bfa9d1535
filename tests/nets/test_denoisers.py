"""Denoisers and conditions: one interface, rows that know nothing of one another."""

import pytest
import torch
from torch import nn

from latentia.core.errors import Error
from latentia.nets.conditioning import ImageCondition, LabelCondition
from latentia.nets.denoiser import ConvDenoiser, MLPDenoiser, TimeEmbedding, sinusoidal_embedding
from latentia.nets.film import FiLM
from latentia.nets.image_unet import ImageUNet
from latentia.nets.unet import VectorUNet

B = 5
WIDTH = 16
PATTERN = (2, 9, 7)
DENOISERS = {
    "unet": lambda: VectorUNet((24,), WIDTH, (4, 6, 8, 16)),
    "shallow unet": lambda: VectorUNet((24,), WIDTH, (4, 200)),
    "mlp": lambda: MLPDenoiser((24,), WIDTH, depth=2),
    "conv": lambda: ConvDenoiser((3, 5, 4), WIDTH, channels=8, depth=2),
    "image unet": lambda: ImageUNet((3, 11, 6), (4, 8, 8), depth=1, width=WIDTH),
}
CONDITIONS = {
    "label": lambda: (LabelCondition(4, WIDTH), torch.arange(B) % 4, (torch.arange(B) + 1) % 4),
    "pattern": lambda: (
        ImageCondition(PATTERN, WIDTH, (4, 8)),
        torch.rand(B, *PATTERN),
        torch.rand(B, *PATTERN),
    ),
}
EVERY = pytest.mark.parametrize("name", DENOISERS)
EACH = pytest.mark.parametrize("kind", CONDITIONS)


def awake(net: nn.Module) -> nn.Module:
    """Away from the zeros that it starts at, in float64."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.double()


def inputs(net):
    torch.manual_seed(1)
    made = torch.randn(B, *net.latent_shape), torch.rand(B), torch.randn(B, net.width)
    return [each.to(next(net.parameters())) for each in made]


def changed(before, after):
    """Rows that differ: another order of sums makes 1e-14, another input at least 4e-4."""
    return ((before - after).abs().flatten(1).max(1).values > 1e-8).tolist()


def test_the_published_unet_has_its_lengths_and_parameters():
    net = VectorUNet((512,))
    assert sum(p.numel() for p in net.parameters()) == 5_918_913
    assert "5,918,913 parameters" in " ".join(str(VectorUNet.__doc__).split())
    assert net.places is not None
    assert net.places.numel() == 32_768
    seen = []
    blocks = [*net.blocks, net.bottom, *net.merges]
    for block in blocks:
        block.register_forward_hook(
            lambda _, given, out: seen.append((*given[0].shape, *out.shape))
        )
    assert net(*inputs(net)).shape == (B, 512)
    expected = [(1, 64, 512), (64, 128, 256), (128, 256, 128), (256, 512, 64)]
    expected += [(512 + 256, 256, 128), (256 + 128, 128, 256), (128 + 64, 64, 512)]
    assert seen == [(B, before, length, B, after, length) for before, after, length in expected]


@EVERY
def test_a_prediction_has_the_latents_shape_and_is_zero_at_first(name):
    net = DENOISERS[name]()
    z, t, condition = inputs(net)
    for out in (net(z, t, condition), net(z, t, None)):
        assert out.shape == z.shape
        assert not out.any()


@EVERY
def test_latents_time_and_condition_matter(name):
    net = awake(DENOISERS[name]())
    z, t, condition = inputs(net)
    out = net(z, t, condition)
    for other in (net(z + 1, t, condition), net(z, 1 - t, condition), net(z, t, condition + 1)):
        assert all(changed(out, other))
    assert all(changed(out, net(z, t, None)))


@EVERY
def test_rows_know_nothing_of_one_another(name):
    net = awake(DENOISERS[name]())
    z, t, condition = inputs(net)
    alone = [net(z[k : k + 1], t[k : k + 1], condition[k : k + 1]) for k in range(B)]
    torch.testing.assert_close(net(z, t, condition), torch.cat(alone))


@EVERY
def test_under_bfloat16_values_and_gradients_are_finite(name):
    net = awake(DENOISERS[name]()).float().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(*inputs(net))
    out.float().square().sum().backward()
    assert out.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@EVERY
def test_every_parameter_learns(name):
    net = awake(DENOISERS[name]())
    net(*inputs(net)).square().sum().backward()
    still = [k for k, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@EVERY
@EACH
def test_a_condition_is_dropped_for_one_image_at_a_time(name, kind):
    """What stands in a dropped row changes nothing; what stands in a kept one, its row.

    Pitfall: Condition dropped for a whole batch.
    """
    net, (encode, cond, other) = awake(DENOISERS[name]()), CONDITIONS[kind]()
    z, t, _ = inputs(net)
    kept = torch.tensor([True, False, True, True, False])
    out = net(z, t, encode(cond, kept))
    for row in range(B):
        given = cond.clone()
        given[row] = other[row]
        expected = [k == row and bool(kept[row]) for k in range(B)]
        assert changed(out, net(z, t, encode(given, kept))) == expected


@EACH
def test_empty_stands_where_a_condition_is_dropped_and_learns(kind):
    encode, cond, _ = CONDITIONS[kind]()
    assert encode(cond).shape == (B, WIDTH)
    kept = torch.tensor([True, False, True, True, False])
    vectors = encode(cond, kept)
    torch.testing.assert_close(vectors[kept], encode(cond)[kept])
    assert torch.equal(vectors[~kept], encode.empty_vectors(2))
    vectors.sum().backward()
    assert torch.equal(encode.empty.grad, torch.full((WIDTH,), 2.0))
    encode.zero_grad()
    encode(cond).sum().backward()
    assert encode.empty.grad is None


def test_a_pattern_moved_is_another_pattern():
    encode = ImageCondition((1, 28, 28), WIDTH, (4, 8))
    spot = torch.zeros(2, 1, 28, 28)
    spot[0, 0, 8:12, 8:12] = spot[1, 0, 16:20, 16:20] = 1
    here, there = encode(spot)
    assert (here - there).abs().max() > 0.1 * here.abs().max()


def test_film_is_the_identity_at_first_then_scales_and_shifts():
    film, x, vector = FiLM(WIDTH, 3), torch.randn(B, 3, 4, 2), torch.randn(B, WIDTH)
    assert torch.equal(film(x, vector), x)
    with torch.no_grad():
        film.linear.bias.copy_(torch.tensor([1.0, 0.0, -1.0, 5.0, 6.0, 7.0]))
    expected = torch.stack([2 * x[:, 0] + 5, x[:, 1] + 6, torch.full_like(x[:, 2], 7.0)], dim=1)
    torch.testing.assert_close(film(x, vector), expected)


def test_sinusoids_tell_times_apart_that_a_thousandth_parts():
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    embedded = sinusoidal_embedding(t, 64)
    assert (embedded[1:] - embedded[:-1]).norm(dim=1).min() > 0.5
    torch.testing.assert_close(embedded.square().sum(1), torch.full_like(t, 32))
    torch.testing.assert_close(embedded[0], torch.tensor([1.0] * 32 + [0.0] * 32).double())


def test_widths_that_no_wave_pair_fills_and_vectors_that_cannot_be_halved():
    with pytest.raises(Error) as error:
        TimeEmbedding(7)
    assert str(error.value) == "The width of a time embedding is 7; give an even width."
    with pytest.raises(Error) as error:
        VectorUNet((30,))
    assert str(error.value) == (
        "A vector of 30 latents cannot be halved 3 times; give a --latent divisible by 8, such as"
        " 32."
    )


def test_a_pattern_of_another_shape_is_refused():
    encode = ImageCondition((1, 28, 28), WIDTH, (4, 8))
    with pytest.raises(Error) as error:
        encode(torch.rand(1, 1, 32, 28))
    assert str(error.value) == ("The condition is 1x32x28; this network takes 1x28x28: resize it.")


@pytest.mark.parametrize("make", [VectorUNet, MLPDenoiser])
def test_maps_are_refused_by_denoisers_of_vectors(make):
    with pytest.raises(Error) as caught:
        make((3, 4, 6), WIDTH)
    assert str(caught.value) == (
        "This denoiser takes latents that are vectors, and these are maps of 3x4x6; use the "
        "recipe latent_prior, or give a run whose latents are vectors."
    )
