"""The three networks of the published VAE-GAN, for images of any size."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from torch import nn

from latentia.core.errors import Error
from latentia.nets.conv import ConvDecoder, ConvEncoder, Norm, halving_sizes
from latentia.nets.critic import Critic
from latentia.nets.initialization import init_he

CHANNELS = (32, 64, 128, 256, 512)  # five halvings: 256x256 to 8x8
UP_CHANNELS = (256, 128, 64, 32, 32)
BOTTOM_SIZE = 8  # largest side of the smallest map; a map of 2x2 would hardly locate anything
MIN_SIZE = BOTTOM_SIZE + 1
SLOPE = 0.01  # PyTorch's default, in encoder and decoder; the critic has 0.2

# The published critic always sees batches of all three kinds, so that nothing would use running
# statistics, and the VAE's step would change them.
BATCH_STATISTICS_NORM = partial(nn.BatchNorm2d, track_running_stats=False)


class VAEGANNetworks(NamedTuple):
    encoder: ConvEncoder
    decoder: ConvDecoder
    critic: Critic


def make_vaegan_networks(
    shape: Sequence[int], latent: int, critic_norm: Norm | None = BATCH_STATISTICS_NORM
) -> VAEGANNetworks:
    """Build encoder, decoder and critic of the published VAE-GAN.

    Images are halved until their shorter side has 8 pixels or fewer, at most five times. At
    1x256x256 and latent 128 they have 1,569,984 + 8,388,864, 5,804,833 and 1,602,753 parameters.

    Parameters
    ----------
    critic_norm : the critic's norm; None means no norm, and He's initialisation
    """
    h, w = shape[1:]
    if min(h, w) < MIN_SIZE:
        raise Error(
            f"Images of {h}x{w} are too small for this VAE-GAN, which halves them until their "
            f"shorter side has {BOTTOM_SIZE} pixels or fewer; give --size {MIN_SIZE} or more."
        )
    depth = sum(min(size) > BOTTOM_SIZE for size in halving_sizes((h, w), len(CHANNELS) - 1))
    channels, up_channels = CHANNELS[:depth], UP_CHANNELS[-depth:]
    norm = nn.BatchNorm2d
    critic = Critic(shape, channels, slope=0.2, norm=critic_norm)
    return VAEGANNetworks(
        ConvEncoder(shape, latent, channels, slope=SLOPE, norm=norm),
        ConvDecoder(latent, shape, channels, up_channels, slope=SLOPE, norm=norm),
        critic if critic_norm else init_he(critic, 0.2),
    )
