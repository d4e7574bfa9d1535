"""The speckle VAE: published stages and counts, and any size."""

import pytest
import torch

from latentia.nets.speckle import SpeckleDecoder, SpeckleEncoder

TOY = (4, 8, 8, 16)
STAGES = [(64, 48), (128, 24), (256, 12), (512, 6)]


def count(net):
    return sum(p.numel() for p in net.parameters())


def sizes(net, x):
    """The shape behind each stage, without the batch."""
    found = []
    for stage in net.stages:
        x = stage(x)
        found.append(tuple(x.shape[1:]))
    return found


def test_stages_and_parameters_are_the_published_ones():
    encoder, decoder = SpeckleEncoder((1, 96, 96), 512), SpeckleDecoder(512, (1, 96, 96))
    shapes = [(channels, side, side) for channels, side in STAGES]
    assert sizes(encoder, torch.zeros(1, 1, 96, 96)) == [*shapes, shapes[-1]]  # the last is SiLU's
    assert (encoder.heads.in_features, encoder.heads.out_features) == (18_432, 2 * 512)
    assert (decoder.expand.in_features, decoder.expand.out_features) == (512, 18_432)
    back = [(256, 12, 12), (128, 24, 24), (64, 48, 48), (64, 96, 96)]
    assert sizes(decoder, torch.zeros(1, 512, 6, 6)) == [*back, back[-1]]
    for net, parameters in ((encoder, 21_975_744), (decoder, 17_313_537)):
        assert count(net) == parameters
        assert f"{parameters:,} parameters" in " ".join(str(type(net).__doc__).split())


@pytest.mark.parametrize("shape", [(1, 96, 96), (3, 33, 70), (2, 17, 48), (1, 9, 5), (1, 1, 1)])
@pytest.mark.parametrize("channels", [TOY, (4, 6)])
def test_any_size_comes_back_exactly(shape, channels):
    encoder, decoder = SpeckleEncoder(shape, 3, channels), SpeckleDecoder(3, shape, channels)
    assert encoder(torch.zeros(2, *shape)).shape == (2, 6)
    assert decoder(torch.zeros(2, 3)).shape == (2, *shape)


def test_an_image_is_coded_by_itself():
    """A norm over the batch mixes images (pitfall: BatchNorm in a discriminator)."""
    encoder, decoder = SpeckleEncoder((1, 20, 20), 3, TOY), SpeckleDecoder(3, (1, 20, 20), TOY)
    images, z = torch.rand(4, 1, 20, 20), torch.randn(4, 3)
    for net, x in ((encoder, images), (decoder, z)):
        alone = torch.cat([net(x[k : k + 1]) for k in range(4)])
        torch.testing.assert_close(net(x), alone, atol=1e-5, rtol=1e-5)


def test_brightness_passes_beside_the_norms():
    """Were the trunk normalised, an image and its half would have the same code."""
    torch.manual_seed(0)
    encoder = SpeckleEncoder((1, 32, 32), 3, TOY)
    image = torch.rand(1, 1, 32, 32)
    full, half = encoder(image), encoder(image / 2)
    assert (full - half).abs().max() > 0.1 * full.abs().max()
