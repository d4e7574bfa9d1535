"""--divergence: another divergence of the latents from the prior than the rate (KL)."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from annotated_types import Ge

from latentia.core.contract import Model
from latentia.core.distributed import world_size
from latentia.core.errors import Error
from latentia.core.registries import modifier
from latentia.losses.divergences import MMD, Divergence, KLDecomposition, kl
from latentia.models.hvae import HVAE
from latentia.models.iwae import IWAE
from latentia.nets.column_condition import get_classes
from latentia.training.plan import Plan

Weight = Annotated[float, Ge(0)]


@modifier(before="capacity")
def divergence(
    plan: Plan,
    divergence: Literal["kl", "tc", "mmd"] = "tc",
    mi_weight: Weight = 1.0,
    tc_weight: Weight = 6.0,
    dim_weight: Weight = 1.0,
    mmd_weight: Weight = 1000.0,
    rate_weight: Weight = 0.0,
) -> Plan:
    """Replace the rate (KL) by its three parts, or by the maximum mean discrepancy.

    Each weight is multiplied by the model's beta, and by its schedule.
    Sources: Chen et al. 2018, arXiv 1802.04942, equation 4; Tolstikhin et al. 2018, 1711.01558;
    Zhao et al. 2019, 1706.02262; losses/divergences.py has the estimators.

    Parameters
    ----------
    divergence
        divergence in the loss: kl, the rate; tc, its three parts with weights (beta-TC-VAE); or
        mmd, the maximum mean discrepancy of all latents and the prior (Wasserstein autoencoder),
        or of the latents of each class, with --cond COLUMN of classes
    mi_weight : FLOAT
        weight of the mutual information of image and latents, at least 0
    tc_weight : FLOAT
        weight of the total correlation of the latents, at least 0
    dim_weight : FLOAT
        weight of the KL divergence of single latent dimensions from the prior, at least 0
    mmd_weight : FLOAT
        weight of the squared maximum mean discrepancy, which is at most 2, at least 0
    rate_weight : FLOAT
        weight of the rate beside the maximum mean discrepancy, at least 0: 0 is the Wasserstein
        autoencoder, more the InfoVAE
    """
    parts, mmd = KLDecomposition(mi_weight, tc_weight, dim_weight), MMD(mmd_weight, rate_weight)
    others = {"kl": [parts, mmd], "tc": [mmd], "mmd": [parts]}[divergence]
    if any(each != type(each)() for each in others):
        raise Error(
            f"--divergence {divergence} takes no weight of another divergence, and one is given; "
            "leave it out: --mi-weight, --tc-weight and --dim-weight are those of tc, --mmd-weight "
            "and --rate-weight those of mmd."
        )
    if divergence == "kl":
        return replace_rate(plan, "--divergence", kl)
    n_images = min(plan.batch, plan.images.to_metadata()["count"]["train"]) // world_size()
    if n_images < 2:
        raise Error(
            f"--divergence {divergence} compares the latents of a batch, and this one holds "
            f"{n_images}; give --batch 2 or more, and more images."
        )
    if divergence == "tc":
        refuse_levels(plan.model, "--divergence tc")
        return replace_rate(plan, "--divergence", parts)
    if plan.model.starts_fitted:
        raise Error(
            "--divergence mmd needs a VAE whose encoder is trained; leave it out of this recipe."
        )
    mmd = replace(mmd, get_classes=partial(get_classes, plan.model))
    plan = replace_rate(plan, "--divergence", mmd)
    if plan.model.selection_metric:  # the ELBO would select an epoch before the latents are precise
        plan.model.selection_metric = "objective"
    return plan


def replace_rate(plan: Plan, option: str, divergence: Divergence) -> Plan:
    """Replace the rate (KL) in the loss of the plan's model.

    Raises: Error if the loss has no rate of its own, or another option has replaced it.
    """
    model = plan.model
    current = getattr(model, "divergence", None)
    if current is None:
        raise Error(f"{option} needs a model with a posterior; leave it out of this recipe.")
    refuse_iwae(model, f"{option} replaces the rate (KL)")
    refuse_prior(model, option)
    if current is not kl:
        raise Error(f"{option} and another option both replace the rate (KL): leave one out.")
    model.divergence = divergence  # pyright: ignore
    return plan


def refuse_iwae(model: Model, purpose: str) -> None:
    """Raises: Error if the model's loss is an importance-weighted bound of several samples."""
    if isinstance(model, IWAE) and model.k > 1:
        raise Error(f"{purpose}, which a bound of {model.k} samples lacks; leave one of them out.")


def refuse_prior(model: Model, option: str) -> None:
    """Raises: Error if the prior of the model's latents is not N(0, I)."""
    if getattr(model, "prior", None) is not None:
        raise Error(
            f"{option} needs the prior N(0, I), and that of this recipe is another; leave out "
            f"{option}, or --quantizer."
        )


def refuse_levels(model: Model, option: str) -> None:
    """Raises: Error if the model's latents depend on those of levels above."""
    if isinstance(model, HVAE):
        raise Error(
            f"{option} needs latents that are independent given the image, and a hierarchical VAE "
            "has levels that depend on each other; leave it out of this recipe."
        )
