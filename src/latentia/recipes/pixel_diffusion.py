"""Diffusion of pixels, without an autoencoder."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge

from latentia.core.errors import Error
from latentia.core.schedules import cosine
from latentia.data import open_images
from latentia.diffusion.path import PATHS
from latentia.models.latent_diffusion import LatentDiffusion
from latentia.nets.conditioning import LabelCondition
from latentia.nets.image_unet import ImageUNet
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types

MAX_SIDE = 64  # pixels


@recipe
def pixel_diffusion(
    data: types.Data = "mnist",
    size: types.Size = None,
    channels: types.Channels = None,
    cond: str | None = None,
    path: types.PathName = "linear",
    guidance: Annotated[float, Ge(0)] = 1.0,
    width: Annotated[int, Ge(8)] = 64,
    depth: Annotated[int, Ge(1)] = 2,
    average: types.Average = 500_000.0,
    lr: types.LearningRate = 1e-3,
    batch: types.BatchSize = 128,
    epochs: types.Epochs = 30,
) -> Plan:
    """Diffusion of the pixels of images of up to 64x64, without an autoencoder.

    Flow matching (Lipman et al. 2023, arXiv 2210.02747) or noise prediction (Ho et al. 2020,
    arXiv 2006.11239) with a U-Net. It draws images, and has no latents of an image: for
    coordinates train a VAE.
    Expect, for MNIST with labels after 16 epochs and 75 minutes of a core: Fréchet distance 1.8
    (95 % interval 1.2 to 2.4; real images 0.8; n = 1 run): docs/benchmarks/prior.md.

    Parameters
    ----------
    cond : COLUMN
        label column whose classes are the condition, such as label
    guidance
        strength of classifier-free guidance in samples with --cond, at least 0; 1 is the model as
        trained
    width
        channels of the largest maps, at least 8
    depth
        residual blocks at each size of the maps
    """
    images = open_images(data, size=size, channels=channels)
    _check_size(images.shape)
    if guidance != 1 and not cond:
        raise Error(f"--guidance {guidance:g} needs a condition; give --cond COLUMN, or leave it.")
    net = ImageUNet(images.shape, _choose_channels(images.shape, width), depth)
    classes = len(images.get_class_names(cond)) if cond else 0
    condition = LabelCondition(classes, net.width) if classes else None
    model = LatentDiffusion(None, net, PATHS[path](), condition, cond, guidance=guidance)
    adam = Adam(lr, schedule=cosine(warmup=0.02))
    return Plan(model, images, {"denoiser": adam}, batch, epochs, average=average)


def _check_size(shape: Sequence[int]) -> None:
    if max(shape[1:]) > MAX_SIDE:
        size = "x".join(map(str, shape[1:]))
        raise Error(
            f"The images are {size}; pixel_diffusion draws at most {MAX_SIDE}x{MAX_SIDE}: give "
            f"--size {MAX_SIDE}, or learn a prior of an autoencoder's latents (latent_prior)."
        )


def _choose_channels(shape: Sequence[int], width: int) -> list[int]:
    """Halve until the maps have at most 8 positions a side; the channels double once."""
    sides = [max(shape[1:])]
    while sides[-1] > 8:
        sides.append((sides[-1] + 1) // 2)
    return [width, *[2 * width] * max(1, len(sides) - 2)]
