"""SYSTEMS 6: the VAE of speckle from a multimode fibre, whose latents `speckle_ldm` draws."""

import math
from typing import Annotated, Literal

from annotated_types import Gt
from typing_extensions import Doc

from latentia.core.schedules import constant, cosine
from latentia.data import open_images
from latentia.losses.likelihoods import Gaussian
from latentia.models.vae import VAE
from latentia.nets.speckle import SpeckleDecoder, SpeckleEncoder
from latentia.training.optimizers import Adam
from latentia.training.parameter_types import (
    BatchSize,
    Beta,
    Channels,
    Data,
    Epochs,
    Latent,
    LearningRate,
    Size,
)
from latentia.training.plan import Plan
from latentia.training.registries import recipe


@recipe
def speckle_vae(
    data: Data = "speckle",
    size: Size = 96,
    channels: Channels = 1,
    latent: Latent = 512,
    sigma: Annotated[
        Literal["optimal", "published"],
        Doc("standard deviation of a pixel: the error, or 1/sqrt(2)"),
    ] = "optimal",
    beta: Beta = 1.0,
    clip: Annotated[float, Gt(0), Doc("largest norm of the gradient, nats per image")] = 1e5,
    lr: LearningRate = 1e-4,
    batch: BatchSize = 32,
    epochs: Epochs = 40,
) -> Plan:
    """The speckle VAE; at 96x96 and latent 512 39,289,281 parameters.

    Published: squared error + beta KL, with beta tuned by hand. Summed over pixels that is a
    Gaussian of sigma^2 1/2: `--sigma published --beta B`; where the error was averaged over 9,216
    pixels, B is 9,216 times the beta written there. Its optimum is also that of beta 1 with
    sigma^2 = B / 2. Here sigma^2 is the mean squared error as it falls (Rybkin et al. 2021): beta
    1 is then the ELBO, and the trade that was tuned by hand follows from the data.
    """
    images = open_images(data, size=size, channels=channels)
    model = VAE(
        encoder=SpeckleEncoder(images.shape, latent),
        decoder=SpeckleDecoder(latent, images.shape),
        likelihood=Gaussian("optimal" if sigma == "optimal" else math.sqrt(0.5)),
        beta=constant(beta),
    )
    adam = Adam(lr, clip=clip, schedule=cosine(warmup=0.02, end=0.1))
    return Plan(model, images, optim={"vae": adam}, batch=batch, epochs=epochs)
