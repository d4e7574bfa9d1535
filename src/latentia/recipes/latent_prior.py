"""Latent diffusion: a learned prior over the latents of a VAE, a VAE-GAN or an AutoencoderKL."""

from typing import Annotated

from annotated_types import Ge

from latentia.core.errors import Error
from latentia.core.schedules import cosine
from latentia.data import Images, open_images
from latentia.diffusion.path import PATHS
from latentia.models.latent_diffusion import CLUSTER_COLUMN, LatentDiffusion
from latentia.nets.conditioning import LabelCondition
from latentia.nets.denoiser import ConvDenoiser, MLPDenoiser
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


@recipe
def latent_prior(
    data: types.Data = None,
    autoencoder: types.Autoencoder = None,
    size: int | str | None = None,
    cond: str | None = None,
    path: types.PathName = "linear",
    clusters: Annotated[int, Ge(0)] = 64,
    guidance: Annotated[float | None, Ge(0)] = None,
    width: Annotated[int, Ge(8)] = 512,
    depth: Annotated[int, Ge(1)] = 4,
    average: types.Average = 500_000.0,
    lr: types.LearningRate = 1e-3,
    batch: types.BatchSize = 512,
    epochs: types.Epochs = 30,
) -> Plan:
    """Latent diffusion (Rombach et al. 2022) with classifier-free guidance (Ho & Salimans 2022).

    Flow matching (Lipman et al. 2023, arXiv 2210.02747) or noise prediction (Ho et al. 2020,
    arXiv 2006.11239). For 16 latent dimensions 4.8 million parameters.
    Expect, over mnist_conv_vae (3 seeds): Fréchet distance 5.8 to 7.4, by label 4.0 to 4.4; of
    N(0, I) 102, of the posteriors of held-out images 8.2: docs/benchmarks/prior.md.

    Parameters
    ----------
    size : SIZE
        height and width in pixels, 64 or 64x48, of images for --autoencoder diffusers:DIR
    cond : COLUMN
        label column whose classes are the condition, such as label
    clusters
        number of groups of similar latents that are the condition if --cond is not given
    guidance
        strength of classifier-free guidance, at least 0; by default 1.25, or 1.5 with --cond
    width
        width of the denoiser's layers, at least 8
    depth
        number of residual blocks of the denoiser
    """
    images, shape = open_images(data), autoencoder.latent_shape
    classes = count_classes(images, cond, clusters)
    if guidance is None:
        guidance = 1.5 if cond else 1.25
    elif not classes:
        raise Error(f"--guidance {guidance:g} needs a condition; give --cond or --clusters.")
    denoiser = (ConvDenoiser if len(shape) > 1 else MLPDenoiser)(shape, width=width, depth=depth)
    condition = LabelCondition(classes, denoiser.width) if classes else None
    column = cond or (CLUSTER_COLUMN if classes else None)
    parts = autoencoder, denoiser, PATHS[path](), condition, column
    model = LatentDiffusion(*parts, guidance=guidance)
    adam = Adam(lr, schedule=cosine(warmup=0.02))
    return Plan(model, images, {"denoiser": adam}, batch, epochs, average=average)


def count_classes(images: Images, column: str | None, clusters: int) -> int:
    """Number of classes of the condition: labels, or else groups of 20 latents or more; 0: none."""
    if column:
        return len(images.get_class_names(column))
    limit = images.to_metadata()["count"]["train"] // 20
    if clusters > limit:
        text = f"{limit} groups of latents as its condition, not {clusters}"
        text = text if limit > 1 else "no condition"
        images.notes.append(f"The prior has {text}: a group has at least 20 images.")
        clusters = limit
    return clusters if clusters > 1 else 0
