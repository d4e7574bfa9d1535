"""An autoencoder of images whose latents are small images, for a learned prior or for diffusers."""

from math import gcd
from typing import Annotated, Literal

from annotated_types import Ge
from typing_extensions import Doc

from latentia.core.schedules import constant, cosine, ramp_from
from latentia.data import open_images
from latentia.losses.likelihoods import SymmetricGaussian
from latentia.models.vaegan import VAEGAN, PublishedObjective
from latentia.nets.autoencoder import Architecture, Decoder, Encoder
from latentia.nets.critic import PatchCritic
from latentia.training.optimizers import Adam
from latentia.training.parameter_types import (
    Average,
    BatchSize,
    Beta,
    Channels,
    Data,
    Epochs,
    Fraction,
    LearningRate,
    Size,
)
from latentia.training.plan import Plan
from latentia.training.registries import recipe

WIDTH_FACTORS = {4: (1, 2, 4), 8: (1, 2, 4, 4)}


@recipe
def image_autoencoder(
    data: Data = "vehicles",
    size: Size = 64,
    channels: Channels = None,
    factor: Annotated[Literal[4, 8], Doc("height of images divided by that of their latents")] = 8,
    latent: Annotated[int, Ge(1), Doc("number of channels of the latents, at least 1")] = 4,
    width: Annotated[
        int, Ge(2), Doc("number of channels of the first stage and of the critic, at least 2")
    ] = 32,
    layers: Annotated[int, Ge(1), Doc("number of residual blocks in each stage, at least 1")] = 1,
    beta: Beta = 1.0,
    adversarial_weight: Annotated[
        float, Ge(0), Doc("ratio of the adversarial term's gradient to the distortion's")
    ] = 0.5,
    feature_weight: Annotated[
        float, Ge(0), Doc("ratio of feature matching's gradient to the distortion's")
    ] = 0.5,
    adversary_from: Annotated[
        Fraction, Doc("fraction of the run, 0 to 1, after which the critic acts")
    ] = 0.5,
    average: Average = 20_000.0,
    lr: LearningRate = 3e-4,
    batch: BatchSize = 32,
    epochs: Epochs = 20,
) -> Plan:
    """An autoencoder whose latents are small images: (latent, h / factor, w / factor).

    Rombach et al. 2022, arXiv 2112.10752, in the networks of diffusers' AutoencoderKL, for any
    channels: reconstruction in nats with a learned sigma, beta KL, a critic of patches and its
    features, each weighted by its gradient at the decoder's output.
    """
    images = open_images(data, size=size, channels=channels)
    architecture = Architecture(
        tuple(k * width for k in WIDTH_FACTORS[factor]), latent, layers, gcd(32, width)
    )
    critic = PatchCritic(images.shape, (width, 2 * width, 4 * width))
    nets = (
        Encoder(images.shape, architecture),
        Decoder(images.shape, architecture),
        SymmetricGaussian("learned"),
        critic,
    )
    ratio, matching = (ramp_from(adversary_from, w) for w in (adversarial_weight, feature_weight))
    objective = PublishedObjective(ratio, matching, reconstruction_weight=1.0)
    model = VAEGAN(*nets, objective, constant(beta))
    adam = {"critic": Adam(lr, betas=(0.5, 0.9)), "vae": Adam(lr, schedule=cosine(warmup=0.02))}
    return Plan(model, images, adam, batch, epochs, average)
