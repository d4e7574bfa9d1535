"""The published VAE-GAN's three networks, for images of any size."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from torch import nn

from latentia.core.errors import Error
from latentia.nets.conv import ConvDecoder, ConvEncoder
from latentia.nets.critic import Critic

CHANNELS = (32, 64, 128, 256, 512)  # five halvings: 256x256 to 8x8
LEAST = 16  # below, a convolution sees 1x1, where PyTorch 2.13's bfloat16 gradient is not finite
UP = (256, 128, 64, 32, 32)
SLOPE = 0.01  # PyTorch's default, in encoder and decoder; the critic has 0.2

# The critic judges batches of all three kinds, never an image alone: running statistics would
# serve nobody, and be moved by the VAE's turn.
OF_THE_BATCH = partial(nn.BatchNorm2d, track_running_stats=False)


class VAEGANNets(NamedTuple):
    encoder: ConvEncoder
    decoder: ConvDecoder
    critic: Critic


def vaegan_nets(shape: Sequence[int], latent: int) -> VAEGANNets:
    """At 1x256x256 and latent 128: 1,569,984 + 8,388,864, 5,804,833 and 1,602,753 parameters."""
    h, w = shape[1:]
    if min(h, w) <= LEAST:
        raise Error(
            f"Images of {h}x{w} are too small for this VAE-GAN, which halves them five times; "
            f"give --size {LEAST + 1} or more."
        )
    norm = nn.BatchNorm2d
    return VAEGANNets(
        ConvEncoder(shape, latent, CHANNELS, slope=SLOPE, norm=norm),
        ConvDecoder(latent, shape, CHANNELS, UP, slope=SLOPE, norm=norm),
        Critic(shape, CHANNELS, slope=0.2, norm=OF_THE_BATCH),
    )
