"""Networks whose latents are maps: sizes that fit, and errors for those that do not."""

import pytest
import torch

from latentia.core.errors import Error
from latentia.nets.autoencoder import Architecture, Decoder, Encoder


def test_the_published_size_has_the_published_parameters():
    """Of Stable Diffusion's autoencoder, factor 8: 83,653,863."""
    plan, shape = Architecture((128, 256, 512, 512), latent_channels=4), (3, 64, 64)
    with torch.device("meta"):
        nets = Encoder(shape, plan), Decoder(shape, plan)
    assert sum(p.numel() for net in nets for p in net.parameters()) == 83_653_863


@pytest.mark.parametrize("widths", [(4,), (4, 8), (4, 4, 8), (4, 8, 8, 8)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_latents_are_as_many_times_smaller_as_the_factor_says(widths, channels):
    plan = Architecture(widths, latent_channels=3, layers_per_block=1, norm_groups=4)
    shape = (channels, 2 * plan.factor, 3 * plan.factor)
    encoder, decoder = Encoder(shape, plan), Decoder(shape, plan)
    assert plan.factor == 2 ** (len(widths) - 1)
    assert encoder.latent_shape == (3, 2, 3)
    assert encoder(torch.rand(2, *shape)).shape == (2, 6, 2, 3)
    assert decoder(torch.randn(2, 3, 2, 3)).shape == (2, *shape)


def test_a_place_sees_every_other_through_attention_alone():
    """Without it a far corner cannot matter; with it, it does."""
    seen = {}
    for attention in (True, False):
        torch.manual_seed(0)
        plan = Architecture(
            (4,), latent_channels=1, layers_per_block=1, norm_groups=4, attention=attention
        )
        decoder = Decoder((1, 64, 64), plan).double()
        for norm in (m for m in decoder.modules() if isinstance(m, torch.nn.GroupNorm)):
            norm.forward = lambda x: x  # whole-image statistics are another way to see far
        z = torch.zeros(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(decoder(z)[0, 0, 0, 0], z)
        seen[attention] = gradient[0, 0, -1, -1].abs().item()
    assert seen[True] > 0
    assert seen[False] == 0


def test_a_size_that_the_factor_does_not_divide_is_named_with_the_nearest():
    plan = Architecture((4, 4, 8), latent_channels=3, norm_groups=4)
    with pytest.raises(Error) as caught:
        Encoder((1, 30, 64), plan)
    assert str(caught.value) == (
        "Images of 30x64 have no latents 4 times smaller: 4 must divide height and width; give "
        "--size 32x64."
    )
