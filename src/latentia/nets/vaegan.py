"""The published VAE-GAN's three networks, for images of any size."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from torch import nn

from latentia.core.errors import Error
from latentia.nets.conv import ConvDecoder, ConvEncoder, Norm, halvings
from latentia.nets.critic import Critic
from latentia.nets.initialization import he

CHANNELS = (32, 64, 128, 256, 512)  # five halvings: 256x256 to 8x8
UP = (256, 128, 64, 32, 32)
BOTTOM = 8  # pixels of the smallest map, or fewer: a map of 2x2 hardly tells where a thing is
LEAST = BOTTOM + 1
SLOPE = 0.01  # PyTorch's default, in encoder and decoder; the critic has 0.2

# The critic as published judges batches of all three kinds, never an image alone: running
# statistics would serve nobody, and be moved by the VAE's turn.
OF_THE_BATCH = partial(nn.BatchNorm2d, track_running_stats=False)


class VAEGANNets(NamedTuple):
    encoder: ConvEncoder
    decoder: ConvDecoder
    critic: Critic


def vaegan_nets(
    shape: Sequence[int], latent: int, judging: Norm | None = OF_THE_BATCH
) -> VAEGANNets:
    """At 1x256x256 and latent 128: 1,569,984 + 8,388,864, 5,804,833 and 1,602,753 parameters.

    Smaller images are halved less often: until the shorter side has 8 pixels or fewer;
    larger ones five times, too.
    judging: the critic's norm; None: without, in He's initialisation.
    """
    h, w = shape[1:]
    if min(h, w) < LEAST:
        raise Error(
            f"Images of {h}x{w} are too small for this VAE-GAN, which halves them until their "
            f"shorter side has {BOTTOM} pixels or fewer; give --size {LEAST} or more."
        )
    depth = sum(min(size) > BOTTOM for size in halvings((h, w), len(CHANNELS) - 1))
    channels, up = CHANNELS[:depth], UP[-depth:]
    norm = nn.BatchNorm2d
    critic = Critic(shape, channels, slope=0.2, norm=judging)
    return VAEGANNets(
        ConvEncoder(shape, latent, channels, slope=SLOPE, norm=norm),
        ConvDecoder(latent, shape, channels, up, slope=SLOPE, norm=norm),
        critic if judging else he(critic, 0.2),
    )
