"""Published parameter counts and shapes, and images of any size."""

import math

import pytest
import torch

from latentia.nets.conv import ConvDecoder, ConvEncoder, halving_sizes
from latentia.nets.mlp import MLPDecoder, MLPEncoder

MNIST = (1, 28, 28)


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_mnist_mlp_vae_has_the_published_parameters():
    assert count(MLPEncoder(MNIST, 20), MLPDecoder(20, MNIST)) == 652_824


def test_mnist_conv_vae_has_the_published_parameters_and_stages():
    encoder = ConvEncoder(MNIST, 16, channels=(32, 64), hidden=(128,))
    decoder = ConvDecoder(16, MNIST, channels=(32, 64))
    assert count(encoder) == 424_480
    assert count(decoder) == 108_993
    assert encoder.blocks(torch.zeros(2, *MNIST)).shape == (2, 64, 7, 7)
    assert decoder.bottom_shape == (64, 7, 7)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 48), (5, 40, 56), (2, 33, 7), (1, 1, 1)])
@pytest.mark.parametrize("channels", [(4, 8), (4, 8, 8)])
def test_decoder_returns_to_the_exact_size(shape, channels):
    encoder, decoder = ConvEncoder(shape, 6, channels), ConvDecoder(6, shape, channels)
    assert encoder(torch.zeros(2, *shape)).shape == (2, 12)
    assert decoder(torch.zeros(2, 6)).shape == (2, *shape)
    h, w = halving_sizes(shape[1:], len(channels))[-1]
    assert encoder.blocks(torch.zeros(1, *shape)).numel() == channels[-1] * h * w


def test_mlp_takes_any_shape():
    encoder, decoder = MLPEncoder((3, 4, 5), 7, (9, 8)), MLPDecoder(7, (3, 4, 5), (9,))
    out = decoder(encoder(torch.zeros(2, 3, 4, 5))[:, :7])
    assert out.shape == (2, 3, 4, 5)
    assert count(decoder) == 7 * 9 + 9 + 9 * math.prod((3, 4, 5)) + 60
