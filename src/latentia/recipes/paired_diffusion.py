"""Conditional latent diffusion of an image, given another one: pairs of any kind."""

from typing import Annotated

from annotated_types import Ge

from latentia.core.schedules import cosine
from latentia.data import open_images
from latentia.diffusion.path import PATHS
from latentia.models.latent_diffusion import LatentDiffusion
from latentia.nets.conditioning import ImageCondition
from latentia.nets.denoiser import ConvDenoiser, MLPDenoiser
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


@recipe
def paired_diffusion(
    data: types.Data = None,
    autoencoder: types.Autoencoder = None,
    cond: str = "input",
    path: types.PathName = "linear",
    guidance: Annotated[float, Ge(0)] = 1.0,
    width: Annotated[int, Ge(8)] = 512,
    depth: Annotated[int, Ge(1)] = 4,
    average: types.Average = 20_000.0,
    lr: types.LearningRate = 1e-3,
    batch: types.BatchSize = 128,
    epochs: types.Epochs = 30,
) -> Plan:
    """Latent diffusion of an image given its partner, such as a clean image given a noisy one.

    Flow matching (Lipman et al. 2023, arXiv 2210.02747) in the latents of a VAE that was trained on
    --data pairs:INPUT:TARGET, whose images are the targets. Convolutions encode the input (Rombach
    et al. 2022). Several draws for one input differ where it leaves the target open.

    Parameters
    ----------
    cond : COLUMN
        column of images to draw from
    guidance
        strength of guidance; 1: as trained
    width
        width of the denoiser's layers, at least 8
    depth
        number of residual blocks of the denoiser
    """
    images, shape = open_images(data), autoencoder.latent_shape
    input_shape = images.get_column_shape(cond)  # fails first if the images have no partners
    denoiser = (ConvDenoiser if len(shape) > 1 else MLPDenoiser)(shape, width=width, depth=depth)
    condition = ImageCondition(input_shape, denoiser.width)
    parts = autoencoder, denoiser, PATHS[path](), condition, cond
    model = LatentDiffusion(*parts, guidance=guidance)
    adam = Adam(lr, schedule=cosine(warmup=0.02))
    return Plan(model, images, {"denoiser": adam}, batch, epochs, average=average)
