"""A learned prior over the latents of any VAE or VAE-GAN run, or of an AutoencoderKL."""

from typing import Annotated

from annotated_types import Ge
from typing_extensions import Doc

from latentia.core.errors import Error
from latentia.core.schedules import cosine
from latentia.data import open_images
from latentia.diffusion.path import PATHS
from latentia.models.latent_diffusion import CLUSTER_COLUMN, LatentDiffusion, SamplingOptions
from latentia.nets.conditioning import LabelCondition
from latentia.nets.denoiser import ConvDenoiser, MLPDenoiser
from latentia.training.optimizers import Adam
from latentia.training.parameter_types import (
    Autoencoder,
    Average,
    BatchSize,
    Data,
    Epochs,
    LearningRate,
    Metavar,
    PathName,
)
from latentia.training.plan import Plan
from latentia.training.registries import recipe

SIZE = Doc("height and width in pixels, 64 or 64x48, of images for --autoencoder diffusers:DIR")
ImageSize = Annotated[int | str | None, Metavar("SIZE"), SIZE]
COLUMN = Doc("label column whose classes are the condition, such as label")
Column = Annotated[str | None, Metavar("COLUMN"), COLUMN]
CLUSTERS = Doc("number of groups of similar latents that are the condition if --cond is not given")
Clusters = Annotated[int, Ge(0), CLUSTERS]
GUIDANCE = Doc("weight of the condition in samples, at least 0; 1.25 by default, 1.5 with --cond")
Guidance = Annotated[float | None, Ge(0), GUIDANCE]


@recipe
def latent_prior(
    data: Data = None,
    autoencoder: Autoencoder = None,
    size: ImageSize = None,
    cond: Column = None,
    path: PathName = "linear",
    clusters: Clusters = 64,
    guidance: Guidance = None,
    width: Annotated[int, Ge(8), Doc("width of the denoiser's layers, at least 8")] = 512,
    depth: Annotated[int, Ge(1), Doc("number of residual blocks of the denoiser")] = 4,
    average: Average = 500_000.0,
    lr: LearningRate = 1e-3,
    batch: BatchSize = 512,
    epochs: Epochs = 30,
) -> Plan:
    """Diffusion in latent space: draws new latents, which the run's own decoder turns to images.

    Flow matching (Lipman et al. 2023, arXiv 2210.02747) or noise prediction (Ho et al. 2020), with
    classifier-free guidance. Expect, over mnist_conv_vae, 3 seeds: Fréchet distance 5.8 to 7.4, by
    label 4.0 to 4.4; N(0, I) 102, posteriors of held-out images 8.2: docs/prior.md.
    """
    images = open_images(data)
    max_clusters = images.to_metadata()["count"]["train"] // 20
    if clusters > max_clusters and not cond:
        images.notes.append(
            f"{max_clusters} groups of latents guide, not {clusters}: each has 20 images."
        )
    clusters = min(clusters, max_clusters)  # one tells nothing apart
    classes = len(images.get_class_names(cond)) if cond else clusters if clusters > 1 else 0
    if guidance is None:
        guidance = 1.5 if cond else 1.25
    elif not classes:
        raise Error(f"--guidance {guidance:g} needs what guides; give --cond or --clusters.")
    denoiser_class = ConvDenoiser if len(autoencoder.latent_shape) > 1 else MLPDenoiser
    denoiser = denoiser_class(autoencoder.latent_shape, width=width, depth=depth)
    condition = LabelCondition(classes, denoiser.width) if classes else None
    column, sampling_options = (
        cond or (CLUSTER_COLUMN if classes else None),
        SamplingOptions(guidance=guidance),
    )
    model = LatentDiffusion(
        autoencoder, denoiser, PATHS[path](), condition, column, sampling=sampling_options
    )
    adam = Adam(lr, schedule=cosine(warmup=0.02))
    return Plan(model, images, {"denoiser": adam}, batch, epochs, average=average)
