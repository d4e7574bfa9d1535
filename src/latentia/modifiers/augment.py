"""--augment: train on randomly transformed images; of an adversary, without drawing them so."""

from typing import Annotated

from annotated_types import Ge, Le

from latentia.core.errors import Error
from latentia.core.registries import modifier
from latentia.models.augmentation import TRANSFORMATIONS, Augmentation
from latentia.models.gan import GAN
from latentia.models.latent_diffusion import LatentDiffusion
from latentia.models.vaegan import VAEGAN
from latentia.training.plan import Plan

MAX_PROBABILITY = 0.8  # of an adversary: Karras et al. 2020, figure 3


@modifier
def augment(
    plan: Plan,
    augment: str = "flip",
    augment_probability: Annotated[float, Ge(0), Le(1)] = MAX_PROBABILITY,
) -> Plan:
    """Train on randomly transformed images (Karras et al. 2020, arXiv 2006.06676).

    The critic of a GAN or VAE-GAN sees real and drawn images alike transformed, so that the samples
    are not. Every other model learns the transformed images, and draws such images too.

    Parameters
    ----------
    augment : NAME,...
        transformations: flip (left and right), rotate90 (quarter turns), rotate (up to 15 degrees),
        shift (up to 1/8 of a side), colour (brightness, contrast and saturation)
    augment_probability : FLOAT
        probability, 0 to 1, that an image undergoes each transformation; at most 0.8 for a GAN or
        VAE-GAN, whose samples would show more
    """
    names, model = [name.strip() for name in augment.split(",")], plan.model
    if unknown := [name for name in names if name not in TRANSFORMATIONS]:
        choices = ", ".join(TRANSFORMATIONS)
        raise Error(f"--augment names '{unknown[0]}'; it is one or several of {choices}.")
    if double := [name for name in names if names.count(name) > 1]:
        raise Error(f"--augment names {double[0]} more than once; name each transformation once.")
    height, width = plan.images.shape[1:]
    if "rotate90" in names and height != width:
        raise Error(
            f"--augment rotate90 needs square images, and these are {height}x{width}; leave it out,"
            " or give a square --size."
        )
    if any(plan.images.to_metadata()["columns"].values()):
        raise Error("--augment would not transform the patterns or masks of these images; omit it.")
    if isinstance(model, LatentDiffusion) and model.is_latent:
        raise Error("--augment transforms images, and this recipe trains on latents; leave it out.")
    augmentation = Augmentation(names, augment_probability)
    if not isinstance(model, GAN | VAEGAN):
        plan.augment = lambda images, context: augmentation(images, context).clamp(0, 1)
    elif augment_probability > MAX_PROBABILITY:
        raise Error(
            f"--augment-probability is {augment_probability:g}; an adversary needs at most "
            f"{MAX_PROBABILITY:g}, or samples show the transformations: lower it."
        )
    else:
        model.augment = augmentation
    return plan
