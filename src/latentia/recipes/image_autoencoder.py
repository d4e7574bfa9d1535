"""Autoencoder of latent diffusion: its latents are small images."""

from math import gcd
from typing import Annotated, Literal

from annotated_types import Ge

from latentia.core.gaussian import DiagonalGaussian
from latentia.core.schedules import constant, cosine, ramp_from
from latentia.data import open_images
from latentia.losses.likelihoods import SymmetricGaussian
from latentia.models.fsq import quantize
from latentia.models.vaegan import VAEGAN, PublishedObjective
from latentia.nets.autoencoder import Architecture, Decoder, Encoder
from latentia.nets.critic import PatchCritic
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types

WIDTH_FACTORS = {4: (1, 2, 4), 8: (1, 2, 4, 4)}  # of the stages, by --factor


@recipe
def image_autoencoder(
    data: types.Data = "vehicles",
    size: types.Size = 64,
    channels: types.Channels = None,
    factor: Literal[4, 8] = 8,
    latent: Annotated[int, Ge(1)] = 4,
    width: Annotated[int, Ge(2)] = 32,
    layers: Annotated[int, Ge(1)] = 1,
    quantizer: Literal["none", "fsq"] = "none",
    beta: types.Beta = 1.0,
    adversarial_weight: Annotated[float, Ge(0)] = 0.5,
    feature_weight: types.FeatureWeight = 0.5,
    adversary_from: types.AdversaryFrom = 0.5,
    average: types.Average = 20_000.0,
    lr: types.LearningRate = 3e-4,
    batch: types.BatchSize = 32,
    epochs: types.Epochs = 20,
) -> Plan:
    """Autoencoder of latent diffusion: its latents are images (latent, h / factor, w / factor).

    Rombach et al. 2022, arXiv 2112.10752, with the networks of diffusers' AutoencoderKL: Gaussian
    reconstruction with a learned sigma, beta KL, a critic of patches and feature matching, the two
    weighted by their gradients at the decoder's output. For grey images 3,883,142 parameters, and
    166,113 in the critic. With --quantizer fsq (Mentzer et al. 2023, arXiv 2309.15505) the rate is
    constant, and --beta has no effect.

    Parameters
    ----------
    factor
        height of images divided by that of their latents
    latent
        number of channels of the latents, at least 1
    width
        number of channels of the first stage and of the critic, at least 2
    layers
        number of residual blocks in each stage, at least 1
    quantizer
        fsq: latents are codes, of 8x5x5x5 values with 4 channels
    adversarial_weight
        norm of the adversarial gradient, as a fraction of the distortion's, at least 0
    """
    images = open_images(data, size=size, channels=channels)
    widths, shape = tuple(k * width for k in WIDTH_FACTORS[factor]), images.shape
    architecture = Architecture(widths, latent, layers, gcd(32, width))
    critic = PatchCritic(shape, (width, 2 * width, 4 * width))
    encoder, decoder = Encoder(shape, architecture), Decoder(shape, architecture)
    posterior, likelihood = DiagonalGaussian.from_heads, SymmetricGaussian("learned")
    if quantizer == "fsq":
        posterior, decoder = quantize(decoder, latent)
    ratio, matching = (ramp_from(adversary_from, w) for w in (adversarial_weight, feature_weight))
    objective = PublishedObjective(ratio, matching, reconstruction_weight=1.0)
    model = VAEGAN(encoder, decoder, likelihood, critic, objective, constant(beta), posterior)
    adam = {"critic": Adam(lr, betas=(0.5, 0.9)), "vae": Adam(lr, schedule=cosine(warmup=0.02))}
    return Plan(model, images, adam, batch, epochs, average)
