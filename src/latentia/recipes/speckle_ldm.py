"""Conditional latent diffusion of speckle, given the pattern at the input of a multimode fibre."""

from typing import Annotated, Literal

from annotated_types import Ge

from latentia.core.schedules import cosine
from latentia.data import open_images
from latentia.diffusion.path import PATHS
from latentia.models.latent_diffusion import LatentDiffusion
from latentia.nets.conditioning import ImageCondition
from latentia.nets.denoiser import MLPDenoiser
from latentia.nets.unet import VectorUNet
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


@recipe
def speckle_ldm(
    data: types.Data = None,
    autoencoder: types.Autoencoder = None,
    path: types.PathName = "variance-preserving",
    denoiser: Literal["unet", "mlp"] = "unet",
    guidance: Annotated[float, Ge(0)] = 1.0,
    average: types.Average = 20_000.0,
    lr: types.LearningRate = 1e-4,
    batch: types.BatchSize = 64,
    epochs: types.Epochs = 40,
) -> Plan:
    """Latent diffusion of speckle, given the pattern at the input of a multimode fibre.

    Noise prediction (Ho et al. 2020, arXiv 2006.11239) on the variance-preserving path in the
    latents of `latentia train speckle_vae`. A 1-D U-Net of 5,918,913 parameters for 512 latent
    dimensions is modulated by FiLM (Perez et al. 2018) with the sum of two vectors: of the time and
    of the pattern.
    Expect, with --denoiser mlp --lr 5e-4: samples of test patterns correlate 0.964 with the true
    speckle, the mean speckle 0.765 (n = 500 patterns, 1 run): docs/benchmarks/speckle.md.

    Parameters
    ----------
    denoiser
        network of the denoiser; mlp is many times faster on a CPU
    guidance
        strength of classifier-free guidance in samples, at least 0; 1 is the model as trained
    """
    images = open_images(data)
    shape = images.get_column_shape("pattern")  # fails first if the images have no patterns
    net = (VectorUNet if denoiser == "unet" else MLPDenoiser)(autoencoder.latent_shape)
    condition = ImageCondition(shape, net.width)
    parts = autoencoder, net, PATHS[path](), condition, "pattern"
    model = LatentDiffusion(*parts, guidance=guidance)
    adam = Adam(lr, schedule=cosine(warmup=0.02))
    return Plan(model, images, {"denoiser": adam}, batch, epochs, average=average)
