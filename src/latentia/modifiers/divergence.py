"""--divergence: weight the three parts of the rate (KL) separately, for disentangled latents."""

from typing import Annotated, Literal

from annotated_types import Ge

from latentia.core.contract import Model
from latentia.core.distributed import world_size
from latentia.core.errors import Error
from latentia.core.registries import modifier
from latentia.losses.divergences import Divergence, KLDecomposition, kl
from latentia.models.hvae import HVAE
from latentia.models.iwae import IWAE
from latentia.training.plan import Plan

Weight = Annotated[float, Ge(0)]


@modifier(before="capacity")
def divergence(
    plan: Plan,
    divergence: Literal["kl", "tc"] = "tc",
    mi_weight: Weight = 1.0,
    tc_weight: Weight = 6.0,
    dim_weight: Weight = 1.0,
) -> Plan:
    """Replace the rate (KL) by its three parts, each with a weight.

    Each weight is multiplied by the model's beta, and by its schedule.
    Source: Chen et al. 2018, arXiv 1802.04942, equation 4; losses/divergences.py has the estimator.

    Parameters
    ----------
    divergence
        divergence in the loss: kl, the rate; or tc, its three parts with weights (beta-TC-VAE)
    mi_weight : FLOAT
        weight of the mutual information of image and latents, at least 0
    tc_weight : FLOAT
        weight of the total correlation of the latents, at least 0
    dim_weight : FLOAT
        weight of the KL divergence of single latent dimensions from the prior, at least 0
    """
    parts = KLDecomposition(mi_weight, tc_weight, dim_weight)
    if divergence == "kl":
        if parts != KLDecomposition():
            raise Error("--divergence kl has the weight --beta; give no other, or --divergence tc.")
        return replace_rate(plan, "--divergence", kl)
    refuse_levels(plan.model, "--divergence tc")
    n_images = min(plan.batch, plan.images.to_metadata()["count"]["train"]) // world_size()
    if n_images < 2:
        raise Error(
            f"--divergence tc compares the latents of a batch, and this one holds {n_images}; give "
            "--batch 2 or more, and more images."
        )
    return replace_rate(plan, "--divergence", parts)


def replace_rate(plan: Plan, option: str, divergence: Divergence) -> Plan:
    """Replace the rate (KL) in the loss of the plan's model.

    Raises: Error if the loss has no rate of its own, or another option has replaced it.
    """
    model = plan.model
    current = getattr(model, "divergence", None)
    if current is None:
        raise Error(f"{option} needs a model with a posterior; leave it out of this recipe.")
    refuse_iwae(model, f"{option} replaces the rate (KL)")
    if current is not kl:
        raise Error(f"{option} and another option both replace the rate (KL): leave one out.")
    model.divergence = divergence  # pyright: ignore
    return plan


def refuse_iwae(model: Model, purpose: str) -> None:
    """Raises: Error if the model's loss is an importance-weighted bound of several samples."""
    if isinstance(model, IWAE) and model.k > 1:
        raise Error(f"{purpose}, which a bound of {model.k} samples lacks; leave one of them out.")


def refuse_levels(model: Model, option: str) -> None:
    """Raises: Error if the model's latents depend on those of levels above."""
    if isinstance(model, HVAE):
        raise Error(
            f"{option} needs latents that are independent given the image, and a hierarchical VAE "
            "has levels that depend on each other; leave it out of this recipe."
        )
