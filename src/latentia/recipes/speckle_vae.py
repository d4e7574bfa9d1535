"""VAE of speckle from a multimode fibre; `speckle_ldm` samples its latents."""

import math
from typing import Annotated, Literal

from annotated_types import Gt

from latentia.core.schedules import constant, cosine
from latentia.data import open_images
from latentia.losses.likelihoods import Gaussian
from latentia.models.vae import VAE
from latentia.nets.speckle import SpeckleDecoder, SpeckleEncoder
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


@recipe
def speckle_vae(
    data: types.Data = "speckle",
    size: types.Size = 96,
    channels: types.Channels = 1,
    latent: types.Latent = 512,
    sigma: Literal["optimal", "published"] = "optimal",
    beta: types.Beta = 1.0,
    clip: Annotated[float, Gt(0)] = 1e5,
    lr: types.LearningRate = 1e-4,
    batch: types.BatchSize = 32,
    epochs: types.Epochs = 40,
) -> Plan:
    """VAE of speckle from a multimode fibre; 39,289,281 parameters at 96x96 and latent 512.

    Kingma & Welling 2014, with sigma^2 equal to the mean squared error (Rybkin et al. 2021, arXiv
    2006.13202), so that beta 1 is the ELBO and no beta is tuned by hand. The published loss is the
    squared error + B KL: summed over pixels that is sigma^2 = 1/2, `--sigma published --beta B`,
    whose optimum is also that of beta 1 with sigma^2 = B / 2. If the published error is a mean over
    9,216 pixels, multiply its beta by 9,216.

    Parameters
    ----------
    sigma
        standard deviation of a pixel: the root mean squared error, or 1/sqrt(2)
    clip
        largest norm of the gradient, nats per image
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
